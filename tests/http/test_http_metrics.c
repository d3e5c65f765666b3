/* test_http_metrics.c: Prometheus text format */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/http_metrics.h"

static void test_metrics_text_is_exact(void **state)
{
    static const double bounds[] = {0.1, 1, 10};
    struct metrics_label constant[] = {{"cluster_id", "c\"1"}}, topic[] = {{"topic", "a\\b\nc"}};
    struct metrics_hist h;
    struct metrics m;

    metrics_init(&m, constant, 1);
    metrics_counter(&m, "x_total", "Things.\nMany.", 18446744073709551615u);
    metrics_family(&m, "y", "gauge", "Y.");
    metrics_double(&m, topic, 1, 0.25);
    metrics_double(&m, NULL, 0, NAN);
    metrics_double(&m, NULL, 0, -INFINITY);
    metrics_hist_init(&h, bounds, 3);
    for (unsigned i = 0; i < 5; i++)
        metrics_hist_observe(&h, (double[]){0.05, 0.1, 0.5, 10, 11}[i]);
    metrics_family(&m, "z_seconds", "histogram", "Z.");
    metrics_hist_write(&m, topic, 1, &h);
    m.text[m.len] = 0;
    assert_string_equal(m.text, "# HELP x_total Things.\\nMany.\n"
                                "# TYPE x_total counter\n"
                                "x_total{cluster_id=\"c\\\"1\"} 18446744073709551615\n"
                                "# HELP y Y.\n"
                                "# TYPE y gauge\n"
                                "y{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\"} 0.25\n"
                                "y{cluster_id=\"c\\\"1\"} NaN\n"
                                "y{cluster_id=\"c\\\"1\"} -Inf\n"
                                "# HELP z_seconds Z.\n"
                                "# TYPE z_seconds histogram\n"
                                "z_seconds_bucket{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\",le=\"0.1\"} 2\n"
                                "z_seconds_bucket{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\",le=\"1\"} 3\n"
                                "z_seconds_bucket{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\",le=\"10\"} 4\n"
                                "z_seconds_bucket{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\",le=\"+Inf\"} 5\n"
                                "z_seconds_sum{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\"} 21.65\n"
                                "z_seconds_count{cluster_id=\"c\\\"1\",topic=\"a\\\\b\\nc\"} 5\n");
    metrics_fini(&m);
}

static void test_metrics_without_labels_have_no_braces(void **state)
{
    struct metrics m;

    metrics_init(&m, NULL, 0);
    metrics_gauge(&m, "a", "A.", 3);
    m.text[m.len] = 0;
    assert_string_equal(m.text, "# HELP a A.\n# TYPE a gauge\na 3\n");
    metrics_fini(&m);
}

static void test_metrics_large_and_fine_values_keep_their_digits(void **state)
{
    static const double bounds[] = {1};
    struct metrics_hist h;
    struct metrics m;

    metrics_init(&m, NULL, 0);
    metrics_hist_init(&h, bounds, 1);
    for (unsigned i = 0; i < 3; i++)
        metrics_hist_observe(&h, 20e12 + 1); /* bytes: a day on a fast link */
    metrics_family(&m, "z_bytes", "histogram", "Z.");
    metrics_hist_write(&m, NULL, 0, &h);
    metrics_gauge(&m, "at_seconds", "At.", 1732304400.125);
    m.text[m.len] = 0;
    assert_non_null(strstr(m.text, "z_bytes_sum 60000000000003\n"));
    assert_non_null(strstr(m.text, "at_seconds 1732304400.125\n"));
    metrics_fini(&m);
}

static void test_metrics_process_knows_this_process(void **state)
{
    struct metrics m;
    const char *rss, *start;

    metrics_init(&m, NULL, 0);
    metrics_process(&m);
    m.text[m.len] = 0;
    rss = strstr(m.text, "\nprocess_resident_memory_bytes ");
    start = strstr(m.text, "\nprocess_start_time_seconds ");
    assert_non_null(rss);
    assert_non_null(start);
    assert_true(strtod(strchr(rss, ' '), NULL) > 100000);
    assert_true(strtod(strchr(start, ' '), NULL) > 1.5e9);
    metrics_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_metrics_text_is_exact),
                                       cmocka_unit_test(test_metrics_without_labels_have_no_braces),
                                       cmocka_unit_test(test_metrics_large_and_fine_values_keep_their_digits),
                                       cmocka_unit_test(test_metrics_process_knows_this_process)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
