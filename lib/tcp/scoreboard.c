#include "tcp/scoreboard.h"

#include <assert.h>
#include <stdlib.h>

#define RING_FIRST_CAP  16
#define QUEUE_FIRST_CAP 16

static struct sb_record *rec_at(const struct scoreboard *sb, uint32_t index)
{
    return &sb->ring[index & (sb->cap - 1)];
}

static bool is_live(const struct scoreboard *sb, uint32_t index)
{
    return index - sb->head < sb->tail - sb->head;
}

static bool needs_rtx(const struct sb_record *r)
{
    return (r->flags & (SB_LOST | SB_RTX | SB_SACKED)) == SB_LOST;
}

/* The record that contains seq; tail when none does. */
static uint32_t rec_find(const struct scoreboard *sb, uint32_t seq)
{
    uint32_t a = 0, b = sb->tail - sb->head;

    while (a < b) {
        uint32_t m = (a + b) / 2;
        const struct sb_record *r = rec_at(sb, sb->head + m);
        if (seq_gt(r->seq + r->len, seq))
            b = m;
        else
            a = m + 1;
    }
    return sb->head + a;
}

/* ---- small queues of marks; without memory a mark is dropped, and the timeout does its work ---- */

static bool queue_push(struct sb_queue *q, struct sb_mark m)
{
    if (q->tail - q->head == q->cap) {
        uint32_t cap = q->cap ? q->cap * 2 : QUEUE_FIRST_CAP;
        struct sb_mark *n = cap > SB_MAX_RECORDS * 2 ? NULL : malloc(cap * sizeof(*n));
        if (!n)
            return false;
        for (uint32_t i = q->head; i != q->tail; i++)
            n[i & (cap - 1)] = q->m[i & (q->cap - 1)];
        free(q->m);
        q->m = n;
        q->cap = cap;
    }
    q->m[q->tail++ & (q->cap - 1)] = m;
    return true;
}

static struct sb_mark *queue_front(const struct sb_queue *q)
{
    return q->head == q->tail ? NULL : &q->m[q->head & (q->cap - 1)];
}

/* ---- life ---- */

void sb_init(struct scoreboard *sb, uint32_t seq)
{
    *sb = (struct scoreboard){.una = seq, .nxt = seq, .highest = seq};
    seqset_init(&sb->sacked, SB_MAX_RANGES);
}

void sb_fini(struct scoreboard *sb)
{
    free(sb->ring);
    free(sb->in_flight_again.m);
    free(sb->again.m);
    seqset_fini(&sb->sacked);
    sb_init(sb, sb->una);
}

static int reserve(struct scoreboard *sb, uint32_t n, uint32_t most)
{
    uint32_t used = sb->tail - sb->head, cap = sb->cap ? sb->cap : RING_FIRST_CAP;

    if (used + n <= sb->cap)
        return 0;
    while (cap < used + n)
        cap *= 2;
    struct sb_record *ring = cap > most ? NULL : malloc(cap * sizeof(*ring));
    if (!ring)
        return -1;
    for (uint32_t i = sb->head; i != sb->tail; i++)
        ring[i & (cap - 1)] = *rec_at(sb, i);
    free(sb->ring);
    sb->ring = ring;
    sb->cap = cap;
    return 0;
}

int sb_reserve(struct scoreboard *sb, uint32_t n)
{
    return reserve(sb, n, SB_MAX_RECORDS);
}

static uint32_t ticks(uint64_t ns)
{
    return ns / SB_TICK_NS < UINT32_MAX ? (uint32_t)(ns / SB_TICK_NS) : UINT32_MAX;
}

/* What a transmission at now remembers, at its own instant: RACK tells by it which of two left first. Field by field: a copy of a half-written record would wait for the stores. */
struct stamp {
    uint64_t sent_ns;
    uint32_t delivered, since_delivered, since_first;
    uint8_t flags;
};

