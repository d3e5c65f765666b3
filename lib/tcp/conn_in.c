/* conn_in.c: a segment arrives (RFC 9293 3.10.7.3 and 3.10.7.4, with RFC 5961 and RFC 7323); the steps keep the RFC's
 * order and names */
#include "tcp/conn.h"
#include "tcp/stack.h"

/* A ts_recent this old says nothing (RFC 7323 5.5). */
#define PAWS_IDLE_NS  (24ull * 24 * 3600 * 1000000000ull)
#define BAD_PERIOD_NS 5000000000ull
#define BAD_ANSWERS   10

/* ---- answers to what should not have come ---- */

/* At most BAD_ANSWERS in each period (RFC 5961 7), so that two confused ends cannot keep each other busy. */
static bool may_answer(struct tcp_conn *c, uint64_t now)
{
    if (now - c->bad_period_ns >= BAD_PERIOD_NS) {
        c->bad_period_ns = now;
        c->bad_answers = 0;
    }
    if (c->bad_answers >= BAD_ANSWERS) {
        c->stack->n.drop_ack_rate++;
        return false;
    }
    c->bad_answers++;
    return true;
}

/* Data that we have already must always be answered: their sender waits for it. */
static void answer_unacceptable(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (in->payload.len > 0 || (in->flags & TCP_FIN) || may_answer(c, now))
        conn_ack_now(c);
}

static void challenge(struct tcp_conn *c, uint64_t now)
{
    if (!may_answer(c, now))
        return;
    c->stack->n.tx_challenge++;
    conn_ack_now(c);
}

/* ---- SYN-SENT ---- */

static void learn_irs(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    c->irs = in->seq;
    c->rq.nxt = in->seq + 1;
    c->rcv_adv = c->rq.nxt + conn_first_window(&c->stack->cfg);
    c->last_ack_sent = c->rq.nxt;
    conn_set_options(c, in, now);
    conn_learn_window(c, in);
}

void conn_accept_syn(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    learn_irs(c, in, now);
    c->state = TCP_ST_SYN_RECEIVED;
    conn_kick(c);
}

void conn_accept_cookie(struct tcp_conn *c, const struct tcp_in *in, const struct syncookie_facts *f, uint64_t now)
{
    struct tcp_in syn = {.seq = f->irs,
                         .flags = TCP_SYN | (f->has_ecn ? TCP_ECE | TCP_CWR : 0),
                         .opt = {.has_mss = true,
                                 .mss = f->mss,
                                 .has_sack_ok = f->has_sack,
                                 .has_wscale = f->has_wscale,
                                 .wscale = f->wscale,
                                 .has_ts = f->has_ts,
                                 .ts_val = in->opt.ts_val}};

    learn_irs(c, &syn, now);
    c->state = TCP_ST_SYN_RECEIVED;
    /* Our SYN is behind us, and nothing tells how long its answer took. */
    c->iss = in->ack - 1;
    sb_init(&c->sb, in->ack);
    sendq_init(&c->sq, in->ack);
}

static void input_syn_sent(struct tcp_conn *c, struct tcp_in *in, uint64_t now)
{
    bool has_ack = in->flags & TCP_ACK;

    /* first, ACK: iss < ack <= nxt */
    if (has_ack && (seq_leq(in->ack, c->iss) || seq_gt(in->ack, c->sb.nxt))) {
        c->stack->n.drop_ack++;
        if (!(in->flags & TCP_RST) && conn_knows_mac(c))
            stack_reset_stranger(c->stack, &c->flow.remote, in, c->neigh->mac, now);
        return;
    }
    /* second, RST */
    if (in->flags & TCP_RST) {
        if (has_ack)
            conn_finish(c, TCP_CLOSED_REFUSED);
        else
            c->stack->n.drop_rst++;
        return;
    }
    /* fourth, SYN; its payload is left for the peer to send again */
    if (!(in->flags & TCP_SYN)) {
        c->stack->n.drop_no_ack++;
        return;
    }
    learn_irs(c, in, now);
    if (!has_ack) {
        /* Both sides opened at once: our SYN goes again, as SYN-ACK. */
        c->state = TCP_ST_SYN_RECEIVED;
        sb_mark_head_lost(&c->sb);
        conn_kick(c);
        return;
    }
    conn_ack(c, in, now);
    conn_established(c, now);
    conn_ack_now(c);
}

