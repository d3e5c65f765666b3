/* memif_shm.h: the memory of a memif: made by the client, mapped by the server
 * Owner:   one link
 * Memory:  mappings and descriptors are its own until memif_shm_drop; those of a server come from the conversation
 * Errors:  negative memif_err codes; drop is right also then
 * Limits:  a server takes only memory that cannot shrink under it (a sealed memfd, which touches no file and no device), whole at
 *          once, so that no later access can fault; MEMIF_REGION_BYTES_MAX in all
 */
#ifndef DRIVERS_MEMIF_SHM_H
#define DRIVERS_MEMIF_SHM_H

#include "drivers/memif_ring.h"

struct memif_shm {
    struct memif_region regions[MEMIF_REGIONS_MAX];
    uint16_t nregions;
    struct memif_ring send, recv;
};

/* Client: makes region and rings with slots of `stride` bytes (a multiple of 64), and fills in what is to be told of them. */
int memif_shm_make(struct memif_shm *m, struct memif_ctl *c, uint8_t log2, uint32_t stride);
/* Server: maps what it was told of. */
int memif_shm_take(struct memif_shm *m, const struct memif_ctl *c);
/* Unmaps, and closes the conversation's descriptors. */
void memif_shm_drop(struct memif_shm *m, struct memif_ctl *c);

#endif
