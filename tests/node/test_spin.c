/* test_spin.c: how long an lcore looks for input before it sleeps */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/spin.h"

#define MOST 50000ull

static void test_spin_goes_away_while_it_is_in_vain(void **state)
{
    struct spin s;

    spin_init(&s, MOST);
    assert_int_equal(s.ns, MOST);
    for (unsigned i = 0; i < 4; i++)
        spin_slept(&s, 1000000, false);
    assert_int_equal(s.ns, 0);
    spin_slept(&s, MOST, false);
    assert_int_equal(s.ns, 0);
}

static void test_spin_comes_back_when_sleeps_are_short(void **state)
{
    struct spin s;

    spin_init(&s, MOST);
    for (unsigned i = 0; i < 8; i++)
        spin_slept(&s, 1000000, false);
    spin_slept(&s, MOST - 1, false);
    assert_int_equal(s.ns, SPIN_FIRST_NS);
    for (unsigned i = 0; i < 3; i++)
        spin_slept(&s, 20000, false);
    assert_int_equal(s.ns, MOST);
    spin_slept(&s, 20000, false);
    assert_int_equal(s.ns, MOST);
}

static void test_spin_ends_at_once_where_others_want_the_cpu(void **state)
{
    struct spin s;

    spin_init(&s, MOST);
    spin_slept(&s, 1000, true);
    assert_int_equal(s.ns, 0);
    spin_slept(&s, 1000, true);
    assert_int_equal(s.ns, 0);
    spin_slept(&s, 1000, false);
    assert_int_equal(s.ns, SPIN_FIRST_NS);
}

/* Five microseconds are less than it begins with otherwise; --idle=spin never sleeps, whatever happens. */
static void test_spin_keeps_to_what_it_was_given(void **state)
{
    struct spin s;

    spin_init(&s, 5000);
    spin_slept(&s, 1000000, false);
    assert_int_equal(s.ns, 0);
    spin_slept(&s, 1000, false);
    assert_int_equal(s.ns, 5000);
    spin_init(&s, UINT64_MAX);
    spin_slept(&s, 1000000, true);
    assert_int_equal(s.ns, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spin_goes_away_while_it_is_in_vain),
        cmocka_unit_test(test_spin_comes_back_when_sleeps_are_short),
        cmocka_unit_test(test_spin_ends_at_once_where_others_want_the_cpu),
        cmocka_unit_test(test_spin_keeps_to_what_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
