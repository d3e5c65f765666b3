/* rng.h: randomness passed in
 * Shape:   a fill function and its context. Sans-IO cores never reach for randomness themselves: programs hand in the
 *          system's, tests and the simulator a seeded one, fuzzers zeroes
 * Owner:   one lcore
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(struct rng *r, void *out, size_t len);
    uint64_t s[4]; /* the seeded generator's state (xoshiro256**) */
};

/* Reproducible, not secret: tests, simulation, jitter, RLNC coefficients. */
void rng_init_seeded(struct rng *r, uint64_t seed);
/* getrandom(2), fit for keys. */
void rng_init_system(struct rng *r);
/* All zero bytes: fuzzers. */
void rng_init_zero(struct rng *r);

static inline void rng_fill(struct rng *r, void *out, size_t len)
{
    r->fill(r, out, len);
}

static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t v;

    r->fill(r, &v, sizeof(v));
    return v;
}

/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

#endif
