/* buf.h: a refcounted buffer with a release hook
 * Shape:   bytes [data, data+len) in a block of cap bytes from head; the hook says where the block goes home to
 *          (heap, a pool, a port's mbuf, the control thread that made it)
 * Owner:   exactly one lcore at a time. The count is not atomic: crossing lcores moves the whole buffer by ring,
 *          or lends a counted reference that the far side sends home by ring (node's xcore)
 * Errors:  NULL when there is no memory
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *data;                 /* first valid byte */
    uint32_t len;                  /* valid bytes */
    uint32_t cap;                  /* bytes usable from data */
    uint32_t refs;                 /* >= 1 while anyone holds it */
    void (*release)(struct buf *); /* called when the last reference goes; frees or sends home */
    void *home;                    /* the releaser's: pool, mbuf, ring */
    struct buf *next;              /* the present owner's, for queues */
};

/* A heap buffer of cap bytes, len 0, one reference, data aligned to 64. NULL: no memory. */
struct buf *buf_new(uint32_t cap);

/* A heap buffer that holds a copy of s. NULL: no memory. */
struct buf *buf_copy(struct slice s);

static inline struct buf *buf_ref(struct buf *b)
{
    b->refs++;
    return b;
}

/* Drops one reference; NULL is allowed. */
static inline void buf_unref(struct buf *b)
{
    if (b && --b->refs == 0)
        b->release(b);
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

#endif
