/* test_wire.c: checksums and the formats of Ethernet, ARP, IPv4, ICMP and TCP */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rng.h"
#include "tcp/arp.h"
#include "tcp/eth.h"
#include "tcp/icmp.h"
#include "tcp/segment.h"

/* RFC 1071's own arithmetic, byte by byte. */
static uint16_t slow_csum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static uint16_t as_be(uint16_t memory_order)
{
    uint8_t b[2];

    memcpy(b, &memory_order, 2);
    return get_be16(b);
}

static void test_csum_equals_bytewise_at_every_length_and_misalignment(void **state)
{
    static uint8_t b[400];
    struct rng r;

    (void)state;
    rng_init_seeded(&r, 1);
    rng_fill(&r, b, sizeof(b));
    for (size_t off = 0; off < 9; off++)
        for (size_t n = 0; n + off <= sizeof(b); n++) {
            uint8_t *exact = malloc(n ? n : 1); /* a read past the end is seen */
            memcpy(exact, b + off, n);
            assert_int_equal(as_be(csum_of(slice_of(b + off, n))), slow_csum(b + off, n));
            assert_int_equal(as_be(csum_of(slice_of(exact, n))), slow_csum(b + off, n));
            free(exact);
        }
}

static void test_csum_is_the_same_at_every_split(void **state)
{
    static uint8_t b[300];
    struct rng r;

    (void)state;
    rng_init_seeded(&r, 2);
    rng_fill(&r, b, sizeof(b));
    memset(b + 100, 0xff, 100); /* carries */
    for (size_t i = 0; i <= sizeof(b); i++)
        for (size_t j = i; j <= sizeof(b); j += 7) {
            struct csum c = {0};
            csum_add(&c, slice_of(b, i));
            csum_add(&c, slice_of(b + i, j - i));
            csum_add(&c, slice_of(b + j, sizeof(b) - j));
            assert_int_equal((uint16_t)~as_be(csum_fold(&c)), slow_csum(b, sizeof(b)));
        }
}

static void test_csum_of_64_kib_of_ones_does_not_overflow(void **state)
{
    uint8_t *b = malloc(65536);

    (void)state;
    memset(b, 0xff, 65536);
    assert_int_equal(as_be(csum_of(slice_of(b, 65536))), slow_csum(b, 65536));
    free(b);
}

static void test_ip_header_of_rfc_has_known_checksum(void **state)
{
    /* A header often used as the worked example: 45 00 00 73 ... checksum b861. */
    uint8_t h[20] = {0x45, 0, 0,    0x73, 0, 0, 0x40, 0,    0x40, 0x11,
                     0,    0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,    0xc7};
    uint8_t out[20];
    struct ip_addr a = ip_v4(192, 168, 0, 1), b = ip_v4(192, 168, 0, 199);

    (void)state;
    assert_int_equal(as_be(csum_of(slice_of(h, 20))), 0xb861);
    ip_build(out, &a, &b, 17, 64, 0, 0x73);
    put_be16(h + 10, 0xb861);
    assert_memory_equal(out, h, 20);
}

