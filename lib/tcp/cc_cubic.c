/* cc_cubic.c: slow start, CUBIC's congestion avoidance and its reactions to loss and marks (RFC 9438, 5681, 9406, 8511) */
#include "tcp/cc.h"

static double segments(const struct cc *cc, uint64_t bytes)
{
    return (double)bytes / cc->mss_bytes;
}

static void cubic_cc_init(struct cc *cc)
{
    hystart_init(&cc->u.cubic.start);
    cubic_init(&cc->u.cubic.curve);
}

/* The curve must not run on while the application gives us less than the window. */
static void note_limit(struct cc_cubic *q, const struct cc_ack *a)
{
    if (!a->is_limited) {
        if (!q->limited_since_ns)
            q->limited_since_ns = a->now;
        return;
    }
    if (q->limited_since_ns && q->curve.has_epoch)
        cubic_shift(&q->curve, a->now - q->limited_since_ns);
    q->limited_since_ns = 0;
}

/* Returns the acknowledged bytes it has not used. */
static uint64_t slow_start(struct cc *cc, const struct cc_ack *a)
{
    struct hystart *h = &cc->u.cubic.start;
    uint64_t room = cc->ssthresh_bytes - cc->cwnd_bytes, acked = a->delivered_bytes;

    /* Only the first: after a loss ssthresh knows better. */
    if (cc->ssthresh_bytes == CC_SSTHRESH_NONE &&
        hystart_ack(h, a->rtt_ns, a->rate.prior_delivered_bytes, a->total_delivered_bytes, a->now)) {
        cc->ssthresh_bytes = cc->cwnd_bytes;
        return acked;
    }
    if (h->is_careful)
        acked /= HYSTART_CAREFUL_DIVISOR;
    uint64_t step = acked < room ? acked : room;
    cc->cwnd_bytes += step;
    return h->is_careful ? 0 : acked - step;
}

static void cubic_cc_ack(struct cc *cc, const struct cc_ack *a)
{
    struct cc_cubic *q = &cc->u.cubic;
    uint64_t acked = a->delivered_bytes;

    if (a->in_recovery)
        return;
    note_limit(q, a);
    if (!a->is_limited || !a->is_progress || acked == 0)
        return;
    if (cc_in_slow_start(cc)) {
        acked = slow_start(cc, a);
        if (acked == 0)
            return;
    }
    double cwnd = segments(cc, cc->cwnd_bytes);
    double grown = cubic_grow(&q->curve, cwnd, segments(cc, acked), a->srtt_ns, a->now);
    q->fraction_bytes += (grown - cwnd) * cc->mss_bytes;
    uint64_t whole = (uint64_t)q->fraction_bytes;
    q->fraction_bytes -= (double)whole;
    cc->cwnd_bytes += whole;
}

static void reduce(struct cc *cc, double beta)
{
    struct cc_cubic *q = &cc->u.cubic;

    q->curve_prior = q->curve;
    q->cwnd_prior_bytes = cc->cwnd_bytes;
    q->ssthresh_prior_bytes = cc->ssthresh_bytes;
    q->fraction_bytes = 0;
    q->limited_since_ns = 0;
    q->start.is_careful = false;
    cc->ssthresh_bytes = (uint64_t)(cubic_reduce(&q->curve, segments(cc, cc->cwnd_bytes), beta) * cc->mss_bytes);
}

static void cubic_cc_congestion(struct cc *cc, uint32_t in_flight_bytes, uint64_t now)
{
    (void)in_flight_bytes;
    (void)now;
    reduce(cc, CUBIC_BETA);
    cc->cwnd_bytes = cc->ssthresh_bytes;
}

/* RFC 8511: marks come from short queues, so less is given up than for a loss. */
static void cubic_cc_marked(struct cc *cc, uint64_t now)
{
    (void)now;
    reduce(cc, CUBIC_BETA_MARKED);
    cc->cwnd_bytes = cc->ssthresh_bytes;
}

static void cubic_cc_timeout(struct cc *cc, uint32_t in_flight_bytes, bool is_first, uint64_t now)
{
    (void)in_flight_bytes;
    (void)now;
    if (is_first) {
        reduce(cc, CUBIC_BETA);
        /* 4.8: the avoidance after a timeout starts convex, from where slow start ends. */
        cc->u.cubic.curve.w_max = 0;
    }
    cubic_end_epoch(&cc->u.cubic.curve);
    cc->cwnd_bytes = cc->mss_bytes;
}

static void cubic_cc_undo(struct cc *cc, uint64_t now)
{
    struct cc_cubic *q = &cc->u.cubic;

    (void)now;
    if (!q->cwnd_prior_bytes)
        return;
    if (cc->cwnd_bytes < q->cwnd_prior_bytes)
        cc->cwnd_bytes = q->cwnd_prior_bytes;
    cc->ssthresh_bytes = q->ssthresh_prior_bytes;
    q->curve = q->curve_prior;
    q->cwnd_prior_bytes = 0;
}

/* RFC 2861's decay instead of RFC 5681's restart: messages come in bursts, and a burst after a short pause should
 * not begin at ten segments. */
static void cubic_cc_idle(struct cc *cc, uint64_t idle_ns, uint64_t rto_ns, uint64_t now)
{
    uint64_t least = (uint64_t)CC_INITIAL_SEGMENTS * cc->mss_bytes;
    struct cc_cubic *q = &cc->u.cubic;

    if (q->curve.has_epoch)
        cubic_shift(&q->curve, q->limited_since_ns ? now - q->limited_since_ns : idle_ns);
    q->limited_since_ns = 0;
    if (cc->ssthresh_bytes != CC_SSTHRESH_NONE || cc->cwnd_bytes > least) {
        uint64_t keep = cc->cwnd_bytes / 4 * 3;
        if (cc->ssthresh_bytes < keep)
            cc->ssthresh_bytes = keep; /* remember what the path carried */
    }
    for (; idle_ns >= rto_ns && cc->cwnd_bytes > least; idle_ns -= rto_ns)
        cc->cwnd_bytes = cc->cwnd_bytes / 2 > least ? cc->cwnd_bytes / 2 : least;
}

const struct cc_ops cc_cubic_ops = {
    .name = "cubic",
    .init = cubic_cc_init,
    .ack = cubic_cc_ack,
    .congestion = cubic_cc_congestion,
    .marked = cubic_cc_marked,
    .timeout = cubic_cc_timeout,
    .undo = cubic_cc_undo,
    .idle = cubic_cc_idle,
};
