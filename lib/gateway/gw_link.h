/* gw_link.h: the seam between the gateway and one node
 * Shape:   publishes and topic wishes down; state, answers, messages and health up. gw_link_grpc.h reaches a node's sidecar;
 *          the program that holds a node and a gateway brings a link of its own to that node
 * Owner:   the pool calls publish, want_topic, ask_health, ask_topics and tick under its lock: they neither block nor call
 *          back, but for gw_node_up. The link calls gw_node_... on threads of its own, without holding anything that its
 *          operations want
 * Memory:  the link is the pool's from gw_pool_new on, which frees it. A struct gw_publish is lent for the time of the call:
 *          what the link keeps of it, it copies or references
 */
#ifndef GATEWAY_GW_LINK_H
#define GATEWAY_GW_LINK_H

#include "base/list.h"
#include "gateway/gw_delivery.h"

#define GW_NODES_MAX 64
/* Topics that our nodes take (lib/pubsub/pubsub.h): the bound while no node has told its own. */
#define GW_TOPICS_MAX 2048
#define GW_TOPICS_CEILING 100000 /* whatever nodes tell */

struct gateway;
struct gw_lane;
struct gw_node;
struct gw_result;

/* r is valid during the call. */
typedef void gw_publish_fn(void *user, const struct gw_result *r);

struct gw_waiter {
    struct gw_waiter *next;
    gw_publish_fn *fn;
    void *user;
};

/* One message on its way to a node. */
struct gw_publish {
    struct gateway *gw;
    struct slice topic; /* in topic_text */
    uint8_t id[GW_ID_BYTES];
    char id_hex[2 * GW_ID_BYTES + 1];
    struct rpc_msg *payload;
    uint64_t start_ns;

    /* the gateway's */
    struct gw_waiter *waiters, first; /* first: of who began it; more are on the heap */
    uint64_t hash;
    struct gw_publish *next; /* of those under way, in one chain */

    /* the pool's */
    struct list link;
    uint64_t sent_ns, tried; /* tried: bit n: node n */
    unsigned node;
    bool is_repeat; /* was confirmed once by a node that is gone: nobody waits for it */
    bool is_again;  /* may have reached its node by a lane that broke: a repeat there is no other's message */
    struct gw_lane *lane; /* that it went by; NULL: none (gw_lane.c) */
    uint32_t lane_number;

    struct rpc_msg *request; /* the gRPC links': made by the first, used again by the next; NULL: not yet */

    char topic_text[GW_NAME_MAX]; /* last: what is before it begins as zeroes */
};

struct gw_link {
    const struct gw_link_ops *ops;
    struct gw_node *node; /* set by the pool before start */
    char target[128];     /* names the node to people and to clients: host:port of its sidecar */
};

/* topics NULL: the node did not say. They are read in the call. */
typedef void gw_topics_fn(void *user, char *const *topics, size_t n);

struct gw_link_ops {
    /* Begins to connect. False: no memory or no thread; only stop and free follow. */
    bool (*start)(struct gw_link *l);
    /* True: taken; gw_node_answered follows, unless the node goes down before. False: no room, or no memory. */
    bool (*publish)(struct gw_link *l, struct gw_publish *p);
    /* Called for each wanted topic again when the link comes up. */
    void (*want_topic)(struct gw_link *l, struct slice topic, bool wanted);
    /* True: gw_node_health follows. */
    bool (*ask_health)(struct gw_link *l);
    /* True: answer(user, ..) follows, also when the link stops. */
    bool (*ask_topics)(struct gw_link *l, gw_topics_fn *answer, void *user);
    /* A few times a second; NULL: of no use to this link. */
    void (*tick)(struct gw_link *l, uint64_t now);
    /* No callback runs after it returned. */
    void (*stop)(struct gw_link *l);
    void (*free)(struct gw_link *l);
};

/* What a publish came to. text: the node's own words, or NULL. http: the node's status, or 0. */
struct gw_outcome {
    int err; /* GW_OK or GW_E_... */
    bool is_duplicate;
    const char *text;
    int http;
};

/* The node said no. text lives as long as the outcome. */
struct gw_outcome gw_outcome_refused(int http, const char *text);

/* What a node says of itself. Texts may be NULL. */
struct gw_node_health {
    const char *country, *country_iso, *p2p_address, *mode;
    double memory_used, cpu_used, disk_used;
    uint64_t max_message_bytes; /* 0: it does not tell */
    uint32_t max_topics, topics; /* that it may have, for all its clients together (0: it does not tell), and has */
};

/* ---- implemented by the pool, for links ---- */

/* The lock that operations are called under; for what a link shares between them and its own threads. */
void gw_node_lock(struct gw_node *n);
void gw_node_unlock(struct gw_node *n);
/* With the lock: operations may come from now on; the wanted topics come before it returns. */
void gw_node_up(struct gw_node *n, uint64_t now);
/* With the lock, while up: whether it is wise to send it new publishes. What it has may still be answered. */
void gw_node_set_ready(struct gw_node *n, bool is_ready);
/* What lost its node may try this one. Without the lock, after gw_node_up. */
void gw_node_retry(struct gw_node *n, uint64_t now);
/* Publishes not answered yet go to other nodes. When it returned no operation but tick and stop comes until gw_node_up. */
void gw_node_down(struct gw_node *n);
/* The answer to one publish. */
void gw_node_answered(struct gw_node *n, struct slice topic, const uint8_t id[GW_ID_BYTES], const struct gw_outcome *o);
/* The answer to ask_health, or told unasked. h NULL: no answer. */
void gw_node_health(struct gw_node *n, const struct gw_node_health *h);
/* It is not subscribed to this topic, though it was asked. why: its own words, read in the call. */
void gw_node_refused_topic(struct gw_node *n, struct slice topic, const char *why);
/* This node had this message. d is read, and its forms may be built. */
void gw_node_incoming(struct gw_node *n, struct gw_delivery *d);
/* It sent something that cannot be read. */
void gw_node_bad(struct gw_node *n);
/* It dropped messages or answers for us, because we read too slowly. */
void gw_node_lost(struct gw_node *n, uint64_t messages);
bool gw_node_is_stopping(struct gw_node *n);

#endif