static void test_ip_parse_refuses_what_is_malformed(void **state)
{
    struct ip_addr a = ip_v4(10, 0, 0, 1), b = ip_v4(10, 0, 0, 2);
    uint8_t p[40] = {0};
    struct ip_in in;

    (void)state;
    ip_build(p, &a, &b, 6, 64, 7, 36);
    assert_int_equal(ip_parse(&in, slice_of(p, 40), false), IP_OK); /* four bytes of padding */
    assert_int_equal(in.body.len, 16);
    assert_true(ip_addr_is_equal(&in.src, &a) && ip_addr_is_equal(&in.dst, &b));
    for (size_t n = 0; n < 36; n++)
        assert_int_not_equal(ip_parse(&in, slice_of(p, n), false), IP_OK);
    assert_int_equal(ip_parse(&in, slice_of(p, 30), true), IP_OK); /* quoted: cut short is fine */
    assert_int_equal(in.body.len, 10);
    for (unsigned i = 0; i < 160; i++) { /* any flipped bit */
        p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(ip_parse(&in, slice_of(p, 40), false), IP_OK);
        p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    p[0] = 0x44; /* header shorter than a header */
    assert_int_equal(ip_parse(&in, slice_of(p, 40), true), IP_BAD_FORM);
    p[0] = 0x4f; /* longer than the packet */
    assert_int_equal(ip_parse(&in, slice_of(p, 40), true), IP_BAD_FORM);
}

static void test_ip_parse_tells_fragments(void **state)
{
    struct ip_addr a = ip_v4(10, 0, 0, 1);
    uint8_t p[20];
    struct ip_in in;

    (void)state;
    for (unsigned v = 0; v < 3; v++) {
        static const uint16_t frag[] = {IPV4_DF, IPV4_MF, 5};
        ip_build(p, &a, &a, 6, 64, 0, 20);
        put_be16(p + 6, frag[v]);
        put_csum(p + 10, 0);
        put_csum(p + 10, csum_of(slice_of(p, 20)));
        assert_int_equal(ip_parse(&in, slice_of(p, 20), false), IP_OK);
        assert_int_equal(in.is_fragment, v > 0);
    }
}

static void test_arp_survives_round_trip_and_truncation(void **state)
{
    struct arp_packet a = {.op = ARP_REPLY,
                           .sender_mac = {2, 0, 0, 0, 0, 9},
                           .target_mac = {2, 1, 1, 1, 1, 1},
                           .sender_ip = ip_v4(10, 0, 0, 1),
                           .target_ip = ip_v4(10, 0, 0, 2)},
                      b;
    uint8_t p[ARP_LEN];

    (void)state;
    arp_build(p, &a);
    assert_int_equal(arp_parse(&b, slice_of(p, sizeof(p))), 0);
    assert_int_equal(b.op, ARP_REPLY);
    assert_memory_equal(b.sender_mac, a.sender_mac, 6);
    assert_memory_equal(b.target_mac, a.target_mac, 6);
    assert_true(ip_addr_is_equal(&b.sender_ip, &a.sender_ip) && ip_addr_is_equal(&b.target_ip, &a.target_ip));
    for (size_t n = 0; n < sizeof(p); n++)
        assert_int_equal(arp_parse(&b, slice_of(p, n)), -1);
    for (unsigned i = 0; i < 7; i++) { /* types, lengths and operation are checked */
        p[i] ^= 0x40;
        assert_int_equal(arp_parse(&b, slice_of(p, sizeof(p))), -1);
        p[i] ^= 0x40;
    }
    p[8] |= 1; /* a group as sender */
    assert_int_equal(arp_parse(&b, slice_of(p, sizeof(p))), -1);
}

static void test_icmp_echo_and_errors_parse(void **state)
{
    uint8_t p[64] = {ICMP_ECHO, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7}, r[64];
    struct ip_addr us = ip_v4(10, 0, 0, 1), them = ip_v4(10, 0, 0, 2);
    struct icmp_in in;

    (void)state;
    put_csum(p + 2, csum_of(slice_of(p, 11)));
    assert_int_equal(icmp_parse(&in, slice_of(p, 11)), ICMP_IN_ECHO);
    assert_int_equal(in.echo.len, 7);
    icmp_echo_reply_build(r, in.echo);
    memcpy(r + 4, in.echo.p, in.echo.len);
    assert_int_equal(csum_of(slice_of(r, 11)), 0);
    assert_int_equal(icmp_parse(&in, slice_of(r, 11)), ICMP_IN_OTHER);
    for (size_t n = 0; n < 8; n++)
        assert_int_equal(icmp_parse(&in, slice_of(p, n)), ICMP_IN_BAD);

    memset(p, 0, sizeof(p));
    p[0] = ICMP_UNREACHABLE;
    p[1] = ICMP_CODE_FRAG_NEEDED;
    put_be16(p + 6, 1400);
    ip_build(p + 8, &us, &them, IPPROTO_TCP_N, 64, 0, 1500);
    put_be16(p + 28, 1234);
    put_be16(p + 30, 80);
    put_be32(p + 32, 0xdeadbeef);
    put_csum(p + 2, csum_of(slice_of(p, 36)));
    assert_int_equal(icmp_parse(&in, slice_of(p, 36)), ICMP_IN_TCP_ERROR);
    assert_int_equal(in.code, ICMP_CODE_FRAG_NEEDED);
    assert_int_equal(in.next_mtu, 1400);
    assert_int_equal(in.local.port, 1234);
    assert_int_equal(in.remote.port, 80);
    assert_true(in.seq == 0xdeadbeef && ip_addr_is_equal(&in.remote.ip, &them));
    for (size_t n = 8; n < 36; n++) { /* a quote cut short, its checksum made right */
        uint8_t q[64];
        memcpy(q, p, n);
        put_csum(q + 2, 0);
        put_csum(q + 2, csum_of(slice_of(q, n)));
        assert_int_equal(icmp_parse(&in, slice_of(q, n)), ICMP_IN_BAD);
    }
}

/* ---- options ---- */

static struct tcp_options all_options(void)
{
    struct tcp_options o = {.has_mss = true,
                            .mss = 1460,
                            .has_wscale = true,
                            .wscale = 7,
                            .has_sack_ok = true,
                            .has_ts = true,
                            .ts_val = 0x01020304,
                            .ts_ecr = 0x05060708};
    return o;
}

static void assert_same_options(const struct tcp_options *a, const struct tcp_options *b)
{
    assert_int_equal(a->has_mss, b->has_mss);
    assert_int_equal(a->mss, b->mss);
    assert_int_equal(a->has_wscale, b->has_wscale);
    assert_int_equal(a->wscale, b->wscale);
    assert_int_equal(a->has_sack_ok, b->has_sack_ok);
    assert_int_equal(a->has_ts, b->has_ts);
    assert_true(a->ts_val == b->ts_val && a->ts_ecr == b->ts_ecr);
    assert_int_equal(a->sack_count, b->sack_count);
    for (unsigned i = 0; i < a->sack_count; i++)
        assert_true(a->sack[i].lo == b->sack[i].lo && a->sack[i].hi == b->sack[i].hi);
}

static void test_options_survive_round_trip(void **state)
{
    uint8_t b[TCP_OPT_MAX];

    (void)state;
    for (unsigned mask = 0; mask < 16; mask++)
        for (uint8_t sacks = 0; sacks <= TCP_SACK_BLOCKS; sacks++) {
            struct tcp_options o = all_options(), got;
            if (!(mask & 1))
                o.has_mss = false, o.mss = 0;
            if (!(mask & 2))
                o.has_wscale = false, o.wscale = 0;
            if (!(mask & 4))
                o.has_sack_ok = false;
            if (!(mask & 8))
                o.has_ts = false, o.ts_val = o.ts_ecr = 0;
            o.sack_count = sacks;
            for (unsigned i = 0; i < sacks; i++)
                o.sack[i] = (struct seq_range){100 * i + 7, 100 * i + 50};
            unsigned n = tcp_options_build(b, &o);
            assert_true(n <= TCP_OPT_MAX && n % 4 == 0);
            assert_int_equal(tcp_options_parse(&got, slice_of(b, n)), 0);
            if (got.sack_count < o.sack_count)
                assert_true(n + 8 > TCP_OPT_MAX - 4); /* left out only for want of room */
            o.sack_count = got.sack_count;
            assert_same_options(&o, &got);
        }
}

static void test_options_refuse_every_truncation_inside_one(void **state)
{
    struct tcp_options o = all_options(), got;
    uint8_t b[TCP_OPT_MAX];

    (void)state;
    o.sack_count = 1;
    o.sack[0] = (struct seq_range){1, 2};
    unsigned n = tcp_options_build(b, &o), bad = 0;
    for (unsigned cut = 0; cut < n; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, b, cut);
        bad += tcp_options_parse(&got, slice_of(exact, cut)) != 0;
        free(exact);
    }
    assert_true(bad > n / 2);
}

