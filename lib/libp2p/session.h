/* session.h: one whole libp2p connection: multistream, Noise, yamux, identify, ping
 * Shape:   bytes, now -> bytes, polled events, one deadline. What is above sees a peer and its streams, each with a
 *          negotiated protocol; identify, identify push, ping and the muxer's upkeep happen inside
 * Source:  libp2p specs: connections, noise, yamux, multistream-select 1.0, identify, ping
 * Owner:   the connection's lcore
 * Memory:  heap object. Input is borrowed until return; slices and pointers in an event live until the next call that
 *          takes the session, other than the const ones. Queued payload is held by reference, never copied
 * Units:   ns monotonic; sizes and windows in bytes
 * Errors:  0, a count, or -SESSION_E...; after a fatal one (session_input says so and CLOSED comes) take the output
 *          that is left, a last GoAway, then free
 * Limits:  struct session_limits; a hostile peer costs at most those streams, 64 KiB of frame and the queues we filled
 *          ourselves. Every refusal is counted in struct session_counters
 *
 * The loop of whoever holds it:
 *     while (in.len && !err) {
 *         err = session_input(s, &in, now);
 *         while (session_next_event(s, &ev)) handle(&ev);
 *     }
 *     if (now >= session_next_deadline(s)) { session_on_deadline(s, now); while (session_next_event(s, &ev)) ... }
 *     while (session_has_output(s) && there is room below) n = session_output(s, block, cap, now);
 *     while (session_next_event(s, &ev)) ...     (WRITABLE comes of output)
 */
#ifndef LIBP2P_SESSION_H
#define LIBP2P_SESSION_H

#include "base/buf.h"
#include "base/rng.h"
#include "base/slice.h"

struct noise_identity; /* libp2p/noise.h */
struct peer_id;        /* libp2p/peer_id.h */
struct multiaddr;      /* libp2p/multiaddr.h */

#define SESSION_OUTPUT_MIN    65536 /* session_output needs at least this room */
#define SESSION_MAX_PROPOSALS 8     /* protocols that one outbound stream may propose */
#define SESSION_MAX_PROTOCOLS 64    /* kept of a peer's identify, and told in ours */
#define SESSION_MAX_ADDRS     32

enum session_err {
    SESSION_EMULTISTREAM = 1, /* fatal: malformed or endless negotiation */
    SESSION_ENOISE,           /* fatal: handshake or frame does not authenticate, or identity is wrong */
    SESSION_EPEER,            /* fatal: authenticated, but not the peer that we dialed */
    SESSION_EMUXER,           /* fatal: no common muxer */
    SESSION_EYAMUX,           /* fatal: the peer broke a yamux rule (window, parity, version, type, length) */
    SESSION_EFLOOD,           /* fatal: more control traffic than any honest peer makes */
    SESSION_ETIMEOUT,         /* fatal: handshake took too long */
    SESSION_EKEEPALIVE,       /* fatal: no answer to a yamux ping */
    SESSION_EGOAWAY,          /* the peer said goodbye; as a return value: no new streams any more */
    SESSION_EMEM,             /* out of memory; fatal from session_input */
    SESSION_EFULL,            /* not taken: queue or stream table is full; try again after WRITABLE or a stream's end */
    SESSION_ENOSTREAM,        /* no such stream (it may just have ended), or its write side is closed */
    SESSION_ESTATE,           /* the session is not up, or is over */
    SESSION_ELIMIT,           /* an argument is beyond what the session takes */
};
/* Accepts the code with either sign. */
const char *session_err_name(int err);

/* What identify says of us. Borrowed by every session of a node; whoever changes it adds one to version and calls
 * session_local_changed on each session, which then tells the peer by identify push. */
struct session_local {
    uint32_t version;
    const char *agent;             /* e.g. "codecast/0.1.0" */
    const char *protocol_version;  /* NULL: "ipfs/0.1.0" */
    const char *const *protocols;  /* listed beside identify, push and ping, which the session lists itself */
    unsigned nprotocols;
    const struct multiaddr *addrs; /* listen addresses */
    unsigned naddrs;
    struct slice record;           /* signed peer record envelope; len 0: none */
};

