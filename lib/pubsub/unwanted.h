/* unwanted.h: what one peer said IDONTWANT for
 * Shape:   keys that last a few heartbeats
 * Source:  gossipsub v1.2 (dont_send_message_ids); go's TTL of 3 heartbeats
 * Owner:   the peer it belongs to
 * Limits:  UNWANTED_MAX keys; past it new ones are not noted (and the peer gets what it did not want)
 */
#ifndef PUBSUB_UNWANTED_H
#define PUBSUB_UNWANTED_H

#include "pubsub/seen.h"

#define UNWANTED_MAX   2048
#define UNWANTED_TICKS 3

struct unwanted_slot {
    uint64_t key; /* half of the msgkey is enough: it is keyed, and a chance hit costs one duplicate less */
    uint32_t until; /* tick + 1; 0: free */
};

struct unwanted {
    struct unwanted_slot *slots; /* NULL until the first */
    uint32_t count, mask;
};

void unwanted_fini(struct unwanted *u);
bool unwanted_has(const struct unwanted *u, struct msgkey key, uint32_t tick);
/* False: full, or no memory. */
bool unwanted_add(struct unwanted *u, struct msgkey key, uint32_t tick);
/* A heartbeat has passed: drops what is over. */
void unwanted_expire(struct unwanted *u, uint32_t tick);

#endif
