#include "pubsub/unwanted.h"

#include <stdlib.h>

void unwanted_fini(struct unwanted *u)
{
    free(u->slots);
    *u = (struct unwanted){0};
}

static struct unwanted_slot *find(const struct unwanted *u, uint64_t key)
{
    for (uint32_t i = (uint32_t)key & u->mask;; i = (i + 1) & u->mask)
        if (!u->slots[i].until || u->slots[i].key == key)
            return &u->slots[i];
}

bool unwanted_has(const struct unwanted *u, struct msgkey key, uint32_t tick)
{
    return u->count && find(u, key.b)->until > tick;
}

/* Moves what still lasts into a table of n slots. */
static bool rebuild(struct unwanted *u, uint32_t n, uint32_t tick)
{
    struct unwanted next = {calloc(n, sizeof(*next.slots)), 0, n - 1};

    if (!next.slots)
        return false;
    for (uint32_t i = 0; u->slots && i <= u->mask; i++)
        if (u->slots[i].until > tick) {
            *find(&next, u->slots[i].key) = u->slots[i];
            next.count++;
        }
    free(u->slots);
    *u = next;
    return true;
}

bool unwanted_add(struct unwanted *u, struct msgkey key, uint32_t tick)
{
    if (!u->slots && !rebuild(u, 16, tick))
        return false;
    struct unwanted_slot *s = find(u, key.b);
    if (s->until) {
        s->until = tick + UNWANTED_TICKS;
        return true;
    }
    if (u->count >= UNWANTED_MAX)
        return false;
    if ((u->count + 1) * 2 > u->mask + 1) {
        if (!rebuild(u, (u->mask + 1) * 2, tick))
            return false;
        s = find(u, key.b);
    }
    *s = (struct unwanted_slot){key.b, tick + UNWANTED_TICKS};
    u->count++;
    return true;
}

void unwanted_expire(struct unwanted *u, uint32_t tick)
{
    uint32_t live = 0, n = 16;

    if (!u->count)
        return;
    for (uint32_t i = 0; i <= u->mask; i++)
        live += u->slots[i].until > tick;
    if (!live) {
        unwanted_fini(u);
        return;
    }
    if (live == u->count)
        return;
    while (live * 2 > n)
        n *= 2;
    rebuild(u, n, tick);
}
