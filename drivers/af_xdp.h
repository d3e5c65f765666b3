/* af_xdp.h: a port on an AF_XDP socket: our ports are taken from the interface before the kernel makes packets of them
 * Shape:   xdp_steer.h sends our TCP here, xsk.h moves the frames; ARP and ICMP errors, which stay the kernel's, are read
 *          beside it by a packet socket
 * Why not DPDK's net_af_xdp: it wants an object file with a program that knows our ports, detaches by netlink (so needs
 *          CAP_NET_ADMIN to the end and leaves the program when killed), and has no descriptor to wait on
 * Shares:  the interface and its address with the kernel; the guard (guard.h) keeps the ports from others
 * Owner:   one net lcore
 * Memory:  frames are held by reference, up to half of them; what is sent is copied into frames once
 * Rights:  CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and 12 MiB of locked memory (2 MiB more for each further queue) to open; none
 *          afterwards, also to open an interface that was removed and made anew (Linux 5.19), some eight times
 * Errors:  NULL with the reason in err
 * Limits:  an interface of at most 16 receive queues, all served here, and an MTU of at most 3498; no segmentation or checksums by the port. XDP on a
 *          veth makes its other end cut segments into packets
 */
#ifndef DRIVERS_AF_XDP_H
#define DRIVERS_AF_XDP_H

#include "drivers/pktio.h"

struct af_xdp_config {
    const char *iface;
    uint8_t ip4[4], ip6[16]; /* ip6 zeroes: none */
    uint16_t listen_port;            /* 0: none */
    uint16_t dial_first, dial_count; /* local ports of our outgoing connections */
    uint32_t frames;                 /* a power of two; 0: 4096 */
};

struct pktio *af_xdp_open(const struct af_xdp_config *cfg, char err[256]);

#endif
