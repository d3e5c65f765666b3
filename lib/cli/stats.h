/* stats.h: percentiles of what was measured
 * Shape:   values in, in any order; exact percentiles out (nearest rank)
 * Memory:  8 bytes a value; beyond CLI_STATS_MAX values every second one is let go, and so on
 */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_STATS_MAX (1u << 22)

struct cli_stats {
    uint64_t *v;
    size_t n, cap;
    uint64_t count, sum, min, max; /* of all, also of those let go */
    unsigned stride;               /* one value in 2^stride is kept */
    bool is_sorted;
};

/* Zeroed memory is an empty one. */
void cli_stats_add(struct cli_stats *s, uint64_t v);
void cli_stats_fini(struct cli_stats *s);
/* p from 0 to 100; 0 when there is nothing. */
uint64_t cli_stats_at(struct cli_stats *s, double p);
double cli_stats_mean(const struct cli_stats *s);

#endif
