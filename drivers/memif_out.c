/* memif_out.c: segments into the shared slots (memif.h)
 * A segment larger than a packet is cut up here, on its way: the receiver sees packets of the size that the peer's TCP asked for.
 */
#include "drivers/memif_pvt.h"

#define NO_SLOT   1
#define TELL_EACH 16u /* packets: the other end works on these while we write the next */

/* What is left of a segment's payload. */
struct cursor {
    const struct pktio_piece *piece;
    uint32_t off;
};

/* Where a frame is written: slots one after the other. */
struct writer {
    struct memif_ring *ring;
    struct memif_slot slot;
    uint32_t used;   /* bytes of it */
    uint16_t nslots; /* begun, this one included */
    int rc;          /* NO_SLOT, or negative: a bad one */
};

static uint32_t payload_of(const struct pktio_seg *seg)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < seg->npieces; i++)
        n += seg->pieces[i].len;
    return n;
}

static bool next_slot(struct writer *w)
{
    if (w->nslots)
        memif_ring_fill(w->ring, (uint16_t)(w->nslots - 1), w->used, true);
    if (w->nslots >= w->ring->ours) {
        w->rc = NO_SLOT;
        return false;
    }
    w->rc = memif_ring_slot(w->ring, w->nslots++, &w->slot);
    w->used = 0;
    if (w->rc == 0 && w->slot.len == 0)
        w->rc = -MEMIF_EDESC;
    return w->rc == 0;
}

static void put(struct writer *w, const uint8_t *p, uint32_t len)
{
    while (len > 0 && w->rc == 0) {
        uint32_t room = w->slot.len - w->used, n = len < room ? len : room;

        if (n == 0) {
            next_slot(w);
            continue;
        }
        memcpy(w->slot.p + w->used, p, n);
        w->used += n;
        p += n;
        len -= n;
    }
}

