/* test_sender.c: the sender's small parts, each alone: RACK's window, proportional reduction, the pacer, HyStart, delivery rates, BBR */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tcp/cc.h"
#include "tcp/hystart.h"
#include "tcp/pace.h"
#include "tcp/prr.h"
#include "tcp/rack.h"
#include "tcp/rate_sample.h"

#define MS  1000000ull
#define SEC 1000000000ull
#define MSS 1000

/* ---- RACK ---- */

static void test_rack_keeps_the_latest_arrival(void **state)
{
    struct rack k;

    (void)state;
    rack_init(&k);
    rack_delivered(&k, 5 * MS, 2000, 25 * MS);
    assert_true(k.rtt_ns == 20 * MS);
    rack_delivered(&k, 4 * MS, 3000, 30 * MS); /* sent earlier */
    rack_delivered(&k, 5 * MS, 1000, 30 * MS); /* earlier in the same burst */
    assert_true(k.rtt_ns == 20 * MS && k.end_seq == 2000);
    assert_true(rack_is_after(&k, 5 * MS, 1999) && !rack_is_after(&k, 5 * MS, 2001));
    assert_true(rack_is_after(&k, 4 * MS, 9000));
}

static void test_rack_window_grows_with_duplicates_once_a_round_and_shrinks_back(void **state)
{
    struct rack k;

    (void)state;
    rack_init(&k);
    assert_true(rack_window_ns(&k, false, 2, 40 * MS, 50 * MS) == 10 * MS);
    assert_true(rack_window_ns(&k, false, 3, 40 * MS, 50 * MS) == 0); /* three packets beyond it, and the path keeps order */
    assert_true(rack_window_ns(&k, true, 0, 40 * MS, 50 * MS) == 0);
    k.is_reordered = true;
    assert_true(rack_window_ns(&k, true, 9, 40 * MS, 50 * MS) == 10 * MS);
    rack_duplicate(&k, 100, 200);
    rack_duplicate(&k, 150, 300); /* the same round */
    assert_true(rack_window_ns(&k, false, 9, 40 * MS, 50 * MS) == 20 * MS);
    rack_progress(&k, 200);
    rack_duplicate(&k, 200, 300);
    assert_true(rack_window_ns(&k, false, 9, 40 * MS, 50 * MS) == 30 * MS);
    for (unsigned i = 0; i < 300; i++) {
        rack_progress(&k, 300 + 100 * i);
        rack_duplicate(&k, 300 + 100 * i, 400 + 100 * i);
    }
    assert_true(rack_window_ns(&k, false, 9, 40 * MS, 50 * MS) == 50 * MS); /* a round trip at most */
    for (unsigned i = 0; i < 16; i++)
        rack_recovered(&k);
    assert_true(rack_window_ns(&k, false, 9, 40 * MS, 50 * MS) == 10 * MS);
}

/* ---- proportional rate reduction ---- */

static void test_prr_sends_in_proportion_to_what_arrives(void **state)
{
    struct prr p;
    uint64_t pipe = 97 * MSS, sent = 0;

    (void)state;
    prr_begin(&p, 100 * MSS); /* three SACKed, one of them the loss's proof; down to 70 */
    for (unsigned i = 0; i < 90 && pipe > 70 * MSS; i++) {
        pipe -= MSS;
        prr_ack(&p, MSS, pipe, 70 * MSS, MSS, true);
        while (pipe + MSS <= p.cwnd_bytes) {
            pipe += MSS;
            sent += MSS;
            prr_sent(&p, MSS);
        }
    }
    assert_true(pipe <= 70 * MSS && pipe >= 69 * MSS);
    assert_true(sent * 100 >= p.delivered_bytes * 66 && sent * 100 <= p.delivered_bytes * 73); /* seven for ten, all along */
}

static void test_prr_never_bursts_when_much_is_lost(void **state)
{
    struct prr p;

    (void)state;
    prr_begin(&p, 100 * MSS);
    prr_ack(&p, MSS, 10 * MSS, 70 * MSS, MSS, false); /* most of it lost at once */
    assert_true(p.cwnd_bytes == 11 * MSS);
    prr_sent(&p, MSS);
    prr_ack(&p, MSS, 10 * MSS, 70 * MSS, MSS, true); /* progress and no new loss: slow start */
    assert_true(p.cwnd_bytes == 12 * MSS);
    prr_sent(&p, 2 * MSS);
    prr_ack(&p, 200 * MSS, 60 * MSS, 70 * MSS, MSS, true);
    assert_true(p.cwnd_bytes == 70 * MSS); /* not beyond where it ends */
}

/* ---- pacing ---- */

