/* ethdev_queue.c: frames in and out of one queue of a DPDK port (ethdev.h) */
#include <rte_ip.h>
#include <string.h>

#include "drivers/ethdev_pvt.h"

/* ---- receiving ---- */

static void release(struct buf *b)
{
    CONTAINER_OF(b, struct ethdev_frame, buf)->queue->kept--;
    rte_pktmbuf_free(b->home);
}

static struct buf *lend(struct ethdev_queue *q, struct rte_mbuf *m)
{
    struct ethdev_frame *f = rte_mbuf_to_priv(m);

    f->buf = (struct buf){.data = rte_pktmbuf_mtod(m, uint8_t *),
                          .len = m->data_len,
                          .cap = m->data_len,
                          .refs = 1,
                          .release = release,
                          .home = m};
    f->queue = q;
    q->kept++;
    return &f->buf;
}

/* NONE is virtio's word for a sender on the same host, whose checksum was never finished: nothing can have happened to the bytes. */
static bool is_csum_ok(const struct rte_mbuf *m)
{
    uint64_t sum = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

    return sum == RTE_MBUF_F_RX_L4_CKSUM_GOOD || sum == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/* Takes the tag off; false: it is not ours, or there is none. */
static bool strip_tag(struct rte_mbuf *m, uint16_t vlan)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

    if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
        return (m->vlan_tci & 0xfff) == vlan;
    if (m->data_len < ETHDEV_ETH_HEAD + ETHDEV_TAG || p[12] != 0x81 || p[13] != 0 || ((p[14] & 15) << 8 | p[15]) != vlan)
        return false;
    memmove(p + ETHDEV_TAG, p, 12);
    return rte_pktmbuf_adj(m, ETHDEV_TAG) != NULL;
}

/* False: freed, and counted. */
static bool is_fit(struct ethdev_queue *q, struct rte_mbuf *m)
{
    if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) < 0)
        q->counters.rx_truncated++;
    else if (q->dev->cfg.vlan && !strip_tag(m, q->dev->cfg.vlan))
        q->counters.rx_foreign++;
    else
        return true;
    rte_pktmbuf_free(m);
    return false;
}

static void hand_up(struct ethdev_queue *q, struct rte_mbuf *m, struct pktio_frame *out)
{
    bool may_keep = q->kept < q->io.link.keep_max;
    struct buf *b = lend(q, m);

    q->counters.rx_frames++;
    q->counters.rx_bytes += m->data_len;
    q->counters.rx_unkept += !may_keep;
    *out = (struct pktio_frame){.data = b->data, .len = b->len, .is_csum_ok = is_csum_ok(m), .buf = may_keep ? b : NULL};
    q->lent[q->nlent++] = m;
}

unsigned ethdev_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct ethdev_queue *q = ethdev_queue_of(io);
    struct rte_mbuf *got[PKTIO_BURST];
    unsigned n;

    q->nlent = 0;
    if (!ethdev_may_run(q))
        return 0;
    if (q->nwaiting)
        ethdev_push(q); /* the end of the last turn */
    if (cap > PKTIO_BURST)
        cap = PKTIO_BURST;
    n = ethdev_side_take(q, got, cap);
    for (unsigned i = 0; i < n; i++)
        hand_up(q, got[i], &frames[q->nlent]);
    n = rte_eth_rx_burst(q->dev->port, q->index, got, (uint16_t)(cap - n));
    for (unsigned i = 0; i < n; i++) {
        if (!is_fit(q, got[i]))
            continue;
        ethdev_side_share(q, got[i]);
        hand_up(q, got[i], &frames[q->nlent]);
    }
    return q->nlent;
}

void ethdev_recv_done(struct pktio *io)
{
    struct ethdev_queue *q = ethdev_queue_of(io);

    while (q->nlent > 0)
        buf_unref(&((struct ethdev_frame *)rte_mbuf_to_priv(q->lent[--q->nlent]))->buf);
}

/* ---- sending ---- */

struct writer {
    struct rte_mempool *pool;
    struct rte_mbuf *head, *last;
};

/* Appends bytes to the chain; false when the pool is empty. */
static bool append(struct writer *w, const uint8_t *p, uint32_t len)
{
    while (len > 0) {
        uint16_t room = rte_pktmbuf_tailroom(w->last), n = len < room ? (uint16_t)len : room;

        if (n == 0) {
            struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

            if (!m)
                return false;
            w->last->next = m;
            w->last = m;
            w->head->nb_segs++;
            continue;
        }
        memcpy(rte_pktmbuf_mtod_offset(w->last, uint8_t *, w->last->data_len), p, n);
        w->last->data_len = (uint16_t)(w->last->data_len + n);
        w->head->pkt_len += n;
        p += n;
        len -= n;
    }
    return true;
}

