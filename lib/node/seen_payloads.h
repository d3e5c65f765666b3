/* seen_payloads.h: which payloads a topic had in the last 120 s: duplicates as clients count them
 * Shape:   (topic, SHA-256), now -> new or repeated
 * Owner:   whoever holds the hub's mutex
 * Limits:  at most `max` remembered; beyond, the oldest is forgotten early (counted)
 */
#ifndef NODE_SEEN_PAYLOADS_H
#define NODE_SEEN_PAYLOADS_H

#include "base/list.h"
#include "base/map.h"

#define SEEN_PAYLOADS_NS 120000000000ull

struct seen_payloads {
    struct map map;
    struct list by_age;
    size_t max;
    uint64_t forgotten_early;
};

/* A payload of a topic. Made without the lock: it costs two hashes. */
struct seen_key {
    uint8_t b[32];
};
struct seen_key seen_payloads_key(const char *topic, const uint8_t sha256[32]);

void seen_payloads_init(struct seen_payloads *s, size_t max, const uint8_t seed[16]);
void seen_payloads_fini(struct seen_payloads *s);
/* True: new, and remembered from now. */
bool seen_payloads_add(struct seen_payloads *s, const struct seen_key *key, const uint8_t sha256[32], uint64_t now);
bool seen_payloads_has(struct seen_payloads *s, const struct seen_key *key, uint64_t now);
/* Takes one back: a publish that failed may be tried again. */
void seen_payloads_forget(struct seen_payloads *s, const struct seen_key *key);
/* The latest ones' hashes, the last first; one that several topics had comes several times. */
size_t seen_payloads_latest(const struct seen_payloads *s, uint8_t (*out)[32], size_t cap, uint64_t now);

#endif
