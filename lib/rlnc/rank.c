/* rank.c: rank of the rows seen so far, on coefficients alone
 * Note:    rows are kept fully reduced: where one has its pivot, all others are zero. So what a new row must lose is read off it at
 *          once, and goes in one dot product instead of one step after another. The older rows lose the columns of new ones not at once
 *          but for FRESH_MAX together: less to load and store. A source shard whose pivot is free is not stored: a generation that
 *          arrives systematically costs nothing here
 */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/rlnc.h"

enum { LINE = 64, PADDED_FROM = 32, FRESH_MAX = GF_SPREAD_MAX };

static bool has(const uint64_t set[4], unsigned i)
{
    return set[i >> 6] >> (i & 63) & 1;
}

static void put(uint64_t set[4], unsigned i)
{
    set[i >> 6] |= 1ull << (i & 63);
}

/* Long rows begin at cache lines and are whole lines, zeroes after k; short ones stand close: many generations are small. */
static unsigned stride_of(unsigned k)
{
    return k < PADDED_FROM ? k : (k + LINE - 1) / LINE * LINE;
}

size_t rlnc_rank_bytes(unsigned k)
{
    return k + (size_t)stride_of(k) * (k + 1) + (k < PADDED_FROM ? 0 : LINE - 1);
}

void rlnc_rank_init(struct rlnc_rank *r, unsigned k, void *mem)
{
    r->k = (uint16_t)k;
    r->stride = (uint16_t)stride_of(k);
    r->stored = mem;
    r->echelon = r->stored + k;
    if (k >= PADDED_FROM)
        r->echelon += -(uintptr_t)r->echelon % LINE;
    rlnc_rank_reset(r);
}

void rlnc_rank_reset(struct rlnc_rank *r)
{
    r->rank = r->stored_count = r->fresh_count = 0;
    memset(r->unit, 0, sizeof(r->unit));
    memset(r->pivot, 0, sizeof(r->pivot));
}

static uint8_t *scratch(const struct rlnc_rank *r)
{
    return r->echelon + (size_t)r->k * r->stride;
}

static uint8_t *row_of(const struct rlnc_rank *r, unsigned pivot)
{
    return r->echelon + (size_t)pivot * r->stride;
}

static const uint8_t *fresh_pivots(const struct rlnc_rank *r)
{
    return r->stored + r->stored_count - r->fresh_count;
}

/* Takes the fresh rows' columns out of n rows. */
static void clear_fresh(const struct rlnc_rank *r, uint8_t *const *row, unsigned n)
{
    uint8_t factor[RLNC_K_MAX * FRESH_MAX];
    const uint8_t *src[FRESH_MAX], *fresh = fresh_pivots(r);

    for (unsigned q = 0; q < r->fresh_count; q++)
        src[q] = row_of(r, fresh[q]);
    for (unsigned i = 0; i < n; i++)
        for (unsigned q = 0; q < r->fresh_count; q++)
            factor[i * FRESH_MAX + q] = row[i][fresh[q]];
    gf_spread(row, n, src, r->fresh_count, factor, FRESH_MAX, 0, r->stride);
}

/* All rows fully reduced. */
static void settle(struct rlnc_rank *r)
{
    uint8_t *row[RLNC_K_MAX];
    unsigned n = r->stored_count - r->fresh_count;

    for (unsigned i = 0; i < n; i++)
        row[i] = row_of(r, r->stored[i]);
    clear_fresh(r, row, n);
    r->fresh_count = 0;
}

static unsigned first_non_zero(const uint8_t *v, unsigned k)
{
    static const uint8_t zero[16];
    unsigned j = 0;

    while (j + sizeof(zero) <= k && !memcmp(v + j, zero, sizeof(zero)))
        j += sizeof(zero);
    while (j < k && v[j] == 0)
        j++;
    return j;
}

