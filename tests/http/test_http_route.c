/* test_http_route.c: which handler answers which method and path */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_route.h"

static void handler_a(struct http_req *q, void *user)
{
}

static void handler_b(struct http_req *q, void *user)
{
}

static void test_routes_find_table(void **state)
{
    static const char *const prefixes[] = {"", "/api", "/api/v1", NULL};
    static const uint8_t seed[16];
    struct http_routes t;
    static const struct {
        const char *method, *path;
        enum http_match want;
        void (*handler)(struct http_req *, void *);
        const char *allow;
    } cases[] = {{"GET", "/x", HTTP_MATCH_OK, handler_a, NULL},
                 {"HEAD", "/x", HTTP_MATCH_OK, handler_a, NULL},
                 {"POST", "/x", HTTP_MATCH_OK, handler_b, NULL},
                 {"POST", "/api/v1/x", HTTP_MATCH_OK, handler_b, NULL},
                 {"GET", "/api/x/", HTTP_MATCH_OK, handler_a, NULL},
                 {"GET", "/api/x//", HTTP_MATCH_NO_PATH, NULL, NULL},
                 {"PUT", "/x", HTTP_MATCH_NO_METHOD, NULL, "GET, HEAD, POST"},
                 {"get", "/x", HTTP_MATCH_NO_METHOD, NULL, "GET, HEAD, POST"},
                 {"GET", "/y", HTTP_MATCH_NO_PATH, NULL, NULL},
                 {"GET", "/xx", HTTP_MATCH_NO_PATH, NULL, NULL},
                 {"GET", "", HTTP_MATCH_NO_PATH, NULL, NULL},
                 {"GET", "/", HTTP_MATCH_OK, handler_a, NULL},
                 {"GET", "/only", HTTP_MATCH_OK, handler_a, NULL},
                 {"GET", "/api/only", HTTP_MATCH_NO_PATH, NULL, NULL},
                 {"HEAD", "/post", HTTP_MATCH_NO_METHOD, NULL, "POST"}};

    http_routes_init(&t, seed);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"GET", "/x", handler_a, NULL, false}, prefixes),
                     0);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"POST", "/x", handler_b, NULL, false},
                                     prefixes),
                     0);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"POST", "/x", handler_a, NULL, false},
                                     prefixes),
                     0);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"POST", "/post", handler_b, NULL, false},
                                     prefixes),
                     0);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"GET", "/", handler_a, NULL, true}, prefixes),
                     0);
    assert_int_equal(http_routes_add(&t, &(struct http_route){"GET", "/only", handler_a, NULL, true},
                                     prefixes),
                     0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http_route *r = NULL;
        const char *allow = NULL;

        assert_int_equal(http_routes_find(&t, slice_str(cases[i].method), slice_str(cases[i].path), &r,
                                          &allow),
                         cases[i].want);
        if (cases[i].want == HTTP_MATCH_OK)
            assert_ptr_equal(r->handler, cases[i].handler);
        if (cases[i].allow)
            assert_string_equal(allow, cases[i].allow);
    }
    http_routes_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_routes_find_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
