/* test_paths.c: long transfers over a bottleneck: how much of it they use, what they lose, how they share it
 * argv: table [seconds] prints figures for many paths instead; seeds FIRST END those of one lossy path by seed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim.h"
#include "tcp/conn.h"

#define MAX_FLOWS 8
#define MBIT      125000ull

struct path {
    uint64_t bytes_per_s, queue_bytes, delay_ns; /* one way; the queue counts the bottleneck only */
    uint32_t loss_ppm, reorder_ppm;
    uint64_t reorder_ns;
    uint64_t mark_bytes;
    uint32_t mtu, gso;
};

struct flows {
    struct sim sim;
    struct buf *data;
    struct tcp_conn *out[MAX_FLOWS], *in[MAX_FLOWS];
    uint64_t received[MAX_FLOWS], at_mark[MAX_FLOWS];
    unsigned count, accepted;
    uint64_t most_bytes; /* what each flow may send */
    uint64_t queued[MAX_FLOWS];
};

static void fill(struct flows *f, struct tcp_conn *c)
{
    unsigned i = (unsigned)(uintptr_t)tcp_conn_user(c) - 1;

    for (;;) {
        uint64_t left = f->most_bytes - f->queued[i];
        uint32_t n = left < f->data->len ? (uint32_t)left : f->data->len;
        int took = n ? tcp_send_buf(c, f->data, 0, n) : 0;
        if (took > 0)
            f->queued[i] += (uint32_t)took;
        if (!n || took < (int)n)
            return;
    }
}

static void on_event(struct sim *sim, int side, const struct tcp_event *ev, void *arg)
{
    struct flows *f = arg;

    (void)sim;
    if (side == 0 && (ev->type == TCP_EV_CONNECTED || ev->type == TCP_EV_WRITABLE))
        fill(f, ev->conn);
    if (side == 1 && ev->type == TCP_EV_ACCEPTED) {
        struct tcp_conn_info info;
        tcp_conn_info(ev->conn, &info);
        for (unsigned i = 0; i < f->count; i++) {
            struct tcp_conn_info other;
            tcp_conn_info(f->out[i], &other);
            if (other.local.port == info.remote.port) {
                f->in[i] = ev->conn;
                tcp_conn_set_user(ev->conn, (void *)(uintptr_t)(i + 1));
            }
        }
    }
    if (side == 1 && ev->type == TCP_EV_READABLE) {
        unsigned i = (unsigned)(uintptr_t)ev->user - 1;
        uint32_t n = tcp_recv_unread(ev->conn);
        if (i < MAX_FLOWS)
            f->received[i] += n;
        tcp_recv_consume(ev->conn, n);
    }
}

static void open_path(struct flows *f, const struct path *p, enum tcp_cc cc, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    sim_init(&f->sim, seed);
    f->sim.net = (struct sim_net){.delay_ns = p->delay_ns,
                                  .bytes_per_s = p->bytes_per_s,
                                  .queue_bytes = p->queue_bytes,
                                  .loss_ppm = p->loss_ppm,
                                  .reorder_ppm = p->reorder_ppm,
                                  .reorder_ns = p->reorder_ns,
                                  .mark_bytes = p->mark_bytes,
                                  .lend = true};
    for (int i = 0; i < 2; i++) {
        f->sim.cfg[i].cc = cc;
        f->sim.cfg[i].csum_tx = true;
        f->sim.cfg[i].ecn = p->mark_bytes ? TCP_ECN_ON : TCP_ECN_ACCEPT;
        f->sim.cfg[i].gso_max_bytes = p->gso;
        f->sim.cfg[i].recv_buf_bytes = 32u << 20;
    }
    sim_start(&f->sim);
    f->sim.on_event = on_event;
    f->sim.event_arg = f;
    f->data = buf_new(1 << 20);
    memset(f->data->data, 'x', 1 << 20);
    f->data->len = 1 << 20;
    f->most_bytes = UINT64_MAX;
    assert_int_equal(tcp_listen(f->sim.stack[1], 7070, MAX_FLOWS), 0);
}

