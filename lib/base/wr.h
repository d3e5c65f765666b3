/* wr.h: bounds-checked writing cursor over the caller's memory
 * Shape:   integers, slices -> bytes; `bad` sticks at the first write that does not fit, nothing is written past cap
 * Note:    with p == NULL and cap == SIZE_MAX it only counts, so one encoder both sizes and writes
 */
#ifndef BASE_WR_H
#define BASE_WR_H

#include "base/slice.h"
#include "base/uvarint.h"

struct wr {
    uint8_t *p;
    size_t len, cap;
    bool bad;
};

static inline struct wr wr_of(void *p, size_t cap)
{
    return (struct wr){(uint8_t *)p, 0, cap, false};
}

static inline struct wr wr_counter(void)
{
    return (struct wr){NULL, 0, SIZE_MAX, false};
}

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
    if (w->bad || n > w->cap - w->len) {
        w->bad = true;
        return;
    }
    if (w->p && n)
        memcpy(w->p + w->len, src, n);
    w->len += n;
}

static inline void wr_slice(struct wr *w, struct slice s)
{
    wr_bytes(w, s.p, s.len);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
    wr_bytes(w, &v, 1);
}

static inline void wr_be(struct wr *w, uint64_t v, unsigned n)
{
    uint8_t b[8];

    for (unsigned i = 0; i < n; i++)
        b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    wr_bytes(w, b, n);
}

static inline void wr_uvarint(struct wr *w, uint64_t v)
{
    uint8_t b[UVARINT_MAX];

    wr_bytes(w, b, uvarint_put(b, v));
}

#endif
