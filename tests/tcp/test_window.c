/* test_window.c: windows of both sides, small and large segments, probes, silence */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"

/* ---- windows ---- */

static void test_zero_window_is_probed_and_reopens(void **state)
{
    (void)state;
    p.wscale = 0;
    p.wnd = 2000;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 5000);
    puppet_expect(&p, TCP_ACK, 1, 1, MSS);
    puppet_expect_nothing(&p); /* 552 left: less than a packet, less than half of the window */
    p.wnd = 0;
    acked(1 + MSS);
    puppet_expect_nothing(&p);
    uint64_t rto = info().rto_ns;
    unsigned probes = 0;
    for (uint64_t wait = rto; probes < 5; probes++, wait *= 2) {
        puppet_wait(&p, wait + 2 * MS);
        puppet_expect(&p, TCP_ACK, MSS, 1, 0); /* one below: must be answered */
        puppet_expect_nothing(&p);
        acked(1 + MSS);
    }
    assert_int_equal(tcp_stack_counters(p.s)->probe_sent, 5);
    for (unsigned i = 0; i < 3000; i++) { /* an answering peer may take its time */
        puppet_wait(&p, 100 * MS);
        while (puppet_next(&p))
            acked(1 + MSS);
    }
    p.wnd = 60000;
    acked(1 + MSS);
    puppet_expect(&p, TCP_ACK, 1 + MSS, 1, MSS);
    puppet_expect(&p, TCP_ACK, 1 + 2 * MSS, 1, MSS);
    puppet_expect(&p, TCP_ACK, 1 + 3 * MSS, 1, 5000 - 3 * MSS);
}

static void test_silent_peer_with_zero_window_ends(void **state)
{
    struct tcp_event ev;

    (void)state;
    p.cfg.keepalive_idle_ns = 0;
    puppet_start(&p);
    puppet_connect(&p);
    p.wnd = 0;
    acked(1);
    puppet_write(&p, 100);
    for (uint64_t end = p.now + 100 * SEC; p.now < end; puppet_drain(&p))
        puppet_wait(&p, 100 * MS);
    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, TCP_CLOSED_TIMEOUT);
}

static void test_closing_against_a_zero_window_ends_too(void **state)
{
    struct tcp_event ev = {0};

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    p.wnd = 0;
    acked(1);
    puppet_write(&p, 100);
    tcp_close(p.conn);
    for (uint64_t end = p.now + 100 * SEC; p.now < end && !ev.type;) {
        puppet_wait(&p, 100 * MS);
        while (puppet_next(&p))
            acked(1); /* every probe is answered */
        tcp_stack_next_event(p.s, &ev);
    }
    assert_int_equal(ev.type, TCP_EV_CLOSED);
    assert_int_equal(ev.reason, TCP_CLOSED_TIMEOUT);
}

static void test_small_window_is_used_after_waiting(void **state)
{
    (void)state;
    p.wscale = 0;
    puppet_start(&p);
    puppet_connect(&p);
    p.wnd = 100; /* its largest was 65535: 100 is silly */
    acked(1);
    puppet_write(&p, 1000);
    puppet_expect_nothing(&p);
    puppet_wait(&p, SEC);
    puppet_expect(&p, TCP_ACK, 1, 1, 100);
}

static void test_peer_with_a_tiny_buffer_is_fed(void **state)
{
    (void)state;
    p.wscale = 0;
    p.wnd = 1000; /* never as much as a packet: half of its largest window must do */
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 2500);
    puppet_expect(&p, TCP_ACK, 1, 1, 1000);
    acked(1001);
    puppet_expect(&p, TCP_ACK, 1001, 1, 1000);
    p.wnd = 500;
    acked(2001);
    puppet_expect(&p, TCP_ACK, 2001, 1, 500);
}

static void test_shrunk_window_stops_new_data_only(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    send_packets(5);
    puppet_write(&p, 3 * MSS);
    p.wnd = 0; /* below what is in flight */
    acked(1 + MSS);
    puppet_drain(&p);
    puppet_wait(&p, SEC);
    puppet_expect(&p, TCP_ACK, 1 + MSS, 1, MSS); /* what was sent is still sent again */
}

