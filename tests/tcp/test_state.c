/* test_state.c: the state machine, segment by segment, and the rules about what to believe */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"

static void expect_closed(enum tcp_reason reason)
{
    struct tcp_event ev;

    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, reason);
    puppet_no_event(&p); /* frees it */
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
}

/* ---- opening ---- */

static void test_syn_carries_all_options(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    assert_true(puppet_next(&p));
    assert_int_equal(p.in.flags, TCP_SYN);
    assert_true(p.in.opt.has_mss && p.in.opt.mss == 1460 && p.in.opt.has_sack_ok && p.in.opt.has_ts);
    assert_true(p.in.opt.has_wscale && p.in.opt.wscale == 7); /* 4 MiB >> 7 fits 16 bits */
    assert_int_equal(p.in.wnd, 65535);
    assert_true(p.in.src_port >= p.cfg.port_min && p.in.src_port <= p.cfg.port_max);
}

static void test_syn_is_sent_again_and_gives_up(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_event ev;

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    puppet_expect(&p, TCP_SYN, 0, 0, 0);
    for (uint64_t wait = SEC; wait <= 4 * SEC; wait *= 2) { /* one second, then doubled */
        puppet_wait(&p, wait - 1);
        puppet_expect_nothing(&p);
        puppet_wait(&p, 1);
        puppet_expect(&p, TCP_SYN, 0, 0, 0);
    }
    puppet_wait(&p, 3 * SEC); /* ten in all */
    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, TCP_CLOSED_TIMEOUT);
}

