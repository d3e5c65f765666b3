/* conn_ack.c: acknowledgements: what they say of windows, times, duplicates and the path's speed. Loss is conn_loss.c's
 * Source:  RFC 9293 3.10.7.4 (fifth), 2018, 2883, 5681, 6298
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

/* A peer that repeats its answer to a repeated SYN may echo the first one (Linux does): that is no round trip. */
static bool is_echo_of_first_syn(const struct tcp_conn *c, const struct tcp_in *in, const struct sb_news *news)
{
    return news->again && news->again->seq == c->iss && seq_lt(in->opt.ts_ecr, conn_ts_now(c, news->again->sent_ns));
}

static uint64_t take_rtt(struct tcp_conn *c, const struct tcp_in *in, const struct seq_range *dsack, const struct sb_news *news,
                         uint64_t now)
{
    uint64_t rtt = 0;

    /* It had come before, and the word of it was lost: the echo is that of then. But the path works. */
    if (dsack && news->again && news->acked_bytes) {
        rtt_progress(&c->rtt);
        return 0;
    }

    /* Together with what was sent again: it may have come long ago, with word of it lost. */
    if (news->once && !(news->again && news->acked_bytes))
        rtt = now > news->once->sent_ns ? now - news->once->sent_ns : 1;
    else if (news->acked_bytes && !is_echo_of_first_syn(c, in, news))
        rtt = timestamp_rtt(c, in, now);
    if (!rtt)
        return 0;
    rtt_sample(&c->rtt, rtt, sb_flight(&c->sb) / (2 * c->mss) + 1);
    rtt_progress(&c->rtt);
    return rtt;
}

/* ---- SACK ---- */

/* Returns the duplicate the peer reports, or NULL. */
static const struct seq_range *take_sacks(struct tcp_conn *c, const struct tcp_in *in, struct sb_news *news)
{
    const struct tcp_options *o = &in->opt;
    const struct seq_range *dsack = NULL;
    unsigned i = 0;

    if (!c->sack_ok || !o->sack_count)
        return NULL;
    /* RFC 2883 4: the first block is a duplicate if it lies below the ACK or inside the second. */
    if (seq_leq(o->sack[0].hi, in->ack) || (o->sack_count > 1 && seq_geq(o->sack[0].lo, o->sack[1].lo) &&
                                            seq_leq(o->sack[0].hi, o->sack[1].hi))) {
        c->stack->n.dsack_seen++;
        if (seq_lt(o->sack[0].lo, o->sack[0].hi))
            dsack = &o->sack[0];
        i = 1;
    }
    for (; i < o->sack_count; i++)
        sb_sack(&c->sb, o->sack[i].lo, o->sack[i].hi, news);
    return dsack;
}

/* RFC 8985 6.2, step 4: we sent again what was only late. Duplicates of a probe, or of what we never sent twice, say
 * nothing of it. */
static void learn_from_duplicate(struct tcp_conn *c, const struct seq_range *dsack)
{
    if (!dsack || !c->rtx_segments || (c->probe_out && dsack->hi == c->probe_end))
        return;
    rack_duplicate(&c->rack, c->sb.una, c->sb.nxt);
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
    if (c->mtu_before_hole)
        conn_mtu_progress(c);
    if (c->neigh && c->neigh->gen == c->neigh_gen)
        neigh_confirm(c->neigh, now);
    if (sb_flight(&c->sb))
        conn_timer_set(c, CONN_RTX, now + rtt_rto_ns(&c->rtt));
    else
        conn_timer_clear(c, CONN_RTX);
}

static void wake_writer(struct tcp_conn *c)
{
    uint32_t limit = conn_send_limit(c);

    if (!c->is_short || sendq_bytes(&c->sq) > limit / 3 * 2 || sendq_is_full(&c->sq) ||
        list_is_linked(&c->starved_link))
        return;
    c->is_short = false;
    conn_event(c, CONN_EV_WRITABLE);
}

static void tell_cc(struct tcp_conn *c, const struct sb_news *news, uint64_t rtt, bool is_limited,
                    bool was_recovering, uint32_t prior_pipe, uint64_t now)
{
    struct cc_ack a = {.delivered_bytes = news->delivered_bytes,
                       .lost_bytes = news->lost_bytes,
                       .is_progress = news->acked_bytes > 0,
                       .rtt_ns = rtt,
                       .srtt_ns = c->rtt.srtt_ns,
                       .min_rtt_ns = c->rtt.min_ns,
                       .is_limited = is_limited,
                       .in_recovery = was_recovering,
                       .recovery = (enum cc_recovery)c->recovery,
                       .prior_in_flight_bytes = prior_pipe,
                       .now = now};

    sb_sample(&c->sb, news, &a.rate, now);
    if (!news->delivered_bytes)
        return;
    if (now != c->turn_ns)
        c->turn_delivered_bytes = 0;
    c->turn_ns = now;
    a.unanswered_bytes = c->turn_delivered_bytes += news->delivered_bytes;
    a.in_flight_bytes = sb_pipe(&c->sb);
    a.total_delivered_bytes = c->sb.rate.delivered_bytes;
    c->cc.ops->ack(&c->cc, &a);
    if (!c->cc.ops->is_model)
        cc_pace_by_window(&c->cc, c->rtt.srtt_ns);
}

void conn_ack(struct tcp_conn *c, const struct tcp_in *in, uint64_t now)
{
    struct sb_news news = {0};
    uint32_t prior_wnd = c->snd_wnd, prior_pipe = sb_pipe(&c->sb);
    bool is_limited = conn_is_cwnd_limited(c);

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
    const struct seq_range *dsack = take_sacks(c, in, &news);
    learn_from_duplicate(c, dsack);

    uint64_t rtt = take_rtt(c, in, dsack, &news, now);
    bool was_recovering = c->recovery == CONN_RECOVERY;
    if (c->recovery != CONN_OPEN || c->probe_out || is_dup || dsack || news.again || news.is_reordered ||
        c->dupacks || sb_has_doubt(&c->sb, &c->rack)) {
        conn_detect_loss(c, in, dsack, &news, now);
        conn_probe_acked(c, in, dsack, &news, now);
        conn_detect_spurious(c, in, dsack, &news, now);
        was_recovering = c->recovery == CONN_RECOVERY;
        conn_recover(c, &news, is_dup, now);
    }
    if (news.acked_bytes)
        on_progress(c, now);
    if (news.delivered_bytes) {
        c->probe_count = 0;
        conn_probe_arm(c, now);
    }
    if (c->ecn_ok)
        conn_ecn_acked(c, in, now);
    if (seq_gt(c->sb.una, c->limited_seq))
        c->is_cwnd_limited = false; /* or it would come true again 2 GiB later */
    tell_cc(c, &news, rtt, is_limited, was_recovering, prior_pipe, now);
    if (news.delivered_bytes || news.lost_bytes)
        conn_kick(c);
    wake_writer(c);
}
