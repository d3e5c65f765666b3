/* session_pvt.h: what session*.c share
 *
 *     session.c            life, errors, events, deadlines
 *     session_handshake.c  from the first byte to the muxer's first frame
 *     session_frame.c      Noise frames in and out
 *     session_stream.c     streams: negotiation, what the caller does with them
 *     session_service.c    the streams the session keeps for itself: identify, push, ping
 *     session_identify.c   identify's message, and what we keep of the peer's
 */
#ifndef LIBP2P_SESSION_PVT_H
#define LIBP2P_SESSION_PVT_H

#include "base/list.h"
#include "base/timerq.h"
#include "libp2p/multiaddr.h"
#include "libp2p/multistream.h"
#include "libp2p/noise.h"
#include "libp2p/ping.h"
#include "libp2p/session.h"
#include "libp2p/yamux.h"

#define IDENTIFY_ID      "/ipfs/id/1.0.0"
#define IDENTIFY_PUSH_ID "/ipfs/id/push/1.0.0"

/* Named by what is expected next. */
enum phase {
    PHASE_SECURITY, /* multistream: /noise */
    PHASE_NOISE,
    PHASE_MUXER,    /* multistream inside Noise: /yamux/1.0.0 */
    PHASE_OPEN,     /* yamux frames */
    PHASE_OVER,
};

/* What a stream is for; inbound, also the index of its protocol in session.names, where KIND_APP and above are the
 * caller's. */
enum kind { KIND_IDENTIFY, KIND_PUSH, KIND_PING, KIND_APP };

enum timer_kind { TIMER_HANDSHAKE, TIMER_KEEPALIVE, TIMER_PONG, TIMER_IDENTIFY, TIMER_PING, TIMER_STREAM };

/* Events that wait in a stream; data, end and reset are told as they are parsed. */
enum waiting { WAITS_REFUSED = 1, WAITS_WRITABLE = 2 };

struct identify_reader; /* session_identify.c */

struct stream {
    struct yamux_stream *y;  /* NULL: gone, only an event is left to tell */
    uint32_t id;
    enum kind kind;
    bool is_ours, is_talking; /* talking: the protocol is chosen */
    bool is_lazy;             /* data does not wait for the choice */
    bool is_close_held;
    unsigned waiting;
    int err;                  /* of REFUSED */
    void *user;
    union {
        struct mss_dialer dialer;
        struct mss_listener listener;
    } mss;
    const char *proposals[SESSION_MAX_PROPOSALS];
    struct sendq held;        /* data that waits for the choice */
    union {
        struct ping_echo echo;
        struct ping_probe probe;
        struct identify_reader *reader;
    } service;
    struct timer timer;
    struct list waiting_link, full_link;
};

/* MSS_TRIES_MAX answers of one name, or our proposal, and one Noise message: it never has to say "full". */
#define OUTBOX_MAX 2048

struct outbox {
    uint16_t len, sent;
    uint8_t bytes[OUTBOX_MAX];
};

struct handshake {
    union {
        struct mss_dialer dialer;
        struct mss_listener listener;
    } mss;
    struct noise_handshake noise;
    struct outbox clear;  /* to the wire as it is */
    struct outbox sealed; /* plaintext of the first Noise frame: the muxer's negotiation */
};

/* Memory of the application for the next bytes of a stream's body. */
struct place {
    uint32_t stream; /* 0: none */
    uint8_t *p;
    uint32_t len;
};

/* A Noise frame on its way in, decrypted as it comes: its plaintext is plain[0, before), then `placed` bytes at `to`, then
 * plain[before + placed, ..). Nothing of it is looked at before the tag was good, but for where it goes. */
struct frame_in {
    uint8_t head[NOISE_HEAD_BYTES], tag[NOISE_TAG_BYTES];
    uint8_t head_have, tag_have;
    bool is_placed;          /* it is settled what goes where */
    uint32_t len, done;      /* plaintext: of the whole frame; what is here of it */
    uint32_t pending;        /* of that, the last so many bytes are copied there but not yet decrypted */
    uint32_t before, placed;
    uint8_t *to;
    struct aead_run run;
};

struct session {
    struct session_config cfg;
    struct session_limits limits; /* cfg's, with the defaults filled in */
    struct peer_id expect;
    struct multiaddr remote;
    enum phase phase;
    bool is_up, tells_up, tells_closed;
    int err;            /* why it is over */
    const char *reason;
    uint64_t now;       /* of the last call */

    struct handshake *handshake; /* NULL once its last byte is out */
    struct noise_transport transport;
    struct peer_id peer;
    struct yamux yamux;

