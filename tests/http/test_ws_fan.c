/* test_ws_fan.c: rounds of deliveries, and the rests between them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/ws_fan.h"

#define MS 1000000ull

static void test_fan_rests_as_long_as_a_round_took(void **state)
{
    static const struct {
        const char *name;
        unsigned written;
        uint64_t took, rest;
    } t[] = {{"a lone message", 1, 9 * MS, 0},
             {"few clients", 15, 9 * MS, 0},
             {"a short round", 500, MS - 1, 0},
             {"a long round", 500, 3 * MS, 3 * MS},
             {"a very long round", 10000, 80 * MS, 5 * MS}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct ws_fan f;

        ws_fan_init(&f);
        ws_fan_begin(&f, 100 * MS);
        assert_false(ws_fan_is_resting(&f));
        f.written = t[i].written;
        ws_fan_end(&f, 100 * MS + t[i].took);
        ws_fan_begin(&f, 100 * MS + t[i].took);
        if (ws_fan_is_resting(&f) != (t[i].rest > 0))
            fail_msg("%s", t[i].name);
        ws_fan_begin(&f, 100 * MS + t[i].took + t[i].rest - (t[i].rest > 0));
        if (ws_fan_is_resting(&f) != (t[i].rest > 0))
            fail_msg("%s: for long enough", t[i].name);
        ws_fan_begin(&f, 100 * MS + t[i].took + t[i].rest);
        assert_false(ws_fan_is_resting(&f));
    }
}

static void test_fan_sleeps_until_the_next_round(void **state)
{
    struct list parked;
    struct ws_fan f;

    ws_fan_init(&f);
    f.rest_until_ns = 10 * MS;
    assert_int_equal(ws_fan_sleep_ms(&f, 1000, 5 * MS), 1000); /* nobody waits */
    list_push_back(&f.parked, &parked);
    assert_int_equal(ws_fan_sleep_ms(&f, 1000, 5 * MS), 5);
    assert_int_equal(ws_fan_sleep_ms(&f, 1000, 10 * MS - 1), 1); /* never early, which would be a busy loop */
    assert_int_equal(ws_fan_sleep_ms(&f, 1000, 10 * MS), 0);
    assert_int_equal(ws_fan_sleep_ms(&f, 2, 5 * MS), 2);
}

static void test_fan_has_no_round_while_it_rests(void **state)
{
    struct list parked;
    struct ws_fan f;

    ws_fan_init(&f);
    assert_false(ws_fan_run(&f, true));
    f.rest_until_ns = 10 * MS;
    list_push_back(&f.parked, &parked);
    ws_fan_begin(&f, 9 * MS);
    assert_false(ws_fan_run(&f, false));
    assert_false(list_is_empty(&f.parked));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fan_rests_as_long_as_a_round_took),
                                       cmocka_unit_test(test_fan_sleeps_until_the_next_round),
                                       cmocka_unit_test(test_fan_has_no_round_while_it_rests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
