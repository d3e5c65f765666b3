#include "pubsub/backoff.h"

#include <stdlib.h>

#include "pubsub/pubsub.h"

struct entry {
    struct timer timer; /* at_ns: the end, slack included */
    uint64_t until_ns;
    uint16_t len;
    uint8_t key[PEER_ID_MAX + 1 + PUBSUB_TOPIC_MAX];
};

void backoff_init(struct backoff *b, uint32_t max, uint64_t slack_ns, const uint8_t seed[16])
{
    *b = (struct backoff){.slack_ns = slack_ns, .max = max};
    map_init(&b->map, 0, seed);
    timerq_init(&b->ends);
}

static struct entry *of_timer(struct timer *t)
{
    return (struct entry *)(void *)((char *)t - offsetof(struct entry, timer));
}

static void drop(struct backoff *b, struct entry *e)
{
    timerq_cancel(&b->ends, &e->timer);
    map_del(&b->map, slice_of(e->key, e->len));
    free(e);
}

void backoff_fini(struct backoff *b)
{
    struct timer *t;

    while ((t = timerq_pop(&b->ends, UINT64_MAX)))
        free(of_timer(t));
    timerq_fini(&b->ends);
    map_fini(&b->map);
}

/* The id's length goes first, so that no two pairs make the same key. */
static struct slice key_of(uint8_t *key, struct slice topic, const struct peer_id *peer)
{
    size_t n = topic.len > PUBSUB_TOPIC_MAX ? PUBSUB_TOPIC_MAX : topic.len;

    key[0] = peer->len;
    memcpy(key + 1, peer->bytes, peer->len);
    memcpy(key + 1 + peer->len, topic.p, n);
    return slice_of(key, 1 + peer->len + n);
}

void backoff_add(struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t for_ns, uint64_t now)
{
    uint8_t space[sizeof(((struct entry *)0)->key)];
    struct slice key = key_of(space, topic, peer);
    struct entry *e = map_get(&b->map, key);

    if (e && e->until_ns >= now + for_ns)
        return;
    if (!e) {
        if (b->map.count >= b->max && b->ends.count) {
            drop(b, of_timer(b->ends.heap[0]));
            b->evicted++;
        }
        e = calloc(1, sizeof(*e));
        if (!e)
            return;
        e->len = (uint16_t)key.len;
        memcpy(e->key, key.p, key.len);
        if (map_put(&b->map, key, e)) {
            free(e);
            return;
        }
    }
    e->until_ns = now + for_ns;
    if (timerq_set(&b->ends, &e->timer, e->until_ns + b->slack_ns))
        drop(b, e);
}

uint64_t backoff_until(const struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t now)
{
    uint8_t space[sizeof(((struct entry *)0)->key)];
    const struct entry *e = map_get(&b->map, key_of(space, topic, peer));

    return e && e->until_ns > now ? e->until_ns : 0;
}

bool backoff_has(const struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t now)
{
    uint8_t space[sizeof(((struct entry *)0)->key)];
    const struct entry *e = map_get(&b->map, key_of(space, topic, peer));

    return e && e->until_ns + b->slack_ns > now;
}

void backoff_expire(struct backoff *b, uint64_t now)
{
    struct timer *t;

    while ((t = timerq_pop(&b->ends, now)))
        drop(b, of_timer(t));
}
