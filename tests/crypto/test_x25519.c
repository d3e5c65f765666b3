#include "vec.h"

#include "crypto/x25519.h"

static void test_x25519_known_answers(void **state)
{
    /* RFC 7748, 6.1 */
    struct bytes a = vec_unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct bytes b = vec_unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct bytes a_pub = vec_unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    struct bytes b_pub = vec_unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    struct bytes want = vec_unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    struct x25519_key ka, kb;
    uint8_t out[32];

    x25519_key_init(&ka, a.p);
    x25519_key_init(&kb, b.p);
    assert_memory_equal(ka.public, a_pub.p, 32);
    assert_memory_equal(kb.public, b_pub.p, 32);
    assert_int_equal(x25519_shared(&ka, kb.public, out), 0);
    assert_memory_equal(out, want.p, 32);
    assert_int_equal(x25519_shared(&kb, ka.public, out), 0);
    assert_memory_equal(out, want.p, 32);
    free(a.p), free(b.p), free(a_pub.p), free(b_pub.p), free(want.p);
}

static void test_x25519_refuses_low_order_points(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t secret[32] = {9}, out[32], zero[32] = {0};
    struct x25519_key k;

    x25519_key_init(&k, secret);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct bytes p = vec_unhex(points[i]);
        memset(out, 1, sizeof(out));
        assert_int_equal(x25519_shared(&k, p.p, out), -CRYPTO_EKEY);
        assert_memory_equal(out, zero, 32);
        free(p.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519_known_answers),
        cmocka_unit_test(test_x25519_refuses_low_order_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
