#include "tcp/recvq.h"

#include <assert.h>
#include <stdlib.h>

#define RANGES_FIRST_CAP 8
#define LATE_LEAST       4096 /* shorter runs are worth joining in a block, whoever reads them */
#define KEEP_DIVISOR     4 /* a lent buffer is kept if at least this part of it is payload, else copied */

/* ---- pieces and chains ---- */

static void piece_free(struct recvq *q, struct rx_piece *pc)
{
    list_del(&pc->late);
    rxpool_uncharge(q->pool, pc->charge_bytes);
    buf_unref(pc->buf);
    slab_put(&q->pool->pieces, pc);
}

static void chain_free(struct recvq *q, struct rx_chain *c)
{
    while (c->first) {
        struct rx_piece *pc = c->first;
        c->first = pc->next;
        piece_free(q, pc);
    }
    c->last = NULL;
}

static void chain_join(struct rx_chain *a, const struct rx_chain *b)
{
    if (!b->first)
        return;
    if (a->last)
        a->last->next = b->first;
    else
        a->first = b->first;
    a->last = b->last;
}

/* Charged for itself too, or a peer could make its bytes arrive in so many pieces that these are what costs. NULL: the
 * pool or the heap refuses. */
static struct rx_piece *piece_new(struct recvq *q, struct buf *b, struct slice data, uint32_t buf_bytes,
                                  bool is_ooo)
{
    uint32_t charge = buf_bytes + (uint32_t)sizeof(struct rx_piece);

    if (!rxpool_charge(q->pool, charge, is_ooo))
        return NULL;
    struct rx_piece *pc = slab_get(&q->pool->pieces);
    if (pc)
        *pc = (struct rx_piece){
            .buf = buf_ref(b), .p = data.p, .len = (uint32_t)data.len, .charge_bytes = charge};
    else
        rxpool_uncharge(q->pool, charge);
    return pc;
}

static bool is_worth_keeping(const struct buf *lent, size_t len)
{
    return lent && len * KEEP_DIVISOR >= lent->cap;
}

/* Appends data to the chain by reference: false when the pool refuses. */
static bool chain_keep(struct recvq *q, struct rx_chain *c, struct slice data, struct buf *lent, bool is_ooo)
{
    struct rx_piece *pc = piece_new(q, lent, data, lent->cap, is_ooo);

    if (pc)
        chain_join(c, &(struct rx_chain){pc, pc});
    return pc;
}

/* The block copies go to, with room. */
static struct buf *copy_block(struct recvq *q, bool is_ooo)
{
    struct buf **at = is_ooo ? &q->ooo_block : &q->ready_block;

    if (*at && (*at)->len < (*at)->cap)
        return *at;
    struct buf *b = rxpool_block(q->pool, is_ooo);
    if (!b)
        return NULL;
    buf_unref(*at);
    return *at = b;
}

/* data is to be at `to` of block b, at the end of the chain: joins the last piece, or becomes one. */
static bool chain_place(struct recvq *q, struct rx_chain *c, struct buf *b, uint8_t *to, struct slice data, bool is_late, bool is_ooo)
{
    struct rx_piece *last = c->last, *pc;

    if (!is_late && last && last->buf == b && last->p + last->len == to) {
        last->len += (uint32_t)data.len;
    } else {
        pc = piece_new(q, b, is_late ? data : slice_of(to, data.len), 0, is_ooo);
        if (!pc)
            return false;
        chain_join(c, &(struct rx_chain){pc, pc});
        if (is_late) {
            pc->place = to;
            list_push_back(&q->pool->late, &pc->late);
            return true;
        }
    }
    memcpy(to, data.p, data.len);
    return true;
}

