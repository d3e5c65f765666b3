/* open.h: from a configuration to a transport: chooses the driver and opens it
 * Owner:   the role that is being made
 * Errors:  NULL with the reason in err, naming the setting; why gets one line on the choice
 */
#ifndef NET_OPEN_H
#define NET_OPEN_H

#include "net/net.h"
#include "net/transport.h"

/* What role 0 found and the node's other roles take over. */
struct net_share {
    enum net_driver driver;
    uint16_t listen_port;
    uint16_t dial_first, dial_each; /* local ports of dials: role i has dial_each of them from dial_first + i * dial_each */
    bool has_ip6; /* beside the kernel: the guard keeps our ports of IPv6 too */
    struct pktio *ports[NET_ROLES_MAX]; /* of a NIC's queues, until the role of that number takes its own */
};

/* first: of role 0, NULL for itself, which fills *share. */
struct transport *net_open_transport(const struct net_config *cfg, struct net_share *first, struct net_share *share, uint64_t now,
                                     char err[256], char why[512]);

/* Closes what no role has taken. */
void net_share_close(struct net_share *share);

#endif
