/* conn_out.c: the next segment of a connection: what was lost, then what is new, then a bare ACK
 * Source:  RFC 6675 5 (NextSeg), RFC 6937, RFC 8985 7.3, RFC 9293 3.8.6.2.1 (silly windows; Nagle is off), RFC 3042, RFC 9293 3.8.6.1 (probes)
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

#define SHORT_RTT_NS 512000ull

void conn_header(struct tcp_conn *c, struct tcp_out *o, uint64_t now)
{
    const struct tcp_config *cfg = &c->stack->cfg;

    *o = (struct tcp_out){.src_mac = cfg->mac,
                          .dst_mac = c->neigh->mac,
                          .src_ip = stack_our_ip(c->stack, &c->flow.remote.ip),
                          .dst_ip = &c->flow.remote.ip,
                          .src_port = c->flow.local_port,
                          .dst_port = c->flow.remote.port,
                          .seq = c->sb.nxt,
                          .ack = c->rq.nxt,
                          .flags = TCP_ACK,
                          .ttl = cfg->ttl,
                          .ip_id = c->ip_id++,
                          .gso_size = (uint16_t)c->mss,
                          .csum_partial = cfg->csum_tx};
    o->opt.has_ts = c->ts_ok;
    o->opt.ts_val = conn_ts_now(c, now);
    o->opt.ts_ecr = c->ts_recent;
}

/* Every segment carries the window and acknowledges what we have. */
static void finish(struct tcp_conn *c, struct tcp_segment *seg, struct tcp_out *o)
{
    if (c->ecn_echo && (o->flags & (TCP_ACK | TCP_SYN)) == TCP_ACK)
        o->flags |= TCP_ECE;
    if (o->flags & TCP_ACK) {
        o->wnd = conn_window(c, o->flags & TCP_SYN);
        c->last_ack_sent = c->rq.nxt;
        c->unacked_bytes = 0;
        conn_timer_clear(c, CONN_DELACK);
    }
    seg->conn = c;
    seg->seq = o->seq;
    tcp_out_build(seg, o);
    c->stack->n.tx_segments++;
    c->stack->n.tx_data_bytes += seg->payload_bytes;
    if (seg->gso_size)
        c->ip_id = (uint16_t)(c->ip_id + (seg->payload_bytes - 1) / seg->gso_size);
}

static void note_sent(struct tcp_conn *c, uint64_t now)
{
    if (!c->stuck_since_ns)
        c->stuck_since_ns = now;
    c->last_sent_ns = now;
    if (c->deadline[CONN_RTX] == TIMER_NEVER)
        conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
}

/* Largest payload of one segment handed to the port, in whole packets: what the port takes, and what leaves in a
 * millisecond, two packets at least. Where the round trip is short bursts hurt nobody. */
static uint32_t burst_bytes(const struct tcp_conn *c)
{
    uint32_t max = c->stack->cfg.gso_max_bytes, head = ip_hlen(&c->flow.remote.ip) + TCP_HLEN_MAX;

    if (max > UINT16_MAX)
        max = UINT16_MAX;
    if (max < head + 2 * c->mss)
        return c->mss;
    max -= head;
    if (c->cc.pacing_bytes_per_s) {
        uint64_t steps = c->rtt.min_ns / SHORT_RTT_NS;
        uint64_t most = cc_burst_bytes(&c->cc) + (steps < 16 ? max >> steps : 0);
        if (most < max)
            max = (uint32_t)most;
    }
    return max / c->mss * c->mss;
}

/* What a loop that comes late may make up for: a round trip. Whatever it sends then has been acknowledged or lost meanwhile. */
static uint64_t late_most_ns(const struct tcp_conn *c)
{
    uint64_t late = c->rtt.srtt_ns ? c->rtt.min_ns : 0;

    return late < PACE_LATE_NS ? PACE_LATE_NS : late < PACE_LATE_MOST_NS ? late : PACE_LATE_MOST_NS;
}

