#include "base/buf.h"

#include <stdlib.h>

#define BUF_ALIGN 64

static void heap_release(struct buf *b)
{
    free(b);
}

struct buf *buf_new(uint32_t cap)
{
    size_t head = (sizeof(struct buf) + BUF_ALIGN - 1) & ~(size_t)(BUF_ALIGN - 1);
    size_t total = (head + cap + BUF_ALIGN - 1) & ~(size_t)(BUF_ALIGN - 1);
    struct buf *b = aligned_alloc(BUF_ALIGN, total);

    if (!b)
        return NULL;
    *b = (struct buf){.data = (uint8_t *)b + head, .cap = cap, .refs = 1, .release = heap_release};
    return b;
}

struct buf *buf_copy(struct slice s)
{
    struct buf *b = s.len > UINT32_MAX ? NULL : buf_new((uint32_t)s.len);

    if (!b)
        return NULL;
    if (s.len)
        memcpy(b->data, s.p, s.len);
    b->len = (uint32_t)s.len;
    return b;
}
