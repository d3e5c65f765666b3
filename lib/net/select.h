/* select.h: which driver NET_DRIVER=auto takes, and why
 * Shape:   what was found out about each driver -> the best that works, and one line of reasons. Pure
 */
#ifndef NET_SELECT_H
#define NET_SELECT_H

#include "net/net.h"

/* Per driver why it cannot be used here; NULL: nothing speaks against it. The kernel driver can always be used. */
struct driver_facts {
    const char *no_vfio, *no_af_xdp, *no_af_packet;
};

/* Best first: a NIC of our own, then steering in front of the kernel, then a packet socket, then kernel sockets. tap,
 * memif and the memory cable are never chosen: they make a port rather than find one. */
enum net_driver select_driver(const struct driver_facts *f, char why[512]);
/* "af_packet", ... as NET_DRIVER spells it. */
const char *net_driver_name(enum net_driver d);

#endif
