#include "vec.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "crypto/aead.h"

static uint8_t key[AEAD_KEY_BYTES];
static struct aead ctx;

static void nonce_of(uint64_t n, uint8_t out[AEAD_NONCE_BYTES])
{
    memset(out, 0, AEAD_NONCE_BYTES);
    memcpy(out + 4, &n, 8);
}

/* OpenSSL's allocations, counted: it must be told before its first one. */
static unsigned allocations;

static void *count_malloc(size_t n, const char *file, int line)
{
    allocations++;
    return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
    allocations++;
    return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
    free(p);
}

static int setup(void **state)
{
    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        return -1;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(0x80 + i);
    return crypto_init() || aead_init(&ctx, key);
}

static int teardown(void **state)
{
    aead_fini(&ctx);
    aead_fini(&ctx); /* harmless */
    return 0;
}

static void test_aead_known_answer(void **state)
{
    /* RFC 8439, 2.8.2 */
    static const char plain[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        "future, sunscreen would be it.";
    struct bytes nonce = vec_unhex("070000004041424344454647"), ad = vec_unhex("50515253c0c1c2c3c4c5c6c7");
    struct bytes want =
        vec_unhex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fa"
                  "fb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4"
                  "fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecb"
                  "d0600691");
    uint8_t out[200], back[200];
    const size_t len = sizeof(plain) - 1;

    aead_seal(&ctx, nonce.p, bytes_slice(ad), (const uint8_t *)plain, len, out);
    assert_slice(slice_of(out, len + 16), bytes_slice(want));
    assert_int_equal(aead_open(&ctx, nonce.p, bytes_slice(ad), out, len + 16, back), 0);
    assert_memory_equal(back, plain, len);
    aead_seal_once(key, nonce.p, bytes_slice(ad), slice_of(plain, len), out);
    assert_slice(slice_of(out, len + 16), bytes_slice(want));
    assert_int_equal(aead_open_once(key, nonce.p, bytes_slice(ad), slice_of(out, len + 16), back), 0);
    assert_memory_equal(back, plain, len);
    free(nonce.p), free(ad.p), free(want.p);
}

/* Memory that ends at a page nobody may touch. */
static uint8_t *guarded(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (len + page - 1) / page * page;
    uint8_t *p = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + body, page, PROT_NONE), 0);
    return p + body - len;
}

static void unguard(uint8_t *p, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (len + page - 1) / page * page;

    munmap(p + len - body, body + page);
}

/* Every length up to a few blocks, then around the sizes of real frames, against libsodium, at a guard page. */
static void test_aead_every_length_against_the_other_library(void **state)
{
    static uint8_t in[65519], want[65519 + 16];
    uint8_t nonce[AEAD_NONCE_BYTES];
    struct rng rng;

    rng_init_seeded(&rng, 5);
    rng_fill(&rng, in, sizeof(in));
    for (size_t len = 0; len <= sizeof(in); len += len < 700 ? 1
                                                   : len == 65420
                                                       ? 99
                                                       : (65420 - len < 9973 ? 65420 - len : 9973)) {
        uint8_t *out = guarded(len + 16), *back = guarded(len);
        nonce_of(len, nonce);
        aead_seal(&ctx, nonce, slice_of(NULL, 0), in, len, out);
        aead_seal_once(key, nonce, slice_of(NULL, 0), slice_of(in, len), want);
        assert_memory_equal(out, want, len + 16);
        assert_int_equal(aead_open(&ctx, nonce, slice_of(NULL, 0), out, len + 16, back), 0);
        assert_memory_equal(back, in, len);
        /* in place, both ways */
        assert_int_equal(aead_open(&ctx, nonce, slice_of(NULL, 0), out, len + 16, out), 0);
        assert_memory_equal(out, in, len);
        aead_seal(&ctx, nonce, slice_of(NULL, 0), out, len, out);
        assert_memory_equal(out, want, len + 16);
        unguard(out, len + 16), unguard(back, len);
    }
}

/* Cuts len bytes into up to 8 pieces, empty ones among them. */
static size_t cut(struct rng *rng, const uint8_t *p, size_t len, struct slice *pieces)
{
    size_t count = 0;

    while (count < 7 && len) {
        size_t n = rng_below(rng, 3) ? rng_below(rng, len + 1) : rng_below(rng, 20);
        if (n > len)
            n = len;
        pieces[count++] = slice_of(p, n);
        p += n;
        len -= n;
    }
    pieces[count++] = slice_of(p, len);
    return count;
}

