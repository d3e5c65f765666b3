/* yamux_window.h: one stream's receive window, and how it grows
 * Shape:   bytes received, bytes consumed, now -> allowed or not; credit to grant
 * Source:  yamux spec, section Flow Control; growth as go and js do it: doubled when a whole half window was used up
 *          within four round trips
 * Owner:   the stream
 * Units:   bytes; ns
 * Limits:  left never exceeds max, and max never exceeds the cap given
 */
#ifndef LIBP2P_YAMUX_WINDOW_H
#define LIBP2P_YAMUX_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct yamux_window {
    uint32_t left;     /* what the peer may still send */
    uint32_t max;      /* what we are ready to have granted at most */
    uint32_t consumed; /* taken by the consumer and not granted again yet */
    uint64_t granted_ns; /* when credit was last given, at first when the stream began */
};

void yamux_window_init(struct yamux_window *w, uint64_t now);
/* The peer announces n bytes. False: more than it was allowed; w is unchanged. */
bool yamux_window_receive(struct yamux_window *w, uint32_t n);
/* The consumer took n bytes that were received. True: enough to be worth a grant. */
bool yamux_window_consume(struct yamux_window *w, uint32_t n);
/* Credit to put into a WindowUpdate now; may be 0. rtt_ns 0: not known, no growth. */
uint32_t yamux_window_grant(struct yamux_window *w, uint32_t cap, uint64_t rtt_ns, uint64_t now);

/* Send credit: 64 bits wide, since the peer may grant 4 GiB at a time for as long as it likes; clamped. */
#define YAMUX_CREDIT_MAX (UINT64_C(1) << 40)

static inline uint64_t yamux_credit_add(uint64_t credit, uint32_t delta)
{
    return credit + delta > YAMUX_CREDIT_MAX ? YAMUX_CREDIT_MAX : credit + delta;
}

#endif
