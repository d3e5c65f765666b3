/* test_paths.c: long transfers over a bottleneck: how much of it they use, what they lose, how they share it */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "path.h"

/* ---- what is used ---- */

/* Share of the bottleneck that one flow's payload uses from `from` on for `ns`. */
static double use_of(const struct path *p, enum tcp_cc cc, uint64_t from, uint64_t ns, struct tcp_counters *n)
{
    struct flows f;

    path_open(&f, p, cc, 1);
    path_add(&f, NULL);
    path_run(&f, from);
    path_run(&f, ns);
    double use = (double)path_got(&f, 0) / ((double)p->bytes_per_s * (double)ns / 1e9);
    *n = *path_sender(&f);
    path_close(&f);
    return use;
}

static const struct path plain = {.bytes_per_s = 50 * MBIT, .queue_bytes = 125000, .delay_ns = 10 * MS, .gso = 65535};

static void test_cubic_fills_a_clean_path(void **state)
{
    struct tcp_counters n;
    double use = use_of(&plain, TCP_CC_CUBIC, 2 * SEC, 6 * SEC, &n);

    (void)state;
    print_message("cubic, clean: %.3f, %llu sent again\n", use, (unsigned long long)n.tx_rtx_segments);
    assert_true(use > 0.88);
    assert_int_equal(n.rto_fired, 0);
    assert_true(n.tx_rtx_bytes * 200 < n.tx_data_bytes);
}

static void test_bbr_fills_a_clean_path_without_a_long_queue(void **state)
{
    struct tcp_counters n;
    struct path p = plain;
    struct flows f;

    (void)state;
    double use = use_of(&p, TCP_CC_BBR, 2 * SEC, 6 * SEC, &n);
    print_message("bbr, clean: %.3f, %llu sent again\n", use, (unsigned long long)n.tx_rtx_segments);
    assert_true(use > 0.9);
    assert_int_equal(n.rto_fired, 0);
    p.queue_bytes = 0; /* endless: a window-driven flow would fill it */
    path_open(&f, &p, TCP_CC_BBR, 1);
    path_add(&f, NULL);
    path_run(&f, 6 * SEC);
    struct tcp_conn_info info;
    tcp_conn_info(f.out[0], &info);
    assert_true(info.srtt_ns < 45 * MS); /* no more than the window of two round trips */
    path_close(&f);
}

static void test_bbr_does_not_mind_random_loss(void **state)
{
    struct tcp_counters n;
    struct path p = plain;

    (void)state;
    p.loss_ppm = 10000;
    double one = use_of(&p, TCP_CC_BBR, 2 * SEC, 6 * SEC, &n);
    print_message("bbr, 1 %%: %.3f, %llu timeouts\n", one, (unsigned long long)n.rto_fired);
    p.loss_ppm = 50000;
    double five = use_of(&p, TCP_CC_BBR, 2 * SEC, 6 * SEC, &n);
    print_message("bbr, 5 %%: %.3f, %llu timeouts\n", five, (unsigned long long)n.rto_fired);
    assert_true(one > 0.9);
    assert_true(five > 0.8);
}

/* A loop that gets no CPU for 10 ms in the mean: what it sends late is its own doing, and must not be taken for the path's speed. */
static void test_busy_sender_keeps_its_rate(void **state)
{
    struct tcp_counters n;
    struct path p = plain;

    (void)state;
    p.stall_ns = 20 * MS;
    p.queue_bytes = 250000;
    double cubic = use_of(&p, TCP_CC_CUBIC, SEC, 4 * SEC, &n);
    double clean = use_of(&p, TCP_CC_BBR, SEC, 4 * SEC, &n);
    p.loss_ppm = 10000;
    double lossy = use_of(&p, TCP_CC_BBR, SEC, 4 * SEC, &n);
    p.stall_ns = 50 * MS; /* more than can be made up for */
    double busier = use_of(&p, TCP_CC_BBR, SEC, 4 * SEC, &n);
    print_message("busy: cubic %.3f, bbr %.3f, with 1 %% loss %.3f, busier %.3f, %llu bursts too late\n", cubic, clean, lossy, busier, (unsigned long long)n.pace_late);
    assert_true(cubic > 0.6);
    assert_true(clean > 0.85);
    assert_true(lossy > 0.75);
    assert_true(busier > 0.2);
    assert_true(n.pace_late > 0);
}

