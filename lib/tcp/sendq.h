/* sendq.h: bytes queued and unacknowledged, as references to their owners' buffers
 * Shape:   buffers -> slices by sequence number
 * Owner:   the connection
 * Memory:  one entry a run of bytes in a ring that doubles on the heap; each entry holds one reference
 * Errors:  push: 0, or -1 without memory or when it is full; nothing is taken then
 * Limits:  lookups are logarithmic
 */
#ifndef TCP_SENDQ_H
#define TCP_SENDQ_H

#include "base/buf.h"

#define SENDQ_MAX_ENTRIES 65536

struct sendq_entry {
    struct buf *buf;
    const uint8_t *p;
    uint32_t seq, len;
};

struct sendq {
    struct sendq_entry *ring;
    uint32_t cap, head, tail; /* absolute, masked by cap - 1 */
    uint32_t una, end;        /* sequence numbers: first kept byte, one past the last */
};

void sendq_init(struct sendq *q, uint32_t seq);
/* Drops every reference. */
void sendq_fini(struct sendq *q);
/* Takes a reference of its own. len > 0. */
int sendq_push(struct sendq *q, struct buf *b, const uint8_t *p, uint32_t len);
/* Bytes below seq are no longer needed; una <= seq <= end. */
void sendq_ack(struct sendq *q, uint32_t seq);
/* Up to n slices with up to len bytes from seq on, una <= seq; returns the bytes, *count the slices. */
uint32_t sendq_slices(const struct sendq *q, uint32_t seq, uint32_t len, struct slice *out, unsigned n,
                      uint16_t *count);

/* Too many small runs. */
static inline bool sendq_is_full(const struct sendq *q)
{
    return q->tail - q->head >= SENDQ_MAX_ENTRIES;
}

static inline uint32_t sendq_bytes(const struct sendq *q)
{
    return q->end - q->una;
}

#endif
