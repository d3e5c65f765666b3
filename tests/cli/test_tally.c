#include "testing.h"

#include "cli/tally.h"

static bool arrive(struct cli_tally *t, uint64_t run, uint64_t n, uint64_t now)
{
    uint8_t head[CLI_TALLY_HEAD + 4] = {0};

    cli_tally_head(head, run, n);
    return cli_tally_arrive(t, slice_of(head, sizeof(head)), now);
}

static void test_tally_counts_each_fate(void **state)
{
    struct cli_tally t;

    cli_tally_init(&t, 77);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(cli_tally_send(&t, 1000 * i), i);
    cli_tally_answer(&t, 0, false, 300);
    cli_tally_answer(&t, 9, true, 9500);
    cli_tally_answer(&t, 10, true, 9500); /* never sent */
    assert_true(arrive(&t, 77, 0, 500));
    assert_true(arrive(&t, 77, 0, 600));
    assert_true(arrive(&t, 77, 3, 3700));
    assert_false(arrive(&t, 78, 1, 5000));
    assert_false(arrive(&t, 77, 10, 5000));
    assert_false(cli_tally_arrive(&t, slice_of("x", 1), 5000));
    assert_int_equal(t.arrived, 2);
    assert_int_equal(t.duplicates, 1);
    assert_int_equal(t.refused, 1);
    assert_int_equal(t.strange, 3);
    assert_int_equal(cli_tally_missing(&t), 7);
    assert_int_equal(t.delivery.max, 700);
    assert_int_equal(t.delivery.min, 500);
    assert_int_equal(t.answer.count, 1);
    cli_tally_fini(&t);
}

static void test_tally_grows_and_misses_nothing(void **state)
{
    struct cli_tally t;

    cli_tally_init(&t, 1);
    for (uint64_t i = 0; i < 5000; i++)
        cli_tally_send(&t, i);
    for (uint64_t i = 5000; i-- > 0;)
        assert_true(arrive(&t, 1, i, 6000));
    assert_int_equal(t.arrived, 5000);
    assert_int_equal(cli_tally_missing(&t), 0);
    cli_tally_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tally_counts_each_fate),
                                       cmocka_unit_test(test_tally_grows_and_misses_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
