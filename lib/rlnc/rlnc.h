/* rlnc.h: random linear network coding over GF(2^8), one generation at a time
 * Shape:   payload <-> k source shards; rows (payload pointer + coefficients) -> coded rows, or the payload again
 * Source:  random linear network coding as published (Ho et al.); field and kernels: gf/gf.h
 * Owner:   the lcore that holds the generation
 * Memory:  nothing is allocated: the caller places rank state and scratch once, sized by the functions below. Rows are
 *          references to bytes that stay the caller's; there is no matrix of payloads
 * Units:   bytes
 * Errors:  0, or -RLNC_E_*; see rlnc_err_name
 * Limits:  k 1..255; any payload from 0 bytes to 2^32-1; cost of every call is bounded by k and the shard length
 *
 * A payload of size bytes is cut into k shards of ceil(size/k) bytes. The last shards may be short or empty; the zeroes
 * that would fill them are virtual: never stored, never sent in a systematic shard, never hashed.
 */
#ifndef RLNC_RLNC_H
#define RLNC_RLNC_H

#include <stdbool.h>

#include "base/rng.h"
#include "base/slice.h"

#define RLNC_K_MAX 255
#define RLNC_CODED 0xffff /* rlnc_row.index of a row that is not a source shard */

enum rlnc_err {
    RLNC_E_K = 1,    /* k not in 1..255 */
    RLNC_E_SIZE,     /* payload above 2^32-1 bytes */
    RLNC_E_LENGTH,   /* a row whose length is not what its index says */
    RLNC_E_RANK,     /* the rows given do not span the generation */
    RLNC_E_CUT,      /* pre-reduction does not work here */
};

/* How a payload is cut. */
struct rlnc_shape {
    uint32_t size_bytes;
    uint32_t shard_bytes; /* of a coded shard, and of every source shard before the end of the payload */
    uint16_t k;
};

/* One shard: a source shard by its index, or a combination by its k coefficients. */
struct rlnc_row {
    const uint8_t *p;
    const uint8_t *coefs; /* k bytes; only read when index is RLNC_CODED */
    uint32_t len;
    uint16_t index;
};

/* 0, -RLNC_E_K, -RLNC_E_SIZE. */
int rlnc_shape_init(struct rlnc_shape *s, uint64_t size_bytes, unsigned k);

/* Source shard i as a part of the payload: offset and true length (0 when it lies past the end). */
uint32_t rlnc_shape_offset(const struct rlnc_shape *s, unsigned i);
uint32_t rlnc_shape_length(const struct rlnc_shape *s, unsigned i);

/* The row of source shard i of a payload held in one piece. */
struct rlnc_row rlnc_source_row(const struct rlnc_shape *s, const uint8_t *payload, unsigned i);

/* n coefficients, each uniform in 1..255. */
void rlnc_coefs_random(uint8_t *out, unsigned n, struct rng *rng);

/* Coded shards from the whole payload: for each of n, k fresh coefficients into coefs[i*k..] and shard_bytes into
 * out[i]. One pass over the payload for up to six. out must not overlap the payload. */
void rlnc_encode(const struct rlnc_shape *s, const uint8_t *payload, struct rng *rng, uint8_t *coefs, uint8_t *const *out,
                 unsigned n);

/* Coded shards from any rows, their coefficients combined. rows: 1..255, linearly independent (else a zero
 * vector may come out); may be reordered. 0, or -RLNC_E_LENGTH with nothing written. */
int rlnc_recode(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, struct rng *rng, uint8_t *coefs,
                uint8_t *const *out, unsigned n);

/* One row from given weights (one a row, after the order of rows): what a row with known coefficients must hold.
 * rows must be the k source rows in order. Used to check a row once the payload is known. */
void rlnc_expect(const struct rlnc_shape *s, const uint8_t *payload, const uint8_t *coefs, uint8_t *out);

