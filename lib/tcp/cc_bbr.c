/* cc_bbr.c: BBR: a model of the path, its bottleneck's bandwidth and its round trip without queues, paced to both
 * Source:  draft-cardwell-iccrg-bbr-congestion-control-00 (version 1), with what Linux's version 1 adds: the allowance
 *          for ACKs that come in lumps, the recognition of policers, one percent of margin below the estimate.
 * Note:    loss does not shrink the model; it only bounds the window for a round trip, and cwnd is otherwise a safety
 *          net of two bandwidth-delay products. Where a queue is shorter than that, loss-based flows beside it lose
 */
#include "tcp/cc.h"

#include <stddef.h>

#define SEC_NS 1000000000ull
#define MS_NS  1000000ull

/* Gains in 1/256. */
#define GAIN_ONE     256u
#define GAIN_STARTUP 739u /* 2/ln 2: doubles each round */
#define GAIN_DRAIN   88u  /* its inverse */
#define GAIN_CWND    512u
#define CYCLE_LEN    8

static const uint32_t cycle_gain[CYCLE_LEN] = {320, 192, 256, 256, 256, 256, 256, 256};

#define BW_ROUNDS         10
#define MIN_RTT_WINDOW_NS (10 * SEC_NS)
#define RESTART_RTT_NS    (MIN_RTT_WINDOW_NS / 2)
#define PROBE_RTT_NS      (200 * MS_NS)
#define LEAST_SEGMENTS    4
#define FULL_BW_ROUNDS    3
#define LUMPY_ROUNDS_MOST 6
#define LUMP_ROUNDS       5
#define LUMP_MOST_NS      (100 * MS_NS)
#define POLICER_ROUNDS_MIN 4
#define POLICER_ROUNDS_MAX 16
#define POLICER_USE_ROUNDS 48

static uint64_t scaled(uint64_t v, uint32_t gain)
{
    return v / GAIN_ONE * gain + v % GAIN_ONE * gain / GAIN_ONE;
}

static uint64_t bytes_in(uint64_t bytes_per_s, uint64_t ns)
{
    return (uint64_t)((unsigned __int128)bytes_per_s * ns / SEC_NS);
}

/* ---- the largest bandwidth of the last ten rounds, by three candidates, newest last ---- */

static void bw_forget(struct bbr_max *m, uint64_t v, uint32_t round)
{
    for (unsigned i = 0; i < 3; i++)
        m->best[i] = (struct bbr_max_entry){v, round};
}

static void bw_note(struct bbr_max *m, uint64_t v, uint32_t round)
{
    struct bbr_max_entry e = {v, round}, *b = m->best;

    if (v >= b[0].v || round - b[2].round > BW_ROUNDS) {
        bw_forget(m, v, round);
        return;
    }
    if (v >= b[1].v)
        b[1] = b[2] = e;
    else if (v >= b[2].v)
        b[2] = e;
    uint32_t age = round - b[0].round;
    if (age > BW_ROUNDS) {
        b[0] = b[1];
        b[1] = b[2];
        b[2] = e;
        if (round - b[0].round > BW_ROUNDS) {
            b[0] = b[1];
            b[1] = b[2];
        }
    } else if (b[1].round == b[0].round && age > BW_ROUNDS / 4)
        b[1] = b[2] = e; /* a quarter passed without a second: take one from what is left */
    else if (b[2].round == b[1].round && age > BW_ROUNDS / 2)
        b[2] = e;
}

static uint64_t bandwidth(const struct cc_bbr *b)
{
    return b->uses_policed ? b->policed_bps : b->max.best[0].v;
}

/* ---- what the model allows ---- */

static uint64_t bdp(const struct cc *cc, uint64_t bps, uint32_t gain)
{
    const struct cc_bbr *b = &cc->u.bbr;

    if (b->min_rtt_ns == UINT64_MAX)
        return (uint64_t)CC_INITIAL_SEGMENTS * cc->mss_bytes;
    return scaled(bytes_in(bps, b->min_rtt_ns), gain);
}

