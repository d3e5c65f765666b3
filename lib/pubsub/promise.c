#include "pubsub/promise.h"

#include <stdlib.h>

#define BUCKETS PROMISES_MAX

int promises_init(struct promises *p)
{
    *p = (struct promises){0};
    p->ring = calloc(PROMISES_MAX, sizeof(*p->ring));
    p->buckets = calloc(BUCKETS, sizeof(*p->buckets));
    if (p->ring && p->buckets)
        return 0;
    promises_fini(p);
    return -1;
}

void promises_fini(struct promises *p)
{
    free(p->ring);
    free(p->buckets);
    *p = (struct promises){0};
}

static uint32_t *bucket(struct promises *p, struct msgkey key)
{
    return &p->buckets[key.a % BUCKETS];
}

static bool is_equal(struct msgkey a, struct msgkey b)
{
    return a.a == b.a && a.b == b.b;
}

void promises_add(struct promises *p, pubsub_peer peer, struct msgkey key, uint64_t now)
{
    uint32_t *b = bucket(p, key);

    if (p->count == PROMISES_MAX)
        return;
    for (uint32_t i = *b; i; i = p->ring[i - 1].next)
        if (p->ring[i - 1].peer == peer && is_equal(p->ring[i - 1].key, key))
            return;
    uint32_t place = (p->head + p->count++) % PROMISES_MAX;
    p->ring[place] = (struct promise){key, now + PROMISE_FOLLOWUP_NS, peer, *b};
    *b = place + 1;
}

void promises_kept(struct promises *p, struct msgkey key)
{
    for (uint32_t i = p->count ? *bucket(p, key) : 0; i; i = p->ring[i - 1].next)
        if (is_equal(p->ring[i - 1].key, key))
            p->ring[i - 1].peer = 0;
}

void promises_forget(struct promises *p, pubsub_peer peer)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct promise *pr = &p->ring[(p->head + i) % PROMISES_MAX];
        if (pr->peer == peer)
            pr->peer = 0;
    }
}

pubsub_peer promises_broken(struct promises *p, uint64_t now)
{
    while (p->count && p->ring[p->head].until_ns <= now) {
        struct promise *pr = &p->ring[p->head];
        uint32_t *at = bucket(p, pr->key);
        while (*at != p->head + 1)
            at = &p->ring[*at - 1].next;
        *at = pr->next;
        p->head = (p->head + 1) % PROMISES_MAX;
        p->count--;
        if (pr->peer)
            return pr->peer;
    }
    return 0;
}
