#include "libp2p/sendq.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAP     8
#define COPY_CAP      480 /* room for a few length prefixes and small messages */

static struct p2p_sendq_piece *at(const struct sendq *q, uint32_t i)
{
    return &q->ring[(q->head + i) & (q->cap - 1)];
}

static int reserve(struct sendq *q, uint32_t more)
{
    uint32_t cap = q->cap ? q->cap : FIRST_CAP;

    if (more > SENDQ_PIECES_MAX || q->count + more > SENDQ_PIECES_MAX)
        return -1;
    while (cap < q->count + more)
        cap *= 2;
    if (cap == q->cap)
        return 0;
    struct p2p_sendq_piece *ring = malloc(cap * sizeof(*ring));
    if (!ring)
        return -1;
    for (uint32_t i = 0; i < q->count; i++)
        ring[i] = *at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return 0;
}

static void append(struct sendq *q, struct p2p_sendq_piece p)
{
    q->count++;
    *at(q, q->count - 1) = p;
    q->bytes += p.len;
}

int p2p_sendq_push(struct sendq *q, struct buf *b, uint32_t off, uint32_t len)
{
    assert(off <= b->len && len <= b->len - off);
    if (len == 0) {
        buf_unref(b);
        return 0;
    }
    if (reserve(q, 1) < 0)
        return -1;
    append(q, (struct p2p_sendq_piece){b, off, len, false});
    return 0;
}

/* The last piece, when bytes may still be added to its buffer. */
static struct p2p_sendq_piece *open_tail(const struct sendq *q, size_t n)
{
    struct p2p_sendq_piece *p = q->count ? at(q, q->count - 1) : NULL;

    return p && p->is_ours && n <= p->buf->cap - p->buf->len ? p : NULL;
}

int p2p_sendq_copy(struct sendq *q, struct slice s)
{
    struct p2p_sendq_piece *tail = open_tail(q, s.len);
    struct buf *b;

    if (s.len == 0)
        return 0;
    if (s.len > SENDQ_COPY_MAX)
        return -1;
    if (tail) {
        memcpy(tail->buf->data + tail->buf->len, s.p, s.len);
        tail->buf->len += (uint32_t)s.len;
        tail->len += (uint32_t)s.len;
        q->bytes += s.len;
        return 0;
    }
    if (reserve(q, 1) < 0 || !(b = buf_new(s.len > COPY_CAP ? (uint32_t)s.len : COPY_CAP)))
        return -1;
    memcpy(b->data, s.p, s.len);
    b->len = (uint32_t)s.len;
    append(q, (struct p2p_sendq_piece){b, 0, b->len, true});
    return 0;
}

struct slice p2p_sendq_front(const struct sendq *q)
{
    if (!q->count)
        return (struct slice){NULL, 0};
    const struct p2p_sendq_piece *p = at(q, 0);
    return slice_of(p->buf->data + p->off, p->len);
}

struct buf *p2p_sendq_consume(struct sendq *q, uint32_t n)
{
    struct p2p_sendq_piece *p = at(q, 0);

    assert(q->count && n <= p->len);
    p->off += n;
    p->len -= n;
    q->bytes -= n;
    if (p->len)
        return NULL;
    q->head = (q->head + 1) & (q->cap - 1);
    q->count--;
    return p->buf;
}

int p2p_sendq_splice(struct sendq *dst, struct sendq *src)
{
    if (reserve(dst, src->count) < 0)
        return -1;
    for (uint32_t i = 0; i < src->count; i++)
        append(dst, *at(src, i));
    src->count = 0;
    src->bytes = 0;
    p2p_sendq_fini(src);
    return 0;
}

void p2p_sendq_fini(struct sendq *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        buf_unref(at(q, i)->buf);
    free(q->ring);
    *q = (struct sendq){0};
}
