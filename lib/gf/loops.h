/* loops.h: the loops that all vector kernels share (private to the room)
 * Shape:   an instruction set's file defines the names below, then includes this once: the loops are written once and exist
 *          once per instruction set. At its end the file has dot, mad and spread for its struct gf_kernels
 * Needs:   VEC_T; enum VEC (bytes of one), GROUP (2 to 8 destinations that fit the registers), COLS (vectors of each), COLS_ONE (the
 *          same with one destination, a power of two), KEEP (up to 8 sources whose coefficients stay in registers then), PAIRS (1: sources
 *          are taken two at a time); struct operand (a source vector made ready), struct factor (a coefficient made ready);
 *          vec_load, vec_store, vec_stream (aligned, past the caches), vec_fence (streamed bytes are out before what follows), vec_load_part,
 *          vec_store_part, vec_zero, vec_add, vec_add3, operand_of, factor_of, product
 * Note:    a source byte is loaded once for GROUP products. More destinations than that: the range is walked in strips whose
 *          sources stay in L1 for every group; when all is more than the caches hold, each group asks for what comes next. Nothing is
 *          prepared per call, so fresh random coefficients cost nothing
 */
#ifndef GF_LOOPS_H
#define GF_LOOPS_H

#include "gf/kernels.h"

#define GF_INLINE static inline __attribute__((always_inline))

enum { L1_BYTES = 32768, FAR_BYTES = 2 << 20, STREAM_BYTES = 8 << 20, SPREAD_COLS = 2, LINE = 64 };

#include "gf/one.h"

struct job {
    uint8_t *const *dst;
    const uint8_t *const *src;
    const uint8_t *coef;
    size_t stride;
    unsigned k;
    bool is_streamed; /* destinations go past the caches; they are aligned to vectors */
};

/* acc += the products of one source. */
GF_INLINE void take_one(const struct job *b, unsigned n, unsigned cols, size_t x, unsigned j, VEC_T acc[GROUP][COLS])
{
    struct operand in[COLS];

#pragma GCC unroll 8
    for (unsigned v = 0; v < cols; v++)
        in[v] = operand_of(vec_load(b->src[j] + x + v * VEC));
#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++) {
        struct factor f = factor_of(b->coef[i * b->stride + j]);
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[i][v] = vec_add(acc[i][v], product(in[v], f));
    }
}

/* Two sources at once: where the CPU adds three vectors in one step, that is half of the additions. */
GF_INLINE void take_two(const struct job *b, unsigned n, unsigned cols, size_t x, unsigned j, VEC_T acc[GROUP][COLS])
{
    const uint8_t *s = b->src[j] + x, *t = b->src[j + 1] + x;
    struct operand in[COLS], on[COLS];

#pragma GCC unroll 8
    for (unsigned v = 0; v < cols; v++) {
        in[v] = operand_of(vec_load(s + v * VEC));
        on[v] = operand_of(vec_load(t + v * VEC));
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++) {
        struct factor f = factor_of(b->coef[i * b->stride + j]), g = factor_of(b->coef[i * b->stride + j + 1]);
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[i][v] = vec_add3(acc[i][v], product(in[v], f), product(on[v], g));
    }
}

/* n destinations, cols vectors at x. Both are constants at every call, so acc lives in registers. */
GF_INLINE void block(const struct job *b, unsigned n, unsigned cols, size_t x)
{
    VEC_T acc[GROUP][COLS];
    unsigned j = 0;

#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[i][v] = vec_zero();
    for (; PAIRS && j + 1 < b->k; j += 2)
        take_two(b, n, cols, x, j, acc);
    for (; j < b->k; j++)
        take_one(b, n, cols, x, j, acc);
#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            if (b->is_streamed)
                vec_stream(b->dst[i] + x + v * VEC, acc[i][v]);
            else
                vec_store(b->dst[i] + x + v * VEC, acc[i][v]);
}

