#include "tcp/icmp.h"

/* An error and the packet it quotes; code and next_mtu are filled in. */
static enum icmp_kind parse_quoted(struct icmp_in *in, struct slice b, bool is_v6)
{
    struct slice packet = {b.p + ICMP_HLEN, b.len - ICMP_HLEN};
    struct ip_in q;

    if ((is_v6 ? ip6_parse(&q, packet, true) : ip_parse(&q, packet, true)) != IP_OK)
        return ICMP_IN_BAD;
    if (q.proto != IPPROTO_TCP_N || q.is_fragment)
        return ICMP_IN_OTHER;
    if (q.body.len < 8)
        return ICMP_IN_BAD;
    in->local = (struct ip_endpoint){q.src, get_be16(q.body.p)};
    in->remote = (struct ip_endpoint){q.dst, get_be16(q.body.p + 2)};
    in->seq = get_be32(q.body.p + 4);
    return ICMP_IN_TCP_ERROR;
}

enum icmp_kind icmp_parse(struct icmp_in *in, struct slice b)
{
    memset(in, 0, sizeof(*in));
    if (b.len < ICMP_HLEN || csum_of(b) != 0)
        in->kind = ICMP_IN_BAD;
    else if (b.p[0] == ICMP_ECHO && b.p[1] == 0) {
        in->kind = ICMP_IN_ECHO;
        in->echo = (struct slice){b.p + 4, b.len - 4};
    } else if (b.p[0] == ICMP_UNREACHABLE) {
        in->code = b.p[1];
        in->next_mtu = get_be16(b.p + 6);
        in->kind = parse_quoted(in, b, false);
    }
    return in->kind;
}

static bool is_intact6(const struct ip_in *ip)
{
    struct csum c = {0};

    ip_pseudo_add(&c, &ip->src, &ip->dst, IPPROTO_ICMP6_N, (uint32_t)ip->body.len);
    csum_add(&c, ip->body);
    return csum_fold(&c) == 0xffff;
}

enum icmp_kind icmp6_parse(struct icmp_in *in, const struct ip_in *ip)
{
    struct slice b = ip->body;

    memset(in, 0, sizeof(*in));
    if (b.len < ICMP_HLEN || !is_intact6(ip))
        in->kind = ICMP_IN_BAD;
    else if (b.p[0] == ICMP6_ECHO && b.p[1] == 0) {
        in->kind = ICMP_IN_ECHO;
        in->echo = (struct slice){b.p + 4, b.len - 4};
    } else if (b.p[0] == ICMP6_SOLICIT || b.p[0] == ICMP6_ADVERT)
        in->kind = ICMP_IN_ND;
    else if (b.p[0] == ICMP6_UNREACHABLE) {
        in->code = b.p[1] == ICMP6_CODE_PORT ? ICMP_CODE_PORT : ICMP_CODE_HOST;
        in->kind = parse_quoted(in, b, true);
    } else if (b.p[0] == ICMP6_TOO_BIG) {
        uint32_t mtu = get_be32(b.p + 4);
        in->code = ICMP_CODE_FRAG_NEEDED;
        in->next_mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
        in->kind = parse_quoted(in, b, true);
    }
    return in->kind;
}

void icmp6_echo_reply_build(uint8_t out[4], struct slice echo, const struct ip_addr *src, const struct ip_addr *dst)
{
    struct csum c = {0};

    memset(out, 0, 4);
    out[0] = ICMP6_ECHO_REPLY;
    ip_pseudo_add(&c, src, dst, IPPROTO_ICMP6_N, 4 + (uint32_t)echo.len);
    csum_add(&c, (struct slice){out, 4});
    csum_add(&c, echo);
    put_csum(out + 2, (uint16_t)~csum_fold(&c));
}

void icmp_echo_reply_build(uint8_t out[4], struct slice echo)
{
    struct csum c = {0};

    memset(out, 0, 4);
    out[0] = ICMP_ECHO_REPLY;
    csum_add(&c, (struct slice){out, 4});
    csum_add(&c, echo);
    put_csum(out + 2, (uint16_t)~csum_fold(&c));
}
