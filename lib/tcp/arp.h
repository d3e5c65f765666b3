/* arp.h: ARP packets for IPv4 over Ethernet
 * Shape:   bytes <-> struct arp_packet. What is known of neighbours is in neigh.h
 * Source:  RFC 826, RFC 5227 (announcement)
 */
#ifndef TCP_ARP_H
#define TCP_ARP_H

#include "base/slice.h"
#include "tcp/ip_addr.h"
#include "tcp/tcp_wire.h"

struct arp_packet {
    uint16_t op; /* ARP_REQUEST or ARP_REPLY */
    uint8_t sender_mac[ETH_ALEN], target_mac[ETH_ALEN];
    struct ip_addr sender_ip, target_ip;
};

/* 0, or -1: short, not IPv4 over Ethernet, another operation, or a group MAC as sender. */
int arp_parse(struct arp_packet *a, struct slice body);
void arp_build(uint8_t out[ARP_LEN], const struct arp_packet *a);

#endif
