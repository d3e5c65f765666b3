/* rtt.h: round-trip time estimate and retransmission timeout
 * Shape:   samples -> smoothed time, variance, timeout; backoff
 * Source:  RFC 6298, with the gains divided among the samples of a round as RFC 7323 appendix G has it.
 *          Deviation: the floor applies to the variance term (timeout = srtt + max(4 * rttvar, floor)), so a steady
 *          path's timeout never comes within a delayed ACK of its round-trip time
 * Units:   ns
 */
#ifndef TCP_RTT_H
#define TCP_RTT_H

#include <stdbool.h>
#include <stdint.h>

struct rtt {
    uint64_t srtt_ns; /* 0: no sample yet */
    uint64_t rttvar_ns;
    uint64_t min_ns; /* the smallest sample; UINT64_MAX before the first */
    uint64_t floor_ns, max_ns;
    uint32_t backoff; /* doublings since the last good sample */
};

#define RTT_INITIAL_RTO_NS 1000000000ull

void rtt_init(struct rtt *r, uint64_t floor_ns, uint64_t max_ns);
/* samples_per_round >= 1: how many such samples one round-trip gives. */
void rtt_sample(struct rtt *r, uint64_t rtt_ns, uint32_t samples_per_round);
/* The timeout with its backoff. */
uint64_t rtt_rto_ns(const struct rtt *r);
void rtt_backoff(struct rtt *r);
/* New data were acknowledged: the path is alive again. */
void rtt_progress(struct rtt *r);

#endif
