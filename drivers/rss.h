/* rss.h: which receive queue a flow's packets come to
 * Shape:   a port's hash key, its table of queues and a flow -> the queue. Pure
 * Source:  the Toeplitz hash of Microsoft's RSS specification, over remote address, local address, remote port, local port
 * Owner:   immutable once the port runs; any lcore may ask
 */
#ifndef DRIVERS_RSS_H
#define DRIVERS_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/pktio.h"

#define RSS_KEY_MAX   64
#define RSS_TABLE_MAX 512

struct rss {
    uint8_t key[RSS_KEY_MAX];
    uint16_t table[RSS_TABLE_MAX]; /* queue by the low bits of the hash */
    uint32_t table_size;           /* a power of two; 0: all goes to queue 0 */
    bool has_ports4, has_ports6;   /* the port numbers are part of the hash; else the addresses alone */
};

/* key: len + 4 bytes at least, len <= 36. */
uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len);
unsigned rss_queue(const struct rss *r, const struct pktio_flow *flow);

#endif
