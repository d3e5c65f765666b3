/* session_service.c: the streams that the session keeps for itself.
 *
 *                 we open it                                they open it
 *     identify    read to the end, keep, tell               one message, FIN
 *     push        one message, FIN (our facts changed)      read to the end, merge, tell
 *     ping        one block, read its echo, FIN             echo every block, FIN after theirs
 *
 * All but their pings end by the stream's timer at the latest.
 */
#include <stdlib.h>

#include "libp2p/identify_wire.h"
#include "libp2p/session_pvt.h"

/* The spec allows two at a time; a peer's monitor and its user may meet. */
#define ECHOES_MAX 4
/* Partly received pushes: each may hold an identify message. */
#define PUSHES_MAX 2

static bool send_identify(struct session *s, struct stream *st, bool is_push)
{
    uint8_t out[IDENTIFY_WRITE_MAX];
    size_t n = identify_create(s, is_push, out, sizeof(out));

    s->told_version = s->cfg.local->version;
    if (!n || stream_copy(s, st, slice_of(out, n)) < 0) {
        stream_kill(s, st);
        return false;
    }
    stream_close(s, st);
    return true;
}

static bool start_reader(struct session *s, struct stream *st)
{
    st->service.reader = identify_reader_new();
    if (st->service.reader)
        return true;
    stream_kill(s, st);
    return false;
}

static void start_theirs(struct session *s, struct stream *st)
{
    switch (st->kind) {
    case KIND_IDENTIFY: send_identify(s, st, false); break;
    case KIND_PUSH:
        if (s->pushes_in++ < PUSHES_MAX)
            start_reader(s, st);
        else
            stream_kill(s, st);
        break;
    default:
        timerq_cancel(&s->timers, &st->timer);
        if (s->echoes++ >= ECHOES_MAX)
            stream_kill(s, st);
        break;
    }
}

void service_start(struct session *s, struct stream *st)
{
    if (!st->is_ours)
        start_theirs(s, st);
}

static void echo(struct session *s, struct stream *st, struct slice data)
{
    while (ping_echo_input(&st->service.echo, &data)) {
        /* Who asks faster than it reads the answers is dropped. */
        if (st->y->queue.bytes > 64 * PING_BLOCK_BYTES ||
            stream_copy(s, st, slice_of(st->service.echo.block, PING_BLOCK_BYTES)) < 0) {
            stream_kill(s, st);
            return;
        }
        s->counters.pings_answered++;
    }
}

static void read_probe(struct session *s, struct stream *st, struct slice data)
{
    uint64_t rtt_ns;
    int n = ping_probe_input(&st->service.probe, data, &rtt_ns, s->now);

    if (n < 0) {
        stream_kill(s, st);
    } else if (n > 0) {
        session_rtt_measured(s, rtt_ns, true);
        stream_close(s, st);
    }
}

static void read_identify(struct session *s, struct stream *st, struct slice data)
{
    bool is_push = st->kind == KIND_PUSH;

    if (identify_reader_input(st->service.reader, data) == 0)
        return;
    s->counters.identify_bad++;
    stream_kill(s, st);
    if (!is_push)
        service_identify_failed(s, -SESSION_ELIMIT);
}

void service_body(struct session *s, struct stream *st, struct slice data)
{
    if (st->kind == KIND_PING && !st->is_ours)
        echo(s, st, data);
    else if (st->kind == KIND_PING)
        read_probe(s, st, data);
    else if (st->is_ours == (st->kind == KIND_IDENTIFY))
        read_identify(s, st, data);
    /* The rest: words to a stream on which only we speak. */
}

static void identify_ended(struct session *s, struct stream *st)
{
    bool is_push = st->kind == KIND_PUSH;

    if (identify_finish(s, st->service.reader, is_push) < 0) {
        s->counters.identify_bad++;
        if (!is_push)
            service_identify_failed(s, -SESSION_ENOISE);
        return;
    }
    s->counters.pushes_in += is_push;
    if (!is_push) {
        s->has_identify_ended = true;
        timerq_cancel(&s->timers, &s->t_identify);
    }
    s->tells_identity = true;
    service_push(s); /* it may be that only now we know that it takes them */
}

void service_eof(struct session *s, struct stream *st)
{
    if (st->kind != KIND_PING && st->is_ours == (st->kind == KIND_IDENTIFY))
        identify_ended(s, st);
    stream_close(s, st);
    if (yamux_stream_is_over(st->y)) {
        yamux_stream_drop(&s->yamux, st->y);
        stream_free(s, st);
    }
}

void service_ended(struct session *s, struct stream *st)
{
    bool reads = st->kind != KIND_PING && st->is_ours == (st->kind == KIND_IDENTIFY);

    if (st->kind == KIND_APP)
        return;
    if (reads && (st->is_talking || st->is_ours))
        identify_reader_free(st->service.reader);
    if (!st->is_ours && st->is_talking) {
        s->echoes -= st->kind == KIND_PING;
        s->pushes_in -= st->kind == KIND_PUSH;
    }
    if (s->push_out == st)
        s->push_out = NULL;
    if (s->ping_out == st)
        s->ping_out = NULL;
    if (st->is_ours && st->kind == KIND_IDENTIFY)
        service_identify_failed(s, -SESSION_ENOSTREAM); /* nothing, if it had ended well */
}

/* ---- ours ---- */

void service_identify_failed(struct session *s, int err)
{
    if (s->has_identify_ended)
        return;
    s->has_identify_ended = true;
    s->tells_identify_failed = true;
    s->identify_err = err;
    timerq_cancel(&s->timers, &s->t_identify);
}

void service_up(struct session *s)
{
    struct stream *st;

    session_timer_set(s, &s->t_identify, s->now + s->limits.identify_ns);
    if (s->limits.ping_ns)
        session_timer_set(s, &s->t_ping, s->now + s->limits.ping_ns);
    st = stream_open_service(s, KIND_IDENTIFY);
    if (!st || !start_reader(s, st))
        service_identify_failed(s, -SESSION_EMEM);
}

void service_ping(struct session *s)
{
    struct stream *st;

    session_timer_set(s, &s->t_ping, s->now + s->limits.ping_ns);
    if (s->ping_out || !(st = stream_open_service(s, KIND_PING)))
        return;
    s->ping_out = st;
    ping_probe_init(&st->service.probe, s->cfg.rng, s->now);
    if (stream_copy(s, st, slice_of(st->service.probe.block, PING_BLOCK_BYTES)) < 0)
        stream_kill(s, st);
}

void service_push(struct session *s)
{
    struct stream *st;

    if (!session_is_up(s) || !s->takes_push || s->told_version == s->cfg.local->version)
        return;
    s->owes_push = s->push_out != NULL;
    if (s->owes_push)
        return;
    st = stream_open_service(s, KIND_PUSH);
    if (!st)
        return;
    s->push_out = st;
    if (send_identify(s, st, true))
        s->counters.pushes_out++;
}