/* Appends a copy of data; returns the bytes that found room. */
static uint32_t chain_copy(struct recvq *q, struct rx_chain *c, struct slice data, bool is_ooo)
{
    bool is_late = q->pool->is_unread || (q->pool->may_be_late && !is_ooo && data.len >= LATE_LEAST);
    uint32_t done = 0;

    while (done < data.len) {
        struct buf *b = copy_block(q, is_ooo);
        if (!b)
            break;
        uint8_t *to = b->data + b->len;
        uint32_t n = (uint32_t)(data.len - done < b->cap - b->len ? data.len - done : b->cap - b->len);
        if (!chain_place(q, c, b, to, slice_of(data.p + done, n), is_late, is_ooo))
            break;
        b->len += n;
        done += n;
    }
    return done;
}

/* Returns the bytes kept: all of data, or the first part of it. */
static uint32_t chain_append(struct recvq *q, struct rx_chain *c, struct slice data, struct buf *lent,
                             bool is_ooo)
{
    if (is_worth_keeping(lent, data.len) && chain_keep(q, c, data, lent, is_ooo))
        return (uint32_t)data.len;
    return chain_copy(q, c, data, is_ooo);
}

/* ---- ranges beyond a hole ---- */

/* The first range that ends at or above seq. */
static uint32_t range_find(const struct recvq *q, uint32_t seq)
{
    uint32_t a = 0, b = q->range_count;

    while (a < b) {
        uint32_t m = (a + b) / 2;
        if (seq_geq(q->range[m].hi, seq))
            b = m;
        else
            a = m + 1;
    }
    return a;
}

static int range_reserve(struct recvq *q)
{
    if (q->range_count < q->range_cap)
        return 0;
    if (q->range_count >= RECVQ_MAX_RANGES)
        return -1;
    uint32_t cap = q->range_cap ? q->range_cap * 2 : RANGES_FIRST_CAP;
    struct rx_range *r = realloc(q->range, cap * sizeof(*r));
    if (!r)
        return -1;
    q->range = r;
    q->range_cap = cap;
    return 0;
}

static void range_remove(struct recvq *q, uint32_t i)
{
    memmove(&q->range[i], &q->range[i + 1], (q->range_count - i - 1) * sizeof(*q->range));
    q->range_count--;
}

/* Range i grew upwards: joins the next one when they touch. */
static void range_join_next(struct recvq *q, uint32_t i)
{
    if (i + 1 >= q->range_count || q->range[i].hi != q->range[i + 1].lo)
        return;
    chain_join(&q->range[i].chain, &q->range[i + 1].chain);
    q->range[i].hi = q->range[i + 1].hi;
    range_remove(q, i + 1);
}

static uint32_t chain_count(const struct rx_chain *c, const struct rx_piece *after)
{
    uint32_t n = 0;

    for (const struct rx_piece *pc = after ? after->next : c->first; pc; pc = pc->next)
        n++;
    return n;
}

/* data lies in the hole before range i and may touch the range before it (i - 1, when is_touching) and range i.
 * Returns the bytes kept. */
static uint32_t fill_gap(struct recvq *q, uint32_t i, bool is_touching, uint32_t seq, struct slice data,
                         struct buf *lent)
{
    struct rx_chain made = {0};
    struct rx_chain *c = is_touching ? &q->range[i - 1].chain : &made;
    struct rx_piece *before = c->last;
    uint32_t kept = chain_append(q, c, data, lent, true);

    if (kept == 0)
        return 0;
    q->ooo_pieces += chain_count(c, before);
    if (is_touching) {
        i--;
        q->range[i].hi += kept;
    } else if (kept == data.len && i < q->range_count && q->range[i].lo == seq + kept) {
        chain_join(&made, &q->range[i].chain);
        q->range[i].chain = made;
        q->range[i].lo = seq;
    } else {
        memmove(&q->range[i + 1], &q->range[i], (q->range_count - i) * sizeof(*q->range));
        q->range_count++;
        q->range[i] = (struct rx_range){seq, seq + kept, made};
    }
    range_join_next(q, i);
    return kept;
}