/* Rank, tracked on coefficients alone: a fully reduced echelon form built row by row. */
struct rlnc_rank {
    uint16_t k, rank, stride; /* stride: from one row to the next */
    uint16_t stored_count;
    uint16_t fresh_count; /* of the stored rows the last so many: the others have not lost their pivots' columns yet */
    uint64_t unit[4];     /* pivots whose row is the plain unit vector (not stored) */
    uint64_t pivot[4];    /* pivots taken */
    uint8_t *stored;      /* k: the pivots of the stored rows, in order of arrival */
    uint8_t *echelon;     /* k rows, row j has a 1 at j where all others have 0; then one row of scratch */
};

/* Bytes that rlnc_rank_init needs for k. */
size_t rlnc_rank_bytes(unsigned k);
/* mem: rlnc_rank_bytes(k), the caller's, until the state is dropped. k 1..255. */
void rlnc_rank_init(struct rlnc_rank *r, unsigned k, void *mem);
/* Forgets all rows. */
void rlnc_rank_reset(struct rlnc_rank *r);
/* True: innovative, and counted. False: dependent on what is there (a zero vector always is), nothing changed. */
bool rlnc_rank_add(struct rlnc_rank *r, const uint8_t *coefs);
bool rlnc_rank_add_source(struct rlnc_rank *r, unsigned index);
/* Would it be innovative? Changes nothing but scratch. */
bool rlnc_rank_would_add(struct rlnc_rank *r, const uint8_t *coefs);
bool rlnc_rank_would_add_source(struct rlnc_rank *r, unsigned index);

/* At rank k-1: the one pivot that no row has. share[i] (k bytes): how much of it the row of pivot i has. */
unsigned rlnc_rank_gap(struct rlnc_rank *r, uint8_t *share);

static inline bool rlnc_rank_is_full(const struct rlnc_rank *r)
{
    return r->rank == r->k;
}

/* Scratch that rlnc_decode needs for k. */
size_t rlnc_decode_bytes(unsigned k);

/* The payload from k independent rows. Source rows are copied to their place in out unless they already lie there;
 * only missing source shards are computed: one inverse, one multiply. out: size_bytes, overlaps no row except a source row
 * at its own place. scratch: rlnc_decode_bytes(k). rows may be reordered.
 * 0; -RLNC_E_LENGTH or -RLNC_E_RANK: out is partly written and worthless. */
int rlnc_decode(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, uint8_t *out, void *scratch);

/* One of the missing source shards alone, as rlnc_decode would compute it: one pass over the rows. out: shard_bytes of room.
 * -RLNC_E_RANK also when it is among the rows. */
int rlnc_decode_one(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, unsigned index, uint8_t *out, void *scratch);

/* Pre-reduction: with one row still missing, all but one source shard are solved up to a multiple of that one, so that the last row
 * costs one pass over the payload instead of a decode. */
struct rlnc_ahead {
    uint16_t gap;              /* the source shard that is left */
    uint8_t share[RLNC_K_MAX]; /* source shard i = what is in its place + share[i] * source shard gap */
};

/* rows: k-1 independent ones, and rank what was tracked of these (or of others with the same span). Fills out as rlnc_decode does, but for the gap; out must
 * stay untouched, and the rows are no longer needed. scratch, reordering and errors as for rlnc_decode; besides
 * -RLNC_E_CUT: a shard cut short would have to be solved, wait for the last row and use rlnc_decode. */
int rlnc_decode_ahead(const struct rlnc_shape *s, struct rlnc_rank *rank, struct rlnc_row *rows, unsigned nrows,
                      uint8_t *out, void *scratch, struct rlnc_ahead *ahead);

/* The last row: 0 and out is the payload (a source shard stands in it as it came, whatever the other rows say); -RLNC_E_LENGTH or -RLNC_E_RANK (it adds nothing): out is as before. */
int rlnc_decode_last(const struct rlnc_shape *s, const struct rlnc_ahead *ahead, const struct rlnc_row *last, uint8_t *out);

const char *rlnc_err_name(int err);

#endif