/* The same for a range shorter than one vector: bytes outside it are neither read nor written. */
GF_INLINE void block_part(const struct job *b, unsigned n, size_t x, size_t len)
{
    VEC_T acc[GROUP];

#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++)
        acc[i] = vec_zero();
    for (unsigned j = 0; j < b->k; j++) {
        struct operand in = operand_of(vec_load_part(b->src[j] + x, len));
#pragma GCC unroll 8
        for (unsigned i = 0; i < n; i++)
            acc[i] = vec_add(acc[i], product(in, factor_of(b->coef[i * b->stride + j])));
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < n; i++)
        vec_store_part(b->dst[i] + x, acc[i], len);
}

/* The last vector is done again where it overlaps: sources never overlap destinations, so that changes nothing. */
GF_INLINE void group_of(const struct job *b, unsigned n, size_t from, size_t to)
{
    size_t x = from;

    for (; to - x >= COLS * VEC; x += COLS * VEC)
        block(b, n, COLS, x);
    for (; to - x >= VEC; x += VEC)
        block(b, n, 1, x);
    if (x == to)
        return;
    if (to - from < VEC) {
        block_part(b, n, x, to - x);
    } else {
        struct job last = *b;

        last.is_streamed = false;
        block(&last, n, 1, to - VEC);
    }
}

#define GROUP_CASE(N)                                                                                                              \
    case N:                                                                                                                        \
        group_of(b, N <= GROUP ? N : GROUP, from, to);                                                                             \
        break

static void group(const struct job *b, unsigned n, size_t from, size_t to)
{
    switch (n) {
        GROUP_CASE(2);
        GROUP_CASE(3);
        GROUP_CASE(4);
        GROUP_CASE(5);
        GROUP_CASE(6);
        GROUP_CASE(7);
        GROUP_CASE(8);
    }
}

static size_t strip_bytes(unsigned k, size_t budget)
{
    size_t strip = budget / k / (COLS * VEC) * (COLS * VEC);

    return strip ? strip : COLS * VEC;
}

/* Asks for [from, to) of n rows: with this many streams the CPU's own prefetching gives up. */
static void fetch_sources(const struct job *b, unsigned first, unsigned end, size_t from, size_t to)
{
    for (unsigned j = first; j < end; j++)
        for (size_t x = from; x < to; x += LINE)
            __builtin_prefetch(b->src[j] + x, 0, 2);
}

static void fetch_destinations(const struct job *b, unsigned n, size_t from, size_t to)
{
    for (unsigned i = 0; i < n && i < GROUP; i++)
        for (size_t x = from; x < to; x += LINE)
            __builtin_prefetch(b->dst[i] + x, 1, 3);
}

/* What a group that computes [from, to) of destinations from `first` should ask for meanwhile: the next group's destinations, and its
 * share of the next strip's sources. */
static void fetch_ahead(const struct job *all, unsigned n, unsigned g, unsigned groups, const size_t at[3])
{
    unsigned next = n * (g + 1) / groups;
    struct job b = *all;

    fetch_sources(all, all->k * g / groups, all->k * (g + 1) / groups, at[1], at[2]);
    if (all->is_streamed)
        return;
    b.dst += next;
    if (next < n)
        fetch_destinations(&b, n - next, at[0], at[1]);
    else
        fetch_destinations(all, n, at[1], at[2]);
}

/* Groups of equal size: a last one of a single row would be all loads. */
static void dot_in_strips(const struct job *all, unsigned n, size_t from, size_t to)
{
    bool is_far = (all->k + n) * (to - from) > FAR_BYTES;
    size_t strip = strip_bytes(all->k, is_far ? L1_BYTES / 2 : L1_BYTES);
    unsigned groups = (n + GROUP - 1) / GROUP;

    while (from < to) {
        size_t end = to - from < strip ? to : from + strip, after = to - end < strip ? to : end + strip;

        for (unsigned g = 0, first = 0, next; g < groups; g++, first = next) {
            struct job b = *all;

            next = n * (g + 1) / groups;
            b.dst += first;
            b.coef += first * b.stride;
            if (is_far)
                fetch_ahead(all, n, g, groups, (size_t[3]){from, end, after});
            group(&b, next - first, from, end);
        }
        from = end;
    }
}