static void test_lost_syns_make_the_first_window_small(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn_info i;

    (void)state;
    puppet_start(&p);
    for (unsigned lost = 1; lost <= 2; lost++) { /* RFC 6928 2: one may be, more are congestion */
        assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
        puppet_expect(&p, TCP_SYN, 0, 0, 0);
        p.our_port = p.in.src_port;
        for (unsigned k = 0; k < lost; k++) {
            puppet_wait(&p, SEC << k);
            puppet_expect(&p, TCP_SYN, 0, 0, 0);
        }
        puppet_send(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
        puppet_expect(&p, TCP_ACK, 1, 1, 0);
        tcp_conn_info(p.conn, &i);
        assert_int_equal(i.cwnd_bytes, lost == 1 ? 10 * i.mss_bytes : i.mss_bytes);
    }
}

static void test_syn_sent_believes_only_its_own_numbers(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    assert_true(puppet_next(&p));
    p.our_port = p.in.src_port;
    puppet_send(&p, TCP_RST | TCP_ACK, 0, 2, 0); /* a guessed reset */
    puppet_send(&p, TCP_RST, 0, 0, 0);           /* one without ACK */
    puppet_send(&p, TCP_ACK, 0, 1, 0);           /* ACK without SYN */
    assert_int_equal(info().state, TCP_ST_SYN_SENT);
    puppet_expect_nothing(&p);
    puppet_send(&p, TCP_SYN | TCP_ACK, 0, 7, 0); /* acknowledges what was never sent: reset, RFC 9293 3.5.1 */
    puppet_expect(&p, TCP_RST, 7, 0, 0);
    puppet_send(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_int_equal(info().state, TCP_ST_ESTABLISHED);
}

static void test_refused_syn_is_told(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    assert_true(puppet_next(&p));
    p.our_port = p.in.src_port;
    puppet_send(&p, TCP_RST | TCP_ACK, 0, 1, 0);
    expect_closed(TCP_CLOSED_REFUSED);
}

static void test_both_open_at_once(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    assert_true(puppet_next(&p));
    p.our_port = p.in.src_port;
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(info().state, TCP_ST_SYN_RECEIVED);
    puppet_no_event(&p);
    puppet_send(&p, TCP_SYN | TCP_ACK, 0, 1, 0); /* theirs crosses ours */
    puppet_event(&p, TCP_EV_CONNECTED, NULL);
    assert_int_equal(info().state, TCP_ST_ESTABLISHED);
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    assert_int_equal(puppet_read(&p), 100);
}

static void test_peer_without_options_is_served(void **state)
{
    struct tcp_conn_info i;

    (void)state;
    p.sack = p.ts = false;
    p.wscale = -1;
    p.mss = 536;
    puppet_start(&p);
    puppet_accept(&p);
    tcp_conn_info(p.conn, &i);
    assert_true(!i.sack && !i.timestamps && !i.window_scale);
    assert_int_equal(i.mss_bytes, 536);
    puppet_write(&p, 1000);
    puppet_expect(&p, TCP_ACK, 1, 1, 536);
    assert_false(p.in.opt.has_ts);
    puppet_expect(&p, TCP_ACK, 537, 1, 464);
}

static void test_syn_ack_is_sent_again_and_half_open_ends_in_silence(void **state)
{
    (void)state;
    puppet_start(&p);
    p.our_port = 7070;
    assert_int_equal(tcp_listen(p.s, 7070, 4), 0);
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_send(&p, TCP_SYN, 0, 0, 0); /* the peer did not get it */
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_wait(&p, SEC);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(tcp_stack_conn_count(p.s), 1);
    puppet_wait(&p, 10 * SEC);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
    assert_int_equal(tcp_stack_counters(p.s)->drop_half_open, 1);
    puppet_no_event(&p);
}

static void test_half_open_refuses_wrong_ack_and_ends_by_reset(void **state)
{
    (void)state;
    puppet_start(&p);
    p.our_port = 7070;
    assert_int_equal(tcp_listen(p.s, 7070, 4), 0);
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_send(&p, TCP_ACK, 1, 99, 0);
    puppet_expect(&p, TCP_RST, 99, 0, 0);
    puppet_send(&p, TCP_RST, 1, 0, 0);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
    puppet_no_event(&p);
}

static void test_data_with_the_last_handshake_ack_is_kept(void **state)
{
    (void)state;
    puppet_start(&p);
    p.our_port = 7070;
    assert_int_equal(tcp_listen(p.s, 7070, 4), 0);
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    puppet_send(&p, TCP_ACK | TCP_FIN, 1, 1, 50);
    struct tcp_event ev;
    puppet_event(&p, TCP_EV_ACCEPTED, &ev);
    p.conn = ev.conn;
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    assert_int_equal(puppet_read(&p), 50);
}

static void test_closed_port_answers_reset(void **state)
{
    (void)state;
    puppet_start(&p);
    p.our_port = 5555;
    p.iss = 100;
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    p.iss = 0;
    puppet_expect(&p, TCP_RST | TCP_ACK, 0, 1, 0);
    puppet_send(&p, TCP_ACK, 5, 77, 10);
    puppet_expect(&p, TCP_RST, 77, 0, 0);
    puppet_send(&p, TCP_RST | TCP_ACK, 5, 77, 0); /* never a reset to a reset */
    puppet_expect_nothing(&p);
    assert_int_equal(tcp_stack_counters(p.s)->drop_tcp_port, 3);
}

static void test_shared_address_is_silent_about_ports_of_others(void **state)
{
    (void)state;
    p.cfg.address_shared = true;
    puppet_start(&p);
    p.our_port = 22;
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect_nothing(&p); /* the kernel answers */
    p.our_port = p.cfg.port_min;
    puppet_send(&p, TCP_ACK, 0, 0, 0);
    puppet_expect(&p, TCP_RST, 0, 0, 0);
}

/* ---- closing ---- */

static void test_we_close_first(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 10);
    tcp_close(p.conn);
    assert_int_equal(tcp_send_room(p.conn), 0);
    assert_int_equal(puppet_write(&p, 1), -TCP_ECLOSED);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 1, 1, 10); /* FIN rides on the last data */
    assert_int_equal(info().state, TCP_ST_FIN_WAIT_1);
    puppet_send(&p, TCP_ACK, 1, 12, 0);
    assert_int_equal(info().state, TCP_ST_FIN_WAIT_2);
    puppet_send(&p, TCP_ACK, 1, 12, 30); /* the other half is still open */
    puppet_event(&p, TCP_EV_READABLE, NULL);
    assert_int_equal(puppet_read(&p), 30);
    puppet_send(&p, TCP_ACK | TCP_FIN, 31, 12, 0);
    puppet_expect(&p, TCP_ACK, 12, 32, 0);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    expect_closed(TCP_CLOSED_DONE);
    /* TIME_WAIT: their FIN again is acknowledged again, a reset changes nothing, data too are answered. */
    puppet_send(&p, TCP_RST, 32, 0, 0);
    puppet_expect_nothing(&p);
    puppet_send(&p, TCP_ACK | TCP_FIN, 31, 12, 0);
    puppet_expect(&p, TCP_ACK, 12, 32, 0);
    puppet_wait(&p, 100 * MS);
    puppet_send(&p, TCP_ACK, 32, 12, 0); /* nothing new: no answer, or two TIME_WAITs would talk for ever */
    puppet_expect_nothing(&p);
    puppet_wait(&p, 61 * SEC);
    puppet_send(&p, TCP_ACK | TCP_FIN, 31, 12, 0);
    puppet_expect(&p, TCP_RST, 12, 0, 0); /* forgotten */
}

