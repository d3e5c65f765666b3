/* net.h: one net role: the connections of one lcore, whole
 * Shape:   a loop turn does: packets or sockets in, TCP, libp2p session, RPC framing -> events; commands in -> bytes out.
 *          Joins a driver's port + lib/tcp (or kernel sockets) with lib/libp2p's session. Above it there are only
 *          connections, peers and whole RPC frames: no streams, no segments
 * Owner:   one net lcore; every call on that lcore
 * Memory:  events that carry a `struct buf *` or a `struct net_identity *` give their one reference to the receiver
 * Units:   ns monotonic, read once a turn by the caller
 * Errors:  0 or -NET_E...; a connection's death is an event with a reason, never a return code
 * Limits:  connections, half-open handshakes, bytes of partly received frames and queued output per connection
 *          (see struct net_config); each refusal has a counter in struct net_counters
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/buf.h"
#include "base/durations.h"
#include "base/rng.h"
#include "net/allowlist.h"
#include "libp2p/multiaddr.h"
#include "libp2p/noise.h"
#include "libp2p/peer_id.h"
#include "libp2p/session.h"
#include "net/transport.h"

#define NET_MAX_PROTOCOLS 8
#define NET_MAX_SERVICES  4
#define NET_MESSAGE_MAX   65536 /* of a request or an answer */
#define NET_MAX_PIECES    4
#define NET_ROLES_MAX     16 /* of one node */

enum net_err { NET_EFULL = 1, NET_ENOCONN, NET_EADDR, NET_ELIMIT, NET_EMEM, NET_EDRIVER, NET_EALLOW };
const char *net_err_name(int err);

enum net_driver { NET_AUTO, NET_KERNEL, NET_AF_PACKET, NET_TAP, NET_AF_XDP, NET_VFIO, NET_MEMIF, NET_MEMPAIR };

struct pktio;
struct capture;
struct net;

struct net_config {
    enum net_driver driver;
    const char *iface;                      /* interface of the port; NULL: the one of the default route, or the only one. tap:
                                             * the interface to make or take; NULL: cctap0. EAL must be running for tap */
    const char *addr;                       /* "a.b.c.d/len" for ports that are ours alone (tap, vfio); NULL: the interface's */
    const char *gateway;                    /* for ports that are ours alone */
    const char *addr6, *gateway6;           /* the same of IPv6. A port beside the kernel takes the interface's own lasting address;
                                             * addr6 names another of its addresses, or "none". NULL: no IPv6 on a port of our own */
    uint8_t tcp_cc, tcp_ecn;                /* of our own TCP, as enum tcp_cc and enum tcp_ecn of tcp/tcp.h */
    uint16_t vlan, mtu;                     /* the same; 0: untagged; as the port has it */
    uint16_t listen_port;                   /* kernel and mempair drivers: 0 lets the system choose */
    const char *listen_ip;                  /* kernel driver: address to bind and to dial from (a "/len" behind it is
                                             * ignored); NULL: any */
    const char *pci;                        /* vfio: address of the NIC */
    const char *memif;                      /* memif: path of the socket over which both ends agree */
    unsigned memif_id;                      /* memif: the same at both ends */
    bool is_memif_server;                   /* memif: this end makes the socket */
    struct pktio *port;                     /* a port that is open already: NET_MEMPAIR's end of a cable (drivers/mempair.h), or a
                                             * queue of a NIC (net_ports_open in open.h); net_free closes it. NULL: opens one */
    struct capture *capture;                /* borrowed: gets the port's packets (drivers/capture.h); NULL: nobody does. Not for the kernel driver */
    const struct noise_identity *identity;  /* borrowed; one per node, shared by its roles */
    const struct session_local *local;      /* borrowed: what identify says of us; see net_local_changed */
    const char *protocols[NET_MAX_PROTOCOLS]; /* pub/sub protocol ids, best first, NULL-terminated */
    const char *services[NET_MAX_SERVICES]; /* request-and-answer protocol ids, NULL-terminated; see net_request */
    unsigned role, nroles;                  /* this role's number among those of its node, and how many there are (0: 1);
                                             * at most net_roles_max of the driver. Defaults below are divided by them */
    struct net *first;                      /* role > 0: role 0, open already and freed last. Driver, port and address are
                                             * as it has them: each role gets its own flows of the one port */
    uint32_t max_conns;                     /* 0: 256 */
    uint32_t max_conns_per_ip;              /* inbound; IPv6 by /64. 0: a quarter of max_conns, at least 16 */
    uint32_t max_handshakes;                /* inbound connections not yet up; the oldest makes way. 0: 64 */
    uint32_t max_handshakes_per_ip;         /* 0: 16 */
    uint32_t max_frame_bytes;               /* a longer inbound RPC frame kills the connection (counted). 0: 16 MiB */
    uint64_t max_partial_bytes;             /* memory of half-received frames, all connections. 0: 64 MiB + 4 frames */
    uint64_t max_queue_bytes;               /* output queued per connection: while so much or more is queued net_send answers
                                             * -NET_EFULL, below it one more frame of any size is taken. 0: 4 MiB */
    uint64_t handshake_ns, dial_ns;         /* 0: 10 s each */
    const struct allowlist *allow;          /* borrowed: peers that may connect or be dialed; NULL: anyone. See net_allow */
    struct rng *rng;                        /* borrowed; fit for keys */
    struct buf *(*frame_alloc)(void *ctx, uint32_t cap); /* frames' memory; NULL: heap */
    void *frame_ctx;
};

