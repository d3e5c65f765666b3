/* test_scenario.c: two stacks and a network that loses exactly what hurts most */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

static struct sim sim;
static struct flow_app app;

static int setup(void **state)
{
    (void)state;
    sim_init(&sim, 99);
    return 0;
}

static void start(void)
{
    sim_start(&sim);
    flow_app_init(&app, &sim);
}

static int teardown(void **state)
{
    (void)state;
    sim_fini(&sim);
    flow_app_fini(&app);
    return 0;
}

static void expect_done(void)
{
    for (int i = 0; i < 2; i++) {
        assert_true(app.end[i].closed);
        assert_int_equal(app.end[i].reason, TCP_CLOSED_DONE);
        assert_true(app.end[i].received == app.end[1 - i].to_send);
    }
    sim_run(&sim, sim.now + 100 * SEC);
    assert_int_equal(tcp_stack_conn_count(sim.stack[0]) + tcp_stack_conn_count(sim.stack[1]), 0);
}

/* ---- losing what hurts ---- */

/* Loses the first `left` packets of a side that match. */
struct picky {
    int side;
    uint8_t flags;    /* all of these */
    bool has_payload; /* and some payload */
    bool last;        /* and PSH: the end of what was queued */
    bool no_syn;      /* and no SYN */
    unsigned left, seen;
};

static bool lose_some(struct sim *s, int side, struct slice frame, void *arg)
{
    struct picky *k = arg;
    struct tcp_in in;

    (void)s;
    if ((k->side >= 0 && side != k->side) || !sim_parse(frame, &in))
        return false;
    if ((in.flags & k->flags) != k->flags || (k->has_payload && !in.payload.len) ||
        (k->last && !(in.flags & TCP_PSH)))
        return false;
    if (k->no_syn && (in.flags & TCP_SYN))
        return false;
    k->seen++;
    if (!k->left)
        return false;
    k->left--;
    return true;
}

static void run_with(struct picky k, uint64_t bytes, uint64_t stall_ns)
{
    start();
    sim.filter = lose_some;
    sim.filter_arg = &k;
    app.end[0].to_send = bytes;
    app.end[1].to_send = bytes / 2;
    flow_app_open(&app);
    flow_app_run(&app, stall_ns, 300 * SEC);
    assert_true(k.left == 0 && k.seen > 0);
    sim.filter = NULL;
    expect_done();
}

static void test_lost_syns_are_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = 0, .flags = TCP_SYN, .left = 3}, 1000, 8 * SEC);
}

static void test_lost_syn_acks_are_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = 1, .flags = TCP_SYN | TCP_ACK, .left = 3}, 1000, 8 * SEC);
}

static void test_lost_handshake_ack_is_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = 0, .flags = TCP_ACK, .left = 1}, 1000, 3 * SEC);
}

static void test_lost_fins_are_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = -1, .flags = TCP_FIN, .left = 4}, 100000, 10 * SEC);
}

static void test_lost_last_segment_costs_one_timeout(void **state)
{
    (void)state;
    run_with((struct picky){.side = 0, .flags = TCP_PSH, .has_payload = true, .last = true, .left = 1}, 3000,
             SEC);
}

static void test_the_same_segment_lost_often_is_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = 0, .has_payload = true, .left = 5}, 1000, 20 * SEC);
}

static void test_every_ack_lost_for_a_while_is_overcome(void **state)
{
    (void)state;
    run_with((struct picky){.side = 1, .flags = TCP_ACK, .no_syn = true, .left = 20}, 1000000, 30 * SEC);
}

static bool lose_every_other_data(struct sim *s, int side, struct slice frame, void *arg)
{
    struct tcp_in in;
    unsigned *n = arg;

    (void)s;
    return side == 0 && sim_parse(frame, &in) && in.payload.len && (*n)++ % 2 == 0;
}

static void test_half_of_all_data_lost_still_arrives(void **state)
{
    unsigned n = 0;

    (void)state;
    start();
    sim.filter = lose_every_other_data;
    sim.filter_arg = &n;
    app.end[0].to_send = 200000;
    flow_app_open(&app);
    flow_app_run(&app, 60 * SEC, 1000 * SEC);
    sim.filter = NULL;
    expect_done();
}

/* ---- a network that goes away ---- */