static void test_peer_closes_first(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_accept(&p);
    puppet_send(&p, TCP_ACK | TCP_FIN, 1, 1, 5);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    puppet_expect(&p, TCP_ACK, 1, 7, 0);
    assert_int_equal(info().state, TCP_ST_CLOSE_WAIT);
    puppet_write(&p, 20); /* our half is open as long as we like */
    puppet_expect(&p, TCP_ACK, 1, 7, 20);
    puppet_send(&p, TCP_ACK, 7, 21, 0);
    assert_int_equal(puppet_read(&p), 5);
    tcp_close(p.conn);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 21, 7, 0);
    assert_int_equal(info().state, TCP_ST_LAST_ACK);
    puppet_send(&p, TCP_ACK, 7, 22, 0);
    expect_closed(TCP_CLOSED_DONE);
    puppet_expect_nothing(&p);
}

static void test_both_close_at_once(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    tcp_close(p.conn);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 1, 1, 0);
    puppet_send(&p, TCP_ACK | TCP_FIN, 1, 1, 0);
    assert_int_equal(info().state, TCP_ST_CLOSING);
    puppet_expect(&p, TCP_ACK, 2, 2, 0);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    puppet_no_event(&p);
    puppet_send(&p, TCP_ACK, 2, 2, 0);
    expect_closed(TCP_CLOSED_DONE);
}

static void test_closed_waits_until_all_is_read(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    tcp_close(p.conn);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 1, 1, 0);
    puppet_send(&p, TCP_ACK | TCP_FIN, 1, 2, 100);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    puppet_no_event(&p);
    tcp_recv_consume(p.conn, 60);
    puppet_no_event(&p);
    tcp_recv_consume(p.conn, 40);
    expect_closed(TCP_CLOSED_DONE);
}

static void test_fin_before_its_data_waits_for_them(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_accept(&p);
    puppet_send(&p, TCP_ACK | TCP_FIN, 101, 1, 50);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_int_equal(p.in.opt.sack_count, 1);
    puppet_no_event(&p);
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    puppet_expect(&p, TCP_ACK, 1, 152, 0);
    assert_int_equal(puppet_read(&p), 150);
    puppet_send(&p, TCP_ACK, 152, 1, 10); /* after the end: dropped, and told where the end is */
    puppet_expect(&p, TCP_ACK, 1, 152, 0);
    assert_int_equal(tcp_recv_unread(p.conn), 0);
}

static void test_lost_fin_is_sent_again(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    tcp_close(p.conn);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 1, 1, 0);
    puppet_wait(&p, 2 * SEC);
    assert_true(puppet_drain(&p) > 0);
    assert_true((p.in.flags & TCP_FIN) && p.rel_seq == 1);
}

static void test_silent_peer_in_fin_wait_2_is_left(void **state)
{
    (void)state;
    p.cfg.keepalive_idle_ns = 0;
    puppet_start(&p);
    puppet_connect(&p);
    tcp_close(p.conn);
    puppet_expect(&p, TCP_ACK | TCP_FIN, 1, 1, 0);
    puppet_send(&p, TCP_ACK, 1, 2, 0);
    puppet_wait(&p, 50 * SEC);
    puppet_send(&p, TCP_ACK, 1, 2, 5); /* alive: the patience begins anew */
    puppet_drain(&p);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_wait(&p, 50 * SEC);
    puppet_no_event(&p);
    puppet_wait(&p, 11 * SEC);
    expect_closed(TCP_CLOSED_TIMEOUT);
    puppet_expect(&p, TCP_RST | TCP_ACK, 2, 6, 0);
}

