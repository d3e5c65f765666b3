#include "libp2p/session.h"

#include <assert.h>
#include <stdlib.h>

#include "libp2p/session_pvt.h"

#define SECOND 1000000000ull

const char *session_err_name(int err)
{
    static const char *const names[] = {
        "ok", "SESSION_EMULTISTREAM", "SESSION_ENOISE", "SESSION_EPEER", "SESSION_EMUXER", "SESSION_EYAMUX",
        "SESSION_EFLOOD", "SESSION_ETIMEOUT", "SESSION_EKEEPALIVE", "SESSION_EGOAWAY", "SESSION_EMEM",
        "SESSION_EFULL", "SESSION_ENOSTREAM", "SESSION_ESTATE", "SESSION_ELIMIT",
    };
    unsigned i = (unsigned)(err < 0 ? -err : err);

    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}

/* ---- life ---- */

static uint64_t or_default(uint64_t v, uint64_t d)
{
    return v ? v : d;
}

static struct session_limits limits_of(const struct session_limits *l)
{
    return (struct session_limits){
        .streams_in = (uint32_t)or_default(l->streams_in, 256),
        .streams_out = (uint32_t)or_default(l->streams_out, 256),
        .window_max_bytes = (uint32_t)or_default(l->window_max_bytes, YAMUX_WINDOW_CAP),
        .stream_queue_bytes = or_default(l->stream_queue_bytes, 4 << 20),
        .handshake_ns = or_default(l->handshake_ns, 10 * SECOND),
        .negotiate_ns = or_default(l->negotiate_ns, 10 * SECOND),
        .identify_ns = or_default(l->identify_ns, 5 * SECOND),
        .keepalive_ns = or_default(l->keepalive_ns, 30 * SECOND),
        .keepalive_timeout_ns = or_default(l->keepalive_timeout_ns, 10 * SECOND),
        .ping_ns = l->ping_ns,
    };
}

/* What we answer to on streams, by enum kind. */
static int make_names(struct session *s)
{
    s->nnames = KIND_APP + s->cfg.naccepts;
    s->names = calloc(s->nnames, sizeof(*s->names));
    if (!s->names)
        return -1;
    s->names[KIND_IDENTIFY] = IDENTIFY_ID;
    s->names[KIND_PUSH] = IDENTIFY_PUSH_ID;
    s->names[KIND_PING] = PING_ID;
    for (unsigned i = 0; i < s->cfg.naccepts; i++)
        s->names[KIND_APP + i] = s->cfg.accepts[i];
    return 0;
}

static void init_timers(struct session *s)
{
    timerq_init(&s->timers);
    s->t_handshake.kind = TIMER_HANDSHAKE;
    s->t_keepalive.kind = TIMER_KEEPALIVE;
    s->t_pong.kind = TIMER_PONG;
    s->t_identify.kind = TIMER_IDENTIFY;
    s->t_ping.kind = TIMER_PING;
}

struct session *session_new(const struct session_config *cfg, uint64_t now)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->cfg = *cfg;
    s->limits = limits_of(&cfg->limits);
    s->now = now;
    if (cfg->expect)
        s->expect = *cfg->expect;
    if (cfg->remote)
        s->remote = *cfg->remote;
    s->cfg.expect = NULL;
    s->cfg.remote = NULL;
    s->told_version = cfg->local->version;
    list_init(&s->waiting);
    list_init(&s->full);
    init_timers(s);
    yamux_init(&s->yamux, &(struct yamux_config){.is_client = cfg->is_dialer,
                                                 .streams_in = s->limits.streams_in,
                                                 .streams_out = s->limits.streams_out,
                                                 .window_cap_bytes = s->limits.window_max_bytes,
                                                 .secret = rng_u64(cfg->rng)});
    session_timer_set(s, &s->t_handshake, now + s->limits.handshake_ns);
    if (make_names(s) < 0 || !handshake_new(s) || s->err) {
        session_free(s);
        return NULL;
    }
    return s;
}

void session_free(struct session *s)
{
    struct yamux_stream *y, *next;

    if (!s)
        return;
    for (y = yamux_walk(&s->yamux, NULL); y; y = next) {
        next = yamux_walk(&s->yamux, y);
        if (y->user) /* not yet, when the session ended inside the frame that opened it */
            stream_free(s, y->user);
    }
    LIST_EACH(it, &s->waiting) /* gone streams whose end was not told */
        stream_free(s, CONTAINER_OF(it, struct stream, waiting_link));
    yamux_fini(&s->yamux);
    handshake_free(s->handshake);
    noise_transport_fini(&s->transport);
    timerq_fini(&s->timers);
    buf_unref(s->identity_bytes);
    free(s->identity);
    frame_fini(s);
    free(s->names);
    free(s);
}

