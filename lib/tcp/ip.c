#include "tcp/ip.h"

enum ip_parse_result ip_parse(struct ip_in *in, struct slice p, bool is_quoted)
{
    if (p.len < IPV4_HLEN || p.p[0] >> 4 != 4)
        return IP_BAD_FORM;
    size_t hlen = (p.p[0] & 15u) * 4, total = get_be16(p.p + 2);
    if (hlen < IPV4_HLEN || hlen > p.len || total < hlen || (total > p.len && !is_quoted))
        return IP_BAD_FORM;
    if (!is_quoted && csum_of((struct slice){p.p, hlen}) != 0)
        return IP_BAD_CSUM;
    in->src = ip_v4_bytes(p.p + 12);
    in->dst = ip_v4_bytes(p.p + 16);
    in->proto = p.p[9];
    in->ttl = p.p[8];
    in->ecn = p.p[1] & 3;
    in->is_fragment = get_be16(p.p + 6) & (IPV4_MF | IPV4_OFFSET);
    in->body = (struct slice){p.p + hlen, (total < p.len ? total : p.len) - hlen};
    return IP_OK;
}

void ip_build(uint8_t out[IPV4_HLEN], const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
              uint8_t ttl, uint16_t id, uint32_t total_bytes)
{
    out[0] = 0x45;
    out[1] = 0;
    put_be16(out + 2, (uint16_t)total_bytes);
    put_be16(out + 4, id);
    put_be16(out + 6, IPV4_DF);
    out[8] = ttl;
    out[9] = proto;
    put_csum(out + 10, 0);
    memcpy(out + 12, src->bytes, 4);
    memcpy(out + 16, dst->bytes, 4);
    put_csum(out + 10, csum_of((struct slice){out, IPV4_HLEN}));
}

void ip_set_ecn(uint8_t *ip, uint8_t ecn)
{
    if (ip[0] >> 4 == 6) {
        ip[1] = (uint8_t)((ip[1] & ~0x30) | ecn << 4);
        return;
    }
    ip[1] = (uint8_t)((ip[1] & ~3) | ecn);
    put_csum(ip + 10, 0);
    put_csum(ip + 10, csum_of((struct slice){ip, IPV4_HLEN}));
}

void ip_pseudo_add(struct csum *c, const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
                   uint32_t len)
{
    uint8_t ph[40] = {0};

    if (dst->family == IP_V6) {
        memcpy(ph, src->bytes, 16);
        memcpy(ph + 16, dst->bytes, 16);
        put_be32(ph + 32, len);
        ph[39] = proto;
        csum_add(c, (struct slice){ph, sizeof(ph)});
        return;
    }
    memcpy(ph, src->bytes, 4);
    memcpy(ph + 4, dst->bytes, 4);
    ph[9] = proto;
    put_be16(ph + 10, (uint16_t)len);
    csum_add(c, (struct slice){ph, 12});
}
