#include "node/seen_payloads.h"

#include <stdlib.h>

#include "crypto/sha256.h"

struct seen {
    struct list node;
    uint64_t at_ns;
    uint8_t key[32];
};

/* One key of fixed length: SHA-256 of topic, NUL, payload hash. */
static void make_key(const char *topic, const uint8_t sha256[32], uint8_t key[32])
{
    struct sha256 h;

    sha256_init(&h);
    sha256_update(&h, slice_of(topic, strlen(topic) + 1));
    sha256_update(&h, slice_of(sha256, 32));
    sha256_final(&h, key);
}

void seen_payloads_init(struct seen_payloads *s, size_t max, const uint8_t seed[16])
{
    *s = (struct seen_payloads){.max = max};
    map_init(&s->map, max + 1, seed);
    list_init(&s->by_age);
}

static void drop(struct seen_payloads *s, struct seen *e)
{
    map_del(&s->map, slice_of(e->key, 32));
    list_del(&e->node);
    free(e);
}

void seen_payloads_fini(struct seen_payloads *s)
{
    LIST_EACH (it, &s->by_age)
        free(CONTAINER_OF(it, struct seen, node));
    map_fini(&s->map);
}

static void expire(struct seen_payloads *s, uint64_t now)
{
    while (!list_is_empty(&s->by_age)) {
        struct seen *e = CONTAINER_OF(s->by_age.next, struct seen, node);
        if (now - e->at_ns < SEEN_PAYLOADS_NS)
            break;
        drop(s, e);
    }
}

bool seen_payloads_add(struct seen_payloads *s, const char *topic, const uint8_t sha256[32], uint64_t now)
{
    struct seen *e;
    uint8_t key[32];

    expire(s, now);
    make_key(topic, sha256, key);
    if (map_get(&s->map, slice_of(key, 32)))
        return false;
    if (s->map.count >= s->max) {
        s->forgotten_early++;
        drop(s, CONTAINER_OF(s->by_age.next, struct seen, node));
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return true; /* better twice than never */
    memcpy(e->key, key, 32);
    e->at_ns = now;
    if (map_put(&s->map, slice_of(key, 32), e)) {
        free(e);
        return true;
    }
    list_push_back(&s->by_age, &e->node);
    return true;
}

void seen_payloads_forget(struct seen_payloads *s, const char *topic, const uint8_t sha256[32])
{
    uint8_t key[32];
    struct seen *e;

    make_key(topic, sha256, key);
    if ((e = map_get(&s->map, slice_of(key, 32))))
        drop(s, e);
}