    /* input */
    struct frame_in frame;
    uint8_t *plain;     /* the current frame, opened, but for what went to its place */
    struct slice rest;  /* of it, not parsed yet, and what follows behind that: see frame_next_part */
    struct slice parts[2];
    struct place place; /* where the application wants the next bytes of a stream */
    struct stream *body_stream; /* whose part of a body waits */
    struct slice body_rest;

    const char **names; /* what we accept: by enum kind, then the caller's */
    unsigned nnames;
    struct list waiting; /* streams with an event to tell */
    struct list full;    /* streams that said FULL */
    uint64_t held_bytes; /* in all streams' held queues */

    struct timerq timers;
    struct timer t_handshake, t_keepalive, t_pong, t_identify, t_ping;
    uint64_t bytes_in_at_ping;

    /* identify */
    struct session_identity *identity; /* NULL: not heard yet */
    struct buf *identity_bytes;        /* what its slices point into */
    bool tells_identity, tells_identify_failed, has_identify_ended, takes_push;
    int identify_err;
    uint32_t told_version; /* of cfg.local, as the peer knows it */
    unsigned echoes, pushes_in; /* inbound service streams now */
    struct stream *push_out, *ping_out;
    bool owes_push; /* our facts changed while a push was under way */

    bool tells_rtt;
    uint64_t told_rtt_ns;
    bool told_rtt_by_ping;
    struct session_counters counters;
};

/* session.c */
int session_fail(struct session *s, int err, const char *reason);
void session_timer_set(struct session *s, struct timer *t, uint64_t at_ns);
void session_went_up(struct session *s);
void session_rtt_measured(struct session *s, uint64_t rtt_ns, bool by_ping);

/* session_handshake.c */
struct handshake *handshake_new(struct session *s);
void handshake_free(struct handshake *h);
/* One step from the front of *in. */
int handshake_input(struct session *s, struct slice *in);
/* Noise is done and named no muxer: multistream comes next. */
void handshake_muxer_begin(struct session *s);
/* Plaintext of the muxer's negotiation; what is left of *in is yamux. */
int handshake_muxer_input(struct session *s, struct slice *in);
static inline size_t outbox_left(const struct outbox *o)
{
    return (size_t)(o->len - o->sent);
}

/* session_frame.c */
int frame_input(struct session *s, struct slice *in);
/* s->rest is used up: on to the next part of the plaintext. False: there is none. */
bool frame_next_part(struct session *s);
void frame_fini(struct session *s);

/* session_stream.c */
struct stream *stream_of(const struct session *s, uint32_t id);
struct stream *stream_opened(struct session *s, struct yamux_stream *y);
/* A part of a stream's body, from the front of *data. True: ev is filled. */
bool stream_body(struct session *s, struct stream *st, struct slice *data, struct session_event *ev);
bool stream_eof(struct session *s, struct stream *st, struct session_event *ev);
bool stream_reset(struct session *s, struct stream *st, struct session_event *ev);
bool stream_waiting(struct session *s, struct session_event *ev);
void stream_timeout(struct session *s, struct stream *st);
/* After output: streams that have ended, and queues that have drained. */
void stream_output_done(struct session *s);
/* Opens one for the session itself. NULL: not now. */
struct stream *stream_open_service(struct session *s, enum kind kind);
int stream_copy(struct session *s, struct stream *st, struct slice bytes);
void stream_close(struct session *s, struct stream *st);
/* RST to the peer and free; the caller is told nothing. */
void stream_kill(struct session *s, struct stream *st);
void stream_free(struct session *s, struct stream *st);

/* session_service.c */
/* The protocol is chosen: say what is to be said. May kill st, as service_body may. */
void service_start(struct session *s, struct stream *st);
void service_body(struct session *s, struct stream *st, struct slice data);
void service_eof(struct session *s, struct stream *st);
/* st goes away, for whatever reason. */
void service_ended(struct session *s, struct stream *st);
void service_up(struct session *s);
void service_ping(struct session *s);
void service_push(struct session *s);
void service_identify_failed(struct session *s, int err);

/* session_identify.c */
struct identify_reader *identify_reader_new(void);
void identify_reader_free(struct identify_reader *r);
/* -1: not what identify sends: too long, too many messages. */
int identify_reader_input(struct identify_reader *r, struct slice in);
/* At the end of the stream: keeps what was said. -1: malformed, or another's key. */
int identify_finish(struct session *s, struct identify_reader *r, bool is_push);
/* Our message with its length prefix; returns its bytes, 0 when it cannot be told in cap. */
size_t identify_create(const struct session *s, bool is_push, uint8_t *out, size_t cap);

#endif
