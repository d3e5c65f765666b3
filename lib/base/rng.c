#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static uint64_t xoshiro_next(uint64_t s[4])
{
    uint64_t result = ROTL(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = ROTL(s[3], 45);
    return result;
}

static void seeded_fill(struct rng *r, void *out, size_t len)
{
    uint8_t *p = out;

    while (len) {
        uint64_t v = xoshiro_next(r->s);
        size_t n = len < 8 ? len : 8;
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}

static void system_fill(struct rng *r, void *out, size_t len)
{
    uint8_t *p = out;

    while (len) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* no randomness: nothing that follows would be safe */
        }
        p += n;
        len -= (size_t)n;
    }
}

static void zero_fill(struct rng *r, void *out, size_t len)
{
    memset(out, 0, len);
}

void rng_init_seeded(struct rng *r, uint64_t seed)
{
    r->fill = seeded_fill;
    for (int i = 0; i < 4; i++) { /* splitmix64, as xoshiro's authors seed it */
        uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        r->s[i] = z ^ (z >> 31);
    }
}

void rng_init_system(struct rng *r)
{
    *r = (struct rng){.fill = system_fill};
}

void rng_init_zero(struct rng *r)
{
    *r = (struct rng){.fill = zero_fill};
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;

    if (r->fill == zero_fill)
        return 0;
    do
        v = rng_u64(r);
    while (v >= limit);
    return v % n;
}
