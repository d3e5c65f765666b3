#include "vec.h"

#include "base/rng.h"
#include "base/text.h"
#include "libp2p/multibase.h"

struct codec {
    const char *name;
    ssize_t (*encode)(char *, size_t, struct slice);
    ssize_t (*decode)(uint8_t *, size_t, struct slice);
};

static const struct codec codecs[] = {
    {"base58", base58_encode, base58_decode},
    {"base36", base36_encode, base36_decode},
    {"base32", base32_encode, base32_decode},
    {"base64url", base64url_encode, base64url_decode},
};

#define EACH_CODEC(c) for (const struct codec *c = codecs; c < codecs + 4; c++)

static void test_multibase_known_texts(void **state)
{
    static const struct {
        ssize_t (*encode)(char *, size_t, struct slice);
        const char *in, *want;
    } table[] = {
        {base58_encode, "", ""},
        {base58_encode, "hello world", "StV1DL6CwTryKyV"},
        {base32_encode, "f", "my"}, /* RFC 4648 section 10, lower case, unpadded */
        {base32_encode, "fo", "mzxq"},
        {base32_encode, "foo", "mzxw6"},
        {base32_encode, "foob", "mzxw6yq"},
        {base32_encode, "fooba", "mzxw6ytb"},
        {base32_encode, "foobar", "mzxw6ytboi"},
        {base64url_encode, "fooba", "Zm9vYmE"},
        {base64url_encode, "\xff\xfe", "__4"},
        {base36_encode, "yes mani !", "2lcpzo5yikidynfl"}, /* multibase spec, test file basic.csv */
        {base58_encode, "yes mani !", "7paNL19xttacUY"},
    };
    char out[64];

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(table[i].encode(out, sizeof(out), slice_str(table[i].in)), strlen(table[i].want));
        assert_string_equal(out, table[i].want);
    }
}

/* Also with leading zero bytes, which the big-number bases write one by one. */
static void test_multibase_returns_what_it_took(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 1);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t in[64], back[64];
        char text[160];
        size_t len = rng_below(&rng, sizeof(in) + 1), zeros = rng_below(&rng, 4);

        rng_fill(&rng, in, len);
        memset(in, 0, zeros < len ? zeros : len);
        EACH_CODEC(c)
        {
            ssize_t n = c->encode(text, sizeof(text), slice_of(in, len));
            assert_true(n >= 0 && text[n] == 0);
            assert_int_equal(c->decode(back, sizeof(back), slice_of(text, (size_t)n)), len);
            assert_memory_equal(back, in, len);
        }
    }
}

static void test_multibase_respects_capacity(void **state)
{
    static const uint8_t in[] = {0, 0, 1, 2, 3, 4, 5, 6, 7, 250};

    EACH_CODEC(c)
    {
        char text[64];
        size_t n = (size_t)c->encode(text, sizeof(text), slice_of(in, sizeof(in)));
        for (size_t cap = 0; cap <= n; cap++) {
            char *small = malloc(cap + !cap);
            assert_int_equal(c->encode(small, cap, slice_of(in, sizeof(in))), -1);
            free(small);
        }
        for (size_t cap = 0; cap < sizeof(in); cap++) {
            uint8_t *small = malloc(cap + !cap);
            assert_int_equal(c->decode(small, cap, slice_of(text, n)), -1);
            free(small);
        }
    }
}

static void test_multibase_refuses_what_no_encoder_makes(void **state)
{
    uint8_t out[64];
    static const struct {
        ssize_t (*decode)(uint8_t *, size_t, struct slice);
        const char *in;
    } table[] = {
        {base58_decode, "0"},       {base58_decode, "l1"},   {base36_decode, "K"},
        {base32_decode, "A"},       {base32_decode, "a"},    {base32_decode, "mz"},
        {base32_decode, "mzx"},     {base64url_decode, "A"}, {base64url_decode, "Zm9="},
        {base64url_decode, "Zm+/"}, {base32_decode, "aa="},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(table[i].decode(out, sizeof(out), slice_str(table[i].in)), -1);
    assert_int_equal(base58_decode(out, sizeof(out),
                                   SLICE_LIT("1\0"
                                             "1")),
                     -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multibase_known_texts),
        cmocka_unit_test(test_multibase_returns_what_it_took),
        cmocka_unit_test(test_multibase_respects_capacity),
        cmocka_unit_test(test_multibase_refuses_what_no_encoder_makes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
