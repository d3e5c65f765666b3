/* stats.h: what a run's figures come to
 * Shape:   struct sim_result -> percentiles of latencies, times until all and 99 % have a message, bytes
 * Owner:   a value; sim_stats_fini frees the sorted latencies
 * Units:   ms, bytes
 */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include "sim/sim.h"

struct sim_spread {
    double min, mean, p50, p90, p95, p99, max;
};

struct sim_stats {
    uint64_t wanted, delivered;
    struct sim_spread latency_ms; /* of all deliveries to honest nodes */
    struct sim_spread last_ms;    /* by message: until the last node had it (of those that got it) */
    struct sim_spread p99_ms;     /* by message: until 99 % of those who should had it (of messages that got so far) */
    unsigned never99;             /* messages that never reached 99 % */
    struct sim_spread out_bytes, in_bytes; /* by node */
    double ideal_bytes;           /* all nodes together: each needed copy once */
    double sent_bytes;            /* all nodes together */
    uint32_t *sorted_us;          /* latencies, `delivered` of them */
};

/* 0, or -1 without memory. */
int sim_stats_of(struct sim_stats *st, const struct sim_result *r);
void sim_stats_fini(struct sim_stats *st);
/* Sorts v. */
struct sim_spread sim_spread_of(double *v, size_t n);

#endif
