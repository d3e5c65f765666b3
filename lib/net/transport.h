/* transport.h: byte pipes below connections: kernel sockets, or our TCP on a packet port
 * Shape:   poll -> polled events; bytes out by reference, bytes in by slice. Non-blocking throughout
 * Owner:   one net role; every call on its lcore
 * Memory:  a pipe belongs to the transport; the connection holds it from NEW or dial until it calls pipe_close. Events and
 *          slices never name a pipe after that
 * Units:   ns monotonic, bytes
 * Errors:  a pipe's end is PIPE_GONE, or a negative pipe_recv; reasons are static text
 * Limits:  queued output per pipe is what the caller gave it; it asks pipe_room first
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/buf.h"
#include "tcp/counters.h"

struct transport;

/* The head of every backend's pipe. */
struct pipe {
    struct transport *transport;
    void *user; /* the connection's */
};

/* An endpoint; ip_len 4 or 16. */
struct endpoint {
    uint8_t ip[16];
    uint8_t ip_len;
    uint16_t port;
};

enum pipe_event_type {
    PIPE_NEW,  /* accepted; set user, or close it */
    PIPE_OPEN, /* a dialed one is connected */
    PIPE_IN,   /* pipe_recv has something to say: bytes, end or error. Comes again each poll while that is so */
    PIPE_ROOM, /* pipe_room was 0 and is not any more */
    PIPE_GONE, /* the dial failed or the pipe broke: close it */
};

struct pipe_event {
    enum pipe_event_type type;
    struct pipe *pipe;
    struct endpoint remote; /* of NEW */
    const char *reason;     /* of GONE */
};

/* What befell the port below; drivers/pktio.h says what each is. */
struct port_counters {
    uint64_t tx_full, no_memory, foreign, truncated, zeroed, unkept;
    uint64_t lost, found, unopened, resets, links_down;
    uint64_t captured, capture_dropped;
    uint64_t mac_changed, mtu_changed;        /* of our own interface */
    uint64_t neigh_denied, neigh_overruns;    /* the kernel's neighbours: not to be had (1); times that news of them were missed */
};

struct transport_stats {
    uint64_t packets_in, packets_out, packets_dropped_in, packets_dropped_out;
    uint64_t tcp_retransmits, tcp_checksum_errors, accepts_failed;
    struct port_counters port; /* of a packet port; kernel sockets: zeroes */
    struct tcp_counters tcp;   /* of our own stack; kernel sockets: zeroes */
};

#define PIPE_NOTHING 0  /* pipe_recv: no bytes now */
#define PIPE_END     -1 /* the peer closed its side */
#define PIPE_BROKEN  -2 /* reset or timed out */

struct transport_ops {
    unsigned (*poll)(struct transport *t, uint64_t now);
    bool (*next_event)(struct transport *t, struct pipe_event *ev);
    void (*flush)(struct transport *t, uint64_t now);
    uint64_t (*next_deadline)(const struct transport *t);
    unsigned (*wait_fds)(struct transport *t, int *fds, unsigned cap);
    struct pipe *(*dial)(struct transport *t, const struct endpoint *to, uint64_t now, const char **reason);
    int (*recv)(struct pipe *p, struct slice *in, const char **reason);
    uint64_t (*room)(const struct pipe *p);
    void (*send)(struct pipe *p, struct buf *b, uint32_t off, uint32_t len, uint64_t now);
    void (*finish)(struct pipe *p);
    void (*close)(struct pipe *p, bool is_polite, uint64_t now);
    void (*stats)(struct transport *t, struct transport_stats *out);
    bool (*link_is_up)(struct transport *t, uint64_t now);
    void (*free)(struct transport *t);
};

/* The common head of every backend. */
struct transport {
    const struct transport_ops *ops;
    bool has_link;          /* link_is_up may change */
    bool holds_output;      /* what is sent stays in its buffers until the peer has it */
    struct endpoint listen; /* as peers on the same network dial it; ip_len 0: unknown */
    struct endpoint listen6; /* also by IPv6; ip_len 0: not */
    const char *no_cc;      /* the congestion control it was to have and cannot get; NULL: it has it */
    char text[128];
};

/* Collects what happened; returns the amount, 0 when idle. Then drain next_event. */
static inline unsigned transport_poll(struct transport *t, uint64_t now)
{
    return t->ops->poll(t, now);
}

static inline bool transport_next_event(struct transport *t, struct pipe_event *ev)
{
    return t->ops->next_event(t, ev);
}

/* Puts on the wire what this turn's sends, receives and closes have left to send. */
static inline void transport_flush(struct transport *t, uint64_t now)
{
    t->ops->flush(t, now);
}

static inline uint64_t transport_next_deadline(const struct transport *t)
{
    return t->ops->next_deadline(t);
}

static inline unsigned transport_wait_fds(struct transport *t, int *fds, unsigned cap)
{
    return t->ops->wait_fds(t, fds, cap);
}

/* Starts a connection; ends in PIPE_OPEN or PIPE_GONE. NULL: *reason says why it could not even begin. */
static inline struct pipe *transport_dial(struct transport *t, const struct endpoint *to, uint64_t now, const char **reason)
{
    return t->ops->dial(t, to, now, reason);
}

/* 1: *in holds the next bytes, borrowed until the next call that takes this transport; the receiver takes them all.
 * Else PIPE_NOTHING, PIPE_END or PIPE_BROKEN (then *reason). */
static inline int pipe_recv(struct pipe *p, struct slice *in, const char **reason)
{
    return p->transport->ops->recv(p, in, reason);
}

/* Bytes that pipe_send may be given now. One whose connection has ended may take anything, for nothing, until its end is told. */
static inline uint64_t pipe_room(const struct pipe *p)
{
    return p->transport->ops->room(p);
}

/* Sends b->data[off, off+len); takes its own reference when it must keep the bytes, the caller's stays the caller's. The
 * bytes must not change afterwards. */
static inline void pipe_send(struct pipe *p, struct buf *b, uint32_t off, uint32_t len, uint64_t now)
{
    p->transport->ops->send(p, b, off, len, now);
}

/* FIN behind what is queued; receiving goes on until the peer's end (PIPE_END). No sends after it. */
static inline void pipe_finish(struct pipe *p)
{
    p->transport->ops->finish(p);
}

/* Gives the pipe back. Polite: queued bytes still go out, then FIN, within a few seconds; else reset at once. */
static inline void pipe_close(struct pipe *p, bool is_polite, uint64_t now)
{
    p->transport->ops->close(p, is_polite, now);
}

static inline void transport_stats_get(struct transport *t, struct transport_stats *out)
{
    t->ops->stats(t, out);
}

/* Looks at the port's link; call it about once a second. */
static inline bool transport_link_is_up(struct transport *t, uint64_t now)
{
    return t->ops->link_is_up(t, now);
}

/* Every pipe must have been closed; polite closes still under way are cut off. */
static inline void transport_free(struct transport *t)
{
    if (t)
        t->ops->free(t);
}

#endif
