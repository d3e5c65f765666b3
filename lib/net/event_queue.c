/* event_queue.c: events on their way up (role.h) */
#include <stdlib.h>

#include "net/role.h"

#define CAP_FIRST 256u

static bool has_frame(const struct queued_event *ev)
{
    return ev->type == NET_EV_RPC || ev->type == NET_EV_REQUEST || ev->type == NET_EV_ANSWER;
}

static void drop(struct queued_event *ev)
{
    if (has_frame(ev))
        buf_unref(ev->frame);
    else if (ev->type == NET_EV_IDENTIFIED)
        net_identity_free(ev->identity);
}

void event_queue_fini(struct event_queue *q)
{
    struct queued_event ev;

    while (event_queue_pop(q, &ev))
        drop(&ev);
    free(q->ring);
    memset(q, 0, sizeof(*q));
}

static int grow(struct event_queue *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : CAP_FIRST;
    struct queued_event *ring = malloc(cap * sizeof(*ring));

    if (!ring)
        return -1;
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = q->ring[(q->first + i) & (q->cap - 1)];
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->first = 0;
    return 0;
}

int event_queue_push(struct event_queue *q, const struct queued_event *ev)
{
    if (q->count == q->cap && grow(q) < 0) {
        q->lost++;
        return -1;
    }
    q->ring[(q->first + q->count++) & (q->cap - 1)] = *ev;
    if (has_frame(ev))
        q->frame_bytes += ev->frame->len;
    return 0;
}

bool event_queue_pop(struct event_queue *q, struct queued_event *ev)
{
    if (q->count == 0)
        return false;
    *ev = q->ring[q->first];
    q->first = (q->first + 1) & (q->cap - 1);
    q->count--;
    if (has_frame(ev))
        q->frame_bytes -= ev->frame->len;
    return true;
}
