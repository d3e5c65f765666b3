/* af_packet.h: our own AF_PACKET port: the container path
 * Shape:   a TPACKET_V2 receive ring with slots for a packet. Segments of up to 64 KiB: their beginning in a slot, the whole in
 *          the socket's queue, read into a buffer of its own (packet_queue.h); or, where that queue may not be large enough, in
 *          a second ring of few big slots. Frames come in order of arrival, and neither a burst of small packets nor large
 *          segments are lost while we sleep. sendmmsg for output. PACKET_VNET_HDR both ways: checksums stay unfinished on one
 *          machine, and big segments travel as one
 * Why not DPDK's: it needs CAP_NET_ADMIN, truncates the kernel's big segments and can offload nothing (docs)
 * Shares:  the interface and its address with the kernel; a packet filter lets only our ports, ARP, neighbour advertisements and
 *          ICMP errors for our addresses up here. The kernel must be kept silent on those ports: guard.h
 * Owner:   one net lcore
 * Memory:  frames of the queue may be kept by reference, those in slots never: a held slot would stop the whole ring
 * Rights:  CAP_NET_RAW; for the queue CAP_NET_ADMIN too, or a net.core.rmem_max of 4 MiB
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
    uint32_t queue_bytes; /* room in the socket's queue for big frames, without which there is the ring of big slots. 0: 32 MiB, 8
                           * at least; 1: none */
    uint32_t gso_max_bytes;          /* 0: 64 KiB; 1: send only packets of the MTU */
};

/* A silent probe: may this process open such a socket at all? 0, else an errno. */
int af_packet_probe(void);
struct pktio *af_packet_open(const struct af_packet_config *cfg, char err[256]);

#endif
