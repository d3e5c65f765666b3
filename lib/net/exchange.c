/* exchange.c: requests and answers on streams of their own: one message each way, length in front (role.h)
 * Source:  libp2p specs kad-dht, "RPC messages": a stream for a request, its answer, the end; several requests on one
 *          stream must be answered too
 * Limits:  EXCHANGES_IN and EXCHANGES_OUT streams a connection, NET_MESSAGE_MAX bytes a message, a time for each; the peer's
 *          requests beyond REQUEST_EVERY_NS each, with a start of REQUEST_BURST, are reset and counted
 */
#include <stdlib.h>

#include "base/rate.h"
#include "base/uvarint.h"
#include "net/role.h"

#define EXCHANGES_IN     8
#define EXCHANGES_OUT    16
#define OURS_NS          10000000000ull
#define THEIRS_NS        60000000000ull /* go keeps a stream for further requests */
#define REQUEST_EVERY_NS 50000000ull
#define REQUEST_BURST    100

struct exchange {
    struct list node; /* in netconn.exchanges */
    uint32_t stream;
    uint8_t service;
    bool is_ours, is_eof, is_answered;
    unsigned pending; /* theirs: requests that went up and are not answered yet */
    uint64_t token, deadline_ns;
    struct framer framer;
};

static struct exchange *new_exchange(struct netconn *c, bool is_ours, unsigned service, uint64_t now)
{
    struct exchange *x;
    unsigned count = 0;

    LIST_EACH (it, &c->exchanges)
        count += CONTAINER_OF(it, struct exchange, node)->is_ours == is_ours;
    if (count >= (is_ours ? EXCHANGES_OUT : EXCHANGES_IN) || !(x = calloc(1, sizeof(*x))))
        return NULL;
    x->is_ours = is_ours;
    x->service = (uint8_t)service;
    x->deadline_ns = now + (is_ours ? OURS_NS : THEIRS_NS);
    framer_init(&x->framer, NET_MESSAGE_MAX, NULL, NULL); /* the heap: these messages go from lcore to lcore */
    list_push_back(&c->exchanges, &x->node);
    return x;
}

static void drop(struct netconn *c, struct exchange *x)
{
    c->net->partial_bytes -= framer_held_bytes(&x->framer);
    framer_fini(&x->framer);
    list_del(&x->node);
    free(x);
}

static void tell(struct netconn *c, enum net_event_type type, const struct exchange *x, struct buf *frame, const char *reason)
{
    struct queued_event ev = {.type = type, .conn = c, .protocol = x->service, .value = x->is_ours ? x->token : x->stream,
                              .frame = frame, .reason = reason};

    if (event_queue_push(&c->net->events, &ev) < 0)
        buf_unref(frame);
}

/* The end of one of ours that had no answer, or of one of theirs: dropped on both sides. */
static void fail(struct netconn *c, struct exchange *x, bool is_stream_gone, const char *reason)
{
    if (!is_stream_gone) {
        session_stream_reset(c->session, x->stream);
        netconn_mark_dirty(c);
    }
    if (x->is_ours && !x->is_answered)
        tell(c, NET_EV_REQUEST_FAILED, x, NULL, reason);
    drop(c, x);
}

static void on_opened(struct netconn *c, const struct session_event *ev, uint64_t now)
{
    struct exchange *x = new_exchange(c, false, ev->protocol - c->net->nprotocols, now);

    if (!x) {
        c->net->counters.requests_refused++;
        session_stream_reset(c->session, ev->stream);
        return;
    }
    x->stream = ev->stream;
    session_stream_set_user(c->session, ev->stream, x);
}

/* False: the exchange is gone. */
static bool on_message(struct netconn *c, struct exchange *x, struct buf *message, uint64_t now)
{
    if (x->is_ours && !x->is_answered) {
        x->is_answered = true; /* it stays until the stream has ended in peace, or its time is up */
        session_stream_close(c->session, x->stream);
        netconn_mark_dirty(c);
        c->net->counters.answers_in++;
        tell(c, NET_EV_ANSWER, x, message, NULL);
        return true;
    }
    if (x->is_ours || x->pending >= EXCHANGES_IN || !rate_take(&c->request_ns, REQUEST_EVERY_NS, REQUEST_BURST, now)) {
        buf_unref(message);
        c->net->counters.requests_refused += !x->is_ours;
        fail(c, x, false, "more than was asked for");
        return false;
    }
    x->pending++;
    x->deadline_ns = now + THEIRS_NS;
    c->net->counters.requests_in++;
    tell(c, NET_EV_REQUEST, x, message, NULL);
    return true;
}