/* With room for what waits in our own bursts and the peer's delayed ACK. */
static uint64_t window_for(const struct cc *cc, uint64_t bps, uint32_t gain)
{
    uint64_t w = bdp(cc, bps, gain) + 3ull * cc_burst_bytes(cc);

    if (cc->u.bbr.mode == BBR_PROBE_BW && cc->u.bbr.cycle == 0)
        w += 2ull * cc->mss_bytes;
    return w;
}

static void set_pacing(struct cc *cc, uint64_t bps, uint32_t gain, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;
    uint64_t rate = scaled(bps, gain) / 100 * 99;

    if (!b->has_rtt && a && a->srtt_ns) {
        b->has_rtt = true;
        cc->pacing_bytes_per_s = scaled(cc->cwnd_bytes * SEC_NS / a->srtt_ns, GAIN_STARTUP);
    }
    if (!rate)
        return;
    if (b->is_full || rate > cc->pacing_bytes_per_s)
        cc->pacing_bytes_per_s = rate;
}

/* ---- modes ---- */

static void enter_startup(struct cc_bbr *b)
{
    b->mode = BBR_STARTUP;
}

static void next_cycle(struct cc_bbr *b, uint64_t now)
{
    b->cycle = (b->cycle + 1) % CYCLE_LEN;
    b->cycle_ns = now;
}

/* Anywhere in the cycle but where it drains: flows that share a path should not probe in step. */
static void enter_probe_bw(struct cc *cc, uint64_t now)
{
    struct cc_bbr *b = &cc->u.bbr;

    b->mode = BBR_PROBE_BW;
    cc->seed = cc->seed * 1664525u + 1013904223u;
    b->cycle = (CYCLE_LEN - 1 - (cc->seed >> 16) % (CYCLE_LEN - 1)) % CYCLE_LEN;
    next_cycle(b, now);
}

static void leave_probe_rtt(struct cc *cc, uint64_t now)
{
    if (cc->u.bbr.is_full)
        enter_probe_bw(cc, now);
    else
        enter_startup(&cc->u.bbr);
}

static uint32_t pacing_gain(const struct cc_bbr *b)
{
    switch (b->mode) {
    case BBR_STARTUP: return GAIN_STARTUP;
    case BBR_DRAIN: return GAIN_DRAIN;
    case BBR_PROBE_BW: return b->uses_policed ? GAIN_ONE : cycle_gain[b->cycle];
    case BBR_PROBE_RTT: return GAIN_ONE;
    }
    return GAIN_ONE;
}

static uint32_t cwnd_gain(const struct cc_bbr *b)
{
    switch (b->mode) {
    case BBR_STARTUP:
    case BBR_DRAIN: return GAIN_STARTUP;
    case BBR_PROBE_BW: return GAIN_CWND;
    case BBR_PROBE_RTT: return GAIN_ONE;
    }
    return GAIN_ONE;
}

/* ---- policers: a token bucket that drops what exceeds its rate makes the maximum a lie ---- */

static void policer_begin(struct cc_bbr *b, const struct cc_ack *a)
{
    b->policer_ns = a->now;
    b->policer_delivered = a->total_delivered_bytes;
    b->policer_lost = b->lost_bytes;
    b->policer_rounds = 0;
}

static void policer_forget(struct cc_bbr *b, const struct cc_ack *a)
{
    b->policed_bps = 0;
    b->uses_policed = b->is_policer_sampled = false;
    policer_begin(b, a);
}

static void policer_interval(struct cc_bbr *b, uint64_t bps, const struct cc_ack *a)
{
    if (b->policed_bps) {
        uint64_t diff = bps > b->policed_bps ? bps - b->policed_bps : b->policed_bps - bps;
        if (diff <= b->policed_bps / 8 || diff <= 500) { /* two intervals alike: a rate, not chance */
            b->policed_bps = (bps + b->policed_bps) / 2;
            b->uses_policed = true;
            b->policer_rounds = 0;
            return;
        }
    }
    b->policed_bps = bps;
    policer_begin(b, a);
}

