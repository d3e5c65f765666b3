/* gw_publish.h: publishing, whoever asks for it
 * Shape:   topic, payload -> id, then one answer: published, deduplicated, or why not
 * Owner:   any thread. The answer may come at once, or later on another thread
 * Rules:   the same payload on the same topic within 120 s is a duplicate; one that comes while the first is under way waits
 *          for the first's outcome and shares its failure
 * Limits:  publishes under way, in number and bytes: GW_E_BUSY beyond
 */
#ifndef GATEWAY_GW_PUBLISH_H
#define GATEWAY_GW_PUBLISH_H

#include <pthread.h>

#include "base/map.h"
#include "gateway/gw_link.h"

#define GW_PUBLISH_MAX       65536
#define GW_PUBLISH_BYTES_MAX (512ull << 20)

struct gw_result {
    struct gw_outcome outcome;
    struct slice topic;
    char id_hex[2 * GW_ID_BYTES + 1];
};

/* r is valid during the call. */
typedef void gw_publish_fn(void *user, const struct gw_result *r);

struct gw_waiter {
    struct gw_waiter *next;
    gw_publish_fn *fn;
    void *user;
};

/* Publishes under way. */
struct gw_publishes {
    pthread_mutex_t lock; /* guards all, and the gateway's seen table */
    struct map by_key;    /* topic and id -> struct gw_publish */
    uint64_t bytes;
};

void gw_publishes_init(struct gw_publishes *p, const uint8_t seed[16]);
void gw_publishes_fini(struct gw_publishes *p); /* none may be under way */

/* payload: a reference is taken. */
void gw_publish_start(struct gateway *gw, struct slice topic, struct rpc_msg *payload, gw_publish_fn *fn,
                      void *user);
/* For the pool: what p came to. Frees it. */
void gw_publish_done(struct gw_publish *p, const struct gw_outcome *o);
/* The two halves: whoever waits is told and p is not under way any more; and the end of it. */
void gw_publish_tell(struct gw_publish *p, const struct gw_outcome *o);
void gw_publish_free(struct gw_publish *p);

#endif
