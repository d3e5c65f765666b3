#include "cli/prom.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MAX 64

/* The closing brace; quotes and escapes are minded. NULL: the line ends first. */
static const char *end_of_labels(const char *p)
{
    bool is_quoted = false;

    for (; *p && *p != '\n'; p++) {
        if (is_quoted && *p == '\\' && p[1] && p[1] != '\n')
            p++;
        else if (*p == '"')
            is_quoted = !is_quoted;
        else if (*p == '}' && !is_quoted)
            return p;
    }
    return NULL;
}

static bool read_line(const char *p, struct cli_prom_sample *s)
{
    size_t n = strcspn(p, "{ \t\n");
    char *end;

    s->name = slice_of(p, n);
    s->labels = (struct slice){0};
    p += n;
    if (!n || s->name.p[0] == '#')
        return false;
    if (*p == '{') {
        const char *close = end_of_labels(p + 1);

        if (!close)
            return false;
        s->labels = slice_of(p + 1, (size_t)(close - p - 1));
        p = close + 1;
    }
    p += strspn(p, " \t");
    if (!*p || *p == '\n')
        return false;
    s->value = strtod(p, &end);
    return end != p;
}

bool cli_prom_next(const char **at, struct cli_prom_sample *s)
{
    while (**at) {
        const char *line = *at, *end = strchr(line, '\n');

        *at = end ? end + 1 : line + strlen(line);
        if (read_line(line, s))
            return true;
    }
    return false;
}

bool cli_prom_label(const struct cli_prom_sample *s, const char *label, char *out, size_t cap)
{
    const char *p = (const char *)s->labels.p, *end = p ? p + s->labels.len : NULL;
    size_t want = strlen(label), len;

    if (!p)
        return false;
    while (p < end) {
        const char *name = p;
        bool is_it;

        while (p < end && *p != '=')
            p++;
        is_it = (size_t)(p - name) == want && memcmp(name, label, want) == 0;
        if (end - p < 2 || p[1] != '"')
            return false;
        p += 2;
        for (len = 0; p < end && *p != '"'; p++) {
            char c = *p;

            if (c == '\\' && p + 1 < end)
                c = *++p == 'n' ? '\n' : *p;
            if (is_it && len + 1 >= cap)
                return false;
            if (is_it)
                out[len++] = c;
        }
        if (is_it) {
            out[len] = 0;
            return p < end;
        }
        p++; /* the quote */
        while (p < end && (*p == ',' || *p == ' '))
            p++;
    }
    return false;
}

static bool is_named(const struct cli_prom_sample *s, const char *name)
{
    return slice_is_equal(s->name, slice_str(name));
}

double cli_prom_sum(const char *text, const char *name, const char *label, const char *value)
{
    struct cli_prom_sample s;
    char found[128];
    double sum = 0;

    while (text && cli_prom_next(&text, &s))
        if (is_named(&s, name) && isfinite(s.value) &&
            (!label || (cli_prom_label(&s, label, found, sizeof(found)) && strcmp(found, value) == 0)))
            sum += s.value;
    return sum;
}

double cli_prom_rate(const char *before, const char *now, double seconds, const char *name, const char *label, const char *value)
{
    double grown;

    if (!before || !now || seconds <= 0)
        return 0;
    grown = cli_prom_sum(now, name, label, value) - cli_prom_sum(before, name, label, value);
    return grown > 0 ? grown / seconds : 0;
}

struct bucket {
    double bound, count;
};

/* Adds sign times each bucket's count; bounds are those of the first text. */
static unsigned add_buckets(struct bucket *b, unsigned n, const char *text, const char *name, double sign)
{
    struct cli_prom_sample s;
    char bucket[160], le[32];

    snprintf(bucket, sizeof(bucket), "%s_bucket", name);
    while (text && cli_prom_next(&text, &s)) {
        unsigned i;
        double bound;

        if (!is_named(&s, bucket) || !cli_prom_label(&s, "le", le, sizeof(le)))
            continue;
        bound = strtod(le, NULL); /* "+Inf", too */
        for (i = 0; i < n && b[i].bound != bound; i++)
            ;
        if (i == n && n < BUCKETS_MAX)
            b[n++] = (struct bucket){.bound = bound};
        if (i < n)
            b[i].count += sign * s.value;
    }
    return n;
}

double cli_prom_quantile(const char *before, const char *now, const char *name, double q)
{
    struct bucket b[BUCKETS_MAX];
    unsigned n = add_buckets(b, 0, now, name, 1);
    double below = 0, lower = 0, rank;

    n = add_buckets(b, n, before, name, -1);
    if (!n || !(b[n - 1].count > 0))
        return -1;
    rank = q * b[n - 1].count;
    for (unsigned i = 0; i < n; i++) {
        if (b[i].count >= rank && b[i].count > below) {
            if (!isfinite(b[i].bound))
                return lower;
            return lower + (b[i].bound - lower) * (rank - below) / (b[i].count - below);
        }
        below = b[i].count;
        lower = b[i].bound;
    }
    return lower;
}
