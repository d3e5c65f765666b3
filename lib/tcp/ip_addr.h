/* ip_addr.h: an IP address and an endpoint
 * Shape:   family and 16 bytes
 * Note:    unused bytes are zero, so two equal addresses are equal byte for byte
 */
#ifndef TCP_IP_ADDR_H
#define TCP_IP_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip_addr {
    uint8_t family;    /* enum ip_family */
    uint8_t bytes[16]; /* network order; IPv4 in the first four */
};

struct ip_endpoint {
    struct ip_addr ip;
    uint16_t port; /* host order */
};

static inline struct ip_addr ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct ip_addr){IP_V4, {a, b, c, d}};
}

/* From four bytes in network order. */
static inline struct ip_addr ip_v4_bytes(const uint8_t *p)
{
    return ip_v4(p[0], p[1], p[2], p[3]);
}

/* From sixteen bytes in network order. */
static inline struct ip_addr ip_v6_bytes(const uint8_t *p)
{
    struct ip_addr a = {.family = IP_V6};

    memcpy(a.bytes, p, 16);
    return a;
}

static inline uint32_t ip_v4_u32(const struct ip_addr *a)
{
    return (uint32_t)a->bytes[0] << 24 | (uint32_t)a->bytes[1] << 16 | (uint32_t)a->bytes[2] << 8 |
           a->bytes[3];
}

static inline struct ip_addr ip_v4_from_u32(uint32_t v)
{
    return ip_v4((uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v);
}

/* Whether both begin with the same `bits`; of one family. */
static inline bool ip_addr_shares_prefix(const struct ip_addr *a, const struct ip_addr *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0);
}

static inline bool ip_addr_is_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