static void test_aead_pieces_equal_the_whole(void **state)
{
    static uint8_t in[65519], want[65535], got[65535], back[65519];
    uint8_t nonce[AEAD_NONCE_BYTES];
    struct slice pieces[8];
    struct rng rng;

    rng_init_seeded(&rng, 11);
    rng_fill(&rng, in, sizeof(in));
    for (unsigned round = 0; round < 5000; round++) {
        size_t len = rng_below(&rng, round % 2 ? 300 : round % 20 ? 6000 : sizeof(in) + 1);
        nonce_of(round, nonce);
        aead_seal_once(key, nonce, slice_of("ad", 2), slice_of(in, len), want);
        aead_sealv(&ctx, nonce, slice_of("ad", 2), pieces, cut(&rng, in, len, pieces), got);
        assert_memory_equal(got, want, len + 16);
        assert_int_equal(aead_openv(&ctx, nonce, slice_of("ad", 2), pieces, cut(&rng, got, len + 16, pieces),
                                    back),
                         0);
        assert_memory_equal(back, in, len);
    }
}

static void test_aead_refuses_forgeries_and_wipes(void **state)
{
    uint8_t in[100], sealed[116], out[100], zero[100] = {0}, nonce[AEAD_NONCE_BYTES];

    memset(in, 7, sizeof(in));
    nonce_of(1, nonce);
    aead_seal(&ctx, nonce, slice_of("x", 1), in, sizeof(in), sealed);
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 1, sizeof(out));
        assert_int_equal(aead_open(&ctx, nonce, slice_of("x", 1), sealed, sizeof(sealed), out),
                         -CRYPTO_EAUTH);
        assert_memory_equal(out, zero, sizeof(out));
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof(sealed); len++) {
        struct bytes part = vec_copy(slice_of(sealed, len));
        assert_int_equal(aead_open(&ctx, nonce, slice_of("x", 1), part.p, len, out), -CRYPTO_EAUTH);
        assert_int_equal(aead_open_once(key, nonce, slice_of("x", 1), bytes_slice(part), out), -CRYPTO_EAUTH);
        free(part.p);
    }
    assert_int_equal(aead_open(&ctx, nonce, slice_of("y", 1), sealed, sizeof(sealed), out), -CRYPTO_EAUTH);
    assert_int_equal(aead_open(&ctx, nonce, slice_of(NULL, 0), sealed, sizeof(sealed), out), -CRYPTO_EAUTH);
    nonce_of(2, nonce);
    assert_int_equal(aead_open(&ctx, nonce, slice_of("x", 1), sealed, sizeof(sealed), out), -CRYPTO_EAUTH);
    nonce_of(1, nonce);
    assert_int_equal(aead_open(&ctx, nonce, slice_of("x", 1), sealed, sizeof(sealed), out), 0);
    assert_memory_equal(out, in, sizeof(in));
}

static void test_aead_allocates_nothing_per_frame(void **state)
{
    static uint8_t buf[65519 + 16];
    uint8_t nonce[AEAD_NONCE_BYTES], out[200];
    unsigned before;

    before = allocations;
    for (unsigned i = 0; i < 100; i++) {
        struct slice pieces[] = {{buf, 12}, {buf + 12, 88}};
        nonce_of(i, nonce);
        aead_seal(&ctx, nonce, slice_of(NULL, 0), buf, 65519, buf);
        assert_int_equal(aead_open(&ctx, nonce, slice_of(NULL, 0), buf, sizeof(buf), buf), 0);
        assert_int_equal(aead_open(&ctx, nonce, slice_of("x", 1), buf, sizeof(buf), buf), -CRYPTO_EAUTH);
        aead_sealv(&ctx, nonce, slice_of("ad", 2), pieces, 2, out);
    }
    assert_int_equal(allocations, before);
    OPENSSL_free(OPENSSL_malloc(1));
    assert_int_equal(allocations, before + 1); /* the counters work */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aead_known_answer),
        cmocka_unit_test(test_aead_every_length_against_the_other_library),
        cmocka_unit_test(test_aead_pieces_equal_the_whole),
        cmocka_unit_test(test_aead_refuses_forgeries_and_wipes),
        cmocka_unit_test(test_aead_allocates_nothing_per_frame),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
