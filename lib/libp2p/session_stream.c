/* session_stream.c: streams: the choice of their protocol, and what the caller does with them. */
#include <assert.h>
#include <stdlib.h>

#include "libp2p/session_pvt.h"

/* Longest answer that multistream makes at once: our list, to a peer that says ls. */
#define MSS_OUT_MAX 1100

struct stream *stream_of(const struct session *s, uint32_t id)
{
    struct yamux_stream *y = yamux_stream_find(&s->yamux, id);

    return y ? y->user : NULL;
}

/* ---- life ---- */

static struct stream *stream_new(struct session *s, enum kind kind, bool is_ours)
{
    struct stream *st = calloc(1, sizeof(*st));

    if (!st)
        return NULL;
    st->kind = kind;
    st->is_ours = is_ours;
    st->timer.kind = TIMER_STREAM;
    session_timer_set(s, &st->timer, s->now + s->limits.negotiate_ns);
    return st;
}

static void forget_body(struct session *s, const struct stream *st)
{
    if (s->body_stream != st)
        return;
    s->body_stream = NULL;
    s->body_rest = (struct slice){NULL, 0};
}

/* st alone; its yamux stream, if any, is the caller's to drop. */
void stream_free(struct session *s, struct stream *st)
{
    service_ended(s, st);
    timerq_cancel(&s->timers, &st->timer);
    list_del(&st->waiting_link);
    list_del(&st->full_link);
    s->held_bytes -= st->held.bytes;
    p2p_sendq_fini(&st->held);
    forget_body(s, st);
    free(st);
}

void stream_kill(struct session *s, struct stream *st)
{
    if (st->y)
        yamux_stream_reset(&s->yamux, st->y);
    stream_free(s, st);
}

static void drop(struct session *s, struct stream *st)
{
    yamux_stream_drop(&s->yamux, st->y);
    stream_free(s, st);
}

struct stream *stream_opened(struct session *s, struct yamux_stream *y)
{
    struct stream *st = stream_new(s, KIND_APP, false);

    if (!st)
        return NULL;
    st->y = y;
    st->id = y->id;
    y->user = st;
    mss_listener_init(&st->mss.listener, s->names, s->nnames);
    return st;
}

/* ---- events that wait ---- */

static void wait_event(struct session *s, struct stream *st, enum waiting what)
{
    st->waiting |= what;
    if (!list_is_linked(&st->waiting_link))
        list_push_back(&s->waiting, &st->waiting_link);
}

bool stream_waiting(struct session *s, struct session_event *ev)
{
    struct stream *st;

    if (list_is_empty(&s->waiting))
        return false;
    st = CONTAINER_OF(s->waiting.next, struct stream, waiting_link);
    *ev = (struct session_event){.stream = st->id, .user = st->user};
    if (st->waiting & WAITS_REFUSED) {
        ev->type = SESSION_STREAM_REFUSED;
        ev->err = st->err;
        stream_free(s, st);
        return true;
    }
    ev->type = SESSION_STREAM_WRITABLE;
    st->waiting = 0;
    list_del(&st->waiting_link);
    return true;
}

/* Ours came to nothing. is_reset: the peer need not be told. */
static void refused(struct session *s, struct stream *st, int err, bool is_reset)
{
    struct yamux_stream *y = st->y;

    s->counters.negotiations_failed_out++;
    st->y = NULL;
    st->err = err;
    forget_body(s, st);
    if (is_reset)
        yamux_stream_drop(&s->yamux, y);
    else
        yamux_stream_reset(&s->yamux, y);
    timerq_cancel(&s->timers, &st->timer);
    list_del(&st->full_link);
    s->held_bytes -= st->held.bytes;
    p2p_sendq_fini(&st->held);
    if (st->kind == KIND_APP)
        wait_event(s, st, WAITS_REFUSED);
    else
        stream_free(s, st);
}

