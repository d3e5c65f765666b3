/* coded_net.h: coded routers joined by a virtual network with a virtual clock
 * Shape:   a graph of nodes; each is a real struct coded behind a small host that stands in for the pub/sub core
 * Note:    links keep order like streams; loss drops whole RPCs, which a stream never does: the router must not mind
 */
#ifndef TESTS_CODED_NET_H
#define TESTS_CODED_NET_H

#include "libp2p/keys.h"
#include "pubsub/coded.h"

enum { NET_NODES_MAX = 300, NET_MESSAGES_MAX = 64 };

struct net_node {
    struct net *net;
    unsigned index;
    struct coded *c;
    struct key_pair key;
    struct peer_id id;
    struct rng rng;
    struct pubsub_config cfg;
    struct pubsub_counters n;
    uint64_t seqno, busy_until, heartbeat_at;
    uint64_t out_bytes, out_rpcs;
    uint64_t delivered_at[NET_MESSAGES_MAX]; /* by message number; 0: not yet */
    unsigned deliveries, wrong, upstream_zero;
    unsigned penalties;
    double worst_penalty;
    unsigned penalized[NET_NODES_MAX]; /* times, by node */
    unsigned forged[NET_NODES_MAX];    /* of them for what was proven */
    double useful[NET_NODES_MAX];      /* shares of messages that each sent first */
    const char *rule;
    uint64_t traces[32], dense_traces;
    bool is_dead, is_subscribed;
};

struct net_event {
    uint64_t at_ns, order;
    unsigned from, to;
    struct buf *frame;
};

struct net {
    struct net_node nodes[NET_NODES_MAX];
    unsigned count;
    bool mesh[NET_NODES_MAX][NET_NODES_MAX], linked[NET_NODES_MAX][NET_NODES_MAX];
    uint64_t last_arrival[NET_NODES_MAX][NET_NODES_MAX];
    struct net_event *heap;
    size_t events, cap;
    uint64_t now, order, latency_ns, jitter_ns;
    double bytes_per_ns, loss;
    struct rng rng;
    uint64_t sent_at[NET_MESSAGES_MAX];
    struct buf *messages[NET_MESSAGES_MAX];
    unsigned message_count;
    /* Looks at, changes or swallows (false) a frame on its way. */
    bool (*tap)(struct net *n, unsigned from, unsigned to, struct buf *frame);
};

struct net_config {
    unsigned nodes, degree; /* degree 0: everyone meshed with everyone */
    unsigned hubs, hub_mesh; /* not 0: so many nodes in a line, no mesh between them; all others know one of them only, and are in
                              * the mesh of it if they are among its first hub_mesh */
    unsigned k;
    double mult, threshold, loss;
    uint64_t latency_ns, seed;
    double gbit_s; /* each node's sending rate */
    uint32_t small_bytes;
};

void net_open(struct net *n, const struct net_config *cfg);
void net_close(struct net *n);
/* Joins or parts two nodes' meshes; both hear of it. */
void net_graft(struct net *n, unsigned a, unsigned b);
void net_part(struct net *n, unsigned a, unsigned b);
/* A node that vanishes with all its links. */
void net_kill(struct net *n, unsigned a);
/* Publishes `size` random bytes; returns the message's number. */
unsigned net_publish(struct net *n, unsigned node, uint32_t size);
void net_run(struct net *n, uint64_t until_ns);
/* Runs until all live subscribers have all messages, or the time is over. */
bool net_run_delivered(struct net *n, uint64_t until_ns);
/* Did every live subscriber get every message, once, right? */
bool net_is_complete(const struct net *n);
/* Sends raw fields as if they came from a to b. */
void net_inject(struct net *n, unsigned from, unsigned to, struct slice fields);

struct net_report {
    uint64_t p50_ns, p95_ns, out_bytes, needed_bytes;
    uint64_t shards_new, shards_useless, asked;
};
struct net_report net_report(const struct net *n);

#endif
