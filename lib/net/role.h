/* role.h: what the files of one net role share (inside lib/net only)
 * Owner:   one net lcore
 * Files:   net.c the role and its API, conn.c one connection, pubsub_stream.c its RPC streams,
 *          exchange.c its requests and answers, event_queue.c events upward
 */
#ifndef NET_ROLE_H
#define NET_ROLE_H

#include "base/bufpool.h"
#include "base/list.h"
#include "base/timerq.h"
#include "net/framer.h"
#include "net/iplimit.h"
#include "net/net.h"
#include "net/net.h"
#include "net/open.h"
#include "net/port_watch.h"
#include "net/transport.h"

/* An event as it waits; the peer and address of CONN_UP are taken from the connection when it is handed out. */
struct queued_event {
    enum net_event_type type;
    uint8_t protocol;
    bool flag; /* LINK: is up */
    struct netconn *conn;
    uint64_t value; /* token, or rtt_ns */
    const char *reason;
    union {
        struct buf *frame;
        struct net_identity *identity;
    };
};

/* A ring that grows; what it may hold is bounded by those who push (conn.c stops reading when it is long). */
struct event_queue {
    struct queued_event *ring;
    uint32_t cap, first, count;
    uint64_t frame_bytes;
    uint64_t lost; /* pushes that found no memory */
};

void event_queue_fini(struct event_queue *q); /* drops frames and identities */
/* Returns 0, or -1 when there is no memory: the caller then drops what the event carries. */
int event_queue_push(struct event_queue *q, const struct queued_event *ev);
bool event_queue_pop(struct event_queue *q, struct queued_event *ev);

enum conn_state {
    CONN_DIALING,   /* the pipe is not open yet */
    CONN_HANDSHAKE, /* until the session is up */
    CONN_READY,     /* up */
    CONN_LEAVING,   /* goodbye said; what is queued goes out */
    CONN_OVER,      /* pipe and session are gone; the struct waits until its last event is taken */
};

struct netconn {
    struct net *net;
    net_conn_id id;
    enum conn_state state;
    bool is_dialer, is_told_up, is_counted_ip, has_expect, wants_writable;
    bool is_finished;      /* leaving: FIN is sent or queued */
    uint64_t token, begun_ns;
    uint64_t deadline_ns;  /* of the state: dialing, leaving */
    struct list dirty;     /* in net.dirty: has output to take */
    struct list handshake; /* in net.handshakes: inbound, oldest first */
    struct list over;      /* in net.over: session to be freed */
    struct timer timer;
    struct pipe *pipe;
    struct session *session;
    struct endpoint remote;
    struct peer_id expect, peer;
    /* RPC streams; 0: none */
    uint32_t out_stream, in_stream;
    uint8_t out_protocol, in_protocol;
    bool is_out_ready;
    uint64_t taken_bytes; /* of RPCs, sent or dropped: net_conn_took */
    struct framer framer;
    uint64_t stall_deadline_ns; /* bytes wait and the peer takes none */
    uint64_t frame_deadline_ns; /* while a frame is half received */
    struct list exchanges;      /* exchange.c's */
    uint64_t request_ns;        /* up to when the peer's requests are paid for */
};

struct net {
    struct net_config cfg;
    unsigned nprotocols, nservices;
    const char *accepts[NET_MAX_PROTOCOLS + NET_MAX_SERVICES]; /* protocols, then services */
    struct transport *transport;
    struct net_share share; /* what this node's other roles open theirs by */
    struct netconn **slots; /* max_conns of them and as many again for those that are over but not yet told */
    uint32_t nslots, free_hint;
    uint64_t last_id;
    struct list dirty, handshakes, over;
    bool owes_flush; /* acknowledgements wait for the next turn, behind what it makes of the events */
    struct timerq timers;
    struct event_queue events;
    struct iplimit iplimit;
    struct bufpool pool;
    struct buf *block; /* of pool: output is sealed into it, one connection's behind another's */
    uint64_t partial_bytes;
    uint32_t handshakes_in;
    uint64_t link_check_ns; /* when to look next */
    struct port_watch watch;
    struct net_counters counters;
    struct multiaddr listen_addr, listen_addr6;
};

/* Makes a connection of a pipe; NULL: no memory or no slot (the pipe stays the caller's). */
struct netconn *netconn_new(struct net *n, struct pipe *pipe, const struct endpoint *remote, bool is_dialer, uint64_t now);
/* The pipe of a dialed one is open, or an accepted one begins: makes the session. */
void netconn_begin(struct netconn *c, uint64_t now);
/* The pipe has bytes. */
void netconn_readable(struct netconn *c, uint64_t now);
void netconn_on_timer(struct netconn *c, uint64_t now);
/* Seals and sends what there is, as far as the pipe takes it. */
void netconn_pump(struct netconn *c, uint64_t now);
/* netconn_pump, and then what follows: events, WRITABLE, the end of a goodbye. */
void netconn_flush(struct netconn *c, uint64_t now);
void netconn_mark_dirty(struct netconn *c);
/* Sets the connection's timer anew. */
void netconn_rearm(struct netconn *c);
void netconn_leave(struct netconn *c, uint64_t now);
/* The end: closes the pipe, tells CONN_DOWN or DIAL_FAILED. The session is freed later (net_reap). */
void netconn_end(struct netconn *c, const char *reason, bool is_polite, uint64_t now);
/* Takes the session's events. */
void netconn_drain(struct netconn *c, uint64_t now);
void netconn_tell(struct netconn *c, enum net_event_type type, const char *reason);

/* pubsub_stream.c: session events of streams. */
int pubsub_stream_open(struct netconn *c, uint64_t now);
int pubsub_stream_close(struct netconn *c);
int pubsub_stream_finish(struct netconn *c);
void pubsub_stream_event(struct netconn *c, const struct session_event *ev, uint64_t now);
void pubsub_stream_fini(struct netconn *c);
int pubsub_stream_send(struct netconn *c, const struct net_piece *pieces, unsigned count, uint64_t now);

/* exchange.c. False: the event is of another kind of stream. */
bool exchange_event(struct netconn *c, const struct session_event *ev, uint64_t now);
int exchange_request(struct netconn *c, unsigned service, struct slice message, uint64_t token, uint64_t now);
int exchange_answer(struct netconn *c, uint64_t stream, struct slice message);
uint64_t exchange_next_deadline(const struct netconn *c);
void exchange_on_deadline(struct netconn *c, uint64_t now);
void exchange_fini(struct netconn *c);

/* More waits upward than should: reading stops until it is taken. */
bool net_is_congested(const struct net *n);
/* A block with room for session_output at its len; NULL: no memory. is_lined: its len was moved on to where a Noise frame's text, behind
 * the head, begins at a cache line. */
struct buf *net_out_block(struct net *n, bool is_lined);

#endif
