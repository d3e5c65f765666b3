#include "tcp/conn.h"

#include <assert.h>

#include "tcp/isn.h"
#include "tcp/stack.h"

#define WINDOW_UNDER_PRESSURE_SEGMENTS 4

uint16_t conn_our_mss(const struct tcp_config *cfg, const struct ip_addr *remote)
{
    return (uint16_t)(cfg->mtu_bytes - ip_hlen(remote) - TCP_HLEN);
}

uint16_t conn_mss_default(const struct ip_addr *remote)
{
    return remote->family == IP_V6 ? TCP_MSS_DEFAULT6 : TCP_MSS_DEFAULT;
}

static uint32_t first_buffer(const struct tcp_config *cfg)
{
    uint32_t first = cfg->recv_buf_first_bytes;

    return first && first < cfg->recv_buf_bytes ? first : cfg->recv_buf_bytes;
}

uint16_t conn_first_window(const struct tcp_config *cfg)
{
    uint32_t first = first_buffer(cfg);

    return first < UINT16_MAX ? (uint16_t)first : UINT16_MAX;
}

uint8_t conn_window_scale(const struct tcp_config *cfg)
{
    uint32_t bytes = cfg->recv_buf_bytes;
    uint8_t s = 0;

    while (s < TCP_WSCALE_MAX && bytes >> s > UINT16_MAX)
        s++;
    return s;
}

struct tcp_conn *conn_new(struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port,
                          uint64_t now)
{
    struct tcp_conn *c = slab_get(&s->conns);

    if (!c)
        return NULL;
    memset(c, 0, sizeof(*c));
    c->flow = (struct flow){.remote = *remote, .local_port = local_port, .kind = FLOW_CONN};
    c->stack = s;
    c->timer.kind = CONN_TIMER_KIND;
    for (unsigned i = 0; i < CONN_DEADLINES; i++)
        c->deadline[i] = TIMER_NEVER;
    c->iss = isn_make(s->isn_key, remote, local_port, now);
    sb_init(&c->sb, c->iss);
    sendq_init(&c->sq, c->iss + 1);
    recvq_init(&c->rq, &s->rxpool, 0);
    rack_init(&c->rack);
    rtt_init(&c->rtt, s->cfg.rto_min_ns, s->cfg.rto_max_ns);
    c->mtu_bytes = s->cfg.mtu_bytes;
    c->mtu_raise_ns = UINT64_MAX;
    c->recv_buf_bytes = first_buffer(&s->cfg);
    c->peer_mss = conn_mss_default(&remote->ip);
    cc_init(&c->cc, s->cfg.cc == TCP_CC_BBR ? &cc_bbr_ops : &cc_cubic_ops, TCP_MSS_DEFAULT, c->iss);
    conn_set_mss(c, true);
    c->rcv_wscale = conn_window_scale(&s->cfg);
    c->rcv_mss = TCP_MSS_DEFAULT;
    c->ts_offset = (uint32_t)flow_hash(s->ts_key, remote, local_port);
    c->last_heard_ns = now;
    return c;
}

static void leave_lists(struct tcp_conn *c)
{
    if (c->in_table)
        table_del(&c->stack->table, &c->flow);
    c->in_table = false;
    list_del(&c->tx_link);
    list_del(&c->starved_link);
    timerq_cancel(&c->stack->timers, &c->timer);
}

static void drop_queues(struct tcp_conn *c)
{
    uint32_t bytes = sendq_bytes(&c->sq);

    sendq_fini(&c->sq);
    sb_fini(&c->sb);
    stack_tx_freed(c->stack, bytes);
}

void conn_free(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;

    leave_lists(c);
    list_del(&c->event_link);
    if (list_is_linked(&c->half_link))
        listen_forget_half(c);
    else
        s->open_count--;
    drop_queues(c);
    recvq_fini(&c->rq);
    if (s->dying == c)
        s->dying = NULL;
    slab_put(&s->conns, c);
}

static void count_reason(struct tcp_counters *n, enum tcp_reason reason)
{
    switch (reason) {
    case TCP_CLOSED_RESET: n->conn_reset++; break;
    case TCP_CLOSED_TIMEOUT: n->conn_timeout++; break;
    case TCP_CLOSED_REFUSED: n->conn_refused++; break;
    default: break;
    }
}

void conn_finish(struct tcp_conn *c, enum tcp_reason reason)
{
    c->state = TCP_ST_CLOSED;
    c->reason = reason;
    if (list_is_linked(&c->half_link)) {
        c->stack->n.drop_half_open++;
        conn_free(c);
        return;
    }
    count_reason(&c->stack->n, reason);
    leave_lists(c);
    drop_queues(c);
    if (reason != TCP_CLOSED_DONE || c->rq.unread_bytes == 0)
        conn_event(c, CONN_EV_CLOSED);
    else
        list_push_back(&c->stack->unread, &c->tx_link);
}

