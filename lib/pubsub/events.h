/* events.h: the core's outputs other than SEND, in order
 * Shape:   pushed by the core, popped as struct pubsub_output
 * Owner:   the pub/sub core
 * Limits:  deliveries are never dropped; traces past EVENTS_TRACE_MAX are, counted
 */
#ifndef PUBSUB_EVENTS_H
#define PUBSUB_EVENTS_H

#include "base/list.h"
#include "pubsub/pubsub.h"

#define EVENTS_TRACE_MAX 8192

struct event {
    struct list node;
    struct pubsub_output out;
    struct pubsub_trace trace;
};

struct events {
    struct list queue, idle;
    struct event *last; /* its trace is with the caller until the next pop */
    uint32_t ntraces, nidle;
    uint64_t traces_dropped;
};

void events_init(struct events *e);
/* Releases what was never popped. */
void events_fini(struct events *e);
/* A new event of this type at the end, zeroed but for it; the caller fills it at once. NULL: no memory (or too many
 * traces). */
struct event *events_push(struct events *e, enum pubsub_output_type type);
bool events_pop(struct events *e, struct pubsub_output *out);

#endif
