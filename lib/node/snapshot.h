/* snapshot.h: what a node looks like at one moment, gathered by a message that visits each role
 * Owner:   whoever holds the message X_SNAPSHOT; made and read by control
 */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include "libp2p/kad.h"
#include "node/layout.h"
#include "node/xcore.h"
#include "pubsub/coded.h"

#define SNAPSHOT_PEERS       1024
#define SNAPSHOT_TOPICS      (PUBSUB_TOPICS_MAX + 256) /* all of ours, and some that only peers are in */
#define SNAPSHOT_GENERATIONS 1024
#define SNAPSHOT_RINGS       (2 * NET_ROLES_MAX + 2 + 2 * LAYOUT_CODING_MAX)

struct snapshot_peer {
    struct pubsub_peer_info info; /* peer 0: connected, but no pub/sub stream */
    struct peer_id id;
    struct multiaddr addr;
    bool is_dialer, has_stream;
    unsigned conns;
    char agent[64], protocol[48];
    uint64_t rtt_ns, queue_bytes, connected_ns;
    uint64_t rpc_in, rpc_out, bytes_in, bytes_out; /* of pub/sub, since it connected */
    uint64_t meshes; /* bit i: in the mesh of topics[i], for the first 64 */
    bool is_in_asked; /* in the mesh of the topic that was asked about */
};

struct snapshot_ring {
    const char *name; /* the ring's own: of the node's life */
    uint64_t pushed, full, dropped;
    uint32_t depth, peak, capacity;
    uint64_t popped, batches, batch_peak; /* the consumer's */
};

struct snapshot_net { /* a net role */
    uint32_t conns, handshakes;
    uint64_t wire_in, wire_out, packets_in, packets_out, dropped_in, send_dropped;
};

struct snapshot {
    unsigned npeers, ntopics, ngenerations, nbootstrap_waiting, nrings;
    unsigned whole_holders, part_holders; /* pubsub_holders */
    uint64_t now_ns;
    struct pubsub_counters pubsub;
    struct net_counters net; /* of all roles */
    struct snapshot_net nets[NET_ROLES_MAX];
    unsigned nnets;
    char driver[160];
    struct multiaddr listen, listen6; /* where peers on the same network dial us; empty: not by that */
    struct multiaddr found[OBSERVED_ADDRS]; /* ours, confirmed by peers */
    unsigned nfound;
    uint64_t observed_refused;
    struct snapshot_ring rings[SNAPSHOT_RINGS];
    struct kad_counters kad; /* zeroes without a DHT */
    unsigned peers_known;
    uint64_t peers_trimmed, peers_idle_closed, peers_turned_away, peers_unkept, identities_dropped, dials;
    uint64_t publishes_waiting, publishes_held; /* now; all that had to wait */
    uint64_t jobs_here; /* of the router's jobs, those that no helper did */
    uint64_t frames_dropped, send_dropped, pool_refused, traces_dropped, notes_dropped, notes_left_out;
    bool is_done; /* control's, under the hub's mutex */
    bool is_abandoned;
    char about[PUBSUB_TOPIC_MAX + 1]; /* the topic that is asked about; "": none */
    bool is_about_known;
    struct pubsub_topic_info asked;
    struct pubsub_topic_info topics[SNAPSHOT_TOPICS]; /* the totals: pubsub.topics_now, pubsub.topics_ours_now */
    struct coded_generation_info generations[SNAPSHOT_GENERATIONS];
    struct snapshot_peer peers[SNAPSHOT_PEERS];
};

/* The entry of a ring; whichever end comes first makes it. NULL: too many. */
static inline struct snapshot_ring *snapshot_ring_of(struct snapshot *s, const struct xring *r)
{
    for (unsigned i = 0; i < s->nrings; i++)
        if (s->rings[i].name == r->name)
            return &s->rings[i];
    if (s->nrings == SNAPSHOT_RINGS)
        return NULL;
    s->rings[s->nrings] = (struct snapshot_ring){.name = r->name};
    return &s->rings[s->nrings++];
}

/* Called by the ring's producer, whose counts these are. */
static inline void snapshot_add_ring(struct snapshot *s, const struct xring *r)
{
    struct snapshot_ring *o = snapshot_ring_of(s, r);

    if (!o)
        return;
    o->pushed = r->pushed;
    o->full = r->full;
    o->dropped = r->dropped;
    o->depth = xring_count(r);
    o->peak = r->peak;
    o->capacity = xring_capacity(r);
}

/* The same by its consumer. */
static inline void snapshot_add_batches(struct snapshot *s, const struct xring *r)
{
    struct snapshot_ring *o = snapshot_ring_of(s, r);

    if (!o)
        return;
    o->popped = r->popped;
    o->batches = r->batches;
    o->batch_peak = r->batch_peak > r->run ? r->batch_peak : r->run;
}

#endif
