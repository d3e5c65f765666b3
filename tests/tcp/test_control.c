/* test_control.c: round-trip estimate, CUBIC, the congestion-control interface, token bucket */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tcp/cc.h"
#include "tcp/rate.h"
#include "tcp/rtt.h"

#define MS  1000000ull
#define SEC 1000000000ull
#define MSS 1000

/* ---- rtt ---- */

static void test_rtt_first_sample_and_gains_follow_rfc_6298(void **state)
{
    struct rtt r;

    (void)state;
    rtt_init(&r, 1, 60 * SEC);
    assert_true(rtt_rto_ns(&r) == SEC);
    rtt_sample(&r, 100 * MS, 1);
    assert_true(r.srtt_ns == 100 * MS && r.rttvar_ns == 50 * MS && rtt_rto_ns(&r) == 300 * MS);
    rtt_sample(&r, 180 * MS, 1); /* var = 3/4 * 50 + 1/4 * 80, srtt = 7/8 * 100 + 1/8 * 180 */
    assert_true(r.rttvar_ns == 57500000 && r.srtt_ns == 110 * MS && r.min_ns == 100 * MS);
}

static void test_rtt_timeout_keeps_its_floor_and_ceiling(void **state)
{
    struct rtt r;

    (void)state;
    rtt_init(&r, 200 * MS, 2 * SEC);
    for (unsigned i = 0; i < 1000; i++)
        rtt_sample(&r, 10 * MS, 1);
    assert_true(rtt_rto_ns(&r) >= 210 * MS && rtt_rto_ns(&r) < 211 * MS);
    rtt_backoff(&r);
    assert_true(rtt_rto_ns(&r) >= 420 * MS && rtt_rto_ns(&r) < 422 * MS);
    for (unsigned i = 0; i < 100; i++)
        rtt_backoff(&r);
    assert_true(rtt_rto_ns(&r) == 2 * SEC);
    rtt_progress(&r);
    assert_true(rtt_rto_ns(&r) < 211 * MS);
}

static void test_rtt_many_samples_a_round_weigh_as_one(void **state)
{
    struct rtt one, many;

    (void)state;
    rtt_init(&one, 1, 60 * SEC);
    rtt_init(&many, 1, 60 * SEC);
    rtt_sample(&one, 100 * MS, 1);
    rtt_sample(&many, 100 * MS, 1);
    rtt_sample(&one, 200 * MS, 1);
    for (unsigned i = 0; i < 50; i++)
        rtt_sample(&many, 200 * MS, 50);
    assert_true(llabs((long long)one.srtt_ns - (long long)many.srtt_ns) < (long long)MS);
    assert_true(llabs((long long)one.rttvar_ns - (long long)many.rttvar_ns) < (long long)(8 * MS));
}

/* ---- cubic ---- */

static void test_cubic_reduces_by_beta_and_converges_fast(void **state)
{
    struct cubic c;

    (void)state;
    cubic_init(&c);
    assert_true(fabs(cubic_reduce(&c, 100, CUBIC_BETA) - 70) < 1e-9 && c.w_max == 100);
    /* Smaller than last time: a newcomer wants a share (4.7). */
    assert_true(fabs(cubic_reduce(&c, 80, CUBIC_BETA) - 56) < 1e-9 && fabs(c.w_max - 80 * 0.85) < 1e-9);
    assert_true(fabs(cubic_reduce(&c, 90, CUBIC_BETA) - 63) < 1e-9 && c.w_max == 90);
    assert_true(cubic_reduce(&c, 1, CUBIC_BETA) == 2); /* never below two segments */
}

