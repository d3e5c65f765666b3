/* generation_ahead.h: a generation solved but for one row, while that is awaited
 * Shape:   k-1 independent rows, many of them coded -> a buffer in which all but one source shard are solved up to a multiple of that
 *          one; then the last row -> the payload, in one pass
 * Note:    what is solved depends on the rows that it was solved of. So it remembers which they were, and anything else than the one
 *          missing row added to them makes it worthless: then the message is decoded anew
 * Owner:   the coded router
 * Memory:  one block with the payload's size, counted in the generation's bytes; the rows stay, for they are the evidence if some are forged
 * Limits:  once per generation
 */
#ifndef PUBSUB_GENERATION_AHEAD_H
#define PUBSUB_GENERATION_AHEAD_H

#include "pubsub/generation.h"

/* Below this it does not pay: bytes of payload, times the shards to be computed beyond GENERATION_AHEAD_FREE. At 6 us for a shard of a
 * MiB (docs/PERFORMANCE.md) this is some 70 us; finishing costs as much as the free ones. */
#define GENERATION_AHEAD_WORTH (12ull << 20)
#define GENERATION_AHEAD_FREE  4

struct generation_ahead {
    struct rlnc_ahead rest;
    struct buf *payload;
    struct coded_bits have; /* verified rows then */
    uint16_t coded_count;   /* coded ones then */
    uint32_t last_number;   /* of the last of them: they stand in the order in which they came, so if it is at its place, so are all */
};

enum { GENERATION_E_STALE = 2 /* solved ahead, but of other rows */ };

/* Is one row missing, and would solving the others now be worth it? False after it was tried. */
bool generation_ahead_pays(const struct generation *g);
/* What it will add to the generation's bytes. */
uint32_t generation_ahead_bytes(const struct generation *g);
/* Solves. payload: size_bytes of room, a reference passes on true. False: it cannot be done here. scratch: generation_decode_bytes. */
bool generation_ahead_make(struct generation *g, struct buf *payload, void *scratch);
/* At full rank, in place of generation_decode, when g->ahead: the same results; besides -GENERATION_E_STALE: nothing is changed but that it
 * is dropped, use generation_decode. */
int generation_ahead_finish(struct generation *g);
/* No harm when there is none. */
void generation_ahead_drop(struct generation *g);

#endif