static void test_pace_keeps_its_rate_in_bursts(void **state)
{
    struct pace p = {0};
    uint64_t sent = 0, rate = 10000000, from = 5 * SEC; /* 10 MB/s: 10 KB a millisecond */

    (void)state;
    for (uint64_t now = from; now < from + SEC; now += 50000) {
        unsigned n = 0;
        for (; pace_is_open(&p, rate, now); n++, sent += 1500)
            pace_sent(&p, rate, 9000, 1500, PACE_LATE_NS, now);
        assert_true(n <= 14); /* a burst, and what a first late turn may add */
    }
    assert_true(sent > rate - 30000 && sent < rate + 30000);
}

static void test_pace_makes_up_for_a_late_loop_but_not_for_silence(void **state)
{
    struct pace p = {0};
    uint64_t rate = 10000000, now = 5 * SEC, sent = 0;

    (void)state;
    for (; pace_is_open(&p, rate, now); sent += 1000)
        pace_sent(&p, rate, 3000, 1000, PACE_LATE_NS, now);
    for (unsigned i = 0; i < 500; i++) { /* a loop that turns every 900 us: no less than the rate */
        now += 900000;
        for (; pace_is_open(&p, rate, now); sent += 1000)
            pace_sent(&p, rate, 3000, 1000, PACE_LATE_NS, now);
    }
    assert_true(sent > 4500000 - 20000 && sent < 4500000 + 30000);
    now += 60 * SEC;
    sent = 0;
    for (; pace_is_open(&p, rate, now); sent += 1000)
        pace_sent(&p, rate, 3000, 1000, PACE_LATE_NS, now);
    assert_true(sent <= 14000); /* a millisecond's worth and a burst */
    assert_true(pace_is_open(&p, 0, now)); /* unpaced */
}

static void test_pace_knows_when_it_is_too_late(void **state)
{
    struct pace p = {.next_ns = 10 * MS};

    (void)state;
    assert_false(pace_is_too_late(&p, 5 * MS, SEC)); /* nothing waited for the clock */
    p.is_holding = true;
    assert_false(pace_is_too_late(&p, 5 * MS, 15 * MS));
    assert_true(pace_is_too_late(&p, 5 * MS, 15 * MS + 1));
}

static void test_pace_lets_a_first_window_go(void **state)
{
    struct pace p = {.free_bytes = 10000};
    uint64_t now = 5 * SEC, sent = 0;

    (void)state;
    for (; p.free_bytes && pace_is_open(&p, 1000, now); sent += 1000)
        pace_sent(&p, 1000, 2000, 1000, PACE_LATE_NS, now);
    assert_int_equal(sent, 10000);
}

/* ---- slow start's end ---- */

static bool samples(struct hystart *h, unsigned n, uint64_t rtt_ns, uint64_t *total)
{
    bool is_over = false;

    for (unsigned i = 0; i < n; i++) {
        *total += MSS;
        is_over |= hystart_ack(h, rtt_ns, *total - 50 * MSS < *total ? *total - 50 * MSS : 0, *total, *total);
    }
    return is_over;
}

static void test_hystart_is_careful_when_the_round_trip_grows(void **state)
{
    struct hystart h;
    uint64_t total = 100 * MSS;

    (void)state;
    hystart_init(&h);
    assert_false(samples(&h, 64, 40 * MS, &total));
    assert_false(samples(&h, 7, 60 * MS, &total)); /* fewer than eight in a row are chance */
    assert_false(samples(&h, 1, 40 * MS, &total)); /* eight are judged when the ninth comes */
    assert_false(samples(&h, 1, 46 * MS, &total));
    assert_false(h.is_careful);
    assert_false(samples(&h, 7, 46 * MS, &total)); /* an eighth more */
    assert_false(samples(&h, 1, 41 * MS, &total));
    assert_true(h.is_careful);
    assert_false(samples(&h, 7, 41 * MS, &total)); /* it was jitter */
    assert_false(samples(&h, 1, 46 * MS, &total));
    assert_false(h.is_careful);
    assert_true(samples(&h, 400, 47 * MS, &total)); /* five rounds of it: over */
}

static void test_hystart_ends_at_once_when_the_queue_is_half_a_round_trip(void **state)
{
    struct hystart h;
    uint64_t total = 100 * MSS;

    (void)state;
    hystart_init(&h);
    assert_false(samples(&h, 64, 40 * MS, &total));
    assert_false(samples(&h, 8, 50 * MS, &total));
    assert_true(samples(&h, 9, 66 * MS, &total));
}