/* Leaves in scratch what coefs has beyond the rows; returns where it begins, k when nothing is left. */
static unsigned reduce(const struct rlnc_rank *r, const uint8_t *coefs)
{
    uint8_t own[RLNC_K_MAX + 1] __attribute__((aligned(LINE)));
    uint8_t factor[RLNC_K_MAX], *rest = scratch(r);
    const uint8_t *src[RLNC_K_MAX];
    unsigned used = 1;

    if (r->rank == r->k)
        return r->k;
    memcpy(own, coefs, r->k);
    memset(own + r->k, 0, r->stride - r->k);
    src[0] = own;
    factor[0] = 1;
    for (unsigned i = 0; i + r->fresh_count < r->stored_count; i++)
        if (coefs[r->stored[i]]) {
            src[used] = row_of(r, r->stored[i]);
            factor[used++] = coefs[r->stored[i]];
        }
    gf_dot(&rest, 1, src, used, factor, used, 0, r->stride);
    clear_fresh(r, &rest, 1);
    for (unsigned w = 0; w < 4; w++)
        for (uint64_t left = r->unit[w]; left; left &= left - 1)
            rest[64 * w + (unsigned)__builtin_ctzll(left)] = 0;
    return first_non_zero(rest, r->k);
}

/* Takes what is in scratch as the row of pivot j, fresh, and takes j's column out of the other fresh ones. */
static void take(struct rlnc_rank *r, unsigned j)
{
    uint8_t factor[FRESH_MAX], *row[FRESH_MAX], *rest = scratch(r);
    const uint8_t *src = rest;

    gf_scale(rest, gf_byte_inv(rest[j]), r->stride);
    for (unsigned q = 0; q < r->fresh_count; q++) {
        row[q] = row_of(r, fresh_pivots(r)[q]);
        factor[q] = row[q][j];
    }
    gf_spread(row, r->fresh_count, &src, 1, factor, 1, 0, r->stride);
    memcpy(row_of(r, j), rest, r->stride);
    put(r->pivot, j);
    r->rank++;
    r->stored[r->stored_count++] = (uint8_t)j;
    r->fresh_count++;
    if (r->fresh_count == FRESH_MAX)
        settle(r);
}

bool rlnc_rank_would_add(struct rlnc_rank *r, const uint8_t *coefs)
{
    return reduce(r, coefs) < r->k;
}

bool rlnc_rank_add(struct rlnc_rank *r, const uint8_t *coefs)
{
    unsigned j = reduce(r, coefs);

    if (j == r->k)
        return false;
    take(r, j);
    return true;
}

/* As reduce, for a source shard whose pivot a stored row has: the rest is that row without the pivot. */
static unsigned reduce_source(struct rlnc_rank *r, unsigned index)
{
    if (r->rank == r->k || has(r->unit, index))
        return r->k;
    settle(r);
    memcpy(scratch(r), row_of(r, index), r->stride);
    scratch(r)[index] = 0;
    return first_non_zero(scratch(r), r->k);
}

bool rlnc_rank_would_add_source(struct rlnc_rank *r, unsigned index)
{
    return !has(r->pivot, index) || reduce_source(r, index) < r->k;
}

bool rlnc_rank_add_source(struct rlnc_rank *r, unsigned index)
{
    unsigned j;

    if (!has(r->pivot, index)) {
        for (unsigned i = 0; i < r->stored_count; i++)
            row_of(r, r->stored[i])[index] = 0;
        put(r->unit, index);
        put(r->pivot, index);
        r->rank++;
        return true;
    }
    j = reduce_source(r, index);
    if (j == r->k)
        return false;
    take(r, j);
    return true;
}

unsigned rlnc_rank_gap(struct rlnc_rank *r, uint8_t *share)
{
    unsigned gap = 0;

    settle(r);
    while (has(r->pivot, gap))
        gap++;
    memset(share, 0, r->k);
    for (unsigned i = 0; i < r->stored_count; i++)
        share[r->stored[i]] = row_of(r, r->stored[i])[gap];
    return gap;
}