static void test_cubic_is_back_at_w_max_after_k_seconds(void **state)
{
    struct cubic c;
    uint64_t now = 50 * SEC, rtt = 100 * MS;
    double cwnd, at_k = 0, before = 0;

    (void)state;
    cubic_init(&c);
    cwnd = cubic_reduce(&c, 1000, CUBIC_BETA);
    double k = cbrt(1000 * 0.3 / 0.4); /* about 9.1 s */
    uint64_t began = now;
    for (; now - began < (uint64_t)(2 * k * 1e9); now += rtt) {
        for (unsigned i = 0; i < 100; i++) /* one window's ACKs spread over the round */
            cwnd = cubic_grow(&c, cwnd, cwnd / 100, rtt, now + i * rtt / 100);
        if (now - began < (uint64_t)(k * 0.5e9))
            before = cwnd;
        if (now - began < (uint64_t)(k * 1e9))
            at_k = cwnd;
    }
    assert_true(fabs(at_k - 1000) < 10);
    assert_true(before > 950 && before < 1000); /* concave: fast at first, flat at the plateau */
    assert_true(cwnd > 1250 && cwnd < 1350);    /* convex beyond: mirrored */
}

static void test_cubic_is_never_slower_than_reno_on_short_paths(void **state)
{
    struct cubic c;
    uint64_t now = 0, rtt = 1 * MS;
    double cwnd;

    (void)state;
    cubic_init(&c);
    cwnd = cubic_reduce(&c, 20, CUBIC_BETA);
    for (unsigned round = 0; round < 100; round++, now += rtt)
        cwnd = cubic_grow(&c, cwnd, cwnd, rtt, now);
    /* 0.1 s: the curve alone has hardly moved from 20, Reno has added more than half a segment a round. */
    assert_true(cwnd > 14 + 50);
}

static void test_cubic_does_not_leap_after_idleness(void **state)
{
    struct cubic c, d;
    double a, b;

    (void)state;
    cubic_init(&c);
    a = b = cubic_reduce(&c, 100, CUBIC_BETA);
    a = cubic_grow(&c, a, 1, MS, 0);
    d = c;
    cubic_shift(&d, 100 * SEC);
    a = cubic_grow(&c, a, 10, MS, 10 * MS);
    b = cubic_grow(&d, b, 10, MS, 100 * SEC + 10 * MS);
    assert_true(fabs(a - b) < 0.1);
}

/* ---- through the interface ---- */

static void ack(struct cc *cc, uint32_t bytes, bool limited, uint64_t now)
{
    struct cc_ack a = {.delivered_bytes = bytes,
                       .is_progress = true,
                       .srtt_ns = 20 * MS,
                       .min_rtt_ns = 20 * MS,
                       .is_limited = limited,
                       .now = now};

    cc->ops->ack(cc, &a);
}

static void test_cc_starts_with_ten_segments_and_doubles_a_round(void **state)
{
    struct cc cc;

    (void)state;
    cc_init(&cc, &cc_cubic_ops, MSS, 1);
    assert_int_equal(cc.cwnd_bytes, 10 * MSS);
    for (unsigned i = 0; i < 10; i++)
        ack(&cc, MSS, true, SEC);
    assert_int_equal(cc.cwnd_bytes, 20 * MSS);
    for (unsigned i = 0; i < 10; i++)
        ack(&cc, MSS, false, SEC); /* the application was the limit: no growth */
    assert_int_equal(cc.cwnd_bytes, 20 * MSS);
    cc_set_mss(&cc, 9000, true);
    assert_int_equal(cc.cwnd_bytes, 18000); /* RFC 6928: jumbo packets, two */
}

static void test_cc_reduces_once_and_slow_start_ends_at_ssthresh(void **state)
{
    struct cc cc;

    (void)state;
    cc_init(&cc, &cc_cubic_ops, MSS, 1);
    cc.cwnd_bytes = 100 * MSS;
    cc.ops->congestion(&cc, 100 * MSS, SEC);
    assert_int_equal(cc.cwnd_bytes, 70 * MSS);
    assert_int_equal(cc.ssthresh_bytes, 70 * MSS);
    cc.ops->timeout(&cc, 70 * MSS, true, 2 * SEC);
    assert_int_equal(cc.cwnd_bytes, MSS);
    assert_int_equal(cc.ssthresh_bytes, 49 * MSS);
    cc.ops->timeout(&cc, MSS, false, 3 * SEC); /* again the same data: ssthresh stays */
    assert_int_equal(cc.ssthresh_bytes, 49 * MSS);
    ack(&cc, 60 * MSS, true, 4 * SEC);
    assert_true(cc.cwnd_bytes >= 49 * MSS && cc.cwnd_bytes < 51 * MSS);
}

