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

#include "gateway/gw_link.h"

#define GW_PUBLISH_MAX       65536
#define GW_PUBLISH_BYTES_MAX (512ull << 20)

struct gw_result {
    struct gw_outcome outcome;
    struct slice topic;
    char id_hex[2 * GW_ID_BYTES + 1];
};

/* Publishes under way. */
struct gw_publishes {
    pthread_mutex_t lock; /* guards all, and the gateway's seen table */
    struct gw_publish **chains; /* those under way, by topic and id */
    uint64_t seed[2], bytes;
    unsigned count;
};

/* 0, or -GW_E_NOMEM. */
int gw_publishes_init(struct gw_publishes *p, const uint8_t seed[16]);
void gw_publishes_fini(struct gw_publishes *p); /* none may be under way */

/* payload: a reference is taken. */
void gw_publish_start(struct gateway *gw, struct slice topic, struct rpc_msg *payload, gw_publish_fn *fn,
                      void *user);
/* For the pool: what p came to. Frees it. */
void gw_publish_done(struct gw_publish *p, const struct gw_outcome *o);
/* The two halves: whoever waits is told and p is not under way any more; and the end of it. */
void gw_publish_tell(struct gw_publish *p, const struct gw_outcome *o);
void gw_publish_free(struct gw_publish *p);
/* For the pool: a message that was published before, for nobody who waits. NULL: no memory. */
struct gw_publish *gw_publish_again(struct gateway *gw, struct slice topic, const uint8_t id[GW_ID_BYTES], struct slice payload);

#endif
