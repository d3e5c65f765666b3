/* gw_pool_impl.h: the pool's inside (inside the room only)
 * Locks:   pool.lock guards everything below but what is constant after new. gRPC calls are made under it: lib/rpc never
 *          calls back from inside them
 */
#ifndef GATEWAY_GW_POOL_IMPL_H
#define GATEWAY_GW_POOL_IMPL_H

#include <pthread.h>

#include "base/map.h"
#include "gateway/gw_balance.h"
#include "gateway/gw_pool.h"
#include "rpc/rpc_client.h"

struct gw_pool;

struct gw_node {
    struct gw_pool *pool;
    unsigned index;
    struct rpc_client *client;

    bool is_ready;           /* the channel's state */
    struct rpc_call *stream; /* NULL: none, reopened at retry_ns */
    uint64_t retry_ns;
    struct list inflight; /* struct gw_publish in the order they were sent */
    uint64_t inflight_bytes;
    struct gw_load load;
    bool is_mute;      /* its health says it is not one of ours, and it never answered a publish */
    bool has_answered; /* a publish */
    bool asking_health;
    uint64_t health_ns; /* asked */
    struct gw_node_info info;
};

struct gw_pool {
    struct gw_upstream up;
    struct gateway *gw;
    struct rpc_loop *loops[2];
    unsigned n_nodes;
    pthread_mutex_t lock;
    struct map by_key; /* publishes in flight: id and topic */
    struct map wanted; /* topics */
    struct map known;  /* topics that nodes named lately */
    uint64_t known_ns;
    struct list waiting; /* publishes that lost their node and found no other */
    uint64_t queue_bytes; /* published to one node and not confirmed: at most so many */
    uint64_t clock;       /* of the shares: gw_balance.h */
    unsigned next;        /* round robin among equals */
    bool stopping;
    struct gw_node nodes[GW_NODES_MAX];
};

/* gw_pool_send.c */
void gw_pool_publish(struct gw_upstream *u, struct gw_publish *p);
/* A node's answer to a publish: JSON. */
void gw_pool_answer(struct gw_node *n, struct slice data);
/* Under the lock: takes everything off the node; the caller passes it to gw_pool_resend without the lock. */
void gw_pool_take_inflight(struct gw_node *n, struct list *out);
void gw_pool_resend(struct gw_pool *pool, struct list *publishes);
void gw_pool_check_answers(struct gw_pool *pool, uint64_t now);
/* Tries those that wait again. */
void gw_pool_retry_waiting(struct gw_pool *pool, uint64_t now);

/* gw_pool_health.c */
void gw_pool_ask_health(struct gw_node *n, uint64_t now); /* under the lock */
void gw_pool_ask_topic(struct gw_upstream *u, struct slice topic, void (*answer)(void *user, bool is_known),
                       void *user);

/* Request {command, data, topic} without data. NULL: no memory. */
struct rpc_msg *gw_pool_request(int command, struct slice topic);

static inline bool gw_node_is_up(const struct gw_node *n)
{
    return n->is_ready && n->stream;
}

#endif
