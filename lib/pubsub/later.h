/* later.h: messages that one peer is to be sent when its output has room again
 * Shape:   keys in order; the messages themselves stay in the message cache, so what waits for a peer holds no payload
 * Owner:   the peer it belongs to
 * Units:   bytes of the messages, as they were when they were pushed
 * Errors:  push: false when it is full or there is no memory, nothing was added
 * Limits:  LATER_MAX entries of 24 bytes
 */
#ifndef PUBSUB_LATER_H
#define PUBSUB_LATER_H

#include "pubsub/seen.h"

#define LATER_MAX 32768u

struct later_entry {
    struct msgkey key;
    uint32_t bytes;
};

struct later {
    struct later_entry *ring;
    uint32_t head, count, cap; /* cap: 0 or a power of two */
    uint64_t bytes;
};

void later_fini(struct later *l);
bool later_push(struct later *l, struct msgkey key, uint32_t bytes);
/* The oldest one; false when there is none. */
bool later_pop(struct later *l, struct later_entry *out);

#endif