static void test_full_receive_buffer_closes_the_window_and_reading_opens_it(void **state)
{
    (void)state;
    p.cfg.recv_buf_bytes = 20000;
    puppet_start(&p);
    puppet_connect(&p);
    uint32_t at = 1;
    for (; at + 1000 <= 20001; at += 1000)
        puppet_send(&p, TCP_ACK, at, 1, 1000);
    puppet_drain(&p);
    assert_int_equal(p.in.wnd, 0);
    assert_int_equal(tcp_recv_unread(p.conn), 20000);
    puppet_send(&p, TCP_ACK, at, 1, 1000); /* beyond: cut off, answered */
    puppet_expect(&p, TCP_ACK, 1, 20001, 0);
    assert_int_equal(p.in.wnd, 0);
    assert_int_equal(tcp_stack_counters(p.s)->drop_beyond, 1000);
    puppet_send(&p, TCP_ACK, 0, 1, 0); /* a probe of the kind we send */
    puppet_expect(&p, TCP_ACK, 1, 20001, 0);
    tcp_recv_consume(p.conn, 100); /* not worth a word */
    puppet_expect_nothing(&p);
    puppet_send(&p, TCP_ACK, 0, 1, 0); /* nor, when something is said, an invitation to send 100 bytes */
    puppet_expect(&p, TCP_ACK, 1, 20001, 0);
    assert_int_equal(p.in.wnd, 0);
    tcp_recv_consume(p.conn, 1900);
    puppet_expect(&p, TCP_ACK, 1, 20001, 0);
    assert_int_equal(p.in.wnd, 2000);
}

static void test_announced_edge_never_moves_back(void **state)
{
    uint32_t edge = 0;

    (void)state;
    p.cfg.recv_buf_bytes = 100000; /* scale 1: odd windows are rounded */
    puppet_start(&p);
    puppet_connect(&p);
    for (uint32_t at = 1, i = 0; i < 300; i++) {
        uint32_t n = 1 + i * 37 % 997;
        puppet_send(&p, TCP_ACK, at, 1, n);
        at += n;
        if (i % 7 == 0)
            tcp_recv_consume(p.conn, tcp_recv_unread(p.conn) / 2);
        while (puppet_next(&p)) {
            uint32_t now = p.rel_ack + ((uint32_t)p.in.wnd << 1);
            assert_true((int32_t)(now - edge) >= 0);
            edge = now;
        }
        if (tcp_recv_unread(p.conn) > 90000)
            puppet_read(&p);
    }
}

static void test_send_limit_is_kept_and_writable_follows(void **state)
{
    (void)state;
    p.cfg.send_buf_bytes = 30000;
    p.cfg.send_buf_max_bytes = 0;
    puppet_start(&p);
    puppet_connect(&p);
    assert_int_equal(puppet_write(&p, 50000), 30000);
    assert_int_equal(puppet_write(&p, 1), 0);
    assert_int_equal(tcp_send_room(p.conn), 0);
    puppet_no_event(&p);
    uint32_t seen = 1;
    while (seen < 30001) {
        while (puppet_next(&p))
            if (p.len)
                seen = p.rel_seq + p.len;
        acked(seen);
    }
    puppet_event(&p, TCP_EV_WRITABLE, NULL);
    puppet_no_event(&p);
    assert_int_equal(tcp_send_room(p.conn), 30000);
}

static void test_small_writes_go_at_once(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    for (uint32_t i = 0; i < 5; i++) { /* Nagle is off */
        puppet_write(&p, 10);
        puppet_expect(&p, TCP_ACK, 1 + 10 * i, 1, 10);
        assert_true(p.in.flags & TCP_PSH);
    }
}

static void test_many_small_writes_share_packets(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    for (uint32_t i = 0; i < 100; i++)
        puppet_write(&p, 10);
    puppet_expect(&p, TCP_ACK, 1, 1, 10 * TCP_SEG_SLICES); /* as many slices as a segment holds */
    puppet_drain(&p);
    acked(1001);
    assert_int_equal(info().send_queued_bytes, 0);
}

static void test_many_small_writes_make_whole_packets_for_a_port_that_cuts(void **state)
{
    struct tcp_segment seg;

    (void)state;
    p.cfg.csum_tx = true;
    p.cfg.gso_max_bytes = 65535;
    puppet_start(&p);
    puppet_connect(&p);
    for (unsigned i = 0; i < 100; i++)
        puppet_write(&p, 100);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    assert_int_equal(seg.payload_bytes, 2 * MSS); /* 32 slices hold 3200: two packets and no crumbs */
    assert_int_equal(seg.gso_size, MSS);
    /* Lost, it is sent again within the same bound. */
    while (tcp_stack_output(p.s, &seg, p.now))
        ;
    puppet_wait(&p, SEC);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    assert_true(seg.slice_count <= TCP_SEG_SLICES && seg.payload_bytes == MSS);
}

