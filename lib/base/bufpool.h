/* bufpool.h: refcounted buffers by size class, kept for reuse
 * Shape:   powers of two from 256 B to 64 MiB; a released block goes on its class's free list, so in steady state a loop
 *          that takes and gives back never reaches malloc
 * Owner:   one lcore takes and gives back; a buffer that another lcore finishes with comes home by ring first
 * Errors:  NULL when max_bytes would be passed or there is no memory; counted in refused
 * Limits:  max_bytes of blocks in use and kept together: kept ones of other sizes give way; idle blocks above keep_bytes
 *          are freed when they come back
 */
#ifndef BASE_BUFPOOL_H
#define BASE_BUFPOOL_H

#include "base/buf.h"

#define BUFPOOL_CLASSES 19 /* 256 << 0 .. 256 << 18 (64 MiB) */

struct bufpool {
    struct buf *free[BUFPOOL_CLASSES];
    uint64_t max_bytes, keep_bytes;
    uint64_t used_bytes, kept_bytes;
    uint64_t refused, allocs; /* allocs: how often malloc was reached */
};

void bufpool_init(struct bufpool *p, uint64_t max_bytes, uint64_t keep_bytes);
/* Frees what is kept. Buffers still in use must have come home. */
void bufpool_fini(struct bufpool *p);
/* One reference, len 0, data aligned to 64. */
struct buf *bufpool_get(struct bufpool *p, uint32_t cap);
/* A buffer of this pool that comes home from another lcore, whatever its count and hook say by now. */
void bufpool_put(struct bufpool *p, struct buf *b);
/* bufpool_get with the context first, as allocation hooks want it. */
struct buf *bufpool_alloc(void *pool, uint32_t cap);

#endif
