#include "vec.h"

#include <sodium.h>

#include "crypto/ed25519.h"

static void test_ed25519_known_answers(void **state)
{
    /* RFC 8032, 7.1, tests 1 to 3 */
    static const struct {
        const char *seed, *public, *message, *signature;
    } table[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25"
         "bf5f0595bbe24"
         "655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387"
         "b2eaeb4302aee"
         "b00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7"
         "c15e9716ed28d"
         "c027beceea1ec40a"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bytes seed = vec_unhex(table[i].seed), public = vec_unhex(table[i].public);
        struct bytes message = vec_unhex(table[i].message), want = vec_unhex(table[i].signature);
        struct ed25519_key k;
        uint8_t got[64];

        ed25519_key_init(&k, seed.p);
        assert_memory_equal(k.public, public.p, 32);
        ed25519_sign(&k, bytes_slice(message), got);
        assert_memory_equal(got, want.p, 64);
        assert_int_equal(ed25519_verify(public.p, bytes_slice(message), bytes_slice(want)), 0);
        free(seed.p), free(public.p), free(message.p), free(want.p);
    }
}

static void test_ed25519_refuses_what_was_not_signed(void **state)
{
    uint8_t seed[32] = {1}, s[64], other[32];
    struct ed25519_key k;
    struct slice message = SLICE_LIT("a message");

    ed25519_key_init(&k, seed);
    ed25519_sign(&k, message, s);
    assert_int_equal(ed25519_verify(k.public, message, slice_of(s, 64)), 0);
    for (size_t bit = 0; bit < 512; bit++) {
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ed25519_verify(k.public, message, slice_of(s, 64)), -CRYPTO_EAUTH);
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < 64; len++)
        assert_int_equal(ed25519_verify(k.public, message, slice_of(s, len)), -CRYPTO_EAUTH);
    assert_int_equal(ed25519_verify(k.public, SLICE_LIT("a messagf"), slice_of(s, 64)), -CRYPTO_EAUTH);
    memcpy(other, k.public, 32);
    other[0] ^= 1;
    assert_int_equal(ed25519_verify(other, message, slice_of(s, 64)), -CRYPTO_EAUTH);
    /* the neutral element as a key would accept one signature for everything */
    memset(other, 0, 32), memset(s, 0, 64);
    other[0] = s[0] = 1;
    assert_int_equal(ed25519_verify(other, message, slice_of(s, 64)), -CRYPTO_EAUTH);
}

/* Short and long messages go to different libraries: both sign alike, and both refuse what was not signed. */
static void test_ed25519_long_messages(void **state)
{
    static const size_t lens[] = {(256u << 10) - 1, 256u << 10, 1u << 20};
    uint8_t seed[32] = {3}, s[64], want[64], joined[64], other[32] = {1};
    uint8_t *m = calloc(1, 1u << 20);
    struct ed25519_key k;

    ed25519_key_init(&k, seed);
    memcpy(joined, k.seed, 32), memcpy(joined + 32, k.public, 32);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct slice message = slice_of(m, lens[i]);

        ed25519_sign(&k, message, s);
        crypto_sign_detached(want, NULL, m, lens[i], joined);
        assert_memory_equal(s, want, 64);
        assert_int_equal(ed25519_verify(k.public, message, slice_of(s, 64)), 0);
        m[lens[i] - 1] ^= 1;
        assert_int_equal(ed25519_verify(k.public, message, slice_of(s, 64)), -CRYPTO_EAUTH);
        m[lens[i] - 1] ^= 1;
        s[40] ^= 1;
        assert_int_equal(ed25519_verify(k.public, message, slice_of(s, 64)), -CRYPTO_EAUTH);
        memset(s, 0, 64), s[0] = 1; /* the neutral element again */
        assert_int_equal(ed25519_verify(other, message, slice_of(s, 64)), -CRYPTO_EAUTH);
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ed25519_known_answers),
        cmocka_unit_test(test_ed25519_refuses_what_was_not_signed),
        cmocka_unit_test(test_ed25519_long_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
