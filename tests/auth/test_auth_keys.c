/* test_auth_keys.c: an issuer's public keys */
#include "auth/forge.h"

#include "auth/auth_keys.h"

static EVP_PKEY *good, *small;

static int setup(void **state)
{
    good = EVP_RSA_gen(2048);
    small = EVP_RSA_gen(1024);
    return 0;
}

static int teardown(void **state)
{
    EVP_PKEY_free(good);
    EVP_PKEY_free(small);
    return 0;
}

static void test_keys_only_what_can_be_meant(void **state)
{
    static const struct {
        const char *more;
        bool want;
    } table[] = {{"", true},
                 {",\"use\":\"sig\"", true},
                 {",\"use\":\"enc\"", false},
                 {",\"use\":1", false},
                 {",\"alg\":\"RS256\"", true},
                 {",\"alg\":\"RS512\"", false},
                 {",\"alg\":\"HS256\"", false},
                 {",\"key_ops\":[\"sign\",\"verify\"]", true},
                 {",\"key_ops\":[\"encrypt\"]", false},
                 {",\"key_ops\":\"verify\"", false},
                 {",\"x5c\":[\"MII\"],\"x5t\":\"a\"", true}};
    char jwk[4096], text[8192];
    struct auth_keys *k;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        forge_jwk(jwk, good, "a", table[i].more);
        snprintf(text, sizeof(text), "{\"keys\":[%s]}", jwk);
        if ((auth_keys_parse(&k, slice_str(text)) == 0) != table[i].want)
            fail_msg("%s", table[i].more);
        auth_keys_unref(k);
    }
}

static void test_keys_bad_sets(void **state)
{
    static const char *const texts[] = {"", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1,null,\"x\",{}]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\"}]}",
                                        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
                                        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"!\",\"e\":\"AQAB\"}]}", "not found"};
    struct auth_keys *k;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(auth_keys_parse(&k, slice_str(texts[i])), -AUTH_E_KEYS);
        assert_null(k);
    }
}

static void test_keys_weak_ones_are_passed_over(void **state)
{
    char a[4096], b[4096], c[4096], text[20000], *e;
    struct auth_keys *k;

    forge_jwk(a, small, "small", "");
    forge_jwk(b, good, "good", "");
    forge_jwk(c, good, "one", "");
    e = strstr(c, "\"e\":\"AQAB\"");
    memcpy(e, "\"e\":\"AAAB\"", 10); /* 1: every signature would be good */
    snprintf(text, sizeof(text), "{\"keys\":[%s,%s,%s,%s]}", a, b, c, b);
    assert_int_equal(auth_keys_parse(&k, slice_str(text)), 0);
    assert_int_equal(k->count, 1);
    assert_int_equal(k->passed_over, 3);
    assert_non_null(auth_keys_find(k, SLICE_LIT("good")));
    assert_null(auth_keys_find(k, SLICE_LIT("small")));
    assert_null(auth_keys_find(k, SLICE_LIT("one")));
    assert_null(auth_keys_find(k, SLICE_LIT("goo")));
    auth_keys_unref(k);
}

static void test_keys_are_bounded(void **state)
{
    char *text = calloc(1, AUTH_JWKS_MAX + 2), jwk[4096], kid[16];
    size_t n = (size_t)sprintf(text, "{\"keys\":[");
    struct auth_keys *k;

    for (unsigned i = 0; i < AUTH_KEYS_MAX + 5; i++) {
        snprintf(kid, sizeof(kid), "k%u", i);
        forge_jwk(jwk, good, kid, "");
        n += (size_t)sprintf(text + n, "%s%s", i ? "," : "", jwk);
    }
    n += (size_t)sprintf(text + n, "]}");
    assert_int_equal(auth_keys_parse(&k, slice_of(text, n)), 0);
    assert_int_equal(k->count, AUTH_KEYS_MAX);
    assert_int_equal(k->passed_over, 5);
    auth_keys_unref(auth_keys_ref(k));
    auth_keys_unref(k);
    memset(text + n, ' ', AUTH_JWKS_MAX + 1 - n);
    assert_int_equal(auth_keys_parse(&k, slice_of(text, AUTH_JWKS_MAX)), 0);
    auth_keys_unref(k);
    assert_int_equal(auth_keys_parse(&k, slice_of(text, AUTH_JWKS_MAX + 1)), -AUTH_E_KEYS);
    for (size_t i = 0; i < n; i += 97)
        assert_int_equal(auth_keys_parse(&k, slice_of(text, i)), -AUTH_E_KEYS);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys_only_what_can_be_meant), cmocka_unit_test(test_keys_bad_sets),
                                       cmocka_unit_test(test_keys_weak_ones_are_passed_over), cmocka_unit_test(test_keys_are_bounded)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