/* How late it may have been. Held by the clock alone, we know; held by the window, as long as what the ACKs of this turn brought has
 * taken to arrive: they waited for us, or came in a lump. */
static uint64_t late_ns(const struct tcp_conn *c, uint64_t now)
{
    uint64_t most = late_most_ns(c), lump;

    if (c->pace.is_holding || !c->cc.pacing_bytes_per_s)
        return most;
    lump = now == c->turn_ns ? c->turn_delivered_bytes * 1000000000ull / c->cc.pacing_bytes_per_s : 0;
    return lump < PACE_LATE_NS ? PACE_LATE_NS : lump < most ? lump : most;
}

/* The pacer lets a burst go. Else its deadline is set. */
static bool is_paced_out(struct tcp_conn *c, uint64_t now)
{
    if (!pace_is_open(&c->pace, c->cc.pacing_bytes_per_s, now)) {
        c->pace.is_holding = true;
        conn_timer_set(c, CONN_PACE, c->pace.next_ns);
        return false;
    }
    if (pace_is_too_late(&c->pace, late_most_ns(c), now)) {
        c->stack->n.pace_late++;
        sb_note_idle(&c->sb); /* the rate of this round trip is our own, not the path's */
    }
    return true;
}

static uint32_t cwnd_room(const struct tcp_conn *c)
{
    uint64_t pipe = sb_pipe(&c->sb), cwnd = c->cc.cwnd_bytes;

    if (c->sack_ok) {
        if (c->recovery == CONN_RECOVERY && !c->cc.ops->is_model)
            cwnd = c->prr.cwnd_bytes;
    } else {
        /* Duplicate ACKs: each tells of a packet that arrived. Before the third, two new ones may go (RFC 3042). */
        uint64_t out = (uint64_t)c->dupacks * c->mss;
        pipe = pipe > out ? pipe - out : 0;
    }
    return cwnd > pipe ? (uint32_t)(cwnd - pipe < UINT32_MAX ? cwnd - pipe : UINT32_MAX) : 0;
}

static void note_paced(struct tcp_conn *c, uint32_t len, uint64_t now)
{
    pace_sent(&c->pace, c->cc.pacing_bytes_per_s, (uint32_t)cc_burst_bytes(&c->cc), len, late_ns(c, now), now);
}

static void note_cwnd_limited(struct tcp_conn *c)
{
    c->is_cwnd_limited = true;
    c->limited_seq = c->sb.nxt;
}

bool conn_is_cwnd_limited(const struct tcp_conn *c)
{
    /* For the round trip in which it happened: a paced sender is held by its clock most of the time. */
    if (c->is_cwnd_limited && seq_leq(c->sb.una, c->limited_seq))
        return true;
    return cc_in_slow_start(&c->cc) && c->cc.cwnd_bytes < 2ull * sb_flight(&c->sb);
}

/* ---- SYN ---- */

static void out_syn(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    struct tcp_out o;
    bool is_answer = c->state == TCP_ST_SYN_RECEIVED;

    conn_header(c, &o, now);
    o.seq = c->iss;
    o.flags = is_answer ? TCP_SYN | TCP_ACK : TCP_SYN;
    o.flags |= conn_ecn_syn_flags(c, is_answer);
    o.wnd = conn_first_window(&c->stack->cfg);
    if (!is_answer)
        o.ack = 0;
    o.opt.has_mss = true;
    o.opt.mss = conn_our_mss(&c->stack->cfg, &c->flow.remote.ip);
    o.opt.has_sack_ok = !is_answer || c->sack_ok;
    o.opt.has_wscale = !is_answer || c->wscale_ok;
    o.opt.wscale = c->rcv_wscale;
    o.opt.has_ts = !is_answer || c->ts_ok;
    c->acks_owed = 0;
    finish(c, seg, &o);
    note_sent(c, now);
}

static bool out_first_syn(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    if (sb_reserve(&c->sb, 1)) {
        conn_retry(c, now);
        return false;
    }
    sb_sent(&c->sb, 1, 1, now);
    out_syn(c, seg, now);
    return true;
}

