#include "tcp/sendq.h"

#include <assert.h>
#include <stdlib.h>

#include "tcp/seq.h"

#define SENDQ_FIRST_CAP 8

static struct sendq_entry *entry_at(const struct sendq *q, uint32_t index)
{
    return &q->ring[index & (q->cap - 1)];
}

void sendq_init(struct sendq *q, uint32_t seq)
{
    *q = (struct sendq){.una = seq, .end = seq};
}

void sendq_fini(struct sendq *q)
{
    for (uint32_t i = q->head; i != q->tail; i++)
        buf_unref(entry_at(q, i)->buf);
    free(q->ring);
    sendq_init(q, q->end);
}

static int sendq_grow(struct sendq *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : SENDQ_FIRST_CAP;
    struct sendq_entry *ring;

    if (q->tail - q->head < q->cap)
        return 0;
    ring = cap > SENDQ_MAX_ENTRIES ? NULL : malloc(cap * sizeof(*ring));
    if (!ring)
        return -1;
    for (uint32_t i = q->head; i != q->tail; i++)
        ring[i & (cap - 1)] = *entry_at(q, i);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    return 0;
}

int sendq_push(struct sendq *q, struct buf *b, const uint8_t *p, uint32_t len)
{
    if (q->head != q->tail) {
        /* The next bytes of the same buffer: one run. */
        struct sendq_entry *last = entry_at(q, q->tail - 1);
        if (last->buf == b && last->p + last->len == p) {
            last->len += len;
            q->end += len;
            return 0;
        }
    }
    if (sendq_grow(q))
        return -1;
    *entry_at(q, q->tail++) = (struct sendq_entry){buf_ref(b), p, q->end, len};
    q->end += len;
    return 0;
}

void sendq_ack(struct sendq *q, uint32_t seq)
{
    assert(seq_geq(seq, q->una) && seq_leq(seq, q->end));
    while (q->head != q->tail) {
        struct sendq_entry *e = entry_at(q, q->head);
        if (seq_gt(e->seq + e->len, seq))
            break;
        buf_unref(e->buf);
        q->head++;
    }
    q->una = seq;
}

uint32_t sendq_slices(const struct sendq *q, uint32_t seq, uint32_t len, struct slice *out, unsigned n,
                      uint16_t *count)
{
    uint32_t a = 0, b = q->tail - q->head, done = 0;

    while (a < b) {
        uint32_t m = (a + b) / 2;
        const struct sendq_entry *e = entry_at(q, q->head + m);
        if (seq_gt(e->seq + e->len, seq))
            b = m;
        else
            a = m + 1;
    }
    *count = 0;
    for (uint32_t i = q->head + a; i != q->tail && done < len && *count < n; i++) {
        const struct sendq_entry *e = entry_at(q, i);
        uint32_t skip = seq + done - e->seq, have = e->len - skip;
        uint32_t take = have < len - done ? have : len - done;
        out[(*count)++] = (struct slice){e->p + skip, take};
        done += take;
    }
    return done;
}