/* One more flow, with congestion control of its own if ops says so. */
static unsigned add_flow(struct flows *f, const struct cc_ops *ops)
{
    struct ip_endpoint to = sim_endpoint(1, 7070);
    unsigned i = f->count++;

    assert_int_equal(tcp_connect(f->sim.stack[0], &to, 0, (void *)(uintptr_t)(i + 1), &f->out[i], f->sim.now), 0);
    if (ops)
        cc_init(&f->out[i]->cc, ops, f->out[i]->mss, i * 77 + 1);
    return i;
}

static void run_for(struct flows *f, uint64_t ns)
{
    for (unsigned i = 0; i < f->count; i++)
        f->at_mark[i] = f->received[i];
    sim_run(&f->sim, f->sim.now + ns);
}

/* Bytes since the last run_for began. */
static uint64_t got(const struct flows *f, unsigned i)
{
    return f->received[i] - f->at_mark[i];
}

static void close_path(struct flows *f)
{
    sim_fini(&f->sim);
    buf_unref(f->data);
}

static const struct tcp_counters *sender(const struct flows *f)
{
    return tcp_stack_counters(f->sim.stack[0]);
}

/* ---- what is used ---- */

/* Share of the bottleneck that one flow's payload uses from `from` on for `ns`. */
static double use_of(const struct path *p, enum tcp_cc cc, uint64_t from, uint64_t ns, struct tcp_counters *n)
{
    struct flows f;

    open_path(&f, p, cc, 1);
    add_flow(&f, NULL);
    run_for(&f, from);
    run_for(&f, ns);
    double use = (double)got(&f, 0) / ((double)p->bytes_per_s * (double)ns / 1e9);
    *n = *sender(&f);
    close_path(&f);
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
    open_path(&f, &p, TCP_CC_BBR, 1);
    add_flow(&f, NULL);
    run_for(&f, 6 * SEC);
    struct tcp_conn_info info;
    tcp_conn_info(f.out[0], &info);
    assert_true(info.srtt_ns < 45 * MS); /* no more than the window of two round trips */
    close_path(&f);
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
    open_path(&f, &p, TCP_CC_CUBIC, 1);
    f.most_bytes = 20000000;
    add_flow(&f, NULL);
    run_for(&f, 20 * SEC);
    print_message("%llu segments for nothing\n", (unsigned long long)sender(&f)->tx_rtx_segments);
    assert_int_equal(f.received[0], 20000000);
    assert_true(sender(&f)->tx_rtx_segments <= 3); /* until the path is known */
    uint64_t before = sender(&f)->tx_rtx_segments;
    f.most_bytes = 60000000;
    fill(&f, f.out[0]);
    run_for(&f, 20 * SEC);
    assert_int_equal(f.received[0], 60000000);
    assert_int_equal(sender(&f)->tx_rtx_segments, before);
    close_path(&f);
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
        open_path(&f, &plain, TCP_CC_CUBIC, lost);
        f.most_bytes = 14480; /* ten packets */
        f.sim.filter = drop_data;
        f.sim.filter_arg = &d;
        add_flow(&f, NULL);
        run_for(&f, 320 * MS);
        assert_int_equal(f.received[0], 14480);
        assert_int_equal(sender(&f)->rto_fired, 0);
        assert_int_equal(sender(&f)->tail_probes, 1);
        /* Whether the probe repaired it or came second is seen by what is acknowledged next. */
        f.most_bytes *= 2;
        fill(&f, f.out[0]);
        run_for(&f, 200 * MS);
        assert_int_equal(sender(&f)->probe_repaired, lost == 1);
        close_path(&f);
    }
}

