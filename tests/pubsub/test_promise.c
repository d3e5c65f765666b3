#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/promise.h"

static struct msgkey key(uint64_t n)
{
    return (struct msgkey){n % 4, n};
}

static void test_promise_broken_after_three_seconds(void **state)
{
    struct promises p;

    assert_int_equal(promises_init(&p), 0);
    promises_add(&p, 7, key(1), 0);
    promises_add(&p, 8, key(2), 10);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS - 1), 0);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 7);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 0);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS + 10), 8);
    assert_int_equal(p.count, 0);
    promises_fini(&p);
}

static void test_promise_kept_frees_all_who_made_it(void **state)
{
    struct promises p;

    assert_int_equal(promises_init(&p), 0);
    promises_add(&p, 1, key(1), 0);
    promises_add(&p, 2, key(1), 0);
    promises_add(&p, 1, key(1), 0); /* once is enough */
    assert_int_equal(p.count, 2);
    promises_add(&p, 3, key(5), 0); /* the same bucket */
    promises_kept(&p, key(1));
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 3);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 0);
    promises_fini(&p);
}

static void test_promise_of_a_peer_that_left_is_forgotten(void **state)
{
    struct promises p;

    assert_int_equal(promises_init(&p), 0);
    promises_add(&p, 1, key(1), 0);
    promises_add(&p, 2, key(2), 0);
    promises_forget(&p, 1);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 2);
    assert_int_equal(promises_broken(&p, PROMISE_FOLLOWUP_NS), 0);
    promises_fini(&p);
}

static void test_promise_ring_goes_round(void **state)
{
    struct promises p;
    uint64_t now = 0, n = 0;

    assert_int_equal(promises_init(&p), 0);
    for (int round = 0; round < 5; round++) {
        for (unsigned i = 0; i < PROMISES_MAX + 10; i++)
            promises_add(&p, 1, key(n++), now);
        assert_int_equal(p.count, PROMISES_MAX);
        promises_kept(&p, key(n - 20));
        now += PROMISE_FOLLOWUP_NS;
        unsigned broken = 0;
        while (promises_broken(&p, now))
            broken++;
        assert_int_equal(broken, PROMISES_MAX - 1);
    }
    promises_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promise_broken_after_three_seconds),
        cmocka_unit_test(test_promise_kept_frees_all_who_made_it),
        cmocka_unit_test(test_promise_of_a_peer_that_left_is_forgotten),
        cmocka_unit_test(test_promise_ring_goes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
