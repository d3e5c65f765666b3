/* gw_tracer.h: what happened to the latest messages, for GET tracer/stream
 * Shape:   published, delivered, duplicate -> a snapshot over a window as JSON
 * Owner:   any thread; a mutex inside
 * Limits:  the last GW_TRACER_MESSAGES messages
 */
#ifndef GATEWAY_GW_TRACER_H
#define GATEWAY_GW_TRACER_H

#include <jansson.h>
#include <pthread.h>

#include "gateway/gw_delivery.h"

#define GW_TRACER_MESSAGES 1024

struct gw_traced {
    uint8_t id[GW_ID_BYTES];
    char topic[GW_NAME_MAX + 1];
    uint64_t first_ns, published_ns, delivered_ns, bytes_moved, size;
    uint64_t nodes; /* bit n */
    uint32_t duplicates, delivered;
};

struct gw_tracer {
    pthread_mutex_t lock;
    struct gw_traced *ring;
    uint16_t *index; /* by topic and the id's first bytes: place in ring + 1; a collision forgets the older */
    uint32_t next, count;
};

int gw_tracer_init(struct gw_tracer *t);
void gw_tracer_fini(struct gw_tracer *t);
void gw_tracer_reset(struct gw_tracer *t);
void gw_tracer_published(struct gw_tracer *t, struct slice topic, const uint8_t id[GW_ID_BYTES], size_t size,
                         uint64_t now);
/* delivered: to how many of our clients just now. */
void gw_tracer_arrived(struct gw_tracer *t, const struct gw_delivery *d, unsigned node, unsigned delivered,
                       uint64_t now);

struct gw_node_info;
/* window_ns 0: everything still known. The caller owns the object. */
json_t *gw_tracer_snapshot(struct gw_tracer *t, const struct gw_node_info *nodes, unsigned n,
                           uint64_t window_ns, uint64_t now);

#endif
