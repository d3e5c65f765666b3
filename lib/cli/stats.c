#include "cli/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Every second one goes: of values in the order they came, a fair sample. After a look at the percentiles it is one too. */
static void thin(struct cli_stats *s)
{
    for (size_t i = 0; i < s->n / 2; i++)
        s->v[i] = s->v[2 * i];
    s->n /= 2;
    s->stride++;
}

static bool grow(struct cli_stats *s)
{
    size_t cap = s->cap ? s->cap * 2 : 1024;
    uint64_t *more = s->cap < CLI_STATS_MAX ? realloc(s->v, cap * sizeof(*more)) : NULL;

    if (more) {
        s->v = more;
        s->cap = cap;
    } else if (s->n) {
        thin(s);
    }
    return s->n < s->cap;
}

void cli_stats_add(struct cli_stats *s, uint64_t v)
{
    s->min = s->count == 0 || v < s->min ? v : s->min;
    s->max = v > s->max ? v : s->max;
    s->sum += v;
    if ((s->count++ & ((UINT64_C(1) << s->stride) - 1)) != 0)
        return;
    if (s->n == s->cap && !grow(s))
        return;
    s->v[s->n++] = v;
    s->is_sorted = false;
}

void cli_stats_fini(struct cli_stats *s)
{
    free(s->v);
    *s = (struct cli_stats){0};
}

uint64_t cli_stats_at(struct cli_stats *s, double p)
{
    double rank;

    if (!s->n)
        return 0;
    if (!s->is_sorted)
        qsort(s->v, s->n, sizeof(*s->v), compare);
    s->is_sorted = true;
    if (p >= 100)
        return s->max;
    rank = ceil(p / 100 * (double)s->n);
    return s->v[rank < 1 ? 0 : (size_t)rank - 1];
}

double cli_stats_mean(const struct cli_stats *s)
{
    return s->count ? (double)s->sum / (double)s->count : 0;
}
