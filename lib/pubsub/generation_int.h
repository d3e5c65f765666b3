/* generation_int.h: what the generation*.c files share (private to them)
 * Owner:   the coded router
 */
#ifndef PUBSUB_GENERATION_INT_H
#define PUBSUB_GENERATION_INT_H

#include "pubsub/generation.h"

/* Fills r with a reference into frame, or with a copy when most of frame is something else: a peer must not pin large
 * frames with small rows. False: no memory. */
bool generation_row_keep(struct generation *g, struct generation_row *r, struct slice coefs, struct slice payload,
                         struct buf *frame, pubsub_peer from);
void generation_row_release(struct generation *g, struct generation_row *r);
/* The verified source shards, also as rank; returns how many. */
unsigned generation_verified_rows(const struct generation *g, struct rlnc_row *rows, struct rlnc_rank *rank);
struct rlnc_row generation_source_row(const struct generation *g, unsigned i);
/* Independent rows, k when the rank is full: all verified ones, then coded ones that add to them (verified rows that came later may
 * have made some of those superfluous). rank_mem: rlnc_rank_bytes(k). */
unsigned generation_choose_rows(const struct generation *g, struct rlnc_row *rows, void *rank_mem);
static inline struct rlnc_row generation_coded_row(const struct generation *g, const struct generation_row *r)
{
    return (struct rlnc_row){r->p, r->coefs, g->work.shard_bytes, RLNC_CODED};
}
void generation_links_free(struct generation *g);
/* k independent rows -> the payload, if it is what the header says: then g takes it, and lets its rows go. */
bool generation_take(struct generation *g, struct rlnc_row *rows, struct buf *payload, void *scratch);
/* The same with a payload that is decoded already. */
bool generation_take_decoded(struct generation *g, struct buf *payload);
/* What was decoded is forged: coded rows become evidence; the rank is what the verified rows have. */
void generation_drop_coded(struct generation *g);
/* All coded rows move to where they are doubted. */
void generation_doubt_rows(struct generation *g);
static inline void generation_row_hands(struct generation *g, struct generation_row *r, const struct generation_arrival *a)
{
    r->number = ++g->row_number;
    r->is_second_hand = a->is_second_hand;
    r->hand_count = a->hand_count;
    memcpy(r->hands, a->hands, sizeof(r->hands));
}

#endif
