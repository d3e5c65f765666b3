/* rcvtune.h: how large a receive buffer a connection deserves
 * Shape:   bytes the user read, round trips -> a buffer of twice what one round trip brings, and more while that grows
 * Source:  dynamic right-sizing (Fisk and Feng), as the common systems do it: a sender in slow start doubles its window each
 *          round, so the buffer must be ahead of it
 * Owner:   embedded in the connection
 * Limits:  never beyond the configuration's; what all connections hold is bounded by the stack's pool
 */
#ifndef TCP_RCVTUNE_H
#define TCP_RCVTUNE_H

#include <stdint.h>

struct rcvtune {
    uint64_t rtt_ns; /* as the receiver sees it, by the peer's echo of our timestamps; 0: not yet */
    uint64_t round_ns;
    uint64_t round_bytes, last_bytes; /* read in this round and in the last */
};

/* A sample of ours. */
void rcvtune_rtt(struct rcvtune *t, uint64_t rtt_ns);
/* The user read n bytes; returns the buffer's size from now on, at least `size` and at most `max`. */
uint32_t rcvtune_read(struct rcvtune *t, uint32_t n, uint64_t rtt_ns, uint32_t size, uint32_t max, uint64_t now);

#endif
