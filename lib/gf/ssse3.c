/* ssse3.c: kernels for SSSE3, for CPUs without AVX2
 * Note:    as avx2.c, with half the width
 */
#include <string.h>
#include <tmmintrin.h>

#include "gf/kernels.h"

#define VEC_T __m128i

enum { VEC = 16, GROUP = 4, COLS = 2, PAIRS = 0, COLS_ONE = 4, KEEP = 2 };

struct operand {
    __m128i low, high;
};

struct factor {
    __m128i low, high;
};

#define OP static inline __attribute__((always_inline))

OP __m128i vec_zero(void)
{
    return _mm_setzero_si128();
}

OP __m128i vec_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

OP void vec_store(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

OP void vec_stream(uint8_t *p, __m128i v)
{
    _mm_stream_si128((__m128i *)(void *)p, v);
}

OP void vec_fence(void)
{
    _mm_sfence();
}

OP __m128i vec_load_part(const uint8_t *p, size_t len)
{
    uint8_t pad[VEC] = {0};

    memcpy(pad, p, len);
    return vec_load(pad);
}

OP void vec_store_part(uint8_t *p, __m128i v, size_t len)
{
    uint8_t pad[VEC];

    vec_store(pad, v);
    memcpy(p, pad, len);
}

OP __m128i vec_add(__m128i a, __m128i b)
{
    return _mm_xor_si128(a, b);
}

OP __m128i vec_add3(__m128i a, __m128i b, __m128i c)
{
    return vec_add(vec_add(a, b), c);
}

OP struct operand operand_of(__m128i v)
{
    __m128i mask = _mm_set1_epi8(15);

    return (struct operand){_mm_and_si128(v, mask), _mm_and_si128(_mm_srli_epi64(v, 4), mask)};
}

OP struct factor factor_of(uint8_t c)
{
    const __m128i *t = (const __m128i *)(const void *)gf_nibbles[c];

    return (struct factor){_mm_load_si128(t), _mm_load_si128(t + 1)};
}

OP __m128i product(struct operand a, struct factor f)
{
    return _mm_xor_si128(_mm_shuffle_epi8(f.low, a.low), _mm_shuffle_epi8(f.high, a.high));
}

#include "gf/loops.h"

static bool is_usable(void)
{
    return __builtin_cpu_supports("ssse3");
}

const struct gf_kernels gf_kernels_ssse3 = {"ssse3", is_usable, dot, one, mad, spread};
