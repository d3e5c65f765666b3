/* gw_upstream.h: the seam between the gateway and its nodes
 * Shape:   publishes and topic wishes down; confirmations and messages up. Over gRPC it is the pool (gw_pool.h); a gateway
 *          inside a node puts rings in its place
 * Owner:   any thread may call the operations, none may block. Answers come on the upstream's threads, also
 *          before the operation returned
 * Memory:  a struct gw_publish belongs to the upstream from publish until gw_publish_done
 */
#ifndef GATEWAY_GW_UPSTREAM_H
#define GATEWAY_GW_UPSTREAM_H

#include "base/list.h"
#include "gateway/gw_delivery.h"

#define GW_NODES_MAX 64

struct gateway;
struct gw_waiter;

/* One message on its way to a node. */
struct gw_publish {
    struct gateway *gw;
    struct slice topic; /* in topic_text */
    char topic_text[GW_NAME_MAX];
    uint8_t id[GW_ID_BYTES];
    char id_hex[2 * GW_ID_BYTES + 1];
    struct rpc_msg *payload;
    uint64_t start_ns;
    struct gw_waiter *waiters; /* the gateway's */

    /* the upstream's */
    struct list link;
    struct rpc_msg *request;
    uint64_t sent_ns, tried; /* tried: bit n: node n */
    unsigned node;
};

struct gw_node_info {
    char target[128];
    bool is_healthy;
    char country[64], country_iso[8], p2p_address[192], mode[16];
    double memory_used, cpu_used, disk_used;
    uint64_t max_message_bytes; /* 0: unknown */
    uint64_t published, received, reconnects, unconfirmed;
    uint64_t answer_ns, queued_bytes; /* smoothed time of an answer; published and not confirmed */
};

struct gw_upstream {
    const struct gw_upstream_ops *ops;
};

struct gw_upstream_ops {
    /* Ends with gw_publish_done(p, ...), whatever happens. */
    void (*publish)(struct gw_upstream *u, struct gw_publish *p);
    /* Under the registry's write lock. */
    void (*want_topic)(struct gw_upstream *u, struct slice topic, bool wanted);
    /* Does any node know the topic? answer(user, ..) runs once, maybe at once. */
    void (*ask_topic)(struct gw_upstream *u, struct slice topic, void (*answer)(void *user, bool is_known),
                      void *user);
    unsigned (*nodes)(struct gw_upstream *u, struct gw_node_info *out, unsigned cap);
    /* Bit n: node n can be reached now. */
    uint64_t (*reachable)(struct gw_upstream *u);
    /* The largest payload that every reachable node takes; 0: not learned yet. */
    uint64_t (*max_message_bytes)(struct gw_upstream *u);
    /* A few times a second, from one thread. */
    void (*tick)(struct gw_upstream *u, uint64_t now);
    /* No callback runs after it returned; publishes still under way end with GW_E_STOPPING. */
    void (*stop)(struct gw_upstream *u);
    void (*free)(struct gw_upstream *u);
};

/* What a publish came to. text: the node's own words, or NULL. http: the node's status, or 0. */
struct gw_outcome {
    int err; /* GW_OK or GW_E_... */
    bool is_duplicate;
    const char *text;
    int http;
};

/* ---- implemented by the gateway, for upstreams ---- */
void gw_publish_done(struct gw_publish *p, const struct gw_outcome *o);
/* Node `node` had this message. d is read, and its forms may be built. */
void gateway_incoming(struct gateway *gw, unsigned node, struct gw_delivery *d);

#endif
