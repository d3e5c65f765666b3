#include "sim/stats.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int by_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The smallest index that has the share at or below it. */
static size_t rank_of(size_t n, double share)
{
    size_t at = (size_t)(share * (double)n + 0.999999);

    return at ? at - 1 : 0;
}

struct sim_spread sim_spread_of(double *v, size_t n)
{
    struct sim_spread s = {0};

    if (!n)
        return s;
    qsort(v, n, sizeof(*v), by_value);
    for (size_t i = 0; i < n; i++)
        s.mean += v[i] / (double)n;
    s.min = v[0];
    s.p50 = v[rank_of(n, 0.5)];
    s.p90 = v[rank_of(n, 0.9)];
    s.p95 = v[rank_of(n, 0.95)];
    s.p99 = v[rank_of(n, 0.99)];
    s.max = v[n - 1];
    return s;
}

static struct sim_spread spread_of_us(const uint32_t *us, size_t n)
{
    struct sim_spread s = {0};

    if (!n)
        return s;
    for (size_t i = 0; i < n; i++)
        s.mean += us[i] / 1e3 / (double)n;
    s.min = us[0] / 1e3;
    s.p50 = us[rank_of(n, 0.5)] / 1e3;
    s.p90 = us[rank_of(n, 0.9)] / 1e3;
    s.p95 = us[rank_of(n, 0.95)] / 1e3;
    s.p99 = us[rank_of(n, 0.99)] / 1e3;
    s.max = us[n - 1] / 1e3;
    return s;
}

/* One message's latencies at honest nodes, sorted, appended to st->sorted_us. */
static size_t collect(struct sim_stats *st, const struct sim_result *r, uint32_t m, size_t at)
{
    const uint32_t *us = r->latency_us + (size_t)m * r->cfg->nodes;
    size_t n = 0;

    for (uint32_t i = 0; i < r->cfg->nodes; i++)
        if (us[i] < SIM_NOT_COUNTED && r->nodes[i].is_honest && i != r->messages[m].publisher)
            st->sorted_us[at + n++] = us[i];
    qsort(st->sorted_us + at, n, sizeof(uint32_t), by_u32);
    return n;
}

static void count_nodes(struct sim_stats *st, const struct sim_result *r, double *v)
{
    uint32_t n = r->cfg->nodes;

    for (uint32_t i = 0; i < n; i++) {
        v[i] = (double)r->nodes[i].out_bytes;
        st->sent_bytes += v[i];
    }
    st->out_bytes = sim_spread_of(v, n);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (double)r->nodes[i].in_bytes;
    st->in_bytes = sim_spread_of(v, n);
}

int sim_stats_of(struct sim_stats *st, const struct sim_result *r)
{
    uint32_t messages = r->cfg->messages, most = messages > r->cfg->nodes ? messages : r->cfg->nodes, n99 = 0, nlast = 0;
    double *last = calloc(messages, sizeof(*last)), *p99 = calloc(messages, sizeof(*p99)), *v = calloc(most, sizeof(*v));
    size_t at = 0;

    memset(st, 0, sizeof(*st));
    st->sorted_us = malloc((size_t)messages * r->cfg->nodes * sizeof(uint32_t));
    if (!last || !p99 || !v || !st->sorted_us) {
        free(last);
        free(p99);
        free(v);
        return -1;
    }
    for (uint32_t m = 0; m < messages; m++) {
        size_t n = collect(st, r, m, at), need = rank_of(r->messages[m].wanted, 0.99) + 1;

        st->wanted += r->messages[m].wanted;
        st->delivered += r->messages[m].delivered;
        st->ideal_bytes += (double)r->cfg->bytes * (double)n;
        if (n)
            last[nlast++] = st->sorted_us[at + n - 1] / 1e3;
        if (n >= need && n)
            p99[n99++] = st->sorted_us[at + need - 1] / 1e3;
        else
            st->never99++;
        at += n;
    }
    qsort(st->sorted_us, at, sizeof(uint32_t), by_u32);
    st->latency_ms = spread_of_us(st->sorted_us, at);
    st->last_ms = sim_spread_of(last, nlast);
    st->p99_ms = sim_spread_of(p99, n99);
    count_nodes(st, r, v);
    free(last);
    free(p99);
    free(v);
    return 0;
}

void sim_stats_fini(struct sim_stats *st)
{
    free(st->sorted_us);
    st->sorted_us = NULL;
}
