/* tcp.h: TCP/IP for a P2P node, without a kernel
 * Shape:   Ethernet frames, now -> segments to send, events, one deadline
 * Source:  RFC 9293; 7323 (scaling, timestamps, PAWS), 2018 + 6675 (SACK), 8985 (RACK-TLP), 6937 (PRR), 5682 (F-RTO), 6298 (RTO),
 *          5681 (limited transmit: 3042), 9438 (CUBIC), 9406 (HyStart++), BBR (cc_bbr.c), 3168 + 8511 (ECN), 5961 (challenge ACKs), 6528 (ISN),
 *          6056 (ports), 6191 (TIME_WAIT reuse), 826 (ARP), 792, 1191, 8200 (IPv6), 4443, 4861 (ND), 8201.
 *          Deviations: no urgent data, no IP fragments, Nagle off, minimum RTO of 200 ms, window probes carry no data
 * Owner:   one net lcore a stack; no globals, no locks, no clock, no sockets
 * Memory:  the stack allocates at creation, then when a connection's queues grow; nothing per segment in steady state
 * Units:   ns monotonic; bytes
 * Errors:  0 or a count, or -TCP_E...
 * Limits:  connections, half-open ones, TIME_WAITs, receive and send bytes, neighbours and queued replies are all
 *          bounded by the config; every refusal and drop is in struct tcp_counters
 *
 * The loop, once per turn with one reading of the clock:
 *     for each frame: tcp_stack_input(s, frame, flags, now);
 *     if (tcp_stack_next_deadline(s) <= now) tcp_stack_on_deadline(s, now);
 *     while (tcp_stack_next_event(s, &ev)) ...;            reads, sends, closes
 *     while (room && tcp_stack_output(s, &seg, now)) ...;  send seg before the next call into the stack
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include "base/buf.h"
#include "base/rng.h"
#include "base/slice.h"
#include "tcp/counters.h"
#include "tcp/ip_addr.h"

struct tcp_stack;
struct tcp_conn;

enum tcp_err {
    TCP_ENOMEM = 1, /* no memory: try later */
    TCP_EFULL,      /* connection, listener or neighbour table full: try later or raise the limit */
    TCP_EINUSE,     /* this local port, or this pair of endpoints, is taken: choose another */
    TCP_ENOPORT,    /* every local port towards this peer is taken: try later */
    TCP_EADDR,      /* not an address one can connect to: do not retry */
    TCP_ECLOSED,    /* the connection is closed, or tcp_close was called: do not retry */
    TCP_ECONFIG,    /* the config makes no sense: fix it */
};
/* "full", "inuse", ... for a code of either sign. */
const char *tcp_err_name(int err);

enum tcp_cc { TCP_CC_CUBIC = 0, TCP_CC_BBR };

/* Explicit congestion notification: never, when the peer asks, or asked for by us too. */
enum tcp_ecn { TCP_ECN_OFF = 0, TCP_ECN_ACCEPT, TCP_ECN_ON };

struct tcp_config {
    /* the port */
    uint8_t mac[6];
    struct ip_addr ip;      /* IPv4; family IP_NONE: none, then ip6 is there */
    uint8_t prefix_len;     /* 0..32: peers in it are neighbours */
    struct ip_addr gateway; /* family IP_NONE: none, everybody is a neighbour */
    struct ip_addr ip6;     /* IPv6, the same three; links' own addresses (fe80::/10) are always neighbours */
    uint8_t prefix6_len;
    struct ip_addr gateway6;
    uint32_t mtu_bytes;     /* of IP packets, 576..65535 */
    bool csum_tx;           /* the port completes TCP checksums */
    bool csum_rx_trusted;   /* the port verifies TCP checksums of every frame it delivers */
    uint32_t gso_max_bytes; /* largest TCP payload + headers the port cuts up itself; 0: none */
    bool address_shared;    /* a kernel owns the address too: do not answer ARP, ND, echo, or ports not ours */
    bool syn_cookies;       /* answer SYNs beyond the backlog without remembering them; else the oldest gives way */
    bool neigh_external;    /* no ARP or ND of our own: TCP_EV_NEIGH_WANTED and tcp_stack_neigh_set instead */
    uint8_t ttl;
    /* local ports of tcp_connect, inclusive */
    uint16_t port_min, port_max;
    /* limits */
    uint32_t max_conns;     /* open connections, either direction */
    uint32_t max_half_open; /* of those the peer has not yet proved, over all listeners */
    uint32_t max_time_wait; /* the oldest gives way */
    uint32_t max_listeners;
    uint32_t send_buf_bytes; /* queued and unacknowledged, per connection */
    uint32_t send_buf_max_bytes; /* where the congestion window needs more; not more than send_buf_bytes: no growing */
    uint32_t recv_buf_bytes; /* unread, per connection: the receive window at its largest */
    uint32_t recv_buf_first_bytes; /* at its beginning: it grows with what the user reads in a round trip. 0: no growing */
    uint64_t rx_pool_bytes;  /* received and unread, whole stack */
    uint64_t tx_pool_bytes;  /* queued and unacknowledged, whole stack */
    enum tcp_cc cc;          /* congestion control of every connection */
    enum tcp_ecn ecn;
    /* patience */
    uint64_t rto_min_ns, rto_max_ns;
    uint64_t syn_timeout_ns;  /* whole active or passive handshake */
    uint64_t user_timeout_ns; /* unacknowledged data or FIN; also unanswered window probes */
    uint64_t fin_wait_ns;     /* after our FIN is acknowledged and the peer falls silent; 0: for ever */
    uint64_t time_wait_ns;
    uint64_t delayed_ack_ns;
    uint32_t quick_acks; /* segments acknowledged at once at the beginning and after a pause */
    uint64_t keepalive_idle_ns; /* 0: no keepalive */
    uint64_t keepalive_interval_ns;
    uint32_t keepalive_probes; /* unanswered ones that end it */
};

