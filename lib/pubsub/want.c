#include "pubsub/want.h"

#include <stdlib.h>

#define BUCKETS 4096u

int wants_init(struct wants *w)
{
    *w = (struct wants){.mask = BUCKETS - 1};
    list_init(&w->all);
    w->table = calloc(BUCKETS, sizeof(*w->table));
    return w->table ? 0 : -1;
}

void wants_fini(struct wants *w)
{
    if (!w->table)
        return;
    LIST_EACH(it, &w->all)
        free(CONTAINER_OF(it, struct want, node));
    free(w->table);
    *w = (struct wants){0};
}

static struct want **find(const struct wants *w, struct msgkey key)
{
    struct want **at = &w->table[key.a & w->mask];

    while (*at && ((*at)->key.a != key.a || (*at)->key.b != key.b))
        at = &(*at)->next_hash;
    return at;
}

bool want_offered(struct wants *w, struct msgkey key, struct slice id, pubsub_peer peer, uint32_t tick)
{
    struct want **at = find(w, key), *t = *at;

    if (t) {
        for (unsigned i = 0; i < t->nsources; i++)
            if (t->sources[i] == peer)
                return false;
        if (t->nsources < WANT_SOURCES)
            t->sources[t->nsources++] = peer;
        return false;
    }
    if (id.len > MESSAGE_ID_MAX || w->count >= WANTS_MAX || !(t = malloc(sizeof(*t))))
        return true;
    *t = (struct want){.key = key, .tick = tick, .id_len = (uint8_t)id.len, .nsources = 1, .asked = 1,
                       .sources = {peer}};
    memcpy(t->id, id.p, id.len);
    *at = t;
    list_push_back(&w->all, &t->node);
    w->count++;
    return true;
}

static void drop(struct wants *w, struct want **at)
{
    struct want *t = *at;

    *at = t->next_hash;
    list_del(&t->node);
    w->count--;
    free(t);
}

void want_met(struct wants *w, struct msgkey key)
{
    struct want **at = w->count ? find(w, key) : NULL;

    if (at && *at)
        drop(w, at);
}

const struct want *want_retry(struct wants *w, uint32_t tick, pubsub_peer *peer)
{
    while (!list_is_empty(&w->all)) {
        struct want *t = CONTAINER_OF(w->all.next, struct want, node);
        if (tick - t->tick < WANT_RETRY_TICKS)
            return NULL;
        if (t->asked < t->nsources) {
            *peer = t->sources[t->asked++];
            t->tick = tick;
            list_del(&t->node);
            list_push_back(&w->all, &t->node);
            return t;
        }
        drop(w, find(w, t->key));
    }
    return NULL;
}