int session_fail(struct session *s, int err, const char *reason)
{
    if (s->err)
        return s->err;
    s->err = err;
    s->reason = reason;
    s->phase = PHASE_OVER;
    s->tells_closed = true;
    if (s->is_up && err != -SESSION_EGOAWAY)
        yamux_goaway(&s->yamux, err == -SESSION_EMEM ? YAMUX_CODE_INTERNAL : YAMUX_CODE_PROTOCOL, false);
    return err;
}

void session_went_up(struct session *s)
{
    s->is_up = s->tells_up = true;
    timerq_cancel(&s->timers, &s->t_handshake);
    yamux_ping(&s->yamux, (uint32_t)rng_u64(s->cfg.rng));
    s->bytes_in_at_ping = s->counters.bytes_in;
    session_timer_set(s, &s->t_pong, s->now + s->limits.keepalive_timeout_ns);
    session_timer_set(s, &s->t_keepalive, s->now + s->limits.keepalive_ns);
    service_up(s);
}

void session_rtt_measured(struct session *s, uint64_t rtt_ns, bool by_ping)
{
    s->told_rtt_ns = rtt_ns;
    s->told_rtt_by_ping = by_ping;
    s->tells_rtt = true;
}

/* ---- input ---- */

/* Do events stand ready? */
static bool is_telling(const struct session *s)
{
    return s->tells_up || s->tells_rtt || s->tells_identity || s->tells_identify_failed || !list_is_empty(&s->waiting);
}

/* Is there more to come of what was taken already? */
static bool is_digesting(const struct session *s)
{
    return is_telling(s) || s->rest.len || s->parts[0].len || s->parts[1].len || s->body_rest.len || yamux_has_event(&s->yamux);
}

int session_input(struct session *s, struct slice *in, uint64_t now)
{
    size_t given = in->len;
    int err;

    s->now = now;
    if (s->err || !in->len || is_digesting(s))
        return s->err;
    err = s->phase < PHASE_MUXER ? handshake_input(s, in) : frame_input(s, in);
    s->counters.bytes_in += given - in->len;
    return err;
}

/* ---- events ---- */

static int yamux_failed(struct session *s, int err)
{
    int code = err == -YAMUX_EFLOOD ? -SESSION_EFLOOD : err == -YAMUX_EMEM ? -SESSION_EMEM : -SESSION_EYAMUX;

    return session_fail(s, code, yamux_err_name(err));
}

static void peer_went_away(struct session *s, uint32_t code)
{
    static const char *const reasons[] = {"peer said goodbye", "peer reports a protocol error",
                                          "peer reports an internal error"};

    session_fail(s, -SESSION_EGOAWAY, reasons[code < 3 ? code : 2]);
}

static void pong_received(struct session *s, uint64_t rtt_ns)
{
    timerq_cancel(&s->timers, &s->t_pong);
    session_rtt_measured(s, rtt_ns, false);
}

/* Keeps the part of a body that the stream has not taken. */
static bool body_received(struct session *s, struct stream *st, struct slice data, struct session_event *ev)
{
    bool has_event;

    s->body_stream = st; /* stream_free clears it */
    s->body_rest = data;
    do {
        struct slice part = s->body_rest;
        has_event = stream_body(s, st, &part, ev);
        s->body_rest = s->body_stream ? part : (struct slice){NULL, 0};
    } while (!has_event && s->body_rest.len && !s->err);
    return has_event;
}

static bool yamux_event(struct session *s, const struct yamux_event *y, struct session_event *ev)
{
    struct stream *st = y->stream ? y->stream->user : NULL;

    switch (y->type) {
    case YAMUX_OPENED:
        if (!stream_opened(s, y->stream))
            session_fail(s, -SESSION_EMEM, "no memory for a stream");
        return false;
    case YAMUX_BODY: return body_received(s, st, y->data, ev);
    case YAMUX_EOF: return stream_eof(s, st, ev);
    case YAMUX_RESET: return stream_reset(s, st, ev);
    case YAMUX_PONG: pong_received(s, y->rtt_ns); return false;
    case YAMUX_AWAY: peer_went_away(s, y->code); return false;
    }
    return false;
}

/* Events that stand ready; those of streams only once what was parsed before them is told. */
static bool told_event(struct session *s, struct session_event *ev)
{
    if (s->tells_up) {
        s->tells_up = false;
        *ev = (struct session_event){.type = SESSION_UP, .peer = &s->peer};
    } else if (s->tells_identity) {
        s->tells_identity = false;
        *ev = (struct session_event){.type = SESSION_IDENTIFIED, .identity = s->identity};
    } else if (s->tells_identify_failed) {
        s->tells_identify_failed = false;
        *ev = (struct session_event){.type = SESSION_IDENTIFY_FAILED, .err = s->identify_err};
    } else if (s->tells_rtt) {
        s->tells_rtt = false;
        *ev = (struct session_event){.type = SESSION_RTT, .rtt_ns = s->told_rtt_ns, .by_ping = s->told_rtt_by_ping};
    } else {
        return stream_waiting(s, ev);
    }
    return true;
}