/* A loop that sleeps finds a lump of ACKs, all as late as itself: one sample, and the last of them waited the least. */
static void test_hystart_takes_the_acks_of_a_turn_for_one_sample(void **state)
{
    struct hystart h;
    uint64_t total = 100 * MSS;

    (void)state;
    hystart_init(&h);
    assert_false(samples(&h, 65, 40 * MS, &total));
    for (unsigned turn = 0; turn < 40; turn++)
        for (unsigned i = 0; i < 20; i++) {
            total += MSS;
            assert_false(hystart_ack(&h, (60 - (turn % 4 == 0 ? i : 0)) * MS, total - 50 * MSS, total, SEC + turn));
        }
    assert_false(h.is_careful);
}

/* ---- delivery rate ---- */

static void test_rate_is_measured_over_the_longer_of_sending_and_acknowledging(void **state)
{
    struct rate_meter m = {.delivered_bytes = 50000, .delivered_ns = 10 * MS, .first_sent_ns = 0};
    struct rate_then then = {.sent_ns = 12 * MS, .delivered = 50000, .since_delivered_ns = 2 * MS, .since_first_ns = 30 * MS};
    struct rate_sample s;

    (void)state;
    rate_take_sample(&m, &then, 10000, &s, 20 * MS);
    assert_true(s.delivered_bytes == 10000 && s.interval_ns == 30 * MS && s.prior_delivered_bytes == 50000);
    assert_true(m.delivered_bytes == 60000 && m.delivered_ns == 20 * MS && m.first_sent_ns == 12 * MS);
    then.since_first_ns = MS;
    then.delivered = 60000;
    rate_take_sample(&m, &then, 10000, &s, 30 * MS);
    assert_true(s.interval_ns == 20 * MS && rate_bytes_per_s(&s) == 500000);
    m.delivered_bytes = (1ull << 32) + 5; /* the packet remembers the low half */
    then.delivered = UINT32_MAX - 4;
    rate_take_sample(&m, &then, 90, &s, 40 * MS);
    assert_true(s.delivered_bytes == 100 && s.prior_delivered_bytes == (1ull << 32) - 5);
    rate_take_sample(&m, NULL, 0, &s, 50 * MS);
    assert_true(s.interval_ns == 0 && rate_bytes_per_s(&s) == 0);
}

/* ---- BBR ---- */

struct model {
    struct cc cc;
    uint64_t total, now;
};

/* A round trip at bps over a path of rtt_ns, ten ACKs. */
static void model_round(struct model *m, uint64_t bps, uint64_t rtt_ns, uint32_t lost)
{
    uint64_t bytes = bps * rtt_ns / SEC, began = m->total;

    for (unsigned i = 0; i < 10; i++) {
        m->now += rtt_ns / 10;
        m->total += bytes / 10;
        struct cc_ack a = {.delivered_bytes = (uint32_t)(bytes / 10),
                           .unanswered_bytes = bytes / 10,
                           .lost_bytes = i ? 0 : lost,
                           .is_progress = true,
                           .rtt_ns = rtt_ns,
                           .srtt_ns = rtt_ns,
                           .min_rtt_ns = rtt_ns,
                           .is_limited = true,
                           .in_flight_bytes = (uint32_t)bytes,
                           .prior_in_flight_bytes = (uint32_t)(bytes * 3 / 2), /* while it probes */
                           .total_delivered_bytes = m->total,
                           .rate = {.delivered_bytes = bytes, .interval_ns = rtt_ns, .prior_delivered_bytes = began},
                           .now = m->now};
        m->cc.ops->ack(&m->cc, &a);
    }
}

static void test_bbr_finds_the_bandwidth_and_paces_to_it(void **state)
{
    struct model m = {.now = SEC};
    uint64_t bps = 200000;

    (void)state;
    cc_init(&m.cc, &cc_bbr_ops, MSS, 1);
    for (unsigned i = 0; i < 20; i++) {
        model_round(&m, bps < 10000000 ? bps : 10000000, 20 * MS, 0);
        bps *= 2;
    }
    assert_int_equal(m.cc.u.bbr.mode, BBR_PROBE_BW);
    assert_true(m.cc.u.bbr.max.best[0].v > 9900000 && m.cc.u.bbr.max.best[0].v < 10100000);
    assert_true(m.cc.cwnd_bytes >= 2 * 200000 && m.cc.cwnd_bytes < 3 * 200000); /* two of what the path holds, and some bursts */
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < 16; i++) {
        model_round(&m, 10000000, 20 * MS, 0);
        least = m.cc.pacing_bytes_per_s < least ? m.cc.pacing_bytes_per_s : least;
        most = m.cc.pacing_bytes_per_s > most ? m.cc.pacing_bytes_per_s : most;
    }
    assert_true(most > 12000000 && most < 13000000); /* it probes, and drains what that left */
    assert_true(least > 7000000 && least < 9990000);
}

