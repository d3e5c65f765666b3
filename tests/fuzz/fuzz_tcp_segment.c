/* fuzz_tcp_segment.c: every parser a frame meets before a connection does; what parses must build and parse again */
#include <stdlib.h>

#include "tcp/arp.h"
#include "tcp/eth.h"
#include "tcp/icmp.h"
#include "tcp/nd.h"
#include "tcp/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool is_inside(struct slice s, const uint8_t *data, size_t len)
{
    return s.len == 0 || (s.p >= data && s.p + s.len <= data + len);
}

static void try_options(struct slice bytes)
{
    struct tcp_options o, again;
    uint8_t out[TCP_OPT_MAX];

    if (tcp_options_parse(&o, bytes))
        return;
    unsigned n = tcp_options_build(out, &o);
    check(n <= sizeof(out) && n % 4 == 0);
    check(tcp_options_parse(&again, slice_of(out, n)) == 0);
    check(o.has_mss == again.has_mss && o.mss == again.mss && o.has_ts == again.has_ts &&
          o.ts_val == again.ts_val && o.has_wscale == again.has_wscale && o.wscale == again.wscale &&
          o.has_sack_ok == again.has_sack_ok && again.sack_count <= o.sack_count);
}

static void try_ip6(struct slice packet, const uint8_t *data, size_t len)
{
    struct icmp_in icmp;
    struct nd_packet nd;
    struct tcp_in tcp;
    struct ip_in ip;

    for (int quoted = 0; quoted < 2; quoted++) {
        if (ip6_parse(&ip, packet, quoted) != IP_OK)
            continue;
        check(is_inside(ip.body, data, len));
        if (tcp_in_parse(&tcp, ip.body) == 0)
            check(is_inside(tcp.payload, data, len));
        if (icmp6_parse(&icmp, &ip) == ICMP_IN_ECHO)
            check(is_inside(icmp.echo, data, len));
        if (nd_parse(&nd, &ip) == 0)
            check(nd.target.family == IP_V6);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice all = slice_of(data, len);
    struct eth_in eth;
    struct arp_packet arp;
    struct icmp_in icmp;
    struct tcp_in tcp;
    struct ip_in ip;

    if (eth_parse(&eth, all) == 0) {
        arp_parse(&arp, eth.body);
        try_ip6(eth.body, data, len);
        for (int quoted = 0; quoted < 2; quoted++)
            if (ip_parse(&ip, eth.body, quoted) == IP_OK) {
                check(is_inside(ip.body, data, len));
                tcp_in_is_intact(&ip, ip.body);
                if (tcp_in_parse(&tcp, ip.body) == 0)
                    check(is_inside(tcp.payload, data, len));
                if (icmp_parse(&icmp, ip.body) == ICMP_IN_ECHO)
                    check(is_inside(icmp.echo, data, len));
            }
    }
    arp_parse(&arp, all);
    icmp_parse(&icmp, all);
    try_ip6(all, data, len);
    if (tcp_in_parse(&tcp, all) == 0)
        check(is_inside(tcp.payload, data, len) && tcp.opt.sack_count <= TCP_SACK_BLOCKS);
    try_options(all.len <= TCP_OPT_MAX ? all : slice_of(data, TCP_OPT_MAX));
    return 0;
}