/* The choice failed, whichever side began. */
static void choice_failed(struct session *s, struct stream *st, int err, bool is_reset)
{
    if (st->is_ours) {
        refused(s, st, err, is_reset);
        return;
    }
    s->counters.negotiations_failed_in++;
    if (is_reset)
        drop(s, st);
    else
        stream_kill(s, st);
}

void stream_timeout(struct session *s, struct stream *st)
{
    if (st->is_talking)
        stream_kill(s, st); /* a service that does not end */
    else
        choice_failed(s, st, -SESSION_ETIMEOUT, false);
}

/* ---- choice ---- */

/* Queues what multistream has to say; it goes ahead of all data. */
static void say(struct session *s, struct stream *st)
{
    uint8_t out[MSS_OUT_MAX];
    size_t n;

    while ((n = st->is_ours ? mss_dialer_output(&st->mss.dialer, out, sizeof(out))
                            : mss_listener_output(&st->mss.listener, out, sizeof(out))))
        if (yamux_stream_copy(&s->yamux, st->y, slice_of(out, n)) == -YAMUX_EMEM)
            session_fail(s, -SESSION_EMEM, "no memory for a stream");
}

static bool is_chosen(const struct stream *st)
{
    return st->is_ours ? mss_dialer_is_done(&st->mss.dialer) : mss_listener_is_done(&st->mss.listener);
}

/* Data that waited, and then the FIN that waited. */
static void release_held(struct session *s, struct stream *st)
{
    if (st->held.count) {
        uint64_t n = st->held.bytes;
        if (yamux_stream_splice(&s->yamux, st->y, &st->held) == -YAMUX_EMEM)
            session_fail(s, -SESSION_EMEM, "no memory for a stream");
        else
            s->held_bytes -= n - st->held.bytes;
    }
    if (st->is_close_held)
        yamux_stream_close(&s->yamux, st->y);
}

/* The protocol is known. True: ev tells of it. */
static bool chosen(struct session *s, struct stream *st, struct session_event *ev)
{
    unsigned i = st->is_ours ? mss_dialer_choice(&st->mss.dialer) : mss_listener_choice(&st->mss.listener);

    st->is_talking = true;
    if (!st->is_ours)
        st->kind = i < KIND_APP ? (enum kind)i : KIND_APP;
    if (st->kind != KIND_APP) {
        service_start(s, st);
        return false;
    }
    timerq_cancel(&s->timers, &st->timer);
    *ev = (struct session_event){.type = st->is_ours ? SESSION_STREAM_READY : SESSION_STREAM_OPENED,
                                 .stream = st->id,
                                 .user = st->user,
                                 .protocol = st->is_ours ? i : i - KIND_APP};
    release_held(s, st);
    return true;
}

static bool choose(struct session *s, struct stream *st, struct slice *data, struct session_event *ev)
{
    ssize_t n;

    do { /* an answer has to be fetched before the next question is taken */
        n = st->is_ours ? mss_dialer_input(&st->mss.dialer, *data) : mss_listener_input(&st->mss.listener, *data);
        if (n < 0) {
            choice_failed(s, st, -SESSION_EMULTISTREAM, false);
            return false;
        }
        *data = slice_of(data->p + n, data->len - (size_t)n);
        say(s, st);
    } while (data->len && !is_chosen(st) && !s->err);
    return is_chosen(st) && chosen(s, st, ev);
}

/* ---- what comes in ---- */

static bool tell(const struct stream *st, struct session_event *ev, enum session_event_type type)
{
    *ev = (struct session_event){.type = type, .stream = st->id, .user = st->user};
    return true;
}

bool stream_body(struct session *s, struct stream *st, struct slice *data, struct session_event *ev)
{
    struct slice all = *data;

    if (!st->is_talking)
        return choose(s, st, data, ev);
    *data = slice_of(all.p + all.len, 0);
    if (st->kind != KIND_APP) {
        service_body(s, st, all);
        return false;
    }
    tell(st, ev, SESSION_STREAM_DATA);
    ev->data = all;
    return true;
}