static void policer_look(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (b->uses_policed) {
        if (b->mode == BBR_PROBE_BW && b->is_round_start && ++b->policer_rounds >= POLICER_USE_ROUNDS) {
            policer_forget(b, a);
            enter_probe_bw(cc, a->now);
        }
        return;
    }
    if (!b->is_policer_sampled) {
        if (!a->lost_bytes)
            return;
        policer_begin(b, a);
        b->is_policer_sampled = true;
    }
    if (a->rate.is_idle) {
        policer_forget(b, a);
        return;
    }
    b->policer_rounds += b->is_round_start;
    if (b->policer_rounds < POLICER_ROUNDS_MIN)
        return;
    if (b->policer_rounds > POLICER_ROUNDS_MAX) {
        policer_forget(b, a);
        return;
    }
    uint64_t lost = b->lost_bytes - b->policer_lost, got = a->total_delivered_bytes - b->policer_delivered;
    uint64_t took = a->now - b->policer_ns;
    if (!a->lost_bytes || !got || lost * 256 < got * 50 || took < MS_NS)
        return;
    policer_interval(b, (uint64_t)((unsigned __int128)got * SEC_NS / took), a);
}

/* ---- the model ---- */

static void note_bandwidth(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    b->is_round_start = false;
    if (!a->rate.interval_ns)
        return;
    if (a->rate.prior_delivered_bytes >= b->next_round_delivered) {
        b->next_round_delivered = a->total_delivered_bytes;
        b->round++;
        b->is_round_start = true;
        b->is_conserving = false;
    }
    policer_look(cc, a);
    uint64_t bps = rate_bytes_per_s(&a->rate);
    /* Nothing passes faster than a round trip: such a sample is the ACKs' doing. */
    if (a->rate.interval_ns < a->min_rtt_ns)
        return;
    if (!a->rate.is_idle || bps >= b->max.best[0].v)
        bw_note(&b->max, bps, b->round);
}

/* ACKs that come in lumps: how much more than the bandwidth allows arrived at once lately. */
static void note_lumps(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (!a->rate.interval_ns)
        return;
    if (b->is_round_start && ++b->lump_rounds >= LUMP_ROUNDS) {
        b->lump_rounds = 0;
        b->lump_now ^= 1;
        b->lump_bytes[b->lump_now] = 0;
    }
    uint64_t expected = bytes_in(bandwidth(b), a->now - b->lump_ns);
    if (b->lump_acked <= expected) {
        b->lump_acked = 0;
        b->lump_ns = a->now;
        expected = 0;
    }
    b->lump_acked += a->delivered_bytes;
    uint64_t extra = b->lump_acked - expected;
    if (extra > cc->cwnd_bytes)
        extra = cc->cwnd_bytes;
    if (extra > b->lump_bytes[b->lump_now])
        b->lump_bytes[b->lump_now] = extra;
}

static uint64_t lump_window(const struct cc_bbr *b)
{
    uint64_t most = bytes_in(bandwidth(b), LUMP_MOST_NS);
    uint64_t lump = b->lump_bytes[0] > b->lump_bytes[1] ? b->lump_bytes[0] : b->lump_bytes[1];

    return !b->is_full ? 0 : lump < most ? lump : most;
}

static bool is_cycle_over(const struct cc *cc, const struct cc_ack *a)
{
    const struct cc_bbr *b = &cc->u.bbr;
    bool is_full_length = a->now - b->cycle_ns > b->min_rtt_ns;
    uint32_t gain = pacing_gain(b);

    if (gain == GAIN_ONE)
        return is_full_length;
    if (gain > GAIN_ONE)
        return is_full_length && (a->lost_bytes || a->prior_in_flight_bytes >= window_for(cc, b->max.best[0].v, gain));
    return is_full_length || a->prior_in_flight_bytes <= window_for(cc, b->max.best[0].v, GAIN_ONE);
}

