#include "testing.h"

#include "cli/stats.h"

static void test_percentiles_are_exact(void **state)
{
    struct cli_stats s = {0};

    assert_int_equal(cli_stats_at(&s, 50), 0);
    for (uint64_t i = 0; i < 1000; i++)
        cli_stats_add(&s, (i * 7919) % 1000 + 1); /* 1 to 1000, each once, in no order */
    assert_int_equal(cli_stats_at(&s, 50), 500);
    assert_int_equal(cli_stats_at(&s, 95), 950);
    assert_int_equal(cli_stats_at(&s, 99), 990);
    assert_int_equal(cli_stats_at(&s, 100), 1000);
    assert_int_equal(cli_stats_at(&s, 0), 1);
    assert_true(s.min == 1 && s.max == 1000 && cli_stats_mean(&s) == 500.5);
    cli_stats_add(&s, 5000); /* after a look */
    assert_int_equal(cli_stats_at(&s, 100), 5000);
    cli_stats_fini(&s);
}

static void test_one_value_is_every_percentile(void **state)
{
    struct cli_stats s = {0};

    cli_stats_add(&s, 42);
    for (int p = 0; p <= 100; p += 10)
        assert_int_equal(cli_stats_at(&s, p), 42);
    cli_stats_fini(&s);
}

static void test_beyond_its_memory_it_samples(void **state)
{
    struct cli_stats s = {0};
    uint64_t n = (uint64_t)CLI_STATS_MAX * 2 + 1000;

    for (uint64_t i = 0; i < n; i++)
        cli_stats_add(&s, i % 1000);
    assert_int_equal(s.count, n);
    assert_true(s.n <= CLI_STATS_MAX);
    assert_in_range(cli_stats_at(&s, 50), 490, 510);
    assert_in_range(cli_stats_at(&s, 99), 980, 999);
    cli_stats_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles_are_exact), cmocka_unit_test(test_one_value_is_every_percentile),
        cmocka_unit_test(test_beyond_its_memory_it_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