static inline struct stamp stamp_now(struct scoreboard *sb, uint64_t now)
{
    struct rate_meter *m = &sb->rate;

    if (sb_pipe(sb) == 0)
        m->first_sent_ns = m->delivered_ns = now;
    sb->stamp_ns = now > sb->stamp_ns ? now : sb->stamp_ns + 1;
    return (struct stamp){.sent_ns = sb->stamp_ns,
                          .flags = m->idle_until ? SB_IDLE : 0,
                          .delivered = (uint32_t)m->delivered_bytes,
                          .since_delivered = ticks(now - m->delivered_ns),
                          .since_first = ticks(now - m->first_sent_ns)};
}

static inline void stamp_put(struct sb_record *r, const struct stamp *t)
{
    r->sent_ns = t->sent_ns;
    r->delivered = t->delivered;
    r->since_delivered = t->since_delivered;
    r->since_first = t->since_first;
}

void sb_sent(struct scoreboard *sb, uint32_t len, uint32_t mss, uint64_t now)
{
    struct stamp t = stamp_now(sb, now);

    while (len) {
        uint32_t n = len < mss ? len : mss;
        assert(sb->tail - sb->head < sb->cap && n <= UINT16_MAX);
        struct sb_record *r = rec_at(sb, sb->tail++);
        stamp_put(r, &t);
        r->seq = sb->nxt;
        r->len = (uint16_t)n;
        r->flags = t.flags;
        sb->nxt += n;
        len -= n;
    }
}

/* ---- acknowledgement ---- */

/* first to last, in their order of sending, were sent once; highest: before them. */
static void note_once(struct scoreboard *sb, const struct sb_record *first, const struct sb_record *last,
                      uint32_t highest, struct sb_news *news)
{
    if (seq_lt(first->seq + first->len, highest))
        news->is_reordered = true;
    if (!news->once || last->sent_ns > news->once->sent_ns ||
        (last->sent_ns == news->once->sent_ns && seq_gt(last->seq, news->once->seq)))
        news->once = last;
    sb->highest = seq_max(sb->highest, last->seq + last->len);
}

static void note_delivered(struct scoreboard *sb, const struct sb_record *r, struct sb_news *news)
{
    news->delivered_bytes += r->len;
    if (needs_rtx(r)) {
        sb->lost_bytes -= r->len;
        if (!(r->flags & SB_EVER_RTX))
            news->late_bytes += r->len;
    }
    if (!(r->flags & SB_EVER_RTX)) {
        note_once(sb, r, r, sb->highest, news);
        return;
    }
    if (!news->again || r->sent_ns >= news->again->sent_ns)
        news->again = r;
    sb->highest = seq_max(sb->highest, r->seq + r->len);
}

/* Marks whose records are acknowledged: a peer without SACK would never have them judged. */
static void queue_trim(const struct scoreboard *sb, struct sb_queue *q)
{
    while (q->head != q->tail && !is_live(sb, queue_front(q)->index))
        q->head++;
}

void sb_ack(struct scoreboard *sb, uint32_t ack, struct sb_news *news)
{
    assert(seq_gt(ack, sb->una) && seq_leq(ack, sb->nxt));
    const struct sb_record *first = NULL, *last = NULL;
    uint32_t highest = sb->highest, plain_bytes = 0;

    news->acked_bytes += ack - sb->una;
    for (; sb->head != sb->tail; sb->head++) {
        struct sb_record *r = rec_at(sb, sb->head);
        if (seq_gt(r->seq + r->len, ack))
            break;
        if (!(r->flags & ~SB_IDLE)) { /* nearly all */
            first = first ? first : r;
            last = r;
            plain_bytes += r->len;
        } else if (r->flags & SB_SACKED) {
            sb->sacked_bytes -= r->len;
            sb->sacked_count--;
        } else
            note_delivered(sb, r, news);
    }
    news->delivered_bytes += plain_bytes;
    if (first)
        note_once(sb, first, last, highest, news);
    if (sb->head != sb->tail && seq_lt(rec_at(sb, sb->head)->seq, ack)) {
        /* Part of a packet: the peer trimmed it, or a box on the way cut it. */
        struct sb_record *r = rec_at(sb, sb->head);
        uint32_t cut = ack - r->seq;
        if (r->flags & SB_SACKED)
            sb->sacked_bytes -= cut;
        else
            news->delivered_bytes += cut;
        if (needs_rtx(r))
            sb->lost_bytes -= cut;
        r->seq += cut;
        r->len = (uint16_t)(r->len - cut);
    }
    seqset_trim(&sb->sacked, ack);
    queue_trim(sb, &sb->in_flight_again);
    queue_trim(sb, &sb->again);
    sb->una = ack;
    if (seq_lt(sb->judged, sb->head))
        sb->judged = sb->head;
    if (seq_lt(sb->cursor, sb->head))
        sb->cursor = sb->head;
}