/* ---- pauses ---- */

/* Messages of 1 MiB, one each second over 10 ms, so that BBR's ten seconds end within one: each takes what the first of
 * those that know the path takes, and none is caught in a probe of the round trip with four packets. */
static void test_message_after_a_pause_is_not_held_back(void **state)
{
    static const struct path p = {.bytes_per_s = 800 * MBIT, .delay_ns = 5 * MS, .gso = 65535};
    struct flows f;
    uint64_t most = 0;

    (void)state;
    path_open(&f, &p, TCP_CC_BBR, 1);
    f.most_bytes = 0;
    path_add(&f, NULL);
    path_run(&f, SEC);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t began = f.sim.now;
        f.most_bytes += 1 << 20;
        path_fill(&f, f.out[0]);
        while (f.received[0] < f.most_bytes)
            sim_step(&f.sim);
        if (i >= 4 && f.sim.now - began > most)
            most = f.sim.now - began;
        assert_int_not_equal(f.out[0]->cc.u.bbr.mode, BBR_PROBE_RTT);
        path_run(&f, began + SEC - f.sim.now);
    }
    print_message("1 MiB a second: %.1f ms at most\n", (double)most / 1e6);
    assert_true(most < 20 * MS); /* 10.5 of bytes, 5 of path */
    path_close(&f);
}

/* ---- what is lost ---- */

static void test_slow_start_ends_before_it_floods_the_queue(void **state)
{
    struct tcp_counters n;
    struct path p = plain;

    (void)state;
    p.delay_ns = 25 * MS;
    p.queue_bytes = 300000; /* about the path's own content */
    use_of(&p, TCP_CC_CUBIC, SEC, SEC, &n);
    print_message("slow start: %llu of %llu segments lost\n", (unsigned long long)n.tx_rtx_segments,
                  (unsigned long long)n.tx_segments);
    assert_true(n.tx_rtx_bytes < 150000); /* doubling to the end would lose a whole window */
}

static void test_reordering_is_not_taken_for_loss(void **state)
{
    struct tcp_counters n;
    struct path p = plain;

    (void)state;
    p.reorder_ppm = 20000;
    p.reorder_ns = 4 * MS; /* within a quarter of the round trip */
    double use = use_of(&p, TCP_CC_CUBIC, 2 * SEC, 6 * SEC, &n);
    print_message("reordering: %.3f, %llu sent again, %llu taken back\n", use, (unsigned long long)n.tx_rtx_segments,
                  (unsigned long long)n.spurious_undone);
    assert_true(use > 0.85);
    assert_int_equal(n.reordering_seen, 1);
    p.queue_bytes = 0;
    p.bytes_per_s = 20000 * MBIT; /* nothing is lost here: what goes again, goes for nothing */
    struct flows f;
    path_open(&f, &p, TCP_CC_CUBIC, 1);
    f.most_bytes = 20000000;
    path_add(&f, NULL);
    path_run(&f, 20 * SEC);
    print_message("%llu segments for nothing\n", (unsigned long long)path_sender(&f)->tx_rtx_segments);
    assert_int_equal(f.received[0], 20000000);
    assert_true(path_sender(&f)->tx_rtx_segments <= 3); /* until the path is known */
    uint64_t before = path_sender(&f)->tx_rtx_segments;
    f.most_bytes = 60000000;
    path_fill(&f, f.out[0]);
    path_run(&f, 20 * SEC);
    assert_int_equal(f.received[0], 60000000);
    assert_int_equal(path_sender(&f)->tx_rtx_segments, before);
    path_close(&f);
}

struct drop {
    unsigned from, count, seen;
};

static bool drop_data(struct sim *s, int side, struct slice frame, void *arg)
{
    struct drop *d = arg;
    struct tcp_in in;

    (void)s;
    if (side != 0 || !sim_parse(frame, &in) || !in.payload.len)
        return false;
    d->seen++;
    return d->seen > d->from && d->seen <= d->from + d->count;
}

