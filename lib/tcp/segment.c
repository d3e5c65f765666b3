#include "tcp/segment.h"

#include "tcp/eth.h"

int tcp_in_parse(struct tcp_in *in, struct slice b)
{
    if (b.len < TCP_HLEN)
        return -1;
    size_t hlen = (b.p[12] >> 4) * 4u;
    if (hlen < TCP_HLEN || hlen > b.len)
        return -1;
    in->src_port = get_be16(b.p);
    in->dst_port = get_be16(b.p + 2);
    in->seq = get_be32(b.p + 4);
    in->ack = get_be32(b.p + 8);
    in->flags = b.p[13];
    in->wnd = get_be16(b.p + 14);
    in->payload = (struct slice){b.p + hlen, b.len - hlen};
    return tcp_options_parse(&in->opt, (struct slice){b.p + TCP_HLEN, hlen - TCP_HLEN});
}

bool tcp_in_is_intact(const struct ip_in *ip, struct slice b)
{
    struct csum c = {0};

    ip_pseudo_add(&c, &ip->src, &ip->dst, IPPROTO_TCP_N, (uint32_t)b.len);
    csum_add(&c, b);
    return csum_fold(&c) == 0xffff;
}

void tcp_out_build(struct tcp_segment *seg, const struct tcp_out *o)
{
    unsigned ip_len = ip_hlen(o->dst_ip);
    uint8_t *ip = seg->head + ETH_HLEN, *tcp = ip + ip_len;
    unsigned opt_len = tcp_options_build(tcp + TCP_HLEN, &o->opt);
    uint32_t tcp_len = TCP_HLEN + opt_len + seg->payload_bytes;
    struct csum c = {0};

    eth_build(seg->head, o->dst_mac, o->src_mac, o->dst_ip->family == IP_V6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    ip_header_build(ip, o->src_ip, o->dst_ip, IPPROTO_TCP_N, o->ttl, o->ip_id, tcp_len);
    if (o->ecn)
        ip_set_ecn(ip, o->ecn);
    put_be16(tcp, o->src_port);
    put_be16(tcp + 2, o->dst_port);
    put_be32(tcp + 4, o->seq);
    put_be32(tcp + 8, o->ack);
    tcp[12] = (uint8_t)((TCP_HLEN + opt_len) / 4 << 4);
    tcp[13] = o->flags;
    put_be16(tcp + 14, o->wnd);
    put_be32(tcp + TCP_CSUM_AT, 0); /* and no urgent pointer */
    seg->head_len = (uint16_t)(ETH_HLEN + ip_len + TCP_HLEN + opt_len);
    seg->gso_size = seg->payload_bytes > o->gso_size ? o->gso_size : 0;

    ip_pseudo_add(&c, o->src_ip, o->dst_ip, IPPROTO_TCP_N, tcp_len);
    if (o->csum_partial) {
        seg->csum_start = (uint16_t)(ETH_HLEN + ip_len);
        seg->csum_offset = TCP_CSUM_AT;
        put_csum(tcp + TCP_CSUM_AT, csum_fold(&c));
        return;
    }
    seg->csum_start = seg->csum_offset = 0;
    csum_add(&c, (struct slice){tcp, TCP_HLEN + opt_len});
    for (unsigned i = 0; i < seg->slice_count; i++)
        csum_add(&c, seg->slices[i]);
    put_csum(tcp + TCP_CSUM_AT, (uint16_t)~csum_fold(&c));
}
