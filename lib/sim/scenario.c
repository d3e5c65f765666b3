#include "sim/scenario.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {"coded", "gossipsub", "reference", NULL};
static const char *const versions[] = {"1.1", "1.2", NULL};
static const char *const delays[] = {"fixed", "random", "world", "matrix", NULL};
static const char *const losses[] = {"shards", "all", NULL};
static const char *const payloads[] = {"elided", "carried", NULL};

#define U32(f, text, lo, hi, what)                                                                                    \
    {.name = #f, .kind = SETTING_U32, .offset = offsetof(struct sim_config, f), .def = (text), .min = (lo),           \
     .max = (hi), .help = (what)}
#define REAL(f, text, lo, hi, what)                                                                                   \
    {.name = #f, .kind = SETTING_REAL, .offset = offsetof(struct sim_config, f), .def = (text), .min = (lo),          \
     .max = (hi), .help = (what)}
#define CHOICE(label, f, text, list, what)                                                                            \
    {.name = (label), .kind = SETTING_CHOICE, .offset = offsetof(struct sim_config, f), .def = (text),                \
     .choices = (list), .help = (what)}

static const struct setting table[] = {
    U32(seed, "1", 0, 4294967295.0, "the same seed gives the same bytes"),
    U32(nodes, "100", 2, 100000, "nodes"),
    U32(dials, "10", 0, 1000, "connections that each node opens; 0: everyone to everyone"),
    U32(messages, "10", 1, 100000, "messages published in all"),
    U32(bytes, "1000000", 8, 33554432.0, "of each payload; 1k = 1000, 1Ki = 1024, M and Mi likewise"),
    REAL(interval_s, "1", 0, 3600, "between publishes"),
    U32(publishers, "0", 0, 100000, "messages come from so many nodes in turn; 0: from random ones"),
    REAL(warmup_s, "5", 1, 3600, "before the first publish: meshes form"),
    REAL(drain_s, "60", 0, 3600, "wait for what is missing, at most so long after the last publish"),
    CHOICE("mode", mode, "coded", modes, "the protocol; reference: a model of the rule without repair"),
    CHOICE("gossipsub", version, "1.2", versions, "version in gossipsub mode; 1.2 has IDONTWANT"),
    U32(d, "6", 1, 64, "mesh degree D"),
    U32(d_lo, "0", 0, 64, "0: D - 1"),
    U32(d_hi, "0", 0, 64, "0: 12, or 1.5 D above 8"),
    U32(d_out, "0", 0, 64, "0: 2"),
    {.name = "flood", .kind = SETTING_BOOL, .offset = offsetof(struct sim_config, is_flood), .def = "no",
     .help = "flood publish: plain messages of ours go to all connected subscribers"},
    U32(k, "4", 1, 255, "shards that a message is cut into"),
    REAL(mult, "1.5", 0.01, 100, "SHARD_MULT"),
    REAL(threshold, "0.75", 0.01, 1, "THRESHOLD"),
    U32(small_bytes, "0", 0, 33554432.0, "payloads up to this go plain in coded mode; 0: the default rule"),
    CHOICE("delay", delay, "world", delays, "one-way delays; world: ten regions with their round trips"),
    REAL(delay_ms, "50", 0, 10000, "fixed delay; the least of random ones"),
    REAL(delay_max_ms, "0", 0, 10000, "the most of random ones"),
    REAL(jitter_ms, "0", 0, 10000, "up to so much more for each RPC"),
    {.name = "matrix", .kind = SETTING_TEXT, .offset = offsetof(struct sim_config, matrix), .def = "",
     .help = "file of one-way delays in ms, a square of numbers; nodes take its rows in turn"},
    REAL(up_mbit, "50", 0, 1000000, "sending rate of a node; 0: no limit"),
    REAL(down_mbit, "50", 0, 1000000, "receiving rate of a node; 0: no limit"),
    REAL(loss_percent, "0", 0, 99, "of RPCs lost"),
    CHOICE("loss", loss, "shards", losses, "which can be lost: those with a shard or payload, or all"),
    REAL(churn_percent, "0", 0, 10000, "of the nodes leave per minute, at random times, and return"),
    REAL(churn_away_s, "10", 0.1, 3600, "how long they stay away"),
    REAL(leave_after_ms, "0", 0, 3600000, "each publisher vanishes for good so long after its publish; 0: it stays"),
    REAL(forgers_percent, "0", 0, 90, "of the nodes change every payload they send"),
    REAL(silent_percent, "0", 0, 90, "of the nodes join meshes and send no message"),
    REAL(withholders_percent, "0", 0, 90, "of the nodes tell what they have and send none of it"),
    CHOICE("payload", is_carried, "elided", payloads, "elided: only beginnings of shards exist; lengths and ranks are exact"),
    U32(reference_copies, "2", 1, 16, "reference mode: peers that each shard is sent to"),
};
#define COUNT (sizeof(table) / sizeof(table[0]))

