#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <grpc/grpc.h>
#include <zlib.h>

#include "rpc/rpc_err.h"
#include "rpc/rpc_inflate.h"

static size_t deflate_bytes(uint8_t *out, size_t cap, const uint8_t *in, size_t len, bool is_gzip)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, is_gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    len = cap - z.avail_out;
    deflateEnd(&z);
    return len;
}

/* Opens in[0, len), cut into two slices at cut. */
static int open_cut(struct rpc_msg **out, const uint8_t *in, size_t len, size_t cut, bool is_gzip, size_t max)
{
    grpc_slice s[2] = {grpc_slice_from_copied_buffer((const char *)in, cut),
                       grpc_slice_from_copied_buffer((const char *)in + cut, len - cut)};
    grpc_byte_buffer *bb =
        grpc_raw_compressed_byte_buffer_create(s, 2, is_gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_DEFLATE);
    int err = rpc_inflate(out, bb, max);

    grpc_byte_buffer_destroy(bb);
    grpc_slice_unref(s[0]);
    grpc_slice_unref(s[1]);
    return err;
}

static void test_inflate_at_each_split_and_truncation(void **state)
{
    static const size_t sizes[] = {0, 1, 300, 4096, 4097, 20000};
    uint8_t *plain = malloc(20000), *packed = malloc(40000);
    struct rpc_msg *m;

    for (size_t i = 0; i < 20000; i++)
        plain[i] = (uint8_t)(i % 251 < 100 ? i / 100 : i * i % 17);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
            size_t len = deflate_bytes(packed, 40000, plain, sizes[i], is_gzip);

            for (size_t cut = 0; cut <= len; cut++) {
                assert_int_equal(open_cut(&m, packed, len, cut, is_gzip, sizes[i]), 0);
                assert_true(slice_is_equal(rpc_msg_slice(m), slice_of(plain, sizes[i])));
                rpc_msg_unref(m);
            }
            for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(open_cut(&m, packed, cut, cut / 2, is_gzip, sizes[i]), -RPC_EARG);
            if (sizes[i])
                assert_int_equal(open_cut(&m, packed, len, 0, is_gzip, sizes[i] - 1), -RPC_ETOOBIG);
            assert_int_equal(open_cut(&m, packed, len, 0, !is_gzip, 20000), -RPC_EARG);
        }
    }
    free(plain);
    free(packed);
}

static void test_inflate_bounds_a_bomb(void **state)
{
    size_t len = 64 << 20;
    uint8_t *plain = calloc(1, len), *packed = malloc(1 << 20);
    struct rpc_msg *m;

    len = deflate_bytes(packed, 1 << 20, plain, len, true);
    assert_int_equal(open_cut(&m, packed, len, 0, true, 1 << 20), -RPC_ETOOBIG);
    assert_null(m);
    free(plain);
    free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inflate_at_each_split_and_truncation),
        cmocka_unit_test(test_inflate_bounds_a_bomb),
    };
    int failed;

    grpc_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    grpc_shutdown();
    return failed;
}
