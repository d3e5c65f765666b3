/* af_packet.h: our own AF_PACKET port: the container path
 * Shape:   two TPACKET_V2 receive rings, of many slots for a packet and of few for segments of up to 64 KiB, so that
 *          neither a burst of small packets nor large segments are lost while we sleep; frames come in order of arrival.
 *          sendmmsg for output. PACKET_VNET_HDR both ways: checksums stay unfinished on one machine, and big segments
 *          travel as one
 * Why not DPDK's: it needs CAP_NET_ADMIN, truncates the kernel's big segments and can offload nothing (docs)
 * Shares:  the interface and its address with the kernel; a packet filter lets only our ports, ARP, neighbour advertisements and
 *          ICMP errors for our addresses up here. The kernel must be kept silent on those ports: guard.h
 * Owner:   one net lcore
 * Memory:  frames are never kept by reference (keep_max 0): a held slot would stop the whole ring
 * Rights:  CAP_NET_RAW alone
 * Errors:  NULL with the reason in err
 */
#ifndef DRIVERS_AF_PACKET_H
#define DRIVERS_AF_PACKET_H

#include "drivers/pktio.h"

struct af_packet_config {
    const char *iface;
    uint8_t ip4[4], ip6[16]; /* ip6 zeroes: none */
    uint16_t listen_port;            /* 0: none */
    uint16_t dial_first, dial_count; /* local ports of our outgoing connections */
    unsigned role, nroles;           /* of several ports that share the listening port; see af_packet_filter.h. 0: 1 */
    uint32_t small_slots;            /* 0: 8 MiB of them, 4096 at an MTU of 1500 */
    uint32_t big_slots;              /* 0: 120 (8 MiB) */
    uint32_t gso_max_bytes;          /* 0: 64 KiB; 1: send only packets of the MTU */
};

/* A silent probe: may this process open such a socket at all? 0, else an errno. */
int af_packet_probe(void);
struct pktio *af_packet_open(const struct af_packet_config *cfg, char err[256]);

#endif
