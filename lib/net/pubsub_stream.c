/* pubsub_stream.c: the two RPC streams of a connection: we write on the one we opened, read on the one they opened (role.h)
 * Source:  libp2p pubsub as go, rust and js run it: nothing is ever written to, nor FIN or RST sent on, the peer's
 *          stream while it stands (go takes either for our death); a second stream of the peer replaces the first
 */
#include "base/uvarint.h"
#include "net/role.h"

static void push_frame(struct netconn *c, struct buf *frame)
{
    struct queued_event ev = {.type = NET_EV_RPC, .protocol = c->in_protocol, .conn = c, .frame = frame};

    c->net->counters.frames_in++;
    c->net->counters.bytes_in += frame->len;
    if (event_queue_push(&c->net->events, &ev) < 0) {
        c->net->counters.frames_no_memory++;
        buf_unref(frame);
    }
}

static void on_framer_error(struct netconn *c, int err, uint64_t now)
{
    struct net_counters *k = &c->net->counters;

    k->frames_oversize += err == -FRAMER_EOVERSIZE;
    k->frames_no_memory += err == -FRAMER_EMEM;
    netconn_end(c, framer_err_name(err), false, now);
}

/* The session decrypts a large frame's bytes straight into it. */
static void offer_place(struct netconn *c)
{
    uint8_t *p;
    uint32_t len = framer_place(&c->framer, &p);

    session_stream_place(c->session, c->in_stream, p, len);
}

static void on_data(struct netconn *c, struct slice in, uint64_t now)
{
    struct net *n = c->net;
    uint32_t held = framer_held_bytes(&c->framer);
    struct buf *frame;
    int rc;

    while ((rc = framer_input(&c->framer, &in, &frame)) > 0) {
        push_frame(c, frame);
        c->frame_deadline_ns = 0; /* what follows is a new frame: a new clock */
    }
    n->partial_bytes = n->partial_bytes - held + framer_held_bytes(&c->framer);
    offer_place(c);
    if (rc < 0) {
        on_framer_error(c, rc, now);
    } else if (n->partial_bytes > n->cfg.max_partial_bytes) {
        n->counters.frames_no_memory++;
        netconn_end(c, "too many unfinished frames", false, now);
    }
}

static void drop_partial(struct netconn *c)
{
    c->net->partial_bytes -= framer_held_bytes(&c->framer);
    c->frame_deadline_ns = 0;
    if (c->session)
        session_stream_place(c->session, 0, NULL, 0);
    framer_reset(&c->framer);
}

/* Theirs. The former stream, if there is one, stays as it is; its bytes are dropped. */
static void on_opened(struct netconn *c, const struct session_event *ev)
{
    if (c->in_stream) {
        c->net->counters.streams_replaced++;
        drop_partial(c);
    }
    c->in_stream = ev->stream;
    c->in_protocol = (uint8_t)ev->protocol;
    netconn_tell(c, NET_EV_PUBSUB_IN, NULL);
}

static void on_in_end(struct netconn *c, bool is_reset)
{
    drop_partial(c);
    if (!is_reset)
        session_stream_close(c->session, c->in_stream); /* they are done with it: so are we */
    c->in_stream = 0;
}

static void on_out_ready(struct netconn *c, unsigned protocol)
{
    struct queued_event ev = {.type = NET_EV_PUBSUB_READY, .protocol = (uint8_t)protocol, .conn = c};

    c->is_out_ready = true;
    c->out_protocol = (uint8_t)protocol;
    event_queue_push(&c->net->events, &ev);
}

static void on_out_end(struct netconn *c, const struct session_event *ev)
{
    if (ev->type == SESSION_STREAM_EOF)
        session_stream_reset(c->session, c->out_stream);
    c->out_stream = 0;
    if (c->is_out_ready) {
        c->is_out_ready = false;
        netconn_tell(c, NET_EV_PUBSUB_CLOSED,
                     ev->type == SESSION_STREAM_EOF ? "closed by the peer" : "reset by the peer");
        return;
    }
    netconn_tell(c, NET_EV_PUBSUB_NONE,
                 ev->type == SESSION_STREAM_REFUSED ? session_err_name(ev->err)
                                                    : "ended before it was ready");
}