/* What a peer said in identify; one heap block, freed by net_identity_free. */
struct net_identity {
    char agent[64];
    unsigned nprotocols, naddrs;
    char protocols[SESSION_MAX_PROTOCOLS][64];
    struct multiaddr addrs[16];
    struct multiaddr observed; /* our address as the peer sees it; len 0: none */
    struct buf *record;        /* signed peer record envelope, NULL: none */
};
void net_identity_free(struct net_identity *id);

typedef uint64_t net_conn_id; /* never reused in a process's life; 0 is none */

/* Addresses a role itself, where messages name connections. */
static inline net_conn_id net_role_id(unsigned role)
{
    return (net_conn_id)role << 56;
}

/* Which of the node's net roles has it. */
static inline unsigned net_conn_role(net_conn_id conn)
{
    return (unsigned)(conn >> 56);
}

enum net_event_type {
    NET_EV_CONN_UP,      /* conn, peer, addr, is_dialer, token: handshake done, and the peer is allowed */
    NET_EV_DIAL_FAILED,  /* token, reason */
    NET_EV_IDENTIFIED,   /* conn, identity (owned by the receiver): after the handshake, and again after each push. When the
                            peer does not answer: an identity with nothing in it, and reason */
    NET_EV_PUBSUB_READY, /* conn, protocol: the stream we opened is negotiated; net_send works from now */
    NET_EV_PUBSUB_NONE,  /* conn: the peer speaks none of our pub/sub protocols */
    NET_EV_RPC,          /* conn, protocol, frame: one whole RPC (owned by the receiver), length prefix removed. May
                            come before PUBSUB_READY, and on a connection where we open no stream at all */
    NET_EV_PUBSUB_CLOSED,/* conn: our outbound stream is gone; net_pubsub_open may be tried again */
    NET_EV_PUBSUB_IN,    /* conn: the peer opened its stream to us; it may have nothing to say on it */
    NET_EV_WRITABLE,     /* conn: the queue fell below its low mark after an -NET_EFULL */
    NET_EV_RTT,          /* conn, rtt_ns */
    NET_EV_CONN_DOWN,    /* conn, reason: the last event of this conn */
    NET_EV_REQUEST,      /* conn, protocol (index in services), token, frame (owned by the receiver): answer by net_answer */
    NET_EV_ANSWER,       /* conn, protocol, token, frame (owned by the receiver): of our request */
    NET_EV_REQUEST_FAILED, /* conn, token, reason: there will be no answer */
    NET_EV_LINK,         /* is_link_up; reason says what befell the port: port_watch.h */
};

struct net_event {
    enum net_event_type type;
    net_conn_id conn;
    uint64_t token;
    struct peer_id peer;
    struct multiaddr addr;         /* the remote's transport address */
    bool is_dialer;
    bool is_link_up;
    bool is_unsent;                /* REQUEST_FAILED: it never left, for a limit or memory of our own */
    unsigned protocol;             /* index in net_config.protocols */
    struct net_identity *identity;
    struct buf *frame;
    uint64_t rtt_ns;
    const char *reason;            /* static text */
};

/* A part of an outgoing RPC: bytes [off, off+len) of a buffer. */
struct net_piece {
    struct buf *buf;
    uint32_t off, len;
};

/* How many roles may share one port of this driver. */
unsigned net_roles_max(enum net_driver driver);

/* Opens the driver and listens. NULL: err says why, naming the setting. `why` (may be NULL) gets the one line that
 * says which driver was chosen and why not the better ones. */
struct net *net_new(const struct net_config *cfg, uint64_t now, char err[256], char why[512]);
void net_free(struct net *n);

/* One turn: takes what has arrived, runs timers, sends what may go. Returns the amount of work done, 0 when idle. */
unsigned net_poll(struct net *n, uint64_t now);
/* The next event; false when there is none. Drain after each poll. */
bool net_next_event(struct net *n, struct net_event *ev);
/* When net_poll must run again even if nothing arrives. */
uint64_t net_next_deadline(const struct net *n);
/* Descriptors to wait on for input while idle (epoll/poll, level-triggered); returns how many, at most cap. */
unsigned net_wait_fds(const struct net *n, int *fds, unsigned cap);

