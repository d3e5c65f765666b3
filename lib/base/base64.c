#include "base/base64.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

enum { ENC_IN = 24, ENC_LOAD = 28, ENC_OUT = 32, DEC_IN = 32, DEC_OUT = 24 };

/* Four 6-bit values out of each 3 bytes, one to a byte. */
AVX2 static inline __m256i split_sixes(__m256i v)
{
    __m256i a = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
    __m256i b = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));

    return _mm256_or_si256(a, b);
}

/* 0..63 -> characters: each of the five runs of the alphabet has one distance from its value. */
AVX2 static inline __m256i to_text(__m256i v)
{
    const __m256i distance = _mm256_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                              '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0,
                                              'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                              '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m256i run = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
    __m256i is_upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), v);

    run = _mm256_or_si256(run, _mm256_and_si256(is_upper, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(_mm256_shuffle_epi8(distance, run), v);
}

AVX2 static size_t encode_avx2(char *out, struct slice in)
{
    const __m256i spread = _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,
                                            1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
    size_t i = 0;

    for (; in.len - i >= ENC_LOAD; i += ENC_IN, out += ENC_OUT) {
        __m128i lo = _mm_loadu_si128((const __m128i *)(const void *)(in.p + i));
        __m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(in.p + i + 12));
        __m256i v = _mm256_shuffle_epi8(_mm256_set_m128i(hi, lo), spread);

        _mm256_storeu_si256((__m256i *)(void *)out, to_text(split_sixes(v)));
    }
    return i;
}

/* Characters -> 0..63. False: one of them is outside the alphabet. */
AVX2 static inline bool from_text(__m256i *v)
{
    /* a character is wrong when the classes of its two nibbles have a bit in common */
    const __m256i class_lo = _mm256_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b,
                                              0x1b, 0x1b, 0x1a, 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                              0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m256i class_hi = _mm256_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10,
                                              0x10, 0x10, 0x10, 0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10,
                                              0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
    const __m256i distance = _mm256_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0,
                                              0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    __m256i hi = _mm256_and_si256(_mm256_srli_epi32(*v, 4), nibble);
    __m256i lo = _mm256_and_si256(*v, nibble);
    __m256i is_slash = _mm256_cmpeq_epi8(*v, _mm256_set1_epi8('/'));

    if (!_mm256_testz_si256(_mm256_shuffle_epi8(class_lo, lo), _mm256_shuffle_epi8(class_hi, hi)))
        return false;
    *v = _mm256_add_epi8(*v, _mm256_shuffle_epi8(distance, _mm256_add_epi8(is_slash, hi)));
    return true;
}

/* Each four 6-bit values into 3 bytes, all 24 of them in front. */
AVX2 static inline __m256i join_sixes(__m256i v)
{
    const __m256i gather = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1,
                                            2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);

    v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
    v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
    v = _mm256_shuffle_epi8(v, gather);
    return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}

AVX2 static size_t decode_avx2(uint8_t *out, size_t cap, struct slice in)
{
    size_t i = 0, o = 0;

    for (; in.len - i >= DEC_IN && cap - o >= DEC_OUT; i += DEC_IN, o += DEC_OUT) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(in.p + i));

        if (!from_text(&v))
            break;
        v = join_sixes(v);
        _mm_storeu_si128((__m128i *)(void *)(out + o), _mm256_castsi256_si128(v));
        _mm_storel_epi64((__m128i *)(void *)(out + o + 16), _mm256_extracti128_si256(v, 1));
    }
    return i;
}

size_t base64_bulk_encode(char *out, struct slice in)
{
    return __builtin_cpu_supports("avx2") ? encode_avx2(out, in) : 0;
}

size_t base64_bulk_decode(uint8_t *out, size_t cap, struct slice in)
{
    return __builtin_cpu_supports("avx2") ? decode_avx2(out, cap, in) : 0;
}

#else

size_t base64_bulk_encode(char *out, struct slice in)
{
    return 0;
}

size_t base64_bulk_decode(uint8_t *out, size_t cap, struct slice in)
{
    return 0;
}

#endif
