/* conn_ack.c: acknowledgements, loss recovery and retransmission timeouts
 * Source:  RFC 9293 3.10.7.4 (fifth), 6675 (recovery), 6582 (without SACK), 3522 (Eifel detection), 2883, 5681, 6298
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

void conn_learn_window(struct tcp_conn *c, const struct tcp_in *in)
{
    uint32_t wnd = in->wnd;

    if (!(in->flags & TCP_SYN)) /* in a SYN it is never scaled */
        wnd <<= c->snd_wscale;
    if (wnd > c->snd_wnd)
        conn_kick(c);
    c->snd_wnd = wnd;
    if (wnd > c->max_snd_wnd)
        c->max_snd_wnd = wnd;
    c->snd_wl1 = in->seq;
    c->snd_wl2 = in->ack;
}

static bool is_newer_window(const struct tcp_conn *c, const struct tcp_in *in)
{
    return seq_lt(c->snd_wl1, in->seq) || (c->snd_wl1 == in->seq && seq_leq(c->snd_wl2, in->ack));
}

/* ---- samples ---- */

/* Timestamps tick in ms: for acknowledged retransmissions only, where nothing better exists. */
static uint64_t timestamp_rtt(const struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    if (!c->ts_ok || !in->opt.has_ts || !in->opt.ts_ecr)
        return 0;
    uint32_t ms = conn_ts_now(c, now) - in->opt.ts_ecr;
    if (ms > INT32_MAX)
        return 0;
    return ms ? ms * 1000000ull : 500000;
}

static uint64_t take_rtt(struct tcp_conn *c, const struct tcp_in *in, const struct sb_news *news,
                         uint64_t now)
{
    uint64_t rtt = 0;

    if (news->sent_ns)
        rtt = now > news->sent_ns ? now - news->sent_ns : 1;
    else if (news->acked_bytes)
        rtt = timestamp_rtt(c, in, now);
    if (!rtt)
        return 0;
    rtt_sample(&c->rtt, rtt, sb_flight(&c->sb) / (2 * c->mss) + 1);
    rtt_progress(&c->rtt);
    return rtt;
}

/* ---- recovery ---- */

static void recovery_begin(struct tcp_conn *c, enum conn_recovery how)
{
    c->recovery = how;
    c->recover = c->sb.nxt;
    c->undo_armed = true;
    c->rtx_ts_set = false;
}

static void enter_fast_recovery(struct tcp_conn *c, uint64_t now)
{
    c->stack->n.fast_recovery++;
    c->recovery_count++;
    recovery_begin(c, CONN_RECOVERY);
    c->cc.ops->congestion(&c->cc, sb_pipe(&c->sb), now);
    conn_kick(c);
}

/* RFC 3522: the ACK that reaches beyond the first segment we sent again echoes a timestamp older than that: it answers
 * the original, which was only late. */
static void detect_spurious(struct tcp_conn *c, const struct tcp_in *in, struct sb_news *news, uint64_t now)
{
    if (c->recovery == CONN_OPEN || !c->undo_armed || !news->acked_bytes || !c->rtx_ts_set)
        return;
    if (!c->ts_ok || !in->opt.has_ts || seq_leq(c->sb.una, c->rtx_seq))
        return;
    c->undo_armed = false;
    if (seq_geq(in->opt.ts_ecr, c->rtx_ts))
        return;
    c->stack->n.spurious_undone++;
    c->cc.ops->undo(&c->cc, now);
    sb_unmark_lost(&c->sb);
    news->lost_bytes = 0; /* also what this ACK made us believe: the next one judges anew */
    c->recovery = CONN_OPEN;
    c->dupacks = 0;
}

/* Without SACK: RFC 6582. Each duplicate stands for one packet that left the network (conn_out.c counts it so). */
static void recover_without_sack(struct tcp_conn *c, const struct sb_news *news, bool is_dup, uint64_t now)
{
    if (news->acked_bytes) {
        uint32_t acked = news->acked_bytes / c->mss, left = c->dupacks + 1;
        if (c->recovery == CONN_RECOVERY) { /* partial: the next hole, and one packet has left for it (3.2, step 3) */
            c->dupacks = left > acked ? left - acked : 0;
            sb_mark_head_lost(&c->sb);
            conn_kick(c);
        } else
            c->dupacks = 0;
        return;
    }
    if (!is_dup)
        return;
    c->dupacks++;
    conn_kick(c); /* limited transmit (RFC 3042), or inflation during recovery */
    if (c->recovery == CONN_OPEN && c->dupacks == SB_DUP_THRESH) {
        enter_fast_recovery(c, now);
        sb_mark_head_lost(&c->sb);
    }
}

static void recover(struct tcp_conn *c, const struct sb_news *news, bool is_dup, uint64_t now)
{
    if (c->recovery != CONN_OPEN && seq_geq(c->sb.una, c->recover)) {
        c->recovery = CONN_OPEN;
        c->undo_armed = false;
        c->dupacks = 0;
    }
    if (!c->sack_ok)
        recover_without_sack(c, news, is_dup, now);
    else if (news->lost_bytes && c->recovery == CONN_OPEN)
        enter_fast_recovery(c, now);
}

