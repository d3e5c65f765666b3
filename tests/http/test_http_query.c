/* test_http_query.c: query strings and percent-encoding */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_query.h"

static void test_form_decode_table(void **state)
{
    static const struct {
        const char *in, *want; /* NULL: refused */
    } t[] = {{"", ""},          {"abc", "abc"}, {"a+b", "a b"},
             {"%41%62", "Ab"},  {"%2B", "+"},   {"%e2%9c%93", "\xe2\x9c\x93"},
             {"%", NULL},       {"%4", NULL},   {"%4x", NULL},
             {"%x4", NULL},     {"a%", NULL},   {"%00", NULL},
             {"100%25", "100%"}};
    char out[64];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        ssize_t n = http_form_decode(out, slice_str(t[i].in));

        if (!t[i].want) {
            assert_int_equal(n, -1);
            continue;
        }
        assert_int_equal(n, strlen(t[i].want));
        assert_string_equal(out, t[i].want);
    }
}

static void test_query_find_table(void **state)
{
    static const struct {
        const char *query, *name, *want;
    } t[] = {{"a=1&b=2", "a", "1"},   {"a=1&b=2", "b", "2"},
             {"a=1&b=2", "c", NULL},  {"a=1&a=2", "a", "1"},
             {"a", "a", ""},          {"a=", "a", ""},
             {"", "a", NULL},         {"&&a=1&", "a", "1"},
             {"=1", "a", NULL},       {"ab=1", "a", NULL},
             {"a=1", "ab", NULL},     {"%61=1", "a", "1"},
             {"a=b=c", "a", "b=c"},   {"%=1&a=2", "a", "2"},
             {"a%20b=1", "a b", "1"}, {"client_id=x", "client_id", "x"}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct slice raw;
        bool found = http_query_find(slice_str(t[i].query), t[i].name, &raw);

        assert_int_equal(found, t[i].want != NULL);
        if (found)
            assert_true(slice_is_equal(raw, slice_str(t[i].want)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_form_decode_table),
                                       cmocka_unit_test(test_query_find_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
