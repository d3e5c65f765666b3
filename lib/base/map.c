#include "base/map.h"

#include <stdlib.h>

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline __attribute__((always_inline)) void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTL(v[1], 13) ^ v[0];
    v[0] = ROTL(v[0], 32);
    v[2] += v[3];
    v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTL(v[1], 17) ^ v[2];
    v[2] = ROTL(v[2], 32);
}

uint64_t siphash13(const uint64_t seed[2], struct slice s)
{
    uint64_t v[4] = {0x736f6d6570736575ull ^ seed[0], 0x646f72616e646f6dull ^ seed[1],
                     0x6c7967656e657261ull ^ seed[0], 0x7465646279746573ull ^ seed[1]};
    uint64_t last = (uint64_t)s.len << 56, m;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&m, s.p + i, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    for (size_t j = 0; i + j < s.len; j++)
        last |= (uint64_t)s.p[i + j] << (8 * j);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m, size_t max, const uint8_t seed[16])
{
    *m = (struct map){.max = max};
    memcpy(m->seed, seed, 16);
}

void map_fini(struct map *m)
{
    for (size_t i = 0; m->slots && i <= m->mask; i++)
        free(m->slots[i].key);
    free(m->slots);
    *m = (struct map){0};
}

/* The key's slot, or the free slot where it would go. */
static struct map_slot *find(const struct map *m, struct slice key, uint64_t hash)
{
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        struct map_slot *s = &m->slots[i];
        if (!s->key || (s->hash == hash && slice_is_equal(slice_of(s->key, s->key_len), key)))
            return s;
    }
}

static int grow(struct map *m)
{
    size_t n = m->slots ? (m->mask + 1) * 2 : 16;
    struct map_slot *old = m->slots, *slots = calloc(n, sizeof(*slots));
    size_t old_n = old ? m->mask + 1 : 0;

    if (!slots)
        return -1;
    m->slots = slots;
    m->mask = n - 1;
    for (size_t i = 0; i < old_n; i++)
        if (old[i].key)
            *find(m, slice_of(old[i].key, old[i].key_len), old[i].hash) = old[i];
    free(old);
    return 0;
}

void *map_get(const struct map *m, struct slice key)
{
    return m->slots ? find(m, key, siphash13(m->seed, key))->value : NULL;
}

int map_put(struct map *m, struct slice key, void *value)
{
    uint64_t hash = siphash13(m->seed, key);
    struct map_slot *s = m->slots ? find(m, key, hash) : NULL;

    if (s && s->key) {
        s->value = value;
        return 0;
    }
    if (m->max && m->count >= m->max)
        return -1;
    if (!m->slots || (m->count + 1) * 4 > (m->mask + 1) * 3) {
        if (grow(m))
            return -1;
        s = find(m, key, hash);
    }
    uint8_t *copy = malloc(key.len ? key.len : 1);
    if (!copy)
        return -1;
    if (key.len)
        memcpy(copy, key.p, key.len);
    *s = (struct map_slot){hash, value, copy, (uint32_t)key.len};
    m->count++;
    return 0;
}

void *map_del(struct map *m, struct slice key)
{
    struct map_slot *s = m->slots ? find(m, key, siphash13(m->seed, key)) : NULL;

    if (!s || !s->key)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct map_slot){0};
    m->count--;
    /* Close the gap: move back whatever probing would no longer reach. */
    size_t hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & m->mask; m->slots[i].key; i = (i + 1) & m->mask) {
        size_t want = m->slots[i].hash & m->mask;
        if (((i - want) & m->mask) >= ((i - hole) & m->mask)) {
            m->slots[hole] = m->slots[i];
            m->slots[i] = (struct map_slot){0};
            hole = i;
        }
    }
    return value;
}

void *map_next(const struct map *m, size_t *it, struct slice *key)
{
    while (m->slots && *it <= m->mask) {
        struct map_slot *s = &m->slots[(*it)++];
        if (s->key) {
            if (key)
                *key = slice_of(s->key, s->key_len);
            return s->value;
        }
    }
    return NULL;
}