/* Sensible values for all but mac and addresses. */
void tcp_config_defaults(struct tcp_config *c);

/* NULL when the config makes no sense or there is no memory (*err says which; err may be NULL). c is copied; rng is
 * borrowed for the stack's life and must be fit for keys where peers are hostile. */
struct tcp_stack *tcp_stack_new(const struct tcp_config *c, struct rng *rng, int *err, uint64_t now);
/* Drops every connection without a word to its peer and without events (tcp_abort them first to be polite), and
 * every buffer reference. */
void tcp_stack_free(struct tcp_stack *s);
const struct tcp_counters *tcp_stack_counters(const struct tcp_stack *s);
/* Connections, half-open ones included; TIME_WAITs not. */
uint32_t tcp_stack_conn_count(const struct tcp_stack *s);

/* ---- frames in ---- */

#define TCP_INPUT_CSUM_OK 1u /* this frame's TCP checksum was verified, or it never left the machine */

#define TCP_INPUT_LASTS   2u /* the frame stays as it is until tcp_stack_settle */

/* tcp_stack_input_buf alone, and with TCP_INPUT_CSUM_OK: only the headers are there; the payload is before the next tcp_recv_* or
 * tcp_stack_settle, so that it can be acknowledged before it is read. What of it is copied is copied by tcp_stack_settle: until then
 * the caller keeps its reference. */
#define TCP_INPUT_UNREAD  4u

/* One Ethernet frame, up to a GRO/TSO super-frame of 64 KiB. Borrowed until return; payload that must stay is copied. With
 * TCP_INPUT_LASTS borrowed until tcp_stack_settle, so that what is read before that need not be copied. */
void tcp_stack_input(struct tcp_stack *s, struct slice frame, unsigned flags, uint64_t now);
/* The same for a TCP segment in two parts: head ends with the TCP header, payload may be written by others meanwhile, and each byte
 * of it is read once at most. flags must have TCP_INPUT_CSUM_OK. */
void tcp_stack_input_parts(struct tcp_stack *s, struct slice head, struct slice payload, unsigned flags, uint64_t now);
/* The same for a frame in a buffer the port can spare: the stack takes its own references where keeping is cheaper
 * than copying. The caller's reference stays the caller's; the bytes must not change while others exist. */
void tcp_stack_input_buf(struct tcp_stack *s, struct buf *frame, unsigned flags, uint64_t now);

/* Payload of lasting frames that is still unread is copied; what tcp_recv_peek told is void. At once when nothing waits. */
void tcp_stack_settle(struct tcp_stack *s);
/* Whether a lasting frame is still needed. */
bool tcp_stack_is_lasting(const struct tcp_stack *s);

/* ---- segments out ---- */

#define TCP_SEG_HEAD_MAX 128
#define TCP_SEG_SLICES   32

