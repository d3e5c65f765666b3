#include "node/seen_payloads.h"

#include <stdlib.h>

#include "crypto/sha256.h"

struct seen {
    struct list node;
    uint64_t at_ns;
    struct seen_key key;
    uint8_t sha256[32];
};

/* SHA-256 of topic, NUL, payload hash. */
struct seen_key seen_payloads_key(const char *topic, const uint8_t sha256[32])
{
    struct seen_key key;
    struct sha256 h;

    sha256_init(&h);
    sha256_update(&h, slice_of(topic, strlen(topic) + 1));
    sha256_update(&h, slice_of(sha256, 32));
    sha256_final(&h, key.b);
    return key;
}

void seen_payloads_init(struct seen_payloads *s, size_t max, const uint8_t seed[16])
{
    *s = (struct seen_payloads){.max = max};
    map_init(&s->map, max + 1, seed);
    list_init(&s->by_age);
}

static void drop(struct seen_payloads *s, struct seen *e)
{
    map_del(&s->map, slice_of(e->key.b, 32));
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

bool seen_payloads_has(struct seen_payloads *s, const struct seen_key *key, uint64_t now)
{
    expire(s, now);
    return map_get(&s->map, slice_of(key->b, 32)) != NULL;
}

bool seen_payloads_add(struct seen_payloads *s, const struct seen_key *key, const uint8_t sha256[32], uint64_t now)
{
    struct seen *e;

    if (seen_payloads_has(s, key, now))
        return false;
    if (s->map.count >= s->max) {
        s->forgotten_early++;
        drop(s, CONTAINER_OF(s->by_age.next, struct seen, node));
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return true; /* better twice than never */
    e->key = *key;
    memcpy(e->sha256, sha256, 32);
    e->at_ns = now;
    if (map_put(&s->map, slice_of(e->key.b, 32), e)) {
        free(e);
        return true;
    }
    list_push_back(&s->by_age, &e->node);
    return true;
}

void seen_payloads_forget(struct seen_payloads *s, const struct seen_key *key)
{
    struct seen *e = map_get(&s->map, slice_of(key->b, 32));

    if (e)
        drop(s, e);
}

size_t seen_payloads_latest(const struct seen_payloads *s, uint8_t (*out)[32], size_t cap, uint64_t now)
{
    size_t n = 0;

    for (const struct list *it = s->by_age.prev; it != &s->by_age && n < cap; it = it->prev) {
        const struct seen *e = CONTAINER_OF(it, struct seen, node);

        if (now - e->at_ns >= SEEN_PAYLOADS_NS)
            break;
        memcpy(out[n++], e->sha256, 32);
    }
    return n;
}
