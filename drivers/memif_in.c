/* memif_in.c: frames out of the shared slots (memif.h)
 * A frame's headers are copied before they are looked at; what they say decides the rest: the payload of a plain TCP segment is lent
 * where it lies, anything else is copied whole.
 */
#include "drivers/memif_pvt.h"

#define LEND_LEAST 256u /* payload that is worth lending */
#define PREFETCH   1536u /* bytes of the next frame */
#define CHAIN_MAX  32u  /* slots of one frame: fewer than any ring has */

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

/* Bytes of Ethernet, IP and TCP headers at the front of a frame of len bytes, when it is a plain TCP segment whose payload ends
 * with the frame; 0: something else. All that is looked at is in the first MEMIF_HEAD_BYTES. */
static uint32_t headers_of(const uint8_t *p, uint32_t len)
{
    const uint8_t *ip = p + MEMIF_ETH_HEAD, *tcp;
    uint32_t head;

    if (be16(p + 12) == 0x0800) {
        if (ip[0] != 0x45 || ip[9] != 6 || (be16(ip + 6) & 0x3fff) || be16(ip + 2) + MEMIF_ETH_HEAD != len)
            return 0;
        tcp = ip + 20;
    } else if (be16(p + 12) == 0x86dd) {
        if (ip[0] >> 4 != 6 || ip[6] != 6 || be16(ip + 4) + 40u + MEMIF_ETH_HEAD != len)
            return 0;
        tcp = ip + 40;
    } else {
        return 0;
    }
    head = (uint32_t)(tcp - p) + (tcp[12] >> 4) * 4u;
    return (tcp[12] >> 4) >= 5 && head <= MEMIF_HEAD_BYTES - MEMIF_TAG && head + LEND_LEAST <= len ? head : 0;
}

/* Any frame takes two at most. */
static bool has_spare(const struct memif *m)
{
    return m->spare_used + 2 * m->frame_max <= PKTIO_BURST * m->frame_max;
}

/* A place for a whole frame until recv_done. */
static uint8_t *spare(struct memif *m)
{
    uint8_t *p = m->spare + m->spare_used;

    m->spare_used += m->frame_max;
    return p;
}

/* By the tag in a private copy of the headers. */
static bool is_ours(struct memif *m, const uint8_t *head)
{
    if (!m->cfg.vlan)
        return true;
    if (be16(head + 12) == 0x8100 && (be16(head + 14) & 0xfff) == m->cfg.vlan)
        return true;
    m->counters.rx_foreign++;
    return false;
}

/* A frame that lies in one slot. False: counted, nothing to hand up. */
static bool read_frame(struct memif *m, const struct memif_slot *s, uint8_t head[MEMIF_HEAD_BYTES], struct pktio_frame *out)
{
    uint32_t tag = m->cfg.vlan ? MEMIF_TAG : 0, len = s->len, own;
    uint8_t *whole;

    if (len < MEMIF_ETH_HEAD + tag || len > m->frame_max) {
        m->counters.rx_truncated++;
        return false;
    }
    if (m->cfg.is_raw) {
        *out = (struct pktio_frame){.data = s->p, .len = len, .is_csum_ok = true};
        return true;
    }
    if (len < MEMIF_HEAD_BYTES) {
        memcpy(head, s->p, len);
    } else {
        memcpy(head, s->p, MEMIF_HEAD_BYTES);
    }
    if (!is_ours(m, head))
        return false;
    if (tag)
        memmove(head + tag, head, 12);
    *out = (struct pktio_frame){.data = head + tag, .len = len - tag, .is_csum_ok = true};
    if (len <= MEMIF_HEAD_BYTES)
        return true;
    own = headers_of(out->data, out->len);
    if (own) {
        out->rest = s->p + tag + own;
        out->rest_len = out->len - own;
        out->len = own;
        return true;
    }
    whole = spare(m);
    memcpy(whole, head, MEMIF_HEAD_BYTES);
    memcpy(whole + MEMIF_HEAD_BYTES, s->p + MEMIF_HEAD_BYTES, len - MEMIF_HEAD_BYTES);
    out->data = whole + tag;
    return true;
}

/* A frame in several slots, the first being the at-th. Returns how many, 0: its end has not come; negative: a rule is broken. */
static int read_chain(struct memif *m, uint16_t at, struct memif_slot *s, uint8_t head[MEMIF_HEAD_BYTES], struct pktio_frame *out, bool *is_good)
{
    struct memif_ring *r = &m->link.shm.recv;
    struct memif_slot whole = {.p = m->spare + m->spare_used};
    uint16_t n = 0;
    int rc;

    for (;; n++) {
        if (whole.len + (uint64_t)s->len <= m->frame_max)
            memcpy(whole.p + whole.len, s->p, s->len);
        whole.len = whole.len + (uint64_t)s->len <= m->frame_max ? whole.len + s->len : UINT32_MAX;
        if (!s->has_next)
            break;
        if (n == CHAIN_MAX)
            return -MEMIF_EDESC;
        if (at + n + 1 == r->ours)
            return 0;
        if ((rc = memif_ring_slot(r, (uint16_t)(at + n + 1), s)) < 0)
            return rc;
    }
    for (uint16_t i = 0; i < n; i++)
        memif_ring_unchain(r, (uint16_t)(at + i));
    m->spare_used += m->frame_max;
    *is_good = read_frame(m, &whole, head, out); /* from our own memory: one copy more, of a rare frame */
    return n + 1;
}

/* The at-th slot and those that belong to it; as read_chain. */
static int read_slot(struct memif *m, uint16_t at, uint8_t head[MEMIF_HEAD_BYTES], struct pktio_frame *out, bool *is_good)
{
    struct memif_slot s;
    int rc = memif_ring_slot(&m->link.shm.recv, at, &s);

    if (rc < 0)
        return rc;
    if (s.has_next)
        return read_chain(m, at, &s, head, out, is_good);
    *is_good = read_frame(m, &s, head, out);
    return 1;
}

unsigned memif_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    struct memif *m = memif_of(io);
    struct memif_ring *r = &m->link.shm.recv;
    unsigned n = 0;
    int rc;

    if (!memif_may_run(m))
        return 0;
    memif_ring_tell(&m->link.shm.send); /* the end of the last turn */
    rc = memif_ring_look(r);
    m->is_begun = false;
    if (rc > 0 && m->is_armed) {
        m->is_armed = false;
        memif_ring_ask(r, false);
    }
    for (int used = 1; rc > 0 && m->taken < r->ours && n < cap && n < PKTIO_BURST && has_spare(m); m->taken = (uint16_t)(m->taken + used)) {
        bool is_good = false;

        memif_ring_prefetch(r, (uint16_t)(m->taken + 1), PREFETCH);
        used = read_slot(m, m->taken, m->heads[n], &frames[n], &is_good);
        if (used <= 0) {
            rc = used;
            m->is_begun = true;
            m->begun_until = (uint16_t)(r->next + r->ours);
            break;
        }
        if (!is_good)
            continue;
        m->counters.rx_frames++;
        m->counters.rx_bytes += frames[n].len + frames[n].rest_len;
        n++;
    }
    if (rc >= 0)
        return n;
    memif_break(m, rc); /* with all that was in it */
    return 0;
}

void memif_recv_done(struct pktio *io)
{
    struct memif *m = memif_of(io);

    if (m->taken == 0)
        return;
    memif_ring_pass(&m->link.shm.recv, m->taken);
    memif_ring_tell(&m->link.shm.recv);
    m->taken = 0;
    m->spare_used = 0;
}
