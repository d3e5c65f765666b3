#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/unwanted.h"

static struct msgkey key(uint64_t n)
{
    return (struct msgkey){0, n * 64};
}

static void test_unwanted_lasts_three_heartbeats(void **state)
{
    struct unwanted u = {0};

    assert_false(unwanted_has(&u, key(1), 0));
    assert_true(unwanted_add(&u, key(1), 10));
    for (uint32_t tick = 10; tick < 16; tick++)
        assert_int_equal(unwanted_has(&u, key(1), tick), tick < 13);
    assert_true(unwanted_add(&u, key(1), 12)); /* said again */
    assert_true(unwanted_has(&u, key(1), 14));
    unwanted_expire(&u, 14);
    assert_true(unwanted_has(&u, key(1), 14));
    unwanted_expire(&u, 15);
    assert_null(u.slots); /* an idle peer costs nothing */
    unwanted_fini(&u);
}

static void test_unwanted_is_bounded_and_recovers(void **state)
{
    struct unwanted u = {0};

    for (uint64_t i = 0; i < UNWANTED_MAX; i++)
        assert_true(unwanted_add(&u, key(i), 1));
    assert_false(unwanted_add(&u, key(UNWANTED_MAX), 1));
    assert_true(unwanted_add(&u, key(3), 2)); /* a known one is refreshed even when full */
    for (uint64_t i = 0; i < UNWANTED_MAX; i++)
        assert_true(unwanted_has(&u, key(i), 3));
    unwanted_expire(&u, 4);
    assert_int_equal(u.count, 1);
    assert_true(unwanted_has(&u, key(3), 4));
    assert_true(unwanted_add(&u, key(UNWANTED_MAX), 4));
    unwanted_fini(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unwanted_lasts_three_heartbeats),
        cmocka_unit_test(test_unwanted_is_bounded_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
