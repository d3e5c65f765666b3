/* coded_pace.h: how long to wait before something that usually comes is called missing
 * Shape:   samples of what came -> a wait (mean and some deviations: RFC 6298 has four, for round trips)
 * Owner:   a small value inside the router
 * Units:   ns
 * Limits:  the wait stays between the two bounds, so neither a fast burst nor one stall makes it useless
 */
#ifndef PUBSUB_CODED_PACE_H
#define PUBSUB_CODED_PACE_H

#include <stdint.h>

struct coded_pace {
    uint64_t mean_ns, dev_ns; /* mean 0: no sample yet */
    uint64_t first_ns, min_ns, max_ns;
};

static inline void coded_pace_init(struct coded_pace *p, uint64_t first_ns, uint64_t min_ns, uint64_t max_ns)
{
    *p = (struct coded_pace){0, 0, first_ns, min_ns, max_ns};
}

static inline void coded_pace_sample(struct coded_pace *p, uint64_t ns)
{
    uint64_t off;

    ns = ns > p->max_ns ? p->max_ns : ns ? ns : 1;
    if (!p->mean_ns) {
        p->mean_ns = ns;
        p->dev_ns = ns / 2;
        return;
    }
    off = ns > p->mean_ns ? ns - p->mean_ns : p->mean_ns - ns;
    p->dev_ns += off / 4 - p->dev_ns / 4;
    p->mean_ns += ns / 8 - p->mean_ns / 8;
}

/* devs: quarters of a deviation. */
static inline uint64_t coded_pace_wait(const struct coded_pace *p, unsigned devs)
{
    uint64_t wait = p->mean_ns ? p->mean_ns + devs * p->dev_ns / 4 : p->first_ns;

    return wait < p->min_ns ? p->min_ns : wait > p->max_ns ? p->max_ns : wait;
}

enum { CODED_SHARE_ALL = 1 << 16, CODED_SHARE_GAIN = 64 };

/* A share that follows what is lost: one that came, and before it so many that did not. */
static inline void coded_share_note(uint32_t *share, unsigned lost)
{
    for (; lost; lost--)
        *share += (CODED_SHARE_ALL - *share) / CODED_SHARE_GAIN;
    *share -= *share / CODED_SHARE_GAIN;
}

#endif