struct tcp_segment {
    uint8_t head[TCP_SEG_HEAD_MAX];      /* Ethernet, IP and TCP headers */
    struct slice slices[TCP_SEG_SLICES]; /* payload, borrowed until the next call into the stack */
    uint16_t head_len, slice_count;
    uint32_t payload_bytes; /* sum of the slices */
    uint16_t gso_size;      /* 0: one packet; else cut the payload into packets of this many bytes */
    uint16_t csum_start,
        csum_offset;       /* csum_start 0: complete; else the port sums from csum_start of the frame to
                                           * its end and stores at csum_start + csum_offset, where the pseudo-header's
                                           * folded, uninverted sum is already placed */
    struct tcp_conn *conn; /* the stack's own, for tcp_stack_output_failed */
    uint32_t seq;
};

/* The next segment to send: 1, or 0 when there is nothing. Its bytes are borrowed until the next call. */
int tcp_stack_output(struct tcp_stack *s, struct tcp_segment *seg, uint64_t now);
/* The segment just obtained could not be sent: counted, and its data are queued again without blaming the network.
 * Must be the next call into the stack. Stop calling tcp_stack_output until the port has room. */
void tcp_stack_output_failed(struct tcp_stack *s, const struct tcp_segment *seg, uint64_t now);

/* ---- time ---- */

/* UINT64_MAX: none. May be earlier than anything that is really due; on_deadline then only sets the next one. */
uint64_t tcp_stack_next_deadline(const struct tcp_stack *s);
void tcp_stack_on_deadline(struct tcp_stack *s, uint64_t now);

/* ---- events ---- */

enum tcp_event_type {
    TCP_EV_CONNECTED = 1, /* tcp_connect succeeded; send */
    TCP_EV_ACCEPTED, /* a new connection on local_port; set its user pointer (events before you do carry NULL) */
    TCP_EV_READABLE, /* new bytes since the last READABLE; an edge: peek until empty or remember there is more */
    TCP_EV_WRITABLE,     /* tcp_send_buf was short and there is room again */
    TCP_EV_PEER_CLOSED,  /* FIN: after what is unread now there will be no more. We may still send */
    TCP_EV_CLOSED,       /* the last event of a connection, see tcp_conn below */
    TCP_EV_NEIGH_WANTED, /* neigh_external: tell the MAC of `ip` by tcp_stack_neigh_set */
};

enum tcp_reason {
    TCP_CLOSED_DONE = 1,    /* both sides closed, everything acknowledged and read */
    TCP_CLOSED_RESET,       /* the peer reset it */
    TCP_CLOSED_TIMEOUT,     /* no answer to data, SYN, probes or keepalives */
    TCP_CLOSED_REFUSED,     /* the peer refused our SYN */
    TCP_CLOSED_UNREACHABLE, /* no answer to our SYN, and the network said why, or no neighbour answered */
    TCP_CLOSED_NO_MEMORY,   /* we could not keep what the connection needs */
};
const char *tcp_reason_name(enum tcp_reason r);

struct tcp_event {
    enum tcp_event_type type;
    enum tcp_reason reason; /* CLOSED */
    struct tcp_conn *conn;  /* all but NEIGH_WANTED */
    void *user;
    uint16_t local_port; /* ACCEPTED */
    struct ip_addr ip;   /* NEIGH_WANTED */
};

/* 1 and an event, or 0. Per connection the order is that of the enum; equal pending ones are merged. */
int tcp_stack_next_event(struct tcp_stack *s, struct tcp_event *ev);

/* ---- connections ----
 * A struct tcp_conn is yours from tcp_connect or ACCEPTED until you call tcp_abort, or until the call of
 * tcp_stack_next_event after the one that returned its CLOSED: until then its info and unread bytes can still be had.
 */

/* 0 and *out, whose CONNECTED or CLOSED follows; local_port 0: a random one. -TCP_EFULL, -TCP_EINUSE, -TCP_ENOPORT,
 * -TCP_EADDR (also our own address), -TCP_ENOMEM. */
int tcp_connect(struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port, void *user,
                struct tcp_conn **out, uint64_t now);
/* backlog: half-open connections of this port at a time (the oldest gives way). -TCP_EADDR (port 0), -TCP_EINUSE,
 * -TCP_EFULL. */
int tcp_listen(struct tcp_stack *s, uint16_t port, uint32_t backlog);
/* No more new connections on port; those accepted stay, half-open ones are dropped. */
void tcp_unlisten(struct tcp_stack *s, uint16_t port);

void tcp_conn_set_user(struct tcp_conn *c, void *user);
void *tcp_conn_user(const struct tcp_conn *c);

/* Queues len bytes of b from b->data + off: takes a reference of its own for as long as it needs them, never copies;
 * they must not change until it is dropped. Returns the bytes taken, fewer than len when the buffer limit is reached
 * (WRITABLE follows), or -TCP_ECLOSED, -TCP_ENOMEM with nothing taken. len <= INT32_MAX. May be called before
 * CONNECTED. */
