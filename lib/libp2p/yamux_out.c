/* yamux_out.c: frames out. */
#include "libp2p/yamux.h"

#include <assert.h>

#include "libp2p/yamux_pvt.h"

/* Little pieces are cheaper to copy together than to hand to the cipher one by one. */
#define SMALL_PIECE_BYTES 128
/* While several streams have data, each gets this much of a run in turn. */
#define QUANTUM_BYTES (16u * 1024)

void yamux_gather_begin(struct yamux_gather *g, size_t max_bytes)
{
    g->npieces = g->ndone = g->nsmall = 0;
    g->bytes = 0;
    g->max_bytes = max_bytes;
}

void yamux_gather_end(struct yamux_gather *g)
{
    for (uint32_t i = 0; i < g->ndone; i++)
        buf_unref(g->done[i]);
    g->ndone = 0;
}

static size_t room_of(const struct yamux_gather *g)
{
    return g->max_bytes - g->bytes;
}

/* n bytes of g->small as the next piece, joined to the one before when that is its neighbour. NULL: full. */
static uint8_t *add_small(struct yamux_gather *g, uint32_t n)
{
    uint8_t *p = g->small + g->nsmall;
    struct slice *last = g->npieces ? &g->pieces[g->npieces - 1] : NULL;
    bool is_joined = last && last->p + last->len == p;

    if (n > room_of(g) || n > YAMUX_SMALL_MAX - g->nsmall || (!is_joined && g->npieces == YAMUX_PIECES_MAX))
        return NULL;
    if (is_joined)
        last->len += n;
    else
        g->pieces[g->npieces++] = slice_of(p, n);
    g->nsmall += n;
    g->bytes += n;
    return p;
}

void yamux_gather_copy(struct yamux_gather *g, struct slice s)
{
    uint8_t *p = add_small(g, (uint32_t)s.len);

    assert(p && s.len <= YAMUX_SMALL_MAX / 2);
    memcpy(p, s.p, s.len);
}

static bool put_head(struct yamux *y, struct yamux_gather *g, enum yamux_type type, unsigned flags, uint32_t stream,
                     uint32_t length)
{
    uint8_t *p = add_small(g, YAMUX_HEAD_BYTES);

    if (!p)
        return false;
    yamux_head_encode(p, type, flags, stream, length);
    y->counters.frames_out++;
    return true;
}

/* Goodbye that does not wait: the only word left. */
static bool is_cut(const struct yamux *y)
{
    return y->has_sent_goaway || (y->owes_goaway && !y->is_polite);
}

static bool is_goaway_due(const struct yamux *y)
{
    return y->owes_goaway && !y->has_sent_goaway &&
           (!y->is_polite || (!y->queued_bytes && list_is_empty(&y->control)));
}

static void put_goaway(struct yamux *y, struct yamux_gather *g)
{
    if (is_goaway_due(y) && put_head(y, g, YAMUX_GOAWAY, 0, 0, y->goaway_code)) {
        y->has_sent_goaway = true;
        y->owes_goaway = false;
    }
}

static void put_session(struct yamux *y, struct yamux_gather *g, uint64_t now)
{
    uint32_t n = 0;

    while (n < y->npongs && put_head(y, g, YAMUX_PING, YAMUX_ACK, 0, y->pongs[n]))
        n++;
    y->npongs -= n;
    memmove(y->pongs, y->pongs + n, y->npongs * sizeof(y->pongs[0]));
    if (y->owes_ping && put_head(y, g, YAMUX_PING, YAMUX_SYN, 0, y->ping_value)) {
        y->owes_ping = false;
        y->ping_sent_ns = now;
    }
    for (n = 0; n < y->nresets && put_head(y, g, YAMUX_WINDOW, YAMUX_RST, y->resets[n], 0); n++)
        ;
    y->nresets -= n;
    if (y->nresets)
        memmove(y->resets, y->resets + n, y->nresets * sizeof(y->resets[0]));
}

/* SYN or ACK go with credit, in a WindowUpdate as go and js do. */
static bool put_window(struct yamux *y, struct yamux_gather *g, struct yamux_stream *st, uint64_t now)
{
    unsigned flags = (st->owes_syn ? YAMUX_SYN : 0) | (st->owes_ack ? YAMUX_ACK : 0);
    uint32_t delta;

    if (!flags && !st->owes_window)
        return true;
    if (room_of(g) < YAMUX_HEAD_BYTES || YAMUX_SMALL_MAX - g->nsmall < YAMUX_HEAD_BYTES)
        return false;
    delta = st->owes_syn ? 0 : yamux_window_grant(&st->window, y->cfg.window_cap_bytes, y->rtt_ns, now);
    if ((flags || delta) && !put_head(y, g, YAMUX_WINDOW, flags, st->id, delta)) {
        st->window.left -= delta; /* no piece left for it: as if not granted */
        st->window.consumed += delta;
        return false;
    }
    st->owes_syn = st->owes_ack = st->owes_window = false;
    return true;
}