/* ---- SACK ---- */

static void take_sacks(struct tcp_conn *c, const struct tcp_in *in, struct sb_news *news)
{
    const struct tcp_options *o = &in->opt;
    unsigned i = 0;

    if (!c->sack_ok || !o->sack_count)
        return;
    /* RFC 2883 4: the first block is a duplicate if it lies below the ACK or inside the second. */
    if (seq_leq(o->sack[0].hi, in->ack) || (o->sack_count > 1 && seq_geq(o->sack[0].lo, o->sack[1].lo) &&
                                            seq_leq(o->sack[0].hi, o->sack[1].hi))) {
        c->stack->n.dsack_seen++;
        i = 1;
    }
    for (; i < o->sack_count; i++)
        sb_sack(&c->sb, o->sack[i].lo, o->sack[i].hi, news);
}

/* ---- the ACK ---- */

static void on_progress(struct tcp_conn *c, uint64_t now)
{
    struct sendq *q = &c->sq;
    uint32_t before = sendq_bytes(q);
    uint32_t to = seq_min(seq_max(c->sb.una, q->una), q->end); /* SYN and FIN are not in the queue */

    sendq_ack(q, to);
    c->acked_bytes += before - sendq_bytes(q);
    stack_tx_freed(c->stack, before - sendq_bytes(q));
    c->stuck_since_ns = sb_flight(&c->sb) ? now : 0;
    c->persist_count = 0;
    c->moved_ns = now;
    if (c->neigh && c->neigh->gen == c->neigh_gen)
        neigh_confirm(c->neigh, now);
    if (sb_flight(&c->sb))
        conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
    else
        conn_timer_clear(c, CONN_RTX);
}

static void wake_writer(struct tcp_conn *c)
{
    uint32_t limit = c->stack->cfg.send_buf_bytes;

    if (!c->is_short || sendq_bytes(&c->sq) > limit / 3 * 2 || sendq_is_full(&c->sq) ||
        list_is_linked(&c->starved_link))
        return;
    c->is_short = false;
    conn_event(c, CONN_EV_WRITABLE);
}

void conn_ack(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    struct sb_news news = {0};
    uint32_t prior_wnd = c->snd_wnd;
    bool is_limited =
        c->cwnd_limited || (cc_in_slow_start(&c->cc) && c->cc.cwnd_bytes < 2ull * sb_flight(&c->sb));

    if (seq_geq(in->ack, c->sb.una) && is_newer_window(c, in)) {
        conn_learn_window(c, in);
        if (c->snd_wnd)
            c->persist_count = 0;
    }
    bool is_dup = in->ack == c->sb.una && in->payload.len == 0 && !(in->flags & (TCP_SYN | TCP_FIN)) &&
                  c->snd_wnd == prior_wnd && sb_flight(&c->sb) > 0;
    if (sb_flight(&c->sb) == 0)
        c->stuck_since_ns = 0; /* an answered probe */
    if (seq_gt(in->ack, c->sb.una))
        sb_ack(&c->sb, in->ack, &news);
    take_sacks(c, in, &news);
    if (c->sack_ok && c->sb.sacked.count)
        sb_detect(&c->sb, c->mss, &news);
    c->stack->n.rtx_lost_again += news.lost_again;

    uint64_t rtt = take_rtt(c, in, &news, now);
    detect_spurious(c, in, &news, now);
    bool was_recovering = c->recovery == CONN_RECOVERY;
    recover(c, &news, is_dup, now);
    if (news.acked_bytes)
        on_progress(c, now);
    if (news.delivered_bytes) {
        struct cc_ack a = {.delivered_bytes = news.delivered_bytes,
                           .is_progress = news.acked_bytes > 0,
                           .rtt_ns = rtt,
                           .srtt_ns = c->rtt.srtt_ns,
                           .min_rtt_ns = c->rtt.min_ns,
                           .is_limited = is_limited,
                           .in_recovery = was_recovering,
                           .now = now};
        c->cc.ops->ack(&c->cc, &a);
    }
    if (news.delivered_bytes || news.lost_bytes)
        conn_kick(c);
    wake_writer(c);
}

/* ---- timeout ---- */

void conn_timeout(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;
    bool is_first = c->recovery != CONN_LOSS || c->sb.una != c->timeout_una;

    s->n.rto_fired++;
    c->rto_count++;
    rtt_backoff(&c->rtt);
    if (conn_is_handshake(c)) {
        sb_mark_head_lost(&c->sb);
        c->syn_timeouts++;
        conn_kick(c);
        return;
    }
    uint32_t pipe = sb_pipe(&c->sb);
    if (sb_mark_all_lost(&c->sb))
        s->n.sack_reneged++;
    recovery_begin(c, CONN_LOSS);
    c->undo_armed = is_first;
    c->timeout_una = c->sb.una;
    c->dupacks = 0;
    c->cc.ops->timeout(&c->cc, pipe, is_first, now);
    conn_kick(c);
}
