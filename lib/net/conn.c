/* conn.c: one connection: a pipe, the libp2p session on it, its end (role.h) */
#include <stdlib.h>

#include "net/role.h"

/* Of one connection in one turn, so that the others have theirs. No more is read than is written: what passes through is sealed before it
 * has left the cache, and does not pile up behind a slower output. */
#define READ_BUDGET    (512u << 10)
#define WRITE_BUDGET   (512u << 10)
#define LINED_BYTES    (16u << 10) /* shorter output goes behind what was before it, without gaps */
#define LEAVE_NS       3000000000ull
#define FRAME_GRACE_NS 10000000000ull /* a frame may take this long and 1 s for each FRAME_RATE bytes */
#define FRAME_RATE     (16u << 10)
#define SECOND_NS      1000000000ull
#define STALL_NS       60000000000ull /* a peer that takes nothing for so long while bytes wait for it is gone */
#define STALL_BYTES    1024u          /* less than this in one go is pings and the like, not progress */

void netconn_tell(struct netconn *c, enum net_event_type type, const char *reason)
{
    struct queued_event ev = {.type = type, .conn = c, .value = c->token, .reason = reason};

    event_queue_push(&c->net->events, &ev);
}

void netconn_mark_dirty(struct netconn *c)
{
    if (!list_is_linked(&c->dirty))
        list_push_back(&c->net->dirty, &c->dirty);
}

static uint32_t free_slot(struct net *n)
{
    for (uint32_t i = 0; i < n->nslots; i++) {
        uint32_t at = (n->free_hint + i) % n->nslots;

        if (!n->slots[at]) {
            n->free_hint = at + 1;
            return at;
        }
    }
    return UINT32_MAX;
}

struct netconn *netconn_new(struct net *n, struct pipe *pipe, const struct endpoint *remote, bool is_dialer,
                            uint64_t now)
{
    uint32_t slot = free_slot(n);
    struct netconn *c = slot == UINT32_MAX ? NULL : calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->net = n;
    c->id = (uint64_t)n->cfg.role << 56 | ++n->last_id << 16 | slot; /* 40 bits of numbers: never used up */
    c->pipe = pipe;
    c->remote = *remote;
    c->is_dialer = is_dialer;
    c->state = CONN_DIALING;
    c->begun_ns = now;
    c->deadline_ns = now + n->cfg.dial_ns;
    c->stall_deadline_ns = TIMER_NEVER;
    list_init(&c->exchanges);
    pipe->user = c;
    framer_init(&c->framer, n->cfg.max_frame_bytes, n->cfg.frame_alloc, n->cfg.frame_ctx);
    n->slots[slot] = c;
    n->counters.conns_now++;
    n->counters.handshakes_now++;
    return c;
}

void netconn_begin(struct netconn *c, uint64_t now)
{
    struct net *n = c->net;
    struct multiaddr remote;
    struct session_config cfg = {
        .identity = n->cfg.identity,
        .is_dialer = c->is_dialer,
        .expect = c->has_expect ? &c->expect : NULL,
        .accepts = n->accepts,
        .naccepts = n->nprotocols + n->nservices,
        .local = n->cfg.local,
        .remote = &remote,
        .rng = n->cfg.rng,
        .limits = {.handshake_ns = n->cfg.handshake_ns,
                   /* One frame beyond the queue's own limit: see net_send. */
                   .stream_queue_bytes = n->cfg.max_queue_bytes + UINT32_MAX},
    };

    multiaddr_of_tcp(&remote, c->remote.ip, c->remote.ip_len, c->remote.port, NULL);
    c->state = CONN_HANDSHAKE;
    c->deadline_ns = TIMER_NEVER; /* the session keeps the handshake's time */
    c->session = session_new(&cfg, now);
    if (!c->session) {
        netconn_end(c, "no memory for a session", false, now);
        return;
    }
    netconn_mark_dirty(c);
    netconn_rearm(c);
}

