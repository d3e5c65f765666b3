/* transport_tcp.h: pipes over our own TCP (lib/tcp) on a packet port (drivers/pktio.h)
 * Owner:   one net role: the port, its stack and its pipes belong to it whole
 * Memory:  takes the port and the guard when it succeeds
 * Errors:  NULL with the reason in err
 */
#ifndef NET_TRANSPORT_TCP_H
#define NET_TRANSPORT_TCP_H

#include "base/rng.h"
#include "net/transport.h"

struct pktio;
struct guard;

struct transport_tcp_config {
    uint8_t ip4[4], gateway4[4]; /* zeroes: none; of the two families one at least has an address */
    uint8_t prefix;
    uint8_t ip6[16], gateway6[16];
    uint8_t prefix6;
    uint16_t listen_port;
    uint16_t dial_first, dial_count; /* local ports of dials; count 0: the stack's default range */
    uint32_t max_conns, max_half_open;
    unsigned nroles; /* that share the memory meant for received and for queued bytes; 0: 1 */
    /* Not 0: a dial to a remote comes from a port that follows from this and the remote, if it can, so that the next life of
     * a node that died without a word takes over what its peers still hold for a connection. The same in every life. */
    uint64_t dial_seed;
    const char *iface; /* shared with the kernel, whose neighbours are ours too; NULL: ours alone */
    uint8_t cc, ecn; /* enum tcp_cc, enum tcp_ecn */
    struct rng *rng; /* borrowed */
};

/* guard: NULL for an address that is ours alone. */
struct transport *transport_tcp_new(const struct transport_tcp_config *cfg, struct pktio *port, struct guard *guard, uint64_t now,
                                    char err[256]);

#endif
