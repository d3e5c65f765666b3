/* inside_link_impl.h: the link's inside (inside the room only) */
#ifndef INSIDE_INSIDE_LINK_IMPL_H
#define INSIDE_INSIDE_LINK_IMPL_H

#include <stdatomic.h>

#include "inside/inside_link.h"
#include "inside/inside_queue.h"

struct inside_link {
    struct gw_link link; /* first */
    struct hub *hub;
    const cpu_set_t *cpus;
    struct hub_subscriber *subscriber;
    struct inside_queue out, in;
    struct {
        atomic_ullong published, waits, refused, delivered, lost;
    } n;
    bool is_answering; /* the data path, as the gw-to-node thread last saw it */
    atomic_ullong untold; /* lost, and the pool does not know yet */
};

/* inside_out.c: from the gateway to the hub. False: no memory, or the link stops. */
bool inside_out_publish(struct inside_link *l, const struct gw_publish *p);
bool inside_out_topic(struct inside_link *l, struct slice topic, bool wanted);
bool inside_out_ask_health(struct inside_link *l);
bool inside_out_ask_topics(struct inside_link *l, gw_topics_fn *answer, void *user);
void *inside_out_run(void *link);
/* After the thread: what it had not done. */
void inside_out_drop(struct inside_link *l);
uint64_t inside_now_ns(void);
/* Health, now, on the caller's thread. */
void inside_tell_health(struct inside_link *l);

/* inside_in.c: from the hub to the gateway. */
void inside_in_message(void *link, struct hub_message *m); /* on the hub's thread */
void *inside_in_run(void *link);
void inside_in_drop(struct inside_link *l);

#endif