static void leave_handshake(struct netconn *c)
{
    c->net->counters.handshakes_now--;
    if (list_is_linked(&c->handshake)) {
        list_del(&c->handshake);
        c->net->handshakes_in--;
    }
    if (c->is_counted_ip)
        iplimit_handshake_over(&c->net->iplimit, &c->remote);
}

void netconn_end(struct netconn *c, const char *reason, bool is_polite, uint64_t now)
{
    struct net *n = c->net;
    bool was_shaking = c->state == CONN_DIALING || c->state == CONN_HANDSHAKE;

    if (c->state == CONN_OVER)
        return;
    pubsub_stream_fini(c);
    exchange_fini(c);
    if (was_shaking) {
        leave_handshake(c);
        n->counters.dials_failed += c->is_dialer;
        n->counters.handshakes_failed += !c->is_dialer;
    }
    if (c->is_counted_ip)
        iplimit_give(&n->iplimit, &c->remote);
    timerq_cancel(&n->timers, &c->timer);
    list_del(&c->dirty);
    pipe_close(c->pipe, is_polite, now);
    c->pipe = NULL;
    c->state = CONN_OVER;
    n->counters.conns_now--;
    list_push_back(&n->over, &c->over);
    if (c->is_told_up) {
        durations_add(&n->counters.lasted, now - c->begun_ns);
        netconn_tell(c, NET_EV_CONN_DOWN, reason);
    } else if (c->is_dialer) {
        netconn_tell(c, NET_EV_DIAL_FAILED, reason);
    }
}

/* The session is over: what it still says (a last GoAway) goes out, then the pipe closes in peace. */
static void end_with_last_words(struct netconn *c, const char *reason, uint64_t now)
{
    netconn_pump(c, now);
    netconn_end(c, reason, true, now);
}

static void on_up(struct netconn *c, const struct session_event *ev, uint64_t now)
{
    if (!allowlist_has(c->net->cfg.allow, ev->peer)) {
        c->net->counters.refused_peer++;
        netconn_end(c, net_err_name(NET_EALLOW), false, now);
        return;
    }
    leave_handshake(c);
    c->peer = *ev->peer;
    c->state = CONN_READY;
    c->is_told_up = true;
    if (c->is_dialer)
        c->net->counters.conns_out++;
    else
        c->net->counters.conns_in++;
    netconn_tell(c, NET_EV_CONN_UP, NULL);
}

static void copy_text(char *out, size_t cap, struct slice s)
{
    size_t len = s.len < cap ? s.len : cap - 1;

    memcpy(out, s.p, len);
    out[len] = 0;
}

static void copy_identity(struct net_identity *id, const struct session_identity *from)
{
    if (from->agent.len)
        copy_text(id->agent, sizeof(id->agent), from->agent);
    for (unsigned i = 0; i < from->nprotocols; i++)
        if (from->protocols[i].len < sizeof(id->protocols[0]) && id->nprotocols < SESSION_MAX_PROTOCOLS)
            copy_text(id->protocols[id->nprotocols++], sizeof(id->protocols[0]), from->protocols[i]);
    for (unsigned i = 0; i < from->naddrs && id->naddrs < sizeof(id->addrs) / sizeof(id->addrs[0]); i++)
        if (multiaddr_from_bytes(&id->addrs[id->naddrs], from->addrs[i]) == 0)
            id->naddrs++;
    if (from->observed.len && multiaddr_from_bytes(&id->observed, from->observed) < 0)
        id->observed.len = 0;
    if (from->record.len)
        id->record = buf_copy(from->record);
}

static void on_identified(struct netconn *c, const struct session_identity *from, const char *reason)
{
    struct queued_event ev = {.type = NET_EV_IDENTIFIED, .conn = c, .reason = reason};

    ev.identity = calloc(1, sizeof(*ev.identity));
    if (!ev.identity)
        return;
    if (from)
        copy_identity(ev.identity, from);
    if (event_queue_push(&c->net->events, &ev) < 0)
        net_identity_free(ev.identity);
}

