#include "tcp/nd.h"

#include "tcp/eth.h"

#define ND_FIXED       24 /* type, code, checksum, flags, target */
#define OPT_SOURCE_MAC 1
#define OPT_TARGET_MAC 2
#define FLAG_ROUTER    0x80
#define FLAG_SOLICITED 0x40
#define FLAG_OVERRIDE  0x20

static bool is_group(const struct ip_addr *a)
{
    return a->bytes[0] == 0xff;
}

static bool is_unspecified(const struct ip_addr *a)
{
    static const uint8_t zero[16];

    return memcmp(a->bytes, zero, 16) == 0;
}

static int parse_options(struct nd_packet *n, struct slice b)
{
    uint8_t want = n->is_advert ? OPT_TARGET_MAC : OPT_SOURCE_MAC;

    while (b.len) {
        size_t len = b.len < 2 ? 0 : b.p[1] * 8u;
        if (len == 0 || len > b.len)
            return -1;
        if (b.p[0] == want && len == 8 && !eth_is_group(b.p + 2)) {
            n->has_mac = true;
            memcpy(n->mac, b.p + 2, ETH_ALEN);
        }
        b.p += len;
        b.len -= len;
    }
    return 0;
}

int nd_parse(struct nd_packet *n, const struct ip_in *ip)
{
    struct slice b = ip->body;

    memset(n, 0, sizeof(*n));
    /* 255 proves that it comes from this link. */
    if (b.len < ND_FIXED || ip->ttl != 255 || b.p[1] != 0 || (b.p[0] != ICMP6_SOLICIT && b.p[0] != ICMP6_ADVERT))
        return -1;
    n->is_advert = b.p[0] == ICMP6_ADVERT;
    n->target = ip_v6_bytes(b.p + 8);
    if (n->is_advert) {
        n->is_router = b.p[4] & FLAG_ROUTER;
        n->is_solicited = b.p[4] & FLAG_SOLICITED;
        n->is_override = b.p[4] & FLAG_OVERRIDE;
    }
    if (is_group(&n->target) || (n->is_solicited && is_group(&ip->dst)) ||
        parse_options(n, (struct slice){b.p + ND_FIXED, b.len - ND_FIXED}))
        return -1;
    if (!is_unspecified(&ip->src))
        return 0;
    /* Somebody asks whether an address is free: to the group alone, and without a MAC. */
    struct ip_addr group = nd_solicited_node(&n->target);
    return n->is_advert || n->has_mac || !ip_addr_is_equal(&ip->dst, &group) ? -1 : 0;
}

void nd_build(uint8_t out[ND_LEN], const struct nd_packet *n, const struct ip_addr *src, const struct ip_addr *dst)
{
    struct csum c = {0};

    memset(out, 0, ND_LEN);
    out[0] = n->is_advert ? ICMP6_ADVERT : ICMP6_SOLICIT;
    out[4] = (uint8_t)((n->is_router ? FLAG_ROUTER : 0) | (n->is_solicited ? FLAG_SOLICITED : 0) |
                       (n->is_override ? FLAG_OVERRIDE : 0));
    memcpy(out + 8, n->target.bytes, 16);
    out[24] = n->is_advert ? OPT_TARGET_MAC : OPT_SOURCE_MAC;
    out[25] = 1;
    memcpy(out + 26, n->mac, ETH_ALEN);
    ip_pseudo_add(&c, src, dst, IPPROTO_ICMP6_N, ND_LEN);
    csum_add(&c, slice_of(out, ND_LEN));
    put_csum(out + 2, (uint16_t)~csum_fold(&c));
}

struct ip_addr nd_solicited_node(const struct ip_addr *ip)
{
    struct ip_addr g = {IP_V6, {0xff, 2, [11] = 1, [12] = 0xff}};

    memcpy(g.bytes + 13, ip->bytes + 13, 3);
    return g;
}

void nd_group_mac(uint8_t mac[ETH_ALEN], const struct ip_addr *group)
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group->bytes + 12, 4);
}
