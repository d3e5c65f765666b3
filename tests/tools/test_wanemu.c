/* The emulated network in virtual time: what it promises of delay, jitter, rate, queue, marks and loss holds to the nanosecond. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <stdlib.h>

#include "config.h"
#include "switch.h"
#include "wan.h"

#define MS 1000000ull

static struct wan w;

static void begin(unsigned nodes, uint64_t seed, const char *line)
{
    char err[128] = "";

    wan_init(&w, nodes, seed, 1 << 30);
    if (line && wan_config_line(&w, line, err))
        fail_msg("%s: %s", line, err);
}

/* An IPv4 frame of so many bytes, that may be marked. */
static struct wan_frame *frame_of(uint32_t len)
{
    uint8_t bytes[2000] = {0};
    uint8_t *eth = bytes + sizeof(struct virtio_net_hdr);

    eth[12] = 8;
    eth[14] = 0x45;
    eth[15] = 2; /* ECT(0) */
    return wan_frame_new(bytes, len + (uint32_t)sizeof(struct virtio_net_hdr));
}

static void send_at(unsigned from, unsigned to, uint32_t len, uint64_t now)
{
    struct wan_frame *f = frame_of(len);

    wan_input(&w, from, to, f, now);
    wan_frame_unref(f);
}

/* The due time of the next packet, whenever. */
#define NONE UINT64_MAX
static uint64_t next(bool *is_ce)
{
    struct wan_packet p;

    if (!wan_output(&w, &p, UINT64_MAX - 1))
        return NONE;
    if (is_ce)
        *is_ce = p.is_ce;
    wan_frame_unref(p.frame);
    return p.due_ns;
}

static void test_packet_comes_after_its_delay(void **state)
{
    struct wan_packet p;

    begin(3, 1, "0>1 delay 20ms");
    send_at(0, 1, 100, 5 * MS);
    send_at(1, 0, 100, 6 * MS); /* the other way nothing is set */
    assert_int_equal(wan_next_deadline(&w), 6 * MS);
    assert_int_equal(next(NULL), 6 * MS);
    assert_int_equal(wan_next_deadline(&w), 25 * MS);
    assert_false(wan_output(&w, &p, 25 * MS - 1));
    assert_true(wan_output(&w, &p, 25 * MS));
    assert_int_equal(p.to, 1);
    wan_frame_unref(p.frame);
    assert_int_equal(wan_next_deadline(&w), UINT64_MAX);
    wan_fini(&w);
}

/* 2,000 packets, one each gap. How long they took, and how many came before an earlier one. */
static void jitter(const char *line, uint64_t gap_ns, uint64_t *least, uint64_t *most, unsigned *mixed)
{
    uint64_t last = 0;
    struct wan_packet p;

    begin(2, 3, line);
    for (unsigned i = 0; i < 2000; i++)
        send_at(0, 1, 100, i * gap_ns);
    *least = UINT64_MAX;
    *most = *mixed = 0;
    while (wan_output(&w, &p, UINT64_MAX - 1)) {
        uint64_t took = p.due_ns - p.order * gap_ns;
        *mixed += p.order < last;
        last = p.order > last ? p.order : last;
        *least = took < *least ? took : *least;
        *most = took > *most ? took : *most;
        wan_frame_unref(p.frame);
    }
    wan_fini(&w);
}

static void test_jitter_stays_in_its_bounds_and_keeps_order_unless_told(void **state)
{
    uint64_t least, most;
    unsigned mixed;

    jitter("all delay 10ms jitter 3ms", 4 * MS, &least, &most, &mixed);
    assert_in_range(least, 10 * MS, 10 * MS + MS / 100);
    assert_in_range(most, 13 * MS - MS / 100, 13 * MS);
    jitter("all delay 10ms jitter 3ms", 1000, &least, &most, &mixed);
    assert_int_equal(mixed, 0);
    assert_in_range(most, 13 * MS - MS / 100, 13 * MS);
    jitter("all delay 10ms jitter 3ms reorder on", 1000, &least, &most, &mixed);
    assert_true(mixed > 1000);
    assert_in_range(least, 10 * MS, 10 * MS + MS / 100);
}

