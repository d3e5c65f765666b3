/* gfni512.c: kernels for AVX-512 with GFNI
 * Shape:   up to 6 destinations x 4 vectors are kept in registers, so a source byte is loaded once for six products;
 *          with more destinations than that, the range is walked in strips whose sources stay in L1
 * Note:    a coefficient is an 8x8 bit matrix looked up in a 2 KiB table where it is used: nothing to prepare, so fresh random
 *          coefficients cost nothing
 */
#include <immintrin.h>

#include "gf/kernels.h"

enum { VEC = 64, COLS = 4, GROUP = 6, L1_BYTES = 32768, BLOCK = VEC * COLS };

struct job {
    uint8_t *const *dst;
    const uint8_t *const *src;
    const uint8_t *coef;
    size_t stride;
    unsigned k;
};

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("gfni");
}

static inline __attribute__((always_inline)) __m512i multiplier(uint8_t c)
{
    return _mm512_set1_epi64((long long)gf_affine[c]);
}

static inline __attribute__((always_inline)) __m512i product(__m512i v, __m512i c)
{
    return _mm512_gf2p8affine_epi64_epi8(v, c, 0);
}

/* n destinations, 256 bytes at x. n is a constant at every call, so acc lives in registers. */
static inline __attribute__((always_inline)) void block_wide(const struct job *b, unsigned n, size_t x)
{
    __m512i acc[GROUP][COLS];

#pragma GCC unroll 6
    for (unsigned i = 0; i < n; i++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < COLS; v++)
            acc[i][v] = _mm512_setzero_si512();
    for (unsigned j = 0; j < b->k; j++) {
        const uint8_t *s = b->src[j] + x;
        __m512i in[COLS];

#pragma GCC unroll 4
        for (unsigned v = 0; v < COLS; v++)
            in[v] = _mm512_loadu_si512(s + v * VEC);
#pragma GCC unroll 6
        for (unsigned i = 0; i < n; i++) {
            __m512i c = multiplier(b->coef[i * b->stride + j]);
#pragma GCC unroll 4
            for (unsigned v = 0; v < COLS; v++)
                acc[i][v] = _mm512_xor_si512(acc[i][v], product(in[v], c));
        }
    }
#pragma GCC unroll 6
    for (unsigned i = 0; i < n; i++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < COLS; v++)
            _mm512_storeu_si512(b->dst[i] + x + v * VEC, acc[i][v]);
}

/* n destinations, the up to 64 bytes at x that the mask names; bytes outside it are neither read nor written. */
static inline __attribute__((always_inline)) void block_masked(const struct job *b, unsigned n, size_t x, __mmask64 m)
{
    __m512i acc[GROUP];

#pragma GCC unroll 6
    for (unsigned i = 0; i < n; i++)
        acc[i] = _mm512_setzero_si512();
    for (unsigned j = 0; j < b->k; j++) {
        __m512i in = _mm512_maskz_loadu_epi8(m, b->src[j] + x);
#pragma GCC unroll 6
        for (unsigned i = 0; i < n; i++)
            acc[i] = _mm512_xor_si512(acc[i], product(in, multiplier(b->coef[i * b->stride + j])));
    }
#pragma GCC unroll 6
    for (unsigned i = 0; i < n; i++)
        _mm512_mask_storeu_epi8(b->dst[i] + x, m, acc[i]);
}

static inline __attribute__((always_inline)) void group_of(const struct job *b, unsigned n, size_t from, size_t to)
{
    for (; to - from >= BLOCK; from += BLOCK)
        block_wide(b, n, from);
    for (; from < to; from += VEC) {
        size_t left = to - from;
        block_masked(b, n, from, left >= VEC ? ~0ull : (1ull << left) - 1);
    }
}

static void group(const struct job *b, unsigned n, size_t from, size_t to)
{
    switch (n) {
    case 1: group_of(b, 1, from, to); break;
    case 2: group_of(b, 2, from, to); break;
    case 3: group_of(b, 3, from, to); break;
    case 4: group_of(b, 4, from, to); break;
    case 5: group_of(b, 5, from, to); break;
    default: group_of(b, 6, from, to); break;
    }
}

static size_t strip_bytes(unsigned n, unsigned k, size_t len)
{
    size_t strip;

    if (n <= GROUP)
        return len;
    strip = L1_BYTES / k / BLOCK * BLOCK;
    return strip < BLOCK ? BLOCK : strip;
}

static void dot(uint8_t *const *dst, unsigned n, const uint8_t *const *src, unsigned k, const uint8_t *coef, size_t stride,
                size_t from, size_t to)
{
    size_t strip = strip_bytes(n, k, to - from);

    while (from < to) {
        size_t end = to - from < strip ? to : from + strip;

        for (unsigned i = 0; i < n; i += GROUP) {
            struct job b = {dst + i, src, coef + i * stride, stride, k};
            group(&b, n - i < GROUP ? n - i : GROUP, from, end);
        }
        from = end;
    }
}

static void mad(uint8_t *dst, const uint8_t *src, uint8_t c, size_t len)
{
    __m512i m = multiplier(c);

    for (; len >= VEC; dst += VEC, src += VEC, len -= VEC)
        _mm512_storeu_si512(dst, _mm512_xor_si512(_mm512_loadu_si512(dst), product(_mm512_loadu_si512(src), m)));
    if (len) {
        __mmask64 k = (1ull << len) - 1;
        __m512i d = _mm512_maskz_loadu_epi8(k, dst), s = _mm512_maskz_loadu_epi8(k, src);

        _mm512_mask_storeu_epi8(dst, k, _mm512_xor_si512(d, product(s, m)));
    }
}

const struct gf_kernels gf_kernels_gfni512 = {"gfni512", is_usable, dot, mad};
