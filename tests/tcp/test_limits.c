/* test_limits.c: what strangers, peers and users can cost a stack; ports; TIME_WAIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fixture.h"

static const struct tcp_counters *count(void)
{
    return tcp_stack_counters(p.s);
}

/* ---- floods ---- */

static void syn_from(uint16_t port, uint32_t iss)
{
    p.peer_port = port;
    p.peer_iss = iss;
    puppet_send(&p, TCP_SYN, 0, 0, 0);
}

static void test_syn_flood_is_bounded_and_the_oldest_gives_way(void **state)
{
    (void)state;
    p.cfg.syn_cookies = false;
    puppet_start(&p);
    p.our_port = 7070;
    assert_int_equal(tcp_listen(p.s, 7070, 3), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        syn_from((uint16_t)(1 + i), i);
        puppet_drain(&p);
        assert_true(tcp_stack_conn_count(p.s) <= 3);
    }
    assert_int_equal(count()->drop_backlog, 10000 - 3);
    /* The newest is alive and may finish. */
    p.peer_port = 10000;
    puppet_send(&p, TCP_ACK, 1, 1, 0);
    puppet_event(&p, TCP_EV_ACCEPTED, NULL);
    /* An evicted one meets a reset, not a stranger's connection. */
    p.peer_port = 5;
    p.peer_iss = 4;
    puppet_send(&p, TCP_ACK, 1, 1, 0);
    puppet_expect(&p, TCP_RST, 1, 0, 0);
}

static void test_half_open_bound_holds_over_all_ports(void **state)
{
    (void)state;
    p.cfg.syn_cookies = false;
    puppet_start(&p); /* four in all */
    assert_int_equal(tcp_listen(p.s, 7070, 100), 0);
    assert_int_equal(tcp_listen(p.s, 7071, 100), 0);
    p.our_port = 7070;
    for (uint16_t i = 1; i <= 4; i++)
        syn_from(i, i);
    p.our_port = 7071;
    syn_from(99, 1); /* the other port holds them all: refused in silence */
    assert_int_equal(tcp_stack_conn_count(p.s), 4);
    p.our_port = 7070;
    syn_from(100, 1);
    assert_int_equal(tcp_stack_conn_count(p.s), 4);
    assert_int_equal(count()->drop_backlog, 2);
    tcp_unlisten(p.s, 7070);
    tcp_unlisten(p.s, 7070);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
    p.our_port = 7071;
    syn_from(99, 1);
    assert_int_equal(tcp_stack_conn_count(p.s), 1);
}

static void test_connections_are_bounded_both_ways(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c;

    (void)state;
    p.cfg.max_conns = 2;
    puppet_start(&p);
    puppet_accept(&p);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c, p.now), 0);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c, p.now), -TCP_EFULL);
    puppet_drain(&p);
    syn_from(1234, 5);
    puppet_expect_nothing(&p);
    assert_int_equal(count()->drop_conn_full, 1);
}

static void test_table_may_fill_between_syn_and_ack(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c;

    (void)state;
    p.cfg.max_conns = 1;
    puppet_start(&p);
    p.our_port = 7070;
    assert_int_equal(tcp_listen(p.s, 7070, 4), 0);
    syn_from(1234, 5);
    puppet_expect(&p, TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c, p.now), 0);
    puppet_send(&p, TCP_ACK, 1, 1, 0);
    puppet_expect(&p, TCP_RST | TCP_ACK, 1, 1, 0);
    puppet_no_event(&p);
    assert_int_equal(count()->drop_conn_full, 1);
}

static void test_resets_to_strangers_are_few(void **state)
{
    unsigned n = 0;

    (void)state;
    puppet_start(&p);
    p.our_port = 1;
    for (unsigned i = 0; i < 5000; i++) {
        puppet_send(&p, TCP_ACK, i, i, 0);
        n += puppet_drain(&p);
    }
    assert_int_equal(n, 100);
    assert_int_equal(count()->drop_rst_rate, 4900);
    for (unsigned i = 0; i < 15; i++) { /* unsent ones wait in a bounded queue */
        puppet_wait(&p, SEC);
        for (unsigned k = 0; k < 100; k++)
            puppet_send(&p, TCP_ACK, i, i, 0);
    }
    assert_true(puppet_drain(&p) <= 1024);
    assert_true(count()->drop_ctl_full > 0);
}

