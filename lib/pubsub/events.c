#include "pubsub/events.h"

#include <stdlib.h>

#define IDLE_MAX 256

void events_init(struct events *e)
{
    *e = (struct events){0};
    list_init(&e->queue);
    list_init(&e->idle);
}

static void free_all(struct list *l)
{
    LIST_EACH(it, l) {
        struct event *ev = CONTAINER_OF(it, struct event, node);
        buf_unref(ev->out.payload);
        buf_unref(ev->out.record);
        free(ev);
    }
}

void events_fini(struct events *e)
{
    free_all(&e->queue);
    free_all(&e->idle);
    free(e->last);
}

static struct event *take_idle(struct events *e)
{
    struct list *n = list_pop_front(&e->idle);

    if (!n)
        return malloc(sizeof(struct event));
    e->nidle--;
    return CONTAINER_OF(n, struct event, node);
}

struct event *events_push(struct events *e, enum pubsub_output_type type)
{
    struct event *ev;

    if (type == PUBSUB_TRACE && e->ntraces >= EVENTS_TRACE_MAX) {
        e->traces_dropped++;
        return NULL;
    }
    ev = take_idle(e);
    if (!ev)
        return NULL;
    ev->node = (struct list){0};
    memset(&ev->out, 0, sizeof(ev->out));
    ev->out.type = type;
    if (type == PUBSUB_TRACE) {
        memset(&ev->trace, 0, sizeof(ev->trace));
        ev->out.trace = &ev->trace;
        e->ntraces++;
    }
    list_push_back(&e->queue, &ev->node);
    return ev;
}

static void give_back(struct events *e, struct event *ev)
{
    if (!ev)
        return;
    if (e->nidle >= IDLE_MAX) {
        free(ev);
        return;
    }
    memset(&ev->out, 0, sizeof(ev->out));
    list_push_front(&e->idle, &ev->node);
    e->nidle++;
}

bool events_pop(struct events *e, struct pubsub_output *out)
{
    struct list *n = list_pop_front(&e->queue);

    give_back(e, e->last);
    e->last = NULL;
    if (!n)
        return false;
    e->last = CONTAINER_OF(n, struct event, node);
    *out = e->last->out;
    e->ntraces -= out->type == PUBSUB_TRACE;
    return true;
}
