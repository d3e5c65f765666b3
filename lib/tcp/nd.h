/* nd.h: IPv6 Neighbour Discovery
 * Shape:   ICMPv6 body <-> struct nd_packet. What is known of neighbours is in neigh.h
 * Source:  RFC 4861 4.3, 4.4, 7.1 (validation), 2.7.1 of RFC 4291 (solicited-node addresses), RFC 2464 7 (multicast MACs).
 *          Deviations: no link-local address of our own, no router or prefix discovery: both are configured
 */
#ifndef TCP_ND_H
#define TCP_ND_H

#include "tcp/ip.h"

#define ND_LEN 32 /* of those we send: target and one option */

struct nd_packet {
    bool is_advert;
    bool is_router, is_solicited, is_override; /* of advertisements */
    struct ip_addr target;
    bool has_mac;
    uint8_t mac[ETH_ALEN]; /* the sender's in a solicitation, the target's in an advertisement */
};

/* ip's body is whole and its checksum right. 0, or -1: not one of the two, or not valid. */
int nd_parse(struct nd_packet *n, const struct ip_in *ip);
/* With its checksum; n->has_mac is set. */
void nd_build(uint8_t out[ND_LEN], const struct nd_packet *n, const struct ip_addr *src, const struct ip_addr *dst);

/* ff02::1:ffxx:xxxx */
struct ip_addr nd_solicited_node(const struct ip_addr *ip);
/* 33:33 and the last four bytes. */
void nd_group_mac(uint8_t mac[ETH_ALEN], const struct ip_addr *group);

static inline struct ip_addr nd_all_nodes(void)
{
    return (struct ip_addr){IP_V6, {0xff, 2, [15] = 1}};
}

#endif
