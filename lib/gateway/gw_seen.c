/* gw_seen.c: which payloads a topic had lately: a ring in order of age, with chains through it */
#include "gateway/gw_seen.h"

#include <stdlib.h>

#include "base/map.h"

#define FIRST_CAP 1024u

void gw_seen_init(struct gw_seen *s, uint32_t max, uint64_t ttl_ns, const uint8_t seed[16])
{
    *s = (struct gw_seen){.max = FIRST_CAP, .ttl_ns = ttl_ns};
    while (s->max < max)
        s->max *= 2;
    memcpy(s->seed, seed, 16);
}

void gw_seen_fini(struct gw_seen *s)
{
    free(s->ring);
    free(s->heads);
    s->ring = NULL;
    s->heads = NULL;
    s->cap = s->count = s->head = 0;
}

static uint32_t *chain_of(const struct gw_seen *s, uint64_t topic, const uint8_t id[GW_ID_BYTES])
{
    uint64_t h;

    memcpy(&h, id, 8); /* the id is a SHA-256; keyed again, since a client may grind for equal starts */
    h = siphash13(s->seed, slice_of((uint64_t[]){h, topic}, 16));
    return &s->heads[h & (s->cap - 1)];
}

static void unlink_at(struct gw_seen *s, uint32_t at)
{
    struct gw_seen_entry *e = &s->ring[at];
    uint32_t *p = chain_of(s, e->topic, e->id);

    while (*p != at + 1)
        p = &s->ring[*p - 1].next;
    *p = e->next;
}

static void drop_oldest(struct gw_seen *s)
{
    unlink_at(s, s->head);
    s->head = (s->head + 1) & (s->cap - 1);
    s->count--;
}

/* By addition: threads read their clocks before they wait for the lock, so an entry may be newer than now. */
static void expire(struct gw_seen *s, uint64_t now)
{
    while (s->count && s->ring[s->head].first_ns + s->ttl_ns <= now)
        drop_oldest(s);
}

static bool grow(struct gw_seen *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
    struct gw_seen_entry *ring = malloc(cap * sizeof(*ring));
    uint32_t *heads = calloc(cap, sizeof(*heads));

    if (!ring || !heads) {
        free(ring);
        free(heads);
        return false;
    }
    for (uint32_t i = 0; i < s->count; i++)
        ring[i] = s->ring[(s->head + i) & (s->cap - 1)];
    free(s->ring);
    free(s->heads);
    s->ring = ring;
    s->heads = heads;
    s->cap = cap;
    s->head = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t *p = chain_of(s, ring[i].topic, ring[i].id);

        ring[i].next = *p;
        *p = i + 1;
    }
    return true;
}

static bool make_room(struct gw_seen *s)
{
    if (s->count < s->cap)
        return true;
    if (s->cap < s->max && grow(s))
        return true;
    if (!s->count)
        return false;
    s->evicted_early++;
    drop_oldest(s);
    return true;
}

static struct gw_seen_entry *find(struct gw_seen *s, uint64_t topic, const uint8_t id[GW_ID_BYTES])
{
    if (!s->cap)
        return NULL;
    for (uint32_t at = *chain_of(s, topic, id); at; at = s->ring[at - 1].next) {
        struct gw_seen_entry *e = &s->ring[at - 1];

        if (e->topic == topic && memcmp(e->id, id, GW_ID_BYTES) == 0)
            return e;
    }
    return NULL;
}

struct gw_seen_entry *gw_seen_get(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now)
{
    expire(s, now);
    return find(s, siphash13(s->seed, topic), id);
}

struct gw_seen_entry *gw_seen_put(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now)
{
    uint64_t hash = siphash13(s->seed, topic);
    struct gw_seen_entry *e;
    uint32_t *chain, at;

    expire(s, now);
    e = find(s, hash, id);
    if (e)
        return e;
    if (!make_room(s))
        return NULL;
    at = (s->head + s->count++) & (s->cap - 1);
    e = &s->ring[at];
    *e = (struct gw_seen_entry){.topic = hash, .first_ns = now};
    memcpy(e->id, id, GW_ID_BYTES);
    chain = chain_of(s, hash, id);
    e->next = *chain;
    *chain = at + 1;
    return e;
}