/* ---- again ---- */

/* Payload slices and flags of [seq, seq + len) of sequence space; returns what fits. */
static uint32_t fill(struct tcp_conn *c, struct tcp_segment *seg, struct tcp_out *o, uint32_t seq,
                     uint32_t len)
{
    uint32_t left = seq_lt(seq, c->sq.end) ? c->sq.end - seq : 0;
    uint32_t data = len < left ? len : left;
    uint32_t got = sendq_slices(&c->sq, seq, data, seg->slices, TCP_SEG_SLICES, &seg->slice_count);

    if (got < data && got > c->mss)
        got = sendq_slices(&c->sq, seq, got - got % c->mss, seg->slices, TCP_SEG_SLICES, &seg->slice_count);
    seg->payload_bytes = got;
    o->seq = seq;
    if (got == left)
        o->flags |= TCP_PSH;
    if (got < len && got == left) { /* what is beyond the data is the FIN */
        o->flags |= TCP_FIN;
        got++;
    }
    return got;
}

static void note_again(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_out *o, uint32_t len, bool is_probe,
                       uint64_t now)
{
    if (!c->rtx_ts_set) {
        c->rtx_ts_set = true;
        c->rtx_ts = o->opt.ts_val;
        c->rtx_seq = o->seq;
        /* Were it not the oldest, its ACK could answer a retransmission of an earlier recovery. */
        c->undo_armed &= o->seq == c->sb.una;
    }
    c->undo_rtx_bytes += is_probe && !conn_is_repairing(c) ? 0 : len;
    prr_sent(&c->prr, len);
    if (o->seq == c->sb.una)
        conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
    note_sent(c, now);
    conn_probe_arm(c, now);
    c->rtx_segments++;
    c->rtx_bytes += seg->payload_bytes;
    c->stack->n.tx_rtx_segments++;
    c->stack->n.tx_rtx_bytes += seg->payload_bytes;
}

static bool out_again(struct tcp_conn *c, struct tcp_segment *seg, bool is_probe, uint64_t now)
{
    uint32_t seq, room = cwnd_room(c), burst = is_probe ? c->mss : burst_bytes(c);
    uint32_t len = !conn_cut(c) ? 0 : sb_next_rtx(&c->sb, c->mss, room < burst ? room : burst, &seq);
    struct tcp_out o;

    if (!len)
        return false;
    /* The first retransmission of a recovery goes in any case (RFC 6675 5, 4.3), without SACK that of each partial
     * acknowledgement (RFC 6582 3.2). */
    if (len > room && sb_pipe(&c->sb) > 0 && !(seq == c->sb.una && (!c->rtx_ts_set || !c->sack_ok)) && !is_probe) {
        note_cwnd_limited(c);
        c->pace.is_holding = false;
        return false;
    }
    if (conn_is_handshake(c)) {
        sb_retransmitted(&c->sb, seq, len, now);
        out_syn(c, seg, now);
        c->stack->n.tx_rtx_segments++;
        return true;
    }
    /* The first of a recovery waits for nothing. */
    if (!is_probe && c->rtx_ts_set && !is_paced_out(c, now))
        return false;
    conn_header(c, &o, now);
    len = fill(c, seg, &o, seq, len);
    note_paced(c, len, now);
    sb_retransmitted(&c->sb, seq, len, now);
    finish(c, seg, &o);
    note_again(c, seg, &o, len, is_probe, now);
    return true;
}

/* ---- new ---- */

static void restart_after_idle(struct tcp_conn *c, uint64_t now)
{
    uint64_t rto = rtt_rto_ns(&c->rtt);

    if (sb_flight(&c->sb) == 0 && c->last_sent_ns && now - c->last_sent_ns >= rto && c->cc.ops->idle)
        c->cc.ops->idle(&c->cc, now - c->last_sent_ns, rto, now);
}