static void test_echo_is_answered_within_a_rate(void **state)
{
    uint8_t f[14 + 20 + 8 + 5] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct ip_addr us = ip_v4(10, 0, 0, 1), them = ip_v4(10, 0, 0, 2);
    struct tcp_segment seg;
    unsigned n = 0;

    (void)state;
    puppet_start(&p);
    ip_build(f + 14, &them, &us, IPPROTO_ICMP_N, 64, 0, sizeof(f) - 14);
    f[34] = 8;
    memcpy(f + 42, "hello", 5);
    put_csum(f + 36, csum_of(slice_of(f + 34, 13)));
    for (unsigned i = 0; i < 1000; i++)
        tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
    while (tcp_stack_output(p.s, &seg, p.now)) {
        n++;
        assert_int_equal(seg.payload_bytes, 9);
        assert_memory_equal(seg.slices[0].p + 4, "hello", 5);
        assert_int_equal(seg.head[34], 0);
    }
    assert_int_equal(n, 50);
    assert_int_equal(count()->drop_icmp_rate, 950);
}

static void test_frames_for_others_are_counted_and_dropped(void **state)
{
    static const struct {
        size_t offset;
        uint8_t value;
        size_t counter;
    } t[] = {
        {0, 4, offsetof(struct tcp_counters, drop_eth_dst)},
        {12, 0x86, offsetof(struct tcp_counters, drop_eth_type)},
        {14, 0x65, offsetof(struct tcp_counters, drop_ip_form)},
        {22, 63, offsetof(struct tcp_counters, drop_ip_csum)},
    };

    (void)state;
    puppet_start(&p);
    p.our_port = 9;
    puppet_send(&p, TCP_ACK, 1, 1, 0);
    puppet_drain(&p);
    puppet_send(&p, TCP_RST, 1, 1, 0);
    uint8_t f[66];
    memcpy(f, p.frame, sizeof(f));
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint8_t was = f[t[i].offset];
        f[t[i].offset] = t[i].value;
        tcp_stack_input(p.s, slice_of(f, sizeof(f)), 0, p.now);
        assert_int_equal(*(const uint64_t *)(const void *)((const uint8_t *)count() + t[i].counter), 1);
        f[t[i].offset] = was;
    }
    for (size_t n = 0; n < sizeof(f); n++)
        tcp_stack_input(p.s, slice_of(f, n), 0, p.now);
    assert_int_equal(count()->drop_eth_short, 14);
}

static void test_fragments_and_strange_sources_are_dropped(void **state)
{
    static const struct ip_addr us = {IP_V4, {10, 0, 0, 1}};
    static const struct ip_addr bad[] = {{IP_V4, {127, 0, 0, 1}},
                                         {IP_V4, {224, 0, 0, 5}},
                                         {IP_V4, {10, 0, 0, 1}}};
    uint8_t f[66];

    (void)state;
    puppet_start(&p);
    puppet_accept(&p);
    puppet_send(&p, TCP_ACK, 0, 0, 0);
    puppet_drain(&p);
    puppet_send(&p, TCP_RST, 1, 0, 0);
    puppet_event(&p, TCP_EV_CLOSED, NULL);
    memcpy(f, p.frame, sizeof(f));
    uint64_t before = count()->rx_segments;
    put_be16(f + 20, IPV4_MF);
    put_csum(f + 24, 0);
    put_csum(f + 24, csum_of(slice_of(f + 14, 20)));
    tcp_stack_input(p.s, slice_of(f, sizeof(f)), TCP_INPUT_CSUM_OK, p.now);
    assert_int_equal(count()->drop_ip_fragment, 1);
    for (unsigned i = 0; i < 3; i++) {
        ip_build(f + 14, &bad[i], &us, IPPROTO_TCP_N, 64, 0, 52);
        tcp_stack_input(p.s, slice_of(f, sizeof(f)), TCP_INPUT_CSUM_OK, p.now);
    }
    assert_int_equal(count()->drop_ip_src, 3);
    assert_int_equal(count()->rx_segments, before);
    puppet_expect_nothing(&p);
}