static void test_rate_spaces_packets_and_a_full_queue_drops_the_new(void **state)
{
    begin(2, 1, "all rate 8Mbit queue 5000B delay 1ms"); /* a byte each microsecond */
    for (unsigned i = 0; i < 7; i++)
        send_at(0, 1, 1000, 0);
    for (unsigned i = 1; i <= 5; i++)
        assert_int_equal(next(NULL), i * MS + MS);
    assert_int_equal(next(NULL), NONE);
    assert_int_equal(w.path[0][1].link.dropped, 2);
    send_at(0, 1, 1000, 100 * MS); /* an idle link saves nothing up */
    send_at(0, 1, 1000, 100 * MS);
    assert_int_equal(next(NULL), 102 * MS);
    assert_int_equal(next(NULL), 103 * MS);
    wan_fini(&w);
}

static void test_downlink_is_shared_in_order_of_arrival(void **state)
{
    char err[128];

    begin(3, 1, "node 2 down 8Mbit queue 2500B");
    assert_int_equal(wan_config_line(&w, "0>2 delay 5ms", err), 0);
    send_at(0, 2, 1000, 0);      /* there at 5 ms */
    send_at(1, 2, 1000, 4 * MS); /* there at 4 ms: first, until 5 */
    send_at(1, 2, 1000, 5 * MS); /* third; leaves at 7 */
    send_at(1, 2, 1000, 5 * MS); /* 1000 to 2000 bytes are before it: no room */
    assert_int_equal(next(NULL), 5 * MS);
    assert_int_equal(next(NULL), 6 * MS);
    assert_int_equal(next(NULL), 7 * MS);
    assert_int_equal(next(NULL), NONE);
    assert_int_equal(w.down[2].dropped, 1);
    assert_int_equal(w.held_bytes, 0);
    wan_fini(&w);
}

static void test_uplink_holds_back_all_that_a_node_sends(void **state)
{
    begin(3, 1, "node 0 up 8Mbit");
    send_at(0, 1, 1000, 0);
    send_at(0, 2, 1000, 0);
    send_at(1, 2, 1000, 0);
    assert_int_equal(next(NULL), 0);
    assert_int_equal(next(NULL), 1 * MS);
    assert_int_equal(next(NULL), 2 * MS);
    wan_fini(&w);
}

static void test_queue_above_its_mark_marks_what_may_be_marked(void **state)
{
    bool is_ce = true;

    begin(2, 1, "all rate 8Mbit mark 1500B");
    send_at(0, 1, 1000, 0);
    send_at(0, 1, 1000, 0);
    next(&is_ce);
    assert_false(is_ce);
    next(&is_ce);
    assert_true(is_ce);
    assert_int_equal(w.path[0][1].link.marked, 1);
    wan_fini(&w);
}

/* Which of 20,000 packets are lost, as a hash; between two of 0>1 some of another pair's, which must not matter. */
static uint64_t losses(uint64_t seed, bool has_others, uint64_t *lost)
{
    uint64_t hash = 0, before;

    begin(3, seed, "all loss 5%");
    for (unsigned i = 0; i < 20000; i++) {
        before = w.path[0][1].lost;
        send_at(0, 1, 100, i);
        hash = hash * 31 + (w.path[0][1].lost - before);
        if (has_others)
            send_at(2, 1, 100, i);
    }
    *lost = w.path[0][1].lost;
    wan_fini(&w);
    return hash;
}

