/* codecast-sim: simulated networks of the node's own protocol cores. codecast-sim --help says the rest */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/report.h"

#define EVENTS_PER_LOOK 20000

struct run {
    struct sim_scenario scenario;
    struct settings_report report;
    const char *out;
    bool is_quiet;
};

static void help(void)
{
    printf("codecast-sim: a network of simulated nodes on a virtual clock\n\n"
           "Usage: codecast-sim [--scenario FILE] [--OPTION VALUE]... [--out PREFIX] [--quiet]\n\n"
           "  --scenario FILE   lines \"option = value\"; # begins a comment. What comes later on the command line wins\n"
           "  --out PREFIX      writes PREFIX.json, .messages.csv, .nodes.csv, .cdf.csv (scripts/sim-plots draws them); without it: JSON to stdout\n"
           "  --quiet           no progress and no summary on stderr\n\n"
           "Options (--bytes 1M, --bytes=1M and a line \"bytes = 1M\" are the same):\n");
    sim_scenario_help(stdout);
    printf("\nExit: 0; 1 the scenario could not be run or the results not be written; 2 wrong usage.\n");
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t len = 0, cap = 0, got;

    if (!f)
        return NULL;
    do {
        if (len + 1 >= cap) {
            char *more = realloc(text, cap = cap ? cap * 2 : 4096);
            if (!more)
                break;
            text = more;
        }
        got = fread(text + len, 1, cap - len - 1, f);
        len += got;
    } while (got);
    if (text)
        text[len] = 0;
    fclose(f);
    return text;
}

static bool take_scenario(struct run *run, const char *path)
{
    char *text = read_file(path);
    bool is_good = text && sim_scenario_read(&run->scenario, text, &run->report);

    if (!text)
        settings_fatal(&run->report, "scenario", path, "%s", strerror(errno));
    free(text);
    return is_good;
}

/* One argument and perhaps its value; the number of arguments used. */
static int take_argument(struct run *run, char **argv, int left)
{
    char name[64];
    const char *arg = argv[0], *eq = strchr(arg, '='), *value;
    int used = eq ? 1 : 2;

    if (!strcmp(arg, "--quiet")) {
        run->is_quiet = true;
        return 1;
    }
    if (strncmp(arg, "--", 2) || (!eq && left < 2) || (eq && (size_t)(eq - arg) >= sizeof(name))) {
        settings_fatal(&run->report, arg, "", "expected --option VALUE");
        return left;
    }
    value = eq ? eq + 1 : argv[1];
    snprintf(name, sizeof(name), "%.*s", eq ? (int)(eq - arg - 2) : 60, arg + 2);
    if (!strcmp(name, "out"))
        run->out = value;
    else if (!strcmp(name, "scenario"))
        take_scenario(run, value);
    else
        sim_scenario_set(&run->scenario, name, value, &run->report);
    return used;
}

static int complain(const struct settings_report *rep)
{
    for (unsigned i = 0; i < rep->count; i++)
        fprintf(stderr, "codecast-sim: %s\n", rep->lines[i]);
    return rep->fatal ? 2 : 0;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void show_progress(const struct sim *s, const struct sim_config *cfg, double begun, bool is_last)
{
    struct sim_progress p = sim_progress(s);
    double took = seconds() - begun;

    fprintf(stderr, "\r%7.1f s simulated, %6.1f s real, %u of %u published, delivered %llu of %llu, %.1f M events%s",
            (double)p.now_ns / 1e9, took, p.published, cfg->messages, (unsigned long long)p.delivered,
            (unsigned long long)p.wanted, (double)p.events / 1e6, is_last ? "\n" : "   ");
    fflush(stderr);
}

static bool write_one(const struct run *run, const char *suffix, FILE **f)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s%s", run->out, suffix);
    *f = fopen(path, "w");
    if (!*f)
        fprintf(stderr, "codecast-sim: %s: %s\n", path, strerror(errno));
    return *f;
}

static bool done(const struct run *run, FILE *f)
{
    bool is_bad = ferror(f);

    is_bad |= fclose(f) != 0;
    if (is_bad)
        fprintf(stderr, "codecast-sim: %s: could not be written whole\n", run->out);
    return !is_bad;
}

static bool write_results(const struct run *run, const struct sim_result *r, const struct sim_stats *st)
{
    bool is_good = true;
    FILE *f;

    if (!run->out) {
        sim_report_json(stdout, &run->scenario, r, st);
        return !ferror(stdout);
    }
    if (!write_one(run, ".json", &f))
        return false;
    sim_report_json(f, &run->scenario, r, st);
    is_good &= done(run, f);
    if (!write_one(run, ".messages.csv", &f))
        return false;
    sim_report_messages(f, r);
    is_good &= done(run, f);
    if (!write_one(run, ".nodes.csv", &f))
        return false;
    sim_report_nodes(f, r);
    is_good &= done(run, f);
    if (!write_one(run, ".cdf.csv", &f))
        return false;
    sim_report_cdf(f, st);
    return done(run, f) && is_good;
}

static int simulate(struct run *run)
{
    const char *why;
    double begun = seconds(), shown = begun;
    struct sim *s = sim_new(&run->scenario.cfg, &why);
    struct sim_result r;
    struct sim_stats st;
    bool is_good;

    if (!s) {
        fprintf(stderr, "codecast-sim: %s\n", why);
        return 1;
    }
    while (sim_run(s, EVENTS_PER_LOOK))
        if (!run->is_quiet && seconds() - shown > 1) {
            shown = seconds();
            show_progress(s, &run->scenario.cfg, begun, false);
        }
    r = sim_result(s);
    if (sim_stats_of(&st, &r)) {
        fprintf(stderr, "codecast-sim: no memory\n");
        sim_free(s);
        return 1;
    }
    if (!run->is_quiet) {
        show_progress(s, &run->scenario.cfg, begun, true);
        sim_report_text(stderr, &r, &st);
    }
    is_good = write_results(run, &r, &st);
    sim_stats_fini(&st);
    sim_free(s);
    return is_good ? 0 : 1;
}

static int run_all(struct run *run)
{
    int rc = complain(&run->report);

    if (rc)
        return rc;
    sim_scenario_load(&run->scenario, &run->report);
    rc = complain(&run->report);
    if (rc)
        return rc;
    if (run->scenario.cfg.delay == SIM_DELAY_MATRIX) {
        run->scenario.matrix_text = read_file(run->scenario.cfg.matrix);
        if (!run->scenario.matrix_text) {
            fprintf(stderr, "codecast-sim: matrix=%s: %s\n", run->scenario.cfg.matrix, strerror(errno));
            return 1;
        }
        run->scenario.cfg.matrix = run->scenario.matrix_text;
    }
    return simulate(run);
}

int main(int argc, char **argv)
{
    static struct run run;
    int rc;

    sim_scenario_init(&run.scenario);
    for (int i = 1; i < argc;) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            help();
            return 0;
        }
        if (!strcmp(argv[i], "--version")) {
            printf("codecast-sim %s\n", CODECAST_VERSION);
            return 0;
        }
        i += take_argument(&run, argv + i, argc - i);
    }
    rc = run_all(&run);
    sim_scenario_fini(&run.scenario);
    return rc;
}
