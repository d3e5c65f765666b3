/* test_auth_token.c: form, header and signature of a token */
#include "auth/forge.h"

#include "auth/auth_token.h"

#define NOW 1700000000

#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"one\"}"
#define CLAIMS "{\"iss\":\"https://issuer.test/\",\"aud\":\"api\",\"sub\":\"anna\",\"exp\":1700000060}"

static const struct auth_policy policy = {.issuer = "https://issuer.test",
                                          .audience = "api",
                                          .leeway_s = 30,
                                          .defaults = {2, 100, 2 << 20, 100 << 20}};
static EVP_PKEY *ours, *theirs;
static struct auth_keys *keys;

static int setup(void **state)
{
    char jwk[4096], text[8192];

    ours = EVP_RSA_gen(2048);
    theirs = EVP_RSA_gen(2048);
    forge_jwk(jwk, ours, "one", ",\"use\":\"sig\"");
    snprintf(text, sizeof(text), "{\"keys\":[%s]}", jwk);
    return auth_keys_parse(&keys, slice_str(text));
}

static int teardown(void **state)
{
    auth_keys_unref(keys);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
    return 0;
}

/* As the guard does it. */
static int check(struct slice text, struct auth_grant *g)
{
    const struct auth_key *key;
    struct auth_token t;
    int rc = auth_token_read(&t, text);

    if (rc)
        return rc;
    key = auth_keys_find(keys, slice_of(t.kid, t.kid_len));
    return key ? auth_token_verify(&t, key, &policy, g, NOW) : -AUTH_E_KEY;
}

static void test_token_good_gives_its_grant(void **state)
{
    char text[FORGE_MAX];
    struct auth_grant g;

    assert_int_equal(check(slice_of(text, forge_token(text, ours, HEADER, CLAIMS)), &g), 0);
    assert_string_equal(g.client, "anna");
    assert_true(g.is_active);
    assert_int_equal(g.expires_s, 1700000090);
    assert_int_equal(g.quota.per_hour, 100);
}

