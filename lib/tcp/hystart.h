/* hystart.h: when slow start should end before it loses packets
 * Shape:   round-trip samples, rounds -> by what part of the acknowledged bytes the window grows
 * Source:  after RFC 9406 (HyStart++), paced (no bound on growth an ACK). Deviations: eight samples in a row are compared with the
 *          shortest so far, instead of whole rounds with each other, which is a round earlier; and a queue of half a round trip ends
 *          slow start at once. ACKs that a loop handles together count as one sample, the shortest: they may have waited for it
 * Owner:   cc_cubic.c
 * Units:   ns
 */
#ifndef TCP_HYSTART_H
#define TCP_HYSTART_H

#include <stdbool.h>
#include <stdint.h>

struct hystart {
    uint64_t round_ends_at; /* total delivered bytes */
    uint64_t shortest_ns, block_ns; /* of all, and of the last few; UINT64_MAX: none */
    uint64_t baseline_ns;
    uint64_t sampled_ns;
    uint32_t samples, careful_rounds;
    bool is_careful; /* conservative slow start: a queue seems to build */
};

void hystart_init(struct hystart *h);
/* One ACK in slow start: rtt_ns 0 without a sample; prior_delivered of the packet it acknowledges, total now. True: slow start is
 * over. */
bool hystart_ack(struct hystart *h, uint64_t rtt_ns, uint64_t prior_delivered, uint64_t total_delivered, uint64_t now);

#define HYSTART_CAREFUL_DIVISOR 4

#endif
