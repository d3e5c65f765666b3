#include "testing.h"

#include "sim/scenario.h"

static struct settings_report rep;
static struct sim_scenario sc;

static void begin(void)
{
    memset(&rep, 0, sizeof(rep));
    sim_scenario_init(&sc);
}

static void test_scenario_reads_lines(void **state)
{
    begin();
    assert_true(sim_scenario_read(&sc, "# a comment\n nodes = 7 # and one more\n\nbytes=1Mi\nmode=gossipsub\nflood=yes\n", &rep));
    assert_int_equal(sim_scenario_load(&sc, &rep), 0);
    assert_int_equal(sc.cfg.nodes, 7);
    assert_int_equal(sc.cfg.bytes, 1048576);
    assert_int_equal(sc.cfg.mode, SIM_GOSSIPSUB);
    assert_true(sc.cfg.is_flood);
    assert_int_equal(sc.cfg.k, 4);
}

static void test_scenario_later_wins_and_dashes_count(void **state)
{
    begin();
    assert_true(sim_scenario_read(&sc, "k=8\n", &rep));
    assert_true(sim_scenario_set(&sc, "k", "16", &rep));
    assert_true(sim_scenario_set(&sc, "up-mbit", "10", &rep));
    assert_int_equal(sim_scenario_load(&sc, &rep), 0);
    assert_int_equal(sc.cfg.k, 16);
    assert_true(sc.cfg.up_mbit == 10);
}

static void test_scenario_sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        uint32_t want;
    } rows[] = {{"100", 100}, {"1k", 1000}, {"2K", 2000}, {"1.5M", 1500000}, {"4Ki", 4096}, {"1Mi", 1048576}};

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        assert_true(sim_scenario_set(&sc, "bytes", rows[i].text, &rep));
        assert_int_equal(sim_scenario_load(&sc, &rep), 0);
        assert_int_equal(sc.cfg.bytes, rows[i].want);
    }
}

static void test_scenario_names_what_is_wrong(void **state)
{
    static const char *const bad[] = {"nods=3\n", "nodes=1\n", "bytes=1G\n", "k=0\n", "threshold=1.5\n", "mode=fast\n", "just words\n",
                                      "delay=matrix\n", "mult=x\n"};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        if (sim_scenario_read(&sc, bad[i], &rep))
            sim_scenario_load(&sc, &rep);
        assert_int_equal(rep.fatal, 1);
        assert_int_equal(strncmp(rep.lines[0], bad[i], 3), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario_reads_lines),
        cmocka_unit_test(test_scenario_later_wins_and_dashes_count),
        cmocka_unit_test(test_scenario_sizes_have_units),
        cmocka_unit_test(test_scenario_names_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
