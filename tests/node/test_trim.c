#include "testing.h"

#include "node/trim.h"

static void test_trim_lets_the_least_useful_go_and_mesh_peers_last(void **state)
{
    struct trim_peer p[] = {
        {.handle = 1, .has_stream = true, .score = 5, .is_mesh = true},
        {.handle = 2, .has_stream = true, .score = -3},
        {.handle = 3, .has_stream = false, .score = 9},
        {.handle = 4, .has_stream = true, .score = 7},
        {.handle = 5, .is_protected = true, .score = -100},
        {.handle = 6, .has_stream = true, .score = -9, .is_mesh = true},
        {.handle = 7, .is_young = true, .score = -50},
    };
    static const unsigned order[] = {3, 2, 4, 6, 1};

    assert_int_equal(trim_choose(p, 7, 4), 2);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(p[i].handle, order[i]);
    assert_int_equal(trim_choose(p, 7, 7), 0);
    assert_int_equal(trim_choose(p, 7, 10), 0);
    assert_int_equal(trim_choose(p, 7, 0), 5); /* the protected and the young stay */
}

static void test_trim_keeps_whom_it_knows_longest(void **state)
{
    struct trim_peer p[] = {{.handle = 1, .connected_ns = 300}, {.handle = 2, .connected_ns = 100}, {.handle = 3, .connected_ns = 200}};

    assert_int_equal(trim_choose(p, 3, 1), 2);
    assert_int_equal(p[0].handle, 1);
    assert_int_equal(p[1].handle, 3);
}

/* One host can open as many connections in a second as we keep. They are young: nobody who is settled pays for them, and
 * once they are settled they are the ones to go. */
static void test_trim_a_crowd_of_newcomers_drives_nobody_out(void **state)
{
    struct trim_peer p[40];

    for (unsigned i = 0; i < 40; i++)
        p[i] = (struct trim_peer){.handle = i + 1, .has_stream = true, .is_mesh = i < 4, .is_young = i >= 8, .connected_ns = i};
    assert_int_equal(trim_choose(p, 40, 20), 0);
    for (unsigned i = 0; i < 40; i++)
        p[i].is_young = false;
    assert_int_equal(trim_choose(p, 40, 20), 20);
    for (unsigned i = 0; i < 20; i++)
        assert_true(p[i].handle > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_lets_the_least_useful_go_and_mesh_peers_last),
        cmocka_unit_test(test_trim_keeps_whom_it_knows_longest),
        cmocka_unit_test(test_trim_a_crowd_of_newcomers_drives_nobody_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
