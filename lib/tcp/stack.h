/* stack.h: one TCP/IP stack, inside
 * Files:   stack.c life, events; stack_in.c frames; stack_out.c segments, replies; listen.c SYNs; timewait.c
 * Owner:   its net lcore
 */
#ifndef TCP_STACK_H
#define TCP_STACK_H

#include "tcp/conn.h"
#include "tcp/eth.h"
#include "tcp/rate.h"
#include "tcp/syncookie.h"
#include "tcp/timewait.h"

#define STACK_CTL_QUEUE 1024

/* A small reply without a connection: RST, ARP, ICMP echo, an ACK from TIME_WAIT. */
struct ctl_frame {
    uint8_t head[TCP_SEG_HEAD_MAX];
    uint16_t head_len;
    struct buf *payload; /* one reference, or NULL */
};

struct tcp_stack {
    struct tcp_config cfg;
    struct rng *rng;
    struct tcp_counters n;
    uint64_t now_ns; /* as last told, for calls that carry no time */
    uint64_t isn_key[2], ts_key[2];

    struct table table;
    struct timerq timers;
    struct timer timewait_timer;
    struct neigh_table neigh;
    struct rxpool rxpool;
    uint64_t tx_bytes; /* queued by all connections */

    struct slab conns, timewaits;
    uint32_t open_count; /* connections that are not half-open */
    uint32_t half_open_count;
    struct listener *listeners;
    struct syncookie cookie;

    struct list tx;      /* connections with something to send, served in turn */
    struct list starved; /* short of tx_bytes */
    struct list events;
    struct list unread; /* closed in good order, but with bytes the user has yet to read */
    struct list timewait_list;
    struct tcp_conn *dying; /* its CLOSED was told: freed at the next call for events */

    struct ctl_frame ctl[STACK_CTL_QUEUE];
    uint32_t ctl_head, ctl_tail;
    struct buf *lent_out; /* payload of the reply handed out last, until the next call */
    struct rate rst_rate, icmp_rate;
};

#define TIMEWAIT_TIMER_KIND 3

/* ---- stack.c ---- */
/* Our address of that one's family; its family is IP_NONE if there is none. */
static inline const struct ip_addr *stack_our_ip(const struct tcp_stack *s, const struct ip_addr *peer)
{
    return peer->family == IP_V6 ? &s->cfg.ip6 : &s->cfg.ip;
}
struct listener *stack_listener(struct tcp_stack *s, uint16_t port);
/* Bytes left the connections' send queues: whoever was short may go on. */
void stack_tx_freed(struct tcp_stack *s, uint64_t bytes);

/* Our timestamp towards remote now. */
uint32_t stack_ts(const struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port, uint64_t now);

/* ---- stack_in.c ---- */
/* Connections waiting for n go on. */
void stack_wake_waiters(struct tcp_stack *s, struct neigh *n);
/* n is gone for good: handshakes towards it end, others try again later. */
void stack_fail_waiters(struct tcp_stack *s, struct neigh *n, uint64_t now);

/* ---- stack_out.c ---- */
/* The next hop towards ip, known or being asked for; NULL: cache full. */
struct neigh *stack_route(struct tcp_stack *s, const struct ip_addr *ip, uint64_t now);
/* Queues a header-only TCP segment. False: queue full (counted). */
bool stack_reply(struct tcp_stack *s, const struct tcp_out *o);
/* The answer RFC 9293 3.10.7.1 gives to a segment that has no connection. */
void stack_reset_stranger(struct tcp_stack *s, const struct ip_endpoint *remote, const struct tcp_in *in,
                          const uint8_t *dst_mac, uint64_t now);
/* RST of a live connection; needs its neighbour's MAC. */
void stack_reset_conn(struct tcp_conn *c, uint64_t now);
bool stack_push_ctl(struct tcp_stack *s, const struct ctl_frame *f);

/* ---- stack_nd.c ---- */
/* A whole ICMPv6 packet of Neighbour Discovery with the right checksum. */
void stack_nd_input(struct tcp_stack *s, const struct ip_in *ip, const uint8_t *src_mac, uint64_t now);
/* The question for n: a whole frame; returns its length. */
uint16_t stack_nd_ask(struct tcp_stack *s, uint8_t *frame, const struct neigh *n);
/* Our IPv6 address told to everyone. */
void stack_nd_announce(struct tcp_stack *s);
/* Whether an Ethernet group is one that we listen to: that of our address's solicitations, or all nodes. */
bool stack_nd_is_our_group(const struct tcp_stack *s, const uint8_t *mac);
/* What a neighbour says of itself; make: also when nothing was known of it. */
void stack_learn(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t *mac, bool make, uint64_t now);

/* ---- listen.c ---- */
void listen_syn(struct tcp_stack *s, struct listener *l, const struct ip_endpoint *remote,
                const struct tcp_in *in, const uint8_t *src_mac, uint64_t now);
/* An ACK for a listener from an unknown peer: the connection its cookie proves, half-open, which the ACK is still to be given
 * to; or NULL. *is_early: it is of such a peer, but not what comes first: to be dropped in silence, not reset. */
struct tcp_conn *listen_cookie(struct tcp_stack *s, struct listener *l, const struct ip_endpoint *remote,
                               const struct tcp_in *in, bool *is_early, uint64_t now);
/* c leaves the half-open state, for better or worse. */
void listen_forget_half(struct tcp_conn *c);

#endif
