/* af_packet_filter.h: the packet filter of the af_packet port
 * Shape:   address, ports and lengths -> a classic BPF program over an Ethernet frame
 * Lets up: ARP that asks for or answers to our address, or tells of another's new one; TCP to our address and one of our ports, not in IP fragments;
 *          ICMP "destination unreachable" to our address (path MTU); with an IPv6 address the same of IPv6, "packet too big" and
 *          neighbour advertisements to it included, without extension headers
 * Roles:   several ports may share the address and the listening port: each has its own filter, which takes the flows whose
 *          hash falls to its role, and dials from ports that no other has. So a flow is always in one port, without
 *          PACKET_FANOUT, whose groups would give each ARP answer to one port alone and are named by a number that other
 *          programs may choose too. ARP, neighbour advertisements and ICMP errors go to all
 */
#ifndef DRIVERS_AF_PACKET_FILTER_H
#define DRIVERS_AF_PACKET_FILTER_H

#include <stdint.h>

struct sock_filter;

#define AF_PACKET_FILTER_MAX 72

struct af_packet_filter {
    uint8_t ip4[4], ip6[16];         /* ip6 zeroes: none */
    uint16_t listen_port;            /* 0: none */
    uint16_t dial_first, dial_count;
    unsigned role, nroles;           /* nroles 0: 1 */
    uint32_t min_bytes, max_bytes;   /* whole frames outside are not let up; max 0: no bound */
};

/* insns: AF_PACKET_FILTER_MAX entries. Returns how many were written. */
unsigned af_packet_filter_build(struct sock_filter *insns, const struct af_packet_filter *f);
/* Which of nroles takes a flow to the listening port; the filter's own rule. IPv6: the last four bytes of the address. */
unsigned af_packet_flow_role(const uint8_t ip4[4], uint16_t port, unsigned nroles);

#endif