static void test_loss_is_as_often_as_said_and_follows_the_seed(void **state)
{
    uint64_t lost, a = losses(7, false, &lost);

    assert_in_range(lost, 877, 1123); /* 1000, 4 standard deviations of 30.8 */
    assert_int_equal(a, losses(7, true, &lost));
    assert_int_not_equal(a, losses(8, false, &lost));
    begin(3, 8, "seed 7");
    uint64_t first = rng_below(&w.path[0][1].rng, 1000000);
    wan_seed(&w, 7);
    assert_int_equal(rng_below(&w.path[0][1].rng, 1000000), first);
    wan_fini(&w);
}

static void test_memory_under_way_is_bounded(void **state)
{
    wan_init(&w, 2, 1, 5000);
    w.path[0][1].delay_ns = MS;
    for (unsigned i = 0; i < 8; i++)
        send_at(0, 1, 1000, 0);
    assert_int_equal(w.overrun, 3);
    wan_fini(&w);
}

/* ---- frames of several packets ---- */

enum { SEGMENT = 1448, HEAD = 14 + 20 + 32, PAYLOAD = 3 * SEGMENT + 100 };

static uint8_t super[sizeof(struct virtio_net_hdr) + HEAD + PAYLOAD];

static void make_super(void)
{
    struct virtio_net_hdr v = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                               .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                               .hdr_len = HEAD,
                               .gso_size = SEGMENT,
                               .csum_start = 34,
                               .csum_offset = 16};
    uint8_t *eth = super + sizeof(v), *ip = eth + 14, *tcp = ip + 20;

    memset(super, 0, sizeof(super));
    memcpy(super, &v, sizeof(v));
    eth[12] = 8;
    ip[0] = 0x45;
    ip[1] = 2;
    ip[2] = (20 + 32 + PAYLOAD) >> 8;
    ip[3] = (20 + 32 + PAYLOAD) & 0xff;
    ip[4] = 0xff, ip[5] = 0xff; /* the numbers wrap */
    ip[8] = 64, ip[9] = 6;
    memcpy(ip + 12, "\x0a\x37\x00\x01\x0a\x37\x00\x02", 8);
    memcpy(tcp + 4, "\xff\xff\xff\x00", 4); /* and so does the sequence */
    tcp[12] = 8 << 4;
    tcp[13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR, ACK, PSH, FIN */
    for (unsigned i = 0; i < PAYLOAD; i++)
        eth[HEAD + i] = (uint8_t)(i * 7 + i / 256);
}

