/* yamux_in.c: frames in.
 *
 *     frame          stream known             unknown, SYN             unknown
 *     Data           body, FIN, RST           open or refuse, body     drain
 *     WindowUpdate   credit, FIN, RST         open or refuse, credit   ignore
 *     Ping           SYN: answer; ACK: round trip; neither: ignore
 *     GoAway         no new streams
 */
#include "libp2p/yamux.h"

#include "libp2p/yamux_pvt.h"

static struct slice take(struct slice *in, size_t n)
{
    struct slice s = {in->p, n < in->len ? n : in->len};

    if (s.len) { /* in->p may be NULL */
        in->p += s.len;
        in->len -= s.len;
    }
    return s;
}

/* True once the header is whole. */
static bool read_head(struct yamux *y, struct slice *in)
{
    struct slice s = take(in, YAMUX_HEAD_BYTES - y->head_have);

    if (s.len)
        memcpy(y->head + y->head_have, s.p, s.len);
    y->head_have += (uint8_t)s.len;
    return y->head_have == YAMUX_HEAD_BYTES;
}

static int check_head(const struct yamux *y, const struct yamux_head *h)
{
    if (h->version != YAMUX_VERSION)
        return -YAMUX_EVERSION;
    if (h->type > YAMUX_GOAWAY)
        return -YAMUX_ETYPE;
    if (h->type > YAMUX_WINDOW)
        return 0;
    if (h->stream == 0)
        return -YAMUX_ESTREAM;
    if (h->type == YAMUX_DATA && h->length > y->cfg.window_cap_bytes)
        return -YAMUX_ELENGTH;
    return 0;
}

static int ping_received(struct yamux *y, const struct yamux_head *h, struct yamux_event *ev, uint64_t now)
{
    uint64_t rtt = now - y->ping_sent_ns;

    if (h->flags & YAMUX_SYN) {
        if (y->npongs < YAMUX_PONGS_MAX)
            y->pongs[y->npongs++] = h->length;
        else
            y->counters.pongs_dropped++;
        return 0;
    }
    if (!(h->flags & YAMUX_ACK) || !y->is_ping_out || y->owes_ping || h->length != y->ping_value) {
        y->counters.pongs_unasked++;
        return 0;
    }
    y->is_ping_out = false;
    rtt = rtt ? rtt : 1;
    y->rtt_ns = y->rtt_ns ? (3 * y->rtt_ns + rtt) / 4 : rtt;
    *ev = (struct yamux_event){.type = YAMUX_PONG, .rtt_ns = rtt};
    return 1;
}

/* SYN: *st is the new stream, or NULL when it was refused. */
static int syn_received(struct yamux *y, const struct yamux_head *h, struct yamux_stream **st, uint64_t now)
{
    bool is_client_id = h->stream & 1;

    if (is_client_id == y->cfg.is_client)
        return -YAMUX_EPARITY;
    if (*st)
        return -YAMUX_EDUPLICATE;
    if (h->flags & YAMUX_RST)
        return 0; /* opened and gone in one frame */
    if (y->count_in >= y->cfg.streams_in || y->owes_goaway || y->has_sent_goaway) {
        y->counters.refused_in++;
        yamux_refuse(y, h->stream);
        return y->err;
    }
    *st = yamux_stream_new(y, h->stream, false, now);
    if (!*st)
        return -YAMUX_EMEM;
    y->counters.streams_in++;
    (*st)->is_acked = true;
    (*st)->owes_ack = true;
    return 0;
}

/* The end of a frame's body, or of a WindowUpdate. */
static int fin_received(struct yamux_stream *st, struct yamux_event *ev)
{
    if (st->has_got_fin)
        return 0;
    st->has_got_fin = true;
    *ev = (struct yamux_event){.type = YAMUX_EOF, .stream = st};
    return 1;
}

static int rst_received(struct yamux *y, struct yamux_stream *st, struct yamux_event *ev)
{
    st->has_got_rst = true;
    y->counters.resets_in++;
    *ev = (struct yamux_event){.type = YAMUX_RESET, .stream = st};
    return 1;
}

static int stream_frame(struct yamux *y, const struct yamux_head *h, struct yamux_event *ev, uint64_t now)
{
    struct yamux_stream *st = yamux_stream_find(y, h->stream);
    bool is_new = false;
    int err;

    if (h->flags & YAMUX_SYN) {
        if ((err = syn_received(y, h, &st, now)) < 0)
            return err;
        is_new = st != NULL;
    }
    if (st && (h->flags & YAMUX_ACK))
        st->is_acked = true;
    if (h->type == YAMUX_DATA) {
        /* Past FIN or RST a body belongs to nobody: drained, but the window still holds for it. */
        if (st && !yamux_window_receive(&st->window, h->length))
            return -YAMUX_EWINDOW;
        y->body_left = h->length;
        y->body = st && !st->has_got_fin && !(h->flags & YAMUX_RST) ? st : NULL;
    } else if (st) {
        st->credit = yamux_credit_add(st->credit, h->length);
        y->body = st;
    }
    if (!st) {
        y->body = NULL;
        return 0;
    }
    yamux_stream_touch(y, st);
    if (h->flags & YAMUX_RST)
        return rst_received(y, st, ev);
    y->fin_follows = h->flags & YAMUX_FIN;
    if (is_new)
        *ev = (struct yamux_event){.type = YAMUX_OPENED, .stream = st};
    return is_new;
}

static int frame(struct yamux *y, struct yamux_event *ev, uint64_t now)
{
    struct yamux_head h = yamux_head_decode(y->head);
    int err = check_head(y, &h);

    y->head_have = 0;
    y->counters.frames_in++;
    if (err < 0)
        return err;
    switch (h.type) {
    case YAMUX_PING: return ping_received(y, &h, ev, now);
    case YAMUX_GOAWAY:
        y->has_got_goaway = true;
        *ev = (struct yamux_event){.type = YAMUX_AWAY, .code = h.length};
        return 1;
    default: return stream_frame(y, &h, ev, now);
    }
}

/* A run of the current body. 1: an event; 0: nothing to tell. */
static int body(struct yamux *y, struct slice *in, struct yamux_event *ev)
{
    struct slice s = take(in, y->body_left);
    struct yamux_stream *st = y->body;

    y->body_left -= (uint32_t)s.len;
    if (!st) {
        y->counters.bytes_unknown_stream += s.len;
        return 0;
    }
    if (yamux_window_consume(&st->window, (uint32_t)s.len)) {
        st->owes_window = true;
        yamux_stream_touch(y, st);
    }
    *ev = (struct yamux_event){.type = YAMUX_BODY, .stream = st, .data = s};
    return 1;
}

int yamux_next(struct yamux *y, struct slice *in, struct yamux_event *ev, uint64_t now)
{
    int n = 0;

    while (n == 0 && !y->err) {
        if (y->body_left) {
            if (!in->len)
                return 0;
            n = body(y, in, ev);
        } else if (y->fin_follows) {
            y->fin_follows = false;
            n = y->body ? fin_received(y->body, ev) : 0;
        } else {
            y->body = NULL;
            if (!read_head(y, in))
                return 0;
            n = frame(y, ev, now);
        }
    }
    if (n < 0)
        yamux_fail(y, n);
    return y->err ? y->err : n;
}
