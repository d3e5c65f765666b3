/* ethdev.h: any DPDK port as a packet port: a NIC by vfio, net_tap, net_ring, net_memif, ...
 * Shape:   one receive and one transmit queue of a port that EAL already knows; EAL itself is the program's to start
 * Owner:   one net lcore after opening
 * Memory:  received frames are mbufs from a pool of the port's own: borrowed, or kept by reference up to half the pool.
 *          What is sent is copied into mbufs once (headers and payload)
 * Errors:  NULL or -1 with the reason in err
 * Limits:  the pool; when it is empty the port drops (rx_dropped) or is full (tx_full)
 */
#ifndef DRIVERS_ETHDEV_H
#define DRIVERS_ETHDEV_H

#include "drivers/pktio.h"

struct ethdev_config {
    uint16_t port_id;
    uint16_t mtu;        /* 0: as the port has it */
    uint32_t mbufs;      /* 0: 4096 */
    bool has_own_mac;    /* use `mac`, not the port's: for a tap, whose kernel end carries the port's address itself */
    uint8_t mac[6];
    bool has_no_tso;     /* do not use the port's segmentation: some only imitate it */
    bool has_no_wait;    /* its receive descriptor tells nothing unless interrupts are armed each time: it is polled */
    bool owns_device;    /* closing also removes the device (a vdev that we made) */
};

/* Opens and starts the port. */
struct pktio *ethdev_open(const struct ethdev_config *cfg, char err[256]);

/* Makes a virtual device, e.g. ("net_tap0", "iface=cctap0"), and finds its port. 0 or -1. */
int ethdev_create_vdev(const char *name, const char *args, uint16_t *port_id, char err[256]);
/* Removes a device made by ethdev_create_vdev that was never opened. */
void ethdev_remove_vdev(uint16_t port_id);

/* A tap: a kernel interface `iface` (made, or taken when it is there) whose other end is ours. Needs CAP_NET_ADMIN. mac:
 * six random bytes, made a proper local unicast address. */
struct pktio *ethdev_open_tap(const char *iface, const uint8_t mac[6], char err[256]);

/* A NIC at this PCI address (0000:3b:00.0) that EAL was started with, bound to vfio-pci. The address on it is ours alone. */
struct pktio *ethdev_open_pci(const char *address, char err[256]);

#endif
