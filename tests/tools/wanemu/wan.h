/* wan.h: the emulated network: what happens to a packet between two ends
 * Shape:   packets and time in, packets when they are due out; no sockets, no clock
 *              sender's uplink -> the pair's link (rate, queue) -> loss -> delay and jitter -> receiver's downlink -> out
 *          A link is a queue of bytes before a rate; full, it drops the new packet (tail drop), above its mark it sets CE on what
 *          may be marked
 *          ARP passes at once: how ends find each other is no matter of the network that is emulated
 * Seed:    each ordered pair draws from a generator of its own, so which of its packets are lost depends on the seed and their number alone
 * Owner:   one thread
 * Memory:  holds a reference of each frame under way; bounded by held_max
 * Units:   ns monotonic; bytes of Ethernet frames, headers included; loss in millionths
 * Limits:  WAN_NODES_MAX ends; packets in one direction between two ends stay in order unless the path reorders
 */
#ifndef WANEMU_WAN_H
#define WANEMU_WAN_H

#include "base/rng.h"
#include "frame.h"

#define WAN_NODES_MAX 32

/* A rate with a queue before it. */
struct wan_link {
    uint64_t rate; /* bytes a second; 0: no bound */
    uint64_t queue_bytes; /* with the packet that is being sent; 0: no bound */
    uint64_t mark_bytes;  /* 0: never */
    uint64_t busy_ns;     /* until when what is queued needs */
    uint64_t dropped, marked;
};

struct wan_path {
    struct wan_link link;
    uint64_t delay_ns, jitter_ns; /* delay and up to jitter more */
    uint32_t loss;
    bool reorders;
    uint64_t last_ns; /* arrival of the last packet */
    uint64_t packets, bytes, lost;
    struct rng rng;
};

struct wan_packet {
    uint64_t due_ns, order;
    struct wan_frame *frame;
    uint32_t index; /* of the frame's packets */
    uint8_t to;
    bool is_ce, is_at_downlink;
};

struct wan {
    unsigned nodes;
    struct wan_path path[WAN_NODES_MAX][WAN_NODES_MAX]; /* [from][to] */
    struct wan_link up[WAN_NODES_MAX], down[WAN_NODES_MAX];
    struct wan_packet *heap; /* by due_ns, then order */
    size_t count, cap;
    uint64_t order;
    uint64_t held_bytes, held_max, overrun; /* overrun: packets that held_max refused */
};

/* held_max: bytes of packets under way. */
void wan_init(struct wan *w, unsigned nodes, uint64_t seed, uint64_t held_max);
void wan_fini(struct wan *w);
/* Chance begins anew: the n-th packet of a path from now on meets what the n-th after wan_init with this seed met. */
void wan_seed(struct wan *w, uint64_t seed);

/* All packets of a frame set out from one end to another. Takes references of its own. */
void wan_input(struct wan *w, unsigned from, unsigned to, struct wan_frame *f, uint64_t now);
/* The next time for wan_output; UINT64_MAX: nothing is under way. */
uint64_t wan_next_deadline(const struct wan *w);
/* The next packet that is due, in order of time; the frame's reference is the caller's now. false: none. */
bool wan_output(struct wan *w, struct wan_packet *out, uint64_t now);

#endif
