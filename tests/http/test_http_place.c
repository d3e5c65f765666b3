/* test_http_place.c: which server thread has a connection */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/http_place.h"

#define W HTTP_PLACE_WS
#define P HTTP_PLACE_PLAIN

static void test_place_of_a_new_connection(void **state)
{
    static const struct {
        const char *name;
        struct http_load t[3];
        unsigned n;
        bool few_cpus;
        unsigned want;
    } c[] = {{"one thread", {{9, 9, true}}, 1, false, 0},
             {"one thread, few CPUs", {{9, 9, true}}, 1, true, 0},
             {"none has any", {{0}}, 3, false, 0},
             {"the one with the fewest", {{3, 0, false}, {2, 0, false}, {1, 0, false}}, 3, false, 2},
             {"the first of equals", {{3, 0, false}, {2, 0, false}, {2, 0, false}}, 3, false, 1},
             {"rather one that has time", {{3, 0, false}, {1, 0, true}, {5, 0, false}}, 3, false, 0},
             {"all are full", {{3, 0, true}, {1, 0, true}, {5, 0, true}}, 3, false, 1},
             {"few CPUs: the first, whatever it has", {{P - 1 + 400, 400, false}, {0, 0, false}}, 2, true, 0},
             {"few CPUs: until it has many that are no WebSockets", {{P + 400, 400, false}, {0, 0, false}}, 2, true, 1},
             {"few CPUs: then the one with the fewest", {{P, 0, false}, {P + 1, 0, false}}, 2, true, 0},
             {"few CPUs: the second when the first is full", {{9, 0, true}, {8, 0, false}}, 2, true, 1},
             {"few CPUs: though it has more", {{9, 0, true}, {80, 0, false}}, 2, true, 1},
             {"few CPUs: both are full", {{9, 0, true}, {80, 0, true}}, 2, true, 0}};

    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
        if (http_place_peer(c[i].t, c[i].n, c[i].few_cpus) != c[i].want)
            fail_msg("%s", c[i].name);
}

static void test_place_of_a_websocket(void **state)
{
    static const struct {
        const char *name;
        struct http_load t[3];
        unsigned n, here;
        bool few_cpus;
        unsigned want;
    } c[] = {{"one thread", {{900, 900, true}}, 1, 0, true, 0},
             {"many CPUs: where it was accepted", {{900, 900, true}, {0}}, 2, 0, false, 0},
             {"few of them stay together", {{W, W, false}, {0}}, 2, 0, true, 0},
             {"and come together", {{0, 5, false}, {9, 1, false}}, 2, 1, true, 0},
             {"unless the first is full", {{0, 5, true}, {9, 1, false}}, 2, 1, true, 1},
             {"the next goes elsewhere", {{W + 1, W + 1, false}, {0}}, 2, 0, true, 1},
             {"the fewest of three", {{0, W + 9, false}, {0, 7, false}, {0, 6, false}}, 3, 0, true, 2},
             {"not for nothing", {{0, W + 9, false}, {0, W + 8, false}}, 2, 0, true, 0},
             {"not back and forth", {{0, W + 9, false}, {0, W + 10, false}}, 2, 1, true, 1}};

    for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
        if (http_place_ws(c[i].t, c[i].n, c[i].here, c[i].few_cpus) != c[i].want)
            fail_msg("%s", c[i].name);
}

/* A thousand that come to the first thread, one after another, as accepting places them. */
static void test_place_of_many_websockets_is_even(void **state)
{
    struct http_load t[2] = {{0}};

    for (unsigned i = 0; i < 1000; i++) {
        unsigned here = http_place_peer(t, 2, true), to;

        t[here].peers++;
        t[here].ws++;
        to = http_place_ws(t, 2, here, true);
        t[here].peers--;
        t[here].ws--;
        t[to].peers++;
        t[to].ws++;
        assert_true(t[1].ws == 0 || t[0].ws >= W);
    }
    assert_int_equal(t[0].ws, 500);
    assert_int_equal(t[1].ws, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_place_of_a_new_connection), cmocka_unit_test(test_place_of_a_websocket),
                                       cmocka_unit_test(test_place_of_many_websockets_is_even)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