static bool lose_all(struct sim *s, int side, struct slice frame, void *arg)
{
    (void)s;
    (void)side;
    (void)frame;
    (void)arg;
    return true;
}

static void test_cable_out_and_in_again(void **state)
{
    (void)state;
    start();
    app.end[0].to_send = 5000000;
    flow_app_open(&app);
    sim_run(&sim, sim.now + 100 * MS);
    sim.filter = lose_all;
    for (uint64_t end = sim.now + 10 * SEC; sim_next(&sim) < end;)
        sim_step(&sim);
    sim.filter = NULL;
    app.progress_ns = sim.now;
    flow_app_run(&app, 20 * SEC, 100 * SEC);
    expect_done();
}

static void test_idle_connection_notices_a_dead_peer(void **state)
{
    (void)state;
    start();
    app.end[0].close_when_sent = app.end[1].close_when_sent = false;
    flow_app_open(&app);
    sim_run(&sim, sim.now + 100 * SEC); /* alive: keepalives are answered */
    assert_true(app.end[0].connected && !app.end[0].closed && !app.end[1].closed);
    assert_true(tcp_stack_counters(sim.stack[0])->keepalive_sent > 0);
    sim.filter = lose_all;
    sim_run(&sim, sim.now + 60 * SEC);
    assert_true(app.end[0].closed && app.end[0].reason == TCP_CLOSED_TIMEOUT);
    assert_true(app.end[1].closed && app.end[1].reason == TCP_CLOSED_TIMEOUT);
}

static void test_busy_connection_notices_a_dead_peer(void **state)
{
    (void)state;
    start();
    app.end[0].to_send = 100000000;
    flow_app_open(&app);
    sim_run(&sim, sim.now + 200 * MS);
    flow_app_pump(&app);
    sim.filter = lose_all;
    sim_run(&sim, sim.now + 100 * SEC);
    assert_true(app.end[0].closed && app.end[0].reason == TCP_CLOSED_TIMEOUT);
    assert_true(app.end[1].closed); /* its keepalive found out */
}

static void test_peer_that_restarted_resets_us(void **state)
{
    (void)state;
    start();
    app.end[0].close_when_sent = app.end[1].close_when_sent = false;
    flow_app_open(&app);
    sim_run(&sim, sim.now + SEC);
    tcp_stack_free(sim.stack[1]);
    sim.stack[1] = tcp_stack_new(&sim.cfg[1], &sim.rng, NULL, sim.now);
    app.end[0].to_send = 1000;
    app.end[1].conn = NULL;
    flow_app_pump(&app);
    sim_run(&sim, sim.now + SEC);
    assert_true(app.end[0].closed && app.end[0].reason == TCP_CLOSED_RESET);
}

/* ---- both at once ---- */

static void test_both_connect_at_once_and_have_one_connection(void **state)
{
    struct ip_endpoint to[2] = {sim_endpoint(1, 6000), sim_endpoint(0, 5000)};
    struct tcp_conn *c[2];
    struct tcp_conn_info i[2];

    (void)state;
    start();
    assert_int_equal(tcp_connect(sim.stack[0], &to[0], 5000, NULL, &c[0], sim.now), 0);
    assert_int_equal(tcp_connect(sim.stack[1], &to[1], 6000, NULL, &c[1], sim.now), 0);
    sim_run(&sim, sim.now + SEC);
    for (int k = 0; k < 2; k++) {
        tcp_conn_info(c[k], &i[k]);
        assert_int_equal(i[k].state, TCP_ST_ESTABLISHED);
    }
    assert_int_equal(tcp_send_buf(c[0], app.pattern, 0, 50000), 50000);
    assert_int_equal(tcp_send_buf(c[1], app.pattern, 0, 40000), 40000);
    sim_run(&sim, sim.now + SEC);
    assert_int_equal(tcp_recv_unread(c[1]), 50000);
    assert_int_equal(tcp_recv_unread(c[0]), 40000);
    tcp_recv_consume(c[0], 40000);
    tcp_recv_consume(c[1], 50000);
    tcp_close(c[0]); /* and close at once, too */
    tcp_close(c[1]);
    sim_run(&sim, sim.now + 100 * SEC);
    assert_int_equal(tcp_stack_conn_count(sim.stack[0]) + tcp_stack_conn_count(sim.stack[1]), 0);
    assert_int_equal(tcp_stack_counters(sim.stack[0])->conn_timeout, 0);
    assert_int_equal(tcp_stack_counters(sim.stack[0])->rto_fired, 0);
}

