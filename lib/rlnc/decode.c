/* decode.c: the payload from k independent rows, at full rank
 * Note:    with e source shards missing, e coded rows y = A_m x + A_s s hold them: x = inv(A_m) y + inv(A_m) A_s s. So the inverse is
 *          e x e, and payload bytes are touched in one multiply
 */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/combine.h"

enum { LINE = 64 };

struct plan {
    const struct rlnc_shape *s;
    struct rlnc_row *rows;
    unsigned nrows, e;
    uint8_t missing[RLNC_K_MAX]; /* indices of the e source shards that are not among rows, ascending */
    uint8_t coded[RLNC_K_MAX];   /* where in rows the e coded rows are */
    uint8_t *inverse;            /* of A_m: e rows of e bytes, `stride` apart */
    size_t stride;
    const uint8_t *weight; /* e rows of nrows bytes, weight_stride apart */
    size_t weight_stride;
};

/* Room for the inverse, then sums and weights. */
size_t rlnc_decode_bytes(unsigned k)
{
    return k * (gf_matrix_stride(k) + 2 * (size_t)k) + LINE - 1;
}

static uint8_t *at_line(void *p)
{
    return (uint8_t *)p + -(uintptr_t)p % LINE;
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
    p->stride = gf_matrix_stride(p->e);
    return true; /* no index twice: exactly as many coded as missing */
}

static int plan_invert(struct plan *p)
{
    for (unsigned r = 0; r < p->e; r++) {
        const uint8_t *coefs = p->rows[p->coded[r]].coefs;

        if (p->e == p->s->k)
            memcpy(p->inverse + r * p->stride, coefs, p->e);
        for (unsigned c = 0; c < p->e && p->e < p->s->k; c++)
            p->inverse[r * p->stride + c] = coefs[p->missing[c]];
    }
    return gf_matrix_invert(p->inverse, p->e) ? -RLNC_E_RANK : 0;
}

/* weight of row j in missing shard r: the inverse's column for a coded row, inverse times A_s for a source row. */
static void plan_weigh(struct plan *p)
{
    uint8_t *sums = p->inverse + p->e * p->stride, *weight = sums + (size_t)p->e * p->s->k, *dst[RLNC_K_MAX];
    const uint8_t *src[RLNC_K_MAX];

    p->weight = p->inverse;
    p->weight_stride = p->stride;
    if (p->e == p->nrows) /* all coded: rows stand as in the matrix */
        return;
    for (unsigned r = 0; r < p->e; r++) {
        src[r] = p->rows[p->coded[r]].coefs;
        dst[r] = sums + (size_t)r * p->s->k;
    }
    gf_dot(dst, p->e, src, p->e, p->inverse, p->stride, 0, p->s->k);
    for (unsigned r = 0; r < p->e; r++) {
        uint8_t *w = weight + (size_t)r * p->nrows;

        for (unsigned j = 0; j < p->nrows; j++)
            if (p->rows[j].index != RLNC_CODED)
                w[j] = dst[r][p->rows[j].index];
        for (unsigned c = 0; c < p->e; c++)
            w[p->coded[c]] = p->inverse[r * p->stride + c];
    }
    p->weight = weight;
    p->weight_stride = p->nrows;
}

/* Missing shards of full length together with the cut one as far as it goes, then the rest of the full ones. */
static void plan_run(const struct plan *p, uint8_t *out)
{
    uint8_t *dst[RLNC_K_MAX];
    unsigned whole = 0;
    uint32_t cut = 0;

    for (unsigned r = 0; r < p->e; r++) {
        uint32_t len = rlnc_shape_length(p->s, p->missing[r]);

        dst[r] = out + rlnc_shape_offset(p->s, p->missing[r]);
        whole += len == p->s->shard_bytes;
        cut = len < p->s->shard_bytes && len ? len : cut; /* at most one: any after it are empty */
    }
    if (cut)
        rlnc_combine(p->rows, p->nrows, p->weight, p->weight_stride, dst, whole + 1, 0, cut);
    rlnc_combine(p->rows, p->nrows, p->weight, p->weight_stride, dst, whole, cut, p->s->shard_bytes);
}

static void copy_sources(const struct plan *p, uint8_t *out)
{
    for (unsigned i = 0; i < p->nrows; i++) {
        const struct rlnc_row *r = &p->rows[i];
        uint8_t *to = out + rlnc_shape_offset(p->s, r->index < p->s->k ? r->index : 0);

        if (r->index != RLNC_CODED && r->p != to && r->len)
            memcpy(to, r->p, r->len);
    }
}

int rlnc_decode_one(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, unsigned index, uint8_t *out, void *scratch)
{
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .inverse = at_line(scratch)};
    int err = rlnc_rows_order(s, rows, nrows);
    unsigned at = 0;

    if (err)
        return err;
    if (!plan_make(&p))
        return -RLNC_E_RANK;
    while (at < p.e && p.missing[at] != index)
        at++;
    if (at == p.e)
        return -RLNC_E_RANK;
    err = plan_invert(&p);
    if (err)
        return err;
    plan_weigh(&p);
    rlnc_combine(rows, nrows, p.weight + at * p.weight_stride, p.weight_stride, &out, 1, 0, rlnc_shape_length(s, index));
    return 0;
}

int rlnc_decode(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, uint8_t *out, void *scratch)
{
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .inverse = at_line(scratch)};
    int err = rlnc_rows_order(s, rows, nrows);

    if (err)
        return err;
    if (!plan_make(&p))
        return -RLNC_E_RANK;
    err = plan_invert(&p);
    if (err)
        return err;
    plan_weigh(&p);
    copy_sources(&p, out);
    plan_run(&p, out);
    return 0;
}