static void on_rtt(struct netconn *c, uint64_t rtt_ns)
{
    struct queued_event ev = {.type = NET_EV_RTT, .conn = c, .value = rtt_ns};

    event_queue_push(&c->net->events, &ev);
}

static void on_event(struct netconn *c, const struct session_event *ev, uint64_t now)
{
    switch (ev->type) {
    case SESSION_UP: on_up(c, ev, now); break;
    case SESSION_IDENTIFIED: on_identified(c, ev->identity, NULL); break;
    case SESSION_IDENTIFY_FAILED: on_identified(c, NULL, session_err_name(ev->err)); break;
    case SESSION_RTT: on_rtt(c, ev->rtt_ns); break;
    case SESSION_CLOSED:
        end_with_last_words(c,
                            ev->err == -SESSION_EGOAWAY ? "closed by the peer"
                            : ev->reason                ? ev->reason
                                                        : session_err_name(ev->err),
                            now);
        break;
    default:
        if (!exchange_event(c, ev, now))
            pubsub_stream_event(c, ev, now);
    }
}

void netconn_drain(struct netconn *c, uint64_t now)
{
    struct session_event ev;

    while (c->state != CONN_OVER && session_next_event(c->session, &ev))
        on_event(c, &ev, now);
}

/* A frame that is half here has its time; the clock starts with the frame. */
static void time_frame(struct netconn *c, uint64_t now)
{
    uint32_t held = framer_held_bytes(&c->framer);

    if (held == 0)
        c->frame_deadline_ns = 0;
    else if (c->frame_deadline_ns == 0)
        c->frame_deadline_ns = now + FRAME_GRACE_NS + held / FRAME_RATE * SECOND_NS;
}

static void input(struct netconn *c, struct slice in, uint64_t now)
{
    c->net->counters.wire_bytes_in += in.len;
    while (in.len > 0 && c->state != CONN_OVER) {
        int err = session_input(c->session, &in, now);

        netconn_drain(c, now);
        if (err < 0 && c->state != CONN_OVER) {
            end_with_last_words(c, session_err_name(err),
                                now); /* CLOSED should have come; never go on after an error */
            return;
        }
    }
}

void netconn_readable(struct netconn *c, uint64_t now)
{
    size_t taken = 0;

    while (taken < READ_BUDGET && c->state != CONN_OVER && !net_is_congested(c->net)) {
        const char *reason = NULL;
        struct slice in;
        int rc = pipe_recv(c->pipe, &in, &reason);

        if (rc == PIPE_NOTHING)
            break;
        if (rc == PIPE_END || rc == PIPE_BROKEN) {
            netconn_end(c,
                        c->state == CONN_LEAVING ? "closed"
                        : reason                 ? reason
                                                 : "closed by the peer",
                        rc == PIPE_END, now);
            return;
        }
        taken += in.len;
        input(c, in, now);
    }
    if (c->state == CONN_OVER || taken == 0)
        return;
    time_frame(c, now);
    netconn_mark_dirty(c);
}

void netconn_rearm(struct netconn *c)
{
    uint64_t at = c->deadline_ns;

    if (c->session && session_next_deadline(c->session) < at)
        at = session_next_deadline(c->session);
    if (c->frame_deadline_ns && c->frame_deadline_ns < at)
        at = c->frame_deadline_ns;
    if (c->stall_deadline_ns < at)
        at = c->stall_deadline_ns;
    if (exchange_next_deadline(c) < at)
        at = exchange_next_deadline(c);
    /* A timer that fires too early is cheaper than moving it at every packet. */
    if (at != TIMER_NEVER && (!timer_is_set(&c->timer) || at < c->timer.at_ns))
        timerq_set(&c->net->timers, &c->timer, at);
}