static void test_options_judge_each_form(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[44];
        size_t len;
        int want;
    } t[] = {
        {"empty", {0}, 0, 0},
        {"end at once, rubbish after", {0, 2, 1, 1}, 4, 0},
        {"only nops", {1, 1, 1, 1}, 4, 0},
        {"kind without length", {1, 1, 1, 2}, 4, -1},
        {"length 0", {5, 0, 0, 0}, 4, -1},
        {"length 1", {200, 1, 0, 0}, 4, -1},
        {"longer than the space", {200, 9, 0, 0}, 4, -1},
        {"unknown, skipped", {200, 3, 7, 2, 4, 1, 2, 0}, 8, 0},
        {"mss of wrong length", {2, 3, 1, 0}, 4, -1},
        {"wscale of wrong length", {3, 4, 1, 0}, 4, -1},
        {"sack-permitted with body", {4, 3, 1, 0}, 4, -1},
        {"timestamp too short", {8, 9, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0}, 12, -1},
        {"sack of half a block", {5, 6, 1, 2, 3, 4, 0, 0}, 8, -1},
        {"sack of none", {5, 2, 0, 0}, 4, -1},
    };
    struct tcp_options o;

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        if (tcp_options_parse(&o, slice_of(t[i].bytes, t[i].len)) != t[i].want)
            fail_msg("%s", t[i].name);
    }
    assert_int_equal(tcp_options_parse(&o, slice_of("\3\3\xff", 3)), 0);
    assert_int_equal(o.wscale, TCP_WSCALE_MAX);
}