static void test_token_headers(void **state)
{
    static const struct {
        const char *name, *header;
        int want;
    } table[] = {
        {"no typ", "{\"alg\":\"RS256\",\"kid\":\"one\"}", 0},
        {"access token", "{\"alg\":\"RS256\",\"kid\":\"one\",\"typ\":\"at+jwt\"}", 0},
        {"unknown members", "{\"alg\":\"RS256\",\"kid\":\"one\",\"x\":[1]}", 0},
        {"its own key is not looked at", "{\"alg\":\"RS256\",\"kid\":\"one\",\"jwk\":{},\"jku\":\"https://evil\",\"x5c\":[]}", 0},
        {"another typ", "{\"alg\":\"RS256\",\"kid\":\"one\",\"typ\":\"secevent+jwt\"}", AUTH_E_HEADER},
        {"typ is no text", "{\"alg\":\"RS256\",\"kid\":\"one\",\"typ\":1}", AUTH_E_HEADER},
        {"none", "{\"alg\":\"none\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"None", "{\"alg\":\"None\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"HS256", "{\"alg\":\"HS256\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"RS512", "{\"alg\":\"RS512\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"PS256", "{\"alg\":\"PS256\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"small letters", "{\"alg\":\"rs256\",\"kid\":\"one\"}", AUTH_E_ALG},
        {"no alg", "{\"kid\":\"one\"}", AUTH_E_ALG},
        {"alg is no text", "{\"alg\":[\"RS256\"],\"kid\":\"one\"}", AUTH_E_ALG},
        {"alg twice", "{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"one\"}", AUTH_E_HEADER},
        {"crit", "{\"alg\":\"RS256\",\"kid\":\"one\",\"crit\":[\"b64\"],\"b64\":false}", AUTH_E_CRIT},
        {"no kid", "{\"alg\":\"RS256\"}", AUTH_E_KID},
        {"empty kid", "{\"alg\":\"RS256\",\"kid\":\"\"}", AUTH_E_KID},
        {"kid is no text", "{\"alg\":\"RS256\",\"kid\":1}", AUTH_E_KID},
        {"unknown kid", "{\"alg\":\"RS256\",\"kid\":\"two\"}", AUTH_E_KEY},
        {"kid with a NUL", "{\"alg\":\"RS256\",\"kid\":\"one\\u0000\"}", AUTH_E_HEADER},
        {"an array", "[\"RS256\"]", AUTH_E_HEADER},
        {"no JSON", "RS256", AUTH_E_HEADER},
        {"more behind it", "{\"alg\":\"RS256\",\"kid\":\"one\"}x", AUTH_E_HEADER},
    };
    char text[FORGE_MAX];
    struct auth_grant g;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int rc = check(slice_of(text, forge_token(text, ours, table[i].header, CLAIMS)), &g);

        if (rc != -table[i].want)
            fail_msg("%s: %s", table[i].name, auth_err_name(rc));
    }
}

static void test_token_with_a_long_kid(void **state)
{
    char header[512], text[FORGE_MAX], kid[200];
    struct auth_token t;

    for (size_t n = 127; n < 131; n++) {
        memset(kid, 'k', n);
        kid[n] = 0;
        snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
        assert_int_equal(auth_token_read(&t, slice_of(text, forge_token(text, ours, header, CLAIMS))),
                         n <= AUTH_KID_MAX ? 0 : -AUTH_E_KID);
    }
}

static void test_token_of_another_key(void **state)
{
    char text[FORGE_MAX];
    struct auth_grant g;

    assert_int_equal(check(slice_of(text, forge_token(text, theirs, HEADER, CLAIMS)), &g), -AUTH_E_SIGNATURE);
}

/* The signature of "none" is empty; that of HS256 is made with what everybody knows: the public key. */
static void test_token_alg_confusion(void **state)
{
    static const char hs[] = "{\"alg\":\"HS256\",\"kid\":\"one\"}", none[] = "{\"alg\":\"none\",\"kid\":\"one\"}";
    char text[FORGE_MAX], jwk[4096];
    struct auth_grant g;
    uint8_t mac[32];
    unsigned len;
    size_t n = forge_body(text, hs, CLAIMS);

    forge_jwk(jwk, ours, "one", "");
    HMAC(EVP_sha256(), jwk, (int)strlen(jwk), (const uint8_t *)text, n, mac, &len);
    n += 1 + forge_b64url(text + n + 1, slice_of(mac, len));
    assert_int_equal(check(slice_of(text, n), &g), -AUTH_E_ALG);
    n = forge_body(text, none, CLAIMS);
    assert_int_equal(check(slice_of(text, n + 1), &g), -AUTH_E_ALG);
    assert_int_equal(check(slice_of(text, n), &g), -AUTH_E_FORM);
    n = forge_body(text, HEADER, CLAIMS); /* says RS256, and signs nothing */
    assert_int_equal(check(slice_of(text, n + 1), &g), -AUTH_E_FORM);
    n += 1 + forge_sign(text + n + 1, ours, slice_of(text, n), EVP_sha512());
    assert_int_equal(check(slice_of(text, n), &g), -AUTH_E_SIGNATURE);
}

static void test_token_forms(void **state)
{
    static const struct {
        const char *text;
        int want;
    } table[] = {{"", AUTH_E_MISSING},     {".", AUTH_E_FORM},         {"..", AUTH_E_FORM},       {"...", AUTH_E_FORM},
                 {"e30.e30.e30.e30", AUTH_E_FORM}, {"e30.e30", AUTH_E_FORM}, {"e30=.e30.e30", AUTH_E_FORM},
                 {"e+0.e30.e30", AUTH_E_FORM}, {"e30 .e30.e30", AUTH_E_FORM}, {"e30..e30", AUTH_E_FORM},
                 {"Bearer e30.e30.e30", AUTH_E_FORM}, {"e30.e30.e30", AUTH_E_ALG}, {"a.e30.e30", AUTH_E_FORM}};
    char big[AUTH_TOKEN_MAX + 1];
    struct auth_token t;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (auth_token_read(&t, slice_str(table[i].text)) != -table[i].want)
            fail_msg("%s", table[i].text);
    memset(big, 'A', sizeof(big));
    assert_int_equal(auth_token_read(&t, slice_of(big, sizeof(big))), -AUTH_E_LONG);
    assert_int_equal(auth_token_read(&t, slice_of(big, sizeof(big) - 1)), -AUTH_E_FORM);
}

/* Whatever is cut off or changed, nothing is let in. The copy is of exactly its length, for the sanitizer. */
static void test_token_truncated_or_changed(void **state)
{
    char text[FORGE_MAX];
    size_t n = forge_token(text, ours, HEADER, CLAIMS);
    struct auth_grant g;

    for (size_t i = 0; i < n; i++) {
        char *copy = malloc(i ? i : 1);

        memcpy(copy, text, i);
        assert_int_not_equal(check(slice_of(copy, i), &g), 0);
        free(copy);
    }
    for (size_t i = 0; i + 1 < n; i++) { /* the last character has bits that say nothing */
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(slice_of(text, n), &g), 0);
        text[i] = was;
    }
    assert_int_equal(check(slice_of(text, n), &g), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_good_gives_its_grant), cmocka_unit_test(test_token_headers),
        cmocka_unit_test(test_token_with_a_long_kid),      cmocka_unit_test(test_token_of_another_key),
        cmocka_unit_test(test_token_alg_confusion),        cmocka_unit_test(test_token_forms),
        cmocka_unit_test(test_token_truncated_or_changed)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
