/* seen.h: ids seen in the last while
 * Shape:   key -> first time or again; entries leave in the order they came, after ttl or when the cache is full
 *          A key is the id's keyed 128-bit hash (struct msgkey), so no peer can choose collisions
 * Owner:   the pub/sub core
 * Units:   ns
 * Errors:  init: -1 without memory
 * Limits:  at most max entries, memory reserved at init and touched as it fills; evicted counts what left early
 */
#ifndef PUBSUB_SEEN_H
#define PUBSUB_SEEN_H

#include "base/slice.h"

struct msgkey {
    uint64_t a, b;
};

struct msgkey_seed {
    uint64_t s[2][2];
};

struct msgkey msgkey_of(const struct msgkey_seed *seed, struct slice id);

struct seen_entry {
    struct msgkey key;
    uint64_t at_ns;
};

struct seen {
    struct seen_entry *ring;
    uint32_t *index; /* ring place + 1; 0: free */
    uint32_t max, head, count, mask;
    uint64_t ttl_ns, evicted;
};

int seen_init(struct seen *s, uint32_t max, uint64_t ttl_ns);
void seen_fini(struct seen *s);
bool seen_has(const struct seen *s, struct msgkey key, uint64_t now);
/* True when the key is new; false when it is known already (its time is not refreshed). */
bool seen_add(struct seen *s, struct msgkey key, uint64_t now);
/* Drops what is older than ttl; seen_add does a little of it too. */
void seen_expire(struct seen *s, uint64_t now);

#endif
