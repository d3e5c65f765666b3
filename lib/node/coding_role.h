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
#include "libp2p/kad.h"
#include "node/dialer.h"
#include "node/names.h"
#include "node/peers.h"
#include "node/ring_watch.h"
#include "node/snapshot.h"
#include "node/xcore.h"

#define CODING_DELIVERIES 2048
#define CODING_TRACES     2048
#define CODING_ASKS       16 /* questions of the DHT that wait for a dial */

struct coding_config {
    struct pubsub_config pubsub;
    const char *own_mode;             /* "optimum" or "gossipsub": for the warning about peers in the other */
    const char *other_protocol;       /* a protocol id that only peers of the other mode list */
    enum pubsub_proto protocols[NET_MAX_PROTOCOLS]; /* what net_config.protocols mean, in the same order */
    const struct multiaddr *bootstrap;
    unsigned nbootstrap;
    const struct peer_id *direct; /* peers of explicit agreements */
    unsigned ndirect;
    const struct multiaddr *addrs;    /* ours, as others dial them: for the DHT; borrowed until init has copied them */
    unsigned naddrs;
    bool finds_addrs;                 /* announce those too that peers have confirmed; their port is listen_port */
    uint16_t listen_port;
    uint64_t record_seq;              /* of the signed record that identify carries at first */
    const char *kad_protocol;         /* NULL: no DHT. services[0] of the net role */
    bool has_loopback;                /* we are on loopback: peers may be too */
    unsigned max_peers, conn_low, conn_high;
    struct peer_id self;
    struct rng *rng;
    const uint32_t *wants_traces;     /* set by control while anyone listens to traces */
};

enum coding_wait { CODING_WAITS_FOR_NOBODY, CODING_BOOTSTRAP_AWAY, CODING_ALONE };

struct coding_ask {
    uint64_t token; /* 0: free */
    uint64_t until_ns;
    struct peer_id peer;
    uint16_t len;
    uint8_t request[KAD_KEY_MAX + 16];
};

/* The way to one net role and back. */
struct coding_net {
    struct xout out;
    struct xring *in;
    struct xhomes frames; /* of its pool, on their way home */
    unsigned conns;       /* its connections, and dials under way */
};

/* The same for a helper (helper_role.h). */
struct coding_helper {
    struct xout out;
    struct xring *in;
    unsigned jobs; /* out at it */
};

struct coding_role {
    struct coding_config cfg;
    struct pubsub *ps;
    struct peers peers;
    struct peerstore store;
    struct dialer dialer;
    struct names names;
    struct kad *kad; /* NULL: none */
    struct observed observed;
    struct multiaddr own[XSELF_ADDRS]; /* what cfg.addrs is: the first nfixed as given */
    unsigned nown, nfixed;
    bool owes_self; /* to the net role */
    uint64_t record_seq;
    struct coding_ask asks[CODING_ASKS];
    enum coding_wait waits;  /* what was last said of it */
    const char *dial_reason; /* why the last dial failed; static text */
    struct coding_net nets[NET_ROLES_MAX]; /* nets[i] is role i of the connections' ids */
    unsigned nnets, first_net;
    struct coding_helper helpers[LAYOUT_CODING_MAX];
    unsigned nhelpers, jobs_out;
    struct pubsub_helper *own_helper; /* for the share that is done here */
    uint64_t jobs_here;
    struct xout to_control;
    struct xring *from_control;
    struct bufpool payloads;
    struct xhomes sources;
    struct xpublish *held, *held_last; /* publishes that wait: coding_held.c */
    uint64_t held_ns;                  /* since when the first of them is the first */
    uint64_t nheld, publishes_held;    /* now; all so far */
    struct xdelivery *deliveries, *delivery_stock; /* free list; the whole stock */
    struct xtrace *traces, *trace_stock;
    bool is_leaving, has_left, has_closed;
    bool has_traces;      /* what the core was last told */
    bool has_more_output; /* a ring was too full for all that the core has to say */
    bool has_more_kad;    /* the same of the DHT's core: until somebody is asked it waits for nothing else */
    struct ring_watch to_nets_watch[NET_ROLES_MAX], to_helpers_watch[LAYOUT_CODING_MAX], to_control_watch; /* coding_upkeep.c */
    uint64_t leave_by_ns, upkeep_at_ns, scores_at_ns, waits_since_ns, now_ns;
    uint64_t frames_dropped, traces_dropped, notes_dropped;
    uint64_t peer_notes_ns, peer_notes_left_out, peer_notes_told; /* coding_peer_note */
    uint64_t trimmed, idle_closed, refused_full, px_dials, identities_dropped;
};

/* Rings, nnets and nhelpers are set by the caller before. unix_ns: wall clock now, for sequence numbers. 0 or -1 (no memory). */
int coding_role_init(struct coding_role *r, const struct coding_config *cfg, uint64_t now, uint64_t unix_ns);
/* The node's end, all lcores and the hub stopped, the net roles settled: takes in what is still in the rings and frees the
 * core. Afterwards nets[i].frames and r->sources hold the buffers that belong to others. kept[i]: what net role i had not
 * got into its ring. */
void coding_role_settle(struct coding_role *r, const struct xout *const kept[]);
void coding_role_fini(struct coding_role *r);
unsigned coding_role_poll(struct coding_role *r, uint64_t now);
uint64_t coding_role_next_deadline(struct coding_role *r);
/* Can it not go on without what control has of ours? */
bool coding_role_needs_home(const struct coding_role *r);
bool coding_role_has_input(const struct coding_role *r);

#endif