/* ---- the checks ---- */

static bool is_timestamp_old(const struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    return seq_lt(in->opt.ts_val, c->ts_recent) && now - c->ts_recent_ns < PAWS_IDLE_NS;
}

/* True: go on. */
static bool check_timestamp(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (!c->ts_ok || (in->flags & TCP_RST))
        return true;
    if (!in->opt.has_ts) {
        if (in->flags & TCP_SYN) /* of a peer that began anew: to be challenged (RFC 5961 4) */
            return true;
        c->stack->n.drop_no_timestamp++;
        return false;
    }
    if (is_timestamp_old(c, in, now)) {
        c->stack->n.drop_paws++;
        answer_unacceptable(c, in, now);
        return false;
    }
    return true;
}

/* first, sequence number. Wider on the left than the RFC by what our last ACK leaves open: an acknowledgement that
 * overtook data is worth reading. A segment that begins at the right edge passes too: its ACK counts, its payload is
 * cut off. */
static bool check_sequence(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    uint32_t end = in->seq + tcp_in_seq_len(in);

    if (seq_geq(end, c->last_ack_sent) && seq_leq(in->seq, seq_max(c->rcv_adv, c->rq.nxt)))
        return true;
    c->stack->n.drop_window++;
    recvq_note_old(&c->rq, in->seq, in->seq + (uint32_t)in->payload.len);
    if (!(in->flags & TCP_RST))
        answer_unacceptable(c, in, now);
    return false;
}

/* second, RST (RFC 5961 3) */
static void input_rst(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (in->seq != c->rq.nxt) {
        c->stack->n.drop_rst++;
        challenge(c, now);
        return;
    }
    conn_finish(c, c->state == TCP_ST_SYN_RECEIVED ? TCP_CLOSED_REFUSED : TCP_CLOSED_RESET);
}

static void update_ts_recent(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (!c->ts_ok || !in->opt.has_ts || seq_gt(in->seq, c->last_ack_sent) ||
        is_timestamp_old(c, in, now))
        return;
    c->ts_recent = in->opt.ts_val;
    c->ts_recent_ns = now;
}

/* The peer's SYN again while we wait for its ACK: our answer was lost, or both opened at once. True: go on. */
static bool input_syn_again(struct tcp_conn *c, struct tcp_in *in, uint64_t now)
{
    if (in->flags & TCP_ACK) {
        in->flags &= (uint8_t)~TCP_SYN;
        in->seq++;
        return true;
    }
    c->stack->n.drop_syn++;
    update_ts_recent(c, in, now); /* or the peer would measure from its first SYN on (RFC 7323 4.3) */
    if (c->sb.nxt != c->iss && may_answer(c, now)) {
        sb_mark_head_lost(&c->sb);
        conn_kick(c);
    }
    return false;
}

/* fifth, ACK. True: go on. */
static bool check_ack(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (seq_gt(in->ack, c->sb.nxt)) {
        c->stack->n.drop_ack++;
        answer_unacceptable(c, in, now);
        return false;
    }
    if (seq_lt(in->ack, c->sb.una - c->max_snd_wnd)) { /* RFC 5961 5 */
        c->stack->n.drop_ack++;
        challenge(c, now);
        return false;
    }
    return true;
}

/* SYN-RECEIVED and an ACK. True: established, go on. */
static bool input_handshake_ack(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    struct tcp_stack *s = c->stack;

    if (seq_leq(in->ack, c->iss) || seq_gt(in->ack, c->sb.nxt)) {
        s->n.drop_ack++;
        if (conn_knows_mac(c))
            stack_reset_stranger(s, &c->flow.remote, in, c->neigh->mac, now);
        return false;
    }
    if (c->listener && s->open_count >= s->cfg.max_conns) {
        s->n.drop_conn_full++;
        stack_reset_conn(c, now);
        conn_finish(c, TCP_CLOSED_RESET);
        return false;
    }
    conn_established(c, now);
    return true;
}

