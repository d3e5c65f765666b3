/* rss.c: the Toeplitz hash and its table (rss.h) */
#include "drivers/rss.h"

#include <string.h>

uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len)
{
    uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3], hash = 0;

    for (uint32_t i = 0; i < len; i++)
        for (unsigned bit = 8; bit-- > 0;) {
            if (data[i] >> bit & 1)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> bit & 1);
        }
    return hash;
}

static void put_port(uint8_t *p, uint16_t port)
{
    p[0] = (uint8_t)(port >> 8);
    p[1] = (uint8_t)port;
}

unsigned rss_queue(const struct rss *r, const struct pktio_flow *flow)
{
    uint32_t addr = flow->is_ip6 ? 16 : 4, len = 2 * addr;
    uint8_t data[36];

    if (r->table_size == 0)
        return 0;
    memcpy(data, flow->remote, addr); /* the packets that come have the remote as their source */
    memcpy(data + addr, flow->local, addr);
    if (flow->is_ip6 ? r->has_ports6 : r->has_ports4) {
        put_port(data + len, flow->remote_port);
        put_port(data + len + 2, flow->local_port);
        len += 4;
    }
    return r->table[rss_toeplitz(r->key, data, len) & (r->table_size - 1)];
}