/* Three rounds without a quarter more: the pipe is full. */
static void look_for_full_pipe(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;
    uint64_t bps = b->max.best[0].v;
    bool was_lumpy = b->is_lumpy;

    b->is_lumpy |= a->unanswered_bytes > cc->cwnd_bytes / 3;
    if (b->is_full || !b->is_round_start || a->rate.is_idle)
        return;
    b->is_lumpy = false;
    if (bps >= b->full_bps + b->full_bps / 4) {
        b->full_bps = bps;
        b->full_rounds = 0;
        return;
    }
    if (was_lumpy && ++b->lumpy_rounds <= LUMPY_ROUNDS_MOST)
        return; /* nothing more came, but perhaps because of us */
    b->is_full = ++b->full_rounds >= FULL_BW_ROUNDS;
}

static void look_for_drained(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (b->mode == BBR_STARTUP && b->is_full)
        b->mode = BBR_DRAIN;
    if (b->mode == BBR_DRAIN && a->in_flight_bytes <= window_for(cc, b->max.best[0].v, GAIN_ONE))
        enter_probe_bw(cc, a->now);
}

static void look_probe_rtt_done(struct cc *cc, uint64_t now)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (!b->probe_rtt_done_ns || now <= b->probe_rtt_done_ns)
        return;
    b->min_rtt_at_ns = now;
    if (cc->cwnd_bytes < b->prior_cwnd_bytes)
        cc->cwnd_bytes = b->prior_cwnd_bytes;
    leave_probe_rtt(cc, now);
}

static void save_cwnd(struct cc *cc)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (b->was == CC_OPEN && b->mode != BBR_PROBE_RTT)
        b->prior_cwnd_bytes = cc->cwnd_bytes;
    else if (cc->cwnd_bytes > b->prior_cwnd_bytes)
        b->prior_cwnd_bytes = cc->cwnd_bytes;
}

static void probe_rtt(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (!b->probe_rtt_done_ns && a->in_flight_bytes <= LEAST_SEGMENTS * cc->mss_bytes) {
        b->probe_rtt_done_ns = a->now + PROBE_RTT_NS;
        b->is_probe_round_done = false;
        b->next_round_delivered = a->total_delivered_bytes;
    } else if (b->probe_rtt_done_ns) {
        b->is_probe_round_done |= b->is_round_start;
        if (b->is_probe_round_done)
            look_probe_rtt_done(cc, a->now);
    }
}

static void note_rtt(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;
    /* After a pause nothing of ours is in any queue: such a sample is what the probe would cost 200 ms to get. Taken early, so that a
     * connection that pauses now and then is never probed in the middle of a message. */
    bool is_expired = a->now > b->min_rtt_at_ns + (b->is_restart ? RESTART_RTT_NS : MIN_RTT_WINDOW_NS);

    if (a->rtt_ns && (a->rtt_ns < b->min_rtt_ns || is_expired)) {
        b->min_rtt_ns = a->rtt_ns;
        b->min_rtt_at_ns = a->now;
    }
    if (is_expired && !b->is_restart && b->mode != BBR_PROBE_RTT && b->min_rtt_ns != UINT64_MAX) {
        save_cwnd(cc);
        b->mode = BBR_PROBE_RTT;
        b->probe_rtt_done_ns = 0;
    }
    if (b->mode == BBR_PROBE_RTT)
        probe_rtt(cc, a);
    if (a->rate.interval_ns)
        b->is_restart = false;
}

/* ---- the window ---- */

/* Conserves packets in the first round of a recovery: true, and cwnd is set. */
static bool recover_or_restore(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;
    uint64_t least = a->in_flight_bytes + a->unanswered_bytes;

    if (a->lost_bytes)
        cc->cwnd_bytes = cc->cwnd_bytes > a->lost_bytes + (uint64_t)cc->mss_bytes ? cc->cwnd_bytes - a->lost_bytes
                                                                                   : cc->mss_bytes;
    if (a->recovery == CC_RECOVERY && b->was != CC_RECOVERY) {
        b->is_conserving = true;
        b->next_round_delivered = a->total_delivered_bytes;
        cc->cwnd_bytes = least;
    } else if (b->was != CC_OPEN && a->recovery == CC_OPEN) {
        if (cc->cwnd_bytes < b->prior_cwnd_bytes)
            cc->cwnd_bytes = b->prior_cwnd_bytes;
        b->is_conserving = false;
    }
    b->was = a->recovery;
    if (!b->is_conserving)
        return false;
    if (cc->cwnd_bytes < least)
        cc->cwnd_bytes = least;
    return true;
}

