/* ws_out.c: what waits to be written to one WebSocket client */
#include "http/ws_out.h"

#include <stdlib.h>

static size_t cost(const struct ws_msg *m)
{
    return ws_msg_wire(m).len + WS_OUT_ITEM_COST;
}

/* What the ring takes is charged to b. */
static bool fifo_grow(struct ws_fifo *f, struct budget *b)
{
    size_t cap = f->cap ? f->cap * 2 : 16;
    struct ws_msg **ring = malloc(cap * sizeof(*ring));

    if (!ring)
        return false;
    for (size_t i = 0; i < f->count; i++)
        ring[i] = f->ring[(f->head + i) & (f->cap - 1)];
    free(f->ring);
    budget_take(b, (cap - f->cap) * sizeof(*ring));
    f->ring = ring;
    f->head = 0;
    f->cap = cap;
    return true;
}

static void fifo_free(struct ws_fifo *f, struct budget *b)
{
    budget_give(b, f->cap * sizeof(*f->ring));
    free(f->ring);
    *f = (struct ws_fifo){0};
}

static bool fifo_push(struct ws_fifo *f, struct ws_msg *m, struct budget *b)
{
    if (f->count == f->cap && !fifo_grow(f, b))
        return false;
    f->ring[(f->head + f->count++) & (f->cap - 1)] = ws_msg_ref(m);
    f->bytes += cost(m);
    return true;
}

static struct ws_msg *fifo_pop(struct ws_fifo *f, struct budget *b)
{
    struct ws_msg *m;

    if (!f->count)
        return NULL;
    m = f->ring[f->head];
    f->head = (f->head + 1) & (f->cap - 1);
    f->bytes -= cost(m);
    if (--f->count == 0 && f->cap > 1024) /* a burst is over: give the ring back */
        fifo_free(f, b);
    return m;
}

/* There are others before it. */
static struct ws_msg *fifo_pop_newest(struct ws_fifo *f)
{
    struct ws_msg *m = f->ring[(f->head + --f->count) & (f->cap - 1)];

    f->bytes -= cost(m);
    return m;
}

static void drop(struct ws_out *o, struct ws_msg *m)
{
    o->dropped_msgs++;
    o->dropped_bytes += m->len;
    ws_msg_unref(m);
}

static void drop_oldest(struct ws_out *o)
{
    drop(o, fifo_pop(&o->deliveries, o->budget));
}

void ws_out_init(struct ws_out *o, size_t max_bytes, enum ws_policy policy)
{
    *o = (struct ws_out){.max_bytes = max_bytes, .policy = policy};
}

void ws_out_fini(struct ws_out *o)
{
    struct ws_msg *m;

    while ((m = fifo_pop(&o->replies, NULL)))
        ws_msg_unref(m);
    while ((m = fifo_pop(&o->deliveries, o->budget)))
        ws_msg_unref(m);
    fifo_free(&o->replies, NULL);
    fifo_free(&o->deliveries, o->budget);
}

static bool fits(const struct ws_out *o, const struct ws_msg *m, size_t max_bytes)
{
    return o->deliveries.count == 0 || cost(m) <= max_bytes - (o->deliveries.bytes < max_bytes ? o->deliveries.bytes : max_bytes);
}

enum ws_push ws_out_push(struct ws_out *o, enum ws_kind kind, struct ws_msg *m)
{
    size_t max_bytes;

    if (kind == WS_REPLY)
        return fifo_push(&o->replies, m, NULL) ? WS_PUSHED : WS_PUSH_NOMEM;
    max_bytes = budget_room(o->budget, o->max_bytes, o->deliveries.bytes, cost(m));
    if (!fits(o, m, max_bytes) && o->policy != WS_DROP_OLDEST) {
        o->dropped_msgs++;
        o->dropped_bytes += m->len;
        return o->policy == WS_DISCONNECT ? WS_PUSH_DISCONNECT : WS_PUSH_DROPPED;
    }
    while (!fits(o, m, max_bytes))
        drop_oldest(o);
    if (!o->deliveries.count)
        budget_watch_moved(&o->watch);
    return fifo_push(&o->deliveries, m, o->budget) ? WS_PUSHED : WS_PUSH_NOMEM;
}

unsigned ws_out_pop(struct ws_out *o, struct ws_msg **out, unsigned n, size_t bytes_max)
{
    unsigned got = 0;
    size_t bytes = 0;

    while (got < n && (got == 0 || bytes < bytes_max)) {
        struct ws_msg *m = fifo_pop(&o->replies, NULL);

        if (!m) {
            m = fifo_pop(&o->deliveries, o->budget);
            budget_watch_moved(&o->watch);
        }
        if (!m)
            break;
        bytes += ws_msg_wire(m).len;
        out[got++] = m;
    }
    return got;
}

unsigned ws_out_squeeze(struct ws_out *o)
{
    unsigned n = 0;

    if (!budget_watch_is_stuck(&o->watch, o->budget, o->deliveries.bytes))
        return 0;
    for (; o->deliveries.count > 1 && o->deliveries.bytes > BUDGET_SQUEEZED_BYTES; n++) {
        if (o->policy == WS_DROP_NEWEST)
            drop(o, fifo_pop_newest(&o->deliveries));
        else
            drop_oldest(o);
    }
    budget_squeezed(o->budget, n);
    return n;
}

void ws_out_drop_deliveries(struct ws_out *o)
{
    while (o->deliveries.count)
        drop_oldest(o);
}

bool ws_out_is_empty(const struct ws_out *o)
{
    return o->replies.count == 0 && o->deliveries.count == 0;
}
