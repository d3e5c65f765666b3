/* tcp_wire.h: layouts, lengths and limits of Ethernet, ARP, IP, ICMP and TCP
 * Source:  RFC 826, 791, 792, 8200, 4443, 9293, 7323, 2018
 */
#ifndef TCP_TCP_WIRE_H
#define TCP_TCP_WIRE_H

#include <stdint.h>
#include <string.h>

#define ETH_ALEN      6
#define ETH_HLEN      14
#define ETH_TYPE_IPV4 0x0800
#define ETH_TYPE_ARP  0x0806
#define ETH_TYPE_IPV6 0x86dd

#define ARP_LEN     28
#define ARP_REQUEST 1
#define ARP_REPLY   2

#define IPV4_HLEN      20
#define IPV4_DF        0x4000
#define IPV4_MF        0x2000
#define IPV4_OFFSET    0x1fff
#define IPPROTO_ICMP_N 1
#define IPPROTO_TCP_N  6

#define IPV6_HLEN       40
#define IPPROTO_ICMP6_N 58

#define ICMP6_UNREACHABLE  1
#define ICMP6_TOO_BIG      2
#define ICMP6_ECHO         128
#define ICMP6_ECHO_REPLY   129
#define ICMP6_SOLICIT      135
#define ICMP6_ADVERT       136
#define ICMP6_CODE_PORT    4

#define ICMP_HLEN             8
#define ICMP_ECHO_REPLY       0
#define ICMP_UNREACHABLE      3
#define ICMP_ECHO             8
#define ICMP_CODE_NET         0
#define ICMP_CODE_HOST        1
#define ICMP_CODE_PROTO       2
#define ICMP_CODE_PORT        3
#define ICMP_CODE_FRAG_NEEDED 4

#define TCP_HLEN     20
#define TCP_HLEN_MAX 60
#define TCP_OPT_MAX  40
#define TCP_CSUM_AT  16

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_ECE 0x40
#define TCP_CWR 0x80

/* the low two bits of the traffic class (RFC 3168 5) */
#define IP_ECT 2
#define IP_CE  3

#define TCPOPT_END       0
#define TCPOPT_NOP       1
#define TCPOPT_MSS       2
#define TCPOPT_WSCALE    3
#define TCPOPT_SACK_OK   4
#define TCPOPT_SACK      5
#define TCPOPT_TIMESTAMP 8

#define TCP_WSCALE_MAX  14
#define TCP_MSS_DEFAULT 536 /* RFC 9293 3.7.1 */
#define TCP_MSS_DEFAULT6 1220
#define TCP_MSS_MIN     88 /* a peer that claims less would make us send headers only */
#define TCP_TS_LEN      12 /* two NOPs and the option */
#define TCP_SACK_BLOCKS 4

#define ETH_MTU      1500
#define IPV6_MTU_MIN 1280

#define PMTU_MIN 576 /* ICMP that claims less is not believed beyond this */

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    put_be16(p, (uint16_t)(v >> 16));
    put_be16(p + 2, (uint16_t)v);
}

/* A checksum is kept in memory order (csum.h). */
static inline void put_csum(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

#endif
