/* gfni512.c: kernels for AVX-512 with GFNI
 * Note:    a coefficient is an 8x8 bit matrix looked up in a 2 KiB table where it is used
 */
#include <immintrin.h>

#include "gf/kernels.h"

#define VEC_T __m512i

enum { VEC = 64, GROUP = 6, COLS = 3, PAIRS = 1, COLS_ONE = 8, KEEP = 8 };

struct operand {
    __m512i v;
};

struct factor {
    __m512i matrix;
};

#define OP static inline __attribute__((always_inline))

OP __m512i vec_zero(void)
{
    return _mm512_setzero_si512();
}

OP __m512i vec_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

OP void vec_store(uint8_t *p, __m512i v)
{
    _mm512_storeu_si512(p, v);
}

OP void vec_stream(uint8_t *p, __m512i v)
{
    _mm512_stream_si512((__m512i *)(void *)p, v);
}

OP void vec_fence(void)
{
    _mm_sfence();
}

OP __m512i vec_load_part(const uint8_t *p, size_t len)
{
    return _mm512_maskz_loadu_epi8((1ull << len) - 1, p);
}

OP void vec_store_part(uint8_t *p, __m512i v, size_t len)
{
    _mm512_mask_storeu_epi8(p, (1ull << len) - 1, v);
}

OP __m512i vec_add(__m512i a, __m512i b)
{
    return _mm512_xor_si512(a, b);
}

OP __m512i vec_add3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

OP struct operand operand_of(__m512i v)
{
    return (struct operand){v};
}

OP struct factor factor_of(uint8_t c)
{
    return (struct factor){_mm512_set1_epi64((long long)gf_affine[c])};
}

OP __m512i product(struct operand a, struct factor f)
{
    return _mm512_gf2p8affine_epi64_epi8(a.v, f.matrix, 0);
}

#include "gf/loops.h"

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("gfni");
}

const struct gf_kernels gf_kernels_gfni512 = {"gfni512", is_usable, dot, one, mad, spread};
