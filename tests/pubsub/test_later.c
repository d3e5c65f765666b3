#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/later.h"

static struct msgkey key(uint64_t n)
{
    return (struct msgkey){n, ~n};
}

static void test_later_is_first_in_first_out_across_growth(void **state)
{
    struct later l = {0};
    struct later_entry e;
    uint64_t in = 0, out = 0;

    assert_false(later_pop(&l, &e));
    for (unsigned round = 0; round < 200; round++) { /* grows with its head at every place */
        for (unsigned i = 0; i < 7; i++, in++)
            assert_true(later_push(&l, key(in), (uint32_t)in));
        for (unsigned i = 0; i < 5; i++, out++) {
            assert_true(later_pop(&l, &e));
            assert_int_equal(e.key.a, out);
            assert_int_equal(e.key.b, ~out);
            assert_int_equal(e.bytes, out);
        }
    }
    for (; later_pop(&l, &e); out++)
        assert_int_equal(e.key.a, out);
    assert_int_equal(out, in);
    assert_int_equal(l.bytes, 0);
    assert_null(l.ring); /* an idle peer costs nothing */
}

static void test_later_is_bounded(void **state)
{
    struct later l = {0};
    struct later_entry e;

    for (uint64_t i = 0; i < LATER_MAX; i++)
        assert_true(later_push(&l, key(i), 10));
    assert_false(later_push(&l, key(LATER_MAX), 10));
    assert_int_equal(l.count, LATER_MAX);
    assert_int_equal(l.bytes, LATER_MAX * 10u);
    assert_true(later_pop(&l, &e));
    assert_true(later_push(&l, key(LATER_MAX), 10));
    later_fini(&l);
    assert_int_equal(l.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later_is_first_in_first_out_across_growth),
        cmocka_unit_test(test_later_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
