/* gfni256.c: kernels for AVX2 with GFNI (VEX), for CPUs without AVX-512
 * Note:    as gfni512.c, with half the width and half the registers
 */
#include <immintrin.h>
#include <string.h>

#include "gf/kernels.h"

#define VEC_T __m256i

enum { VEC = 32, GROUP = 6, COLS = 2, PAIRS = 0, COLS_ONE = 4 };

struct operand {
    __m256i v;
};

struct factor {
    __m256i matrix;
};

#define OP static inline __attribute__((always_inline))

OP __m256i vec_zero(void)
{
    return _mm256_setzero_si256();
}

OP __m256i vec_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

OP void vec_store(uint8_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

OP __m256i vec_load_part(const uint8_t *p, size_t len)
{
    uint8_t pad[VEC] = {0};

    memcpy(pad, p, len);
    return vec_load(pad);
}

OP void vec_store_part(uint8_t *p, __m256i v, size_t len)
{
    uint8_t pad[VEC];

    vec_store(pad, v);
    memcpy(p, pad, len);
}

OP __m256i vec_add(__m256i a, __m256i b)
{
    return _mm256_xor_si256(a, b);
}

OP __m256i vec_add3(__m256i a, __m256i b, __m256i c)
{
    return vec_add(vec_add(a, b), c);
}

OP struct operand operand_of(__m256i v)
{
    return (struct operand){v};
}

OP struct factor factor_of(uint8_t c)
{
    return (struct factor){_mm256_set1_epi64x((long long)gf_affine[c])};
}

OP __m256i product(struct operand a, struct factor f)
{
    return _mm256_gf2p8affine_epi64_epi8(a.v, f.matrix, 0);
}

#include "gf/loops.h"

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("gfni");
}

const struct gf_kernels gf_kernels_gfni256 = {"gfni256", is_usable, dot, mad, spread};
