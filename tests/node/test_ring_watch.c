/* A ring that stays full is told once, and once when it has room again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/ring_watch.h"

static void test_a_moment_is_not_told(void **state)
{
    struct ring_watch w = {0};
    uint64_t times = 0;

    for (unsigned i = 0; i < 100; i++) {
        times += i % 3 != 0; /* two beats of three */
        assert_int_equal(ring_watch_beat(&w, times), RING_NOTHING_NEW);
    }
}

static void test_what_stays_full_is_told_once_until_it_has_room(void **state)
{
    struct ring_watch w = {0};
    uint64_t times = 0;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 1; i <= 20; i++)
            assert_int_equal(ring_watch_beat(&w, times += 7), i == RING_WATCH_FULL_BEATS ? RING_STAYS_FULL : RING_NOTHING_NEW);
        for (unsigned i = 1; i < RING_WATCH_CALM_BEATS; i++)
            assert_int_equal(ring_watch_beat(&w, times), RING_NOTHING_NEW);
        assert_int_equal(ring_watch_beat(&w, ++times), RING_NOTHING_NEW); /* not yet */
        for (unsigned i = 1; i <= 20; i++)
            assert_int_equal(ring_watch_beat(&w, times), i == RING_WATCH_CALM_BEATS ? RING_HAS_ROOM : RING_NOTHING_NEW);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_moment_is_not_told),
        cmocka_unit_test(test_what_stays_full_is_told_once_until_it_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