/* Destinations that the caches cannot hold anyway: written past them, so that they are not read first. */
static bool is_worth_streaming(uint8_t *const *dst, unsigned n, size_t from, size_t to)
{
    if (n * (to - from) < STREAM_BYTES)
        return false;
    for (unsigned i = 0; i < n; i++)
        if ((uintptr_t)(dst[i] + from) % VEC)
            return false;
    return true;
}

static void dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                size_t from, size_t to)
{
    struct job b = {dst, src, coef, stride, k, false};

    if (n == 1) {
        one(dst[0], src, k, coef, from, to);
        return;
    }
    b.is_streamed = is_worth_streaming(dst, n, from, to);
    if (n <= GROUP)
        group(&b, n, from, to);
    else
        dot_in_strips(&b, n, from, to);
    if (b.is_streamed)
        vec_fence();
}

static void mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    struct factor f = factor_of(c);

    for (; len >= VEC; dst += VEC, src += VEC, len -= VEC)
        vec_store(dst, vec_add(vec_load(dst), product(operand_of(vec_load(src)), f)));
    if (len)
        vec_store_part(dst, vec_add(vec_load_part(dst, len), product(operand_of(vec_load_part(src, len)), f)), len);
}

/* cols vectors of all sources stay in registers for all destinations. k and cols are constants at every call. */
GF_INLINE void spread_block(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef,
                            size_t stride, unsigned cols, size_t x)
{
    struct operand in[GF_SPREAD_MAX][SPREAD_COLS];

#pragma GCC unroll 8
    for (unsigned j = 0; j < k; j++)
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            in[j][v] = operand_of(vec_load(src[j] + x + v * VEC));
    for (unsigned i = 0; i < n; i++, coef += stride) {
        uint8_t *d = dst[i] + x;
        VEC_T acc[SPREAD_COLS];

#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            acc[v] = vec_load(d + v * VEC);
#pragma GCC unroll 8
        for (unsigned j = 0; j + 1 < k; j += 2) {
            struct factor f = factor_of(coef[j]), g = factor_of(coef[j + 1]);
#pragma GCC unroll 8
            for (unsigned v = 0; v < cols; v++)
                acc[v] = vec_add3(acc[v], product(in[j][v], f), product(in[j + 1][v], g));
        }
        for (unsigned v = 0; k & 1 && v < cols; v++)
            acc[v] = vec_add(acc[v], product(in[k - 1][v], factor_of(coef[k - 1])));
#pragma GCC unroll 8
        for (unsigned v = 0; v < cols; v++)
            vec_store(d + v * VEC, acc[v]);
    }
}

/* Whole vectors; returns how far it came. */
GF_INLINE size_t spread_whole(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef,
                              size_t stride, size_t from, size_t to)
{
    for (; to - from >= SPREAD_COLS * VEC; from += SPREAD_COLS * VEC)
        spread_block(dst, n, src, k, coef, stride, SPREAD_COLS, from);
    for (; to - from >= VEC; from += VEC)
        spread_block(dst, n, src, k, coef, stride, 1, from);
    return from;
}

#define SPREAD_CASE(K)                                                                                                             \
    case K:                                                                                                                        \
        from = spread_whole(dst, n, src, K, coef, stride, from, to);                                                               \
        break

static void spread(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                   size_t from, size_t to)
{
    switch (k) {
        SPREAD_CASE(1);
        SPREAD_CASE(2);
        SPREAD_CASE(3);
        SPREAD_CASE(4);
        SPREAD_CASE(5);
        SPREAD_CASE(6);
        SPREAD_CASE(7);
        SPREAD_CASE(8);
    }
    for (unsigned i = 0; i < n && from < to; i++)
        for (unsigned j = 0; j < k; j++)
            mad(dst[i] + from, src[j] + from, coef[i * stride + j], to - from);
}

#endif
