/* conn_api.c: what the user does with connections (tcp.h) */
#include <assert.h>

#include "tcp/conn.h"
#include "tcp/stack.h"

#define TUNE_FINE_NS 2000000ull
#define TUNE_RTT_NS  50000000ull /* before anything is known */

/* ---- connect ---- */

/* 0: these endpoints may be used, and no TIME_WAIT holds them any more. */
static int claim(struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t port, uint64_t now)
{
    struct flow *f = table_find(&s->table, remote, port);

    if (!f)
        return 0;
    if (f->kind != FLOW_TIMEWAIT || !timewait_is_reusable(CONTAINER_OF(f, struct timewait, flow), now))
        return -TCP_EINUSE;
    s->n.timewait_reused++;
    timewait_free(s, CONTAINER_OF(f, struct timewait, flow));
    return 0;
}

/* RFC 6056 algorithm 1. 0: none is free. */
static uint16_t choose_port(struct tcp_stack *s, const struct ip_endpoint *remote, uint64_t now)
{
    uint32_t n = s->cfg.port_max - s->cfg.port_min + 1u;
    uint32_t start = (uint32_t)rng_below(s->rng, n);

    for (uint32_t i = 0; i < n; i++) {
        uint16_t port = (uint16_t)(s->cfg.port_min + (start + i) % n);
        if (!stack_listener(s, port) && claim(s, remote, port, now) == 0)
            return port;
    }
    return 0;
}

int tcp_connect(struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port, void *user,
                struct tcp_conn **out, uint64_t now)
{
    const struct ip_addr *ours = stack_our_ip(s, &remote->ip);

    if (!ip_is_host(&remote->ip) || remote->port == 0 || ours->family == IP_NONE || ip_addr_is_equal(&remote->ip, ours))
        return -TCP_EADDR;
    if (s->open_count >= s->cfg.max_conns)
        return -TCP_EFULL;
    if (local_port) {
        if (claim(s, remote, local_port, now))
            return -TCP_EINUSE;
    } else if (!(local_port = choose_port(s, remote, now)))
        return -TCP_ENOPORT;
    struct tcp_conn *c = conn_new(s, remote, local_port, now);
    if (!c)
        return -TCP_ENOMEM;
    s->open_count++;
    s->n.conn_active++;
    c->user = user;
    c->state = TCP_ST_SYN_SENT;
    table_add(&s->table, &c->flow);
    c->in_table = true;
    conn_timer_set(c, CONN_LIFE, now + s->cfg.syn_timeout_ns);
    conn_kick(c);
    *out = c;
    return 0;
}

void tcp_conn_set_user(struct tcp_conn *c, void *user)
{
    c->user = user;
}

void *tcp_conn_user(const struct tcp_conn *c)
{
    return c->user;
}

/* ---- send ---- */

/* Two windows: one in flight, one to follow it without waiting for the user. Unless the stack is short. */
uint32_t conn_send_limit(const struct tcp_conn *c)
{
    const struct tcp_config *cfg = &c->stack->cfg;
    uint64_t wanted = 2 * c->cc.cwnd_bytes;

    if (wanted <= cfg->send_buf_bytes || cfg->send_buf_max_bytes <= cfg->send_buf_bytes ||
        c->stack->tx_bytes > cfg->tx_pool_bytes / 2)
        return cfg->send_buf_bytes;
    return wanted < cfg->send_buf_max_bytes ? (uint32_t)wanted : cfg->send_buf_max_bytes;
}

uint32_t tcp_send_room(const struct tcp_conn *c)
{
    const struct tcp_stack *s = c->stack;
    uint32_t queued = sendq_bytes(&c->sq), limit = conn_send_limit(c);
    uint32_t room = queued < limit && !sendq_is_full(&c->sq) ? limit - queued : 0;
    uint64_t pool = s->tx_bytes < s->cfg.tx_pool_bytes ? s->cfg.tx_pool_bytes - s->tx_bytes : 0;

    return c->state == TCP_ST_CLOSED || c->fin_queued ? 0 : room < pool ? room : (uint32_t)pool;
}

/* The next acknowledgement, ours or another connection's, brings WRITABLE. */
static void note_short(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;

    c->is_short = true;
    if (s->tx_bytes >= s->cfg.tx_pool_bytes && !list_is_linked(&c->starved_link))
        list_push_back(&s->starved, &c->starved_link);
}

int tcp_send_buf(struct tcp_conn *c, struct buf *b, uint32_t off, uint32_t len)
{
    uint32_t room = tcp_send_room(c), n = len < room ? len : room;

    assert(len <= INT32_MAX);
    if (c->state == TCP_ST_CLOSED || c->fin_queued)
        return -TCP_ECLOSED;
    if (n && sendq_push(&c->sq, b, b->data + off, n))
        return -TCP_ENOMEM;
    c->stack->tx_bytes += n;
    if (n < len)
        note_short(c);
    if (n && !conn_is_handshake(c))
        conn_kick(c);
    return (int)n;
}

/* ---- receive ---- */

unsigned tcp_recv_peek(const struct tcp_conn *c, struct slice *slices, unsigned n)
{
    return recvq_peek(&c->rq, slices, n);
}

