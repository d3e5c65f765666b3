#include "pubsub/later.h"

#include <stdlib.h>

#define LATER_FIRST 64u

void later_fini(struct later *l)
{
    free(l->ring);
    *l = (struct later){0};
}

static bool grow(struct later *l)
{
    uint32_t cap = l->cap ? l->cap * 2 : LATER_FIRST;
    struct later_entry *ring = cap > LATER_MAX ? NULL : malloc(cap * sizeof(*ring));

    if (!ring)
        return false;
    for (uint32_t i = 0; i < l->count; i++)
        ring[i] = l->ring[(l->head + i) & (l->cap - 1)];
    free(l->ring);
    l->ring = ring;
    l->cap = cap;
    l->head = 0;
    return true;
}

bool later_push(struct later *l, struct msgkey key, uint32_t bytes)
{
    if (l->count == l->cap && !grow(l))
        return false;
    l->ring[(l->head + l->count++) & (l->cap - 1)] = (struct later_entry){key, bytes};
    l->bytes += bytes;
    return true;
}

bool later_pop(struct later *l, struct later_entry *out)
{
    if (!l->count)
        return false;
    *out = l->ring[l->head];
    l->head = (l->head + 1) & (l->cap - 1);
    l->bytes -= out->bytes;
    if (--l->count == 0)
        later_fini(l); /* peers are slow at times, and have a long life */
    return true;
}
