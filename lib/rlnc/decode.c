/* decode.c: the payload from k independent rows, at full rank
 * Note:    with e source shards missing, e coded rows y = A_m x + A_s s hold them: x = inv(A_m) y + inv(A_m) A_s s. So the inverse is
 *          e x e, and payload bytes are touched in one multiply
 */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/combine.h"

struct plan {
    const struct rlnc_shape *s;
    struct rlnc_row *rows;
    unsigned nrows, e;
    uint8_t missing[RLNC_K_MAX]; /* indices of the e missing source shards, ascending */
    uint8_t coded[RLNC_K_MAX];   /* where in rows the e coded rows are */
    uint8_t *aug;                /* e rows of 2e bytes: A_m, then its inverse on the right */
    uint8_t *weight;             /* e rows of nrows bytes */
};

size_t rlnc_decode_bytes(unsigned k)
{
    return 3 * (size_t)k * k;
}

/* Finds what is missing; false when the rows cannot span it. */
static bool plan_make(struct plan *p)
{
    bool here[RLNC_K_MAX] = {false};
    unsigned coded = 0;

    if (p->nrows != p->s->k)
        return false;
    for (unsigned i = 0; i < p->nrows; i++) {
        if (p->rows[i].index == RLNC_CODED)
            p->coded[coded++] = (uint8_t)i;
        else if (here[p->rows[i].index])
            return false;
        else
            here[p->rows[i].index] = true;
    }
    for (unsigned i = 0; i < p->s->k; i++)
        if (!here[i])
            p->missing[p->e++] = (uint8_t)i;
    return true; /* k rows, no index twice: exactly as many coded as missing */
}

static int plan_invert(struct plan *p)
{
    unsigned e = p->e;

    for (unsigned r = 0; r < e; r++)
        for (unsigned c = 0; c < e; c++)
            p->aug[(size_t)r * 2 * e + c] = p->rows[p->coded[r]].coefs[p->missing[c]];
    return gf_matrix_invert(p->aug, e) ? -RLNC_E_RANK : 0;
}

/* weight of row j in missing shard r: the inverse's column for a coded row, inverse times A_s for a source row. */
static void plan_weigh(struct plan *p)
{
    unsigned e = p->e;
    uint8_t sum[RLNC_K_MAX];

    for (unsigned r = 0; r < e; r++) {
        const uint8_t *inv = p->aug + (size_t)r * 2 * e + e;
        uint8_t *w = p->weight + (size_t)r * p->nrows;

        memset(sum, 0, p->s->k);
        for (unsigned c = 0; c < e; c++)
            gf_mad(sum, p->rows[p->coded[c]].coefs, inv[c], p->s->k);
        for (unsigned j = 0; j < p->nrows; j++)
            if (p->rows[j].index != RLNC_CODED)
                w[j] = sum[p->rows[j].index];
        for (unsigned c = 0; c < e; c++)
            w[p->coded[c]] = inv[c];
    }
}

/* Missing shards of full length in one multiply, then the cut one; empty ones need nothing. */
static void plan_run(const struct plan *p, uint8_t *out)
{
    uint8_t *dst[RLNC_K_MAX];
    unsigned whole = 0;

    while (whole < p->e && rlnc_shape_length(p->s, p->missing[whole]) == p->s->shard_bytes) {
        dst[whole] = out + rlnc_shape_offset(p->s, p->missing[whole]);
        whole++;
    }
    rlnc_combine(p->rows, p->nrows, p->weight, p->nrows, dst, whole, p->s->shard_bytes);
    if (whole < p->e) {
        dst[0] = out + rlnc_shape_offset(p->s, p->missing[whole]);
        rlnc_combine(p->rows, p->nrows, p->weight + (size_t)whole * p->nrows, p->nrows, dst, 1,
                     rlnc_shape_length(p->s, p->missing[whole]));
    }
}

int rlnc_decode(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, uint8_t *out, void *scratch)
{
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .aug = scratch};
    int err = rlnc_rows_order(s, rows, nrows);

    if (err)
        return err;
    if (!plan_make(&p))
        return -RLNC_E_RANK;
    p.weight = p.aug + 2 * (size_t)p.e * p.e;
    err = plan_invert(&p);
    if (err)
        return err;
    plan_weigh(&p);
    for (unsigned i = 0; i < nrows; i++) {
        uint8_t *to = out + rlnc_shape_offset(s, rows[i].index < s->k ? rows[i].index : 0);

        if (rows[i].index != RLNC_CODED && rows[i].p != to && rows[i].len)
            memcpy(to, rows[i].p, rows[i].len);
    }
    plan_run(&p, out);
    return 0;
}