void conn_event(struct tcp_conn *c, enum conn_event ev)
{
    if (list_is_linked(&c->half_link))
        return;
    c->events |= ev;
    if (!list_is_linked(&c->event_link))
        list_push_back(&c->stack->events, &c->event_link);
}

void conn_set_options(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    const struct tcp_options *o = &in->opt;

    if (o->has_mss)
        c->peer_mss = o->mss > TCP_MSS_MIN ? o->mss : TCP_MSS_MIN;
    c->sack_ok = o->has_sack_ok;
    c->ts_ok = o->has_ts;
    c->wscale_ok = o->has_wscale;
    conn_ecn_negotiate(c, in);
    if (c->wscale_ok)
        c->snd_wscale = o->wscale;
    else
        c->rcv_wscale = 0;
    if (c->ts_ok) {
        c->ts_recent = o->ts_val;
        c->ts_recent_ns = now;
    }
    conn_set_mss(c, true);
}

void conn_established(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;

    c->state = TCP_ST_ESTABLISHED;
    s->n.conn_established++;
    /* RFC 6928 2: who loses more than one SYN starts carefully. Here, as the peer's options set the window anew. */
    if (c->syn_timeouts > 1)
        c->cc.cwnd_bytes = c->mss;
    conn_timer_clear(c, CONN_LIFE);
    if (s->cfg.keepalive_idle_ns)
        conn_timer_set(c, CONN_KEEP, now + s->cfg.keepalive_idle_ns);
    if (c->listener) {
        listen_forget_half(c);
        s->open_count++;
        conn_event(c, CONN_EV_ACCEPTED);
    } else
        conn_event(c, CONN_EV_CONNECTED);
    if (c->fin_queued)
        c->state = TCP_ST_FIN_WAIT_1;
    if (sendq_bytes(&c->sq) || c->fin_queued)
        conn_kick(c);
}

void conn_kick(struct tcp_conn *c)
{
    if (!list_is_linked(&c->tx_link) && c->state != TCP_ST_CLOSED)
        list_push_back(&c->stack->tx, &c->tx_link);
}

void conn_ack_now(struct tcp_conn *c)
{
    if (!c->acks_owed)
        c->acks_owed = 1;
    conn_kick(c);
}

void conn_ack_soon(struct tcp_conn *c, uint64_t now)
{
    if (c->deadline[CONN_DELACK] == TIMER_NEVER)
        conn_timer_set(c, CONN_DELACK, now + c->stack->cfg.delayed_ack_ns);
}

uint32_t conn_ts_now(const struct tcp_conn *c, uint64_t now)
{
    return (uint32_t)(now / 1000000) + c->ts_offset;
}

/* ---- our window ---- */

/* The right edge we would like to announce. */
static uint32_t wanted_edge(const struct tcp_conn *c)
{
    const struct rxpool *p = c->rq.pool;
    uint32_t buf = c->recv_buf_bytes, unread = c->rq.unread_bytes;
    uint32_t room = buf > unread ? buf - unread : 0;
    uint32_t least = WINDOW_UNDER_PRESSURE_SEGMENTS * c->rcv_mss, most = (uint32_t)UINT16_MAX << c->rcv_wscale;

    if (room > most) /* what the header can say */
        room = most;
    /* The whole stack is short: nobody is invited to send more than keeps the stream alive. */
    if (p->used_bytes > p->max_bytes / 4 * 3 && room > least)
        room = least;
    return c->rq.nxt + room;
}

uint32_t conn_window_gain(const struct tcp_conn *c)
{
    int32_t gain = seq_diff(wanted_edge(c), c->rcv_adv);

    return gain > 0 ? (uint32_t)gain : 0;
}

uint16_t conn_window(struct tcp_conn *c, bool is_syn)
{
    uint32_t gain = conn_window_gain(c), half = c->recv_buf_bytes / 2;
    uint32_t step = c->rcv_mss < half ? c->rcv_mss : half;
    /* RFC 9293 3.8.6.2.2: the edge moves in whole packets or not at all, and never back. */
    uint32_t edge = gain >= step ? c->rcv_adv + gain : c->rcv_adv;
    int32_t wnd = seq_diff(edge, c->rq.nxt);
    unsigned shift = is_syn ? 0 : c->rcv_wscale;

    if (wnd < 0)
        wnd = 0;
    uint32_t field = (uint32_t)wnd >> shift;
    if (seq_lt(c->rq.nxt + (field << shift), c->rcv_adv))
        field++;
    if (field > UINT16_MAX)
        field = UINT16_MAX;
    c->rcv_adv = seq_max(c->rcv_adv, c->rq.nxt + (field << shift));
    return (uint16_t)field;
}
