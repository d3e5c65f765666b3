#include "testing.h"

#include "cli/link.h"

static void test_message_json_becomes_an_event(void **state)
{
    static const char text[] = "{\"source_node_id\":\"12D3\",\"topic\":\"t\\u00fc\",\"message_id\":\"abcd\",\"message\":\"aGVsbG8=\"}";
    struct cli_event *e = cli_event_of_json(slice_str(text), 5);

    assert_non_null(e);
    assert_int_equal(e->kind, CLI_MESSAGE);
    assert_true(slice_is_equal(e->topic, slice_str("t\xc3\xbc")));
    assert_true(slice_is_equal(e->payload, slice_str("hello")));
    assert_string_equal(e->id, "abcd");
    assert_string_equal(e->source, "12D3");
    assert_int_equal(e->at_ns, 5);
    cli_event_free(e);
}

static void test_every_beginning_of_it_is_no_message(void **state)
{
    static const char text[] = "{\"topic\":\"t\",\"message_id\":\"x\",\"message\":\"aGVsbG8=\"}";

    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_null(cli_event_of_json(slice_of(text, n), 0));
}

static void test_other_json_is_no_message(void **state)
{
    static const char *const other[] = {"[]", "5", "{\"type\":\"ack\",\"topic\":\"t\"}", "{\"topic\":\"\",\"message\":\"aGk=\"}",
                                        "{\"topic\":5,\"message\":\"aGk=\"}", "{\"topic\":\"t\",\"message\":{}}",
                                        "{\"topic\":\"t\",\"message\":\"a$k=\"}", "{\"topic\":\"t\",\"message\":\"aGk\"}"};

    for (unsigned i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_null(cli_event_of_json(slice_str(other[i]), 0));
}

static void test_escapes_are_read_in_every_field(void **state)
{
    struct cli_event *e = cli_event_of_json(slice_str("{\"message\":\"aGVsbG8\\u003d\",\"message_id\":\"a\\/b\",\"topic\":\"\\u0074\"}"), 0);

    assert_non_null(e);
    assert_true(slice_is_equal(e->topic, slice_str("t")));
    assert_true(slice_is_equal(e->payload, slice_str("hello")));
    assert_string_equal(e->id, "a/b");
    cli_event_free(e);
    assert_null(cli_event_of_json(slice_str("{\"message\":\"\\ud800\",\"topic\":\"t\"}"), 0)); /* a lone surrogate */
}

static void test_long_fields_are_cut_not_overrun(void **state)
{
    char text[2048], id[1500];
    struct cli_event *e;

    memset(id, 'a', sizeof(id) - 1);
    id[sizeof(id) - 1] = 0;
    snprintf(text, sizeof(text), "{\"topic\":\"t\",\"message_id\":\"%s\",\"message\":\"\"}", id);
    e = cli_event_of_json(slice_str(text), 0);
    assert_non_null(e);
    assert_int_equal(strlen(e->id), sizeof(e->id) - 1);
    assert_int_equal(e->payload.len, 0);
    cli_event_free(e);
}

static void test_notices_are_losses(void **state)
{
    struct cli_event *e = cli_notice_of_json(slice_str("{\"type\":\"notice\",\"notice\":\"dropped\",\"messages\":7,\"bytes\":9}"));

    assert_non_null(e);
    assert_int_equal(e->kind, CLI_LOST);
    assert_int_equal(e->lost, 7);
    cli_event_free(e);
    assert_null(cli_notice_of_json(slice_str("{\"notice\":\"dropped\",\"messages\":-1}")));
    assert_null(cli_notice_of_json(slice_str("{\"notice\":\"hello\",\"messages\":7}")));
    assert_null(cli_notice_of_json(slice_str("{")));
}

static void test_faults_show_nothing_to_obey(void **state)
{
    struct cli_fault f;

    assert_int_equal(cli_fail(&f, CLI_EFAILED, "refused: %s", "\033]0;x\a no"), -CLI_EFAILED);
    assert_string_equal(f.what, "refused: ?]0;x? no");
    assert_string_equal(cli_err_name(-CLI_EREACH), "CLI_EREACH");
}

static void test_client_ids_are_made_up_once_each(void **state)
{
    char a[CLI_CLIENT_ID_MAX], b[CLI_CLIENT_ID_MAX];

    cli_client_id(a, NULL);
    cli_client_id(b, NULL);
    assert_int_equal(strncmp(a, "codecast-", 9), 0);
    assert_string_not_equal(a, b);
    cli_client_id(a, "me");
    assert_string_equal(a, "me");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_json_becomes_an_event), cmocka_unit_test(test_every_beginning_of_it_is_no_message),
        cmocka_unit_test(test_other_json_is_no_message),
        cmocka_unit_test(test_escapes_are_read_in_every_field),
        cmocka_unit_test(test_long_fields_are_cut_not_overrun),
        cmocka_unit_test(test_client_ids_are_made_up_once_each), cmocka_unit_test(test_notices_are_losses),
        cmocka_unit_test(test_faults_show_nothing_to_obey),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
