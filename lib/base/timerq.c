#include "base/timerq.h"

#include <stdlib.h>

void timerq_init(struct timerq *q)
{
    *q = (struct timerq){0};
}

void timerq_fini(struct timerq *q)
{
    free(q->heap);
    *q = (struct timerq){0};
}

static void place(struct timerq *q, uint32_t i, struct timer *t)
{
    q->heap[i] = t;
    t->slot = i + 1;
}

static void sift_up(struct timerq *q, uint32_t i, struct timer *t)
{
    while (i > 0 && q->heap[(i - 1) / 2]->at_ns > t->at_ns) {
        place(q, i, q->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(q, i, t);
}

static void sift_down(struct timerq *q, uint32_t i, struct timer *t)
{
    for (;;) {
        uint32_t c = 2 * i + 1;
        if (c >= q->count)
            break;
        if (c + 1 < q->count && q->heap[c + 1]->at_ns < q->heap[c]->at_ns)
            c++;
        if (q->heap[c]->at_ns >= t->at_ns)
            break;
        place(q, i, q->heap[c]);
        i = c;
    }
    place(q, i, t);
}

void timerq_cancel(struct timerq *q, struct timer *t)
{
    if (!t->slot)
        return;
    uint32_t i = t->slot - 1;
    struct timer *last = q->heap[--q->count];
    t->slot = 0;
    if (last == t)
        return;
    if (i > 0 && q->heap[(i - 1) / 2]->at_ns > last->at_ns)
        sift_up(q, i, last);
    else
        sift_down(q, i, last);
}

int timerq_reserve(struct timerq *q, uint32_t n)
{
    if (n <= q->cap)
        return 0;
    struct timer **h = realloc(q->heap, n * sizeof(*h));
    if (!h)
        return -1;
    q->heap = h;
    q->cap = n;
    return 0;
}

int timerq_set(struct timerq *q, struct timer *t, uint64_t at_ns)
{
    timerq_cancel(q, t);
    if (q->count == q->cap && timerq_reserve(q, q->cap ? q->cap * 2 : 16))
        return -1;
    t->at_ns = at_ns;
    sift_up(q, q->count++, t);
    return 0;
}

uint64_t timerq_next(const struct timerq *q)
{
    return q->count ? q->heap[0]->at_ns : TIMER_NEVER;
}

struct timer *timerq_pop(struct timerq *q, uint64_t now)
{
    if (!q->count || q->heap[0]->at_ns > now)
        return NULL;
    struct timer *t = q->heap[0];
    timerq_cancel(q, t);
    return t;
}
