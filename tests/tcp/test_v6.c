/* test_v6.c: IPv6 headers, Neighbour Discovery and ICMPv6, frame by frame */
#include "testing.h"

#include "base/rng.h"
#include "tcp/eth.h"
#include "tcp/icmp.h"
#include "tcp/nd.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define SEC 1000000000ull

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2}, other_mac[6] = {2, 0, 0, 0, 0, 3};
static const struct ip_addr our_ip = {IP_V6, {0xfd, [15] = 1}}, peer_ip = {IP_V6, {0xfd, [15] = 2}},
                            router = {IP_V6, {0xfe, 0x80, [15] = 9}}, nobody = {IP_V6, {0}};

static struct tcp_stack *s;
static struct tcp_config cfg;
static struct rng rng;
static uint64_t now = SEC;
static uint8_t frame[2048], out[2048];
static size_t out_len;

static int setup(void **state)
{
    (void)state;
    rng_init_seeded(&rng, 1);
    tcp_config_defaults(&cfg);
    memcpy(cfg.mac, our_mac, 6);
    cfg.ip6 = our_ip;
    return 0;
}

static void start(void)
{
    int err;

    s = tcp_stack_new(&cfg, &rng, &err, now);
    assert_int_equal(err, 0);
}

static int teardown(void **state)
{
    (void)state;
    tcp_stack_free(s);
    s = NULL;
    return 0;
}

static const struct tcp_counters *count(void)
{
    return tcp_stack_counters(s);
}

static bool next_frame(void)
{
    struct tcp_segment seg;

    if (!tcp_stack_output(s, &seg, now))
        return false;
    memcpy(out, seg.head, seg.head_len);
    out_len = seg.head_len;
    for (unsigned i = 0; i < seg.slice_count; i++) {
        memcpy(out + out_len, seg.slices[i].p, seg.slices[i].len);
        out_len += seg.slices[i].len;
    }
    return true;
}

/* ---- headers ---- */

/* An IPv6 packet with these extension headers and eight bytes behind; returns its length. */
static size_t packet_with(uint8_t first, const uint8_t *ext, size_t len)
{
    ip6_build(frame, &peer_ip, &our_ip, first, 64, (uint32_t)len + 8);
    if (len)
        memcpy(frame + IPV6_HLEN, ext, len);
    memcpy(frame + IPV6_HLEN + len, "12345678", 8);
    return IPV6_HLEN + len + 8;
}

static void test_ip6_extension_headers(void **state)
{
    static const struct {
        const char *name;
        uint8_t first;
        uint8_t ext[32];
        uint8_t len;
        int want;
        bool is_fragment;
    } cases[] = {
        {"none", 6, {0}, 0, IP_OK, false},
        {"hop by hop, padding", 0, {6, 0, 1, 4, 0, 0, 0, 0}, 8, IP_OK, false},
        {"hop by hop, router alert", 0, {6, 0, 5, 2, 0, 0, 1, 0}, 8, IP_OK, false},
        {"an unknown option to be skipped", 60, {6, 0, 0x3e, 4, 1, 2, 3, 4}, 8, IP_OK, false},
        {"an unknown option that forbids it", 60, {6, 0, 0x7e, 4, 1, 2, 3, 4}, 8, IP_BAD_FORM, false},
        {"an option beyond its header", 60, {6, 0, 1, 5, 0, 0, 0, 0}, 8, IP_BAD_FORM, false},
        {"a header beyond the packet", 60, {6, 9, 1, 4, 0, 0, 0, 0}, 8, IP_BAD_FORM, false},
        {"two, the second hop by hop", 60, {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}, 16, IP_BAD_FORM, false},
        {"destination, then routing done", 60, {43, 0, 1, 4, 0, 0, 0, 0, 6, 0, 4, 0, 0, 0, 0, 0}, 16, IP_OK, false},
        {"routing not done", 43, {6, 0, 4, 1, 0, 0, 0, 0}, 8, IP_BAD_FORM, false},
        {"a fragment that is whole (RFC 6946)", 44, {6, 0, 0, 0, 1, 2, 3, 4}, 8, IP_OK, false},
        {"a first fragment", 44, {6, 0, 0, 1, 1, 2, 3, 4}, 8, IP_OK, true},
        {"a later fragment", 44, {6, 0, 1, 0, 1, 2, 3, 4}, 8, IP_OK, true},
        {"a later fragment, whose next header is not there", 44, {60, 0, 1, 0, 1, 2, 3, 4}, 8, IP_OK, true},
    };
    struct ip_in ip;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t len = packet_with(cases[i].first, cases[i].ext, cases[i].len);
        if ((int)ip6_parse(&ip, slice_of(frame, len), false) != cases[i].want)
            fail_msg("%s", cases[i].name);
        if (cases[i].want != IP_OK)
            continue;
        assert_int_equal(ip.is_fragment, cases[i].is_fragment);
        if (!ip.is_fragment)
            assert_int_equal(ip.proto, 6);
        assert_memory_equal(ip.body.p, "12345678", 8);
        for (size_t n = 0; n < len; n++) { /* each truncation */
            assert_int_equal(ip6_parse(&ip, slice_of(frame, n), false), IP_BAD_FORM);
            ip6_parse(&ip, slice_of(frame, n), true);
        }
    }
}

