#include "vec.h"

#include "crypto/k256.h"

/* The widely published RFC 6979 answer: secret 1, SHA-256 of "Satoshi Nakamoto"; as DER. */
static void test_k256_known_answer(void **state)
{
    struct bytes want = vec_unhex("3045022100934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
                                  "02202442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5");
    struct bytes public = vec_unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    uint8_t secret[32] = {[31] = 1}, got[K256_SIGNATURE_MAX];
    struct k256_key k;

    for (unsigned round = 0; round < 2; round++) { /* with a context of its own, and with the shared one */
        assert_int_equal(k256_key_init(&k, secret), 0);
        assert_slice(slice_of(k.public, sizeof(k.public)), bytes_slice(public));
        assert_slice(slice_of(got, k256_sign(&k, SLICE_LIT("Satoshi Nakamoto"), got)), bytes_slice(want));
        assert_int_equal(k256_verify(bytes_slice(public), SLICE_LIT("Satoshi Nakamoto"), bytes_slice(want)), 0);
        assert_int_equal(crypto_init(), 0);
    }
    free(want.p), free(public.p);
}

static void test_k256_refuses_what_was_not_signed(void **state)
{
    const struct slice message = SLICE_LIT("a message");
    uint8_t secret[32] = {7}, s[K256_SIGNATURE_MAX + 1] = {0};
    struct k256_key k;
    size_t len;

    assert_int_equal(k256_key_init(&k, secret), 0);
    len = k256_sign(&k, message, s);
    assert_int_equal(k256_verify(slice_of(k.public, 33), message, slice_of(s, len)), 0);
    for (size_t bit = 0; bit < len * 8; bit++) {
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(k256_verify(slice_of(k.public, 33), message, slice_of(s, len)), -CRYPTO_EAUTH);
        s[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < len; n++) {
        struct bytes cut = vec_copy(slice_of(s, n));
        assert_int_equal(k256_verify(slice_of(k.public, 33), message, bytes_slice(cut)), -CRYPTO_EAUTH);
        free(cut.p);
    }
    assert_int_equal(k256_verify(slice_of(k.public, 33), message, slice_of(s, len + 1)), -CRYPTO_EAUTH);
    assert_int_equal(k256_verify(slice_of(k.public, 33), SLICE_LIT("a messagf"), slice_of(s, len)), -CRYPTO_EAUTH);
}

/* The same signature with order - s for s is as good to the mathematics; one message must not have two. */
static void test_k256_refuses_the_higher_s(void **state)
{
    static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
                                      0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
    uint8_t secret[32] = {[31] = 1}, low[K256_SIGNATURE_MAX], high[K256_SIGNATURE_MAX + 1];
    struct k256_key k;
    size_t len;
    int borrow = 0;

    assert_int_equal(k256_key_init(&k, secret), 0);
    len = k256_sign(&k, SLICE_LIT("Satoshi Nakamoto"), low);
    assert_int_equal(len, 71); /* 30 45 02 21 00 r 02 20 s */
    memcpy(high, low, 39);
    high[1]++, high[38]++, high[39] = 0; /* one byte more: the higher s has its top bit set */
    for (int i = 31; i >= 0; i--) {
        int d = order[i] - low[39 + i] - borrow;
        borrow = d < 0;
        high[40 + i] = (uint8_t)d;
    }
    assert_int_equal(k256_verify(slice_of(k.public, 33), SLICE_LIT("Satoshi Nakamoto"), slice_of(low, 71)), 0);
    assert_int_equal(k256_verify(slice_of(k.public, 33), SLICE_LIT("Satoshi Nakamoto"), slice_of(high, 72)), -CRYPTO_EAUTH);
}

static void test_k256_refuses_what_is_no_key(void **state)
{
    uint8_t zero[32] = {0}, ones[32], secret[32] = {9}, public[65];
    struct k256_key k = {0};

    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(k256_key_init(&k, zero), -CRYPTO_EKEY);
    assert_int_equal(k256_key_init(&k, ones), -CRYPTO_EKEY);
    assert_int_equal(k256_key_init(&k, secret), 0);
    memcpy(public, k.public, 33);
    for (size_t n = 0; n < 33; n++)
        assert_int_equal(k256_verify(slice_of(public, n), SLICE_LIT("m"), slice_of(zero, 8)), -CRYPTO_EKEY);
    public[0] = 4;
    assert_int_equal(k256_verify(slice_of(public, 33), SLICE_LIT("m"), slice_of(zero, 8)), -CRYPTO_EKEY);
    public[0] = 2;
    memset(public + 1, 0xff, 32); /* x not below the field's prime */
    assert_int_equal(k256_verify(slice_of(public, 33), SLICE_LIT("m"), slice_of(zero, 8)), -CRYPTO_EKEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_k256_known_answer),
        cmocka_unit_test(test_k256_refuses_what_was_not_signed),
        cmocka_unit_test(test_k256_refuses_the_higher_s),
        cmocka_unit_test(test_k256_refuses_what_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