/* The first data after none: a first window of them goes unpaced. */
static void start(struct tcp_conn *c, uint64_t now)
{
    c->pace.free_bytes = CC_INITIAL_SEGMENTS * c->mss;
    sb_note_idle(&c->sb); /* whoever let it run dry, it was not the path */
    if (c->cc.ops->start)
        c->cc.ops->start(&c->cc, now);
}

/* How many of `avail` new bytes may go now, in whole packets unless they are the last. */
static uint32_t sendable(struct tcp_conn *c, uint32_t avail, uint32_t wnd_room, uint64_t now)
{
    uint32_t room = cwnd_room(c), n = avail, burst = burst_bytes(c);

    if (room < avail && room <= wnd_room)
        note_cwnd_limited(c);
    if (n > wnd_room)
        n = wnd_room;
    if (n > room)
        n = room;
    if (n > burst)
        n = burst;
    if (n == avail)
        return n;
    if (n >= c->mss)
        return n - n % c->mss;
    if (room < wnd_room)
        return 0; /* the congestion window holds us: ACKs will come */
    /* The peer's window holds us: half of its largest is worth a segment, else wait for more or for the probe. */
    if (n && n >= c->max_snd_wnd / 2)
        return n;
    if (sb_flight(&c->sb) == 0) {
        if (n && c->probe_now) {
            c->probe_now = false; /* waited long enough (3.8.6.2.1, override timeout) */
            return n;
        }
        if (c->deadline[CONN_PERSIST] == TIMER_NEVER)
            conn_persist(c, now);
    }
    return 0;
}

/* New data may be marked on their way (retransmissions and bare ACKs not, RFC 3168 6.1.4, 6.1.5). */
static void mark_capable(struct tcp_conn *c, struct tcp_out *o)
{
    o->ecn = IP_ECT;
    if (c->ecn_tell)
        o->flags |= TCP_CWR;
    c->ecn_tell = false;
}

static bool out_new(struct tcp_conn *c, struct tcp_segment *seg, bool is_probe, uint64_t now)
{
    bool fin = c->fin_queued && !c->fin_sent;
    uint32_t avail = c->fin_sent ? 0 : c->sq.end - c->sb.nxt;
    int32_t wnd = seq_diff(c->sb.una + c->snd_wnd, c->sb.nxt);
    uint32_t wnd_room = wnd > 0 ? (uint32_t)wnd : 0;
    struct tcp_out o;

    if (!avail && sb_pipe(&c->sb) < c->cc.cwnd_bytes && !c->sb.lost_bytes)
        sb_note_idle(&c->sb);
    if (!avail && !fin) {
        c->pace.is_holding = false;
        return false;
    }
    restart_after_idle(c, now);
    if (now >= c->mtu_raise_ns)
        conn_mtu_raise(c);
    c->is_answering |= avail && now - c->last_data_ns < c->stack->cfg.delayed_ack_ns;
    uint32_t n = sendable(c, avail, wnd_room, now);
    if (is_probe && n > c->mss)
        n = c->mss;
    else if (is_probe && !n) /* a probe goes beyond the congestion window, not beyond the peer's */
        n = avail < c->mss ? avail : c->mss;
    if (n > wnd_room)
        n = 0;
    if (n < avail)
        fin = false;
    if (!n && !fin) {
        c->pace.is_holding = false;
        return false;
    }
    if (sb_reserve(&c->sb, n / c->mss + 2)) {
        if (sb_flight(&c->sb) == 0)
            conn_retry(c, now);
        return false;
    }
    if (sb_flight(&c->sb) == 0)
        start(c, now);
    else if (!is_probe && !is_paced_out(c, now))
        return false;
    conn_header(c, &o, now);
    uint32_t len = fill(c, seg, &o, c->sb.nxt, n + fin);
    note_paced(c, len, now);
    if (c->ecn_ok && seg->payload_bytes)
        mark_capable(c, &o);
    if (o.flags & TCP_FIN)
        c->fin_sent = true;
    c->sent_bytes += seg->payload_bytes;
    sb_sent(&c->sb, len, c->mss, now);
    prr_sent(&c->prr, len);
    conn_timer_clear(c, CONN_PERSIST);
    c->acks_owed = 0;
    c->probe_now = false;
    finish(c, seg, &o);
    note_sent(c, now);
    conn_probe_arm(c, now);
    return true;
}