static void test_abort_sends_reset_and_tells_nothing(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 100);
    puppet_send(&p, TCP_ACK, 1, 1, 10);
    tcp_abort(p.conn);
    puppet_expect(&p, TCP_RST | TCP_ACK, 1, 11, 0);
    puppet_expect_nothing(&p);
    puppet_no_event(&p);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
}

static void test_abort_inside_the_closed_event_is_allowed(void **state)
{
    struct tcp_event ev;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_ACK, 1, 1, 10);
    puppet_send(&p, TCP_RST | TCP_ACK, 11, 1, 0);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_event(&p, TCP_EV_CLOSED, &ev);
    assert_int_equal(ev.reason, TCP_CLOSED_RESET);
    assert_int_equal(tcp_recv_unread(p.conn), 10); /* still to be had */
    tcp_abort(p.conn);
    puppet_no_event(&p);
    puppet_drain(&p);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
}

/* ---- what to believe ---- */

static void test_reset_must_hit_the_exact_number(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_RST, 500, 0, 0); /* in the window: challenged (RFC 5961 3.2) */
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    puppet_send(&p, TCP_RST, 5000000, 0, 0); /* outside: silence */
    puppet_send(&p, TCP_RST, 0xffffff00u, 0, 0);
    puppet_expect_nothing(&p);
    assert_int_equal(info().state, TCP_ST_ESTABLISHED);
    assert_int_equal(tcp_stack_counters(p.s)->tx_challenge, 1);
    puppet_send(&p, TCP_RST, 1, 0, 0);
    expect_closed(TCP_CLOSED_RESET);
}

static void test_syn_inside_a_connection_is_challenged(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_SYN, 100, 0, 0);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    puppet_send(&p, TCP_SYN | TCP_ACK, 100, 1, 0);
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_int_equal(info().state, TCP_ST_ESTABLISHED);
}

static void test_challenges_are_few(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++) {
        puppet_send(&p, TCP_SYN, 100, 0, 0);
        n += puppet_drain(&p);
    }
    assert_int_equal(n, 10);
    for (unsigned i = 0; i < 100; i++) { /* stale pure ACKs share the allowance: no storm */
        puppet_send(&p, TCP_ACK, 0xffff0000u, 1, 0);
        n += puppet_drain(&p);
    }
    assert_int_equal(n, 10);
    assert_int_equal(tcp_stack_counters(p.s)->drop_ack_rate, 990 + 100);
    puppet_wait(&p, 6 * SEC);
    puppet_drain(&p);
    puppet_send(&p, TCP_SYN, 100, 0, 0);
    assert_int_equal(puppet_drain(&p), 1);
}

static void test_ack_of_the_future_or_the_far_past_is_not_believed(void **state)
{
    struct tcp_conn_info i;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 100);
    puppet_drain(&p);
    puppet_send(&p, TCP_ACK, 1, 102, 10); /* one more than sent */
    puppet_expect(&p, TCP_ACK, 101, 1, 0);
    puppet_send(&p, TCP_ACK, 1, 0x80000000u, 10);
    puppet_drain(&p);
    puppet_no_event(&p); /* nor their data */
    tcp_conn_info(p.conn, &i);
    assert_int_equal(i.send_queued_bytes, 100);
    assert_int_equal(tcp_stack_counters(p.s)->drop_ack, 2);
}

static void test_segment_without_ack_is_dropped(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_PSH, 1, 0, 10);
    puppet_no_event(&p);
    assert_int_equal(tcp_stack_counters(p.s)->drop_no_ack, 1);
}

static void test_old_timestamp_is_dropped_and_answered(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    p.ts_val = 2000;
    puppet_send(&p, TCP_ACK, 1, 1, 10);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_drain(&p);
    p.ts_val = 1999;
    puppet_send(&p, TCP_ACK, 11, 1, 10);
    puppet_no_event(&p);
    puppet_expect(&p, TCP_ACK, 1, 11, 0);
    assert_int_equal(tcp_stack_counters(p.s)->drop_paws, 1);
    p.ts_val = 2000;
    puppet_send(&p, TCP_ACK, 11, 1, 10);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    p.ts_val = 1; /* a reset needs no good timestamp (RFC 7323 5.2) */
    puppet_send(&p, TCP_RST, 21, 0, 0);
    puppet_event(&p, TCP_EV_CLOSED, NULL);
}