static void test_marks_slow_down_instead_of_losses(void **state)
{
    struct path p = plain;
    struct flows f;

    (void)state;
    p.queue_bytes = 600000;
    p.mark_bytes = 60000;
    open_path(&f, &p, TCP_CC_CUBIC, 1);
    add_flow(&f, NULL);
    add_flow(&f, NULL);
    run_for(&f, 2 * SEC);
    run_for(&f, 6 * SEC);
    double use = (double)(got(&f, 0) + got(&f, 1)) / ((double)p.bytes_per_s * 6);
    print_message("marks: %.3f, %llu marked, %llu lost, %llu reductions\n", use, (unsigned long long)f.sim.marked,
                  (unsigned long long)f.sim.lost, (unsigned long long)sender(&f)->ecn_reduced);
    assert_int_equal(sender(&f)->ecn_agreed, 2);
    assert_true(f.sim.marked > 0 && sender(&f)->ecn_reduced > 4);
    assert_int_equal(f.sim.lost, 0);
    assert_int_equal(sender(&f)->tx_rtx_segments, 0);
    assert_true(use > 0.9);
    struct tcp_conn_info info;
    tcp_conn_info(f.out[0], &info);
    assert_true(info.srtt_ns < 45 * MS); /* the queue stays near where it marks */
    close_path(&f);
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
        f.sim.on_event = on_event;
        f.sim.event_arg = &f;
        f.data = buf_new(1000);
        memset(f.data->data, 'x', 1000);
        f.data->len = 1000;
        f.most_bytes = 5000;
        assert_int_equal(tcp_listen(f.sim.stack[1], 7070, MAX_FLOWS), 0);
        add_flow(&f, NULL);
        run_for(&f, SEC);
        assert_int_equal(f.received[0], 5000);
        assert_int_equal(sender(&f)->ecn_agreed, rows[i].agreed);
        assert_int_equal(tcp_stack_counters(f.sim.stack[1])->ecn_agreed, rows[i].agreed);
        close_path(&f);
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
        open_path(&f, &plain, ccs[i], 1);
        add_flow(&f, NULL);
        run_for(&f, 3 * SEC);
        f.sim.filter = measure_bursts;
        f.sim.filter_arg = &b;
        run_for(&f, 3 * SEC);
        print_message("largest burst in half a millisecond: %llu bytes\n", (unsigned long long)b.most);
        /* 6.25 MB/s: a millisecond holds 6 KB; a quarter more while it probes, and what a late turn may add. */
        assert_true(b.most < 20000);
        close_path(&f);
    }
}

/* ---- sharing ---- */

static double jain(const uint64_t *x, unsigned n)
{
    double sum = 0, squares = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    return sum * sum / (n * squares);
}

static double share(const struct path *p, enum tcp_cc cc, unsigned n, uint64_t ns)
{
    struct flows f;
    uint64_t x[MAX_FLOWS];

    open_path(&f, p, cc, 3);
    for (unsigned i = 0; i < n; i++) {
        add_flow(&f, NULL);
        run_for(&f, 300 * MS); /* the first has a head start */
    }
    run_for(&f, 5 * SEC);
    run_for(&f, ns);
    for (unsigned i = 0; i < n; i++)
        x[i] = got(&f, i);
    double fair = jain(x, n);
    print_message("%s: shares", cc == TCP_CC_BBR ? "bbr" : "cubic");
    for (unsigned i = 0; i < n; i++)
        print_message(" %.2f", (double)x[i] / ((double)p->bytes_per_s * (double)ns / 1e9));
    print_message(", fairness %.3f\n", fair);
    close_path(&f);
    return fair;
}

static void test_flows_share_a_bottleneck(void **state)
{
    (void)state;
    assert_true(share(&plain, TCP_CC_CUBIC, 2, 15 * SEC) > 0.9);
    assert_true(share(&plain, TCP_CC_BBR, 2, 15 * SEC) > 0.9);
    assert_true(share(&plain, TCP_CC_CUBIC, 4, 15 * SEC) > 0.85);
}

/* ---- figures ---- */

