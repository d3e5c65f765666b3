/* coded_bits.h: a set of source shard indices
 * Shape:   256 bits; on the wire ceil(k/8) bytes, index i in bit i%8 of byte i/8
 * Owner:   a value
 */
#ifndef PUBSUB_CODED_BITS_H
#define PUBSUB_CODED_BITS_H

#include "base/slice.h"

struct coded_bits {
    uint64_t w[4];
};

static inline bool coded_bits_has(const struct coded_bits *b, unsigned i)
{
    return b->w[i >> 6] >> (i & 63) & 1;
}

static inline void coded_bits_put(struct coded_bits *b, unsigned i)
{
    b->w[i >> 6] |= 1ull << (i & 63);
}

static inline void coded_bits_del(struct coded_bits *b, unsigned i)
{
    b->w[i >> 6] &= ~(1ull << (i & 63));
}

static inline unsigned coded_bits_count(const struct coded_bits *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 4; i++)
        n += (unsigned)__builtin_popcountll(b->w[i]);
    return n;
}

static inline bool coded_bits_is_empty(const struct coded_bits *b)
{
    return !(b->w[0] | b->w[1] | b->w[2] | b->w[3]);
}

/* The first k. */
static inline struct coded_bits coded_bits_all(unsigned k)
{
    struct coded_bits b = {{0}};

    for (unsigned i = 0; i < k; i++)
        coded_bits_put(&b, i);
    return b;
}

static inline struct coded_bits coded_bits_or(struct coded_bits a, struct coded_bits b)
{
    for (unsigned i = 0; i < 4; i++)
        a.w[i] |= b.w[i];
    return a;
}

static inline struct coded_bits coded_bits_and(struct coded_bits a, struct coded_bits b)
{
    for (unsigned i = 0; i < 4; i++)
        a.w[i] &= b.w[i];
    return a;
}

/* What is in a and not in b. */
static inline struct coded_bits coded_bits_minus(struct coded_bits a, struct coded_bits b)
{
    for (unsigned i = 0; i < 4; i++)
        a.w[i] &= ~b.w[i];
    return a;
}

/* The members of b one by one, starting at `from` and going round once: start with *it = 0; false at the end. */
static inline bool coded_bits_next(const struct coded_bits *b, unsigned k, unsigned from, unsigned *it, unsigned *index)
{
    while (*it < k) {
        *index = (from + (*it)++) % k;
        if (coded_bits_has(b, *index))
            return true;
    }
    return false;
}

static inline void coded_bits_write(const struct coded_bits *b, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(b->w[i >> 3] >> (8 * (i & 7)));
}

/* Up to 32 bytes; missing ones count as zero. */
static inline struct coded_bits coded_bits_read(struct slice s)
{
    struct coded_bits b = {{0}};

    for (size_t i = 0; i < s.len && i < 32; i++)
        b.w[i >> 3] |= (uint64_t)s.p[i] << (8 * (i & 7));
    return b;
}

#endif
