#include "tcp/icmp.h"

static enum icmp_kind parse_unreachable(struct icmp_in *in, struct slice b)
{
    struct ip_in q;

    in->code = b.p[1];
    in->next_mtu = get_be16(b.p + 6);
    if (ip_parse(&q, (struct slice){b.p + ICMP_HLEN, b.len - ICMP_HLEN}, true) != IP_OK)
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
    } else if (b.p[0] == ICMP_UNREACHABLE)
        in->kind = parse_unreachable(in, b);
    return in->kind;
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