static void test_timestamp_must_stay_once_agreed(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    p.ts = false;
    puppet_send(&p, TCP_ACK, 1, 1, 10);
    puppet_no_event(&p);
    assert_int_equal(tcp_stack_counters(p.s)->drop_no_timestamp, 1);
}

static void test_timestamp_echo_is_that_of_the_left_edge(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    p.ts_val = 1001;
    puppet_send(&p, TCP_ACK, 101, 1, 100); /* beyond a hole: not echoed (RFC 7323 4.3) */
    puppet_expect(&p, TCP_ACK, 1, 1, 0);
    assert_int_equal(p.in.opt.ts_ecr, 1000);
    p.ts_val = 1002;
    puppet_send(&p, TCP_ACK, 1, 1, 100);
    puppet_expect(&p, TCP_ACK, 1, 201, 0);
    assert_int_equal(p.in.opt.ts_ecr, 1002);
}

static void test_bad_checksum_is_dropped_unless_the_port_vouches(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_send(&p, TCP_ACK, 1, 1, 10);
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_drain(&p);
    /* The same frame, next in sequence, one payload bit turned. */
    puppet_send(&p, TCP_ACK, 11, 1, 10);
    size_t n = 14 + 20 + 32 + 10;
    puppet_event(&p, TCP_EV_READABLE, NULL);
    puppet_drain(&p);
    puppet_send(&p, TCP_ACK, 0xfffffff0u, 1, 10); /* leaves a frame in p.frame */
    p.frame[n - 1] ^= 1;
    tcp_stack_input(p.s, slice_of(p.frame, n), 0, p.now);
    assert_int_equal(tcp_stack_counters(p.s)->drop_tcp_csum, 1);
    tcp_stack_input(p.s, slice_of(p.frame, n), TCP_INPUT_CSUM_OK, p.now);
    assert_int_equal(tcp_stack_counters(p.s)->drop_tcp_csum, 1);
}

static void test_icmp_port_unreachable_refuses_only_the_right_syn(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct ip_addr us = ip_v4(10, 0, 0, 1), them = ip_v4(10, 0, 0, 2);
    uint8_t f[14 + 20 + 8 + 28] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, *ic = f + 34;

    (void)state;
    puppet_start(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
    assert_true(puppet_next(&p));
    ip_build(f + 14, &them, &us, IPPROTO_ICMP_N, 64, 0, sizeof(f) - 14);
    ic[0] = 3;
    ic[1] = 3;
    ip_build(ic + 8, &us, &them, IPPROTO_TCP_N, 64, 0, 60);
    put_be16(ic + 28, p.in.src_port);
    put_be16(ic + 30, 80);
    put_be32(ic + 32, p.in.seq + 1); /* not what we sent */
    put_csum(ic + 2, csum_of(slice_of(ic, sizeof(f) - 34)));
    tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
    puppet_no_event(&p);
    put_be32(ic + 32, p.in.seq);
    put_csum(ic + 2, 0);
    put_csum(ic + 2, csum_of(slice_of(ic, sizeof(f) - 34)));
    tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
    expect_closed(TCP_CLOSED_REFUSED);
}

/* Net and host unreachable: our SYN is given up at once, with their name; of somebody else's SYN, and of a connection that is
 * there, they are soft. */
static void test_icmp_host_unreachable_ends_our_syn_alone(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct ip_addr us = ip_v4(10, 0, 0, 1), them = ip_v4(10, 0, 0, 2);

    (void)state;
    for (uint8_t code = 0; code <= 1; code++) {
        for (unsigned is_up = 0; is_up < 2; is_up++) {
            uint8_t f[14 + 20 + 8 + 28] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, *ic = f + 34;

            puppet_start(&p);
            if (is_up) {
                puppet_connect(&p);
                puppet_write(&p, 100);
                puppet_expect(&p, TCP_ACK, 1, 1, 100);
                puppet_drain(&p);
            } else {
                assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &p.conn, p.now), 0);
                assert_true(puppet_next(&p));
            }
            ip_build(f + 14, &them, &us, IPPROTO_ICMP_N, 64, 0, sizeof(f) - 14);
            ic[0] = 3;
            ic[1] = code;
            ip_build(ic + 8, &us, &them, IPPROTO_TCP_N, 64, 0, 60);
            put_be16(ic + 28, is_up ? p.our_port : p.in.src_port);
            put_be16(ic + 30, 80);
            put_be32(ic + 32, is_up ? p.iss + 1 : p.in.seq);
            put_csum(ic + 2, csum_of(slice_of(ic, sizeof(f) - 34)));
            tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
            if (is_up) {
                puppet_no_event(&p);
                assert_int_equal(tcp_stack_counters(p.s)->drop_icmp_form, 0); /* it was about this connection */
            } else {
                expect_closed(TCP_CLOSED_UNREACHABLE);
            }
            puppet_fini(&p);
            puppet_init(&p);
        }
    }
}

