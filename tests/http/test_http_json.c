/* test_http_json.c: compact JSON, in and out */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_json.h"

static void test_json_parse_table(void **state)
{
    static const struct {
        const char *in;
        bool ok;
    } t[] = {{"{}", true},
             {"{\"a\":1}", true},
             {" {\"a\":[1,2,{}]} ", true},
             {"[]", false},
             {"1", false},
             {"\"x\"", false},
             {"{", false},
             {"{}x", false},
             {"{\"a\":1,}", false},
             {"", false},
             {"{\"a\":1,\"a\":2}", false},
             {"{\"a\":\"\xff\"}", false},
             {"{'a':1}", false},
             {"{\"a\":\"\\u0000\"}", true}};
    char err[200];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        json_t *v;

        err[0] = 0;
        v = http_json_parse(slice_str(t[i].in), err, sizeof(err));
        assert_int_equal(v != NULL, t[i].ok);
        assert_int_equal(err[0] == 0, t[i].ok);
        json_decref(v);
    }
}

static void test_json_parse_refuses_deep_nesting(void **state)
{
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 5), err[200];

    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    assert_null(http_json_parse(slice_of(text, DEPTH + 5), err, sizeof(err)));
    free(text);
}

static void test_json_parse_refuses_every_truncation(void **state)
{
    static const char whole[] =
        "{\"client_id\":\"c\",\"topic\":\"t\\u00e9\",\"n\":[1,2.5e3,true,null],\"o\":{\"x\":\"\"}}";
    char err[200];

    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        assert_null(http_json_parse(slice_of(whole, n), err, sizeof(err)));
}

static void test_json_str_tells_absent_from_wrong(void **state)
{
    char err[100];
    json_t *v = http_json_parse(slice_str("{\"s\":\"x\\u0000y\",\"n\":1,\"z\":null}"), err, sizeof(err));
    struct slice s;
    bool wrong;

    assert_true(http_json_str(v, "s", &s, &wrong));
    assert_false(wrong);
    assert_int_equal(s.len, 3);
    assert_false(http_json_str(v, "n", &s, &wrong));
    assert_true(wrong);
    assert_false(http_json_str(v, "z", &s, &wrong));
    assert_false(wrong);
    assert_false(http_json_str(v, "none", &s, &wrong));
    assert_false(wrong);
    json_decref(v);
}

static void test_json_quote_is_read_back_by_jansson(void **state)
{
    static const struct {
        const char *in, *want;
    } t[] = {{"", "\"\""},
             {"plain", "\"plain\""},
             {"q\"b\\n\n\r\t\b\f\x01\x1f", "\"q\\\"b\\\\n\\n\\r\\t\\b\\f\\u0001\\u001f\""},
             {"\xc3\xa9\xe2\x9c\x93\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x9c\x93\xf0\x9f\x98\x80\""},
             {"a\xff"
              "b",
              "\"a\xef\xbf\xbd"
              "b\""},
             {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
             {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
             {"\xe2\x9c", "\"\xef\xbf\xbd\xef\xbf\xbd\""}};
    char out[256];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size_t n = http_json_quote(out, slice_str(t[i].in));
        json_t *v;

        assert_true(slice_is_equal(slice_of(out, n), slice_str(t[i].want)));
        v = json_loadb(out, n, JSON_DECODE_ANY, NULL);
        assert_true(json_is_string(v));
        json_decref(v);
    }
}

static void test_json_quote_of_every_byte_pair(void **state)
{
    char out[HTTP_JSON_STR_MAX(2)];

    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            uint8_t in[2] = {(uint8_t)a, (uint8_t)b};
            size_t n = http_json_quote(out, slice_of(in, 2));
            json_t *v = json_loadb(out, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

            assert_true(json_is_string(v));
            if (http_utf8_is_valid(slice_of(in, 2)))
                assert_true(json_string_length(v) == 2 && memcmp(json_string_value(v), in, 2) == 0);
            json_decref(v);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_json_parse_table),
                                       cmocka_unit_test(test_json_parse_refuses_deep_nesting),
                                       cmocka_unit_test(test_json_parse_refuses_every_truncation),
                                       cmocka_unit_test(test_json_str_tells_absent_from_wrong),
                                       cmocka_unit_test(test_json_quote_is_read_back_by_jansson),
                                       cmocka_unit_test(test_json_quote_of_every_byte_pair)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
