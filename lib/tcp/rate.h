/* rate.h: a token bucket for answers that strangers can provoke
 * Units:   one token an answer; ns
 */
#ifndef TCP_RATE_H
#define TCP_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t full_at_ns; /* when the bucket would be full again */
    uint64_t per_ns;     /* time one token takes to grow */
    uint64_t burst;      /* tokens in a full bucket */
};

static inline void rate_init(struct rate *r, uint64_t per_second, uint64_t burst)
{
    *r = (struct rate){.per_ns = 1000000000ull / per_second, .burst = burst};
}

/* Takes a token if there is one. */
static inline bool rate_take(struct rate *r, uint64_t now)
{
    uint64_t full_at = r->full_at_ns > now ? r->full_at_ns : now;

    if (full_at - now + r->per_ns > r->burst * r->per_ns)
        return false;
    r->full_at_ns = full_at + r->per_ns;
    return true;
}

#endif
