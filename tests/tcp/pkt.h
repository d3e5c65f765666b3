/* pkt.h: packet scripts: a stack, and a peer whose every segment a text says, in virtual time
 * Shape:   scripts/<topic>/<name>.pkt -> cases -> lines; the language is told in scripts/LANGUAGE.md
 * Files:   pkt_text.c words, numbers and segments as text; pkt_net.c the wire; pkt_cmd.c what lines do; test_packets.c
 * Errors:  pkt_fail ends the test with the line, what was wanted and what came
 */
#ifndef TESTS_TCP_PKT_H
#define TESTS_TCP_PKT_H

#include "base/rng.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define PKT_TOLERANCE_NS 1000 /* segments of one turn are nanoseconds apart */
#define PKT_MS       1000000ull
#define PKT_SEC      1000000000ull
#define PKT_FLOWS    64
#define PKT_QUEUE    4096
#define PKT_WORDS    64
#define PKT_WHEN_ANY UINT64_MAX
#define PKT_V6_MORE  20 /* an IPv6 header is larger: so are MTUs, and all else stays the same */

/* A segment in the script's numbers: relative to the SYNs, windows in bytes, our timestamps in ms since our SYN. */
struct pkt_seg {
    uint8_t flags;
    bool is_icmp;
    int64_t seq, ack;
    uint32_t len;
    bool has_ack, has_win;
    uint32_t win;
    bool has_block; /* [...]: exactly these options */
    bool is_ts_val_free, is_ts_ecr_free;
    bool no_ts;
    int64_t ts_val, ts_ecr;
    struct tcp_options opt; /* SACK blocks relative */
    unsigned flow;
    uint64_t at_ns; /* when it left */
    uint16_t packet; /* GSO size */
};

/* One pair of endpoints, as its peer sees it. */
struct pkt_flow {
    uint16_t our_port, peer_port;
    uint32_t iss, peer_iss;
    bool our_ts, our_ws, knows_ts; /* offered by our SYN */
    uint8_t our_wscale;
    uint32_t ts_base, last_ts;
    bool peer_ts_used, peer_ws_used; /* by the peer's SYN */
    uint8_t peer_wscale;
    struct tcp_conn *conn;
};

struct pkt_peer {
    bool ts, sack;
    int ws; /* -1: none */
    uint16_t mss;
    uint32_t win;
};

struct pkt {
    const char *file;
    unsigned line_number;
    const char *line;
    bool is_v6, is_skipped;
    bool is_burst; /* more comes in this turn of the loop: nothing leaves before */
    struct tcp_config cfg;
    struct tcp_stack *s;
    struct rng rng;
    struct tcp_counters before;
    uint64_t start_ns, now;
    struct pkt_peer peer;
    unsigned this_flow; /* of lines that name none */
    struct pkt_flow flow[PKT_FLOWS];
    struct pkt_seg queue[PKT_QUEUE]; /* what left and no line has asked for yet */
    unsigned head, tail;
    uint8_t frame[70000];
};

/* ---- pkt_text.c ---- */
void pkt_fail(struct pkt *p, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* Cuts text in place; returns how many. Brackets are words of their own. */
unsigned pkt_words(char *text, char *words[PKT_WORDS]);
int64_t pkt_number(struct pkt *p, const char *word);
/* "0.25", "250ms", "3s" */
uint64_t pkt_time(struct pkt *p, const char *word);
/* FLAGS SEQ[+LEN] [ack N] [win N] [[options]] */
void pkt_segment_parse(struct pkt *p, char **words, unsigned n, struct pkt_seg *out);
void pkt_segment_text(const struct pkt *p, const struct pkt_seg *s, char *out, size_t cap);

/* ---- pkt_net.c ---- */
struct ip_addr pkt_our_ip(const struct pkt *p);
struct ip_addr pkt_peer_ip(const struct pkt *p);
/* Makes the stack, if that has not happened. */
void pkt_start(struct pkt *p);
/* Lets deadlines pass up to `at`, or to the first segment that leaves. */
void pkt_advance(struct pkt *p, uint64_t at, bool until_output);
/* Takes everything the stack has to send now. */
void pkt_drain(struct pkt *p);
void pkt_input(struct pkt *p, const struct pkt_seg *s);
/* kind: "frag", "net", "host", "proto", "port"; about len bytes of ours at seq. */
void pkt_input_icmp(struct pkt *p, unsigned flow, const char *kind, uint32_t mtu, int64_t seq);

/* ---- pkt_cmd.c ---- */
void pkt_run_line(struct pkt *p, char *text);
/* Nothing may be left unasked for. */
void pkt_end(struct pkt *p);

#endif
