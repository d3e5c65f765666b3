#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/limits.h"

static void test_limits_take_until_max_then_past(void **state)
{
    for (enum pubsub_limit l = 0; l < PUBSUB_LIMIT_COUNT; l++) {
        struct limits lim = {0};
        for (uint32_t i = 0; i < limit_max(l); i++)
            assert_int_equal(limits_take(&lim, l, 1), LIMIT_WITHIN);
        assert_int_equal(limits_take(&lim, l, 1), LIMIT_PAST);
        assert_non_null(pubsub_limit_names[l]);
    }
}

static void test_limits_flood_is_said_once_per_heartbeat(void **state)
{
    struct limits lim = {0};

    for (int beat = 0; beat < 3; beat++) {
        unsigned floods = 0;
        for (int i = 0; i < 500; i++)
            floods += limits_take(&lim, LIMIT_IHAVE_RPCS, 1) == LIMIT_FLOOD;
        assert_int_equal(floods, 1);
        limits_renew(&lim);
    }
}

static void test_limits_large_takes_do_not_wrap(void **state)
{
    struct limits lim = {0};

    assert_int_equal(limits_take(&lim, LIMIT_IWANT_IDS, UINT32_MAX), LIMIT_FLOOD);
    assert_int_equal(limits_take(&lim, LIMIT_IWANT_IDS, UINT32_MAX), LIMIT_PAST);
    assert_int_equal(limits_take(&lim, LIMIT_IWANT_IDS, 1), LIMIT_PAST);
}

static void test_limits_zero_takes_cost_nothing(void **state)
{
    struct limits lim = {0};

    for (int i = 0; i < 100; i++)
        assert_int_equal(limits_take(&lim, LIMIT_IDONTWANT_RPCS, 0), LIMIT_WITHIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_take_until_max_then_past),
        cmocka_unit_test(test_limits_flood_is_said_once_per_heartbeat),
        cmocka_unit_test(test_limits_large_takes_do_not_wrap),
        cmocka_unit_test(test_limits_zero_takes_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
