#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/want.h"

static struct msgkey key(uint64_t n)
{
    return (struct msgkey){n % 2, n};
}

static void test_want_asks_one_source_at_a_time(void **state)
{
    const struct want *w;
    struct wants ws;
    pubsub_peer p;

    assert_int_equal(wants_init(&ws), 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("id1"), 5, 0));
    assert_false(want_offered(&ws, key(1), SLICE_LIT("id1"), 5, 0));
    assert_false(want_offered(&ws, key(1), SLICE_LIT("id1"), 6, 0));
    assert_false(want_offered(&ws, key(1), SLICE_LIT("id1"), 7, 1));
    assert_null(want_retry(&ws, 1, &p));
    w = want_retry(&ws, 2, &p);
    assert_non_null(w);
    assert_int_equal(p, 6);
    assert_true(slice_is_equal(slice_of(w->id, w->id_len), SLICE_LIT("id1")));
    assert_null(want_retry(&ws, 3, &p)); /* it has its time too */
    assert_non_null(want_retry(&ws, 4, &p));
    assert_int_equal(p, 7);
    assert_null(want_retry(&ws, 6, &p)); /* nobody is left: given up */
    assert_int_equal(ws.count, 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("id1"), 5, 6)); /* and asked again when offered again */
    wants_fini(&ws);
}

static void test_want_met_ends_it(void **state)
{
    struct wants ws;
    pubsub_peer p;

    assert_int_equal(wants_init(&ws), 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("a"), 5, 0));
    assert_true(want_offered(&ws, key(3), SLICE_LIT("b"), 5, 0));
    assert_false(want_offered(&ws, key(3), SLICE_LIT("b"), 6, 0));
    want_met(&ws, key(1));
    want_met(&ws, key(9));
    assert_int_equal(ws.count, 1);
    assert_non_null(want_retry(&ws, 9, &p));
    assert_int_equal(p, 6);
    wants_fini(&ws);
}

static void test_want_full_asks_without_remembering(void **state)
{
    struct wants ws;

    assert_int_equal(wants_init(&ws), 0);
    for (uint64_t i = 0; i < WANTS_MAX; i++)
        assert_true(want_offered(&ws, (struct msgkey){i, i}, SLICE_LIT("x"), 1, 0));
    assert_true(want_offered(&ws, (struct msgkey){7, WANTS_MAX}, SLICE_LIT("x"), 1, 0));
    assert_true(want_offered(&ws, (struct msgkey){7, WANTS_MAX}, SLICE_LIT("x"), 2, 0));
    assert_int_equal(ws.count, WANTS_MAX);
    wants_fini(&ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_want_asks_one_source_at_a_time),
        cmocka_unit_test(test_want_met_ends_it),
        cmocka_unit_test(test_want_full_asks_without_remembering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