/* ---- probes ---- */

/* RFC 8985 7.3 */
static bool out_tail_probe(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    c->probe_is_rtx = !out_new(c, seg, true, now);
    if (c->probe_is_rtx && (!sb_mark_tail_lost(&c->sb) || !out_again(c, seg, true, now)))
        return false;
    c->stack->n.tail_probes++;
    c->probe_out = true;
    c->probe_end = c->sb.nxt;
    return true;
}

/* What is to be sent again, else the oldest missing: it fills the hole, and whatever was sent before it can be judged (RACK). */
static bool out_repair_probe(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    if (!c->sb.lost_bytes)
        sb_mark_head_lost(&c->sb);
    if (!out_again(c, seg, true, now))
        return false;
    c->stack->n.repair_probes++;
    return true;
}

static bool out_probe(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    c->probe_due = false;
    if (sb_flight(&c->sb) == 0 || conn_is_handshake(c))
        return false;
    c->probe_count++;
    return conn_is_repairing(c) ? out_repair_probe(c, seg, now) : out_tail_probe(c, seg, now);
}

/* ---- ACK ---- */

static bool out_ack(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    struct tcp_out o;

    if (!c->acks_owed && !c->probe_now)
        return false;
    conn_header(c, &o, now);
    if (c->probe_now) {
        /* One below what the peer expects and empty: it must tell us where it stands. */
        c->probe_now = false;
        c->stack->n.probe_sent++;
        o.seq = c->sb.una - 1;
    }
    if (c->acks_owed)
        c->acks_owed--;
    if (c->sack_ok) {
        o.opt.sack_count =
            (uint8_t)recvq_sacks(&c->rq, o.opt.sack, c->ts_ok ? TCP_SACK_BLOCKS - 1 : TCP_SACK_BLOCKS);
        c->acks_owed = c->rq.untold;
    }
    finish(c, seg, &o);
    return true;
}

/* The neighbour to send to is known. Else c waits on its list, or tries again later. */
static bool has_neighbour(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;

    if (!c->neigh || c->neigh->gen != c->neigh_gen) {
        c->neigh = stack_route(s, &c->flow.remote.ip, now);
        if (!c->neigh) {
            conn_retry(c, now);
            return false;
        }
        c->neigh_gen = c->neigh->gen;
    }
    if (c->neigh->state == NEIGH_KNOWN) {
        neigh_use(&s->neigh, c->neigh, now);
        return true;
    }
    list_del(&c->tx_link);
    list_push_back(&c->neigh->waiters, &c->tx_link);
    return false;
}

bool conn_output(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now)
{
    if (c->state == TCP_ST_CLOSED || !has_neighbour(c, now))
        return false;
    seg->slice_count = 0;
    seg->payload_bytes = 0;
    if (c->sb.nxt == c->iss)
        return out_first_syn(c, seg, now);
    /* Holes are told before anything else: they cost the peer time. SACK blocks do not travel with full packets. */
    if (!conn_is_handshake(c) && c->acks_owed &&
        (recvq_has_holes(&c->rq) || c->rq.dsack.lo != c->rq.dsack.hi))
        return out_ack(c, seg, now);
    if (c->probe_due && out_probe(c, seg, now))
        return true;
    if (out_again(c, seg, false, now))
        return true;
    if (conn_is_handshake(c)) /* a challenge; our SYN-ACK has its timer */
        return c->state == TCP_ST_SYN_RECEIVED && out_ack(c, seg, now);
    return out_new(c, seg, false, now) || out_ack(c, seg, now);
}
