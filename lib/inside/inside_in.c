/* inside_in.c: what the node delivers
 * Owner:   the hub's thread lends a message and goes on; the link's own thread builds what clients get of it and hands that to
 *          their queues, which wake the threads of h2o and gRPC
 */
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "inside/inside_link_impl.h"

#define TELL_NS 1000000000ull /* of losses, so often at most */

struct in_item {
    struct inside_item item; /* first */
    struct hub_message *message;
};

void inside_in_message(void *link, struct hub_message *m)
{
    struct inside_link *l = link;
    struct in_item *it = malloc(sizeof(*it));

    if (it) {
        it->message = hub_message_ref(m);
        if (inside_queue_push(&l->in, &it->item, m->payload.len + sizeof(*it)))
            return;
        hub_message_unref(m);
        free(it);
    }
    l->n.lost++;
    l->untold++;
}

static void deliver(struct inside_link *l, const struct hub_message *m)
{
    uint8_t id[GW_ID_BYTES];
    struct gw_delivery d;

    if (hex_decode(id, sizeof(id), slice_str(m->message_id)) != GW_ID_BYTES) {
        gw_node_bad(l->link.node); /* the hub does not do that */
        return;
    }
    gw_delivery_init(&d, slice_str(m->topic), id, m->source_node_id, m->upstream_peer_id, m->payload);
    gw_node_incoming(l->link.node, &d);
    gw_delivery_fini(&d);
    l->n.delivered++;
}

static void tell_losses(struct inside_link *l, uint64_t *told_ns)
{
    struct timespec t;
    uint64_t now;

    if (!l->untold)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    if (now - *told_ns < TELL_NS)
        return;
    *told_ns = now;
    gw_node_lost(l->link.node, atomic_exchange(&l->untold, 0));
}

void *inside_in_run(void *link)
{
    struct inside_link *l = link;
    struct inside_item *it;
    uint64_t told_ns = 0;

    while ((it = inside_queue_pop(&l->in))) {
        struct in_item *in = CONTAINER_OF(it, struct in_item, item);

        deliver(l, in->message);
        hub_message_unref(in->message);
        free(in);
        tell_losses(l, &told_ns);
    }
    return NULL;
}

void inside_in_drop(struct inside_link *l)
{
    struct inside_item *it;

    while ((it = inside_queue_take(&l->in))) {
        struct in_item *in = CONTAINER_OF(it, struct in_item, item);

        hub_message_unref(in->message);
        free(in);
    }
    if (l->untold)
        gw_node_lost(l->link.node, atomic_exchange(&l->untold, 0));
}