static void put_payload(struct writer *w, struct cursor *c, uint32_t len)
{
    while (len > 0) {
        uint32_t left = c->piece->len - c->off, n = len < left ? len : left;

        put(w, c->piece->data + c->off, n);
        c->off += n;
        len -= n;
        if (c->off == c->piece->len) {
            c->piece++;
            c->off = 0;
        }
    }
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

/* The headers of the i-th packet of a segment: head is a copy of the segment's. */
static void cut_head(uint8_t *head, const struct pktio_seg *seg, uint32_t i, uint32_t len, bool is_last)
{
    uint8_t *ip = head + MEMIF_ETH_HEAD, *tcp = head + seg->csum_start;
    uint32_t ip_len = (uint32_t)(tcp - ip), body = seg->head_len - seg->csum_start + len, seq, sum = 0;

    if (seg->is_ip6) {
        put16(ip + 4, body + ip_len - 40);
    } else {
        put16(ip + 2, body + ip_len);
        put16(ip + 4, get16(ip + 4) + i);
        put16(ip + 10, 0);
        for (uint32_t k = 0; k < ip_len; k += 2)
            sum += get16(ip + k);
        sum = (sum & 0xffff) + (sum >> 16);
        put16(ip + 10, ~(sum + (sum >> 16)));
    }
    seq = (get16(tcp + 4) << 16 | get16(tcp + 6)) + i * seg->gso_bytes;
    put16(tcp + 4, seq >> 16);
    put16(tcp + 6, seq);
    if (!is_last)
        tcp[13] &= (uint8_t)~0x09u; /* FIN and PSH are the last one's */
    if (i > 0)
        tcp[13] &= (uint8_t)~0x80u; /* CWR is the first one's */
}

static void put_head(struct memif *m, struct writer *w, const uint8_t *head, uint32_t len)
{
    const uint8_t tag[MEMIF_TAG] = {0x81, 0, (uint8_t)(m->cfg.vlan >> 8), (uint8_t)m->cfg.vlan};

    if (!m->cfg.vlan) {
        put(w, head, len);
        return;
    }
    put(w, head, 12);
    put(w, tag, MEMIF_TAG);
    put(w, head + 12, len - 12);
}

/* One packet: 0, NO_SLOT, negative. Slots that it began and could not end are not passed on. */
static int send_packet(struct memif *m, const struct pktio_seg *seg, const uint8_t *head, struct cursor *c, uint32_t len)
{
    struct writer w = {.ring = &m->link.shm.send};

    if (!next_slot(&w))
        return w.rc;
    memif_ring_prefetch(w.ring, 1, seg->head_len + len);
    put_head(m, &w, head, seg->head_len);
    put_payload(&w, c, len);
    if (w.rc)
        return w.rc;
    memif_ring_fill(w.ring, (uint16_t)(w.nslots - 1), w.used, false);
    memif_ring_pass(w.ring, w.nslots);
    if ((uint16_t)(w.ring->next - w.ring->told) >= TELL_EACH)
        memif_ring_tell(w.ring);
    return 0;
}

/* Slots that a segment may need. */
static uint32_t slots_for(const struct memif *m, const struct pktio_seg *seg, uint32_t payload)
{
    const struct memif_ring *r = &m->link.shm.send;
    uint32_t packets = seg->gso_bytes && payload ? (payload + seg->gso_bytes - 1) / seg->gso_bytes : 1;
    uint32_t frame = seg->head_len + MEMIF_TAG + (seg->gso_bytes && packets > 1 ? seg->gso_bytes : payload);
    struct memif_slot first = {.len = m->frame_max};

    if (r->ours > 0)
        memif_ring_slot(r, 0, &first);
    return packets * (first.len && first.len < frame ? (frame + first.len - 1) / first.len : 1);
}

/* Whether there is room now; a segment that no ring of this length could hold whole is begun when the ring is empty, and ends short. */
static bool has_room(struct memif *m, const struct pktio_seg *seg, uint32_t payload, int *rc)
{
    struct memif_ring *r = &m->link.shm.send;
    uint32_t need = slots_for(m, seg, payload), size = (uint32_t)r->mask + 1;

    if (r->ours < need) {
        int n = memif_ring_look(r);

        *rc = n < 0 ? n : 0;
    }
    return *rc == 0 && (r->ours >= need || r->ours == size);
}

static int send_segment(struct memif *m, const struct pktio_seg *seg, uint32_t payload)
{
    uint32_t each = seg->gso_bytes ? seg->gso_bytes : payload, done = 0;
    struct cursor c = {seg->pieces, 0};
    uint8_t head[PKTIO_HEAD_MAX];
    int rc;

    if (payload <= each)
        return send_packet(m, seg, seg->head, &c, payload);
    for (uint32_t i = 0; done < payload; i++) {
        uint32_t n = payload - done < each ? payload - done : each;

        memcpy(head, seg->head, sizeof(head));
        cut_head(head, seg, i, n, done + n == payload);
        if ((rc = send_packet(m, seg, head, &c, n)))
            return rc;
        done += n;
    }
    return 0;
}

unsigned memif_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    struct memif *m = memif_of(io);
    unsigned done = 0;

    for (; done < count && m->is_up; done++) {
        uint32_t payload = payload_of(&segs[done]);
        int rc = 0;

        if (!has_room(m, &segs[done], payload, &rc) && rc == 0) {
            m->counters.tx_full++;
            m->is_full = true;
            memif_ring_tell(&m->link.shm.send);
            return done;
        }
        if (rc == 0)
            rc = send_segment(m, &segs[done], payload);
        if (rc < 0) {
            memif_break(m, rc);
            break;
        }
        m->counters.tx_dropped += rc == NO_SLOT;
        m->counters.tx_segs += rc == 0;
        m->counters.tx_bytes += rc ? 0 : segs[done].head_len + payload;
    }
    m->counters.tx_dropped += count - done; /* like a cable that is out: TCP sends it again */
    return count;
}
