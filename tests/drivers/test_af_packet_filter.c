/* The packet filter, run by the kernel itself over datagrams of a socket pair: no rights needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/af_packet_filter.h"
#include "frames.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, ours[4] = {172, 28, 0, 12}, other[4] = {172, 28, 0, 13};

static bool passes_filter(const struct af_packet_filter *f, const uint8_t *frame, size_t len)
{
    struct sock_filter insns[AF_PACKET_FILTER_MAX];
    struct sock_fprog prog = {.filter = insns};
    uint8_t out[2048];
    int fds[2];
    ssize_t n;

    prog.len = (unsigned short)af_packet_filter_build(insns, f);
    assert_in_range(prog.len, 1, AF_PACKET_FILTER_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
    (void)!send(fds[0], frame, len, MSG_DONTWAIT); /* a dropped one is EPERM to a unix sender */
    n = recv(fds[1], out, sizeof(out), MSG_DONTWAIT);
    close(fds[0]);
    close(fds[1]);
    return n > 0;
}

static bool passes(uint16_t listen_port, uint16_t first, uint16_t count, const uint8_t *frame, size_t len)
{
    struct af_packet_filter f = {.listen_port = listen_port, .dial_first = first, .dial_count = count};

    memcpy(f.ip4, ours, 4);
    return passes_filter(&f, frame, len);
}

static bool tcp_passes(const uint8_t dst[4], uint16_t dport, unsigned frag, uint8_t proto)
{
    struct pktio_seg s;

    frame_make(&s, mac, mac, other, dst, dport, NULL, 0, 0);
    put16(s.head + 20, frag);
    s.head[23] = proto;
    return passes(7070, 20096, 64, s.head, s.head_len);
}