uint32_t tcp_recv_unread(const struct tcp_conn *c)
{
    return c->rq.unread_bytes;
}

/* Worth a segment of its own: a quarter of the buffer, or the peer is about to run against the edge. */
static bool is_update_due(const struct tcp_conn *c)
{
    uint32_t gain = conn_window_gain(c), quarter = c->recv_buf_bytes / 4;
    uint32_t two = 2 * c->rcv_mss, least = two < quarter ? two : quarter;

    return gain >= quarter || (seq_diff(c->rcv_adv, c->rq.nxt) < (int32_t)quarter && gain >= least);
}

/* Who reads fast gets a larger buffer. Timestamps tick in ms: on shorter paths our own measure is better. */
static void tune(struct tcp_conn *c, uint32_t n)
{
    uint64_t rtt = c->tune.rtt_ns, srtt = c->rtt.srtt_ns;

    if (!rtt || (srtt && srtt < TUNE_FINE_NS && rtt <= TUNE_FINE_NS))
        rtt = srtt ? srtt : TUNE_RTT_NS;
    c->recv_buf_bytes =
        rcvtune_read(&c->tune, n, rtt, c->recv_buf_bytes, c->stack->cfg.recv_buf_bytes, c->stack->now_ns);
}

void tcp_recv_consume(struct tcp_conn *c, uint32_t n)
{
    recvq_consume(&c->rq, n);
    tune(c, n);
    if (c->state == TCP_ST_CLOSED) {
        if (c->rq.unread_bytes == 0 && list_is_linked(&c->tx_link)) {
            list_del(&c->tx_link); /* off the unread list */
            conn_event(c, CONN_EV_CLOSED);
        }
        return;
    }
    if (!c->peer_fin_done && is_update_due(c))
        conn_ack_now(c);
}

/* ---- end ---- */

void tcp_close(struct tcp_conn *c)
{
    if (c->fin_queued)
        return;
    switch (c->state) {
    case TCP_ST_SYN_SENT:
        c->fin_queued = true;
        conn_finish(c, TCP_CLOSED_DONE);
        return;
    case TCP_ST_ESTABLISHED: c->state = TCP_ST_FIN_WAIT_1; break;
    case TCP_ST_CLOSE_WAIT: c->state = TCP_ST_LAST_ACK; break;
    case TCP_ST_SYN_RECEIVED: break; /* conn_established goes on */
    default: return;
    }
    c->fin_queued = true;
    c->moved_ns = c->stack->now_ns;
    conn_kick(c);
}

void tcp_abort(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;

    if (c->state != TCP_ST_CLOSED) {
        s->n.conn_aborted++;
        stack_reset_conn(c, s->now_ns);
    }
    conn_free(c);
}

const char *tcp_state_name(enum tcp_state s)
{
    switch (s) {
    case TCP_ST_SYN_SENT: return "syn-sent";
    case TCP_ST_SYN_RECEIVED: return "syn-received";
    case TCP_ST_ESTABLISHED: return "established";
    case TCP_ST_FIN_WAIT_1: return "fin-wait-1";
    case TCP_ST_FIN_WAIT_2: return "fin-wait-2";
    case TCP_ST_CLOSE_WAIT: return "close-wait";
    case TCP_ST_CLOSING: return "closing";
    case TCP_ST_LAST_ACK: return "last-ack";
    case TCP_ST_CLOSED: return "closed";
    }
    return "unknown";
}

void tcp_conn_info(const struct tcp_conn *c, struct tcp_conn_info *o)
{
    int32_t rcv_wnd = seq_diff(c->rcv_adv, c->rq.nxt);

    *o = (struct tcp_conn_info){.state = c->state,
                                .local = {*stack_our_ip(c->stack, &c->flow.remote.ip), c->flow.local_port},
                                .remote = c->flow.remote,
                                .sack = c->sack_ok,
                                .timestamps = c->ts_ok,
                                .window_scale = c->wscale_ok,
                                .mss_bytes = c->mss,
                                .srtt_ns = c->rtt.srtt_ns,
                                .rttvar_ns = c->rtt.rttvar_ns,
                                .rto_ns = rtt_rto_ns(&c->rtt),
                                .min_rtt_ns = c->rtt.srtt_ns ? c->rtt.min_ns : 0,
                                .cwnd_bytes = c->cc.cwnd_bytes,
                                .ssthresh_bytes = c->cc.ssthresh_bytes,
                                .in_flight_bytes = sb_pipe(&c->sb),
                                .snd_wnd_bytes = c->snd_wnd,
                                .rcv_wnd_bytes = rcv_wnd > 0 ? (uint32_t)rcv_wnd : 0,
                                .send_queued_bytes = sendq_bytes(&c->sq),
                                .unread_bytes = c->rq.unread_bytes,
                                .sent_bytes = c->sent_bytes,
                                .acked_bytes = c->acked_bytes,
                                .received_bytes = c->received_bytes,
                                .rtx_segments = c->rtx_segments,
                                .rtx_bytes = c->rtx_bytes,
                                .rto_count = c->rto_count,
                                .recovery_count = c->recovery_count};
}