static void test_ip6_endless_headers_are_refused(void **state)
{
    struct ip_in ip;

    (void)state;
    for (unsigned n = 1; n <= 9; n++) {
        uint8_t ext[9 * 8] = {0};
        for (unsigned i = 0; i < n; i++)
            memcpy(ext + 8 * i, (uint8_t[]){i + 1 == n ? 6 : 60, 0, 1, 4, 0, 0, 0, 0}, 8);
        assert_int_equal(ip6_parse(&ip, slice_of(frame, packet_with(60, ext, 8 * n)), false),
                         n <= 8 ? IP_OK : IP_BAD_FORM);
    }
}

static void test_ip6_hosts(void **state)
{
    static const struct ip_addr no[] = {
        {IP_V6, {0}}, {IP_V6, {[15] = 1}}, {IP_V6, {0xff, 2, [15] = 1}}, {IP_V6, {[10] = 0xff, 0xff, 10, 0, 0, 1}}};

    (void)state;
    for (unsigned i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_false(ip_is_host(&no[i]));
    assert_true(ip_is_host(&our_ip) && ip_is_host(&router));
    assert_true(ip_addr_shares_prefix(&our_ip, &peer_ip, 126) && !ip_addr_shares_prefix(&our_ip, &peer_ip, 127));
    assert_true(ip_addr_shares_prefix(&our_ip, &router, 0) && !ip_addr_shares_prefix(&our_ip, &peer_ip, 128));
}

/* ---- Neighbour Discovery ---- */

static void give_icmp(const uint8_t *eth_dst, const struct ip_addr *src, const struct ip_addr *dst, uint8_t ttl,
                      uint8_t *body, size_t len, bool fix_sum)
{
    uint8_t *icmp = frame + ETH_HLEN + IPV6_HLEN;
    struct csum c = {0};

    eth_build(frame, eth_dst, peer_mac, ETH_TYPE_IPV6);
    ip6_build(frame + ETH_HLEN, src, dst, IPPROTO_ICMP6_N, ttl, (uint32_t)len);
    memmove(icmp, body, len);
    if (fix_sum) {
        put_csum(icmp + 2, 0);
        ip_pseudo_add(&c, src, dst, IPPROTO_ICMP6_N, (uint32_t)len);
        csum_add(&c, slice_of(icmp, len));
        put_csum(icmp + 2, (uint16_t)~csum_fold(&c));
    }
    tcp_stack_input(s, slice_of(frame, ETH_HLEN + IPV6_HLEN + len), 0, now);
}

static void give_nd(struct nd_packet n, const uint8_t *mac, const struct ip_addr *src, const struct ip_addr *dst,
                    const uint8_t *eth_dst)
{
    uint8_t body[ND_LEN];

    n.has_mac = true;
    memcpy(n.mac, mac, 6);
    nd_build(body, &n, src, dst);
    give_icmp(eth_dst, src, dst, 255, body, ND_LEN, false);
}

/* The frame is ND of this kind, valid. */
static struct nd_packet expect_nd(const uint8_t *eth_dst, const struct ip_addr *dst, bool is_advert)
{
    struct nd_packet n;
    struct ip_in ip;
    struct icmp_in icmp;

    assert_true(next_frame());
    assert_memory_equal(out, eth_dst, 6);
    assert_int_equal(ip6_parse(&ip, slice_of(out + ETH_HLEN, out_len - ETH_HLEN), false), IP_OK);
    assert_true(ip_addr_is_equal(&ip.src, &our_ip) && ip_addr_is_equal(&ip.dst, dst));
    assert_int_equal(icmp6_parse(&icmp, &ip), ICMP_IN_ND);
    assert_int_equal(nd_parse(&n, &ip), 0);
    assert_int_equal(n.is_advert, is_advert);
    assert_true(n.has_mac);
    assert_memory_equal(n.mac, our_mac, 6);
    return n;
}

static void connect_to(const struct ip_addr *ip)
{
    struct ip_endpoint to = {*ip, 80};
    struct tcp_conn *c;

    assert_int_equal(tcp_connect(s, &to, 0, NULL, &c, now), 0);
}

static const uint8_t group_of_peer[6] = {0x33, 0x33, 0xff, 0, 0, 2}, our_group[6] = {0x33, 0x33, 0xff, 0, 0, 1},
                     all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

static void test_nd_asks_and_then_sends(void **state)
{
    struct ip_addr group = nd_solicited_node(&peer_ip);

    (void)state;
    start();
    connect_to(&peer_ip);
    struct nd_packet n = expect_nd(group_of_peer, &group, false);
    assert_true(ip_addr_is_equal(&n.target, &peer_ip));
    assert_false(next_frame());
    give_nd((struct nd_packet){.is_advert = true, .is_solicited = true, .is_override = true, .target = peer_ip},
            peer_mac, &peer_ip, &our_ip, our_mac);
    assert_true(next_frame());
    assert_memory_equal(out, peer_mac, 6);
    assert_int_equal(get_be16(out + 12), ETH_TYPE_IPV6);
    assert_int_equal(out[ETH_HLEN + 6], IPPROTO_TCP_N);
}

static void test_nd_asks_the_gateway_for_the_far(void **state)
{
    static const struct ip_addr far = {IP_V6, {0x20, 1, 0xd, 0xb8, [15] = 7}};
    struct ip_addr group = nd_solicited_node(&router);
    static const uint8_t mac[6] = {0x33, 0x33, 0xff, 0, 0, 9};

    (void)state;
    cfg.gateway6 = router;
    start();
    connect_to(&far);
    expect_nd(mac, &group, false);
    connect_to(&peer_ip); /* in the prefix */
    group = nd_solicited_node(&peer_ip);
    expect_nd(group_of_peer, &group, false);
}

static void test_nd_answers(void **state)
{
    struct ip_addr group = nd_solicited_node(&our_ip), all = nd_all_nodes();

    (void)state;
    start();
    give_nd((struct nd_packet){.target = our_ip}, peer_mac, &peer_ip, &group, our_group);
    struct nd_packet n = expect_nd(peer_mac, &peer_ip, true);
    assert_true(n.is_solicited && n.is_override && ip_addr_is_equal(&n.target, &our_ip));
    connect_to(&peer_ip); /* and the asker is known now */
    assert_true(next_frame());
    assert_int_equal(out[ETH_HLEN + 6], IPPROTO_TCP_N);
    /* Somebody wants our address: everybody is told that it is ours. */
    uint8_t dad[24] = {ICMP6_SOLICIT};
    memcpy(dad + 8, our_ip.bytes, 16);
    give_icmp(our_group, &nobody, &group, 255, dad, sizeof(dad), true);
    n = expect_nd(all_nodes_mac, &all, true);
    assert_false(n.is_solicited);
    /* Questions about others. */
    give_nd((struct nd_packet){.target = router}, peer_mac, &peer_ip, &group, our_group);
    assert_int_equal(count()->drop_nd_other, 1);
    assert_false(next_frame() && out[ETH_HLEN + 6] != IPPROTO_TCP_N);
}

static void test_nd_is_silent_on_a_shared_address(void **state)
{
    struct ip_addr group = nd_solicited_node(&our_ip);

    (void)state;
    cfg.address_shared = true;
    start();
    give_nd((struct nd_packet){.target = our_ip}, peer_mac, &peer_ip, &group, our_group);
    tcp_stack_announce(s, now);
    assert_false(next_frame());
}

static void test_nd_announces(void **state)
{
    struct ip_addr all = nd_all_nodes();

    (void)state;
    start();
    tcp_stack_announce(s, now);
    struct nd_packet n = expect_nd(all_nodes_mac, &all, true);
    assert_true(n.is_override && !n.is_solicited);
    assert_false(next_frame()); /* no ARP: there is no IPv4 address */
}

/* What a forger could send from beyond the link, or without being asked. */
static void test_nd_believes_little(void **state)
{
    struct nd_packet advert = {.is_advert = true, .is_override = true, .is_solicited = true, .target = peer_ip};
    uint8_t body[ND_LEN];

    (void)state;
    start();
    advert.has_mac = true;
    memcpy(advert.mac, peer_mac, 6);
    nd_build(body, &advert, &peer_ip, &our_ip);
    give_icmp(our_mac, &peer_ip, &our_ip, 254, body, ND_LEN, false); /* was forwarded */
    assert_int_equal(count()->drop_nd_form, 1);
    give_icmp(our_mac, &peer_ip, &our_ip, 255, body, ND_LEN, false); /* nobody asked */
    assert_int_equal(count()->drop_nd_other, 1);
    body[2] ^= 1;
    give_icmp(our_mac, &peer_ip, &our_ip, 255, body, ND_LEN, false); /* sum */
    assert_int_equal(count()->drop_icmp_form, 1);
    body[1] = 1;
    give_icmp(our_mac, &peer_ip, &our_ip, 255, body, ND_LEN, true); /* code */
    body[1] = 0;
    body[25] = 0;
    give_icmp(our_mac, &peer_ip, &our_ip, 255, body, ND_LEN, true); /* an option of no length */
    body[25] = 2;
    give_icmp(our_mac, &peer_ip, &our_ip, 255, body, ND_LEN, true); /* an option beyond the end */
    assert_int_equal(count()->drop_nd_form, 4);
    for (size_t n = 0; n < ND_LEN; n++) { /* each truncation */
        nd_build(body, &advert, &peer_ip, &our_ip);
        give_icmp(our_mac, &peer_ip, &our_ip, 255, body, n, n >= 4);
    }
    connect_to(&peer_ip);
    assert_true(next_frame());
    assert_int_equal(out[ETH_HLEN + 6], IPPROTO_ICMP6_N); /* still asks: nothing was learnt */
}

static void test_nd_a_new_mac_must_claim_to_override(void **state)
{
    struct nd_packet n = {.is_advert = true, .is_solicited = true, .target = peer_ip};
    struct ip_addr all = nd_all_nodes();

    (void)state;
    start();
    assert_int_equal(tcp_stack_neigh_set(s, &peer_ip, peer_mac, now), 0);
    give_nd(n, other_mac, &peer_ip, &our_ip, our_mac);
    connect_to(&peer_ip);
    assert_true(next_frame());
    assert_memory_equal(out, peer_mac, 6);
    n.is_override = true;
    n.is_solicited = false; /* as to all nodes after a failover */
    give_nd(n, other_mac, &peer_ip, &all, all_nodes_mac);
    connect_to(&peer_ip);
    assert_true(next_frame());
    assert_memory_equal(out, other_mac, 6);
}

static void test_nd_gives_up(void **state)
{
    struct tcp_event ev;
    unsigned asked = 0;

    (void)state;
    start();
    connect_to(&peer_ip);
    for (unsigned i = 0; i < 5; i++) {
        while (next_frame())
            asked++;
        now += SEC;
        tcp_stack_on_deadline(s, now);
    }
    assert_int_equal(asked, 3);
    assert_int_equal(tcp_stack_next_event(s, &ev), 1);
    assert_int_equal(ev.reason, TCP_CLOSED_UNREACHABLE);
}

static void test_nd_from_outside(void **state)
{
    struct tcp_event ev;

    (void)state;
    cfg.neigh_external = true;
    start();
    connect_to(&peer_ip);
    assert_false(next_frame());
    assert_int_equal(tcp_stack_next_event(s, &ev), 1);
    assert_int_equal(ev.type, TCP_EV_NEIGH_WANTED);
    assert_true(ip_addr_is_equal(&ev.ip, &peer_ip));
    assert_int_equal(tcp_stack_neigh_set(s, &peer_ip, peer_mac, now), 0);
    assert_true(next_frame());
}

/* ---- ICMPv6, frames ---- */

static void test_icmp6_echo(void **state)
{
    uint8_t ping[8 + 100] = {ICMP6_ECHO, 0, 0, 0, 1, 2, 3, 4};
    struct icmp_in icmp;
    struct ip_in ip;

    (void)state;
    start();
    memset(ping + 8, 'e', 100);
    give_icmp(our_mac, &peer_ip, &our_ip, 3, ping, sizeof(ping), true);
    assert_true(next_frame());
    assert_memory_equal(out, peer_mac, 6);
    assert_int_equal(ip6_parse(&ip, slice_of(out + ETH_HLEN, out_len - ETH_HLEN), false), IP_OK);
    assert_true(ip_addr_is_equal(&ip.src, &our_ip) && ip_addr_is_equal(&ip.dst, &peer_ip));
    assert_int_equal(icmp6_parse(&icmp, &ip), ICMP_IN_OTHER); /* its sum is right */
    assert_int_equal(ip.body.p[0], ICMP6_ECHO_REPLY);
    assert_memory_equal(ip.body.p + 4, ping + 4, sizeof(ping) - 4);
    struct ip_addr all = nd_all_nodes(); /* to a group: not answered */
    give_icmp(all_nodes_mac, &peer_ip, &all, 3, ping, sizeof(ping), true);
    assert_false(next_frame());
}

static void test_ip6_frames_for_others_are_dropped(void **state)
{
    static const uint8_t other_group[6] = {0x33, 0x33, 0xff, 9, 9, 9};
    uint8_t ping[8] = {ICMP6_ECHO};

    (void)state;
    start();
    give_icmp(other_group, &peer_ip, &our_ip, 64, ping, 8, true);
    assert_int_equal(count()->drop_eth_dst, 1);
    give_icmp(our_mac, &peer_ip, &router, 64, ping, 8, true);
    assert_int_equal(count()->drop_ip_dst, 1);
    give_icmp(our_mac, &our_ip, &our_ip, 64, ping, 8, true);
    give_icmp(our_mac, &nobody, &our_ip, 64, ping, 8, true);
    assert_int_equal(count()->drop_ip_src, 2);
    assert_false(next_frame());
}

static void test_stack_of_one_family_knows_no_other(void **state)
{
    struct ip_endpoint to = {ip_v4(10, 0, 0, 2), 80};
    struct tcp_conn *c;

    (void)state;
    start();
    assert_int_equal(tcp_connect(s, &to, 0, NULL, &c, now), -TCP_EADDR);
    tcp_stack_free(s);
    cfg.ip6 = (struct ip_addr){0};
    cfg.ip = ip_v4(10, 0, 0, 1);
    start();
    to.ip = peer_ip;
    assert_int_equal(tcp_connect(s, &to, 0, NULL, &c, now), -TCP_EADDR);
    uint8_t ping[8] = {ICMP6_ECHO};
    give_icmp(our_mac, &peer_ip, &our_ip, 64, ping, 8, true);
    assert_int_equal(count()->drop_ip_dst, 1);
}

static void test_config_of_addresses(void **state)
{
    int err;

    (void)state;
    start();
    tcp_stack_free(s);
    s = NULL;
    cfg.mtu_bytes = 1279; /* too small for IPv6 */
    assert_null(tcp_stack_new(&cfg, &rng, &err, now));
    cfg.mtu_bytes = 1280;
    cfg.prefix6_len = 129;
    assert_null(tcp_stack_new(&cfg, &rng, &err, now));
    cfg.prefix6_len = 64;
    cfg.gateway6 = ip_v4(10, 0, 0, 9);
    assert_null(tcp_stack_new(&cfg, &rng, &err, now));
    cfg.gateway6 = (struct ip_addr){0};
    cfg.ip6 = (struct ip_addr){0};
    assert_null(tcp_stack_new(&cfg, &rng, &err, now)); /* no address at all */
    assert_int_equal(err, -TCP_ECONFIG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ip6_extension_headers),
        T(test_ip6_endless_headers_are_refused),
        T(test_ip6_hosts),
        T(test_nd_asks_and_then_sends),
        T(test_nd_asks_the_gateway_for_the_far),
        T(test_nd_answers),
        T(test_nd_is_silent_on_a_shared_address),
        T(test_nd_announces),
        T(test_nd_believes_little),
        T(test_nd_a_new_mac_must_claim_to_override),
        T(test_nd_gives_up),
        T(test_nd_from_outside),
        T(test_icmp6_echo),
        T(test_ip6_frames_for_others_are_dropped),
        T(test_stack_of_one_family_knows_no_other),
        T(test_config_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