bool stream_eof(struct session *s, struct stream *st, struct session_event *ev)
{
    bool is_app = st->kind == KIND_APP;

    if (!st->is_talking) {
        choice_failed(s, st, -SESSION_ENOSTREAM, false);
        return false;
    }
    if (is_app)
        tell(st, ev, SESSION_STREAM_EOF);
    else
        service_eof(s, st);
    if (is_app && yamux_stream_is_over(st->y))
        drop(s, st);
    return is_app;
}

bool stream_reset(struct session *s, struct stream *st, struct session_event *ev)
{
    bool is_told = st->kind == KIND_APP && st->is_talking;

    if (!st->is_talking) {
        choice_failed(s, st, -SESSION_ENOSTREAM, true);
        return false;
    }
    if (is_told)
        tell(st, ev, SESSION_STREAM_RESET);
    drop(s, st);
    return is_told;
}

/* ---- what goes out ---- */

static uint64_t queued_bytes(const struct stream *st)
{
    return st->held.bytes + st->y->queue.bytes;
}

void stream_output_done(struct session *s)
{
    struct yamux_stream *y;

    while ((y = yamux_next_over(&s->yamux)))
        drop(s, y->user);
    LIST_EACH(it, &s->full) {
        struct stream *st = CONTAINER_OF(it, struct stream, full_link);
        if (queued_bytes(st) > s->limits.stream_queue_bytes / 2)
            continue;
        list_del(&st->full_link);
        wait_event(s, st, WAITS_WRITABLE);
    }
}

static int open_error(int err)
{
    return err == -YAMUX_EFULL ? -SESSION_EFULL : err == -YAMUX_EMEM ? -SESSION_EMEM : -SESSION_EGOAWAY;
}

static struct stream *open_stream(struct session *s, enum kind kind, int *err)
{
    struct stream *st = stream_new(s, kind, true);

    if (!st) {
        *err = -SESSION_EMEM;
        return NULL;
    }
    st->y = yamux_stream_open(&s->yamux, st, err, s->now);
    if (!st->y) {
        *err = open_error(*err);
        st->kind = KIND_APP; /* no service has begun */
        stream_free(s, st);
        return NULL;
    }
    st->id = st->y->id;
    return st;
}

static void propose(struct session *s, struct stream *st, unsigned n)
{
    st->is_lazy = n == 1;
    mss_dialer_init(&st->mss.dialer, st->proposals, n, st->is_lazy);
    say(s, st);
}

struct stream *stream_open_service(struct session *s, enum kind kind)
{
    int err;
    struct stream *st = open_stream(s, kind, &err);

    if (!st)
        return NULL;
    st->proposals[0] = s->names[kind];
    propose(s, st, 1);
    return st;
}

int64_t session_open_stream(struct session *s, const char *const protocols[], unsigned n, void *user, uint64_t now)
{
    struct stream *st;
    int err;

    s->now = now;
    if (s->err == -SESSION_EGOAWAY)
        return s->err;
    if (!session_is_up(s))
        return -SESSION_ESTATE;
    if (n == 0 || n > SESSION_MAX_PROPOSALS)
        return -SESSION_ELIMIT;
    for (unsigned i = 0; i < n; i++)
        if (strlen(protocols[i]) > MSS_NAME_MAX)
            return -SESSION_ELIMIT;
    st = open_stream(s, KIND_APP, &err);
    if (!st)
        return err;
    st->user = user;
    memcpy(st->proposals, protocols, n * sizeof(protocols[0]));
    propose(s, st, n);
    if (s->err)
        return s->err;
    return st->id;
}

static bool holds(const struct stream *st)
{
    return !st->is_talking && !st->is_lazy;
}