static void test_segment_survives_round_trip_and_truncation(void **state)
{
    static const uint8_t mac[6] = {2}, data[] = "three separate slices of odd length";
    struct ip_addr a = ip_v4(10, 0, 0, 1), b = ip_v4(10, 0, 0, 2);
    struct tcp_out o = {.src_mac = mac,
                        .dst_mac = mac,
                        .src_ip = &a,
                        .dst_ip = &b,
                        .src_port = 1,
                        .dst_port = 2,
                        .seq = 3,
                        .ack = 4,
                        .wnd = 5,
                        .flags = TCP_ACK | TCP_PSH,
                        .ttl = 64,
                        .gso_size = 1448};
    struct tcp_segment seg = {.slice_count = 3, .payload_bytes = sizeof(data)};
    uint8_t whole[200];
    struct eth_in eth;
    struct ip_in ip;
    struct tcp_in in;

    (void)state;
    o.opt.has_ts = true;
    o.opt.ts_val = 99;
    seg.slices[0] = slice_of(data, 5);
    seg.slices[1] = slice_of(data + 5, 2);
    seg.slices[2] = slice_of(data + 7, sizeof(data) - 7);
    tcp_out_build(&seg, &o);
    memcpy(whole, seg.head, seg.head_len);
    memcpy(whole + seg.head_len, data, sizeof(data));
    size_t n = seg.head_len + sizeof(data);
    assert_int_equal(seg.csum_start, 0);
    assert_int_equal(eth_parse(&eth, slice_of(whole, n)), 0);
    assert_int_equal(ip_parse(&ip, eth.body, false), IP_OK);
    assert_true(tcp_in_is_intact(&ip, ip.body));
    assert_int_equal(tcp_in_parse(&in, ip.body), 0);
    assert_true(in.src_port == 1 && in.dst_port == 2 && in.seq == 3 && in.ack == 4 && in.wnd == 5);
    assert_true(in.opt.has_ts && in.opt.ts_val == 99);
    assert_true(slice_is_equal(in.payload, slice_of(data, sizeof(data))));
    for (size_t cut = 0; cut < TCP_HLEN + TCP_TS_LEN; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, ip.body.p, cut);
        assert_int_equal(tcp_in_parse(&in, slice_of(exact, cut)), -1);
        free(exact);
    }
    for (size_t i = 0; i < ip.body.len * 8; i++) {
        uint8_t *at = whole + ETH_HLEN + IPV4_HLEN;
        at[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(tcp_in_is_intact(&ip, ip.body));
        at[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csum_equals_bytewise_at_every_length_and_misalignment),
        cmocka_unit_test(test_csum_is_the_same_at_every_split),
        cmocka_unit_test(test_csum_of_64_kib_of_ones_does_not_overflow),
        cmocka_unit_test(test_ip_header_of_rfc_has_known_checksum),
        cmocka_unit_test(test_ip_parse_refuses_what_is_malformed),
        cmocka_unit_test(test_ip_parse_tells_fragments),
        cmocka_unit_test(test_arp_survives_round_trip_and_truncation),
        cmocka_unit_test(test_icmp_echo_and_errors_parse),
        cmocka_unit_test(test_options_survive_round_trip),
        cmocka_unit_test(test_options_refuse_every_truncation_inside_one),
        cmocka_unit_test(test_options_judge_each_form),
        cmocka_unit_test(test_segment_survives_round_trip_and_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
