/* test_auth_cache.c: tokens that were verified lately */
#include "testing.h"

#include "auth/auth_cache.h"
#include "auth/auth_guard.h"

static void test_cache_knows_token_generation_and_time(void **state)
{
    uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 4}, far[32] = {9};
    struct auth_grant in = {.client = "anna", .client_len = 4, .expires_s = 100}, out;
    struct auth_cache c;

    assert_int_equal(auth_cache_init(&c), 0);
    assert_false(auth_cache_get(&c, a, 1, &out, 50));
    assert_false(auth_cache_get(&c, (const uint8_t[32]){0}, 0, &out, -1)); /* an empty slot is nobody's */
    auth_cache_put(&c, a, 1, &in);
    assert_true(auth_cache_get(&c, a, 1, &out, 99));
    assert_string_equal(out.client, "anna");
    assert_false(auth_cache_get(&c, a, 1, &out, 100));  /* ran out */
    assert_false(auth_cache_get(&c, a, 2, &out, 50));   /* another key set */
    assert_false(auth_cache_get(&c, b, 1, &out, 50));   /* another token of the same slot */
    assert_false(auth_cache_get(&c, far, 1, &out, 50));
    auth_cache_put(&c, b, 1, &in); /* makes a go */
    assert_false(auth_cache_get(&c, a, 1, &out, 50));
    assert_true(auth_cache_get(&c, b, 1, &out, 50));
    auth_cache_fini(&c);
}

static void test_domains(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } table[] = {{"tenant.eu.auth0.com", true}, {"https://tenant.eu.auth0.com/", true}, {"HTTPS://a", true}, {"localhost:8443", true},
                 {"[::1]:8443", true},          {"a/realms/x", true},                   {"", false},         {"https://", false},
                 {"/", false},                  {"http://a", false},                    {"ftp://a", false},  {"u:p@a", false},
                 {"a b", false},                {"a?b", false},                         {"a#b", false},      {"a\n", false},
                 {"//a", false},                {"a//b", false},                        {"%61", false}};
    char name[256];

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (auth_domain_is_valid(table[i].text) != table[i].want)
            fail_msg("%s", table[i].text);
    memset(name, 'a', sizeof(name));
    name[200] = 0;
    assert_true(auth_domain_is_valid(name));
    name[200] = 'a';
    name[201] = 0;
    assert_false(auth_domain_is_valid(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cache_knows_token_generation_and_time), cmocka_unit_test(test_domains)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
