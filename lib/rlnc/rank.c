/* rank.c: rank of the rows seen so far, on coefficients alone
 * Note:    rows are kept reduced only below their pivot; a source shard whose pivot is free needs no work and no memory traffic,
 *          so a generation that arrives systematically costs nothing here
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

size_t rlnc_rank_bytes(unsigned k)
{
    return (size_t)k * (k + 1);
}

void rlnc_rank_init(struct rlnc_rank *r, unsigned k, void *mem)
{
    r->k = (uint16_t)k;
    r->echelon = mem;
    rlnc_rank_reset(r);
}

void rlnc_rank_reset(struct rlnc_rank *r)
{
    r->rank = 0;
    memset(r->unit, 0, sizeof(r->unit));
    memset(r->pivot, 0, sizeof(r->pivot));
}

static uint8_t *scratch(struct rlnc_rank *r)
{
    return r->echelon + (size_t)r->k * r->k;
}

/* Reduces v until its first non-zero byte stands where no row has its pivot; returns that place, k when v vanishes. */
static unsigned reduce(const struct rlnc_rank *r, uint8_t *v)
{
    for (unsigned j = 0; j < r->k; j++) {
        if (v[j] == 0)
            continue;
        if (!has(r->pivot, j))
            return j;
        if (has(r->unit, j))
            v[j] = 0;
        else
            gf_mad(v + j, r->echelon + (size_t)j * r->k + j, v[j], r->k - j);
    }
    return r->k;
}

/* Takes the reduced vector in scratch as the row of pivot j. */
static void take(struct rlnc_rank *r, unsigned j)
{
    uint8_t *row = r->echelon + (size_t)j * r->k;

    memcpy(row, scratch(r), r->k);
    gf_scale(row + j, gf_byte_inv(row[j]), r->k - j);
    put(r->pivot, j);
    r->rank++;
}

bool rlnc_rank_would_add(struct rlnc_rank *r, const uint8_t *coefs)
{
    memcpy(scratch(r), coefs, r->k);
    return reduce(r, scratch(r)) < r->k;
}

bool rlnc_rank_add(struct rlnc_rank *r, const uint8_t *coefs)
{
    unsigned j;

    memcpy(scratch(r), coefs, r->k);
    j = reduce(r, scratch(r));
    if (j == r->k)
        return false;
    take(r, j);
    return true;
}

static unsigned reduce_source(struct rlnc_rank *r, unsigned index)
{
    memset(scratch(r), 0, r->k);
    scratch(r)[index] = 1;
    return reduce(r, scratch(r));
}

bool rlnc_rank_would_add_source(struct rlnc_rank *r, unsigned index)
{
    return !has(r->pivot, index) || reduce_source(r, index) < r->k;
}

bool rlnc_rank_add_source(struct rlnc_rank *r, unsigned index)
{
    unsigned j;

    if (!has(r->pivot, index)) {
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
