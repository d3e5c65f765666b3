/* ethdev.h: any DPDK port as packet ports, one for each queue: a NIC by vfio, net_tap, net_ring, ...
 * Shape:   opening starts the device and gives a struct pktio for each receive queue (with a transmit queue of its own), the
 *          first of which also looks after the device. EAL itself is the program's to start
 * Queues:  TCP is spread by RSS; pktio_flow_queue says where to. What has no connection and concerns all (ARP answers, ICMP
 *          errors) is handed to every queue, whichever it came to
 * Owner:   each queue: one net lcore after opening. Open and close all queues on one thread, while no lcore uses any of them
 * Memory:  received frames are mbufs from a pool of the queue's own, on the NUMA node of the device: borrowed, or kept by
 *          reference up to half the pool. What is sent is copied into mbufs once (headers and payload)
 * Errors:  NULL or -1 with the reason in err
 * Limits:  the pool; when it is empty the port drops (rx_dropped) or is full (tx_full, no_memory)
 * Trouble: a reset that the device asks for is carried out when every queue has let go of it; a device that was removed is
 *          looked for once a second, and opened again (reopen). Both end no connection that outlives the pause
 */
#ifndef DRIVERS_ETHDEV_H
#define DRIVERS_ETHDEV_H

#include "drivers/pktio.h"

#define ETHDEV_QUEUES_MAX 16

struct ethdev_config {
    uint16_t port_id;
    uint16_t queues;     /* wanted: fewer, at least one, when the device or its RSS does not have so many. 0: 1 */
    uint16_t vlan;       /* 0: none; else frames are tagged with it, and others do not come up */
    uint16_t mtu;        /* 0: as the port has it */
    uint32_t mbufs;      /* of each queue; 0: 4096, 2048 of a large MTU */
    bool has_own_mac;    /* use `mac`, not the port's: for a tap, whose kernel end carries the port's address itself */
    uint8_t mac[6];
    bool has_ip6;        /* neighbours ask for us by multicast: it is let in, whole */
    bool has_no_tso;     /* do not use the port's segmentation: some only imitate it */
    bool has_no_wait;    /* its receive descriptor tells nothing unless interrupts are armed each time: it is polled */
    bool owns_device;    /* closing also removes the device (a vdev that we made) */
    const char *devargs; /* how a device that was lost is looked for again: a vdev's arguments, "" for a PCI device; NULL: it
                          * stays lost */
    const char *iface;   /* a kernel interface that is the device: without it the device is lost; NULL: none */
};

/* Opens and starts the port with one queue. */
struct pktio *ethdev_open(const struct ethdev_config *cfg, char err[256]);
/* The same with up to cfg->queues, at most cap; returns how many ports it wrote to ios, or -1. */
int ethdev_open_queues(const struct ethdev_config *cfg, struct pktio **ios, unsigned cap, char err[256]);

/* Makes a virtual device, e.g. ("net_tap0", "iface=cctap0"), and finds its port. 0 or -1. */
int ethdev_create_vdev(const char *name, const char *args, uint16_t *port_id, char err[256]);
/* Removes a device made by ethdev_create_vdev that was never opened. */
void ethdev_remove_vdev(uint16_t port_id);

/* What an address of our own on a port may bring along. */
struct ethdev_wishes {
    uint16_t queues, vlan, mtu; /* as in ethdev_config */
    bool has_ip6;               /* of a NIC */
};

/* A tap: a kernel interface `iface` (made, or taken when it is there) whose other end is ours. Needs CAP_NET_ADMIN. mac:
 * six random bytes, made a proper local unicast address. One queue. */
struct pktio *ethdev_open_tap(const char *iface, const uint8_t mac[6], const struct ethdev_wishes *w, char err[256]);

/* A NIC at this PCI address (0000:3b:00.0) that EAL was started with, bound to vfio-pci. The address on it is ours alone.
 * Returns how many queues, or -1. */
int ethdev_open_pci(const char *address, const struct ethdev_wishes *w, struct pktio **ios, unsigned cap, char err[256]);

#endif
