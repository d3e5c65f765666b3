#include "yamux_tools.h"

#define MS 1000000ull

static void test_window_refuses_more_than_granted(void **state)
{
    struct yamux_window w;

    yamux_window_init(&w, 0);
    assert_true(yamux_window_receive(&w, YAMUX_WINDOW_INITIAL - 1));
    assert_false(yamux_window_receive(&w, 2));
    assert_int_equal(w.left, 1); /* unchanged by the refusal */
    assert_true(yamux_window_receive(&w, 1));
    assert_false(yamux_window_receive(&w, 1));
    assert_true(yamux_window_receive(&w, 0));
}

static void test_window_grants_what_was_consumed(void **state)
{
    struct yamux_window w;

    yamux_window_init(&w, 0);
    assert_true(yamux_window_receive(&w, 200000));
    assert_false(yamux_window_consume(&w, 100000));
    assert_true(yamux_window_consume(&w, 100000));
    assert_int_equal(yamux_window_grant(&w, YAMUX_WINDOW_CAP, 0, 5), 200000);
    assert_int_equal(w.left, YAMUX_WINDOW_INITIAL);
    assert_int_equal(yamux_window_grant(&w, YAMUX_WINDOW_CAP, 0, 5), 0);
}

static void test_window_doubles_when_used_fast_up_to_the_cap(void **state)
{
    struct yamux_window w;
    uint64_t now = 1000 * MS, total = 0;

    yamux_window_init(&w, now);
    for (int i = 0; i < 20; i++) {
        uint32_t n = w.max / 2, before = w.max;
        now += 3 * MS;
        assert_true(yamux_window_receive(&w, n));
        yamux_window_consume(&w, n);
        uint32_t delta = yamux_window_grant(&w, YAMUX_WINDOW_CAP, MS, now);
        assert_true(delta == n + (before < YAMUX_WINDOW_CAP ? before : 0));
        assert_int_equal(w.left, w.max);
        total += delta;
    }
    assert_int_equal(w.max, YAMUX_WINDOW_CAP);
    assert_true(total > YAMUX_WINDOW_CAP);
}

static void test_window_does_not_grow_slowly_or_blindly(void **state)
{
    struct yamux_window w;
    uint64_t now = 1000 * MS;

    yamux_window_init(&w, now);
    yamux_window_receive(&w, 200000);
    yamux_window_consume(&w, 200000);
    assert_int_equal(yamux_window_grant(&w, YAMUX_WINDOW_CAP, 10 * MS, now + 40 * MS), 200000); /* 4 RTT: too slow */
    yamux_window_receive(&w, 200000);
    yamux_window_consume(&w, 200000);
    assert_int_equal(yamux_window_grant(&w, YAMUX_WINDOW_CAP, 0, now + 41 * MS), 200000); /* RTT not known */
    yamux_window_receive(&w, 1000);
    yamux_window_consume(&w, 1000);
    assert_int_equal(yamux_window_grant(&w, YAMUX_WINDOW_CAP, 10 * MS, now + 42 * MS), 1000); /* not half used */
    assert_int_equal(w.max, YAMUX_WINDOW_INITIAL);
}

static void test_credit_is_clamped(void **state)
{
    uint64_t c = 0;

    for (int i = 0; i < 1000; i++)
        c = yamux_credit_add(c, UINT32_MAX);
    assert_true(c == YAMUX_CREDIT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_refuses_more_than_granted),
        cmocka_unit_test(test_window_grants_what_was_consumed),
        cmocka_unit_test(test_window_doubles_when_used_fast_up_to_the_cap),
        cmocka_unit_test(test_window_does_not_grow_slowly_or_blindly),
        cmocka_unit_test(test_credit_is_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
