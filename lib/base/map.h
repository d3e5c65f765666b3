/* map.h: hash map from short byte strings to pointers
 * Shape:   key bytes are copied in; values are the caller's pointers
 * Source:  SipHash-1-3 keyed per map, so a peer that chooses keys cannot choose collisions; linear probing
 * Owner:   one lcore
 * Errors:  put: 0, or -1 when there is no memory or the map is at max
 * Limits:  at most `max` entries, so a hostile peer's cost is bounded by whoever made the map
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map_slot {
    uint64_t hash;
    void *value;
    uint8_t *key; /* NULL: free */
    uint32_t key_len;
};

struct map {
    struct map_slot *slots;
    size_t count, mask, max;
    uint64_t seed[2];
};

/* seed: 16 random bytes (zeroes in tests and fuzzers). max 0 means no bound. */
void map_init(struct map *m, size_t max, const uint8_t seed[16]);
void map_fini(struct map *m);
void *map_get(const struct map *m, struct slice key);
int map_put(struct map *m, struct slice key, void *value);
/* Removes the key and returns its value, NULL when absent. */
void *map_del(struct map *m, struct slice key);
/* Walks in no order: start with *it = 0; NULL at the end. Do not put or del while walking. */
void *map_next(const struct map *m, size_t *it, struct slice *key);

uint64_t siphash13(const uint64_t seed[2], struct slice s);

#endif