static bool closed_event(struct session *s, struct session_event *ev)
{
    if (!s->tells_closed)
        return false;
    s->tells_closed = false;
    *ev = (struct session_event){.type = SESSION_CLOSED, .err = s->err, .reason = s->reason};
    return true;
}

/* Parses on until there is something to tell. */
static bool parsed_event(struct session *s, struct session_event *ev)
{
    struct yamux_event y;
    int n;

    if (s->body_rest.len && body_received(s, s->body_stream, s->body_rest, ev))
        return true;
    while (!s->err && !is_telling(s)) {
        n = yamux_next(&s->yamux, &s->rest, &y, s->now);
        if (n == 0 && !frame_next_part(s))
            return false;
        if (n < 0)
            yamux_failed(s, n);
        else if (n > 0 && yamux_event(s, &y, ev))
            return true;
    }
    return false;
}

bool session_next_event(struct session *s, struct session_event *ev)
{
    for (;;) {
        if (s->err)
            return closed_event(s, ev);
        if (told_event(s, ev))
            return true;
        if (s->phase != PHASE_OPEN)
            return false;
        if (parsed_event(s, ev))
            return true;
        if (!s->err && !is_telling(s)) {
            if (s->owes_push && !s->push_out)
                service_push(s);
            return false;
        }
    }
}

/* ---- deadlines ---- */

void session_timer_set(struct session *s, struct timer *t, uint64_t at_ns)
{
    if (timerq_set(&s->timers, t, at_ns) < 0)
        session_fail(s, -SESSION_EMEM, "no memory for a timer");
}

uint64_t session_next_deadline(const struct session *s)
{
    return s->err ? TIMER_NEVER : timerq_next(&s->timers);
}

static void keepalive_due(struct session *s)
{
    session_timer_set(s, &s->t_keepalive, s->now + s->limits.keepalive_ns);
    if (s->yamux.is_ping_out)
        return;
    yamux_ping(&s->yamux, (uint32_t)rng_u64(s->cfg.rng));
    s->bytes_in_at_ping = s->counters.bytes_in;
    session_timer_set(s, &s->t_pong, s->now + s->limits.keepalive_timeout_ns);
}

/* A pong may queue behind a lot of data: a peer that sends anything is alive. */
static void pong_overdue(struct session *s)
{
    if (s->counters.bytes_in == s->bytes_in_at_ping) {
        session_fail(s, -SESSION_EKEEPALIVE, "peer does not answer pings");
        return;
    }
    s->bytes_in_at_ping = s->counters.bytes_in;
    session_timer_set(s, &s->t_pong, s->now + s->limits.keepalive_timeout_ns);
}

void session_on_deadline(struct session *s, uint64_t now)
{
    struct timer *t;

    s->now = now;
    while (!s->err && (t = timerq_pop(&s->timers, now))) {
        switch ((enum timer_kind)t->kind) {
        case TIMER_HANDSHAKE: session_fail(s, -SESSION_ETIMEOUT, "handshake took too long"); break;
        case TIMER_KEEPALIVE: keepalive_due(s); break;
        case TIMER_PONG: pong_overdue(s); break;
        case TIMER_IDENTIFY: service_identify_failed(s, -SESSION_ETIMEOUT); break;
        case TIMER_PING: service_ping(s); break;
        case TIMER_STREAM: stream_timeout(s, CONTAINER_OF(t, struct stream, timer)); break;
        }
    }
}

/* ---- the end, and questions ---- */

void session_goaway(struct session *s)
{
    if (!s->is_up)
        session_fail(s, -SESSION_ESTATE, "left before it was up");
    else
        yamux_goaway(&s->yamux, YAMUX_CODE_NORMAL, true);
}

bool session_is_done(const struct session *s)
{
    return (s->err || s->yamux.has_sent_goaway) && !session_has_output(s);
}

bool session_is_up(const struct session *s)
{
    return s->is_up && !s->err;
}

const struct peer_id *session_peer(const struct session *s)
{
    return s->is_up ? &s->peer : NULL;
}

uint64_t session_rtt_ns(const struct session *s)
{
    return s->told_rtt_ns;
}

uint64_t session_queued_bytes(const struct session *s)
{
    return s->yamux.queued_bytes + s->held_bytes;
}

void session_local_changed(struct session *s, uint64_t now)
{
    s->now = now;
    service_push(s);
}

void session_counters_get(const struct session *s, struct session_counters *out)
{
    const struct yamux_counters *y = &s->yamux.counters;

    *out = s->counters;
    out->yamux_frames_in = y->frames_in;
    out->yamux_frames_out = y->frames_out;
    out->streams_in = y->streams_in;
    out->streams_out = y->streams_out;
    out->streams_refused_in = y->refused_in;
    out->resets_in = y->resets_in;
    out->resets_out = y->resets_out;
    out->bytes_unknown_stream = y->bytes_unknown_stream;
    out->pongs_dropped = y->pongs_dropped;
    out->pongs_unasked = y->pongs_unasked;
    out->streams_now = s->yamux.count_in + s->yamux.count_out;
}