/* ---- seventh, payload ---- */

/* Cuts what lies beyond the window or the FIN. */
static void trim_right(struct tcp_conn *c, struct tcp_in *in)
{
    uint32_t edge = c->rcv_adv;

    if (c->has_peer_fin && seq_lt(c->peer_fin_seq, edge))
        edge = c->peer_fin_seq;
    uint32_t end = in->seq + (uint32_t)in->payload.len;
    if (seq_leq(end, edge))
        return;
    uint32_t over = seq_lt(in->seq, edge) ? end - edge : (uint32_t)in->payload.len;
    c->stack->n.drop_beyond += over;
    in->payload.len -= over;
    if (over)
        in->flags &= (uint8_t)~TCP_FIN;
}

static void note_received(struct tcp_conn *c, uint32_t len, bool fills_hole, uint64_t now)
{
    bool is_quick = c->quick_acks && !c->is_answering;

    c->unacked_bytes += len;
    c->quick_acks -= is_quick;
    /* Two packets, or a frame that was several: now. A filled hole: now (RFC 5681 4.2). At the beginning and after a pause too:
     * the peer's window grows by our ACKs, and it waits for the last of a few. */
    if (fills_hole || is_quick || c->unacked_bytes >= 2 * c->rcv_mss)
        conn_ack_now(c);
    else
        conn_ack_soon(c, now);
}

/* The echo of a timestamp of ours, on data: the peer sent them when it had our ACK. */
static void measure_rtt(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (!c->ts_ok || !in->opt.has_ts || !in->opt.ts_ecr || in->payload.len < c->rcv_mss)
        return;
    uint32_t ms = conn_ts_now(c, now) - in->opt.ts_ecr;
    if (ms <= INT32_MAX)
        rcvtune_rtt(&c->tune, (ms ? ms : 1) * 1000000ull);
}

static void input_payload(struct tcp_conn *c, const struct tcp_in *in, struct buf *lent, uint64_t now)
{
    struct tcp_counters *n = &c->stack->n;
    uint32_t len = (uint32_t)in->payload.len, before = c->rq.unread_bytes, nxt = c->rq.nxt, dup = 0;
    bool had_holes = recvq_has_holes(&c->rq);
    uint32_t guess = len < c->stack->cfg.mtu_bytes ? len : TCP_MSS_DEFAULT;

    if (guess > c->rcv_mss)
        c->rcv_mss = guess;
    enum recvq_result r = recvq_insert(&c->rq, in->seq, in->payload, lent, &dup);
    n->drop_duplicate += dup;
    n->rx_data_bytes += len - dup;
    if (now - c->last_data_ns > rtt_rto_ns(&c->rtt))
        c->quick_acks = c->stack->cfg.quick_acks;
    c->last_data_ns = now;
    if (r == RECVQ_IN_ORDER) {
        measure_rtt(c, in, now);
        c->received_bytes += c->rq.unread_bytes - before;
        note_received(c, c->rq.nxt - nxt, had_holes, now);
        conn_event(c, CONN_EV_READABLE);
        if (seq_lt(c->rq.nxt, in->seq + len))
            n->drop_rx_memory++;
        return;
    }
    if (r == RECVQ_NO_MEMORY)
        n->drop_rx_memory++;
    else if (r == RECVQ_NO_ROOM)
        n->drop_ooo_limit++;
    /* Duplicate ACK: at once. With SACK as many as there are ranges to tell of, without it the peer counts them. */
    if (c->sack_ok || c->acks_owed == 0)
        conn_ack_now(c);
    else if (c->acks_owed < SB_DUP_THRESH)
        c->acks_owed++;
}

/* ---- eighth, FIN ---- */

