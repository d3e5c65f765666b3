/* test_auth_claims.c: a verified token's claims */
#include "testing.h"

#include <math.h>

#include "auth/auth_token.h"

#define NOW 1700000000

static const struct auth_policy policy = {.issuer = "https://issuer.test",
                                          .audience = "api",
                                          .leeway_s = 30,
                                          .defaults = {2, 100, 2 << 20, 100 << 20}};

#define ISS "\"iss\":\"https://issuer.test/\""
#define AUD "\"aud\":\"api\""
#define SUB "\"sub\":\"anna\""
#define EXP "\"exp\":1700000060"

static void test_claims_table(void **state)
{
    static const struct {
        const char *name, *claims;
        int want;
    } table[] = {
        {"good", "{" ISS "," AUD "," SUB "," EXP "}", 0},
        {"issuer without its slash", "{\"iss\":\"https://issuer.test\"," AUD "," SUB "," EXP "}", 0},
        {"issuer that goes on", "{\"iss\":\"https://issuer.test.evil/\"," AUD "," SUB "," EXP "}", AUTH_E_ISSUER},
        {"issuer with a path", "{\"iss\":\"https://issuer.test/x\"," AUD "," SUB "," EXP "}", AUTH_E_ISSUER},
        {"issuer by http", "{\"iss\":\"http://issuer.test/\"," AUD "," SUB "," EXP "}", AUTH_E_ISSUER},
        {"no issuer", "{" AUD "," SUB "," EXP "}", AUTH_E_ISSUER},
        {"issuers in a list", "{\"iss\":[\"https://issuer.test/\"]," AUD "," SUB "," EXP "}", AUTH_E_ISSUER},
        {"audiences", "{" ISS ",\"aud\":[\"x\",\"api\"]," SUB "," EXP "}", 0},
        {"other audiences", "{" ISS ",\"aud\":[\"x\",\"apis\",1]," SUB "," EXP "}", AUTH_E_AUDIENCE},
        {"another audience", "{" ISS ",\"aud\":\"ap\"," SUB "," EXP "}", AUTH_E_AUDIENCE},
        {"no audience", "{" ISS "," SUB "," EXP "}", AUTH_E_AUDIENCE},
        {"no audience in the list", "{" ISS ",\"aud\":[]," SUB "," EXP "}", AUTH_E_AUDIENCE},
        {"no exp", "{" ISS "," AUD "," SUB "}", AUTH_E_CLAIMS},
        {"exp in a string", "{" ISS "," AUD "," SUB ",\"exp\":\"1700000060\"}", AUTH_E_CLAIMS},
        {"exp with a fraction", "{" ISS "," AUD "," SUB ",\"exp\":1700000060.5}", 0},
        {"expired within the leeway", "{" ISS "," AUD "," SUB ",\"exp\":1699999971}", 0},
        {"expired", "{" ISS "," AUD "," SUB ",\"exp\":1699999970}", AUTH_E_EXPIRED},
        {"exp before time began", "{" ISS "," AUD "," SUB ",\"exp\":-1}", AUTH_E_EXPIRED},
        {"exp at the end of time", "{" ISS "," AUD "," SUB ",\"exp\":1e300}", 0},
        {"nbf", "{" ISS "," AUD "," SUB "," EXP ",\"nbf\":1700000030}", 0},
        {"nbf later", "{" ISS "," AUD "," SUB "," EXP ",\"nbf\":1700000031}", AUTH_E_EARLY},
        {"nbf in a string", "{" ISS "," AUD "," SUB "," EXP ",\"nbf\":\"0\"}", AUTH_E_CLAIMS},
        {"no name", "{" ISS "," AUD "," EXP "}", AUTH_E_CLIENT},
        {"empty name", "{" ISS "," AUD ",\"sub\":\"\"," EXP "}", AUTH_E_CLIENT},
        {"name with a control character", "{" ISS "," AUD ",\"sub\":\"a\\u001fb\"," EXP "}", AUTH_E_CLIENT},
        {"name is a number", "{" ISS "," AUD ",\"sub\":7," EXP "}", AUTH_E_CLIENT},
        {"client_id is a number", "{" ISS "," AUD "," SUB ",\"client_id\":7," EXP "}", AUTH_E_CLIENT},
        {"inactive", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":false}", AUTH_E_INACTIVE},
        {"inactive by text", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":\"False\"}", AUTH_E_INACTIVE},
        {"inactive by number", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":0}", AUTH_E_INACTIVE},
        {"active by text", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":\"true\"}", 0},
        {"active by number", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":1}", 0},
        {"active by a number in a text", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":\"1\"}", 0},
        {"active or what", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":\"maybe\"}", AUTH_E_CLAIMS},
        {"active as a list", "{" ISS "," AUD "," SUB "," EXP ",\"is_active\":[]}", AUTH_E_CLAIMS},
        {"inactive and expired", "{" ISS "," AUD "," SUB ",\"exp\":1,\"is_active\":false}", AUTH_E_EXPIRED},
        {"negative limit", "{" ISS "," AUD "," SUB "," EXP ",\"max_publish_per_hour\":-1}", AUTH_E_CLAIMS},
        {"limit in words", "{" ISS "," AUD "," SUB "," EXP ",\"max_publish_per_sec\":\"many\"}", AUTH_E_CLAIMS},
        {"limit inf", "{" ISS "," AUD "," SUB "," EXP ",\"max_publish_per_sec\":\"inf\"}", AUTH_E_CLAIMS},
        {"limit in a list", "{" ISS "," AUD "," SUB "," EXP ",\"daily_quota\":[1]}", AUTH_E_CLAIMS},
        {"limit is null", "{" ISS "," AUD "," SUB "," EXP ",\"daily_quota\":null}", 0},
        {"a claim twice", "{" ISS "," AUD "," SUB "," EXP "," EXP "}", AUTH_E_CLAIMS},
        {"not UTF-8", "{" ISS "," AUD ",\"sub\":\"\xff\"," EXP "}", AUTH_E_CLAIMS},
        {"a number too large for JSON", "{" ISS "," AUD "," SUB ",\"exp\":99999999999999999999}", AUTH_E_CLAIMS},
        {"an array", "[]", AUTH_E_CLAIMS},
        {"nothing", "", AUTH_E_CLAIMS},
    };
    struct auth_grant g;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int rc = auth_claims_read(slice_str(table[i].claims), &policy, &g, NOW);

        if (rc != -table[i].want)
            fail_msg("%s: %s", table[i].name, auth_err_name(rc));
    }
}

