/* gw_registry.h: clients, what they subscribed to, and where they are connected
 * Shape:   client id -> subscriptions and sinks; topic -> subscriptions. Deliveries find every sink of every subscriber
 * Owner:   any thread; a read-write lock inside. sink->deliver runs under the read lock on the delivering thread: they must
 *          not block nor call back into the registry
 * Memory:  a sink is its owner's, from attach until detach returned
 * Limits:  clients, topics, topics of an owner of clients; a client without a connection is forgotten after idle_ns
 * Errors:  0 or -GW_E_...
 */
#ifndef GATEWAY_GW_REGISTRY_H
#define GATEWAY_GW_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "gateway/gw_delivery.h"

struct gw_client;

/* One connection that takes deliveries. Embedded. */
struct gw_sink {
    void (*deliver)(struct gw_sink *s, struct gw_delivery *d);
    void (*squeeze)(struct gw_sink *s); /* deliveries wait for others, too: ws_conn_squeeze, rpc_call_squeeze */
    struct gw_client *client; /* the registry's */
    struct list link;
};

struct gw_registry_config {
    uint32_t max_clients, max_topics, max_topics_per_owner; /* 0: 100000, 2048, 1024: nobody has all topics for himself */
    uint64_t idle_ns;                                       /* 0: one hour */
    /* Whose a client is: a part of its id. NULL: each is its own. */
    struct slice (*owner_of)(struct slice client);
    /* May there be this topic, too? Instead of max_topics. As on_topic. */
    bool (*has_room)(void *user, struct slice topic);
    /* A topic got its first subscriber (true) or lost its last. Under the write lock: must not call back. */
    void (*on_topic)(void *user, struct slice topic, bool wanted);
    void *user;
};

struct gw_registry {
    struct gw_registry_config cfg;
    pthread_rwlock_t lock;
    struct map clients, topics, owners;
    uint32_t n_subs;
    _Atomic uint64_t fallbacks; /* of the deliveries: below the client's threshold, were it a share of all named nodes */
    _Atomic uint64_t deliveries, sinks, changes;
};

void gw_registry_init(struct gw_registry *r, const struct gw_registry_config *cfg, const uint8_t seed[16]);
/* What was there before a restart has come back, by the bounds of the configuration; from now on these hold, for what is new. */
void gw_registry_loaded(struct gw_registry *r, uint32_t max_topics_per_owner, bool (*has_room)(void *user, struct slice topic));
/* Every sink must be detached. */
void gw_registry_fini(struct gw_registry *r);

/* -GW_E_TOPICS, -GW_E_FULL, -GW_E_CLIENT_TOPICS: nothing changed. */
int gw_registry_subscribe(struct gw_registry *r, struct slice client, struct slice topic, double threshold,
                          uint64_t now);
/* Harmless when not subscribed. */
void gw_registry_unsubscribe(struct gw_registry *r, struct slice client, struct slice topic, uint64_t now);
bool gw_registry_has_topic(struct gw_registry *r, struct slice topic);
/* Makes the client when it is new. forget_at_once: with its last sink the client and its subscriptions go. */
int gw_registry_attach(struct gw_registry *r, struct slice client, struct gw_sink *s, bool forget_at_once,
                       uint64_t now);
void gw_registry_detach(struct gw_registry *r, struct gw_sink *s, uint64_t now);
/* The sink's client turns out to be another one: the sink goes over to it, with the subscriptions of a client that was
 * forgotten at once. -GW_E_FULL, -GW_E_CLIENT_TOPICS, -GW_E_NOMEM: all is as it was. */
int gw_registry_rename(struct gw_registry *r, struct gw_sink *s, struct slice client, uint64_t now);
/* Counts one published message for the client, if it is known. */
void gw_registry_published(struct gw_registry *r, struct slice client, uint64_t now);

/* The share of the nodes that have d has grown from `before` (0: none) to `share`: hands it to those whose threshold was
 * reached by that. Returns how many sinks got it. */
unsigned gw_registry_deliver(struct gw_registry *r, double before, double share, struct gw_delivery *d);
/* Squeezes each sink: while CLIENTS_QUEUE_BYTES is used up. */
void gw_registry_squeeze(struct gw_registry *r);
/* Forgets clients that are gone for long. */
void gw_registry_expire(struct gw_registry *r, uint64_t now);

/* Calls each topic, or those of a client; for few or rare callers: under the read lock. */
void gw_registry_each_topic(struct gw_registry *r,
                            void (*each)(void *user, struct slice topic, unsigned subs), void *user);
unsigned gw_registry_client_topics(struct gw_registry *r, struct slice client,
                                   void (*each)(void *user, struct slice topic), void *user);
void gw_registry_each_client(struct gw_registry *r,
                             void (*each)(void *user, struct slice id, uint64_t published, unsigned sinks, unsigned subs),
                             void *user);

/* Each subscription of clients that are not forgotten at once; and a number that grows when one comes, goes or changes. */
void gw_registry_each_kept(struct gw_registry *r,
                           void (*each)(void *user, struct slice client, struct slice topic, double threshold), void *user);
uint64_t gw_registry_changes(const struct gw_registry *r);

struct gw_registry_counts {
    uint32_t clients, topics, subs;
    uint64_t sinks, deliveries;
};
void gw_registry_counts(struct gw_registry *r, struct gw_registry_counts *out);

#endif