static void test_filter_takes_our_tcp_alone(void **state)
{
    const struct {
        const char *name;
        const uint8_t *dst;
        uint16_t port;
        unsigned frag;
        uint8_t proto;
        bool want;
    } t[] = {
        {"listen port", ours, 7070, 0x4000, 6, true},
        {"neighbouring port", ours, 7071, 0x4000, 6, false},
        {"first dial port", ours, 20096, 0x4000, 6, true},
        {"last dial port", ours, 20159, 0x4000, 6, true},
        {"below dial ports", ours, 20095, 0x4000, 6, false},
        {"above dial ports", ours, 20160, 0x4000, 6, false},
        {"other address", other, 7070, 0x4000, 6, false},
        {"fragment", ours, 7070, 0x0010, 6, false},
        {"udp", ours, 7070, 0x4000, 17, false},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        if (tcp_passes(t[i].dst, t[i].port, t[i].frag, t[i].proto) != t[i].want)
            fail_msg("%s", t[i].name);
}

static void test_filter_follows_ip_options(void **state)
{
    struct pktio_seg s;

    frame_make(&s, mac, mac, other, ours, 7070, NULL, 0, 0);
    memmove(s.head + 38, s.head + 34, 20);
    memset(s.head + 34, 1, 4);
    s.head[14] = 0x46;
    assert_true(passes(7070, 0, 0, s.head, 58));
    put16(s.head + 40, 7071);
    assert_false(passes(7070, 0, 0, s.head, 58));
}

static void test_filter_takes_arp_for_us(void **state)
{
    uint8_t arp[42] = {0};

    put16(arp + 12, 0x0806);
    put16(arp + 20, 2);
    memcpy(arp + 38, ours, 4);
    assert_true(passes(7070, 0, 0, arp, sizeof(arp)));
    memcpy(arp + 38, other, 4);
    assert_false(passes(7070, 0, 0, arp, sizeof(arp)));
    memcpy(arp + 28, other, 4); /* another tells of its own address: it may have moved */
    assert_true(passes(7070, 0, 0, arp, sizeof(arp)));
    arp[31] ^= 1;
    assert_false(passes(7070, 0, 0, arp, sizeof(arp)));
}

static void test_filter_takes_icmp_errors(void **state)
{
    struct pktio_seg s;

    frame_make(&s, mac, mac, other, ours, 7070, NULL, 0, 0);
    s.head[23] = 1;
    s.head[34] = 3;
    assert_true(passes(7070, 20096, 64, s.head, s.head_len));
    s.head[34] = 8; /* echo request: the kernel's */
    assert_false(passes(7070, 20096, 64, s.head, s.head_len));
}

static void test_filter_survives_short_frames(void **state)
{
    struct pktio_seg s;

    frame_make(&s, mac, mac, other, ours, 7070, NULL, 0, 0);
    for (size_t len = 1; len < 38; len++) /* up to and with the destination port's first byte */
        if (passes(7070, 20096, 64, s.head, len))
            assert_true(len >= 38);
    put16(s.head + 12, 0x86dd);
    assert_false(passes(7070, 20096, 64, s.head, s.head_len));
}

static void test_filter_parts_by_length(void **state)
{
    struct af_packet_filter f = {.listen_port = 7070, .min_bytes = 60, .max_bytes = 100};
    uint8_t frame[200] = {0};
    struct pktio_seg s;

    memcpy(f.ip4, ours, 4);
    frame_make(&s, mac, mac, other, ours, 7070, NULL, 0, 0);
    memcpy(frame, s.head, s.head_len);
    for (size_t len = FRAME_HEAD; len < sizeof(frame); len++)
        assert_int_equal(passes_filter(&f, frame, len), len >= 60 && len <= 100);
    f.max_bytes = 0;
    assert_true(passes_filter(&f, frame, sizeof(frame)));
}

/* Each flow to the listening port passes one role's filter alone, the one that the function names; dial ports are each
 * role's own; what is not of a flow passes all. */
static void test_filter_deals_flows_to_roles(void **state)
{
    for (unsigned nroles = 2; nroles <= 4; nroles++) {
        unsigned got[4] = {0};
        for (unsigned port = 0; port < 64; port++) {
            struct pktio_seg s;
            unsigned role = af_packet_flow_role(other, (uint16_t)(40000 + port), nroles);
            frame_make(&s, mac, mac, other, ours, 7070, NULL, 0, 0);
            put16(s.head + 34, 40000 + port);
            for (unsigned i = 0; i < nroles; i++) {
                struct af_packet_filter f = {.listen_port = 7070, .role = i, .nroles = nroles};
                memcpy(f.ip4, ours, 4);
                assert_int_equal(passes_filter(&f, s.head, s.head_len), i == role);
            }
            got[role]++;
        }
        for (unsigned i = 0; i < nroles; i++)
            assert_true(got[i] >= 64 / nroles / 2);
    }
    assert_int_equal(af_packet_flow_role(other, 40000, 1), 0);
}

static void test_filter_of_a_role_keeps_the_rest(void **state)
{
    struct af_packet_filter f = {.listen_port = 7070, .dial_first = 20096, .dial_count = 16, .role = 1, .nroles = 2};
    uint8_t arp[42] = {0};
    struct pktio_seg s;

    memcpy(f.ip4, ours, 4);
    put16(arp + 12, 0x0806);
    memcpy(arp + 38, ours, 4);
    assert_true(passes_filter(&f, arp, sizeof(arp)));
    frame_make(&s, mac, mac, other, ours, 20111, NULL, 0, 0);
    assert_true(passes_filter(&f, s.head, s.head_len));
    put16(s.head + 36, 20112);
    assert_false(passes_filter(&f, s.head, s.head_len));
    s.head[23] = 1;
    s.head[34] = 3;
    assert_true(passes_filter(&f, s.head, s.head_len));
}

/* ---- IPv6 ---- */

static const uint8_t ours6[16] = {0xfd, 1, [15] = 12}, other6[16] = {0xfd, 1, [15] = 13};

/* To dst: `proto`, whose first bytes are a port pair, or a type for ICMPv6. */
static size_t make6(uint8_t *frame, const uint8_t *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
    memset(frame, 0, 74);
    memcpy(frame, mac, 6);
    memcpy(frame + 6, mac, 6);
    put16(frame + 12, 0x86dd);
    frame[14] = 0x60;
    put16(frame + 18, 20);
    frame[20] = proto;
    memcpy(frame + 22, other6, 16);
    memcpy(frame + 38, dst, 16);
    put16(frame + 54, sport);
    put16(frame + 56, dport);
    return 74;
}

static void test_filter_takes_our_ipv6(void **state)
{
    const struct {
        const char *name;
        const uint8_t *dst;
        uint8_t proto;
        uint16_t sport, dport;
        bool want;
    } t[] = {
        {"listen port", ours6, 6, 40000, 7070, true},
        {"neighbouring port", ours6, 6, 40000, 7071, false},
        {"first dial port", ours6, 6, 40000, 20096, true},
        {"last dial port", ours6, 6, 40000, 20159, true},
        {"above dial ports", ours6, 6, 40000, 20160, false},
        {"other address", other6, 6, 40000, 7070, false},
        {"udp", ours6, 17, 40000, 7070, false},
        {"a fragment", ours6, 44, 40000, 7070, false},
        {"unreachable", ours6, 58, 1 << 8, 0, true},
        {"too big", ours6, 58, 2 << 8, 0, true},
        {"advertisement", ours6, 58, 136 << 8, 0, true},
        {"advertisement to another", other6, 58, 136 << 8, 0, false},
        {"solicitation", ours6, 58, 135 << 8, 0, false}, /* the kernel answers */
        {"echo", ours6, 58, 128 << 8, 0, false},
    };
    struct af_packet_filter f = {.listen_port = 7070, .dial_first = 20096, .dial_count = 64};
    uint8_t frame[74];

    memcpy(f.ip4, ours, 4);
    memcpy(f.ip6, ours6, 16);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size_t len = make6(frame, t[i].dst, t[i].proto, t[i].sport, t[i].dport);
        if (passes_filter(&f, frame, len) != t[i].want)
            fail_msg("%s", t[i].name);
        assert_false(passes(7070, 20096, 64, frame, len)); /* without an address of ours */
    }
    assert_true(tcp_passes(ours, 7070, 0x4000, 6));
}

static void test_filter_deals_ipv6_flows_out(void **state)
{
    struct af_packet_filter f = {.listen_port = 7070, .nroles = 3};
    unsigned seen[3] = {0};
    uint8_t frame[74];

    memcpy(f.ip4, ours, 4);
    memcpy(f.ip6, ours6, 16);
    for (unsigned port = 0; port < 60; port++) {
        unsigned want = af_packet_flow_role(other6 + 12, (uint16_t)(40000 + port), 3);
        for (f.role = 0; f.role < 3; f.role++)
            assert_int_equal(passes_filter(&f, frame, make6(frame, ours6, 6, (uint16_t)(40000 + port), 7070)), f.role == want);
        seen[want]++;
    }
    assert_true(seen[0] > 5 && seen[1] > 5 && seen[2] > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_takes_our_tcp_alone),
        cmocka_unit_test(test_filter_takes_our_ipv6),
        cmocka_unit_test(test_filter_deals_ipv6_flows_out),   cmocka_unit_test(test_filter_follows_ip_options),
        cmocka_unit_test(test_filter_takes_arp_for_us),      cmocka_unit_test(test_filter_takes_icmp_errors),
        cmocka_unit_test(test_filter_survives_short_frames), cmocka_unit_test(test_filter_parts_by_length),
        cmocka_unit_test(test_filter_deals_flows_to_roles),  cmocka_unit_test(test_filter_of_a_role_keeps_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