int tcp_send_buf(struct tcp_conn *c, struct buf *b, uint32_t off, uint32_t len);
/* Bytes tcp_send_buf would take now. */
uint32_t tcp_send_room(const struct tcp_conn *c);

/* Fills up to n slices with the oldest unread bytes; returns how many. Valid until tcp_recv_consume or the next
 * tcp_stack_input or tcp_stack_next_event. */
unsigned tcp_recv_peek(const struct tcp_conn *c, struct slice *slices, unsigned n);
/* n <= bytes unread. Opens the window. */
void tcp_recv_consume(struct tcp_conn *c, uint32_t n);
uint32_t tcp_recv_unread(const struct tcp_conn *c);

/* FIN after all queued data. Receiving goes on until the peer's FIN; CLOSED(DONE) comes when both are through and
 * nothing is unread. Who does not want to read on calls tcp_abort. Calling twice does nothing. Before CONNECTED: gives up, what is
 * queued is dropped. */
void tcp_close(struct tcp_conn *c);
/* RST now, unsent data dropped. c is gone, and no event of it follows. */
void tcp_abort(struct tcp_conn *c);

/* LISTEN and TIME_WAIT are not states of a struct tcp_conn here. */
enum tcp_state {
    TCP_ST_SYN_SENT = 1,
    TCP_ST_SYN_RECEIVED,
    TCP_ST_ESTABLISHED,
    TCP_ST_FIN_WAIT_1,
    TCP_ST_FIN_WAIT_2,
    TCP_ST_CLOSE_WAIT,
    TCP_ST_CLOSING,
    TCP_ST_LAST_ACK,
    TCP_ST_CLOSED,
};
const char *tcp_state_name(enum tcp_state s);

struct tcp_conn_info {
    enum tcp_state state;
    struct ip_endpoint local, remote;
    bool sack, timestamps, window_scale;
    uint32_t mss_bytes; /* payload of a full packet we send */
    uint64_t srtt_ns, rttvar_ns, rto_ns, min_rtt_ns;
    uint64_t cwnd_bytes, ssthresh_bytes;
    uint32_t in_flight_bytes, snd_wnd_bytes, rcv_wnd_bytes;
    uint32_t send_queued_bytes, unread_bytes;         /* queued includes unacknowledged */
    uint64_t sent_bytes, acked_bytes, received_bytes; /* stream bytes; sent counts each once */
    uint64_t rtx_segments, rtx_bytes, rto_count, recovery_count;
};
void tcp_conn_info(const struct tcp_conn *c, struct tcp_conn_info *out);

/* ---- neighbours ---- */

/* Sets or renews a neighbour's MAC; with neigh_external it stays until replaced, else it ages like a learnt one.
 * -TCP_EFULL. */
int tcp_stack_neigh_set(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t mac[6], uint64_t now);
/* neigh_external: the neighbour does not answer; connections in SYN_SENT towards it end as UNREACHABLE. */
void tcp_stack_neigh_failed(struct tcp_stack *s, const struct ip_addr *ip, uint64_t now);

/* What the host's own table of neighbours says of one. */
enum tcp_neigh_word {
    TCP_NEIGH_FIXED, /* permanent: holds until the host says otherwise; nothing from the network overrules it */
    TCP_NEIGH_FRESH, /* found so now */
    TCP_NEIGH_OLD,   /* was so once: only of use when we know nothing ourselves */
    TCP_NEIGH_GONE,  /* deleted or failed; mac is not looked at */
};
/* Beside our own ARP and ND, when the address is shared. -TCP_EFULL: every place is in use; nothing is lost but a question. */
int tcp_stack_neigh_told(struct tcp_stack *s, const struct ip_addr *ip, const uint8_t mac[6], enum tcp_neigh_word word, uint64_t now);
/* What was fixed may be so no more, as when news of the host were missed: it ages like a learnt one until told again. */
void tcp_stack_neigh_unfix(struct tcp_stack *s);
/* Our own address and MAC told to everyone: after start or a change of port. Nothing when the address is shared. */
void tcp_stack_announce(struct tcp_stack *s, uint64_t now);
/* The port has another MAC: what is sent from now on bears it. Announce it, too. */
void tcp_stack_set_mac(struct tcp_stack *s, const uint8_t mac[6]);
/* The port's MTU or gateway's path changed: new segments follow it. */
void tcp_stack_set_mtu(struct tcp_stack *s, uint32_t mtu_bytes);

#endif
