/* icmp.h: what of ICMP concerns a TCP node
 * Shape:   IP body -> echo request, or an error about one of our segments
 * Source:  RFC 792, RFC 4443, RFC 1191, RFC 8201, RFC 5927 (believe an error only if it quotes what we really sent: the caller checks)
 */
#ifndef TCP_ICMP_H
#define TCP_ICMP_H

#include "tcp/ip.h"

enum icmp_kind { ICMP_IN_BAD = -1, ICMP_IN_OTHER = 0, ICMP_IN_ECHO, ICMP_IN_ND, ICMP_IN_TCP_ERROR };

struct icmp_in {
    enum icmp_kind kind;
    struct slice echo; /* ICMP_IN_ECHO: identifier, sequence number and data */
    /* ICMP_IN_TCP_ERROR: destination unreachable or packet too big, and the segment it quotes */
    uint8_t code;      /* IPv4's, also for IPv6 */
    uint16_t next_mtu; /* ICMP_CODE_FRAG_NEEDED; 0 from old routers */
    struct ip_endpoint local, remote;
    uint32_t seq;
};

enum icmp_kind icmp_parse(struct icmp_in *in, struct slice body);
enum icmp_kind icmp6_parse(struct icmp_in *in, const struct ip_in *ip);
/* The header of an echo reply that is followed by echo. */
void icmp_echo_reply_build(uint8_t out[4], struct slice echo);
void icmp6_echo_reply_build(uint8_t out[4], struct slice echo, const struct ip_addr *src, const struct ip_addr *dst);

#endif
