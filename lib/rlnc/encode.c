/* encode.c: coded shards from the payload or from rows */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/combine.h"

enum { BATCH = 6 }; /* destinations a pass: what the widest kernel keeps in registers */

/* 32 random bits a coefficient, scaled to 1..255: no rejection loop (which zeroed randomness would never leave), and a bias
 * of 2^-24. */
void rlnc_coefs_random(uint8_t *out, unsigned n, struct rng *rng)
{
    uint32_t word[64];

    while (n) {
        unsigned part = n < 64 ? n : 64;

        rng_fill(rng, word, part * sizeof(word[0]));
        for (unsigned i = 0; i < part; i++)
            out[i] = (uint8_t)(1 + ((uint64_t)word[i] * 255 >> 32));
        out += part;
        n -= part;
    }
}

static void source_rows(const struct rlnc_shape *s, const uint8_t *payload, struct rlnc_row *rows)
{
    for (unsigned i = 0; i < s->k; i++)
        rows[i] = rlnc_source_row(s, payload, i);
}

void rlnc_encode(const struct rlnc_shape *s, const uint8_t *payload, struct rng *rng, uint8_t *coefs, uint8_t *const *out,
                 unsigned n)
{
    struct rlnc_row rows[RLNC_K_MAX];

    source_rows(s, payload, rows);
    rlnc_coefs_random(coefs, n * s->k, rng);
    rlnc_combine(rows, s->k, coefs, s->k, out, n, 0, s->shard_bytes);
}

void rlnc_expect(const struct rlnc_shape *s, const uint8_t *payload, const uint8_t *coefs, uint8_t *out)
{
    struct rlnc_row rows[RLNC_K_MAX];

    source_rows(s, payload, rows);
    rlnc_combine(rows, s->k, coefs, s->k, &out, 1, 0, s->shard_bytes);
}

/* coefs = sum of weight[j] * the coefficients of rows[j] */
static void combine_coefs(unsigned k, const struct rlnc_row *rows, unsigned nrows, const uint8_t *weight, uint8_t *coefs)
{
    memset(coefs, 0, k);
    for (unsigned j = 0; j < nrows; j++) {
        if (rows[j].index == RLNC_CODED)
            gf_mad(coefs, rows[j].coefs, weight[j], k);
        else
            coefs[rows[j].index] ^= weight[j];
    }
}

int rlnc_recode(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, struct rng *rng, uint8_t *coefs,
                uint8_t *const *out, unsigned n)
{
    uint8_t weight[BATCH * RLNC_K_MAX];
    int err = rlnc_rows_order(s, rows, nrows);

    if (err)
        return err;
    for (unsigned done = 0; done < n; done += BATCH) {
        unsigned part = n - done < BATCH ? n - done : BATCH;

        rlnc_coefs_random(weight, part * nrows, rng);
        for (unsigned i = 0; i < part; i++)
            combine_coefs(s->k, rows, nrows, weight + i * nrows, coefs + (size_t)(done + i) * s->k);
        rlnc_combine(rows, nrows, weight, nrows, out + done, part, 0, s->shard_bytes);
    }
    return 0;
}