/* A zero takes the default, in brackets. */
struct session_limits {
    uint32_t streams_in;           /* [256] at a time; a peer's SYN beyond is answered RST */
    uint32_t streams_out;          /* [256] at a time; also the cap on streams that the peer has not acknowledged */
    uint32_t window_max_bytes;     /* [16 MiB] how far a stream's receive window may grow, at least 256 KiB */
    uint64_t stream_queue_bytes;   /* [4 MiB] unsent bytes per stream, past it session_stream_send says FULL */
    uint64_t handshake_ns;         /* [10 s] from session_new to UP */
    uint64_t negotiate_ns;         /* [10 s] for a stream's protocol, either direction */
    uint64_t identify_ns;          /* [5 s] */
    uint64_t keepalive_ns;         /* [30 s] between yamux pings; the first goes at once */
    uint64_t keepalive_timeout_ns; /* [10 s] without its answer, while nothing else arrives either */
    uint64_t ping_ns;              /* [off] between pings of /ipfs/ping/1.0.0, for RTT beside yamux's own */
};

struct session_config {
    const struct noise_identity *identity; /* borrowed; one per node: static key and the identity key's word for it */
    bool is_dialer;
    const struct peer_id *expect;       /* copied; NULL: whoever it is */
    const char *const *accepts;         /* borrowed: inbound protocols besides identify, push and ping */
    unsigned naccepts;
    const struct session_local *local;  /* borrowed */
    const struct multiaddr *remote;     /* copied: the peer's transport address, told to it as observed; NULL: not told */
    struct rng *rng;                    /* borrowed: ephemeral keys, pings; must be fit for keys */
    struct session_limits limits;
    bool has_no_early_muxer;            /* offer no muxer inside Noise: multistream chooses it (as rust does) */
};

struct session;

/* NULL: no memory. The first bytes, if it is the dialer, are ready in session_output. */
struct session *session_new(const struct session_config *cfg, uint64_t now);
/* Drops every reference that is queued. NULL is allowed. */
void session_free(struct session *s);

/* Takes at most one Noise frame, or one step of the handshake, from the front of *in and moves *in past it. While
 * events wait, nothing is taken: drain session_next_event between two calls. Bytes of an unfinished frame are kept
 * inside. 0, or a fatal code. */
int session_input(struct session *s, struct slice *in, uint64_t now);

enum session_event_type {
    SESSION_UP,              /* peer: handshake done, streams may be opened */
    SESSION_IDENTIFIED,      /* identity: the first time, and again after each push (merged) */
    SESSION_IDENTIFY_FAILED, /* err: no answer in time or a wrong one; the session lives on, a late answer is still told */
    SESSION_STREAM_OPENED,   /* stream, protocol: theirs, index in cfg.accepts; set its user now */
    SESSION_STREAM_READY,    /* stream, user, protocol: ours, index in the list proposed */
    SESSION_STREAM_REFUSED,  /* stream, user, err: ours; -SESSION_EMULTISTREAM: the peer speaks none of them,
                                -SESSION_ETIMEOUT, -SESSION_ENOSTREAM: it dropped the stream. The stream is gone */
    SESSION_STREAM_DATA,     /* stream, user, data; its bytes are credited to the peer at the next call */
    SESSION_STREAM_EOF,      /* stream, user: the peer's write side is closed; ours may go on. Once both have ended
                                (whichever is last) the stream is gone, without another event */
    SESSION_STREAM_RESET,    /* stream, user: the peer dropped it; the stream is gone */
    SESSION_STREAM_WRITABLE, /* stream, user: after a FULL, its queue fell to half its limit */
    SESSION_RTT,             /* rtt_ns, by_ping */
    SESSION_CLOSED,          /* err, reason: the last event. -SESSION_EGOAWAY for the peer's polite end */
};

/* What the peer said of itself. Slices as on the wire: text without NUL, addresses in binary; untrusted but for the
 * public key, which was checked against the connection's. */
struct session_identity {
    bool is_push; /* these came, or some of them, by push */
    struct slice agent, protocol_version;
    struct slice observed; /* our address as the peer sees it, may end in /p2p/<our id>; len 0: not said */
    struct slice record;   /* signed peer record envelope, not verified here; len 0: none */
    unsigned nprotocols, naddrs;
    struct slice protocols[SESSION_MAX_PROTOCOLS];
    struct slice addrs[SESSION_MAX_ADDRS];
};

struct session_event {
    enum session_event_type type;
    uint32_t stream;
    void *user;
    unsigned protocol;
    struct slice data;
    const struct peer_id *peer;
    const struct session_identity *identity;
    uint64_t rtt_ns;
    bool by_ping; /* measured by /ipfs/ping, not by the muxer's own ping */
    int err;            /* -SESSION_E... */
    const char *reason; /* static text */
};

/* The next event; false when there is none. Parsing goes on in here, so it may also make output. */
bool session_next_event(struct session *s, struct session_event *ev);

