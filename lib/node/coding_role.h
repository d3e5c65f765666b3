/* coding_role.h: the router: pub/sub core, peers, dialing, and the rings to net and control
 * Shape:   net events, frames and client commands in; sends, dials, deliveries and traces out
 * Owner:   one worker lcore
 * Memory:  frames belong to the net role that lent them and go home to it; payloads that clients publish go home to
 *          control; payloads delivered are lent to control and come home here. Deliveries and traces are from fixed stocks
 * Limits:  with a ring full or the stock of deliveries empty the role takes no new input until there is room: nothing
 *          is lost, the peers' windows close. Traces alone are dropped (counted)
 */
#ifndef NODE_CODING_ROLE_H
#define NODE_CODING_ROLE_H

#include "base/bufpool.h"
#include "node/dialer.h"
#include "node/peers.h"
#include "node/snapshot.h"
#include "node/xcore.h"

#define CODING_DELIVERIES 2048
#define CODING_TRACES     2048

struct coding_config {
    struct pubsub_config pubsub;
    const char *own_mode;             /* "optimum" or "gossipsub": for the warning about peers in the other */
    const char *other_protocol;       /* a protocol id that only peers of the other mode list */
    enum pubsub_proto protocols[NET_MAX_PROTOCOLS]; /* what net_config.protocols mean, in the same order */
    const struct multiaddr *bootstrap;
    unsigned nbootstrap;
    struct peer_id self;
    struct rng *rng;
    const uint32_t *wants_traces;     /* set by control while anyone listens to traces */
};

struct coding_role {
    struct coding_config cfg;
    struct pubsub *ps;
    struct peers peers;
    struct dialer dialer;
    struct xout to_net, to_control;
    struct xring *from_net, *from_control;
    struct bufpool payloads;
    struct xhomes frames, sources;
    struct xdelivery *deliveries, *delivery_stock; /* free list; the whole stock */
    struct xtrace *traces, *trace_stock;
    bool is_leaving, has_left, has_closed;
    bool has_traces;      /* what the core was last told */
    bool has_more_output; /* a ring was too full for all that the core has to say */
    uint64_t leave_by_ns, mute_at_ns; /* mute_at_ns: when mute peers are looked for next */
    uint64_t frames_dropped, traces_dropped, notes_dropped;
};

/* Rings are set by the caller before. unix_ns: wall clock now, for sequence numbers. 0 or -1 (no memory). */
int coding_role_init(struct coding_role *r, const struct coding_config *cfg, uint64_t now, uint64_t unix_ns);
/* The node's end, all lcores and the hub stopped, the net role settled: takes in what is still in the rings and frees the
 * core. Afterwards r->frames and r->sources hold the buffers that belong to others. `kept`: what net had not got into
 * the ring. */
void coding_role_settle(struct coding_role *r, const struct xout *kept);
void coding_role_fini(struct coding_role *r);
unsigned coding_role_poll(struct coding_role *r, uint64_t now);
uint64_t coding_role_next_deadline(const struct coding_role *r);
bool coding_role_has_input(const struct coding_role *r);

#endif
