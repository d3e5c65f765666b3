#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/ws_frame.h"

static void test_frame_headers_are_read(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[14];
        size_t n; /* of the whole header, or of what is enough to refuse it */
        enum ws_frame_kind kind;
        uint64_t len;
    } table[] = {
        {"empty text", {0x81, 0x80, 1, 2, 3, 4}, 6, WS_FRAME, 0},
        {"binary, 125", {0x82, 0xfd, 1, 2, 3, 4}, 6, WS_FRAME, 125},
        {"16 bits", {0x81, 0xfe, 0, 126, 1, 2, 3, 4}, 8, WS_FRAME, 126},
        {"16 bits, all", {0x01, 0xfe, 0xff, 0xff, 1, 2, 3, 4}, 8, WS_FRAME, 65535},
        {"64 bits", {0x80, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, 14, WS_FRAME, 65536},
        {"ping", {0x89, 0x85, 1, 2, 3, 4}, 6, WS_FRAME, 5},
        {"16 bits for 125", {0x81, 0xfe, 0, 125, 1, 2, 3, 4}, 8, WS_FRAME_ODD, 0},
        {"64 bits for 65535", {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}, 14, WS_FRAME_ODD, 0},
        {"the top bit", {0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 14, WS_FRAME_ODD, 0},
        {"no mask", {0x81, 0x05}, 2, WS_FRAME_ODD, 0},
        {"a reserved bit", {0xc1, 0x85}, 2, WS_FRAME_ODD, 0},
        {"an unknown opcode", {0x83, 0x85}, 2, WS_FRAME_ODD, 0},
        {"an unknown control opcode", {0x8b, 0x85}, 2, WS_FRAME_ODD, 0},
        {"a ping in fragments", {0x09, 0x85}, 2, WS_FRAME_ODD, 0},
        {"a long ping", {0x89, 0xfe}, 2, WS_FRAME_ODD, 0},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t cut = 0; cut <= table[i].n; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1); /* its own block: a read behind the end is seen */
            enum ws_frame_kind kind, want = cut < table[i].n ? WS_FRAME_MORE : table[i].kind;
            struct ws_frame f;

            memcpy(copy, table[i].bytes, cut);
            kind = ws_frame_read(&f, slice_of(copy, cut));
            if (kind != want)
                fail_msg("%s: %d of the first %zu bytes, not %d", table[i].name, kind, cut, want);
            if (kind == WS_FRAME) {
                assert_int_equal(f.len, table[i].len);
                assert_int_equal(f.head, table[i].n);
                assert_int_equal(f.op, table[i].bytes[0] & 15);
                assert_int_equal(f.is_last, table[i].bytes[0] >> 7);
                assert_memory_equal(f.mask, table[i].bytes + table[i].n - 4, 4);
            }
            free(copy);
        }
}

/* Every length and beginning, in place and not, in two parts. */
static void test_mask_comes_off(void **state)
{
    static const uint8_t mask[4] = {0xa5, 0x00, 0x3c, 0xff};

    for (size_t n = 0; n < 70; n++)
        for (size_t split = 0; split <= n; split++) {
            uint8_t *in = malloc(n + 1), *out = malloc(n + 1);

            for (size_t i = 0; i < n; i++)
                in[i] = (uint8_t)(i * 7) ^ mask[i & 3];
            ws_frame_unmask(out, in, split, mask, 0);
            ws_frame_unmask(out + split, in + split, n - split, mask, split);
            ws_frame_unmask(in, in, n, mask, 0);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(out[i], (uint8_t)(i * 7));
                assert_int_equal(in[i], (uint8_t)(i * 7));
            }
            free(in);
            free(out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_headers_are_read),
        cmocka_unit_test(test_mask_comes_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