static uint32_t be(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

static uint32_t sum(const uint8_t *p, unsigned n, uint32_t s)
{
    for (unsigned i = 0; i + 1 < n; i += 2)
        s += be(p + i, 2);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s;
}

static void check_run(const struct wan_frame *f, uint32_t first, uint32_t count, uint32_t payload, uint8_t flags)
{
    struct virtio_net_hdr v;
    uint8_t head[WAN_HEAD_MAX];
    struct slice rest;
    const uint8_t *ip = head + 14, *tcp = head + 34;

    assert_int_equal(wan_frame_run(f, first, count, false, &v, head, &rest), HEAD);
    assert_int_equal(rest.len, payload);
    assert_memory_equal(rest.p, super + sizeof(v) + HEAD + first * SEGMENT, payload);
    assert_int_equal(be(ip + 2, 2), 52 + payload);
    assert_int_equal(be(ip + 4, 2), (0xffff + first) & 0xffff);
    assert_int_equal(sum(ip, 20, 0), 0xffff);
    assert_int_equal(be(tcp + 4, 4), 0xffffff00u + first * SEGMENT);
    assert_int_equal(tcp[13], flags);
    assert_int_equal(be(tcp + 16, 2), sum(ip + 12, 8, 6 + 32 + payload)); /* the pseudo header, to be gone on with */
    assert_int_equal(v.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(v.gso_type, count > 1 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE);
    assert_int_equal(v.gso_size, count > 1 ? SEGMENT : 0);
}

static void test_super_frame_is_cut_and_joined_as_tcp_segments_are(void **state)
{
    struct wan_frame *f;

    make_super();
    f = wan_frame_new(super, sizeof(super));
    assert_non_null(f);
    assert_int_equal(f->packets, 4);
    assert_int_equal(wan_frame_packet_bytes(f, 0), HEAD + SEGMENT);
    assert_int_equal(wan_frame_packet_bytes(f, 3), HEAD + 100);
    check_run(f, 0, 4, PAYLOAD, 0x99);
    check_run(f, 0, 1, SEGMENT, 0x90);
    check_run(f, 1, 2, 2 * SEGMENT, 0x10);
    check_run(f, 2, 2, SEGMENT + 100, 0x19);
    check_run(f, 3, 1, 100, 0x19);
    wan_frame_unref(f);
}

static void test_super_frame_is_lost_and_counted_by_packets(void **state)
{
    struct wan_frame *f;
    struct wan_packet p;
    unsigned n = 0;

    make_super();
    begin(2, 1, "all loss 50%");
    for (unsigned i = 0; i < 100; i++) {
        f = wan_frame_new(super, sizeof(super));
        wan_input(&w, 0, 1, f, 0);
        wan_frame_unref(f);
    }
    for (; wan_output(&w, &p, MS); n++)
        wan_frame_unref(p.frame);
    assert_int_equal(w.path[0][1].packets, 400);
    assert_int_equal(n, 400 - w.path[0][1].lost);
    assert_in_range(n, 160, 240);
    assert_int_equal(w.path[0][1].bytes, 100 * (4 * HEAD + PAYLOAD));
    wan_fini(&w);
}

static void test_mark_sets_ce_and_mends_the_header_sum(void **state)
{
    struct virtio_net_hdr v;
    uint8_t head[WAN_HEAD_MAX];
    struct slice rest;
    struct wan_frame *f = frame_of(100);

    wan_frame_run(f, 0, 1, true, &v, head, &rest);
    assert_int_equal(head[15], 3);
    assert_int_equal(sum(head + 14, 20, 0), 0xffff);
    wan_frame_unref(f);
}

static void test_frame_that_is_cut_short_or_lies_is_refused(void **state)
{
    uint8_t copy[sizeof(super)];

    make_super();
    for (uint32_t len = 0; len <= sizeof(struct virtio_net_hdr) + HEAD; len++)
        assert_null(wan_frame_new(super, len));
    for (unsigned i = 0; i < sizeof(struct virtio_net_hdr) + HEAD; i++) /* whatever a byte says, nothing is read outside */
        for (unsigned v = 0; v < 256; v += 15) {
            memcpy(copy, super, sizeof(copy));
            copy[i] = (uint8_t)v;
            struct wan_frame *f = wan_frame_new(copy, sizeof(copy));
            if (!f)
                continue;
            struct virtio_net_hdr h;
            uint8_t head[WAN_HEAD_MAX];
            struct slice rest;
            uint32_t total = 0;
            for (uint32_t k = 0; k < f->packets; k++) {
                uint32_t n = wan_frame_run(f, k, 1, false, &h, head, &rest);
                total += rest.len;
                assert_int_equal(n + rest.len, wan_frame_packet_bytes(f, k));
            }
            assert_int_equal(total + (f->packets > 1 ? f->head_len : WAN_HEAD_MAX), f->len);
            wan_frame_unref(f);
        }
}

/* ---- the switch and the configuration ---- */

static void test_switch_learns_where_addresses_are(void **state)
{
    static struct mac_switch s;
    uint8_t ab[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, ba[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    uint8_t all[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2}, many[14] = {2, 0, 0, 0, 0, 1, 4};

    assert_int_equal(switch_frame(&s, 0, ab), SWITCH_ALL);
    assert_int_equal(switch_frame(&s, 3, ba), 0);
    assert_int_equal(switch_frame(&s, 0, ab), 3);
    assert_int_equal(switch_frame(&s, 3, all), SWITCH_ALL);
    switch_frame(&s, 5, ba); /* it moved */
    assert_int_equal(switch_frame(&s, 0, ab), 5);
    for (unsigned i = 0; i < 3000; i++) {
        many[10] = (uint8_t)(i >> 8);
        many[11] = (uint8_t)i;
        assert_int_equal(switch_frame(&s, 1, many), 0);
    }
    assert_true(s.count < SWITCH_MACS);
}

static void test_config_reads_what_its_header_promises(void **state)
{
    char err[128];

    begin(4, 1, "all delay 10ms jitter 1ms rate 100Mbit queue 64KiB loss 0.1% # of all");
    assert_int_equal(w.path[3][2].delay_ns, 10 * MS);
    assert_int_equal(w.path[3][2].link.rate, 12500000);
    assert_int_equal(w.path[3][2].link.queue_bytes, 65536);
    assert_int_equal(w.path[3][2].loss, 1000);
    assert_int_equal(wan_config_line(&w, "0>* delay 500us", err), 0);
    assert_int_equal(w.path[0][3].delay_ns, MS / 2);
    assert_int_equal(w.path[3][0].delay_ns, 10 * MS);
    assert_int_equal(wan_config_line(&w, "1 2 loss 0 reorder on", err), 0);
    assert_int_equal(w.path[2][1].loss, 0);
    assert_true(w.path[1][2].reorders);
    assert_int_equal(wan_config_line(&w, "node 3 up 1Gbit down 8kbit queue 30kB mark 3kB", err), 0);
    assert_int_equal(w.up[3].rate, 125000000);
    assert_int_equal(w.down[3].rate, 1000);
    assert_int_equal(w.down[3].mark_bytes, 3000);
    wan_fini(&w);
}

static void test_config_with_an_error_changes_nothing(void **state)
{
    static const char *const bad[] = {"all delay", "all delay 10", "all delay -1ms", "all loss 101%", "all speed 1ms", "4 1 delay 1ms",
                                      "0 delay 1ms", "node 9 up 1Mbit", "node * up 1Mbit", "node 0 delay 1ms", "0>x loss 1%",
                                      "all delay 1ms loss 2", "all reorder maybe", "node", "0", "all rate nanMbit", "all delay 1e300s", "seed", "seed x",
                                      "seed 1 2"};
    char err[128];

    begin(4, 1, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (wan_config_line(&w, bad[i], err) != -1)
            fail_msg("taken: %s", bad[i]);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(w.path[0][i].delay_ns, 0);
        assert_int_equal(w.path[0][i].loss, 0);
        assert_int_equal(w.up[i].rate, 0);
    }
    assert_int_equal(wan_config_line(&w, "  # nothing", err), 0);
    wan_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_comes_after_its_delay),
        cmocka_unit_test(test_jitter_stays_in_its_bounds_and_keeps_order_unless_told),
        cmocka_unit_test(test_rate_spaces_packets_and_a_full_queue_drops_the_new),
        cmocka_unit_test(test_downlink_is_shared_in_order_of_arrival),
        cmocka_unit_test(test_uplink_holds_back_all_that_a_node_sends),
        cmocka_unit_test(test_queue_above_its_mark_marks_what_may_be_marked),
        cmocka_unit_test(test_loss_is_as_often_as_said_and_follows_the_seed),
        cmocka_unit_test(test_memory_under_way_is_bounded),
        cmocka_unit_test(test_super_frame_is_cut_and_joined_as_tcp_segments_are),
        cmocka_unit_test(test_super_frame_is_lost_and_counted_by_packets),
        cmocka_unit_test(test_mark_sets_ce_and_mends_the_header_sum),
        cmocka_unit_test(test_frame_that_is_cut_short_or_lies_is_refused),
        cmocka_unit_test(test_switch_learns_where_addresses_are),
        cmocka_unit_test(test_config_reads_what_its_header_promises),
        cmocka_unit_test(test_config_with_an_error_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
