#include "testing.h"

#include "cli/prom.h"

static const char first[] = "# HELP a_total things\n# TYPE a_total counter\n"
                            "a_total{cluster_id=\"n1\",direction=\"in\"} 10\n"
                            "a_total{cluster_id=\"n1\",direction=\"out\"} 4\n"
                            "a_total_other 1000\n"
                            "odd{name=\"brace } quote \\\" and \\\\ slash\",b=\"c\"} 7 1700000000\n"
                            "bare 3.5\n"
                            "d_bucket{le=\"0.001\"} 0\nd_bucket{le=\"0.01\"} 0\nd_bucket{le=\"0.1\"} 0\nd_bucket{le=\"+Inf\"} 0\n";
static const char later[] = "a_total{cluster_id=\"n1\",direction=\"in\"} 30\n"
                            "a_total{cluster_id=\"n1\",direction=\"out\"} 2\n"
                            "bare 1\n"
                            "d_bucket{le=\"0.001\"} 50\nd_bucket{le=\"0.01\"} 90\nd_bucket{le=\"0.1\"} 99\nd_bucket{le=\"+Inf\"} 100\n";

static void test_sum_takes_one_name_and_label(void **state)
{
    assert_true(cli_prom_sum(first, "a_total", NULL, NULL) == 14);
    assert_true(cli_prom_sum(first, "a_total", "direction", "in") == 10);
    assert_true(cli_prom_sum(first, "a_total", "direction", "up") == 0);
    assert_true(cli_prom_sum(first, "odd", "b", "c") == 7);
    assert_true(cli_prom_sum(first, "odd", "name", "brace } quote \" and \\ slash") == 7);
    assert_true(cli_prom_sum(first, "bare", NULL, NULL) == 3.5);
    assert_true(cli_prom_sum(first, "gone", NULL, NULL) == 0);
    assert_true(cli_prom_sum(NULL, "gone", NULL, NULL) == 0);
}

static void test_rate_survives_a_restart(void **state)
{
    assert_true(cli_prom_rate(first, later, 2, "a_total", "direction", "in") == 10);
    assert_true(cli_prom_rate(first, later, 2, "a_total", "direction", "out") == 0);
    assert_true(cli_prom_rate(NULL, later, 2, "a_total", NULL, NULL) == 0);
    assert_true(cli_prom_rate(first, later, 0, "a_total", NULL, NULL) == 0);
}

static void test_quantile_is_of_the_interval(void **state)
{
    assert_true(cli_prom_quantile(first, later, "d", 0.5) == 0.001);
    assert_float_equal(cli_prom_quantile(first, later, "d", 0.7), 0.001 + 0.009 * 20 / 40, 1e-9);
    assert_true(cli_prom_quantile(first, later, "d", 0.999) == 0.1); /* beyond the last bound */
    assert_true(cli_prom_quantile(later, later, "d", 0.5) < 0);
    assert_true(cli_prom_quantile(first, later, "e", 0.5) < 0);
}

static void test_every_beginning_is_read_without_harm(void **state)
{
    char text[sizeof(first)];

    for (size_t n = 0; n < sizeof(first); n++) {
        const char *at = text;
        struct cli_prom_sample s;
        char value[8];
        unsigned count = 0;

        memcpy(text, first, n);
        text[n] = 0;
        while (cli_prom_next(&at, &s)) {
            cli_prom_label(&s, "name", value, sizeof(value));
            count++;
        }
        assert_true(count <= 9);
        assert_true(*at == 0);
    }
}

static void test_malformed_lines_are_passed_over(void **state)
{
    static const char text[] = "x{a=\"b\" 5\n{} 5\nx\nx \nx{a=b} 5\nx{a=\"1\"} nonsense\nx{a=\"1\"} 2\n\n";

    assert_true(cli_prom_sum(text, "x", "a", "1") == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_takes_one_name_and_label), cmocka_unit_test(test_rate_survives_a_restart),
        cmocka_unit_test(test_quantile_is_of_the_interval), cmocka_unit_test(test_every_beginning_is_read_without_harm),
        cmocka_unit_test(test_malformed_lines_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
