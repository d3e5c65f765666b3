/* one.h: the loops for one destination (private to the room; loops.h includes it, see there for what an instruction set brings)
 * Note:    such a call is often short (a row of coefficients, a shard of 1 KiB) and otherwise bound by reading, so what counts is little
 *          ado before the first load: no job to pass around, and up to KEEP sources hold their coefficients in registers over the
 *          whole range
 */
#ifndef GF_ONE_H
#define GF_ONE_H

GF_INLINE VEC_T product_at(const uint8_t *src, size_t x, struct factor f)
{
    return product(operand_of(vec_load(src + x)), f);
}

/* A range shorter than one vector: bytes outside it are neither read nor written. */
static void one_part(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t x, size_t len)
{
    VEC_T acc = vec_zero();

    for (unsigned j = 0; j < k; j++)
        acc = vec_add(acc, product(operand_of(vec_load_part(src[j] + x, len)), factor_of(coef[j])));
    vec_store_part(dst + x, acc, len);
}

GF_INLINE VEC_T kept_sum(const uint8_t *const *src, unsigned k, const struct factor *f, size_t x)
{
    VEC_T acc = product_at(src[0], x, f[0]);
    unsigned j = 1;

#pragma GCC unroll 8
    for (; j + 1 < k; j += 2)
        acc = vec_add3(acc, product_at(src[j], x, f[j]), product_at(src[j + 1], x, f[j + 1]));
    return j < k ? vec_add(acc, product_at(src[j], x, f[j])) : acc;
}

/* k is a constant at every call. The last vector is done again where it overlaps: sources never overlap destinations. */
GF_INLINE void one_kept(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t from, size_t to)
{
    const uint8_t *s[KEEP];
    struct factor f[KEEP];
    size_t x = from;

#pragma GCC unroll 8
    for (unsigned j = 0; j < k; j++) {
        s[j] = src[j];
        f[j] = factor_of(coef[j]);
    }
    for (; to - x >= VEC; x += VEC)
        vec_store(dst + x, kept_sum(s, k, f, x));
    if (x < to)
        vec_store(dst + to - VEC, kept_sum(s, k, f, to - VEC));
}

/* cols vectors at x, a constant at every call: all sources are added up in registers. k is at least 2. */
GF_INLINE void one_block(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, unsigned cols, size_t x)
{
    struct factor f = factor_of(coef[0]), g = factor_of(coef[1]);
    VEC_T acc[COLS_ONE];
    unsigned j = 2;

#pragma GCC unroll 8
    for (unsigned v = 0; v < cols; v++)
        acc[v] = vec_add(product_at(src[0] + v * VEC, x, f), product_at(src[1] + v * VEC, x, g));
    for (; j + 1 < k; j += 2) {
        f = factor_of(coef[j]);
        g = factor_of(coef[j + 1]);
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[v] = vec_add3(acc[v], product_at(src[j] + v * VEC, x, f), product_at(src[j + 1] + v * VEC, x, g));
    }
    if (j < k) {
        f = factor_of(coef[j]);
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[v] = vec_add(acc[v], product_at(src[j] + v * VEC, x, f));
    }
#pragma GCC unroll 8
    for (unsigned v = 0; v < cols; v++)
        vec_store(dst + x + v * VEC, acc[v]);
}

static void one_in_blocks(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t from, size_t to)
{
    size_t x = from;

    for (; to - x >= COLS_ONE * VEC; x += COLS_ONE * VEC)
        one_block(dst, src, k, coef, COLS_ONE, x);
    if (COLS_ONE > 4 && to - x >= 4 * VEC) {
        one_block(dst, src, k, coef, 4, x);
        x += 4 * VEC;
    }
    if (to - x >= 2 * VEC) {
        one_block(dst, src, k, coef, 2, x);
        x += 2 * VEC;
    }
    if (to - x >= VEC) {
        one_block(dst, src, k, coef, 1, x);
        x += VEC;
    }
    if (x < to)
        one_block(dst, src, k, coef, 1, to - VEC);
}

#define KEPT_CASE(K)                                                                                                               \
    case K:                                                                                                                        \
        one_kept(dst, src, K <= KEEP ? K : KEEP, coef, from, to);                                                                  \
        break

static void one(uint8_t *dst, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t from, size_t to)
{
    if (to - from < VEC) {
        one_part(dst, src, k, coef, from, to - from);
        return;
    }
    switch (k <= KEEP ? k : 0) {
    default: one_in_blocks(dst, src, k, coef, from, to); break;
        KEPT_CASE(1);
        KEPT_CASE(2);
        KEPT_CASE(3);
        KEPT_CASE(4);
        KEPT_CASE(5);
        KEPT_CASE(6);
        KEPT_CASE(7);
        KEPT_CASE(8);
    }
}

#endif