/* ---- memory ---- */

static void test_receive_pool_is_shared_and_bounded(void **state)
{
    (void)state;
    p.cfg.rx_pool_bytes = 8 * 16384;
    p.cfg.recv_buf_bytes = 1 << 20;
    puppet_start(&p);
    puppet_connect(&p);
    uint32_t at = 1;
    for (; at < 300000; at += 1000)
        puppet_send(&p, TCP_ACK, at, 1, 1000);
    puppet_drain(&p);
    assert_true(tcp_recv_unread(p.conn) <= 8 * 16384);
    assert_true(count()->drop_rx_memory > 0);
    assert_int_equal(p.rel_ack, 1 + tcp_recv_unread(p.conn)); /* what is dropped is not acknowledged */
    puppet_read(&p);
    puppet_send(&p, TCP_ACK, p.rel_ack, 1, 1000); /* and with room again it is taken */
    assert_int_equal(tcp_recv_unread(p.conn), 1000);
}

static void test_send_pool_is_shared_and_who_was_short_is_told(void **state)
{
    struct tcp_conn *first;
    struct tcp_event ev;

    (void)state;
    p.cfg.tx_pool_bytes = 50000;
    puppet_start(&p);
    puppet_connect(&p);
    first = p.conn;
    assert_int_equal(puppet_write(&p, 60000), 50000);
    /* A second connection finds nothing left. */
    uint16_t port = p.our_port;
    uint32_t iss = p.iss;
    puppet_drain(&p);
    p.peer_port = 81;
    puppet_connect(&p);
    assert_int_equal(puppet_write(&p, 10), 0);
    struct tcp_conn *second = p.conn;
    p.conn = first;
    p.our_port = port;
    p.peer_port = 80;
    p.iss = iss;
    tcp_abort(first);
    puppet_event(&p, TCP_EV_WRITABLE, &ev);
    assert_ptr_equal(ev.conn, second);
    assert_int_equal(tcp_send_room(second), 50000);
}

/* ---- ports and TIME_WAIT ---- */

static void test_ports_run_out_and_come_back(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c[6];

    (void)state;
    p.cfg.port_min = 50000;
    p.cfg.port_max = 50005;
    puppet_start(&p);
    assert_int_equal(tcp_listen(p.s, 50003, 1), 0); /* not for us */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c[i], p.now), 0);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c[5], p.now), -TCP_ENOPORT);
    to.port = 81; /* towards another endpoint they are free */
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c[5], p.now), 0);
    to.port = 80;
    tcp_abort(c[2]);
    assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c[2], p.now), 0);
    assert_int_equal(tcp_connect(p.s, &to, 50001, NULL, &c[2], p.now), -TCP_EINUSE);
}

static void test_listening_ports_are_few_and_single(void **state)
{
    (void)state;
    p.cfg.max_listeners = 2;
    puppet_start(&p);
    assert_int_equal(tcp_listen(p.s, 0, 1), -TCP_EADDR);
    assert_int_equal(tcp_listen(p.s, 1, 1), 0);
    assert_int_equal(tcp_listen(p.s, 1, 1), -TCP_EINUSE);
    assert_int_equal(tcp_listen(p.s, 2, 1), 0);
    assert_int_equal(tcp_listen(p.s, 3, 1), -TCP_EFULL);
    tcp_unlisten(p.s, 1);
    assert_int_equal(tcp_listen(p.s, 3, 1), 0);
}

static void test_impossible_addresses_are_refused(void **state)
{
    static const uint8_t bad[][4] = {
        {0, 0, 0, 0}, {127, 0, 0, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}, {10, 0, 0, 1}};
    struct tcp_conn *c;

    (void)state;
    puppet_start(&p);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ip_endpoint to = {ip_v4_bytes(bad[i]), 80};
        assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c, p.now), -TCP_EADDR);
    }
    struct ip_endpoint zero = {ip_v4(10, 0, 0, 2), 0};
    assert_int_equal(tcp_connect(p.s, &zero, 0, NULL, &c, p.now), -TCP_EADDR);
}

