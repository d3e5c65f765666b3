/* rank.c: rank of the rows seen so far, on coefficients alone
 * Note:    rows are kept fully reduced: where one has its pivot, all others are zero. So what a new row must lose is read off it at
 *          once, and goes in one dot product instead of one step after another. A source shard whose pivot is free is not stored:
 *          a generation that arrives systematically costs nothing here
 */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/rlnc.h"

static bool has(const uint64_t set[4], unsigned i)
{
    return set[i >> 6] >> (i & 63) & 1;
}

static void put(uint64_t set[4], unsigned i)
{
    set[i >> 6] |= 1ull << (i & 63);
}

enum { LINE = 64, PADDED_FROM = 32 };

/* Long rows begin at cache lines and are whole lines, zeroes after k; short ones stand close: many generations are small. */
static unsigned stride_of(unsigned k)
{
    return k < PADDED_FROM ? k : (k + LINE - 1) / LINE * LINE;
}

size_t rlnc_rank_bytes(unsigned k)
{
    return (size_t)stride_of(k) * (k + 1) + (k < PADDED_FROM ? 0 : LINE - 1);
}

void rlnc_rank_init(struct rlnc_rank *r, unsigned k, void *mem)
{
    r->k = (uint16_t)k;
    r->stride = (uint16_t)stride_of(k);
    r->echelon = mem;
    if (k >= PADDED_FROM)
        r->echelon += -(uintptr_t)mem % LINE;
    rlnc_rank_reset(r);
}

void rlnc_rank_reset(struct rlnc_rank *r)
{
    r->rank = 0;
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

/* Pivots whose row is stored, into out; how many. */
static unsigned stored(const struct rlnc_rank *r, uint8_t *out)
{
    unsigned n = 0;

    for (unsigned w = 0; w < 4; w++)
        for (uint64_t left = r->pivot[w] & ~r->unit[w]; left; left &= left - 1)
            out[n++] = (uint8_t)(64 * w + (unsigned)__builtin_ctzll(left));
    return n;
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
    uint8_t pivot[RLNC_K_MAX], factor[RLNC_K_MAX], *rest = scratch(r);
    const uint8_t *src[RLNC_K_MAX];
    unsigned n, used = 1;

    if (r->rank == r->k)
        return r->k;
    n = stored(r, pivot);
    memcpy(own, coefs, r->k);
    memset(own + r->k, 0, r->stride - r->k);
    src[0] = own;
    factor[0] = 1;
    for (unsigned i = 0; i < n; i++)
        if (coefs[pivot[i]]) {
            src[used] = row_of(r, pivot[i]);
            factor[used++] = coefs[pivot[i]];
        }
    gf_dot(&rest, 1, src, used, factor, used, 0, r->stride);
    for (unsigned w = 0; w < 4; w++)
        for (uint64_t left = r->unit[w]; left; left &= left - 1)
            rest[64 * w + (unsigned)__builtin_ctzll(left)] = 0;
    return first_non_zero(rest, r->k);
}

/* Takes what is in scratch as the row of pivot j, and takes j's column out of the others. */
static void take(struct rlnc_rank *r, unsigned j)
{
    uint8_t pivot[RLNC_K_MAX], factor[RLNC_K_MAX], *row[RLNC_K_MAX], *rest = scratch(r);
    unsigned n = stored(r, pivot);

    gf_scale(rest, gf_byte_inv(rest[j]), r->stride);
    for (unsigned i = 0; i < n; i++) {
        row[i] = row_of(r, pivot[i]);
        factor[i] = row[i][j];
    }
    gf_spread(row, n, rest, factor, 0, r->stride);
    memcpy(row_of(r, j), rest, r->stride);
    put(r->pivot, j);
    r->rank++;
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
static unsigned reduce_source(const struct rlnc_rank *r, unsigned index)
{
    if (r->rank == r->k || has(r->unit, index))
        return r->k;
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
    uint8_t pivot[RLNC_K_MAX];
    unsigned j, n;

    if (!has(r->pivot, index)) {
        n = stored(r, pivot);
        for (unsigned i = 0; i < n; i++)
            row_of(r, pivot[i])[index] = 0;
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