static void test_both_connect_at_once_though_the_first_syns_are_lost(void **state)
{
    struct ip_endpoint to[2] = {sim_endpoint(1, 6000), sim_endpoint(0, 5000)};
    struct picky k = {.side = -1, .flags = TCP_SYN, .left = 3};
    struct tcp_conn *c[2];
    struct tcp_conn_info i;

    (void)state;
    start();
    sim.filter = lose_some;
    sim.filter_arg = &k;
    assert_int_equal(tcp_connect(sim.stack[0], &to[0], 5000, NULL, &c[0], sim.now), 0);
    assert_int_equal(tcp_connect(sim.stack[1], &to[1], 6000, NULL, &c[1], sim.now), 0);
    sim_run(&sim, sim.now + 9 * SEC);
    for (int n = 0; n < 2; n++) {
        tcp_conn_info(c[n], &i);
        assert_int_equal(i.state, TCP_ST_ESTABLISHED);
    }
}

static void test_both_send_and_close_at_once(void **state)
{
    (void)state;
    start();
    app.end[0].to_send = app.end[1].to_send = 3000000;
    flow_app_open(&app);
    flow_app_run(&app, 5 * SEC, 60 * SEC);
    expect_done();
}

/* ---- storms ---- */

/* Two ends that disagree about everything must fall silent, not answer each other for ever. */
static void test_desynchronized_ends_do_not_storm(void **state)
{
    uint8_t frame[66];
    struct ip_addr a = ip_v4(10, 0, 0, 1), b = ip_v4(10, 0, 0, 2);
    struct tcp_conn_info i;

    (void)state;
    start();
    app.end[0].close_when_sent = app.end[1].close_when_sent = false;
    flow_app_open(&app);
    sim_run(&sim, sim.now + SEC);
    tcp_conn_info(app.end[0].conn, &i);
    uint64_t before = sim.sent;
    for (unsigned n = 0; n < 500; n++) { /* forged ACKs to both, far outside */
        for (int side = 0; side < 2; side++) {
            struct tcp_segment seg = {.slice_count = 0};
            struct tcp_out o = {.src_mac = sim.cfg[side].mac,
                                .dst_mac = sim.cfg[1 - side].mac,
                                .src_ip = side ? &b : &a,
                                .dst_ip = side ? &a : &b,
                                .src_port = side ? 7070 : i.local.port,
                                .dst_port = side ? i.local.port : 7070,
                                .seq = n * 12345,
                                .ack = n * 54321,
                                .flags = TCP_ACK,
                                .ttl = 64,
                                .wnd = 1000};
            o.opt.has_ts = true;
            o.opt.ts_val = n << 20;
            tcp_out_build(&seg, &o);
            memcpy(frame, seg.head, seg.head_len);
            sim_inject(&sim, side, slice_of(frame, seg.head_len));
        }
    }
    for (uint64_t end = sim.now + 2 * SEC; sim_next(&sim) < end;)
        sim_step(&sim);
    /* 1000 forged, and at most ten answers of each end, answered in turn by at most ten of the other. */
    assert_true(sim.sent - before - 1000 <= 40);
    assert_false(app.end[0].closed || app.end[1].closed);
}

/* ---- windows ---- */

static void test_reader_that_sleeps_loses_nothing(void **state)
{
    (void)state;
    sim.cfg[1].recv_buf_bytes = 65536;
    start();
    app.end[0].to_send = 1000000;
    app.end[1].stop_reading = true;
    flow_app_open(&app);
    for (uint64_t end = sim.now + 20 * SEC; sim_next(&sim) < end;) {
        flow_app_pump(&app);
        sim_step(&sim);
    }
    assert_true(tcp_recv_unread(app.end[1].conn) <= 65536 && tcp_recv_unread(app.end[1].conn) >= 60000);
    assert_true(tcp_stack_counters(sim.stack[0])->probe_sent > 3);
    app.end[1].stop_reading = false;
    app.progress_ns = sim.now;
    flow_app_run(&app, 5 * SEC, 60 * SEC);
    expect_done();
    assert_true(app.end[0].writable_events == 0 || app.end[0].sent == 1000000);
}

