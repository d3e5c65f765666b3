/* decode.c: the payload from k independent rows, at full rank
 * Note:    with e source shards missing, e coded rows y = A_m x + A_s s hold them: x = inv(A_m) y + inv(A_m) A_s s. So the inverse is
 *          e x e, and payload bytes are touched in one multiply
 */
#include <string.h>

#include "gf/gf.h"
#include "rlnc/combine.h"

enum { NO_GAP = RLNC_CODED, LAST_BYTES = 1 << 17, LINE = 64 };

struct plan {
    const struct rlnc_shape *s;
    struct rlnc_row *rows;
    unsigned nrows, e, gap;      /* gap: a missing shard that is not to be solved */
    uint8_t missing[RLNC_K_MAX]; /* indices of the e source shards to solve, ascending */
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

    if (p->nrows + (p->gap != NO_GAP) != p->s->k)
        return false;
    for (unsigned i = 0; i < p->nrows; i++) {
        if (p->rows[i].index == RLNC_CODED)
            p->coded[coded++] = (uint8_t)i;
        else if (here[p->rows[i].index])
            return false;
        else
            here[p->rows[i].index] = true;
    }
    if (p->gap != NO_GAP && here[p->gap])
        return false;
    for (unsigned i = 0; i < p->s->k; i++)
        if (!here[i] && i != p->gap)
            p->missing[p->e++] = (uint8_t)i;
    p->stride = gf_matrix_stride(p->e);
    return true; /* no index twice: exactly as many coded as to solve */
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

static int plan_solve(struct plan *p, uint8_t *out)
{
    int err = plan_invert(p);

    if (err)
        return err;
    plan_weigh(p);
    copy_sources(p, out);
    plan_run(p, out);
    return 0;
}

int rlnc_decode_one(const struct rlnc_shape *s, struct rlnc_row *rows, unsigned nrows, unsigned index, uint8_t *out, void *scratch)
{
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .gap = NO_GAP, .inverse = at_line(scratch)};
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
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .gap = NO_GAP, .inverse = at_line(scratch)};
    int err = rlnc_rows_order(s, rows, nrows);

    if (err)
        return err;
    return plan_make(&p) ? plan_solve(&p, out) : -RLNC_E_RANK;
}

int rlnc_decode_ahead(const struct rlnc_shape *s, struct rlnc_rank *rank, struct rlnc_row *rows, unsigned nrows,
                      uint8_t *out, void *scratch, struct rlnc_ahead *ahead)
{
    struct plan p = {.s = s, .rows = rows, .nrows = nrows, .inverse = at_line(scratch)};
    int err = rlnc_rows_order(s, rows, nrows);

    if (err)
        return err;
    if (rank->k != s->k || rank->rank + 1 != s->k)
        return -RLNC_E_RANK;
    p.gap = ahead->gap = (uint16_t)rlnc_rank_gap(rank, ahead->share);
    if (!plan_make(&p))
        return -RLNC_E_RANK;
    for (unsigned r = 0; r < p.e; r++) /* past its end such a shard would be a multiple of the gap, not zero */
        if (rlnc_shape_length(s, p.missing[r]) < s->shard_bytes)
            return -RLNC_E_CUT;
    return plan_solve(&p, out);
}

/* What is known, as rows; the last one first, as a coded row of these coefficients. Weights that give the gap; false: it adds
 * nothing. */
static bool last_weigh(const struct rlnc_shape *s, const struct rlnc_ahead *a, const uint8_t *coefs, struct rlnc_row *rows,
                       const uint8_t *out, uint8_t *weight)
{
    uint8_t sum = coefs[a->gap], inv;
    unsigned n = 1;

    for (unsigned i = 0; i < s->k; i++)
        if (i != a->gap) {
            sum ^= gf_byte_mul(coefs[i], a->share[i]);
            rows[n++] = rlnc_source_row(s, out, i);
        }
    if (sum == 0)
        return false;
    rlnc_rows_order(s, rows, n);
    inv = gf_byte_inv(sum);
    for (unsigned i = 0; i < n; i++)
        weight[i] = rows[i].index == RLNC_CODED ? inv : gf_byte_mul(inv, coefs[rows[i].index]);
    return true;
}

/* The gap from all others, and at once its share in them: strip by strip, while they are in the cache. */
static void last_run(const struct rlnc_shape *s, const struct rlnc_ahead *a, const struct rlnc_row *rows, const uint8_t *weight,
                     uint8_t *out)
{
    uint8_t *gap = out + rlnc_shape_offset(s, a->gap), *dst[RLNC_K_MAX], share[RLNC_K_MAX];
    uint32_t len = rlnc_shape_length(s, a->gap), strip = LAST_BYTES / s->k;
    unsigned n = 0;

    for (unsigned i = 0; i < s->k; i++)
        if (i != a->gap && a->share[i]) { /* such a shard was solved, so it is of full length */
            dst[n] = out + rlnc_shape_offset(s, i);
            share[n++] = a->share[i];
        }
    for (uint32_t from = 0, to; from < len; from = to) {
        to = len - from < strip ? len : from + strip;
        if (rows)
            rlnc_combine(rows, s->k, weight, s->k, &gap, 1, from, to);
        for (unsigned i = 0; i < n; i++) /* long rows: one after the other, unlike a matrix's */
            gf_mad(dst[i] + from, gap + from, share[i], to - from);
    }
}

int rlnc_decode_last(const struct rlnc_shape *s, const struct rlnc_ahead *ahead, const struct rlnc_row *last, uint8_t *out)
{
    struct rlnc_row rows[RLNC_K_MAX] = {*last};
    uint8_t weight[RLNC_K_MAX], unit[RLNC_K_MAX] = {0};
    const uint8_t *coefs = last->coefs;
    int err = rlnc_rows_order(s, rows, 1);

    if (err)
        return err;
    if (last->index == ahead->gap) {
        uint8_t *to = out + rlnc_shape_offset(s, last->index);

        if (last->p != to && last->len)
            memcpy(to, last->p, last->len);
        last_run(s, ahead, NULL, NULL, out);
        return 0;
    }
    if (last->index != RLNC_CODED) {
        if (ahead->share[last->index] == 0) /* known already */
            return -RLNC_E_RANK;
        unit[last->index] = 1;
        coefs = unit;
        rows[0].index = RLNC_CODED;
    }
    if (!last_weigh(s, ahead, coefs, rows, out, weight))
        return -RLNC_E_RANK;
    last_run(s, ahead, rows, weight, out);
    if (last->index != RLNC_CODED) /* it comes out the same but past the end of a gap that is cut, where only the other rows spoke */
        memcpy(out + rlnc_shape_offset(s, last->index), last->p, last->len);
    return 0;
}
