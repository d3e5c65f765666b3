/* ip.h: IP headers
 * Shape:   packet -> struct ip_in; addresses and lengths -> 20 or 40 bytes; the pseudo-header's sum
 * Source:  RFC 791, RFC 8200, RFC 9293 3.1. No fragments, no options sent; received options and extension headers are skipped,
 *          those that forbid it drop the packet
 */
#ifndef TCP_IP_H
#define TCP_IP_H

#include "base/slice.h"
#include "tcp/csum.h"
#include "tcp/ip_addr.h"
#include "tcp/tcp_wire.h"

struct ip_in {
    struct ip_addr src, dst;
    uint8_t proto, ttl, ecn;
    bool is_fragment;
    struct slice body;
};

enum ip_parse_result { IP_OK = 0, IP_BAD_FORM, IP_BAD_CSUM };

/* Bytes after the packet's end (Ethernet padding) are cut off. is_quoted: the head of a packet inside an ICMP error,
 * whose body may be shorter than it says and whose checksum does not matter. */
enum ip_parse_result ip_parse(struct ip_in *in, struct slice packet, bool is_quoted);

/* total_bytes: header and body, at most 65535. DF is set. */
void ip_build(uint8_t out[IPV4_HLEN], const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
              uint8_t ttl, uint16_t id, uint32_t total_bytes);

/* The same for IPv6. proto and body are those behind all extension headers, or inside the first of a fragment. */
enum ip_parse_result ip6_parse(struct ip_in *in, struct slice packet, bool is_quoted);
void ip6_build(uint8_t out[IPV6_HLEN], const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
               uint8_t ttl, uint32_t body_bytes);

static inline unsigned ip_hlen(const struct ip_addr *a)
{
    return a->family == IP_V6 ? IPV6_HLEN : IPV4_HLEN;
}

/* Either, by dst's family; returns its length. */
unsigned ip_header_build(uint8_t *out, const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint8_t ttl,
                         uint16_t id, uint32_t body_bytes);

/* Sets the ECN bits of a header just built. */
void ip_set_ecn(uint8_t *ip, uint8_t ecn);

/* Adds the pseudo-header of a TCP segment of len bytes. */
void ip_pseudo_add(struct csum *c, const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
                   uint32_t len);

/* fe80::/10 */
static inline bool ip_is_link_local6(const struct ip_addr *a)
{
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* Class E, multicast, broadcast, loopback or zero: no host's address on a wire. */
static inline bool ip_is_host(const struct ip_addr *a)
{
    if (a->family == IP_V6) { /* nor one that embeds an IPv4 address in its first 80 zero bits */
        static const uint8_t zero[10];
        return a->bytes[0] != 0xff && memcmp(a->bytes, zero, 10) != 0;
    }
    return a->family == IP_V4 && a->bytes[0] != 0 && a->bytes[0] != 127 && a->bytes[0] < 224;
}

#endif