static void test_icmp_frag_needed_shrinks_packets(void **state)
{
    struct ip_addr us = ip_v4(10, 0, 0, 1), them = ip_v4(10, 0, 0, 2);
    uint8_t f[14 + 20 + 8 + 28] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, *ic = f + 34;
    struct tcp_conn_info i;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    puppet_write(&p, 5000);
    puppet_expect(&p, TCP_ACK, 1, 1, 1448);
    puppet_drain(&p);
    ip_build(f + 14, &them, &us, IPPROTO_ICMP_N, 64, 0, sizeof(f) - 14);
    ic[0] = 3;
    ic[1] = 4;
    put_be16(ic + 6, 1400);
    ip_build(ic + 8, &us, &them, IPPROTO_TCP_N, 64, 0, 1500);
    put_be16(ic + 28, p.our_port);
    put_be16(ic + 30, 80);
    put_be32(ic + 32, p.iss + 1);
    put_csum(ic + 2, csum_of(slice_of(ic, sizeof(f) - 34)));
    tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
    puppet_expect(&p, TCP_ACK, 1, 1, 1348); /* again at once, smaller, and the window is not blamed */
    puppet_expect(&p, TCP_ACK, 1349, 1, 100);
    puppet_drain(&p);
    tcp_conn_info(p.conn, &i);
    assert_true(i.cwnd_bytes >= 10 * 1348 && i.mss_bytes == 1348);
    put_be16(ic + 6, 68); /* believed only down to 576 */
    put_csum(ic + 2, 0);
    put_csum(ic + 2, csum_of(slice_of(ic, sizeof(f) - 34)));
    tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
    tcp_conn_info(p.conn, &i);
    assert_int_equal(i.mss_bytes, 576 - 52);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_syn_carries_all_options),
        T(test_syn_is_sent_again_and_gives_up),
        T(test_lost_syns_make_the_first_window_small),
        T(test_syn_sent_believes_only_its_own_numbers),
        T(test_refused_syn_is_told),
        T(test_both_open_at_once),
        T(test_peer_without_options_is_served),
        T(test_syn_ack_is_sent_again_and_half_open_ends_in_silence),
        T(test_half_open_refuses_wrong_ack_and_ends_by_reset),
        T(test_data_with_the_last_handshake_ack_is_kept),
        T(test_closed_port_answers_reset),
        T(test_shared_address_is_silent_about_ports_of_others),
        T(test_we_close_first),
        T(test_peer_closes_first),
        T(test_both_close_at_once),
        T(test_closed_waits_until_all_is_read),
        T(test_fin_before_its_data_waits_for_them),
        T(test_lost_fin_is_sent_again),
        T(test_silent_peer_in_fin_wait_2_is_left),
        T(test_abort_sends_reset_and_tells_nothing),
        T(test_abort_inside_the_closed_event_is_allowed),
        T(test_reset_must_hit_the_exact_number),
        T(test_syn_inside_a_connection_is_challenged),
        T(test_challenges_are_few),
        T(test_ack_of_the_future_or_the_far_past_is_not_believed),
        T(test_segment_without_ack_is_dropped),
        T(test_old_timestamp_is_dropped_and_answered),
        T(test_timestamp_must_stay_once_agreed),
        T(test_timestamp_echo_is_that_of_the_left_edge),
        T(test_bad_checksum_is_dropped_unless_the_port_vouches),
        T(test_icmp_port_unreachable_refuses_only_the_right_syn),
        T(test_icmp_host_unreachable_ends_our_syn_alone),
        T(test_icmp_frag_needed_shrinks_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
