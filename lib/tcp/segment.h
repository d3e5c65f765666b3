/* segment.h: TCP segments read and written
 * Shape:   IP body -> struct tcp_in; struct tcp_out and payload slices -> struct tcp_segment
 * Source:  RFC 9293 3.1
 */
#ifndef TCP_SEGMENT_H
#define TCP_SEGMENT_H

#include "tcp/ip.h"
#include "tcp/options.h"
#include "tcp/tcp.h"

struct tcp_in {
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint16_t wnd; /* unscaled */
    uint8_t flags;
    bool is_ce; /* marked on its way; the caller's to set */
    struct slice payload;
    struct tcp_options opt;
};

/* 0, or -1: header length or options malformed. */
int tcp_in_parse(struct tcp_in *in, struct slice body);
/* Whether body's checksum is right between these addresses. */
bool tcp_in_is_intact(const struct ip_in *ip, struct slice body);

/* Length in sequence space. */
static inline uint32_t tcp_in_seq_len(const struct tcp_in *in)
{
    return (uint32_t)in->payload.len + !!(in->flags & TCP_SYN) + !!(in->flags & TCP_FIN);
}

/* Everything a header needs. */
struct tcp_out {
    const uint8_t *src_mac, *dst_mac;
    const struct ip_addr *src_ip, *dst_ip;
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint16_t wnd;
    uint8_t flags, ttl, ecn;
    uint16_t ip_id;
    uint16_t gso_size; /* payload of each packet; 0, or no less than the payload: a single one */
    bool csum_partial; /* the port sums */
    struct tcp_options opt;
};

/* Writes the header for the payload already in seg->slices and seg->payload_bytes, and the offload fields. */
void tcp_out_build(struct tcp_segment *seg, const struct tcp_out *o);

#endif
