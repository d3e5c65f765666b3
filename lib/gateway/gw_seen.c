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
    free(s->links);
    s->links = NULL;
    s->ring = NULL;
    s->heads = NULL;
    s->cap = s->count = s->head = 0;
}

/* The low half chooses the chain, the high one is the tag. */
static uint64_t hash_of(const struct gw_seen *s, uint64_t topic, const uint8_t id[GW_ID_BYTES])
{
    uint64_t h;

    memcpy(&h, id, 8); /* the id is a SHA-256; keyed again, since a client may grind for equal starts */
    return siphash13(s->seed, slice_of((uint64_t[]){h, topic}, 16));
}

static uint32_t *chain_of(const struct gw_seen *s, uint64_t hash)
{
    return &s->heads[hash & (s->cap - 1)];
}

static void link_at(struct gw_seen *s, uint32_t at, uint64_t hash)
{
    uint32_t *chain = chain_of(s, hash);

    s->links[at] = (struct gw_seen_link){.next = *chain, .tag = (uint32_t)(hash >> 32)};
    *chain = at + 1;
}

static void unlink_at(struct gw_seen *s, uint32_t at)
{
    struct gw_seen_entry *e = &s->ring[at];
    uint32_t *p = chain_of(s, hash_of(s, e->topic, e->id));

    while (*p != at + 1)
        p = &s->links[*p - 1].next;
    *p = s->links[at].next;
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
    struct gw_seen_link *links = malloc(cap * sizeof(*links));
    uint32_t *heads = calloc(cap, sizeof(*heads));

    if (!ring || !heads || !links) {
        free(ring);
        free(heads);
        free(links);
        return false;
    }
    for (uint32_t i = 0; i < s->count; i++)
        ring[i] = s->ring[(s->head + i) & (s->cap - 1)];
    free(s->ring);
    free(s->heads);
    free(s->links);
    s->ring = ring;
    s->heads = heads;
    s->links = links;
    s->cap = cap;
    s->head = 0;
    for (uint32_t i = 0; i < s->count; i++)
        link_at(s, i, hash_of(s, ring[i].topic, ring[i].id));
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

static struct gw_seen_entry *find(struct gw_seen *s, uint64_t hash, uint64_t topic, const uint8_t id[GW_ID_BYTES])
{
    if (!s->cap)
        return NULL;
    for (uint32_t at = *chain_of(s, hash); at; at = s->links[at - 1].next) {
        struct gw_seen_entry *e = &s->ring[at - 1];

        if (s->links[at - 1].tag == (uint32_t)(hash >> 32) && e->topic == topic && memcmp(e->id, id, GW_ID_BYTES) == 0)
            return e;
    }
    return NULL;
}

struct gw_seen_entry *gw_seen_get(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now)
{
    uint64_t name = siphash13(s->seed, topic);

    expire(s, now);
    return find(s, hash_of(s, name, id), name, id);
}

struct gw_seen_entry *gw_seen_put(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now)
{
    uint64_t name = siphash13(s->seed, topic), hash = hash_of(s, name, id);
    struct gw_seen_entry *e;
    uint32_t at;

    expire(s, now);
    e = find(s, hash, name, id);
    if (e)
        return e;
    if (!make_room(s))
        return NULL;
    at = (s->head + s->count++) & (s->cap - 1);
    e = &s->ring[at];
    *e = (struct gw_seen_entry){.topic = name, .first_ns = now};
    memcpy(e->id, id, GW_ID_BYTES);
    link_at(s, at, hash);
    return e;
}
