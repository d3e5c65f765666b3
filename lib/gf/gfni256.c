/* gfni256.c: kernels for AVX2 with GFNI (VEX), for CPUs without AVX-512
 * Note:    as gfni512.c, with half the width and half the registers
 */
#include "gf/vec256.h"

enum { GROUP = 6, COLS = 2, PAIRS = 0, COLS_ONE = 4, KEEP = 4 };

struct operand {
    __m256i v;
};

struct factor {
    __m256i matrix;
};

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

const struct gf_kernels gf_kernels_gfni256 = {"gfni256", is_usable, dot, one, mad, spread};
