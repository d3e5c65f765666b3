/* ip6.c: IPv6 headers (RFC 8200), extension headers skipped */
#include "tcp/ip.h"

#define EXT_HOP_BY_HOP  0
#define EXT_ROUTING     43
#define EXT_FRAGMENT    44
#define EXT_NONE        59
#define EXT_DESTINATION 60
#define EXT_MAX         8 /* more of them only cost us time */
#define FRAGMENT_HLEN   8
#define FRAGMENT_BITS   0xfff9 /* offset and "more" */
#define OPTION_PAD1     0
#define OPTION_ACTION   0xc0 /* what to do who does not know it: 0: skip, else drop */

/* Options of a hop-by-hop or destination header: false when one must not be skipped. */
static bool may_skip_options(struct slice b)
{
    for (size_t at = 0; at < b.len;) {
        if (b.p[at] == OPTION_PAD1) {
            at++;
            continue;
        }
        if (b.len - at < 2 || b.p[at + 1] > b.len - at - 2 || b.p[at] & OPTION_ACTION)
            return false;
        at += 2u + b.p[at + 1];
    }
    return true;
}

/* Takes one extension header off in->body, its kind in in->proto. False: malformed, or not to be skipped. */
static bool skip_extension(struct ip_in *in)
{
    struct slice b = in->body;
    uint8_t kind = in->proto;

    if (b.len < FRAGMENT_HLEN)
        return false;
    size_t len = kind == EXT_FRAGMENT ? FRAGMENT_HLEN : 8u * (b.p[1] + 1u);
    if (len > b.len)
        return false;
    if (kind == EXT_FRAGMENT)
        in->is_fragment |= (get_be16(b.p + 2) & FRAGMENT_BITS) != 0;
    else if (kind == EXT_ROUTING) {
        if (b.p[3] != 0) /* segments left: we are no router on its way */
            return false;
    } else if (!may_skip_options((struct slice){b.p + 2, len - 2}))
        return false;
    in->proto = b.p[0];
    in->body = (struct slice){b.p + len, b.len - len};
    return true;
}

static bool is_extension(uint8_t proto)
{
    return proto == EXT_HOP_BY_HOP || proto == EXT_ROUTING || proto == EXT_FRAGMENT || proto == EXT_DESTINATION;
}

enum ip_parse_result ip6_parse(struct ip_in *in, struct slice p, bool is_quoted)
{
    if (p.len < IPV6_HLEN || p.p[0] >> 4 != 6)
        return IP_BAD_FORM;
    size_t len = get_be16(p.p + 4), there = p.len - IPV6_HLEN;
    if (len > there && !is_quoted)
        return IP_BAD_FORM;
    in->src = ip_v6_bytes(p.p + 8);
    in->dst = ip_v6_bytes(p.p + 24);
    in->proto = p.p[6];
    in->ttl = p.p[7];
    in->ecn = p.p[1] >> 4 & 3;
    in->is_fragment = false;
    in->body = (struct slice){p.p + IPV6_HLEN, len < there ? len : there};
    for (unsigned n = 0; is_extension(in->proto); n++) {
        /* The hop-by-hop header comes first or not at all. What follows a fragment's header is not all there. */
        if (n == EXT_MAX || (in->proto == EXT_HOP_BY_HOP && n) || !skip_extension(in))
            return IP_BAD_FORM;
        if (in->is_fragment)
            break;
    }
    return IP_OK;
}

void ip6_build(uint8_t out[IPV6_HLEN], const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
               uint8_t ttl, uint32_t body_bytes)
{
    put_be32(out, 6u << 28);
    put_be16(out + 4, (uint16_t)body_bytes);
    out[6] = proto;
    out[7] = ttl;
    memcpy(out + 8, src->bytes, 16);
    memcpy(out + 24, dst->bytes, 16);
}

unsigned ip_header_build(uint8_t *out, const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint8_t ttl,
                         uint16_t id, uint32_t body_bytes)
{
    if (dst->family == IP_V6)
        ip6_build(out, src, dst, proto, ttl, body_bytes);
    else
        ip_build(out, src, dst, proto, ttl, id, IPV4_HLEN + body_bytes);
    return ip_hlen(dst);
}
