/* iplimit.h: how many inbound connections each address has
 * Shape:   endpoint -> counts of connections and of unfinished handshakes; IPv4 whole, IPv6 by /64 (one customer)
 * Owner:   one net role
 * Limits:  one small block per address that has a connection, so at most as many as there are connections
 */
#ifndef NET_IPLIMIT_H
#define NET_IPLIMIT_H

#include "base/map.h"
#include "net/transport.h"

struct iplimit {
    struct map counts;
    uint32_t max_conns, max_handshakes; /* per address */
};

void iplimit_init(struct iplimit *l, uint32_t max_conns, uint32_t max_handshakes, const uint8_t seed[16]);
void iplimit_fini(struct iplimit *l);
/* A new inbound connection, in its handshake: true when it may stay; it is then counted. */
bool iplimit_take(struct iplimit *l, const struct endpoint *e);
/* Its handshake is over (done or failed). */
void iplimit_handshake_over(struct iplimit *l, const struct endpoint *e);
/* The connection is gone. */
void iplimit_give(struct iplimit *l, const struct endpoint *e);

#endif