static void test_cc_does_not_leap_when_the_application_comes_back(void **state)
{
    struct cc cc;

    (void)state;
    cc_init(&cc, &cc_cubic_ops, MSS, 1);
    cc.cwnd_bytes = 100 * MSS;
    cc.ops->congestion(&cc, 100 * MSS, SEC);
    ack(&cc, MSS, true, SEC);
    for (uint64_t t = SEC; t < 60 * SEC; t += 10 * MS) /* alive, but asking for less than the window */
        ack(&cc, MSS, false, t);
    assert_true(cc.cwnd_bytes < 71 * MSS);
    for (unsigned i = 0; i < 70; i++)
        ack(&cc, MSS, true, 60 * SEC);
    assert_true(cc.cwnd_bytes < 80 * MSS); /* one window's ACKs: a few segments, not half as much again */
}

static void test_cc_undo_gives_back_what_was_taken(void **state)
{
    struct cc cc;

    (void)state;
    cc_init(&cc, &cc_cubic_ops, MSS, 1);
    cc.cwnd_bytes = 100 * MSS;
    cc.ops->timeout(&cc, 100 * MSS, true, SEC);
    cc.ops->undo(&cc, SEC);
    assert_int_equal(cc.cwnd_bytes, 100 * MSS);
    assert_true(cc.ssthresh_bytes == CC_SSTHRESH_NONE);
    cc.cwnd_bytes = 30 * MSS;
    cc.ops->undo(&cc, SEC); /* nothing left to undo */
    assert_int_equal(cc.cwnd_bytes, 30 * MSS);
}

static void test_cc_window_decays_while_idle_but_not_below_the_first(void **state)
{
    struct cc cc;

    (void)state;
    cc_init(&cc, &cc_cubic_ops, MSS, 1);
    cc.cwnd_bytes = 200 * MSS;
    cc.ops->idle(&cc, 250 * MS, 200 * MS, SEC);
    assert_int_equal(cc.cwnd_bytes, 100 * MSS);
    assert_true(cc.ssthresh_bytes >= 150 * MSS); /* but it climbs back quickly */
    cc.ops->idle(&cc, 60 * SEC, 200 * MS, 61 * SEC);
    assert_int_equal(cc.cwnd_bytes, 10 * MSS);
}

static void test_rate_gives_its_burst_then_its_rate(void **state)
{
    struct rate r;
    unsigned n = 0;

    (void)state;
    rate_init(&r, 100, 10);
    for (unsigned i = 0; i < 1000; i++)
        n += rate_take(&r, SEC);
    assert_int_equal(n, 10);
    for (uint64_t t = SEC; t < 2 * SEC; t += MS)
        n += rate_take(&r, t);
    assert_true(n >= 108 && n <= 111);
    n = 0;
    for (unsigned i = 0; i < 1000; i++)
        n += rate_take(&r, 100 * SEC);
    assert_int_equal(n, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtt_first_sample_and_gains_follow_rfc_6298),
        cmocka_unit_test(test_rtt_timeout_keeps_its_floor_and_ceiling),
        cmocka_unit_test(test_rtt_many_samples_a_round_weigh_as_one),
        cmocka_unit_test(test_cubic_reduces_by_beta_and_converges_fast),
        cmocka_unit_test(test_cubic_is_back_at_w_max_after_k_seconds),
        cmocka_unit_test(test_cubic_is_never_slower_than_reno_on_short_paths),
        cmocka_unit_test(test_cubic_does_not_leap_after_idleness),
        cmocka_unit_test(test_cc_starts_with_ten_segments_and_doubles_a_round),
        cmocka_unit_test(test_cc_reduces_once_and_slow_start_ends_at_ssthresh),
        cmocka_unit_test(test_cc_does_not_leap_when_the_application_comes_back),
        cmocka_unit_test(test_cc_undo_gives_back_what_was_taken),
        cmocka_unit_test(test_cc_window_decays_while_idle_but_not_below_the_first),
        cmocka_unit_test(test_rate_gives_its_burst_then_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