static void input_fin(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;

    recvq_skip_fin(&c->rq);
    c->peer_fin_done = true;
    c->last_data_ns = now;
    conn_ack_now(c);
    conn_event(c, CONN_EV_PEER_CLOSED);
    switch (c->state) {
    case TCP_ST_ESTABLISHED: c->state = TCP_ST_CLOSE_WAIT; break;
    case TCP_ST_FIN_WAIT_1:
        c->state = TCP_ST_CLOSING;
        break; /* our FIN is not acknowledged, or it would be FIN_WAIT_2 */
    case TCP_ST_FIN_WAIT_2:
        timewait_enter(s, c, now);
        conn_finish(c, TCP_CLOSED_DONE);
        break;
    default: break;
    }
}

/* Our FIN is acknowledged. True: the connection is over. */
static bool on_fin_acked(struct tcp_conn *c, uint64_t now)
{
    switch (c->state) {
    case TCP_ST_FIN_WAIT_1:
        c->state = TCP_ST_FIN_WAIT_2;
        c->last_data_ns = now;
        if (c->stack->cfg.fin_wait_ns)
            conn_timer_set(c, CONN_LIFE, now + c->stack->cfg.fin_wait_ns);
        return false;
    case TCP_ST_CLOSING:
        timewait_enter(c->stack, c, now);
        conn_finish(c, TCP_CLOSED_DONE);
        return true;
    case TCP_ST_LAST_ACK: conn_finish(c, TCP_CLOSED_DONE); return true;
    default: return false;
    }
}

static void input_text(struct tcp_conn *c, struct tcp_in *in, struct buf *lent, uint64_t now)
{
    if (c->peer_fin_done) {
        if (tcp_in_seq_len(in)) {
            c->stack->n.drop_after_close++;
            conn_ack_now(c);
        }
        return;
    }
    uint32_t sent_len = (uint32_t)in->payload.len;
    trim_right(c, in);
    if (in->payload.len)
        input_payload(c, in, lent, now);
    else if (sent_len)
        conn_ack_now(c); /* all beyond the window: a probe wants to know where it is */
    if (in->flags & TCP_FIN && !c->has_peer_fin) {
        c->has_peer_fin = true;
        c->peer_fin_seq = in->seq + (uint32_t)in->payload.len;
        if (c->peer_fin_seq != c->rq.nxt)
            conn_ack_now(c);
    }
    if (c->has_peer_fin && c->rq.nxt == c->peer_fin_seq)
        input_fin(c, now);
}

void conn_input(struct tcp_conn *c, struct tcp_in *in, struct buf *lent, uint64_t now)
{
    if (c->state == TCP_ST_SYN_SENT) {
        input_syn_sent(c, in, now);
        return;
    }
    if (!check_timestamp(c, in, now))
        return;
    if (c->state == TCP_ST_SYN_RECEIVED && (in->flags & (TCP_SYN | TCP_RST)) == TCP_SYN &&
        in->seq == c->irs && !input_syn_again(c, in, now))
        return;
    if (!check_sequence(c, in, now))
        return;
    c->last_heard_ns = now;
    if (in->flags & TCP_RST) {
        input_rst(c, in, now);
        return;
    }
    /* fourth, SYN (RFC 5961 4) */
    if (in->flags & TCP_SYN) {
        c->stack->n.drop_syn++;
        challenge(c, now);
        return;
    }
    if (!(in->flags & TCP_ACK)) {
        c->stack->n.drop_no_ack++;
        return;
    }
    if (c->state == TCP_ST_SYN_RECEIVED) {
        if (!input_handshake_ack(c, in, now))
            return;
    } else if (!check_ack(c, in, now))
        return;
    update_ts_recent(c, in, now);
    if (c->ecn_ok)
        conn_ecn_received(c, in);
    conn_ack(c, in, now);
    if (c->fin_sent && c->sb.una == c->sb.nxt && on_fin_acked(c, now))
        return;
    input_text(c, in, lent, now);
}