static void test_lost_tail_is_repaired_without_a_timeout(void **state)
{
    (void)state;
    for (unsigned lost = 1; lost <= 8; lost++) {
        struct drop d = {.from = 10 - lost, .count = lost};
        struct flows f;
        path_open(&f, &plain, TCP_CC_CUBIC, lost);
        f.most_bytes = 14480; /* ten packets */
        f.sim.filter = drop_data;
        f.sim.filter_arg = &d;
        path_add(&f, NULL);
        path_run(&f, 320 * MS);
        assert_int_equal(f.received[0], 14480);
        assert_int_equal(path_sender(&f)->rto_fired, 0);
        assert_int_equal(path_sender(&f)->tail_probes, 1);
        /* Whether the probe repaired it or came second is seen by what is acknowledged next. */
        f.most_bytes *= 2;
        path_fill(&f, f.out[0]);
        path_run(&f, 200 * MS);
        assert_int_equal(path_sender(&f)->probe_repaired, lost == 1);
        path_close(&f);
    }
}

static void test_marks_slow_down_instead_of_losses(void **state)
{
    struct path p = plain;
    struct flows f;

    (void)state;
    p.queue_bytes = 600000;
    p.mark_bytes = 60000;
    path_open(&f, &p, TCP_CC_CUBIC, 1);
    path_add(&f, NULL);
    path_add(&f, NULL);
    path_run(&f, 2 * SEC);
    path_run(&f, 6 * SEC);
    double use = (double)(path_got(&f, 0) + path_got(&f, 1)) / ((double)p.bytes_per_s * 6);
    print_message("marks: %.3f, %llu marked, %llu lost, %llu reductions\n", use, (unsigned long long)f.sim.marked,
                  (unsigned long long)f.sim.lost, (unsigned long long)path_sender(&f)->ecn_reduced);
    assert_int_equal(path_sender(&f)->ecn_agreed, 2);
    assert_true(f.sim.marked > 0 && path_sender(&f)->ecn_reduced > 4);
    assert_int_equal(f.sim.lost, 0);
    assert_int_equal(path_sender(&f)->tx_rtx_segments, 0);
    assert_true(use > 0.9);
    struct tcp_conn_info info;
    tcp_conn_info(f.out[0], &info);
    assert_true(info.srtt_ns < 45 * MS); /* the queue stays near where it marks */
    path_close(&f);
}

static void test_ecn_is_agreed_on_only_if_both_want_it(void **state)
{
    static const struct {
        enum tcp_ecn ours, theirs;
        unsigned agreed;
    } rows[] = {{TCP_ECN_ON, TCP_ECN_ON, 1}, {TCP_ECN_ON, TCP_ECN_ACCEPT, 1}, {TCP_ECN_ON, TCP_ECN_OFF, 0},
                {TCP_ECN_ACCEPT, TCP_ECN_ON, 0}, {TCP_ECN_OFF, TCP_ECN_ACCEPT, 0}};

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct flows f;
        memset(&f, 0, sizeof(f));
        sim_init(&f.sim, i);
        f.sim.cfg[0].ecn = rows[i].ours;
        f.sim.cfg[1].ecn = rows[i].theirs;
        sim_start(&f.sim);
        f.sim.on_event = path_on_event;
        f.sim.event_arg = &f;
        f.data = buf_new(1000);
        memset(f.data->data, 'x', 1000);
        f.data->len = 1000;
        f.most_bytes = 5000;
        assert_int_equal(tcp_listen(f.sim.stack[1], 7070, PATH_FLOWS_MAX), 0);
        path_add(&f, NULL);
        path_run(&f, SEC);
        assert_int_equal(f.received[0], 5000);
        assert_int_equal(path_sender(&f)->ecn_agreed, rows[i].agreed);
        assert_int_equal(tcp_stack_counters(f.sim.stack[1])->ecn_agreed, rows[i].agreed);
        path_close(&f);
    }
}