/* [lo, hi) was just joined into range r: marks the records that r now covers whole. */
static void mark_sacked(struct scoreboard *sb, uint32_t lo, uint32_t hi, struct seq_range r,
                        struct sb_news *news)
{
    for (uint32_t i = rec_find(sb, lo); i != sb->tail; i++) {
        struct sb_record *rec = rec_at(sb, i);
        if (seq_geq(rec->seq, hi))
            break;
        if ((rec->flags & SB_SACKED) || seq_lt(rec->seq, r.lo) || seq_gt(rec->seq + rec->len, r.hi))
            continue;
        note_delivered(sb, rec, news);
        rec->flags |= SB_SACKED;
        sb->sacked_bytes += rec->len;
        sb->sacked_count++;
        news->sacked_bytes += rec->len;
    }
}

void sb_sack(struct scoreboard *sb, uint32_t lo, uint32_t hi, struct sb_news *news)
{
    if (seq_geq(lo, hi) || seq_leq(hi, sb->una) || seq_gt(hi, sb->nxt))
        return;
    lo = seq_max(lo, sb->una);
    while (seq_lt(lo, hi)) {
        const struct seqset *s = &sb->sacked;
        uint32_t i = seqset_find(s, lo);
        if (i < s->count && seq_leq(s->r[i].lo, lo)) {
            lo = s->r[i].hi;
            continue;
        }
        uint32_t end = i < s->count ? seq_min(hi, s->r[i].lo) : hi;
        if (seqset_add(&sb->sacked, lo, end))
            return;
        mark_sacked(sb, lo, end, s->r[seqset_find(s, lo)], news);
        lo = end;
    }
}

/* ---- loss ---- */

static void mark_lost(struct scoreboard *sb, struct sb_record *r, struct sb_news *news)
{
    r->flags = (uint8_t)((r->flags | SB_LOST) & ~SB_RTX);
    sb->lost_bytes += r->len;
    news->lost_bytes += r->len;
}

/* Retransmissions in their order of sending. */
static uint64_t judge_again(struct scoreboard *sb, const struct rack *rack, uint64_t wait_ns,
                            struct sb_news *news, uint64_t now)
{
    struct sb_mark *m;

    for (; (m = queue_front(&sb->in_flight_again)); sb->in_flight_again.head++) {
        if (!is_live(sb, m->index))
            continue;
        struct sb_record *r = rec_at(sb, m->index);
        if (!(r->flags & SB_RTX) || (r->flags & SB_SACKED) || (uint32_t)r->sent_ns != m->stamp)
            continue;
        if (!rack_is_after(rack, r->sent_ns, r->seq + r->len))
            return 0;
        if (r->sent_ns + wait_ns > now)
            return r->sent_ns + wait_ns;
        if (!queue_push(&sb->again, *m))
            return 0;
        mark_lost(sb, r, news);
        news->lost_again++;
    }
    return 0;
}

/* What was sent once lies in the ring in its order of sending. */
static uint64_t judge_once(struct scoreboard *sb, const struct rack *rack, uint64_t wait_ns,
                           struct sb_news *news, uint64_t now)
{
    for (; sb->judged != sb->tail; sb->judged++) {
        struct sb_record *r = rec_at(sb, sb->judged);
        if (r->flags & (SB_SACKED | SB_LOST))
            continue;
        if (!rack_is_after(rack, r->sent_ns, r->seq + r->len))
            return 0;
        if (r->sent_ns + wait_ns > now)
            return r->sent_ns + wait_ns;
        mark_lost(sb, r, news);
        if (seq_lt(sb->judged, sb->cursor))
            sb->cursor = sb->judged;
    }
    return 0;
}