static bool lose_window_updates(struct sim *s, int side, struct slice frame, void *arg)
{
    struct tcp_in in;
    uint32_t *last_ack = arg;

    (void)s;
    if (side != 1 || !sim_parse(frame, &in) || in.payload.len || (in.flags & (TCP_SYN | TCP_FIN)))
        return false;
    bool is_update = in.ack == *last_ack && in.wnd > 0;
    *last_ack = in.ack;
    return is_update && rng_below(&s->rng, 2) > 0;
}

static void test_lost_window_updates_do_not_stall(void **state)
{
    uint32_t last_ack = 0;

    (void)state;
    sim.cfg[1].recv_buf_bytes = 8192;
    start();
    sim.filter = lose_window_updates;
    sim.filter_arg = &last_ack;
    app.end[0].to_send = 300000;
    app.end[1].read_pause_ppm = 300000;
    flow_app_open(&app);
    flow_app_run(&app, 30 * SEC, 2000 * SEC);
    sim.filter = NULL;
    expect_done();
}

/* ---- many ---- */

#define MANY 3000

static unsigned many_open, many_closed, many_bytes, many_wrong;

static void on_many(struct sim *s, int side, const struct tcp_event *ev, void *arg)
{
    (void)s;
    (void)arg;
    if (ev->type == TCP_EV_CONNECTED) {
        many_open++;
        assert_int_equal(tcp_send_buf(ev->conn, app.pattern, 0, 2000), 2000);
        tcp_close(ev->conn);
    }
    if (ev->type == TCP_EV_READABLE) {
        uint32_t n = tcp_recv_unread(ev->conn);
        many_bytes += n;
        tcp_recv_consume(ev->conn, n);
    }
    if (ev->type == TCP_EV_PEER_CLOSED && side == 1)
        tcp_close(ev->conn);
    if (ev->type == TCP_EV_CLOSED) {
        many_wrong += ev->reason != TCP_CLOSED_DONE;
        many_closed++;
    }
}

static void test_thousands_of_connections_at_once(void **state)
{
    struct ip_endpoint to = sim_endpoint(1, 7070);
    struct tcp_conn *c;

    (void)state;
    many_open = many_closed = many_bytes = many_wrong = 0;
    for (int i = 0; i < 2; i++)
        sim.cfg[i].max_conns = sim.cfg[i].max_half_open = sim.cfg[i].max_time_wait = MANY;
    sim.net.loss_ppm = 10000;
    start();
    sim.on_event = on_many;
    assert_int_equal(tcp_listen(sim.stack[1], 7070, MANY), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(tcp_connect(sim.stack[0], &to, 0, NULL, &c, sim.now), 0);
    sim_run(&sim, sim.now + 60 * SEC);
    assert_int_equal(many_wrong, 0);
    assert_int_equal(many_open, MANY);
    assert_int_equal(many_closed, 2 * MANY);
    assert_int_equal(many_bytes, 2000 * MANY);
    assert_int_equal(tcp_stack_conn_count(sim.stack[0]) + tcp_stack_conn_count(sim.stack[1]), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_lost_syns_are_overcome),
        T(test_lost_syn_acks_are_overcome),
        T(test_lost_handshake_ack_is_overcome),
        T(test_lost_fins_are_overcome),
        T(test_lost_last_segment_costs_one_timeout),
        T(test_the_same_segment_lost_often_is_overcome),
        T(test_every_ack_lost_for_a_while_is_overcome),
        T(test_half_of_all_data_lost_still_arrives),
        T(test_cable_out_and_in_again),
        T(test_idle_connection_notices_a_dead_peer),
        T(test_busy_connection_notices_a_dead_peer),
        T(test_peer_that_restarted_resets_us),
        T(test_both_connect_at_once_and_have_one_connection),
        T(test_both_connect_at_once_though_the_first_syns_are_lost),
        T(test_both_send_and_close_at_once),
        T(test_desynchronized_ends_do_not_storm),
        T(test_reader_that_sleeps_loses_nothing),
        T(test_lost_window_updates_do_not_stall),
        T(test_thousands_of_connections_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
