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

static void test_want_asks_one_source_then_more_at_a_time(void **state)
{
    const struct want *w;
    struct wants ws;
    pubsub_peer p;

    assert_int_equal(wants_init(&ws), 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("id1"), 1, false, 0));
    assert_false(want_offered(&ws, key(1), SLICE_LIT("id1"), 1, false, 0));
    for (pubsub_peer q = 2; q <= WANT_SOURCES + 1; q++) /* one too many: it is forgotten */
        assert_false(want_offered(&ws, key(1), SLICE_LIT("id1"), q, false, 0));
    assert_null(want_retry(&ws, 1, &p));
    for (pubsub_peer q = 2; q <= 3; q++) {
        w = want_retry(&ws, 2, &p);
        assert_non_null(w);
        assert_int_equal(p, q);
        assert_true(slice_is_equal(slice_of(w->id, w->id_len), SLICE_LIT("id1")));
        assert_int_equal(w->nfailed, q == 2); /* source 1 did not answer */
        assert_true(q != 2 || w->sources[w->failed_at] == 1);
    }
    assert_null(want_retry(&ws, 3, &p)); /* they have their time too */
    for (pubsub_peer q = 4; q <= 7; q++) {
        w = want_retry(&ws, 4, &p);
        assert_true(w && p == q && w->nfailed == (q == 4 ? 2 : 0));
    }
    assert_null(want_retry(&ws, 5, &p));
    for (pubsub_peer q = 8; q <= 15; q++)
        assert_true(want_retry(&ws, 6, &p) && p == q);
    assert_null(want_retry(&ws, 7, &p));
    assert_true(want_retry(&ws, 8, &p) && p == 16);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("id1"), 17, false, 9)); /* all failed: whoever offers is asked */
    for (uint32_t tick = 11; tick < 11 + 2 * (WANT_ROUNDS - 1); tick += 2)
        assert_true(want_retry(&ws, tick, &p) && p == 17);
    assert_null(want_retry(&ws, 20, &p)); /* nobody is left: given up */
    assert_int_equal(ws.count, 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("id1"), 5, false, 20)); /* and asked again when offered again */
    wants_fini(&ws);
}

static void test_want_doubtful_sources_come_last(void **state)
{
    struct wants ws;
    pubsub_peer p;

    assert_int_equal(wants_init(&ws), 0);
    assert_false(want_offered(&ws, key(1), SLICE_LIT("x"), 1, true, 5));
    assert_false(want_offered(&ws, key(1), SLICE_LIT("x"), 2, true, 5));
    assert_true(want_offered(&ws, key(1), SLICE_LIT("x"), 3, false, 5)); /* at once, though others offered before */
    assert_false(want_offered(&ws, key(1), SLICE_LIT("x"), 4, false, 5));
    assert_true(want_retry(&ws, 7, &p) && p == 4);
    assert_true(want_retry(&ws, 7, &p) && p == 1);
    assert_true(want_retry(&ws, 9, &p) && p == 2);
    want_met(&ws, key(1));
    assert_false(want_offered(&ws, key(3), SLICE_LIT("y"), 1, true, 10));
    assert_true(want_retry(&ws, 11, &p) && p == 1); /* nobody else offered it: asked after a heartbeat */
    wants_fini(&ws);
}

static void test_want_met_ends_it(void **state)
{
    struct wants ws;
    pubsub_peer p;

    assert_int_equal(wants_init(&ws), 0);
    assert_true(want_offered(&ws, key(1), SLICE_LIT("a"), 5, false, 0));
    assert_true(want_offered(&ws, key(3), SLICE_LIT("b"), 5, false, 0));
    assert_false(want_offered(&ws, key(3), SLICE_LIT("b"), 6, false, 0));
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
        assert_true(want_offered(&ws, (struct msgkey){i, i}, SLICE_LIT("x"), 1, false, 0));
    assert_true(want_offered(&ws, (struct msgkey){7, WANTS_MAX}, SLICE_LIT("x"), 1, false, 0));
    assert_true(want_offered(&ws, (struct msgkey){7, WANTS_MAX}, SLICE_LIT("x"), 2, false, 0));
    assert_int_equal(ws.count, WANTS_MAX);
    wants_fini(&ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_want_asks_one_source_then_more_at_a_time),
        cmocka_unit_test(test_want_doubtful_sources_come_last),
        cmocka_unit_test(test_want_met_ends_it),
        cmocka_unit_test(test_want_full_asks_without_remembering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
