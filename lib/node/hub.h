/* hub.h: the node as the control plane sees it: publish, subscribe, deliveries, traces, snapshots
 * Shape:   control threads (gRPC sidecar, HTTP API, an embedded gateway) on one side, the coding lcore's rings on the other
 * Owner:   the hub; safe from any control thread, never called from an lcore. A mutex is fine here
 * Memory:  hub_message and hub_trace are refcounted (atomic) and immutable; hold with hub_message_ref
 * Errors:  0 or -HUB_E...; hub_err_text gives the sentence for a client
 */
#ifndef NODE_HUB_H
#define NODE_HUB_H

#include "base/slice.h"

enum hub_err { HUB_ESIZE = 1, HUB_ETOPIC, HUB_EFULL, HUB_EDUP, HUB_ESTOPPING, HUB_EMEM, HUB_ETOPICS, HUB_ESUBSCRIBER };
const char *hub_err_text(int err);

struct hub;

/* One message delivered to this node's clients. */
struct hub_message {
    const char *topic;
    struct slice payload;
    char message_id[65];          /* SHA-256 of the payload, hex */
    const char *source_node_id;   /* the publisher's node */
    const char *upstream_peer_id; /* "" when published here */
    uint8_t k;                    /* shards it was cut into; 1: plain */
};
struct hub_message *hub_message_ref(struct hub_message *m);
void hub_message_unref(struct hub_message *m);

/* A trace event, already encoded: kind 2 = optimum.pb.TraceEvent, 3 = pubsub.pb.TraceEvent. */
struct hub_trace {
    int kind;
    struct slice bytes;
};
struct hub_trace *hub_trace_ref(struct hub_trace *t);
void hub_trace_unref(struct hub_trace *t);

/* Called on the hub's dispatch thread; must not block. Take a reference to keep the argument. */
struct hub_subscriber_ops {
    void (*on_message)(void *user, struct hub_message *m);
    void (*on_trace)(void *user, struct hub_trace *t); /* NULL: no traces wanted */
    unsigned max_topics;                               /* one more is -HUB_ESUBSCRIBER; 0: as many as the node may have */
};
struct hub_subscriber;

struct hub_subscriber *hub_subscriber_new(struct hub *h, const struct hub_subscriber_ops *ops, void *user);
/* Topics that the node is a member of whoever subscribes to them. -HUB_ETOPICS as below. */
int hub_relay(struct hub *h, struct slice topic);
/* After it returns no callback runs or will run. */
void hub_subscriber_free(struct hub_subscriber *s);
/* Repeats are harmless. The node joins the topic's mesh at the first subscriber and leaves it after the last. -HUB_ETOPICS: the
 * node has hub_max_topics already, more than which no peer would take of it; -HUB_ESUBSCRIBER: this one has its share; -HUB_EFULL: not now,
 * try again. */
int hub_subscribe(struct hub_subscriber *s, const char *topic);
int hub_unsubscribe(struct hub_subscriber *s, const char *topic);
/* Topics it is subscribed to. */
unsigned hub_subscriber_topics(struct hub_subscriber *s);
/* Topics of all subscribers together, each once, and of hub_relay; and how many may be. */
unsigned hub_topics_now(struct hub *h);
/* Those with a subscriber. */
unsigned hub_topics_read(struct hub *h);
#define HUB_TOPICS_MAX 2048 /* the pub/sub core's PUBSUB_TOPICS_MAX */
unsigned hub_max_topics(const struct hub *h);

/* Takes a copy of the payload, or with release != NULL the payload itself (release(user) is called when it is no longer
 * needed, from any thread). message_id_hex (65 bytes) is filled also for -HUB_EDUP (same payload and topic in 120 s:
 * nothing was sent again). -HUB_ESIZE: over OPTIMUM_MAX_MSG_SIZE; -HUB_EFULL: the ring to the lcore is full, try again. */
int hub_publish(struct hub *h, const char *topic, struct slice payload, void (*release)(void *user), void *user,
                char message_id_hex[65]);

uint32_t hub_max_message_bytes(const struct hub *h);
const char *hub_peer_id(const struct hub *h);
const char *hub_mode(const struct hub *h); /* "optimum" or "gossipsub" */

/* Topics the node is subscribed to, as a NULL-terminated heap array of heap strings; free with hub_strings_free. */
char **hub_topics(struct hub *h);
void hub_strings_free(char **v);

/* Snapshots as compact JSON text (malloc'ed; the caller frees), taken by asking the lcores over the rings and waiting at
 * most 1 s. NULL: no answer in time. */
char *hub_json_peers(struct hub *h);        /* /debug/peers */
char *hub_json_node_state(struct hub *h);   /* /api/v1/node-state */
char *hub_json_p2p_snapshot(struct hub *h); /* /api/v1/p2p-snapshot */
char *hub_json_messages(struct hub *h);     /* /debug/messages */
char *hub_json_topics(struct hub *h, const char *topic, bool has_nodeinfo); /* topic NULL or "": all */
/* Adds the families of everything the node counts; m has the constant labels already. */
struct metrics;
void hub_metrics(struct hub *h, struct metrics *m);
#define HUB_REASON_MAX 200
/* False: not ready, and why (safe from several threads at a time). */
bool hub_is_ready(struct hub *h, char why[HUB_REASON_MAX]);

/* Did the lcores answer in the last seconds? If nobody asked, they are asked now, which may take 1 s. */
bool hub_is_answering(struct hub *h);

/* Machine figures of health answers, percent. */
struct hub_health {
    double memory_used, cpu_used, disk_used;
    const char *p2p_address, *country, *country_iso; /* "" when unknown */
};
void hub_health_get(struct hub *h, struct hub_health *out);

#endif
