#include "testing.h"

#include <string.h>

#include "cli/target.h"

static const char *env_gateway, *env_sidecar, *env_api, *env_token;

static const char *get(const char *name)
{
    return strcmp(name, "CODECAST_GATEWAY") == 0   ? env_gateway
           : strcmp(name, "CODECAST_SIDECAR") == 0 ? env_sidecar
           : strcmp(name, "CODECAST_API") == 0     ? env_api
           : strcmp(name, "CODECAST_TOKEN") == 0   ? env_token
                                                   : NULL;
}

static void clear(void)
{
    env_gateway = env_sidecar = env_api = env_token = NULL;
}

static void expect(const struct cli_target_words *w, const char *main, const char *http)
{
    struct cli_target t;
    struct cli_fault f;
    char text[CLI_URL_TEXT];

    memset(&t, 0, sizeof(t));
    assert_int_equal(cli_target_choose(&t, w, get, &f), 0);
    assert_string_equal(cli_target_text(text, &t), main);
    assert_string_equal(cli_http_url(text, &t.http), http);
}

static void test_target_parses_every_form(void **state)
{
    static const struct {
        const char *in;
        enum cli_kind kind;
        const char *main, *http;
    } t[] = {
        {"gw1", CLI_GATEWAY_HTTP, "http://gw1:8080", "http://gw1:8080"},
        {"gw1:81", CLI_GATEWAY_HTTP, "http://gw1:81", "http://gw1:81"},
        {":81", CLI_GATEWAY_HTTP, "http://127.0.0.1:81", "http://127.0.0.1:81"},
        {"81", CLI_GATEWAY_HTTP, "http://127.0.0.1:81", "http://127.0.0.1:81"},
        {"https://gw1/", CLI_GATEWAY_HTTP, "https://gw1:443", "https://gw1:443"},
        {"HTTP://gw1:82/", CLI_GATEWAY_HTTP, "http://gw1:82", "http://gw1:82"},
        {"wss://gw1", CLI_GATEWAY_HTTP, "https://gw1:443", "https://gw1:443"},
        {"grpc://gw1", CLI_GATEWAY_HTTP, "grpc://gw1:50051", "http://gw1:8080"},
        {"grpcs://gw1:1", CLI_GATEWAY_HTTP, "grpcs://gw1:1", "https://gw1:443"},
        {"sidecar://n1", CLI_GATEWAY_HTTP, "sidecar://n1:33212", "http://n1:9090"},
        {"n1:5", CLI_SIDECAR, "sidecar://n1:5", "http://n1:9090"},
        {"http://n1:5", CLI_SIDECAR, "sidecar://n1:5", "http://n1:9090"},
        {"[::1]:5", CLI_SIDECAR, "sidecar://[::1]:5", "http://[::1]:9090"},
        {"::1", CLI_GATEWAY_HTTP, "http://[::1]:8080", "http://[::1]:8080"},
        {"[fe80::1]", CLI_GATEWAY_HTTP, "http://[fe80::1]:8080", "http://[fe80::1]:8080"},
    };
    struct cli_fault f;
    char text[CLI_URL_TEXT];

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct cli_target target = {0};

        assert_int_equal(cli_target_parse(&target, t[i].in, t[i].kind, &f), 0);
        assert_string_equal(cli_target_text(text, &target), t[i].main);
        assert_string_equal(cli_http_url(text, &target.http), t[i].http);
    }
}

static void test_target_refuses_what_is_no_address(void **state)
{
    static const char *const bad[] = {"", "ftp://x", "x:0", "x:65536", "x:y", "[::1", "[::1]x", "http://x/path", "a b", "http://", "x:1?y", "user@x"};
    struct cli_target t;
    struct cli_fault f;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (cli_target_parse(&t, bad[i], CLI_GATEWAY_HTTP, &f) != -CLI_EUSAGE)
            fail_msg("'%s' was taken", bad[i]);
}

static void test_options_win_over_environment(void **state)
{
    clear();
    expect(&(struct cli_target_words){0}, "http://127.0.0.1:8080", "http://127.0.0.1:8080");
    env_sidecar = "n1";
    expect(&(struct cli_target_words){0}, "sidecar://n1:33212", "http://n1:9090");
    env_gateway = "g1";
    expect(&(struct cli_target_words){0}, "http://g1:8080", "http://g1:8080");
    expect(&(struct cli_target_words){.sidecar = "n2"}, "sidecar://n2:33212", "http://n2:9090");
    expect(&(struct cli_target_words){.gateway = "g2"}, "http://g2:8080", "http://g2:8080");
    env_api = "a1"; /* of the environment's target, not of ours */
    expect(&(struct cli_target_words){.sidecar = "n2"}, "sidecar://n2:33212", "http://n2:9090");
    expect(&(struct cli_target_words){.sidecar = "n2", .api = "n3:99"}, "sidecar://n2:33212", "http://n3:99");
}

static void test_api_alone_is_a_node(void **state)
{
    clear();
    expect(&(struct cli_target_words){.api = "n1"}, "sidecar://n1:33212", "http://n1:9090");
    env_gateway = "g1";
    expect(&(struct cli_target_words){.api = "https://n1:99"}, "sidecar://n1:33212", "https://n1:99");
    clear();
    env_api = "n4";
    expect(&(struct cli_target_words){0}, "sidecar://n4:33212", "http://n4:9090");
}

static void test_gateway_and_sidecar_together_are_refused(void **state)
{
    struct cli_target t;
    struct cli_fault f;

    clear();
    assert_int_equal(cli_target_choose(&t, &(struct cli_target_words){.gateway = "g", .sidecar = "n"}, get, &f), -CLI_EUSAGE);
    assert_non_null(strstr(f.what, "not both"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_parses_every_form), cmocka_unit_test(test_target_refuses_what_is_no_address),
        cmocka_unit_test(test_options_win_over_environment), cmocka_unit_test(test_api_alone_is_a_node),
        cmocka_unit_test(test_gateway_and_sidecar_together_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
