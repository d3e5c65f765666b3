#include "tcp/rtt.h"

#define RTT_MAX_BACKOFF 16

void rtt_init(struct rtt *r, uint64_t floor_ns, uint64_t max_ns)
{
    *r = (struct rtt){.floor_ns = floor_ns, .max_ns = max_ns, .min_ns = UINT64_MAX};
}

void rtt_sample(struct rtt *r, uint64_t rtt_ns, uint32_t samples_per_round)
{
    if (rtt_ns == 0)
        rtt_ns = 1;
    if (rtt_ns < r->min_ns)
        r->min_ns = rtt_ns;
    if (r->srtt_ns == 0) {
        r->srtt_ns = rtt_ns;
        r->rttvar_ns = rtt_ns / 2;
        return;
    }
    int64_t n = samples_per_round ? samples_per_round : 1;
    int64_t err = (int64_t)rtt_ns - (int64_t)r->srtt_ns;
    int64_t dev = err < 0 ? -err : err;
    r->rttvar_ns = (uint64_t)((int64_t)r->rttvar_ns + (dev - (int64_t)r->rttvar_ns) / (4 * n));
    r->srtt_ns = (uint64_t)((int64_t)r->srtt_ns + err / (8 * n));
}

uint64_t rtt_rto_ns(const struct rtt *r)
{
    uint64_t var = 4 * r->rttvar_ns;
    uint64_t rto = r->srtt_ns ? r->srtt_ns + (var > r->floor_ns ? var : r->floor_ns) : RTT_INITIAL_RTO_NS;

    for (uint32_t i = 0; i < r->backoff && rto < r->max_ns; i++)
        rto *= 2;
    return rto < r->max_ns ? rto : r->max_ns;
}

void rtt_backoff(struct rtt *r)
{
    if (r->backoff < RTT_MAX_BACKOFF)
        r->backoff++;
}

void rtt_progress(struct rtt *r)
{
    r->backoff = 0;
}