static void test_port_that_cuts_gets_large_segments(void **state)
{
    struct tcp_segment seg;

    (void)state;
    p.cfg.csum_tx = true;
    p.cfg.gso_max_bytes = 65535;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 100000);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    assert_int_equal(seg.payload_bytes, 10 * MSS); /* the whole first window */
    assert_int_equal(seg.gso_size, MSS);
    assert_int_equal(seg.csum_start, 34);
    assert_int_equal(seg.csum_offset, 16);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 0);
    acked(1 + 10 * MSS);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    assert_int_equal(seg.payload_bytes, 20 * MSS);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 0);
    /* One packet of it lost: only that one goes again. */
    puppet_wait(&p, 1000);
    puppet_sack(&p, 1 + 13 * MSS, 1 + 30 * MSS);
    acked(1 + 12 * MSS);
    assert_int_equal(tcp_stack_output(p.s, &seg, p.now), 1);
    assert_int_equal(seg.payload_bytes, MSS);
    assert_int_equal(seg.gso_size, 0);
}

/* ---- silence ---- */

static void test_keepalive_finds_a_dead_peer(void **state)
{
    struct tcp_event ev;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_wait(&p, 29 * SEC);
    puppet_expect_nothing(&p);
    puppet_wait(&p, 2 * SEC);
    puppet_expect(&p, TCP_ACK, 0, 1, 0);
    puppet_send(&p, TCP_ACK, 1, 1, 0); /* alive */
    puppet_wait(&p, 28 * SEC);
    puppet_expect_nothing(&p);
    for (unsigned i = 0; i < 4; i++) {
        puppet_wait(&p, i ? 5 * SEC : 3 * SEC);
        puppet_expect(&p, TCP_ACK, 0, 1, 0);
        puppet_no_event(&p);
    }
    puppet_wait(&p, 5 * SEC);
    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, TCP_CLOSED_TIMEOUT);
}

static void test_window_shrinks_while_idle(void **state)
{
    (void)state;
    p.cfg.keepalive_idle_ns = 0;
    puppet_start(&p);
    puppet_connect(&p);
    for (uint32_t at = 1; at < 200 * MSS;) {
        puppet_write(&p, 40 * MSS);
        while (puppet_next(&p))
            at = p.rel_seq + p.len;
        acked(at);
    }
    assert_true(info().cwnd_bytes > 40 * MSS);
    puppet_drain(&p);
    acked(1 + (uint32_t)info().sent_bytes);
    puppet_wait(&p, 20 * SEC);
    puppet_write(&p, 100 * MSS);
    assert_int_equal(puppet_drain(&p), 10);
}

/* RFC 7323 5.5: after 24 days a timestamp says nothing any more, neither about what is old nor about what to echo. */
static void test_timestamp_of_long_ago_gives_way(void **state)
{
    (void)state;
    p.cfg.keepalive_idle_ns = 0;
    puppet_start(&p);
    puppet_accept(&p);
    puppet_wait(&p, 25ull * 24 * 3600 * SEC);
    p.ts_val -= 500;
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_wait(&p, p.cfg.delayed_ack_ns);
    puppet_expect(&p, TCP_ACK, 1, 101, 0);
    assert_int_equal(p.in.opt.ts_ecr, p.ts_val);
    assert_int_equal(puppet_read(&p), 100);
}

/* What the header cannot say is no news to the peer: reading a little is not worth a segment. */
static void test_window_without_scaling_is_not_told_at_every_read(void **state)
{
    (void)state;
    p.wscale = -1;
    puppet_start(&p);
    puppet_accept(&p);
    puppet_send(&p, TCP_ACK, 1, 1, 1000);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    assert_int_equal(puppet_read(&p), 1000);
    puppet_expect_nothing(&p);
    puppet_wait(&p, p.cfg.delayed_ack_ns);
    puppet_expect(&p, TCP_ACK, 1, 1001, 0);
    assert_int_equal(p.in.wnd, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_timestamp_of_long_ago_gives_way),
        T(test_window_without_scaling_is_not_told_at_every_read),
        T(test_zero_window_is_probed_and_reopens),
        T(test_silent_peer_with_zero_window_ends),
        T(test_closing_against_a_zero_window_ends_too),
        T(test_small_window_is_used_after_waiting),
        T(test_peer_with_a_tiny_buffer_is_fed),
        T(test_shrunk_window_stops_new_data_only),
        T(test_full_receive_buffer_closes_the_window_and_reading_opens_it),
        T(test_announced_edge_never_moves_back),
        T(test_send_limit_is_kept_and_writable_follows),
        T(test_small_writes_go_at_once),
        T(test_many_small_writes_share_packets),
        T(test_many_small_writes_make_whole_packets_for_a_port_that_cuts),
        T(test_port_that_cuts_gets_large_segments),
        T(test_keepalive_finds_a_dead_peer),
        T(test_window_shrinks_while_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
