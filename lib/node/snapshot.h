/* snapshot.h: what a node looks like at one moment, gathered by a message that visits each role
 * Owner:   whoever holds the message X_SNAPSHOT; made and read by control
 */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include "libp2p/kad.h"
#include "node/xcore.h"
#include "pubsub/coded.h"

#define SNAPSHOT_PEERS       1024
#define SNAPSHOT_TOPICS      256
#define SNAPSHOT_GENERATIONS 1024
#define SNAPSHOT_RINGS       4

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
};

struct snapshot_ring {
    const char *name;
    uint64_t pushed, full;
    uint32_t depth, peak;
};

struct snapshot {
    unsigned npeers, ntopics, ngenerations, nbootstrap_waiting, nrings;
    uint64_t now_ns;
    struct pubsub_counters pubsub;
    struct net_counters net;
    char driver[160];
    struct multiaddr listen;
    struct multiaddr found[OBSERVED_ADDRS]; /* ours, confirmed by peers */
    unsigned nfound;
    uint64_t observed_refused;
    struct snapshot_ring rings[SNAPSHOT_RINGS];
    struct kad_counters kad; /* zeroes without a DHT */
    unsigned peers_known;
    uint64_t peers_trimmed, peers_idle_closed, peers_turned_away, peers_unkept, identities_dropped, dials;
    uint64_t publishes_waiting, publishes_held; /* now; all that had to wait */
    uint64_t frames_dropped, send_dropped, pool_refused, traces_dropped, notes_dropped, notes_left_out;
    bool is_done; /* control's, under the hub's mutex */
    bool is_abandoned;
    struct pubsub_topic_info topics[SNAPSHOT_TOPICS];
    struct coded_generation_info generations[SNAPSHOT_GENERATIONS];
    struct snapshot_peer peers[SNAPSHOT_PEERS];
};

/* Called by the ring's producer, whose counts these are. */
static inline void snapshot_add_ring(struct snapshot *s, const char *name, const struct xring *r)
{
    if (s->nrings < SNAPSHOT_RINGS)
        s->rings[s->nrings++] = (struct snapshot_ring){name, r->pushed, r->full, xring_count(r), r->peak};
}

#endif
