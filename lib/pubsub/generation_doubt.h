/* generation_doubt.h: coded rows of which some are forged, nobody knows which
 * Shape:   rows with the tags of those through whose hands they went -> choices of k that leave somebody out -> one source shard
 *          of each, which its hash judges -> the payload
 * Note:    each honest node adds to a row that it passes on who gave it the row. So all rows of a forger have its tag, whatever they
 *          claim besides, and without it what is left is honest. Tried first: without all who were in what failed; then without
 *          each, those first who were in most that failed (a lone forger was in all); then without two
 * Owner:   the coded router
 * Memory:  one block, made when a decoding fails; rows as in generation.h
 * Limits:  3k rows; what came through the most crowded hands goes first; GENERATION_TRIES_MAX tries a message and second, not in all:
 *          a forger could use them up before the honest rows come. The router bounds what the tries of all cost a second
 */
#ifndef PUBSUB_GENERATION_DOUBT_H
#define PUBSUB_GENERATION_DOUBT_H

#include "pubsub/generation.h"

enum {
    GENERATION_SUSPECTS_MAX = 64,
    GENERATION_TRIES_MAX = 256, /* a second */
    GENERATION_DOUBT_ROWS = 3, /* times k */
};

struct generation_suspect {
    uint32_t tag;
    uint64_t tried;  /* without it and that one (its own bit: without it alone) */
    uint16_t hits;   /* choices that failed and had rows of it */
};

struct generation_doubt {
    struct generation_suspect suspects[GENERATION_SUSPECTS_MAX];
    unsigned suspect_count;
    unsigned verified; /* source shards there were when these were tried */
    bool is_rest_tried; /* without all that have hits */
    uint64_t barren;    /* suspects without whom these rows do not span the message */
    uint64_t since_ns;  /* when the second began */
    uint16_t tries;     /* in it */
};

/* Walks the choices: all zeroes at first. */
struct generation_choice {
    struct rlnc_row rows[RLNC_K_MAX];
    uint64_t mask;   /* suspects whose rows are in it */
    uint64_t looked; /* suspects that were left out alone by now */
    uint8_t top[6], ntop, a, b;
    bool is_rest_looked, is_paired;
    unsigned spans; /* choices built to get here, with or without success: k^3 steps each */
    unsigned spans_max; /* no more than these; 0: no bound */
    bool is_cut;        /* a bound ended the walk: a later one may find more */
};

static inline bool generation_is_in_doubt(const struct generation *g)
{
    return g->doubt != NULL && !g->payload;
}

/* A coded shard that comes while in doubt. hands: see generation_row. GENERATION_ASIDE: kept; else UNHELPFUL. */
enum generation_verdict generation_doubt_add(struct generation *g, const struct generation_arrival *a);
/* Begins another second's tries, if the last one is over. */
void generation_doubt_allow(struct generation *g, uint64_t now);
/* The next choice not tried yet, marked as tried. False: there is none (now). scratch: generation_decode_bytes. */
bool generation_doubt_next(struct generation *g, struct generation_choice *c, void *scratch);
/* Is one source shard computed from it right? If not, that is held against all in it. out: shard_bytes. */
bool generation_doubt_test(struct generation *g, struct generation_choice *c, uint8_t *out, void *scratch);
/* As generation_decode, with these rows; when it fails that is held against all in it. */
int generation_doubt_decode(struct generation *g, struct generation_choice *c, struct buf *payload, void *scratch);

#endif
