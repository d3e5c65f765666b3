/* durations.h: how long things took, counted in fixed classes, for metrics
 * Owner:   one writer; a copy may be read anywhere
 * Limits:  classes from 1 ms to a day, and one beyond; no memory but the struct
 */
#ifndef BASE_DURATIONS_H
#define BASE_DURATIONS_H

#include <stdint.h>

#define DURATIONS_CLASSES 18

/* The largest duration of each class in seconds; what is longer is counted behind them. */
static const double durations_bounds_s[DURATIONS_CLASSES] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,  0.5,
                                                             1,     2,     5,     10,   60,   600,  3600, 21600, 86400};

struct durations {
    uint64_t counts[DURATIONS_CLASSES + 1];
    uint64_t sum_ns;
};

static inline void durations_add(struct durations *d, uint64_t ns)
{
    unsigned i = 0;

    while (i < DURATIONS_CLASSES && (double)ns > durations_bounds_s[i] * 1e9)
        i++;
    d->counts[i]++;
    d->sum_ns += ns;
}

#endif
