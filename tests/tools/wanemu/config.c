#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 32
#define EVERY     UINT32_MAX

struct unit {
    const char *name;
    double factor;
};

static const struct unit times[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
static const struct unit rates[] = {{"bit", 1 / 8.}, {"kbit", 1e3 / 8}, {"Mbit", 1e6 / 8}, {"Gbit", 1e9 / 8}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"KiB", 1024}, {"MiB", 1 << 20}, {NULL, 0}};
static const struct unit shares[] = {{"%", 1e4}, {NULL, 0}};

static int fail(char err[128], const char *what, const char *word)
{
    snprintf(err, 128, "%s '%.60s'", what, word);
    return -1;
}

/* "0" needs no unit. */
static int read_amount(const char *word, const struct unit *units, uint64_t max, uint64_t *out)
{
    char *end;
    double v = strtod(word, &end);

    if (end == word || !(v >= 0))
        return -1;
    if (v == 0 && *end == 0) {
        *out = 0;
        return 0;
    }
    for (; units->name; units++) {
        if (strcmp(end, units->name))
            continue;
        v *= units->factor;
        if (!(v <= (double)max))
            return -1;
        *out = (uint64_t)(v + 0.5);
        return 0;
    }
    return -1;
}

static int read_end(const struct wan *w, const char *word, uint32_t *out)
{
    char *end;
    unsigned long v = strtoul(word, &end, 10);

    *out = EVERY;
    if (strcmp(word, "*") == 0)
        return 0;
    if (end == word || *end || v >= w->nodes)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

static int set_link(struct wan_link *l, const char *name, const char *value)
{
    if (strcmp(name, "queue") == 0)
        return read_amount(value, sizes, 1ull << 40, &l->queue_bytes);
    if (strcmp(name, "mark") == 0)
        return read_amount(value, sizes, 1ull << 40, &l->mark_bytes);
    return -1;
}

static int set_path(struct wan_path *p, const char *name, const char *value)
{
    uint64_t v;

    if (strcmp(name, "delay") == 0)
        return read_amount(value, times, 3600000000000ull, &p->delay_ns);
    if (strcmp(name, "jitter") == 0)
        return read_amount(value, times, 3600000000000ull, &p->jitter_ns);
    if (strcmp(name, "rate") == 0)
        return read_amount(value, rates, 1ull << 40, &p->link.rate);
    if (strcmp(name, "loss") == 0) {
        if (read_amount(value, shares, 1000000, &v))
            return -1;
        p->loss = (uint32_t)v;
        return 0;
    }
    if (strcmp(name, "reorder") == 0) {
        p->reorders = strcmp(value, "on") == 0;
        return p->reorders || strcmp(value, "off") == 0 ? 0 : -1;
    }
    return set_link(&p->link, name, value);
}

static int set_paths(struct wan *w, uint32_t from, uint32_t to, char **words, unsigned n, char err[128])
{
    for (unsigned k = 0; k < n; k += 2) {
        struct wan_path probe = {0};
        if (k + 1 == n || set_path(&probe, words[k], words[k + 1]))
            return fail(err, "not a setting of a pair:", words[k]);
    }
    for (uint32_t i = 0; i < w->nodes; i++)
        for (uint32_t j = 0; j < w->nodes; j++)
            if (i != j && (from == EVERY || from == i) && (to == EVERY || to == j))
                for (unsigned k = 0; k < n; k += 2)
                    set_path(&w->path[i][j], words[k], words[k + 1]);
    return 0;
}

static int set_node(struct wan *w, uint32_t i, char **words, unsigned n, char err[128])
{
    struct wan_link up = w->up[i], down = w->down[i];

    for (unsigned k = 0; k < n; k += 2) {
        const char *name = words[k], *value = k + 1 < n ? words[k + 1] : "";
        int rc;

        if (strcmp(name, "up") == 0)
            rc = read_amount(value, rates, 1ull << 40, &up.rate);
        else if (strcmp(name, "down") == 0)
            rc = read_amount(value, rates, 1ull << 40, &down.rate);
        else
            rc = set_link(&up, name, value) || set_link(&down, name, value);
        if (rc)
            return fail(err, "not a setting of a node:", name);
    }
    w->up[i] = up;
    w->down[i] = down;
    return 0;
}

static int set_pair(struct wan *w, char **words, unsigned n, char err[128])
{
    char *arrow = strchr(words[0], '>');
    uint32_t a, b;

    if (arrow) {
        *arrow = 0;
        if (read_end(w, words[0], &a) || read_end(w, arrow + 1, &b))
            return fail(err, "no such pair:", words[0]);
        return set_paths(w, a, b, words + 1, n - 1, err);
    }
    if (n < 2 || read_end(w, words[0], &a) || read_end(w, words[1], &b))
        return fail(err, "no such pair:", words[0]);
    return set_paths(w, a, b, words + 2, n - 2, err) || set_paths(w, b, a, words + 2, n - 2, err) ? -1 : 0;
}

static int set_seed(struct wan *w, char **words, unsigned n, char err[128])
{
    char *end = NULL;
    uint64_t seed = n == 2 ? strtoull(words[1], &end, 10) : 0;

    if (!end || end == words[1] || *end)
        return fail(err, "not a seed:", n < 2 ? "" : words[1]);
    wan_seed(w, seed);
    return 0;
}

int wan_config_line(struct wan *w, const char *line, char err[128])
{
    char text[512], *words[WORDS_MAX], *save = NULL;
    unsigned n = 0;
    uint32_t node;

    if (strlen(line) >= sizeof(text))
        return fail(err, "too long:", line);
    memcpy(text, line, strlen(line) + 1);
    text[strcspn(text, "#\r\n")] = 0;
    for (char *word = strtok_r(text, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
        if (n == WORDS_MAX)
            return fail(err, "too many words:", line);
        words[n++] = word;
    }
    if (n == 0)
        return 0;
    if (strcmp(words[0], "all") == 0)
        return set_paths(w, EVERY, EVERY, words + 1, n - 1, err);
    if (strcmp(words[0], "node") == 0) {
        if (n < 2 || read_end(w, words[1], &node) || node == EVERY)
            return fail(err, "no such node:", n < 2 ? "" : words[1]);
        return set_node(w, node, words + 2, n - 2, err);
    }
    if (strcmp(words[0], "seed") == 0)
        return set_seed(w, words, n, err);
    return set_pair(w, words, n, err);
}