void netconn_on_timer(struct netconn *c, uint64_t now)
{
    if (now >= c->deadline_ns) {
        netconn_end(c, c->state == CONN_DIALING ? "dial timed out" : "closed", c->is_finished, now);
        return;
    }
    if (c->frame_deadline_ns && now >= c->frame_deadline_ns) {
        c->net->counters.frames_stalled++;
        netconn_end(c, "a frame took too long", false, now);
        return;
    }
    if (now >= c->stall_deadline_ns) {
        c->net->counters.peers_stalled++;
        netconn_end(c, "the peer takes nothing", false, now);
        return;
    }
    exchange_on_deadline(c, now);
    if (c->session && now >= session_next_deadline(c->session)) {
        session_on_deadline(c->session, now);
        netconn_drain(c, now);
    }
    if (c->state == CONN_OVER)
        return;
    netconn_mark_dirty(c);
    netconn_rearm(c);
}

static void tell_writable(struct netconn *c)
{
    if (!c->wants_writable || session_queued_bytes(c->session) > c->net->cfg.max_queue_bytes / 2)
        return;
    c->wants_writable = false;
    netconn_tell(c, NET_EV_WRITABLE, NULL);
}

static void time_stall(struct netconn *c, uint32_t sent, uint64_t now)
{
    if (!c->session || sent >= STALL_BYTES || session_queued_bytes(c->session) == 0)
        c->stall_deadline_ns = TIMER_NEVER;
    else if (c->stall_deadline_ns == TIMER_NEVER)
        c->stall_deadline_ns = now + STALL_NS;
}

/* Output that is held until the peer has it is megabytes, and in no near cache when its memory is written again: there the cipher wants
 * whole lines. So of much output each frame has its own place. */
static bool is_lined(const struct netconn *c)
{
    return c->net->transport->holds_output && session_queued_bytes(c->session) >= LINED_BYTES;
}

void netconn_pump(struct netconn *c, uint64_t now)
{
    struct net *n = c->net;
    uint32_t sent = 0;

    list_del(&c->dirty);
    while (c->session && !c->is_finished && session_has_output(c->session)) {
        bool is_by_frame = is_lined(c);
        struct buf *b;
        size_t len;

        if (sent >= WRITE_BUDGET) {
            netconn_mark_dirty(c); /* the others first */
            break;
        }
        if (pipe_room(c->pipe) == 0)
            break; /* PIPE_ROOM follows */
        b = net_out_block(n, is_by_frame);
        if (!b) {
            netconn_mark_dirty(c);
            break;
        }
        len = session_output(c->session, b->data + b->len, is_by_frame ? SESSION_OUTPUT_MIN : b->cap - b->len, now);
        if (len == 0)
            break;
        pipe_send(c->pipe, b, b->len, (uint32_t)len, now);
        b->len += (uint32_t)len;
        sent += (uint32_t)len;
    }
    n->counters.wire_bytes_out += sent;
    time_stall(c, sent, now);
}

/* One turn's output of a connection, and what follows from it. */
void netconn_flush(struct netconn *c, uint64_t now)
{
    netconn_pump(c, now);
    if (!c->session)
        return;
    netconn_drain(c, now);
    if (c->state == CONN_OVER)
        return;
    tell_writable(c);
    if (c->state == CONN_LEAVING && !c->is_finished && session_is_done(c->session) &&
        !session_has_output(c->session)) {
        c->is_finished = true; /* all is said: now the peer's end, or the deadline */
        pipe_finish(c->pipe);
    }
    netconn_rearm(c);
}

void netconn_leave(struct netconn *c, uint64_t now)
{
    c->state = CONN_LEAVING;
    c->deadline_ns = now + LEAVE_NS;
    session_goaway(c->session);
    netconn_drain(c, now);
    if (c->state == CONN_OVER)
        return;
    netconn_mark_dirty(c);
    netconn_rearm(c);
}
