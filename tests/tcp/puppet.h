/* puppet.h: one stack, and a peer whose every segment the test writes itself
 * Note:    the peer is 10.0.0.2 with its MAC known, our stack 10.0.0.1. Sequence numbers of the peer count from
 *          `peer_iss`, ours from `iss`; helpers take them relative: 1 is the first byte after the SYN
 */
#ifndef TESTS_TCP_PUPPET_H
#define TESTS_TCP_PUPPET_H

#include "base/rng.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define MS  1000000ull
#define SEC 1000000000ull

struct puppet {
    struct tcp_stack *s;
    struct tcp_config cfg;
    struct rng rng;
    uint64_t now;
    struct tcp_conn *conn;
    uint16_t our_port, peer_port;
    uint32_t iss, peer_iss;
    bool sack, ts;            /* what the peer offers */
    int wscale;               /* -1: none */
    uint16_t mss, wnd;        /* of the peer */
    uint64_t rtt_ns;          /* of puppet_connect's handshake */
    uint32_t ts_val, ts_ecr;  /* the peer's clock, and our last timestamp */
    struct tcp_options extra; /* SACK blocks for the next segment; cleared by it */
    /* the last segment seen by puppet_next */
    struct tcp_in in;
    uint32_t rel_seq, rel_ack, len;
    uint8_t frame[70000];
    size_t frame_len;
};

void puppet_init(struct puppet *p);
void puppet_start(struct puppet *p);
void puppet_fini(struct puppet *p);

/* Hands the stack a segment of the peer; seq and ack relative. */
void puppet_send(struct puppet *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* Adds a SACK block of relative numbers to the next puppet_send. */
void puppet_sack(struct puppet *p, uint32_t lo, uint32_t hi);
/* The next TCP segment out of the stack: true, and p->in, rel_seq, rel_ack, len. */
bool puppet_next(struct puppet *p);
/* Every segment there is; returns how many. */
unsigned puppet_drain(struct puppet *p);
/* Exactly one segment with these flags, relative numbers and length (PSH ignored); else the test fails. */
void puppet_expect(struct puppet *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
void puppet_expect_nothing(struct puppet *p);
/* Moves the clock, running deadlines at their times. */
void puppet_wait(struct puppet *p, uint64_t ns);
/* The next event must be of this type. */
void puppet_event(struct puppet *p, enum tcp_event_type type, struct tcp_event *ev);
void puppet_no_event(struct puppet *p);

/* Handshakes; leave p->conn established and its first event told. */
void puppet_connect(struct puppet *p);
void puppet_accept(struct puppet *p);
/* Queues len bytes for sending. */
int puppet_write(struct puppet *p, uint32_t len);
/* Reads all that is unread; returns the bytes. */
uint32_t puppet_read(struct puppet *p);

#endif
