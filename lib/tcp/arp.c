#include "tcp/arp.h"

#include "tcp/eth.h"

#define ARP_HW_ETHERNET 1

int arp_parse(struct arp_packet *a, struct slice b)
{
    if (b.len < ARP_LEN || get_be16(b.p) != ARP_HW_ETHERNET || get_be16(b.p + 2) != ETH_TYPE_IPV4 ||
        b.p[4] != ETH_ALEN || b.p[5] != 4)
        return -1;
    a->op = get_be16(b.p + 6);
    if ((a->op != ARP_REQUEST && a->op != ARP_REPLY) || eth_is_group(b.p + 8))
        return -1;
    memcpy(a->sender_mac, b.p + 8, ETH_ALEN);
    a->sender_ip = ip_v4_bytes(b.p + 14);
    memcpy(a->target_mac, b.p + 18, ETH_ALEN);
    a->target_ip = ip_v4_bytes(b.p + 24);
    return 0;
}

void arp_build(uint8_t out[ARP_LEN], const struct arp_packet *a)
{
    put_be16(out, ARP_HW_ETHERNET);
    put_be16(out + 2, ETH_TYPE_IPV4);
    out[4] = ETH_ALEN;
    out[5] = 4;
    put_be16(out + 6, a->op);
    memcpy(out + 8, a->sender_mac, ETH_ALEN);
    memcpy(out + 14, a->sender_ip.bytes, 4);
    memcpy(out + 18, a->target_mac, ETH_ALEN);
    memcpy(out + 24, a->target_ip.bytes, 4);
}