/* The next len bytes of the stream's body shall go to p: DATA events then point there, as far as it could be told in time which bytes they
 * are. Lent until their event, or until the next call (stream 0 just takes the offer back; nothing is lost); one place at a time. What is written
 * there before its event is not to be looked at. */
void session_stream_place(struct session *s, uint32_t stream, uint8_t *p, uint32_t len);

/* Fills out (cap >= SESSION_OUTPUT_MIN) with as many whole Noise frames as there is something to say for; returns the
 * bytes written. Payload goes from the queued buffers through the cipher into out in one pass; control frames first,
 * then streams in turn. */
size_t session_output(struct session *s, uint8_t *out, size_t cap, uint64_t now);
bool session_has_output(const struct session *s);

/* When session_on_deadline must be called even if nothing arrives; UINT64_MAX: never. */
uint64_t session_next_deadline(const struct session *s);
void session_on_deadline(struct session *s, uint64_t now);

/* cfg.local has changed (its version tells): pushes it to the peer once the session is up and the peer takes pushes. */
void session_local_changed(struct session *s, uint64_t now);

/* Says goodbye: no new streams; what is queued goes out first, as far as the peer's windows let it, then GoAway.
 * session_is_done tells when it is all in the output taken; the caller bounds the wait. */
void session_goaway(struct session *s);
bool session_is_done(const struct session *s);

bool session_is_up(const struct session *s);
/* The remote's id; NULL before UP. */
const struct peer_id *session_peer(const struct session *s);
/* The last round trip measured; 0: not yet. */
uint64_t session_rtt_ns(const struct session *s);

/* Opens a stream and proposes the n protocols in order (borrowed until READY or REFUSED; n <= SESSION_MAX_PROPOSALS). With a single
 * one, queued data follows at once without waiting for the answer; with several it waits for READY. Returns the
 * stream, > 0, which is never used again in this session; -SESSION_EFULL, -SESSION_EGOAWAY, -SESSION_ESTATE,
 * -SESSION_ELIMIT, -SESSION_EMEM. Ends in READY or REFUSED. */
int64_t session_open_stream(struct session *s, const char *const protocols[], unsigned n, void *user, uint64_t now);

/* Queues b->data[off, off+len). On 0 the caller's one reference has passed to the session, which drops it once the bytes
 * are sealed (or the stream ends); the bytes must not change till then. On -SESSION_EFULL (queued + len > limit; a
 * WRITABLE follows), -SESSION_ENOSTREAM or -SESSION_EMEM the caller keeps it. May be called right after open_stream. */
int session_stream_send(struct session *s, uint32_t stream, struct buf *b, uint32_t off, uint32_t len);
/* The same for a few bytes that are copied: length prefixes, small messages. At most 4096. */
int session_stream_copy(struct session *s, uint32_t stream, struct slice bytes);
/* Bytes queued and not yet sealed; 0 for an unknown stream. */
uint64_t session_stream_queued_bytes(const struct session *s, uint32_t stream);
/* Bytes that would be taken now: a message of several pieces fits whole or is not begun. */
uint64_t session_stream_room_bytes(const struct session *s, uint32_t stream);
/* The same over all streams. */
uint64_t session_queued_bytes(const struct session *s);
/* Half close: FIN follows what is queued. */
int session_stream_close(struct session *s, uint32_t stream);
/* Drops the stream both ways, queued bytes included; no further event names it. */
int session_stream_reset(struct session *s, uint32_t stream);
int session_stream_set_user(struct session *s, uint32_t stream, void *user);

struct session_counters {
    uint64_t bytes_in, bytes_out;             /* wire bytes taken and made */
    uint64_t noise_frames_in, noise_frames_out, yamux_frames_in, yamux_frames_out;
    uint64_t streams_in, streams_out;         /* opened */
    uint64_t streams_refused_in;              /* SYN beyond the limit, or after our goodbye: RST */
    uint64_t negotiations_failed_in, negotiations_failed_out;
    uint64_t resets_in, resets_out;
    uint64_t bytes_unknown_stream;            /* data drained for streams that are gone or never were */
    uint64_t pongs_dropped, pongs_unasked;    /* answers we skipped under a ping flood; answers nobody asked for */
    uint64_t pings_answered;                  /* /ipfs/ping streams */
    uint64_t identify_bad, pushes_in, pushes_out;
    uint32_t streams_now;
};
void session_counters_get(const struct session *s, struct session_counters *out);

#endif