/* Our side closes first and remembers. */
static void into_time_wait(void)
{
    tcp_close(p.conn);
    puppet_drain(&p);
    puppet_send(&p, TCP_ACK | TCP_FIN, 1, 2, 0);
    puppet_drain(&p);
    puppet_event(&p, TCP_EV_PEER_CLOSED, NULL);
    puppet_event(&p, TCP_EV_CLOSED, NULL);
    puppet_no_event(&p);
}

static void test_time_wait_gives_way_to_a_newer_syn_only(void **state)
{
    (void)state;
    puppet_start(&p);
    puppet_accept(&p);
    into_time_wait();
    uint32_t old_iss = p.iss;
    p.ts_val -= 10; /* an old duplicate */
    puppet_send(&p, TCP_SYN, 0, 0, 0);
    puppet_expect(&p, TCP_ACK, 2, 2, 0);
    assert_int_equal(count()->timewait_reused, 0);
    p.ts_val += 20; /* a new connection of the same endpoints */
    p.now += 10 * MS;
    puppet_send(&p, TCP_SYN, 100, 0, 0);
    assert_true(puppet_next(&p));
    assert_int_equal(p.in.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(count()->timewait_reused, 1);
    assert_true((int32_t)(p.in.seq - old_iss) > 0); /* RFC 6528: the clock has moved on */
}

static void test_our_connect_takes_over_time_wait_after_a_second(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c;

    (void)state;
    puppet_start(&p);
    puppet_connect(&p);
    uint16_t port = p.our_port;
    into_time_wait();
    assert_int_equal(tcp_connect(p.s, &to, port, NULL, &c, p.now), -TCP_EINUSE);
    puppet_wait(&p, SEC);
    assert_int_equal(tcp_connect(p.s, &to, port, NULL, &c, p.now), 0);
    assert_int_equal(count()->timewait_reused, 1);
}

static void test_time_waits_are_bounded(void **state)
{
    (void)state;
    p.cfg.max_time_wait = 5;
    puppet_start(&p);
    for (uint16_t i = 0; i < 20; i++) {
        p.peer_port = (uint16_t)(1000 + i);
        puppet_connect(&p);
        into_time_wait();
    }
    assert_int_equal(count()->drop_timewait_full, 15);
    assert_int_equal(tcp_stack_conn_count(p.s), 0);
    puppet_wait(&p, 61 * SEC);
    assert_true(tcp_stack_next_deadline(p.s) == UINT64_MAX);
}

static void test_initial_numbers_and_ports_do_not_follow_a_line(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c;
    uint32_t iss[12];
    uint16_t port[12];
    unsigned near = 0, next = 0;

    (void)state;
    puppet_start(&p);
    for (unsigned i = 0; i < 12; i++) {
        to.port++;
        assert_int_equal(tcp_connect(p.s, &to, 0, NULL, &c, p.now), 0);
        assert_true(puppet_next(&p));
        iss[i] = p.in.seq;
        port[i] = p.in.src_port;
        if (i) {
            near += iss[i] - iss[i - 1] < 1u << 20;
            next += port[i] == port[i - 1] + 1;
        }
    }
    assert_true(near <= 1 && next <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_syn_flood_is_bounded_and_the_oldest_gives_way),
        T(test_half_open_bound_holds_over_all_ports),
        T(test_connections_are_bounded_both_ways),
        T(test_table_may_fill_between_syn_and_ack),
        T(test_resets_to_strangers_are_few),
        T(test_echo_is_answered_within_a_rate),
        T(test_frames_for_others_are_counted_and_dropped),
        T(test_fragments_and_strange_sources_are_dropped),
        T(test_receive_pool_is_shared_and_bounded),
        T(test_send_pool_is_shared_and_who_was_short_is_told),
        T(test_ports_run_out_and_come_back),
        T(test_listening_ports_are_few_and_single),
        T(test_impossible_addresses_are_refused),
        T(test_time_wait_gives_way_to_a_newer_syn_only),
        T(test_our_connect_takes_over_time_wait_after_a_second),
        T(test_time_waits_are_bounded),
        T(test_initial_numbers_and_ports_do_not_follow_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