void sim_scenario_init(struct sim_scenario *sc)
{
    memset(sc, 0, sizeof(*sc));
}

void sim_scenario_fini(struct sim_scenario *sc)
{
    free(sc->matrix_text);
    sc->matrix_text = NULL;
}

static const char *lookup(void *ctx, const char *name)
{
    const struct sim_scenario *sc = ctx;

    for (unsigned i = sc->count; i-- > 0;)
        if (!strcmp(sc->pairs[i].name, name))
            return sc->pairs[i].value;
    return NULL;
}

static const struct setting *option(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(table[i].name, name))
            return &table[i];
    return NULL;
}

/* 100k, 1Mi and the like as plain numbers. */
static void expand_size(char *value, size_t cap)
{
    char *end;
    double v = strtod(value, &end), unit;
    bool is_binary = *end && end[1] == 'i';

    if (end == value || !*end || (end[1] && !(is_binary && !end[2])))
        return;
    switch (*end) {
    case 'k': unit = is_binary ? 1024 : 1000; break;
    case 'K': unit = is_binary ? 1024 : 1000; break;
    case 'M': unit = is_binary ? 1048576 : 1000000; break;
    default: return;
    }
    snprintf(value, cap, "%.0f", v * unit);
}

bool sim_scenario_set(struct sim_scenario *sc, const char *name, const char *value, struct settings_report *rep)
{
    struct sim_pair *p = &sc->pairs[sc->count];

    if (sc->count == SIM_PAIRS_MAX || strlen(name) >= sizeof(p->name) || strlen(value) >= sizeof(p->value)) {
        settings_fatal(rep, name, value, "too many options, or one too long");
        return false;
    }
    memcpy(p->name, name, strlen(name) + 1);
    memcpy(p->value, value, strlen(value) + 1);
    for (char *c = p->name; *c; c++)
        if (*c == '-')
            *c = '_';
    if (!option(p->name)) {
        settings_fatal(rep, name, value, "no such option; --help lists them");
        return false;
    }
    if (!strcmp(p->name, "bytes") || !strcmp(p->name, "small_bytes"))
        expand_size(p->value, sizeof(p->value));
    sc->count++;
    return true;
}

static char *trim(char *s)
{
    char *end = s + strlen(s);

    while (isspace((unsigned char)*s))
        s++;
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = 0;
    return s;
}

static bool read_line(struct sim_scenario *sc, char *line, struct settings_report *rep)
{
    char *comment = strchr(line, '#'), *eq;

    if (comment)
        *comment = 0;
    line = trim(line);
    if (!*line)
        return true;
    eq = strchr(line, '=');
    if (!eq) {
        settings_fatal(rep, line, "", "a line of a scenario is name = value, or # and a comment");
        return false;
    }
    *eq = 0;
    return sim_scenario_set(sc, trim(line), trim(eq + 1), rep);
}

bool sim_scenario_read(struct sim_scenario *sc, const char *text, struct settings_report *rep)
{
    bool is_good = true;

    while (*text) {
        size_t len = strcspn(text, "\n");
        char line[512];

        if (len >= sizeof(line)) {
            settings_fatal(rep, "scenario", "", "a line is longer than 511 characters");
            return false;
        }
        memcpy(line, text, len);
        line[len] = 0;
        is_good &= read_line(sc, line, rep);
        text += len + (text[len] != 0);
    }
    return is_good;
}

unsigned sim_scenario_load(struct sim_scenario *sc, struct settings_report *rep)
{
    unsigned fatal = settings_load(table, COUNT, &sc->cfg, lookup, sc, rep);

    if (!fatal && sc->cfg.delay == SIM_DELAY_MATRIX && !*sc->cfg.matrix) {
        settings_fatal(rep, "delay", "matrix", "needs matrix = FILE");
        fatal++;
    }
    return fatal;
}

void sim_scenario_help(FILE *f)
{
    settings_print_help(f, table, COUNT);
}

static bool is_number(const struct setting *s)
{
    return s->kind == SETTING_U32 || s->kind == SETTING_REAL;
}

void sim_scenario_json(const struct sim_scenario *sc, FILE *f)
{
    for (size_t i = 0; i < COUNT; i++) {
        const char *v = lookup((void *)(uintptr_t)sc, table[i].name), *quote = is_number(&table[i]) ? "" : "\"";

        v = v && *v ? v : table[i].def;
        fprintf(f, "%s\n    \"%s\": %s", i ? "," : "", table[i].name, quote);
        for (; *v; v++)
            fprintf(f, *v == '"' || *v == '\\' ? "\\%c" : "%c", *v);
        fputs(quote, f);
    }
}
