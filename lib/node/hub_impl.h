/* hub_impl.h: the hub's inside, shared by its own files alone
 * Owner:   fields under `lock` unless said otherwise; the dispatch thread alone owns `delivered` and pops from_coding
 */
#ifndef NODE_HUB_IMPL_H
#define NODE_HUB_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/machine.h"
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
    char name[PUBSUB_TOPIC_MAX + 1];
};

struct hub_source { /* a client's payload on its way through the core */
    struct buf buf;
    void (*release)(void *user);
    void *user;
};

struct hub_counters { /* relaxed atomics: statistics only */
    _Atomic uint64_t published, published_bytes, duplicates, refused_size, refused_topic, refused_full, failed;
    _Atomic uint64_t delivered, delivered_bytes, delivered_duplicates, traces, snapshots_late;
};

struct hub {
    struct hub_config cfg;
    char peer_id[PEER_ID_TEXT_MAX], p2p_address[MULTIADDR_TEXT_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a snapshot came back, the lcores left, a callback ended */
    pthread_t thread;
    bool has_thread, is_stopping, has_left;
    uint32_t stop, wants_traces;
    struct list subscribers;
    struct hub_subscriber *calling; /* whose callback runs now */
    struct map topics;              /* name -> struct hub_topic * */
    struct seen_payloads published;
    struct seen_payloads delivered; /* dispatch thread */
    struct hub_counters n;
    uint64_t started_ns;
    char not_ready[200];
    struct machine machine;
};

/* Pushes m to the coding role; with `lock` held. Waits for room when must, which always comes: the role takes what comes
 * home even when it takes nothing else. */
bool hub_push_locked(struct hub *h, const struct xmsg *m, bool is_must);
void *hub_dispatch_run(void *hub);
void hub_drain(struct hub *h);
/* Encodes t as kind 2 or 3; NULL: no memory. */
struct hub_trace *hub_trace_encode(const struct xtrace *t, const struct peer_id *self, int kind);
/* A snapshot of the lcores, or NULL when none came in a second; free() it. */
struct snapshot *hub_snapshot(struct hub *h);

#endif
