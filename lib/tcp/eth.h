/* eth.h: Ethernet framing
 * Shape:   frame -> type, addresses, body; addresses, type -> 14 bytes
 */
#ifndef TCP_ETH_H
#define TCP_ETH_H

#include <stdbool.h>

#include "base/slice.h"
#include "tcp/tcp_wire.h"

struct eth_in {
    const uint8_t *dst, *src; /* into the frame */
    uint16_t type;
    struct slice body;
};

/* 0, or -1: shorter than a header. */
static inline int eth_parse(struct eth_in *e, struct slice frame)
{
    if (frame.len < ETH_HLEN)
        return -1;
    *e = (struct eth_in){frame.p,
                         frame.p + ETH_ALEN,
                         get_be16(frame.p + 12),
                         {frame.p + ETH_HLEN, frame.len - ETH_HLEN}};
    return 0;
}

static inline void eth_build(uint8_t *out, const uint8_t *dst, const uint8_t *src, uint16_t type)
{
    memcpy(out, dst, ETH_ALEN);
    memcpy(out + ETH_ALEN, src, ETH_ALEN);
    put_be16(out + 12, type);
}

static inline bool eth_is_broadcast(const uint8_t *mac)
{
    static const uint8_t all[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return memcmp(mac, all, ETH_ALEN) == 0;
}

static inline bool eth_is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}

#endif
