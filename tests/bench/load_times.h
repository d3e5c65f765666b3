/* load_times.h: what load generators share: the clock, a message's time of birth in its payload, percentiles, the report
 * Format:  a payload begins with 16 hex digits of the sender's monotonic ns and 16 of a number, both new for each message
 */
#ifndef BENCH_LOAD_TIMES_H
#define BENCH_LOAD_TIMES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define LOAD_HEAD    32
#define LOAD_TIMES_N 4000000u

struct load_times {
    uint32_t *us;
    unsigned n; /* beyond LOAD_TIMES_N none is kept */
    uint64_t sent, answered, delivered, refused, began_ns, last_ns;
};

static inline void load_head(char out[LOAD_HEAD + 1], uint64_t n)
{
    snprintf(out, LOAD_HEAD + 1, "%016llx%016llx", (unsigned long long)bench_now_ns(), (unsigned long long)n);
}

/* One delivery; head: at least 16 characters of its payload. */
static inline void load_arrived(struct load_times *t, const char *head)
{
    char text[17];
    uint64_t now = bench_now_ns();

    memcpy(text, head, 16);
    text[16] = 0;
    if (t->n < LOAD_TIMES_N)
        t->us[t->n++] = (uint32_t)((now - strtoull(text, NULL, 16)) / 1000);
    t->delivered++;
    t->last_ns = now;
}

static inline int load_by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static inline void load_report(struct load_times *t)
{
    double s = (double)((t->last_ns > t->began_ns ? t->last_ns : bench_now_ns()) - t->began_ns) / 1e9;

    qsort(t->us, t->n, sizeof(*t->us), load_by_value);
    printf("{\"sent\":%llu,\"answered\":%llu,\"delivered\":%llu,\"refused\":%llu,\"seconds\":%.3f,\"p50_us\":%u,\"p99_us\":%u}\n",
           (unsigned long long)t->sent, (unsigned long long)t->answered, (unsigned long long)t->delivered,
           (unsigned long long)t->refused, s, t->n ? t->us[t->n / 2] : 0, t->n ? t->us[(uint64_t)t->n * 99 / 100] : 0);
    fflush(stdout);
}

#endif
