/* conn_loss.c: loss recovery: when something is lost, when it was a mistake, what is done about either
 * Source:  RFC 8985 (RACK-TLP), 9002 6.2 (probes beyond TLP's), 6675 and 6937 (recovery), 6582 (without SACK), 6298 (timeouts), 3522 (Eifel), 5682
 *          (F-RTO, its SACK form), 2883 (duplicates: for RACK's window and to take reductions back)
 */
#include "tcp/conn.h"
#include "tcp/stack.h"

#define PROBE_SLACK_NS      2000000ull  /* a timer's and a scheduler's share */
#define PROBE_PEER_DELAY_NS 50000000ull /* what a lone packet's ACK may be delayed by */
#define PROBE_MAX_SHIFT     16

/* ---- recovery ---- */

static void recovery_begin(struct tcp_conn *c, enum conn_recovery how)
{
    c->recovery = how;
    c->recover = c->sb.nxt;
    c->undo_armed = true;
    c->rtx_ts_set = false;
    c->undo_by_dsack = true;
    c->undo_una = c->sb.una;
    c->undo_rtx_bytes = 0;
    c->probe_out = false;
    conn_timer_clear(c, CONN_TLP);
}

static void enter_fast_recovery(struct tcp_conn *c, uint64_t now)
{
    c->stack->n.fast_recovery++;
    c->recovery_count++;
    recovery_begin(c, CONN_RECOVERY);
    prr_begin(&c->prr, sb_flight(&c->sb));
    conn_ecn_reduced(c);
    c->cc.ops->congestion(&c->cc, sb_pipe(&c->sb), now);
    conn_kick(c);
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

void conn_recover(struct tcp_conn *c, const struct sb_news *news, bool is_dup, uint64_t now)
{
    if (c->recovery != CONN_OPEN && seq_geq(c->sb.una, c->recover)) {
        rack_recovered(&c->rack);
        c->recovery = CONN_OPEN;
        c->undo_armed = false;
        c->dupacks = 0;
    }
    if (!c->sack_ok)
        recover_without_sack(c, news, is_dup, now);
    else if (news->lost_bytes && c->recovery == CONN_OPEN)
        enter_fast_recovery(c, now);
    if (c->recovery == CONN_RECOVERY && !c->cc.ops->is_model)
        prr_ack(&c->prr, news->delivered_bytes, sb_pipe(&c->sb), c->cc.ssthresh_bytes, c->mss,
                news->acked_bytes && !news->lost_bytes);
}

/* ---- it was a mistake ---- */

/* RFC 3522: the ACK that reaches beyond the first segment we sent again echoes a timestamp older than that: it answers
 * the original, which was only late. */
static bool is_answer_to_original(struct tcp_conn *c, const struct tcp_in *in, const struct sb_news *news)
{
    if (c->recovery == CONN_OPEN || !c->undo_armed || !news->acked_bytes || !c->rtx_ts_set)
        return false;
    if (!c->ts_ok || !in->opt.has_ts || seq_leq(c->sb.una, c->rtx_seq))
        return false;
    c->undo_armed = false;
    return seq_lt(in->opt.ts_ecr, c->rtx_ts);
}

/* Every byte that was sent again has been reported as a duplicate. What lies beyond the recovery was a probe's, or copied on its way. */
static bool is_all_duplicate(struct tcp_conn *c, const struct seq_range *dsack)
{
    if (!dsack || !c->undo_by_dsack || !c->undo_rtx_bytes || seq_lt(dsack->lo, c->undo_una) || seq_gt(dsack->hi, c->recover))
        return false;
    uint32_t n = dsack->hi - dsack->lo;
    c->undo_rtx_bytes -= n < c->undo_rtx_bytes ? n : c->undo_rtx_bytes;
    return c->undo_rtx_bytes == 0;
}

void conn_detect_spurious(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack,
                          struct sb_news *news, uint64_t now)
{
    /* F-RTO: what had not been sent again since the timeout arrives, so the path was slow, not broken. */
    bool is_late = c->recovery == CONN_LOSS && c->is_first_timeout && news->late_bytes;

    if (!is_answer_to_original(c, in, news) && !is_all_duplicate(c, dsack) && !is_late)
        return;
    c->stack->n.spurious_undone++;
    c->undo_armed = c->undo_by_dsack = c->is_first_timeout = false;
    c->cc.ops->undo(&c->cc, now);
    sb_unmark_lost(&c->sb);
    news->lost_bytes = 0; /* also what this ACK made us believe: the next one judges anew */
    c->recovery = CONN_OPEN;
    c->dupacks = 0;
    conn_kick(c);
}

/* ---- RACK ---- */

/* Which transmission of r arrived is known when the peer's echo and the time taken allow but the last (RFC 8985 6.2,
 * step 2). The echo tells of what moved the ACK only; not of what came twice, whose second copy is the last. */
static bool is_last_transmission(const struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack,
                                 const struct sb_record *r, uint64_t now)
{
    bool is_twice = dsack && seq_leq(dsack->lo, r->seq) && seq_geq(dsack->hi, r->seq + r->len);

    if (!is_twice && c->ts_ok && in->opt.has_ts && seq_leq(r->seq + r->len, in->ack) && seq_lt(in->opt.ts_ecr, conn_ts_now(c, r->sent_ns)))
        return false;
    return now - r->sent_ns >= c->rtt.min_ns;
}

static void look_for_loss(struct tcp_conn *c, struct sb_news *news, uint64_t now)
{
    uint64_t wnd = rack_window_ns(&c->rack, c->recovery != CONN_OPEN, c->sb.sacked_count, c->rtt.min_ns,
                                  c->rtt.srtt_ns);
    uint64_t again = sb_detect(&c->sb, &c->rack, c->rack.rtt_ns + wnd, news, now);

    c->stack->n.rtx_lost_again += news->lost_again;
    if (again)
        conn_timer_set(c, CONN_REORDER, again);
    else
        conn_timer_clear(c, CONN_REORDER);
}

void conn_detect_loss(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack, struct sb_news *news,
                      uint64_t now)
{
    const struct sb_record *r = news->once;

    if (r)
        rack_delivered(&c->rack, r->sent_ns, r->seq + r->len, now);
    r = news->again;
    if (r && is_last_transmission(c, in, dsack, r, now))
        rack_delivered(&c->rack, r->sent_ns, r->seq + r->len, now);
    if (news->is_reordered && !c->rack.is_reordered) {
        c->rack.is_reordered = true;
        c->stack->n.reordering_seen++;
    }
    if (news->acked_bytes)
        rack_progress(&c->rack, c->sb.una);
    if (c->sack_ok && sb_has_doubt(&c->sb, &c->rack))
        look_for_loss(c, news, now);
    else
        conn_timer_clear(c, CONN_REORDER);
}

void conn_on_reorder(struct tcp_conn *c, uint64_t now)
{
    struct sb_news news = {0};

    if (!sb_has_doubt(&c->sb, &c->rack))
        return;
    look_for_loss(c, &news, now);
    if (!news.lost_bytes)
        return;
    conn_recover(c, &news, false, now);
    conn_kick(c);
}

/* ---- probes ---- */

/* RFC 8985 7.2 probes the tail of a flight of which nothing is known to be missing, once. Beyond it, as RFC 9002 6.2: while a loss is
 * being repaired too, and again, each time after twice as long. What is sent again is lost as well, or its ACK; without probes
 * that costs a timeout, a thousand round trips of a short path. After a timeout there are none before it is known that the path works. */
void conn_probe_arm(struct tcp_conn *c, uint64_t now)
{
    if (!c->sack_ok || c->rtt.backoff || sb_pipe(&c->sb) == 0 || conn_is_handshake(c)) {
        conn_timer_clear(c, CONN_TLP);
        return;
    }
    uint64_t wait = RTT_INITIAL_RTO_NS, rtx = c->deadline[CONN_RTX];
    if (c->rtt.srtt_ns)
        wait = 2 * c->rtt.srtt_ns + PROBE_SLACK_NS;
    wait <<= c->probe_count < PROBE_MAX_SHIFT ? c->probe_count : PROBE_MAX_SHIFT;
    if (c->rtt.srtt_ns && c->probe_count == 0 && sb_flight(&c->sb) <= c->mss && !conn_is_repairing(c))
        wait += PROBE_PEER_DELAY_NS - PROBE_SLACK_NS; /* what came twice or fills a hole is answered at once */
    if (now + wait < rtx)
        conn_timer_set(c, CONN_TLP, now + wait);
    else if (c->probe_count == 0 && !conn_is_repairing(c))
        conn_timer_set(c, CONN_TLP, rtx);
    else
        conn_timer_clear(c, CONN_TLP);
}

void conn_on_probe(struct tcp_conn *c, uint64_t now)
{
    if (sb_flight(&c->sb) == 0 || c->state == TCP_ST_CLOSED)
        return;
    c->probe_due = true;
    conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
    conn_kick(c);
}

/* RFC 8985 7.4: did the probe repair a loss that nothing else told of? Then it counts as one. */
void conn_probe_acked(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack,
                      const struct sb_news *news, uint64_t now)
{
    if (!c->probe_out || seq_lt(in->ack, c->probe_end))
        return;
    bool is_twice = dsack && dsack->hi == c->probe_end;
    bool is_plain_dup = !news->acked_bytes && !in->opt.sack_count && in->payload.len == 0;
    if (c->probe_is_rtx && !is_twice && !is_plain_dup) {
        if (!seq_gt(in->ack, c->probe_end))
            return; /* the first of the two, perhaps */
        c->stack->n.probe_repaired++;
        if (c->recovery == CONN_OPEN)
            c->cc.ops->congestion(&c->cc, sb_pipe(&c->sb), now);
    }
    c->probe_out = false;
}

/* ---- timeout ---- */

void conn_timeout(struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;
    bool is_first = c->recovery != CONN_LOSS || c->sb.una != c->timeout_una;

    s->n.rto_fired++;
    c->rto_count++;
    if (c->neigh && c->neigh->gen == c->neigh_gen)
        neigh_doubt(&c->stack->neigh, c->neigh, now);
    rtt_backoff(&c->rtt);
    if (conn_is_handshake(c)) {
        sb_mark_head_lost(&c->sb);
        c->syn_timeouts++;
        conn_kick(c);
        return;
    }
    uint32_t pipe = sb_pipe(&c->sb);
    bool was_undone = c->recovery == CONN_LOSS;
    if (sb_mark_all_lost(&c->sb))
        s->n.sack_reneged++;
    recovery_begin(c, CONN_LOSS);
    c->is_first_timeout = is_first && !was_undone;
    c->undo_armed = is_first;
    c->undo_by_dsack = is_first;
    c->timeout_una = c->sb.una;
    c->dupacks = 0;
    conn_timer_clear(c, CONN_REORDER);
    c->cc.ops->timeout(&c->cc, pipe, is_first, now);
    conn_kick(c);
}