/* Drops those of the recent that lie in [lo, hi). */
static void forget_recent(struct recvq *q, uint32_t lo, uint32_t hi)
{
    uint32_t n = 0, untold = 0;

    for (uint32_t i = 0; i < q->recent_count; i++) {
        if (seq_geq(q->recent[i], lo) && seq_lt(q->recent[i], hi))
            continue;
        untold += i < q->untold;
        q->recent[n++] = q->recent[i];
    }
    q->recent_count = n;
    q->untold = untold;
}

/* seq's range changed: it comes first among the recent ones, and only once. */
static void note_recent(struct recvq *q, uint32_t seq)
{
    const struct rx_range *r = &q->range[range_find(q, seq + 1)];

    forget_recent(q, r->lo, r->hi);
    if (q->recent_count == RECVQ_RECENT)
        q->recent_count--;
    memmove(q->recent + 1, q->recent, q->recent_count * sizeof(*q->recent));
    q->recent[0] = seq;
    q->recent_count++;
    q->untold += q->untold < q->recent_count;
}

static void note_duplicate(struct recvq *q, uint32_t lo, uint32_t hi, uint32_t *dup_bytes)
{
    *dup_bytes += hi - lo;
    q->dsack = (struct seq_range){lo, hi};
}

static enum recvq_result insert_ooo(struct recvq *q, uint32_t seq, struct slice data, struct buf *lent,
                                    uint32_t *dup_bytes)
{
    uint32_t lo = seq, hi = seq + (uint32_t)data.len;

    while (seq_lt(lo, hi)) {
        uint32_t i = range_find(q, lo);
        if (i < q->range_count && seq_leq(q->range[i].lo, lo) && seq_gt(q->range[i].hi, lo)) {
            uint32_t end = seq_min(hi, q->range[i].hi);
            note_duplicate(q, lo, end, dup_bytes);
            lo = end;
            continue;
        }
        bool is_touching = i < q->range_count && q->range[i].hi == lo;
        if (is_touching)
            i++;
        if (q->ooo_pieces >= RECVQ_MAX_PIECES || range_reserve(q))
            return RECVQ_NO_ROOM;
        uint32_t end = i < q->range_count ? seq_min(hi, q->range[i].lo) : hi;
        uint32_t kept = fill_gap(q, i, is_touching, lo, (struct slice){data.p + (lo - seq), end - lo}, lent);
        if (kept == 0)
            return RECVQ_NO_MEMORY;
        note_recent(q, lo);
        lo += kept;
    }
    return RECVQ_OUT_OF_ORDER;
}

/* ---- in order ---- */

/* Drops the first n bytes of a chain. */
static void chain_cut(struct recvq *q, struct rx_chain *c, uint32_t n, uint32_t *pieces_freed)
{
    while (n) {
        struct rx_piece *pc = c->first;
        if (pc->len > n) {
            pc->p += n;
            pc->len -= n;
            if (list_is_linked(&pc->late))
                pc->place += n;
            return;
        }
        n -= pc->len;
        c->first = pc->next;
        if (!c->first)
            c->last = NULL;
        piece_free(q, pc);
        (*pieces_freed)++;
    }
}

/* nxt moved: what lay beyond the hole and is now reached becomes readable; what came again just now stays as it came now. */
static void take_reached(struct recvq *q, uint32_t *dup_bytes)
{
    uint32_t done = 0, ignored = 0, first;

    if (!q->range_count || seq_gt(q->range[0].lo, q->nxt))
        return;
    first = q->range[0].lo;
    while (done < q->range_count && seq_leq(q->range[done].lo, q->nxt)) {
        struct rx_range *r = &q->range[done++];
        q->ooo_pieces -= chain_count(&r->chain, NULL);
        uint32_t old = seq_min(q->nxt, r->hi) - r->lo;
        chain_cut(q, &r->chain, old, &ignored);
        if (old)
            note_duplicate(q, r->lo, r->lo + old, dup_bytes);
        q->unread_bytes += r->hi - r->lo - old;
        chain_join(&q->ready, &r->chain);
        q->nxt = seq_max(q->nxt, r->hi);
    }
    forget_recent(q, first, q->nxt);
    memmove(q->range, &q->range[done], (q->range_count - done) * sizeof(*q->range));
    q->range_count -= done;
    if (q->range_count == 0) {
        buf_unref(q->ooo_block);
        q->ooo_block = NULL;
    }
}