static void test_claims_limits(void **state)
{
    struct auth_grant g;

    assert_int_equal(auth_claims_read(SLICE_LIT("{" ISS "," AUD "," SUB "," EXP "}"), &policy, &g, NOW), 0);
    assert_true(g.quota.per_second == 2 && g.quota.per_hour == 100 && g.quota.message_bytes == 2 << 20 &&
                g.quota.daily_bytes == 100 << 20);
    assert_string_equal(g.client, "anna");
    assert_int_equal(auth_claims_read(SLICE_LIT("{" ISS "," AUD "," SUB "," EXP ",\"client_id\":\"c-7\",\"max_publish_per_sec\":0.5,"
                                                "\"max_publish_per_hour\":\"7\",\"max_message_size\":1e3,\"daily_quota\":0}"),
                                      &policy, &g, NOW),
                     0);
    assert_true(g.quota.per_second == 0.5 && g.quota.per_hour == 7 && g.quota.message_bytes == 1000 && g.quota.daily_bytes == 0);
    assert_string_equal(g.client, "c-7");
    assert_int_equal(auth_claims_read(SLICE_LIT("{" ISS "," AUD "," SUB "," EXP ",\"client_id\":\"\",\"daily_quota\":1e300}"), &policy, &g, NOW), 0);
    assert_true(g.quota.daily_bytes == AUTH_UNLIMITED);
    assert_string_equal(g.client, "anna");
}

static void test_claims_name_of_the_greatest_length(void **state)
{
    char text[1024], name[300];
    struct auth_grant g;

    for (size_t n = AUTH_CLIENT_MAX - 1; n <= AUTH_CLIENT_MAX + 1; n++) {
        memset(name, 'n', n);
        name[n] = 0;
        snprintf(text, sizeof(text), "{" ISS "," AUD ",\"sub\":\"%s\"," EXP "}", name);
        assert_int_equal(auth_claims_read(slice_str(text), &policy, &g, NOW), n <= AUTH_CLIENT_MAX ? 0 : -AUTH_E_CLIENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_claims_table), cmocka_unit_test(test_claims_limits),
                                       cmocka_unit_test(test_claims_name_of_the_greatest_length)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