static void test_send_buffer_grows_with_the_path(void **state)
{
    struct path p = {.bytes_per_s = 800 * MBIT, .queue_bytes = 2000000, .delay_ns = 50 * MS, .gso = 65535};
    struct tcp_counters n;
    double use = use_of(&p, TCP_CC_BBR, 3 * SEC, SEC, &n);

    (void)state;
    print_message("100 MB/s over 100 ms: %.3f\n", use); /* 10 MB in flight; the buffer begins with four */
    assert_true(use > 0.85);
}

/* ---- bursts ---- */

struct burst {
    uint64_t since_ns, bytes, most, window_ns;
};

static bool measure_bursts(struct sim *s, int side, struct slice frame, void *arg)
{
    struct burst *b = arg;

    if (side != 0)
        return false;
    if (s->now >= b->since_ns + b->window_ns) {
        b->since_ns = s->now;
        b->bytes = 0;
    }
    b->bytes += frame.len;
    if (b->bytes > b->most)
        b->most = b->bytes;
    return false;
}

static void test_paced_bursts_are_a_millisecond_long(void **state)
{
    static const enum tcp_cc ccs[] = {TCP_CC_CUBIC, TCP_CC_BBR};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct burst b = {.window_ns = 500000};
        struct flows f;
        path_open(&f, &plain, ccs[i], 1);
        path_add(&f, NULL);
        path_run(&f, 3 * SEC);
        f.sim.filter = measure_bursts;
        f.sim.filter_arg = &b;
        path_run(&f, 3 * SEC);
        print_message("largest burst in half a millisecond: %llu bytes\n", (unsigned long long)b.most);
        /* 6.25 MB/s: a millisecond holds 6 KB; a quarter more while it probes, and what a late turn may add. */
        assert_true(b.most < 20000);
        path_close(&f);
    }
}

/* ---- sharing ---- */

static double share(const struct path *p, enum tcp_cc cc, unsigned n, uint64_t ns)
{
    struct flows f;
    uint64_t x[PATH_FLOWS_MAX];

    path_open(&f, p, cc, 3);
    for (unsigned i = 0; i < n; i++) {
        path_add(&f, NULL);
        path_run(&f, 300 * MS); /* the first has a head start */
    }
    path_run(&f, 5 * SEC);
    path_run(&f, ns);
    for (unsigned i = 0; i < n; i++)
        x[i] = path_got(&f, i);
    double fair = path_jain(x, n);
    print_message("%s: shares", cc == TCP_CC_BBR ? "bbr" : "cubic");
    for (unsigned i = 0; i < n; i++)
        print_message(" %.2f", (double)x[i] / ((double)p->bytes_per_s * (double)ns / 1e9));
    print_message(", fairness %.3f\n", fair);
    path_close(&f);
    return fair;
}

static void test_flows_share_a_bottleneck(void **state)
{
    (void)state;
    assert_true(share(&plain, TCP_CC_CUBIC, 2, 15 * SEC) > 0.9);
    assert_true(share(&plain, TCP_CC_BBR, 2, 15 * SEC) > 0.9);
    assert_true(share(&plain, TCP_CC_CUBIC, 4, 15 * SEC) > 0.85);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cubic_fills_a_clean_path),
        cmocka_unit_test(test_bbr_fills_a_clean_path_without_a_long_queue),
        cmocka_unit_test(test_bbr_does_not_mind_random_loss),
        cmocka_unit_test(test_busy_sender_keeps_its_rate),
        cmocka_unit_test(test_message_after_a_pause_is_not_held_back),
        cmocka_unit_test(test_slow_start_ends_before_it_floods_the_queue),
        cmocka_unit_test(test_reordering_is_not_taken_for_loss),
        cmocka_unit_test(test_lost_tail_is_repaired_without_a_timeout),
        cmocka_unit_test(test_marks_slow_down_instead_of_losses),
        cmocka_unit_test(test_ecn_is_agreed_on_only_if_both_want_it),
        cmocka_unit_test(test_send_buffer_grows_with_the_path),
        cmocka_unit_test(test_paced_bursts_are_a_millisecond_long),
        cmocka_unit_test(test_flows_share_a_bottleneck),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