enum recvq_result recvq_insert(struct recvq *q, uint32_t seq, struct slice data, struct buf *lent,
                               uint32_t *dup_bytes)
{
    uint32_t hi = seq + (uint32_t)data.len;

    if (seq_lt(seq, q->nxt)) {
        uint32_t old = seq_min(q->nxt, hi) - seq;
        note_duplicate(q, seq, seq + old, dup_bytes);
        seq += old;
        data.p += old;
        data.len -= old;
        if (data.len == 0)
            return RECVQ_OUT_OF_ORDER;
    }
    if (seq != q->nxt)
        return insert_ooo(q, seq, data, lent, dup_bytes);
    uint32_t kept = chain_append(q, &q->ready, data, lent, false);
    if (kept == 0)
        return RECVQ_NO_MEMORY;
    q->nxt += kept;
    q->unread_bytes += kept;
    take_reached(q, dup_bytes);
    return RECVQ_IN_ORDER;
}

void recvq_note_old(struct recvq *q, uint32_t lo, uint32_t hi)
{
    if (seq_lt(lo, hi) && seq_leq(hi, q->nxt))
        q->dsack = (struct seq_range){lo, hi};
}

unsigned recvq_peek(const struct recvq *q, struct slice *out, unsigned n)
{
    unsigned count = 0;

    for (const struct rx_piece *pc = q->ready.first; pc && count < n; pc = pc->next)
        out[count++] = (struct slice){pc->p, pc->len};
    return count;
}

void recvq_consume(struct recvq *q, uint32_t n)
{
    uint32_t ignored = 0;

    assert(n <= q->unread_bytes);
    q->unread_bytes -= n;
    chain_cut(q, &q->ready, n, &ignored);
    if (q->unread_bytes)
        return;
    /* Idle connections hold no block. */
    buf_unref(q->ready_block);
    q->ready_block = NULL;
}

void recvq_skip_fin(struct recvq *q)
{
    q->nxt++;
}

/* ---- SACK ---- */

/* The block of the range that holds seq, which need not be there, unless it stands among out[from, count). */
static unsigned put_block(const struct recvq *q, struct seq_range *out, unsigned from, unsigned count, uint32_t seq)
{
    uint32_t i = range_find(q, seq + 1);

    if (i == q->range_count || seq_gt(q->range[i].lo, seq))
        return count;
    for (unsigned k = from; k < count; k++)
        if (out[k].lo == q->range[i].lo)
            return count;
    out[count] = (struct seq_range){q->range[i].lo, q->range[i].hi};
    return count + 1;
}

unsigned recvq_sacks(struct recvq *q, struct seq_range *out, unsigned n)
{
    uint32_t first_recent = q->untold ? q->untold - 1 : 0;
    unsigned count = 0, first;

    if (q->dsack.lo != q->dsack.hi && n) {
        out[count++] = q->dsack;
        q->dsack.lo = q->dsack.hi;
    }
    first = count;
    if (first && count < n) /* what came twice beyond a hole, then the block it is part of (RFC 2883 4) */
        count = put_block(q, out, first, count, out[0].lo);
    for (uint32_t k = first_recent; k < q->recent_count && count < n; k++)
        count = put_block(q, out, first, count, q->recent[k]);
    q->untold = first_recent;
    return count;
}

void recvq_init(struct recvq *q, struct rxpool *pool, uint32_t nxt)
{
    *q = (struct recvq){.pool = pool, .nxt = nxt};
}

void recvq_fini(struct recvq *q)
{
    chain_free(q, &q->ready);
    for (uint32_t i = 0; i < q->range_count; i++)
        chain_free(q, &q->range[i].chain);
    free(q->range);
    buf_unref(q->ready_block);
    buf_unref(q->ooo_block);
    recvq_init(q, q->pool, q->nxt);
}