int stream_copy(struct session *s, struct stream *st, struct slice bytes)
{
    int err;

    if (!holds(st)) {
        err = yamux_stream_copy(&s->yamux, st->y, bytes);
        return err == -YAMUX_ECLOSED ? -SESSION_ENOSTREAM : err ? -SESSION_EMEM : 0;
    }
    if (p2p_sendq_copy(&st->held, bytes) < 0)
        return -SESSION_EMEM;
    s->held_bytes += bytes.len;
    return 0;
}

static int push(struct session *s, struct stream *st, struct buf *b, uint32_t off, uint32_t len)
{
    int err;

    if (!holds(st)) {
        err = yamux_stream_send(&s->yamux, st->y, b, off, len);
        return err == -YAMUX_ECLOSED ? -SESSION_ENOSTREAM : err ? -SESSION_EMEM : 0;
    }
    if (p2p_sendq_push(&st->held, b, off, len) < 0)
        return -SESSION_EMEM;
    s->held_bytes += len;
    return 0;
}

/* A stream that the caller may write to: one of its own, that has not said close. */
static struct stream *writable(const struct session *s, uint32_t id)
{
    struct stream *st = s->err ? NULL : stream_of(s, id);

    if (!st || st->kind != KIND_APP || st->is_close_held || (!st->is_ours && !st->is_talking))
        return NULL;
    return st->y->owes_fin || st->y->has_sent_fin ? NULL : st;
}

static int take_room(struct session *s, struct stream *st, size_t len)
{
    if (queued_bytes(st) + len <= s->limits.stream_queue_bytes)
        return 0;
    if (!list_is_linked(&st->full_link))
        list_push_back(&s->full, &st->full_link);
    return -SESSION_EFULL;
}

int session_stream_send(struct session *s, uint32_t stream, struct buf *b, uint32_t off, uint32_t len)
{
    struct stream *st = writable(s, stream);
    int err = st ? take_room(s, st, len) : -SESSION_ENOSTREAM;

    assert(off <= b->len && len <= b->len - off);
    return err ? err : push(s, st, b, off, len);
}

int session_stream_copy(struct session *s, uint32_t stream, struct slice bytes)
{
    struct stream *st = writable(s, stream);
    int err = st ? take_room(s, st, bytes.len) : -SESSION_ENOSTREAM;

    if (!err && bytes.len > SENDQ_COPY_MAX)
        return -SESSION_ELIMIT;
    return err ? err : stream_copy(s, st, bytes);
}

uint64_t session_stream_queued_bytes(const struct session *s, uint32_t stream)
{
    struct stream *st = stream_of(s, stream);

    return st && st->kind == KIND_APP ? queued_bytes(st) : 0;
}

uint64_t session_stream_room_bytes(const struct session *s, uint32_t stream)
{
    struct stream *st = writable(s, stream);

    return st && queued_bytes(st) < s->limits.stream_queue_bytes ? s->limits.stream_queue_bytes - queued_bytes(st) : 0;
}

void stream_close(struct session *s, struct stream *st)
{
    if (holds(st))
        st->is_close_held = true;
    else
        yamux_stream_close(&s->yamux, st->y);
}

int session_stream_close(struct session *s, uint32_t stream)
{
    struct stream *st = writable(s, stream);

    if (!st)
        return -SESSION_ENOSTREAM;
    list_del(&st->full_link); /* nothing more will be written */
    stream_close(s, st);
    return 0;
}

int session_stream_reset(struct session *s, uint32_t stream)
{
    struct stream *st = stream_of(s, stream);

    if (!st || st->kind != KIND_APP)
        return -SESSION_ENOSTREAM;
    stream_kill(s, st);
    return 0;
}

int session_stream_set_user(struct session *s, uint32_t stream, void *user)
{
    struct stream *st = stream_of(s, stream);

    if (!st || st->kind != KIND_APP)
        return -SESSION_ENOSTREAM;
    st->user = user;
    return 0;
}
