#include "crypto/sha256_lanes.h"

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

enum { LANES = 2, BLOCK = SHA256_BLOCK_BYTES };

/* FIPS 180-4, 4.2.2 */
static const uint32_t round_key[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* One input on its way: whole blocks of it first, then its padded end. */
struct lane {
    __m128i abef, cdgh; /* the eight state words in the order that the instructions want */
    const uint8_t *p;
    size_t blocks; /* left at p */
    size_t end_blocks;
    size_t input;
    uint8_t end[2 * BLOCK];
};

bool sha256_lanes_is_usable(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) && __builtin_cpu_supports("ssse3") &&
           __builtin_cpu_supports("sse4.1");
}

static void lane_begin(struct lane *l, struct slice in, size_t input)
{
    size_t rest = in.len % BLOCK;
    uint64_t bits = (uint64_t)in.len * 8;

    l->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
    l->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
    l->p = in.p;
    l->blocks = in.len / BLOCK;
    l->input = input;
    l->end_blocks = rest + 9 > BLOCK ? 2 : 1;
    memset(l->end, 0, sizeof(l->end));
    if (rest)
        memcpy(l->end, in.p + in.len - rest, rest);
    l->end[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        l->end[l->end_blocks * BLOCK - 1 - i] = (uint8_t)(bits >> 8 * i);
}

static void lane_finish(const struct lane *l, uint8_t out[SHA256_BYTES])
{
    static const uint8_t word_of[8] = {3, 2, 7, 6, 1, 0, 5, 4}; /* a..h in what is stored below */
    uint32_t word[8];

    _mm_storeu_si128((__m128i *)(void *)word, l->abef);
    _mm_storeu_si128((__m128i *)(void *)(word + 4), l->cdgh);
    for (unsigned i = 0; i < 8; i++) {
        uint32_t v = __builtin_bswap32(word[word_of[i]]);
        memcpy(out + 4 * i, &v, 4);
    }
}

/* Four rounds of one lane; group g of 16. w: the last sixteen words of the schedule, in four vectors. */
static inline __attribute__((always_inline)) void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w[4], const uint8_t *p,
                                                              unsigned g)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    __m128i k;

    if (g < 4) {
        w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * g)), swap);
    } else {
        __m128i before = w[(g - 1) & 3];
        __m128i t = _mm_sha256msg1_epu32(w[g & 3], w[(g - 3) & 3]);

        t = _mm_add_epi32(t, _mm_alignr_epi8(before, w[(g - 2) & 3], 4));
        w[g & 3] = _mm_sha256msg2_epu32(t, before);
    }
    k = _mm_add_epi32(w[g & 3], _mm_load_si128((const __m128i *)(const void *)(round_key + 4 * g)));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, k);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(k, 0x0e));
}

/* blocks of each of n lanes; n is a constant at each call. */
static inline __attribute__((always_inline)) void compress(struct lane *const *l, unsigned n, size_t blocks)
{
    __m128i abef[LANES], cdgh[LANES], w[LANES][4];

    for (unsigned i = 0; i < n; i++) {
        abef[i] = l[i]->abef;
        cdgh[i] = l[i]->cdgh;
    }
    for (size_t b = 0; b < blocks; b++) {
        __m128i abef_was[LANES], cdgh_was[LANES];

        for (unsigned i = 0; i < n; i++) {
            abef_was[i] = abef[i];
            cdgh_was[i] = cdgh[i];
        }
#pragma GCC unroll 16
        for (unsigned g = 0; g < 16; g++)
#pragma GCC unroll 2
            for (unsigned i = 0; i < n; i++)
                four_rounds(&abef[i], &cdgh[i], w[i], l[i]->p + b * BLOCK, g);
        for (unsigned i = 0; i < n; i++) {
            abef[i] = _mm_add_epi32(abef[i], abef_was[i]);
            cdgh[i] = _mm_add_epi32(cdgh[i], cdgh_was[i]);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        l[i]->abef = abef[i];
        l[i]->cdgh = cdgh[i];
        l[i]->p += blocks * BLOCK;
        l[i]->blocks -= blocks;
    }
}

/* Moves on to what the lane has to do next; false when it is done with its input. */
static bool lane_has_blocks(struct lane *l)
{
    if (l->blocks == 0 && l->end_blocks) {
        l->p = l->end;
        l->blocks = l->end_blocks;
        l->end_blocks = 0;
    }
    return l->blocks > 0;
}

void sha256_lanes(const struct slice *in, size_t count, uint8_t (*out)[SHA256_BYTES])
{
    struct lane lane[LANES], *at[LANES] = {&lane[0], &lane[1]};
    unsigned busy = 0;

    for (size_t next = 0;;) {
        for (; busy < LANES && next < count; next++) {
            lane_begin(at[busy], in[next], next);
            lane_has_blocks(at[busy++]);
        }
        if (busy == 0)
            return;
        if (busy == LANES)
            compress(at, LANES, at[0]->blocks < at[1]->blocks ? at[0]->blocks : at[1]->blocks);
        else
            compress(at, 1, at[0]->blocks);
        for (unsigned i = busy; i-- > 0;)
            if (!lane_has_blocks(at[i])) {
                struct lane *done = at[i];

                lane_finish(done, out[done->input]);
                at[i] = at[--busy];
                at[busy] = done;
            }
    }
}
