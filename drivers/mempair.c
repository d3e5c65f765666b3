/* mempair.c: a cable in memory (mempair.h) */
#include "drivers/mempair.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/rng.h"

#define QUEUE_DEFAULT 4096
#define MTU_DEFAULT   1500
#define MARK_BYTES    64 /* room for a frame_mark in front of the frame; keeps data aligned */

struct port {
    struct pktio io;
    struct mempair *cable;
    struct buf *head, **tail; /* waiting frames, linked by next */
    uint32_t waiting;
    struct buf *lent[PKTIO_BURST]; /* frames of the last recv */
    unsigned nlent;
    struct pktio_counters counters;
    bool is_open;
};

struct mempair {
    struct mempair_config cfg;
    struct rng rng;
    struct port ports[];
};

struct frame_mark {
    bool is_csum_ok;
};

static struct frame_mark *mark_of(struct buf *b)
{
    return (struct frame_mark *)(void *)(b->data - MARK_BYTES);
}

static struct port *port_of(struct pktio *io)
{
    return CONTAINER_OF(io, struct port, io);
}

static struct buf *frame_of(const struct pktio_seg *seg)
{
    size_t len = seg->head_len;
    struct buf *b;

    for (unsigned i = 0; i < seg->npieces; i++)
        len += seg->pieces[i].len;
    b = buf_new((uint32_t)(len + MARK_BYTES));
    if (!b)
        return NULL;
    b->data += MARK_BYTES;
    b->cap -= MARK_BYTES;
    memcpy(b->data, seg->head, seg->head_len);
    b->len = seg->head_len;
    for (unsigned i = 0; i < seg->npieces; i++) {
        memcpy(b->data + b->len, seg->pieces[i].data, seg->pieces[i].len);
        b->len += seg->pieces[i].len;
    }
    mark_of(b)->is_csum_ok = seg->csum_start != 0;
    return b;
}

static void push(struct port *to, const struct pktio_seg *seg)
{
    struct buf *b = to->is_open && to->waiting < to->cable->cfg.queue_max ? frame_of(seg) : NULL;

    if (!b) {
        to->counters.rx_dropped++;
        return;
    }
    b->next = NULL;
    *to->tail = b;
    to->tail = &b->next;
    to->waiting++;
}

static unsigned mempair_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct port *p = port_of(io);
    unsigned n = 0;

    for (; n < cap && n < PKTIO_BURST && p->head; n++) {
        struct buf *b = p->head;

        p->head = b->next;
        if (!p->head)
            p->tail = &p->head;
        p->waiting--;
        b->next = NULL;
        p->lent[n] = b;
        frames[n] = (struct pktio_frame){.data = b->data, .len = b->len, .is_csum_ok = mark_of(b)->is_csum_ok, .buf = b};
        p->counters.rx_frames++;
        p->counters.rx_bytes += b->len;
    }
    p->nlent = n;
    return n;
}

static void mempair_recv_done(struct pktio *io)
{
    struct port *p = port_of(io);

    while (p->nlent > 0)
        buf_unref(p->lent[--p->nlent]);
}

/* What a real port would refuse is our stack's bug: here it shows. */
static bool is_sendable(const struct port *p, const struct pktio_seg *seg, size_t len)
{
    const struct mempair_config *cfg = &p->cable->cfg;
    size_t ip_len = len - 14;

    if (seg->csum_start && !cfg->has_csum)
        return false;
    if (seg->gso_bytes)
        return ip_len <= cfg->gso_max_bytes && seg->gso_bytes + seg->head_len - 14u <= cfg->mtu;
    return ip_len <= cfg->mtu;
}

static void forward(struct port *from, const struct pktio_seg *seg)
{
    struct mempair *m = from->cable;
    const uint8_t *dst = seg->head;

    for (unsigned i = 0; i < m->cfg.ports; i++)
        if (&m->ports[i] != from && ((dst[0] & 1) || memcmp(m->ports[i].io.link.mac, dst, 6) == 0))
            push(&m->ports[i], seg);
}

static unsigned mempair_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct port *p = port_of(io);
    struct mempair *m = p->cable;

    for (unsigned i = 0; i < count; i++) {
        size_t len = segs[i].head_len;

        for (unsigned k = 0; k < segs[i].npieces; k++)
            len += segs[i].pieces[k].len;
        p->counters.tx_segs++;
        p->counters.tx_bytes += len;
        if (!is_sendable(p, &segs[i], len))
            p->counters.tx_dropped++;
        else if (m->cfg.loss_per_million == 0 || rng_below(&m->rng, 1000000) >= m->cfg.loss_per_million)
            forward(p, &segs[i]);
    }
    return count;
}

static int mempair_wait_fd(struct pktio *io, bool wants_tx)
{
    return -1;
}

static void mempair_refresh(struct pktio *io)
{
}

static void mempair_counters(struct pktio *io, struct pktio_counters *out)
{
    *out = port_of(io)->counters;
}

static void mempair_close(struct pktio *io)
{
    struct port *p = port_of(io);

    mempair_recv_done(io);
    while (p->head) {
        struct buf *b = p->head;

        p->head = b->next;
        buf_unref(b);
    }
    p->tail = &p->head;
    p->waiting = 0;
    p->is_open = false;
}

static const struct pktio_ops mempair_ops = {mempair_recv,    mempair_recv_done, mempair_send,
                                             mempair_wait_fd, mempair_refresh,   mempair_counters,
                                             mempair_close, NULL, NULL};

struct mempair *mempair_new(const struct mempair_config *cfg)
{
    unsigned ports = cfg->ports ? cfg->ports : 2;
    struct mempair *m = calloc(1, sizeof(*m) + ports * sizeof(m->ports[0]));

    if (!m)
        return NULL;
    m->cfg = *cfg;
    m->cfg.ports = ports;
    if (!m->cfg.mtu)
        m->cfg.mtu = MTU_DEFAULT;
    if (!m->cfg.queue_max)
        m->cfg.queue_max = QUEUE_DEFAULT;
    rng_init_seeded(&m->rng, cfg->seed);
    for (unsigned i = 0; i < ports; i++) {
        struct port *p = &m->ports[i];

        p->cable = m;
        p->tail = &p->head;
        p->io.ops = &mempair_ops;
        p->io.link = (struct pktio_link){.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
                                         .is_up = true,
                                         .has_tx_csum = cfg->has_csum,
                                         .has_rx_csum = cfg->has_csum,
                                         .mtu = m->cfg.mtu,
                                         .gso_max_bytes = cfg->gso_max_bytes,
                                         .keep_max = m->cfg.queue_max};
        snprintf(p->io.text, sizeof(p->io.text), "mempair %u mtu %u gso %u", i, m->cfg.mtu,
                 cfg->gso_max_bytes);
    }
    return m;
}

struct pktio *mempair_port(struct mempair *m, unsigned i)
{
    m->ports[i].is_open = true;
    return &m->ports[i].io;
}

void mempair_set_loss(struct mempair *m, uint32_t loss_per_million)
{
    m->cfg.loss_per_million = loss_per_million;
}

void mempair_free(struct mempair *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->cfg.ports; i++)
        mempair_close(&m->ports[i].io);
    free(m);
}