/* Dials addr (ip4|ip6/tcp). expect may be NULL. token comes back in CONN_UP or DIAL_FAILED, exactly one of them. */
int net_dial(struct net *n, const struct multiaddr *addr, const struct peer_id *expect, uint64_t token, uint64_t now);
/* Opens our pub/sub stream; answered by PUBSUB_READY or PUBSUB_NONE. */
int net_pubsub_open(struct net *n, net_conn_id conn, uint64_t now);
/* Drops our pub/sub stream, with what is queued on it; PUBSUB_CLOSED follows. 0, or -NET_ENOCONN: none is ready. */
int net_pubsub_close(struct net *n, net_conn_id conn, uint64_t now);
/* Ends our pub/sub stream behind what is queued on it: nothing is lost, no event follows. For a stream that another
 * connection of the same peer takes over. 0, or -NET_ENOCONN: none is ready. */
int net_pubsub_finish(struct net *n, net_conn_id conn, uint64_t now);
/* Queues one RPC (the uvarint length prefix is written here). Takes one reference of each piece when it returns 0;
 * on error the caller keeps them all. */
int net_send(struct net *n, net_conn_id conn, const struct net_piece *pieces, unsigned count, uint64_t now);
/* Opens a stream of services[service] and sends one message, at most NET_MESSAGE_MAX bytes, which are copied. On 0 one
 * ANSWER or REQUEST_FAILED with the token follows, within ten seconds. */
int net_request(struct net *n, net_conn_id conn, unsigned service, struct slice message, uint64_t token, uint64_t now);
/* The answer to a REQUEST: `request` is its token. Bytes are copied; len 0: none is due; p NULL: the stream is reset.
 * -NET_ENOCONN: the peer has given it up. */
int net_answer(struct net *n, net_conn_id conn, uint64_t request, struct slice message);
/* polite: queued bytes go out first, then yamux GoAway and FIN. CONN_DOWN follows in any case, at the latest after 3 s. */
void net_conn_close(struct net *n, net_conn_id conn, bool is_polite, uint64_t now);
/* Another list of who is allowed, borrowed like cfg.allow, which is not needed any more; connected peers that are not on
 * it are dropped. */
void net_allow(struct net *n, const struct allowlist *allow, uint64_t now);
/* Closes it politely if no RPC stream of either side, no request and no queued byte is on it. */
void net_conn_close_idle(struct net *n, net_conn_id conn, uint64_t now);
/* cfg.local has changed (its version was raised): tells every peer by identify push. */
void net_local_changed(struct net *n, uint64_t now);
uint64_t net_conn_queue_bytes(const struct net *n, net_conn_id conn);
/* For a caller behind a ring, who must know what is still on its way to us: adds to the bytes taken for this connection, sent or not;
 * all of them so far. 0: there is no such connection. */
uint64_t net_conn_took(struct net *n, net_conn_id conn, uint64_t bytes);

struct net_counters {
    uint64_t conns_in, conns_out, conns_refused, handshakes_failed, dials_failed;
    uint64_t refused_full, refused_ip, refused_peer, handshakes_evicted; /* parts of conns_refused, handshakes_failed */
    uint64_t accepts_failed; /* below us: no descriptor, no memory, backlog full */
    uint64_t frames_in, frames_out, bytes_in, bytes_out;   /* of RPCs */
    uint64_t frames_oversize, frames_stalled, frames_no_memory, queue_full, peers_stalled;
    uint64_t wire_bytes_in, wire_bytes_out;                /* below Noise, above TCP */
    uint64_t streams_replaced;
    uint64_t events_lost; /* of connections, frames among them: no memory to tell of them */
    uint64_t requests_in, requests_out, requests_refused, answers_in;
    uint64_t packets_in, packets_out, packets_dropped_in, packets_dropped_out;
    uint64_t tcp_retransmits, tcp_checksum_errors;
    struct port_counters port;
    struct tcp_counters tcp; /* of our own stack; kernel sockets: zeroes */
    struct durations lasted; /* connections that were told UP and are over; the pub/sub streams live as long */
    uint32_t conns_now, handshakes_now, streams_now; /* streams: of all kinds, both directions */
    uint64_t partial_bytes_now;
};
void net_counters_get(const struct net *n, struct net_counters *out);
/* Adds another role's to the sum. */
void net_counters_add(struct net_counters *sum, const struct net_counters *c);
/* The driver in use, e.g. "af_packet eth0 172.28.0.12/16 mtu 1500 gso 64k". */
const char *net_driver_text(const struct net *n);
/* The congestion control that was asked for and that the kernel driver cannot have here; NULL: there is no such. */
const char *net_missing_cc(const struct net *n);
/* Our own address as peers on the same network dial it (ip4/../tcp/..); len 0 when unknown (bound to any). */
const struct multiaddr *net_listen_addr(const struct net *n);
/* Our IPv6 address beside it, on our own TCP; len 0: none. */
const struct multiaddr *net_listen_addr6(const struct net *n);

#endif