static bool put_fin(struct yamux *y, struct yamux_gather *g, struct yamux_stream *st)
{
    if (!st->owes_fin || st->queue.bytes)
        return true;
    if (!put_head(y, g, YAMUX_WINDOW, YAMUX_FIN, st->id, 0))
        return false;
    st->owes_fin = false;
    st->has_sent_fin = true;
    if (st->has_got_fin && !list_is_linked(&st->over))
        list_push_back(&y->over, &st->over);
    return true;
}

static void put_control(struct yamux *y, struct yamux_gather *g, uint64_t now)
{
    while (!list_is_empty(&y->control)) {
        struct yamux_stream *st = CONTAINER_OF(y->control.next, struct yamux_stream, control);
        bool is_all = put_window(y, g, st, now) && put_fin(y, g, st);
        if (!is_all)
            return;
        yamux_stream_touch(y, st);
    }
}

/* Up to n bytes of the stream's queue as pieces; returns how many. */
static uint32_t put_body(struct yamux_gather *g, struct sendq *q, uint32_t n)
{
    uint32_t put = 0;

    while (put < n && g->ndone < YAMUX_PIECES_MAX) {
        struct slice s = p2p_sendq_front(q);
        uint8_t *p;

        if (s.len > n - put)
            s.len = n - put;
        if (s.len < SMALL_PIECE_BYTES && (p = add_small(g, (uint32_t)s.len))) {
            memcpy(p, s.p, s.len);
        } else if (g->npieces < YAMUX_PIECES_MAX) {
            g->pieces[g->npieces++] = s;
            g->bytes += s.len;
        } else {
            break;
        }
        put += (uint32_t)s.len;
        struct buf *b = p2p_sendq_consume(q, (uint32_t)s.len);
        if (b)
            g->done[g->ndone++] = b;
    }
    return put;
}

/* One Data frame of st. False: no room for any. */
static bool put_data(struct yamux *y, struct yamux_gather *g, struct yamux_stream *st, uint32_t quantum)
{
    size_t room = room_of(g), n = st->queue.bytes;
    uint32_t put;
    uint8_t *head;

    if (room <= YAMUX_HEAD_BYTES || g->ndone == YAMUX_PIECES_MAX || g->npieces + 2 > YAMUX_PIECES_MAX)
        return false;
    if (!(head = add_small(g, YAMUX_HEAD_BYTES)))
        return false;
    n = n < st->credit ? n : (size_t)st->credit;
    n = n < quantum ? n : quantum;
    n = n < room - YAMUX_HEAD_BYTES ? n : room - YAMUX_HEAD_BYTES;
    put = put_body(g, &st->queue, (uint32_t)n);
    yamux_head_encode(head, YAMUX_DATA, 0, st->id, put);
    y->counters.frames_out++;
    st->credit -= put;
    y->queued_bytes -= put;
    return true;
}

static void put_streams(struct yamux *y, struct yamux_gather *g)
{
    while (!list_is_empty(&y->ready)) {
        struct list *first = y->ready.next;
        struct yamux_stream *st = CONTAINER_OF(first, struct yamux_stream, ready);
        bool is_alone = first->next == &y->ready;

        if (!put_data(y, g, st, is_alone ? UINT32_MAX : QUANTUM_BYTES))
            return;
        list_del(first); /* to the back of the turn, if it has more */
        yamux_stream_touch(y, st);
    }
}

void yamux_gather(struct yamux *y, struct yamux_gather *g, uint64_t now)
{
    if (is_cut(y)) {
        put_goaway(y, g);
        return;
    }
    put_session(y, g, now);
    put_control(y, g, now);
    if (list_is_empty(&y->control)) /* a SYN goes before its data */
        put_streams(y, g);
    put_control(y, g, now); /* FINs that were waiting for that data */
    put_goaway(y, g);
}

bool yamux_has_output(const struct yamux *y)
{
    if (is_cut(y))
        return is_goaway_due(y);
    return y->npongs || y->owes_ping || y->nresets || !list_is_empty(&y->control) || !list_is_empty(&y->ready) ||
           is_goaway_due(y);
}