static void test_bbr_forgets_an_old_bandwidth_and_looks_for_the_round_trip(void **state)
{
    struct model m = {.now = SEC};
    bool has_probed = false;

    (void)state;
    cc_init(&m.cc, &cc_bbr_ops, MSS, 1);
    for (unsigned i = 0; i < 30; i++)
        model_round(&m, 10000000, 20 * MS, 0);
    for (unsigned i = 0; i < 12; i++)
        model_round(&m, 2000000, 20 * MS, 0); /* ten rounds later the best is the new one */
    assert_true(m.cc.u.bbr.max.best[0].v < 2100000);
    for (unsigned i = 0; i < 600 && !has_probed; i++) { /* the round trip grows: after ten seconds it is measured anew */
        model_round(&m, 2000000, 25 * MS, 0);
        has_probed = m.cc.u.bbr.mode == BBR_PROBE_RTT;
    }
    assert_true(has_probed);
    assert_int_equal(m.cc.cwnd_bytes, 4 * MSS);
    for (unsigned i = 0; i < 40 && m.cc.u.bbr.mode == BBR_PROBE_RTT; i++)
        model_round(&m, 160000, 25 * MS, 0); /* four packets a round trip */
    assert_int_equal(m.cc.u.bbr.mode, BBR_PROBE_BW);
    assert_true(m.cc.u.bbr.min_rtt_ns == 25 * MS);
}

/* ACKs of one turn of the loop: by the time the loss is seen most of what was in flight has been acknowledged, and none of it replaced. */
static void test_bbr_replaces_what_a_turn_acknowledged(void **state)
{
    struct model m = {.now = SEC};

    (void)state;
    cc_init(&m.cc, &cc_bbr_ops, MSS, 1);
    for (unsigned i = 0; i < 20; i++)
        model_round(&m, 10000000, 20 * MS, 0);
    struct cc_ack a = {.delivered_bytes = MSS,
                       .unanswered_bytes = 190000,
                       .lost_bytes = MSS,
                       .recovery = CC_RECOVERY,
                       .is_progress = true,
                       .rtt_ns = 20 * MS,
                       .srtt_ns = 20 * MS,
                       .min_rtt_ns = 20 * MS,
                       .in_flight_bytes = 10000,
                       .prior_in_flight_bytes = 10000 + 2 * MSS,
                       .total_delivered_bytes = m.total + MSS,
                       .now = m.now};
    m.cc.ops->congestion(&m.cc, 10000, m.now);
    m.cc.ops->ack(&m.cc, &a);
    assert_int_equal(m.cc.cwnd_bytes, 200000);
    assert_true(m.cc.u.bbr.is_conserving);
}

static void test_bbr_recognizes_a_policer(void **state)
{
    struct model m = {.now = SEC};

    (void)state;
    cc_init(&m.cc, &cc_bbr_ops, MSS, 1);
    for (unsigned i = 0; i < 20; i++)
        model_round(&m, 1000000, 20 * MS, 0);
    assert_false(m.cc.u.bbr.uses_policed);
    for (unsigned i = 0; i < 20 && !m.cc.u.bbr.uses_policed; i++)
        model_round(&m, 1000000, 20 * MS, 8000); /* two of five lost, round after round */
    assert_true(m.cc.u.bbr.uses_policed);
    assert_true(m.cc.u.bbr.policed_bps > 800000 && m.cc.u.bbr.policed_bps < 1200000);
    model_round(&m, 1000000, 20 * MS, 0);
    assert_true(m.cc.pacing_bytes_per_s < 1100000); /* no probing above it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rack_keeps_the_latest_arrival),
        cmocka_unit_test(test_rack_window_grows_with_duplicates_once_a_round_and_shrinks_back),
        cmocka_unit_test(test_prr_sends_in_proportion_to_what_arrives),
        cmocka_unit_test(test_prr_never_bursts_when_much_is_lost),
        cmocka_unit_test(test_pace_keeps_its_rate_in_bursts),
        cmocka_unit_test(test_pace_makes_up_for_a_late_loop_but_not_for_silence),
        cmocka_unit_test(test_pace_knows_when_it_is_too_late),
        cmocka_unit_test(test_pace_lets_a_first_window_go),
        cmocka_unit_test(test_hystart_is_careful_when_the_round_trip_grows),
        cmocka_unit_test(test_hystart_ends_at_once_when_the_queue_is_half_a_round_trip),
        cmocka_unit_test(test_hystart_takes_the_acks_of_a_turn_for_one_sample),
        cmocka_unit_test(test_rate_is_measured_over_the_longer_of_sending_and_acknowledging),
        cmocka_unit_test(test_bbr_finds_the_bandwidth_and_paces_to_it),
        cmocka_unit_test(test_bbr_forgets_an_old_bandwidth_and_looks_for_the_round_trip),
        cmocka_unit_test(test_bbr_replaces_what_a_turn_acknowledged),
        cmocka_unit_test(test_bbr_recognizes_a_policer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