uint64_t sb_detect(struct scoreboard *sb, const struct rack *rack, uint64_t wait_ns, struct sb_news *news,
                   uint64_t now)
{
    uint64_t once = judge_once(sb, rack, wait_ns, news, now);
    uint64_t again = judge_again(sb, rack, wait_ns, news, now);

    return once && (!again || once < again) ? once : again;
}

bool sb_mark_tail_lost(struct scoreboard *sb)
{
    struct sb_news ignored = {0};

    if (sb->head == sb->tail || (rec_at(sb, sb->tail - 1)->flags & SB_SACKED))
        return false;
    if (!needs_rtx(rec_at(sb, sb->tail - 1)))
        mark_lost(sb, rec_at(sb, sb->tail - 1), &ignored);
    if (sb->lost_bytes == rec_at(sb, sb->tail - 1)->len)
        sb->cursor = sb->tail - 1;
    return true;
}

void sb_mark_head_lost(struct scoreboard *sb)
{
    struct sb_news ignored = {0};

    if (sb->head == sb->tail || needs_rtx(rec_at(sb, sb->head)) || (rec_at(sb, sb->head)->flags & SB_SACKED))
        return;
    mark_lost(sb, rec_at(sb, sb->head), &ignored);
    sb->cursor = sb->head;
}

bool sb_mark_all_lost(struct scoreboard *sb)
{
    bool reneged = sb->head != sb->tail && (rec_at(sb, sb->head)->flags & SB_SACKED);

    if (reneged) {
        seqset_clear(&sb->sacked);
        sb->sacked_bytes = sb->sacked_count = 0;
    }
    sb->lost_bytes = 0;
    for (uint32_t i = sb->head; i != sb->tail; i++) {
        struct sb_record *r = rec_at(sb, i);
        if (reneged)
            r->flags &= (uint8_t)~SB_SACKED;
        if (r->flags & SB_SACKED)
            continue;
        r->flags = (uint8_t)((r->flags | SB_LOST) & ~SB_RTX);
        sb->lost_bytes += r->len;
    }
    sb->in_flight_again.head = sb->in_flight_again.tail;
    sb->again.head = sb->again.tail;
    sb->cursor = sb->head;
    sb->judged = sb->tail;
    return reneged;
}

void sb_unmark_lost(struct scoreboard *sb)
{
    for (uint32_t i = sb->head; i != sb->tail && sb->lost_bytes; i++) {
        struct sb_record *r = rec_at(sb, i);
        if (!needs_rtx(r))
            continue;
        r->flags &= (uint8_t)~SB_LOST;
        sb->lost_bytes -= r->len;
    }
    sb->judged = sb->head;
}

/* Takes back the newest records, from seq on, when they were sent but once. */
static bool retract(struct scoreboard *sb, uint32_t first, uint32_t seq, uint32_t len)
{
    if (seq + len != sb->nxt || first == sb->tail || rec_at(sb, first)->seq != seq ||
        (rec_at(sb, first)->flags & ~SB_IDLE))
        return false;
    sb->tail = first;
    sb->nxt = seq;
    if (seq_gt(sb->judged, sb->tail))
        sb->judged = sb->tail;
    if (seq_gt(sb->cursor, sb->tail))
        sb->cursor = sb->tail;
    return true;
}

void sb_unsent(struct scoreboard *sb, uint32_t seq, uint32_t len)
{
    struct sb_news ignored = {0};
    uint32_t first = rec_find(sb, seq);

    if (retract(sb, first, seq, len))
        return;
    for (uint32_t i = first; i != sb->tail && seq_lt(rec_at(sb, i)->seq, seq + len); i++) {
        struct sb_record *r = rec_at(sb, i);
        if (!(r->flags & SB_SACKED) && !needs_rtx(r))
            mark_lost(sb, r, &ignored);
    }
    if (seq_lt(first, sb->cursor))
        sb->cursor = first;
}

