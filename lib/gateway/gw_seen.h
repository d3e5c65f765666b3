/* gw_seen.h: which payloads a topic had lately
 * Shape:   (topic, SHA-256 of the payload), now -> what is known of it; sans-IO
 * Owner:   whoever holds the lock around it; an entry pointer is good until the next call
 * Units:   ns monotonic
 * Limits:  max entries; beyond, the oldest goes early (counted). 80 bytes an entry and 12 for its chain, grown as needed
 * Errors:  put: NULL when there is no memory
 */
#ifndef GATEWAY_GW_SEEN_H
#define GATEWAY_GW_SEEN_H

#include "base/slice.h"

#define GW_ID_BYTES 32

enum { GW_SEEN_PUBLISHED = 1, GW_SEEN_DELIVERED = 2 };

struct gw_seen_entry {
    uint8_t id[GW_ID_BYTES];
    uint64_t topic; /* keyed hash of the name */
    uint64_t first_ns, published_ns;
    uint64_t nodes; /* bit n: node n had it */
    double share;   /* of the nodes: those whose threshold is up to this have it */
    uint32_t flags;
};

/* An entry's place in its chain, apart from it: most that a search passes are others, and need not be fetched to be told apart. */
struct gw_seen_link {
    uint32_t next; /* 1-based; 0 ends */
    uint32_t tag;  /* of the hash */
};

struct gw_seen {
    struct gw_seen_entry *ring;
    struct gw_seen_link *links; /* of the ring's entries */
    uint32_t *heads;                /* chain heads, 1-based */
    uint32_t cap, head, count, max; /* cap: a power of two */
    uint64_t ttl_ns;
    uint64_t seed[2];
    uint64_t evicted_early;
};

/* max: rounded up to a power of two. */
void gw_seen_init(struct gw_seen *s, uint32_t max, uint64_t ttl_ns, const uint8_t seed[16]);
void gw_seen_fini(struct gw_seen *s);
/* NULL when unknown or older than ttl_ns. */
struct gw_seen_entry *gw_seen_get(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now);
/* The known entry, or a new one with nothing set. */
struct gw_seen_entry *gw_seen_put(struct gw_seen *s, struct slice topic, const uint8_t id[GW_ID_BYTES],
                                  uint64_t now);

#endif
