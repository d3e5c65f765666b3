#include "pubsub/outq.h"

#include <assert.h>
#include <stdlib.h>

#include "base/pb.h"
#include "pubsub/pubsub_wire.h"

void outq_init(struct outq *q)
{
    *q = (struct outq){0};
}

static void unit_release(struct outq_unit *u)
{
    for (uint32_t i = 0; i < u->npieces; i++)
        buf_unref(u->pieces[i].buf);
}

void outq_fini(struct outq *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        unit_release(&q->units[q->head + i]);
    list_del(&q->node);
    free(q->units);
    free(q->subs.p);
    free(q->control.p);
    free(q->arena.p);
    *q = (struct outq){0};
}

static bool reserve(struct outq_bytes *b, size_t n)
{
    size_t want = (size_t)b->len + n, cap = b->cap ? b->cap : 256;

    if (want <= b->cap)
        return true;
    while (cap < want)
        cap *= 2;
    uint8_t *p = cap > UINT32_MAX ? NULL : realloc(b->p, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = (uint32_t)cap;
    return true;
}

static struct wr room(struct outq_bytes *b, size_t n)
{
    if (!reserve(b, n))
        return (struct wr){.bad = true};
    return wr_of(b->p + b->len, b->cap - b->len);
}

static void commit(struct outq_bytes *b, const struct wr *w)
{
    if (!w->bad)
        b->len += (uint32_t)w->len;
}

struct wr outq_subs(struct outq *q, size_t n)
{
    return room(&q->subs, n);
}

void outq_subs_commit(struct outq *q, const struct wr *w)
{
    commit(&q->subs, w);
}

struct wr outq_control(struct outq *q, size_t n)
{
    return room(&q->control, n);
}

void outq_control_commit(struct outq *q, const struct wr *w)
{
    commit(&q->control, w);
}

/* A free unit at the tail; count is not raised yet. */
static struct outq_unit *unit_room(struct outq *q)
{
    if (q->head + q->count == q->cap) {
        if (q->head) {
            memmove(q->units, q->units + q->head, q->count * sizeof(*q->units));
            q->head = 0;
        } else {
            uint32_t cap = q->cap ? q->cap * 2 : 8;
            struct outq_unit *u = realloc(q->units, cap * sizeof(*u));
            if (!u)
                return NULL;
            q->units = u;
            q->cap = cap;
        }
    }
    return &q->units[q->head + q->count];
}

int outq_push(struct outq *q, const struct pubsub_piece *pieces, unsigned n)
{
    struct outq_unit *u = unit_room(q);

    assert(n <= OUTQ_UNIT_PIECES);
    if (!u)
        return -1;
    *u = (struct outq_unit){.npieces = n};
    for (unsigned i = 0; i < n; i++) {
        u->pieces[i] = pieces[i];
        u->len += pieces[i].len;
    }
    if (!u->len) /* nothing would come out for it */
        return 0;
    for (unsigned i = 0; i < n; i++)
        buf_ref(pieces[i].buf);
    q->count++;
    q->unit_bytes += u->len;
    return 0;
}

int outq_push_bytes(struct outq *q, struct slice head, struct buf *body, uint32_t off, uint32_t len)
{
    struct outq_unit *u = unit_room(q);

    if (!u || !reserve(&q->arena, head.len))
        return -1;
    if (!head.len && !(body && len))
        return 0;
    *u = (struct outq_unit){.npieces = body ? 2 : 1, .len = (uint32_t)head.len + (body ? len : 0)};
    u->pieces[0] = (struct pubsub_piece){NULL, q->arena.len, (uint32_t)head.len};
    if (head.len)
        memcpy(q->arena.p + q->arena.len, head.p, head.len);
    q->arena.len += (uint32_t)head.len;
    if (body)
        u->pieces[1] = (struct pubsub_piece){buf_ref(body), off, len};
    q->count++;
    q->unit_bytes += u->len;
    return 0;
}

/* What one RPC will hold. */
struct plan {
    uint32_t subs, control, units; /* bytes of each, count of units */
    uint32_t pieces, copied;       /* pieces used, bytes that must be copied */
    uint64_t total;
    bool is_open;                  /* the last piece is one that we copy into */
};

static bool is_copied(const struct pubsub_piece *p)
{
    return !p->buf || p->len <= OUTQ_COPY_BYTES;
}

/* Whole fields from [p, p+len) that fit in room bytes; at least one. */
static uint32_t fields_fit(const uint8_t *p, uint32_t len, uint64_t room)
{
    struct rd rd = rd_of(slice_of(p, len));
    struct pb_field f;
    uint32_t used = 0;

    if (len <= room)
        return len;
    while (pb_next(&rd, &f) > 0) {
        uint32_t end = (uint32_t)(rd.p - p);
        if (used && end > room)
            break;
        used = end;
    }
    return used;
}

/* The same of control entries, and no second IWANT when they are to go apart. */
static uint32_t control_fit(const struct outq *q, uint64_t room)
{
    struct slice all = slice_of(q->control.p + q->control_at, q->control.len - q->control_at);
    uint32_t fit = fields_fit(all.p, (uint32_t)all.len, room), iwants = 0, used = 0;
    struct rd rd = rd_of(slice_of(all.p, fit));
    struct pb_field f;

    if (!q->is_iwant_apart)
        return fit;
    while (pb_next(&rd, &f) > 0) {
        iwants += f.number == CONTROL_F_IWANT;
        if (iwants > 1)
            return used;
        used = (uint32_t)(rd.p - all.p);
    }
    return fit;
}

static void plan_copy(struct plan *pl, uint32_t len)
{
    pl->copied += len;
    pl->total += len;
    if (!pl->is_open)
        pl->pieces++;
    pl->is_open = true;
}

static bool plan_unit(struct plan *pl, const struct outq_unit *u)
{
    struct plan next = *pl;

    for (uint32_t i = 0; i < u->npieces; i++) {
        if (is_copied(&u->pieces[i])) {
            plan_copy(&next, u->pieces[i].len);
        } else {
            next.pieces++;
            next.total += u->pieces[i].len;
            next.is_open = false;
        }
    }
    if (next.pieces > PUBSUB_MAX_PIECES || ((pl->total || pl->units) && next.total > OUTQ_JOIN_BYTES))
        return false;
    next.units++;
    *pl = next;
    return true;
}

static struct plan plan_rpc(const struct outq *q)
{
    struct plan pl = {0};
    uint32_t control = q->control.len - q->control_at;

    if (q->lead) {
        pl.subs = q->lead;
        plan_copy(&pl, pl.subs);
        return pl;
    }
    if (q->subs.len) {
        pl.subs = fields_fit(q->subs.p, q->subs.len, OUTQ_RPC_BYTES);
        plan_copy(&pl, pl.subs);
    }
    if (control && pl.subs == q->subs.len && pl.total < OUTQ_RPC_BYTES) {
        pl.control = control_fit(q, OUTQ_RPC_BYTES - pl.total);
        plan_copy(&pl, 1 + uvarint_size(pl.control) + pl.control);
    }
    if (pl.subs == q->subs.len && pl.control == control)
        while (pl.units < q->count && plan_unit(&pl, &q->units[q->head + pl.units]))
            ;
    return pl;
}

/* Fills out in order: copied bytes go into one buffer, whose runs between referenced pieces are pieces of it. */
struct filler {
    struct wr w;
    struct buf *buf;
    struct pubsub_piece *out;
    unsigned n;
    size_t run; /* where the open run began */
};

static void close_run(struct filler *f)
{
    if (f->w.len > f->run)
        f->out[f->n++] = (struct pubsub_piece){buf_ref(f->buf), (uint32_t)f->run, (uint32_t)(f->w.len - f->run)};
    f->run = f->w.len;
}

static void fill_unit(struct filler *f, const struct outq *q, struct outq_unit *u)
{
    for (uint32_t i = 0; i < u->npieces; i++) {
        struct pubsub_piece *p = &u->pieces[i];
        if (!p->buf) {
            wr_slice(&f->w, p->len ? slice_of(q->arena.p + p->off, p->len) : (struct slice){0});
        } else if (is_copied(p)) {
            wr_bytes(&f->w, p->buf->data + p->off, p->len);
            buf_unref(p->buf);
        } else {
            close_run(f);
            f->out[f->n++] = *p; /* the unit's reference passes on */
        }
    }
}

static void drop_sent_subs(struct outq *q, uint32_t n)
{
    if (n && n < q->subs.len)
        memmove(q->subs.p, q->subs.p + n, q->subs.len - n);
    q->subs.len -= n;
    q->lead = 0;
}

unsigned outq_next(struct outq *q, struct buf *(*alloc)(void *ctx, uint32_t cap), void *ctx,
                   struct pubsub_piece out[PUBSUB_MAX_PIECES], uint64_t *bytes)
{
    struct plan pl = plan_rpc(q);
    struct filler f = {.out = out};

    if (!pl.total && !pl.units)
        return 0;
    if (pl.copied) {
        f.buf = alloc(ctx, pl.copied);
        if (!f.buf)
            return 0;
        f.w = wr_of(f.buf->data, pl.copied);
    }
    if (pl.subs)
        wr_bytes(&f.w, q->subs.p, pl.subs);
    if (pl.control) {
        pb_put_head(&f.w, RPC_F_CONTROL, pl.control);
        wr_bytes(&f.w, q->control.p + q->control_at, pl.control);
    }
    for (uint32_t i = 0; i < pl.units; i++) {
        q->unit_bytes -= q->units[q->head].len;
        fill_unit(&f, q, &q->units[q->head++]);
        q->count--;
    }
    if (f.buf) {
        assert(!f.w.bad && f.w.len == pl.copied);
        f.buf->len = (uint32_t)f.w.len;
        close_run(&f);
        buf_unref(f.buf);
    }
    drop_sent_subs(q, pl.subs);
    q->control_at += pl.control;
    if (q->control_at == q->control.len)
        q->control_at = q->control.len = 0;
    if (!q->count)
        q->head = q->arena.len = 0;
    *bytes = pl.total;
    return f.n;
}
