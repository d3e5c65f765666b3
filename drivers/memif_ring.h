/* memif_ring.h: one direction of a memif: slots in memory that the other process writes too
 * Shape:   how many slots are ours now; the bytes of each; hand them over; tell
 * Owner:   its port's lcore; the other process is the ring's other end
 * Memory:  the regions, as long as they are mapped
 * Errors:  -MEMIF_ERING, -MEMIF_EDESC: the other end is broken or hostile; the ring is not to be used again
 * Limits:  what the other end writes is read once, checked, then used: an index may not be further ahead than the ring is long,
 *          a slot must lie in its region. A client, whose memory it is, never reads back where its own slots are
 */
#ifndef DRIVERS_MEMIF_RING_H
#define DRIVERS_MEMIF_RING_H

#include <stdbool.h>

#include "drivers/memif_bell.h"
#include "drivers/memif_ctl.h"

struct memif_region {
    uint8_t *p;
    uint64_t size;
};

struct memif_slot {
    uint8_t *p;
    uint32_t len; /* the bytes there, or the room */
    bool has_next;
};

struct memif_ring {
    struct memif_ring_mem *mem;
    uint16_t mask;
    uint16_t next; /* the first slot that is not dealt with, counted without end */
    uint16_t ours; /* slots from there on that are ours, as far as we have looked */
    uint16_t told; /* next, as the other end was told */
    bool is_client, is_sender;
    int bell; /* eventfd: rung for whoever takes the slots */
    const struct memif_ringer *ringer; /* sender: by this; set by the port when the link is up */
    uint8_t *bufs; /* client: slot i has stride bytes at bufs + i * stride */
    uint32_t stride;
    const struct memif_region *regions; /* server: what slots may point into */
    uint16_t nregions;
};

/* How a ring is to be worked. */
struct memif_ring_use {
    bool is_client, is_sender;
    int bell;
    uint8_t *bufs;
    uint32_t stride;
    const struct memif_region *regions;
    uint16_t nregions;
};

static inline uint32_t memif_ring_bytes(uint8_t log2)
{
    return (uint32_t)(sizeof(struct memif_ring_mem) + (sizeof(struct memif_desc) << log2));
}

/* The first use of a ring: mem has log2's slots. A client writes what is to be found there, a server checks it. 0, -MEMIF_ERING. */
int memif_ring_init(struct memif_ring *r, struct memif_ring_mem *mem, uint8_t log2, const struct memif_ring_use *use);

/* Client, when both ends have the memory: lends the slots that are to be filled. Not before: some servers begin with all counts at 0. */
void memif_ring_start(struct memif_ring *r);

/* Looks how many slots are ours: that, or -MEMIF_ERING. */
int memif_ring_look(struct memif_ring *r);
/* The i-th of ours: 0, or -MEMIF_EDESC. */
int memif_ring_slot(const struct memif_ring *r, uint16_t i, struct memif_slot *out);
/* The i-th slot's first len bytes on their way to this core, while another is worked on; nothing if it is not ours. */
void memif_ring_prefetch(const struct memif_ring *r, uint16_t i, uint32_t len);
/* Sender: the i-th slot holds len bytes now. */
void memif_ring_fill(struct memif_ring *r, uint16_t i, uint32_t len, bool has_next);
/* Receiver: forgets that the i-th slot went on in the next. DPDK's client (22.11) sets that mark and never takes it off. */
void memif_ring_unchain(struct memif_ring *r, uint16_t i);
/* n <= ours slots are dealt with; the other end is told by memif_ring_tell. */
void memif_ring_pass(struct memif_ring *r, uint16_t n);
/* Sender: rings the bell of a receiver that sleeps. */
void memif_ring_tell(struct memif_ring *r);

/* Receiver: whether the bell is to be rung for what comes. After asking for it, look once more before sleeping. */
void memif_ring_ask(struct memif_ring *r, bool wants_bell);

#endif