/* The headers, with a tag behind the addresses when the port does not put it there. */
static bool append_head(struct ethdev_queue *q, struct writer *w, const struct pktio_seg *seg)
{
    uint16_t vlan = q->dev->cfg.vlan;
    const uint8_t tag[ETHDEV_TAG] = {0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan};

    if (!vlan || q->dev->has_vlan_offload)
        return append(w, seg->head, seg->head_len);
    return append(w, seg->head, 12) && append(w, tag, ETHDEV_TAG) && append(w, seg->head + 12, seg->head_len - 12u);
}

/* What the port is to finish. DPDK wants the pseudo-header's sum without the length when it segments. */
static void set_offloads(struct rte_mbuf *m, const struct pktio_seg *seg, uint32_t tag)
{
    uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHDEV_ETH_HEAD + tag);
    uint16_t sum;

    m->l2_len = ETHDEV_ETH_HEAD + tag;
    m->l3_len = (uint64_t)(seg->csum_start - ETHDEV_ETH_HEAD);
    m->l4_len = (uint64_t)(seg->head_len - seg->csum_start);
    m->ol_flags |= (seg->is_ip6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) | RTE_MBUF_F_TX_TCP_CKSUM;
    if (!seg->gso_bytes)
        return;
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    m->tso_segsz = seg->gso_bytes;
    if (seg->is_ip6) {
        sum = rte_ipv6_phdr_cksum((const void *)ip, m->ol_flags);
    } else {
        m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
        ((struct rte_ipv4_hdr *)(void *)ip)->hdr_checksum = 0;
        sum = rte_ipv4_phdr_cksum((const void *)ip, m->ol_flags);
    }
    memcpy(ip + m->l3_len + seg->csum_offset, &sum, 2);
}

static struct rte_mbuf *mbuf_of(struct ethdev_queue *q, const struct pktio_seg *seg)
{
    struct writer w = {.pool = q->pool};
    uint32_t tag = 0;
    bool ok;

    w.head = w.last = rte_pktmbuf_alloc(q->pool);
    if (!w.head)
        return NULL;
    ok = append_head(q, &w, seg);
    for (unsigned i = 0; ok && i < seg->npieces; i++)
        ok = append(&w, seg->pieces[i].data, seg->pieces[i].len);
    if (!ok) {
        rte_pktmbuf_free(w.head);
        return NULL;
    }
    if (q->dev->cfg.vlan && q->dev->has_vlan_offload) {
        w.head->ol_flags |= RTE_MBUF_F_TX_VLAN;
        w.head->vlan_tci = q->dev->cfg.vlan;
    } else if (q->dev->cfg.vlan) {
        tag = ETHDEV_TAG;
    }
    if (seg->csum_start)
        set_offloads(w.head, seg, tag);
    return w.head;
}

static void drop_first(struct ethdev_queue *q)
{
    rte_pktmbuf_free(q->waiting[0]);
    q->counters.tx_dropped++;
    memmove(q->waiting, q->waiting + 1, --q->nwaiting * sizeof(q->waiting[0]));
}

/* Many drivers finish offloads in a step before sending; the first packet that it does not let pass never goes. */
static uint16_t prepare(struct ethdev_queue *q)
{
    uint16_t n = rte_eth_tx_prepare(q->dev->port, q->index, q->waiting, q->nwaiting);

    while (n == 0 && q->nwaiting) {
        drop_first(q);
        n = rte_eth_tx_prepare(q->dev->port, q->index, q->waiting, q->nwaiting);
    }
    return n;
}

void ethdev_push(struct ethdev_queue *q)
{
    uint16_t n, sent;

    do {
        n = prepare(q);
        sent = rte_eth_tx_burst(q->dev->port, q->index, q->waiting, n);
        q->nwaiting = (uint16_t)(q->nwaiting - sent);
        memmove(q->waiting, q->waiting + sent, q->nwaiting * sizeof(q->waiting[0]));
    } while (sent && sent == n && q->nwaiting);
}

void ethdev_forget(struct ethdev_queue *q)
{
    while (q->nwaiting)
        drop_first(q);
}

unsigned ethdev_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct ethdev_queue *q = ethdev_queue_of(io);
    unsigned done = 0;

    if (!ethdev_may_run(q)) { /* like a cable that is out: TCP sends it again */
        q->counters.tx_dropped += count;
        return count;
    }
    for (; done < count; done++) {
        struct rte_mbuf *m;

        if (q->nwaiting == ETHDEV_SEND_MAX)
            ethdev_push(q);
        m = q->nwaiting < ETHDEV_SEND_MAX ? mbuf_of(q, &segs[done]) : NULL;
        if (!m) {
            q->counters.no_memory += q->nwaiting < ETHDEV_SEND_MAX;
            q->counters.tx_full++;
            break;
        }
        q->counters.tx_segs++;
        q->counters.tx_bytes += m->pkt_len;
        q->waiting[q->nwaiting++] = m;
    }
    return done;
}
