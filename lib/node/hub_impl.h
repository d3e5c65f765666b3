/* hub_impl.h: the hub's inside, shared by its own files alone
 * Owner:   fields under `lock` unless said otherwise; the dispatch thread alone pops from_coding
 */
#ifndef NODE_HUB_IMPL_H
#define NODE_HUB_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/machine.h"
#include "http/http_metrics.h"
#include "node/hub_xcore.h"
#include "node/seen_payloads.h"
#include "node/snapshot.h"

struct hub_subscriber {
    struct list node;
    struct hub *hub;
    struct hub_subscriber_ops ops;
    void *user;
    struct map topics; /* topic -> (void *)1 */
};

struct hub_topic {
    unsigned subscribers;
    bool is_relayed; /* stays when the last subscriber goes */
    char name[PUBSUB_TOPIC_MAX + 1];
};

struct hub_source { /* a client's payload on its way through the core */
    struct buf buf;
    void (*release)(void *user);
    void *user;
};

struct hub_late { /* a queue that grows; the dispatch thread empties it */
    struct xmsg *m;
    size_t first, count, cap;
};

struct hub_counters { /* relaxed atomics: statistics only */
    _Atomic uint64_t published, published_bytes, duplicates, refused_size, refused_topic, refused_full, failed;
    _Atomic uint64_t delivered, delivered_bytes, delivered_duplicates, traces, snapshots_late, late, late_lost;
};

struct hub {
    struct hub_config cfg;
    void (*resolve)(void *user, unsigned index, const struct multiaddr *addr); /* NULL: names stay unresolved */
    void *resolve_user;
    char peer_id[PEER_ID_TEXT_MAX], p2p_address[MULTIADDR_TEXT_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a snapshot came back, the lcores left, a callback ended */
    pthread_t thread;
    bool has_thread, is_stopping, has_left;
    unsigned snapshots_out; /* on their way through the roles */
    uint64_t answered_ns;   /* when one came back last */
    uint64_t failed_told_ns; /* the dispatch thread's: the last warning of a publish that failed */
    unsigned publishing;    /* publishes that the coding role has not answered yet, and their bytes */
    uint64_t publishing_bytes;
    struct hub_late late;   /* what had to go to the coding role and found its ring full */
    uint32_t stop, wants_traces;
    struct list subscribers;
    struct hub_subscriber *calling; /* whose callback runs now */
    struct map topics;              /* name -> struct hub_topic * */
    struct seen_payloads published, delivered;
    struct hub_counters n;
    struct metrics_hist sizes; /* of payloads delivered; any thread */
    uint64_t started_ns;
    struct machine machine;
};

/* Pushes m to the coding role; with `lock` held, never waits: a thread that waited here for the role, which may itself
 * wait for the dispatch thread, which may want the lock, would wait for ever. What must go and finds no room is sent
 * later by the dispatch thread, in order; what that costs is bounded by what is lent to clients and by their topics.
 * False: no room, or (must) no memory. */
bool hub_push_locked(struct hub *h, const struct xmsg *m, bool is_must);
/* The same of what goes home: it must, and wakes nobody who can do without. */
bool hub_push_home_locked(struct hub *h, const struct xmsg *m);
void *hub_dispatch_run(void *hub);
/* Sends what is late as far as the ring takes it; with `lock` held. True when nothing is left. */
bool hub_flush_late_locked(struct hub *h);
void hub_drain(struct hub *h);
/* Encodes t as kind 2 or 3; NULL: no memory. */
struct hub_trace *hub_trace_encode(const struct xtrace *t, const struct peer_id *self, int kind);
/* A snapshot of the lcores, or NULL when none came in a second; free() it. */
struct snapshot *hub_snapshot(struct hub *h);
/* The same, with what is known of this topic. */
struct snapshot *hub_snapshot_about(struct hub *h, const char *topic);

#endif
