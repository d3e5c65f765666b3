/* avx2.c: kernels for AVX2
 * Note:    a product is two lookups by nibble; both tables of a coefficient stand ready in gf_nibbles
 */
#include "gf/vec256.h"

enum { GROUP = 4, COLS = 2, PAIRS = 0, COLS_ONE = 4, KEEP = 2 };

struct operand {
    __m256i low, high;
};

struct factor {
    __m256i low, high;
};

OP struct operand operand_of(__m256i v)
{
    __m256i mask = _mm256_set1_epi8(15);

    return (struct operand){_mm256_and_si256(v, mask), _mm256_and_si256(_mm256_srli_epi64(v, 4), mask)};
}

OP struct factor factor_of(uint8_t c)
{
    const __m128i *t = (const __m128i *)(const void *)gf_nibbles[c];

    return (struct factor){_mm256_broadcastsi128_si256(_mm_load_si128(t)), _mm256_broadcastsi128_si256(_mm_load_si128(t + 1))};
}

OP __m256i product(struct operand a, struct factor f)
{
    return _mm256_xor_si256(_mm256_shuffle_epi8(f.low, a.low), _mm256_shuffle_epi8(f.high, a.high));
}

#include "gf/loops.h"

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2");
}

const struct gf_kernels gf_kernels_avx2 = {"avx2", is_usable, dot, one, mad, spread};