static void on_data(struct netconn *c, struct exchange *x, struct slice in, uint64_t now)
{
    struct net *n = c->net;
    struct buf *message;
    uint32_t held;
    int rc;

    for (;;) {
        held = framer_held_bytes(&x->framer);
        rc = framer_input(&x->framer, &in, &message);
        n->partial_bytes = n->partial_bytes - held + framer_held_bytes(&x->framer);
        if (rc <= 0)
            break;
        if (!on_message(c, x, message, now))
            return;
    }
    if (rc < 0 || n->partial_bytes > n->cfg.max_partial_bytes)
        fail(c, x, false, rc < 0 ? framer_err_name(rc) : "too many unfinished messages");
}

static void close_when_done(struct netconn *c, struct exchange *x)
{
    if (!x->is_eof || x->pending)
        return;
    session_stream_set_user(c->session, x->stream, NULL); /* what is queued still goes out, without us */
    session_stream_close(c->session, x->stream);
    netconn_mark_dirty(c);
    drop(c, x);
}

static void on_eof(struct netconn *c, struct exchange *x)
{
    x->is_eof = true;
    if (x->is_ours)
        fail(c, x, x->is_answered, "ended without an answer"); /* answered: our end is closed too, the stream is gone */
    else
        close_when_done(c, x);
}

bool exchange_event(struct netconn *c, const struct session_event *ev, uint64_t now)
{
    struct exchange *x = ev->user;

    if (ev->type == SESSION_STREAM_OPENED && ev->protocol >= c->net->nprotocols) {
        on_opened(c, ev, now);
        return true;
    }
    if (ev->type < SESSION_STREAM_OPENED || ev->type > SESSION_STREAM_WRITABLE || !x)
        return false;
    switch (ev->type) {
    case SESSION_STREAM_DATA: on_data(c, x, ev->data, now); break;
    case SESSION_STREAM_EOF: on_eof(c, x); break;
    case SESSION_STREAM_RESET: fail(c, x, true, "reset by the peer"); break;
    case SESSION_STREAM_REFUSED: fail(c, x, true, session_err_name(ev->err)); break;
    default: break;
    }
    return true;
}

static int send_message(struct netconn *c, uint32_t stream, struct slice message)
{
    uint8_t head[UVARINT_MAX];
    struct buf *b = buf_copy(message);
    int rc = b ? session_stream_copy(c->session, stream, slice_of(head, uvarint_put(head, message.len))) : -SESSION_EMEM;

    if (rc == 0)
        rc = session_stream_send(c->session, stream, b, 0, b->len);
    if (rc)
        buf_unref(b);
    netconn_mark_dirty(c);
    return rc;
}

int exchange_request(struct netconn *c, unsigned service, struct slice message, uint64_t token, uint64_t now)
{
    struct exchange *x = message.len <= NET_MESSAGE_MAX ? new_exchange(c, true, service, now) : NULL;
    int64_t stream;

    if (!x)
        return -NET_ELIMIT;
    stream = session_open_stream(c->session, &c->net->cfg.services[service], 1, x, now);
    if (stream < 0) {
        drop(c, x);
        return stream == -SESSION_EMEM ? -NET_EMEM : stream == -SESSION_EFULL ? -NET_EFULL : -NET_ENOCONN;
    }
    x->stream = (uint32_t)stream;
    x->token = token;
    if (send_message(c, x->stream, message)) {
        session_stream_reset(c->session, x->stream);
        drop(c, x);
        return -NET_EMEM;
    }
    /* Our end is closed by the answer, not now: js (libp2p 3.3) resets a stream of which the protocol's name, a message and the end
     * come before it has read the name. */
    c->net->counters.requests_out++;
    netconn_rearm(c);
    return 0;
}

int exchange_answer(struct netconn *c, uint64_t stream, struct slice message)
{
    LIST_EACH (it, &c->exchanges) {
        struct exchange *x = CONTAINER_OF(it, struct exchange, node);
        if (x->is_ours || x->stream != stream || x->pending == 0)
            continue;
        x->pending--;
        if (!message.p || (message.len && send_message(c, x->stream, message))) {
            fail(c, x, false, "");
            return 0;
        }
        close_when_done(c, x);
        return 0;
    }
    return -NET_ENOCONN;
}

uint64_t exchange_next_deadline(const struct netconn *c)
{
    uint64_t at = TIMER_NEVER;

    LIST_EACH (it, &c->exchanges)
        if (CONTAINER_OF(it, struct exchange, node)->deadline_ns < at)
            at = CONTAINER_OF(it, struct exchange, node)->deadline_ns;
    return at;
}

void exchange_on_deadline(struct netconn *c, uint64_t now)
{
    LIST_EACH (it, &c->exchanges)
        if (now >= CONTAINER_OF(it, struct exchange, node)->deadline_ns)
            fail(c, CONTAINER_OF(it, struct exchange, node), false, "no answer in time");
}

void exchange_fini(struct netconn *c)
{
    LIST_EACH (it, &c->exchanges)
        fail(c, CONTAINER_OF(it, struct exchange, node), true, "the connection went down");
}