static void table(double seconds)
{
    static const uint32_t losses[] = {0, 10000, 50000};
    static const enum tcp_cc ccs[] = {TCP_CC_CUBIC, TCP_CC_BBR};

    for (unsigned c = 0; c < 2; c++)
        for (unsigned n = 1; n <= 8; n += 7)
            for (unsigned l = 0; l < 4; l++) {
                struct path p = {.bytes_per_s = 1000 * MBIT, .queue_bytes = 1250000, .delay_ns = l == 3 ? 50 * MS : 10 * MS,
                                 .loss_ppm = l == 3 ? 1000 : losses[l], .gso = 65535};
                struct flows f;
                uint64_t sum = 0;
                open_path(&f, &p, ccs[c], 1);
                for (unsigned i = 0; i < n; i++)
                    add_flow(&f, NULL);
                run_for(&f, (uint64_t)(seconds * 1e9));
                for (unsigned i = 0; i < n; i++)
                    sum += got(&f, i);
                printf("%-5s %u flows %3llu ms %.1f %%: %7.2f MB/s, again %llu of %llu, rto %llu, fairness %.3f\n",
                       c ? "bbr" : "cubic", n, (unsigned long long)(2 * p.delay_ns / MS), p.loss_ppm / 1e4,
                       (double)sum / seconds / 1e6, (unsigned long long)sender(&f)->tx_rtx_bytes,
                       (unsigned long long)sender(&f)->tx_data_bytes, (unsigned long long)sender(&f)->rto_fired,
                       jain(f.received, n));
                close_path(&f);
            }
}

/* One line a seed: MB/s of BBR at 1 Gbit/s, 20 ms, 1 % loss, in four half seconds, and what its model holds. */
static void seeds(uint64_t first, uint64_t last)
{
    static const struct path p = {.bytes_per_s = 1000 * MBIT, .queue_bytes = 2500000, .delay_ns = 10 * MS, .loss_ppm = 10000, .gso = 65535};

    for (uint64_t seed = first; seed < last; seed++) {
        struct flows f;

        open_path(&f, &p, TCP_CC_BBR, seed);
        add_flow(&f, NULL);
        printf("%lu", (unsigned long)seed);
        for (unsigned i = 0; i < 4; i++) {
            run_for(&f, SEC / 2);
            const struct cc_bbr *b = &f.out[0]->cc.u.bbr;
            printf("  %.1f(m%d bw %.1f rtt %.1f cwnd %lu pol %d %.1f)", (double)got(&f, 0) * 2 / 1e6, b->mode, (double)b->max.best[0].v / 1e6, (double)b->min_rtt_ns / 1e6,
                   (unsigned long)f.out[0]->cc.cwnd_bytes / 1000, b->uses_policed, (double)b->policed_bps / 1e6);
        }
        const struct tcp_counters *n = sender(&f);
        printf(" rto %lu spurious %lu\n", (unsigned long)n->rto_fired, (unsigned long)n->spurious_undone);
        fflush(stdout);
        close_path(&f);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cubic_fills_a_clean_path),
        cmocka_unit_test(test_bbr_fills_a_clean_path_without_a_long_queue),
        cmocka_unit_test(test_bbr_does_not_mind_random_loss),
        cmocka_unit_test(test_slow_start_ends_before_it_floods_the_queue),
        cmocka_unit_test(test_reordering_is_not_taken_for_loss),
        cmocka_unit_test(test_lost_tail_is_repaired_without_a_timeout),
        cmocka_unit_test(test_marks_slow_down_instead_of_losses),
        cmocka_unit_test(test_ecn_is_agreed_on_only_if_both_want_it),
        cmocka_unit_test(test_send_buffer_grows_with_the_path),
        cmocka_unit_test(test_paced_bursts_are_a_millisecond_long),
        cmocka_unit_test(test_flows_share_a_bottleneck),
    };

    if (argc > 3 && strcmp(argv[1], "seeds") == 0) {
        seeds((uint64_t)atoll(argv[2]), (uint64_t)atoll(argv[3]));
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "table") == 0) {
        table(argc > 2 ? atof(argv[2]) : 8);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