int sb_resegment(struct scoreboard *sb, uint32_t mss)
{
    struct scoreboard n = *sb;
    uint32_t count = 0;

    for (uint32_t i = sb->head; i != sb->tail; i++)
        count += (rec_at(sb, i)->len + mss - 1) / mss;
    n.ring = NULL;
    n.cap = n.head = n.tail = n.sacked_count = 0;
    if (reserve(&n, count ? count : 1, SB_MAX_CUT))
        return -1;
    for (uint32_t i = sb->head; i != sb->tail; i++) {
        struct sb_record r = *rec_at(sb, i), part = r;
        for (uint32_t at = 0; at < r.len; at += part.len) {
            part.seq = r.seq + at;
            part.len = (uint16_t)(r.len - at < mss ? r.len - at : mss);
            n.sacked_count += !!(r.flags & SB_SACKED);
            *rec_at(&n, n.tail++) = part;
        }
    }
    free(sb->ring);
    /* Marks hold indexes of before: the timeout covers what they would have found. */
    n.in_flight_again.head = n.in_flight_again.tail;
    n.again.head = n.again.tail;
    n.cursor = n.judged = n.head;
    *sb = n;
    return 0;
}

/* ---- sending again ---- */

static bool next_index(struct scoreboard *sb, uint32_t *index)
{
    struct sb_mark *m;

    if (sb->lost_bytes == 0)
        return false;
    while ((m = queue_front(&sb->again))) {
        if (is_live(sb, m->index) && needs_rtx(rec_at(sb, m->index))) {
            *index = m->index;
            return true;
        }
        sb->again.head++;
    }
    while (sb->cursor != sb->tail && !needs_rtx(rec_at(sb, sb->cursor)))
        sb->cursor++;
    *index = sb->cursor;
    return sb->cursor != sb->tail;
}

uint32_t sb_next_rtx(struct scoreboard *sb, uint32_t mss, uint32_t max_bytes, uint32_t *seq)
{
    uint32_t i, bytes;

    if (!next_index(sb, &i))
        return 0;
    *seq = rec_at(sb, i)->seq;
    bytes = rec_at(sb, i)->len;
    for (; rec_at(sb, i)->len == mss && i + 1 != sb->tail; i++) {
        const struct sb_record *r = rec_at(sb, i + 1);
        if (!needs_rtx(r) || bytes + r->len > max_bytes || r->len > mss)
            break;
        bytes += r->len;
    }
    return bytes;
}

void sb_retransmitted(struct scoreboard *sb, uint32_t seq, uint32_t len, uint64_t now)
{
    struct stamp t = stamp_now(sb, now);

    for (uint32_t i = rec_find(sb, seq); i != sb->tail && seq_lt(rec_at(sb, i)->seq, seq + len); i++) {
        struct sb_record *r = rec_at(sb, i);
        if (!needs_rtx(r))
            continue;
        stamp_put(r, &t);
        r->flags = (uint8_t)(t.flags | (r->flags & ~SB_IDLE) | SB_RTX | SB_EVER_RTX);
        sb->lost_bytes -= r->len;
        queue_push(&sb->in_flight_again, (struct sb_mark){i, (uint32_t)t.sent_ns});
    }
}

/* ---- delivery rate ---- */

void sb_note_idle(struct scoreboard *sb)
{
    sb->rate.idle_until = sb->rate.delivered_bytes + sb_pipe(sb);
    if (!sb->rate.idle_until)
        sb->rate.idle_until = 1;
}

void sb_sample(struct scoreboard *sb, const struct sb_news *news, struct rate_sample *out, uint64_t now)
{
    const struct sb_record *r = news->once;

    if (!r || (news->again && news->again->sent_ns > r->sent_ns))
        r = news->again;
    struct rate_then then = {0};
    if (r)
        then = (struct rate_then){.sent_ns = r->sent_ns,
                                  .delivered = r->delivered,
                                  .since_delivered_ns = (uint64_t)r->since_delivered * SB_TICK_NS,
                                  .since_first_ns = (uint64_t)r->since_first * SB_TICK_NS,
                                  .is_idle = r->flags & SB_IDLE};
    rate_take_sample(&sb->rate, r ? &then : NULL, news->delivered_bytes, out, now);
}
