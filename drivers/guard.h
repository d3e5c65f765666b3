/* guard.h: keeps the kernel silent on TCP ports that our own stack uses on the kernel's address
 * Why:     a packet for a port without a socket makes the kernel answer RST, and without a reservation it could give the
 *          port to someone else. A socket that listens on the port with IP_MINTTL=255 drops every packet silently (peers
 *          send TTL <= 254; ours go out with 64) and reserves the port. It needs no rights. For IPv6 IPV6_MINHOPCOUNT does the same
 * Owner:   whoever opened it; the sockets are never read
 * Errors:  0, or -1 with the reason in err
 * Limits:  one descriptor a port, at most GUARD_PORTS_MAX. A host on the same link that sends TTL 255 on purpose gets a
 *          SYN-ACK from the guard; nothing ever accepts it
 */
#ifndef DRIVERS_GUARD_H
#define DRIVERS_GUARD_H

#include <stdint.h>

#include "base/rng.h"

#define GUARD_PORTS_MAX 1025 /* of each family */

struct guard {
    int fds[2 * GUARD_PORTS_MAX];
    unsigned count;
    uint16_t dial_first, dial_count; /* local ports for our outgoing connections: [dial_first, dial_first+dial_count) */
};

/* ip, ip6: an address of each family, or NULL; not both. The same ports are guarded on each.
 * Guards listen_port (0: none) and a run of dial_count free ports (0: none; else a power of two <= 1024), chosen at random
 * outside the kernel's own ephemeral range. Call guard_close also after an error. */
int guard_open(struct guard *g, const uint8_t *ip, const uint8_t *ip6, uint16_t listen_port, uint16_t dial_count, struct rng *rng, char err[256]);
void guard_close(struct guard *g);

#endif
