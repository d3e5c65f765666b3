/* vec256.h: vectors of 32 bytes for the kernels with AVX2, under the names that loops.h wants (private to the room) */
#ifndef GF_VEC256_H
#define GF_VEC256_H

#include <immintrin.h>
#include <string.h>

#include "gf/kernels.h"

#define VEC_T __m256i
#define OP static inline __attribute__((always_inline))

enum { VEC = 32 };

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

OP void vec_stream(uint8_t *p, __m256i v)
{
    _mm256_stream_si256((__m256i *)(void *)p, v);
}

OP void vec_fence(void)
{
    _mm_sfence();
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

#endif
