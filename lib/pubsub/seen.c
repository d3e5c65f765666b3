#include "pubsub/seen.h"

#include <stdlib.h>

#include "base/map.h"

struct msgkey msgkey_of(const struct msgkey_seed *seed, struct slice id)
{
    return (struct msgkey){siphash13(seed->s[0], id), siphash13(seed->s[1], id)};
}

int seen_init(struct seen *s, uint32_t max, uint64_t ttl_ns)
{
    uint32_t slots = 16;

    while (slots < max * 2ull && slots < 1u << 31)
        slots *= 2;
    *s = (struct seen){.max = max, .mask = slots - 1, .ttl_ns = ttl_ns};
    s->ring = calloc(max, sizeof(*s->ring));
    s->index = calloc(slots, sizeof(*s->index));
    if (s->ring && s->index)
        return 0;
    seen_fini(s);
    return -1;
}

void seen_fini(struct seen *s)
{
    free(s->ring);
    free(s->index);
    *s = (struct seen){0};
}

/* The key's slot of the index, or the free slot where it would go. */
static uint32_t find(const struct seen *s, struct msgkey key)
{
    uint32_t i = (uint32_t)key.a & s->mask;

    for (; s->index[i]; i = (i + 1) & s->mask) {
        const struct seen_entry *e = &s->ring[s->index[i] - 1];
        if (e->key.a == key.a && e->key.b == key.b)
            break;
    }
    return i;
}

static void pop_oldest(struct seen *s)
{
    uint32_t hole = find(s, s->ring[s->head].key);

    s->index[hole] = 0;
    /* Close the gap: move back whatever probing would no longer reach. */
    for (uint32_t i = (hole + 1) & s->mask; s->index[i]; i = (i + 1) & s->mask) {
        uint32_t want = (uint32_t)s->ring[s->index[i] - 1].key.a & s->mask;
        if (((i - want) & s->mask) >= ((i - hole) & s->mask)) {
            s->index[hole] = s->index[i];
            s->index[i] = 0;
            hole = i;
        }
    }
    s->head = s->head + 1 == s->max ? 0 : s->head + 1;
    s->count--;
}

static bool is_old(const struct seen *s, const struct seen_entry *e, uint64_t now)
{
    return now >= e->at_ns && now - e->at_ns >= s->ttl_ns;
}

bool seen_has(const struct seen *s, struct msgkey key, uint64_t now)
{
    uint32_t i = find(s, key);

    return s->index[i] && !is_old(s, &s->ring[s->index[i] - 1], now);
}

bool seen_add(struct seen *s, struct msgkey key, uint64_t now)
{
    for (int i = 0; i < 2 && s->count && is_old(s, &s->ring[s->head], now); i++)
        pop_oldest(s);
    uint32_t slot = find(s, key);
    if (s->index[slot] && !is_old(s, &s->ring[s->index[slot] - 1], now))
        return false;
    if (s->index[slot]) { /* old, and so is everything before it */
        seen_expire(s, now);
        slot = find(s, key);
    }
    if (s->count == s->max) {
        pop_oldest(s);
        s->evicted++;
        slot = find(s, key);
    }
    uint64_t at = (uint64_t)s->head + s->count;
    uint32_t place = (uint32_t)(at >= s->max ? at - s->max : at);
    s->ring[place] = (struct seen_entry){key, now};
    s->index[slot] = place + 1;
    s->count++;
    return true;
}

void seen_expire(struct seen *s, uint64_t now)
{
    while (s->count && is_old(s, &s->ring[s->head], now))
        pop_oldest(s);
}