static void set_cwnd(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;
    uint64_t least = (uint64_t)LEAST_SEGMENTS * cc->mss_bytes;

    if (a->delivered_bytes && !recover_or_restore(cc, a)) {
        uint64_t target = window_for(cc, bandwidth(b), cwnd_gain(b)) + lump_window(b);
        if (b->is_full)
            cc->cwnd_bytes = cc->cwnd_bytes + a->delivered_bytes < target ? cc->cwnd_bytes + a->delivered_bytes : target;
        else if (cc->cwnd_bytes < target ||
                 a->total_delivered_bytes < (uint64_t)CC_INITIAL_SEGMENTS * cc->mss_bytes)
            cc->cwnd_bytes += a->delivered_bytes;
        if (cc->cwnd_bytes < least)
            cc->cwnd_bytes = least;
    }
    if (b->mode == BBR_PROBE_RTT && cc->cwnd_bytes > least)
        cc->cwnd_bytes = least;
}

/* ---- the interface ---- */

static void bbr_init(struct cc *cc)
{
    cc->u.bbr = (struct cc_bbr){.min_rtt_ns = UINT64_MAX};
}

static void bbr_ack(struct cc *cc, const struct cc_ack *a)
{
    struct cc_bbr *b = &cc->u.bbr;

    if (!b->min_rtt_at_ns)
        b->min_rtt_at_ns = b->lump_ns = b->cycle_ns = a->now;
    b->lost_bytes += a->lost_bytes;
    note_bandwidth(cc, a);
    note_lumps(cc, a);
    if (b->mode == BBR_PROBE_BW && is_cycle_over(cc, a))
        next_cycle(b, a->now);
    look_for_full_pipe(cc, a);
    look_for_drained(cc, a);
    note_rtt(cc, a);
    set_pacing(cc, bandwidth(b), pacing_gain(b), a);
    set_cwnd(cc, a);
}

static void bbr_congestion(struct cc *cc, uint32_t in_flight_bytes, uint64_t now)
{
    (void)in_flight_bytes;
    (void)now;
    save_cwnd(cc); /* the rest follows with the ACK */
}

static void bbr_timeout(struct cc *cc, uint32_t in_flight_bytes, bool is_first, uint64_t now)
{
    struct cc_bbr *b = &cc->u.bbr;

    (void)in_flight_bytes;
    (void)now;
    if (is_first)
        save_cwnd(cc);
    b->was = CC_LOSS;
    b->full_bps = 0;
    cc->cwnd_bytes = cc->mss_bytes;
}

static void bbr_undo(struct cc *cc, uint64_t now)
{
    struct cc_bbr *b = &cc->u.bbr;

    (void)now;
    b->full_bps = 0;
    b->full_rounds = 0;
    b->uses_policed = b->is_policer_sampled = false;
    b->policed_bps = 0;
    if (cc->cwnd_bytes < b->prior_cwnd_bytes)
        cc->cwnd_bytes = b->prior_cwnd_bytes;
    b->was = CC_OPEN;
    b->is_conserving = false;
}

static void bbr_start(struct cc *cc, uint64_t now)
{
    struct cc_bbr *b = &cc->u.bbr;

    b->is_restart = true;
    b->lump_ns = now;
    b->lump_acked = 0;
    if (b->mode == BBR_PROBE_BW) /* no burst above the estimate after a pause */
        set_pacing(cc, bandwidth(b), GAIN_ONE, NULL);
    else if (b->mode == BBR_PROBE_RTT)
        look_probe_rtt_done(cc, now);
}

const struct cc_ops cc_bbr_ops = {
    .name = "bbr",
    .is_model = true,
    .init = bbr_init,
    .ack = bbr_ack,
    .congestion = bbr_congestion,
    .timeout = bbr_timeout,
    .undo = bbr_undo,
    .start = bbr_start,
};