void pubsub_stream_event(struct netconn *c, const struct session_event *ev, uint64_t now)
{
    bool is_in = ev->stream == c->in_stream, is_out = ev->stream == c->out_stream;

    switch (ev->type) {
    case SESSION_STREAM_OPENED: on_opened(c, ev); break;
    case SESSION_STREAM_READY:
        if (is_out)
            on_out_ready(c, ev->protocol);
        break;
    case SESSION_STREAM_DATA:
        if (is_in)
            on_data(c, ev->data, now); /* data on ours, or on a replaced one, is nobody's */
        break;
    case SESSION_STREAM_EOF:
    case SESSION_STREAM_RESET:
        if (is_in)
            on_in_end(c, ev->type == SESSION_STREAM_RESET);
        else if (is_out)
            on_out_end(c, ev);
        else if (ev->type == SESSION_STREAM_EOF)
            session_stream_close(c->session, ev->stream); /* a replaced one */
        break;
    case SESSION_STREAM_REFUSED:
        if (is_out)
            on_out_end(c, ev);
        break;
    default: break;
    }
}

int pubsub_stream_open(struct netconn *c, uint64_t now)
{
    int64_t stream;

    if (c->out_stream)
        return -NET_ELIMIT;
    stream = session_open_stream(c->session, c->net->cfg.protocols, c->net->nprotocols, NULL, now);
    if (stream < 0)
        return stream == -SESSION_EMEM ? -NET_EMEM : stream == -SESSION_EFULL ? -NET_EFULL : -NET_ENOCONN;
    c->out_stream = (uint32_t)stream;
    c->is_out_ready = false;
    netconn_mark_dirty(c);
    return 0;
}

int pubsub_stream_close(struct netconn *c)
{
    if (!c->is_out_ready)
        return -NET_ENOCONN;
    session_stream_reset(c->session, c->out_stream);
    c->out_stream = 0;
    c->is_out_ready = false;
    netconn_tell(c, NET_EV_PUBSUB_CLOSED, "closed by us");
    netconn_mark_dirty(c);
    return 0;
}

int pubsub_stream_finish(struct netconn *c)
{
    if (!c->is_out_ready)
        return -NET_ENOCONN;
    session_stream_close(c->session, c->out_stream);
    c->out_stream = 0; /* its further events are nobody's */
    c->is_out_ready = false;
    netconn_mark_dirty(c);
    return 0;
}

/* Queues the pieces; on -1 the stream is broken in the middle of a frame. The references are the session's either way. */
static int queue_pieces(struct netconn *c, const struct net_piece *pieces, unsigned count)
{
    int rc = 0;

    for (unsigned i = 0; i < count; i++) {
        if (rc == 0 && pieces[i].len > 0)
            rc = session_stream_send(c->session, c->out_stream, pieces[i].buf, pieces[i].off, pieces[i].len);
        if (rc < 0 || pieces[i].len == 0)
            buf_unref(pieces[i].buf);
    }
    return rc;
}

int pubsub_stream_send(struct netconn *c, const struct net_piece *pieces, unsigned count, uint64_t now)
{
    uint8_t head[UVARINT_MAX];
    uint64_t total = 0;
    int rc;

    if (!c->is_out_ready)
        return -NET_ENOCONN;
    for (unsigned i = 0; i < count; i++)
        total += pieces[i].len;
    if (total > UINT32_MAX / 2)
        return -NET_ELIMIT;
    if (session_queued_bytes(c->session) >= c->net->cfg.max_queue_bytes) {
        c->wants_writable = true;
        c->net->counters.queue_full++;
        return -NET_EFULL;
    }
    rc = session_stream_copy(c->session, c->out_stream, slice_of(head, uvarint_put(head, total)));
    if (rc < 0)
        return rc == -SESSION_EMEM ? -NET_EMEM : -NET_ENOCONN;
    netconn_mark_dirty(c);
    c->net->counters.frames_out++;
    c->net->counters.bytes_out += total;
    if (queue_pieces(c, pieces, count) < 0)
        netconn_end(c, "no memory in the middle of a frame", false, now);
    return 0;
}

void pubsub_stream_fini(struct netconn *c)
{
    drop_partial(c);
    framer_fini(&c->framer);
    c->in_stream = c->out_stream = 0;
    c->is_out_ready = false;
}
