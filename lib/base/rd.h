/* rd.h: bounds-checked reading cursor
 * Shape:   bytes -> integers, slices; `bad` sticks at the first read past the end, so callers check once at the end
 * Memory:  borrows its input; slices point into it
 * Errors:  reads after `bad` return 0 or an empty slice
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include "base/slice.h"

struct rd {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct rd rd_of(struct slice s)
{
    return (struct rd){s.p, s.p ? s.p + s.len : s.p, false};
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

static inline struct slice rd_bytes(struct rd *r, uint64_t n)
{
    struct slice s = {r->p, 0};

    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        return s;
    }
    s.len = (size_t)n;
    r->p += n;
    return s;
}

static inline uint8_t rd_u8(struct rd *r)
{
    struct slice s = rd_bytes(r, 1);
    return s.len ? s.p[0] : 0;
}

static inline uint64_t rd_be(struct rd *r, unsigned n)
{
    struct slice s = rd_bytes(r, n);
    uint64_t v = 0;

    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | s.p[i];
    return v;
}

static inline uint16_t rd_be16(struct rd *r)
{
    return (uint16_t)rd_be(r, 2);
}

static inline uint32_t rd_be32(struct rd *r)
{
    return (uint32_t)rd_be(r, 4);
}

static inline uint64_t rd_be64(struct rd *r)
{
    return rd_be(r, 8);
}

#endif
