/* yamux.h: stream multiplexer core
 * Shape:   bytes, now -> events, one at a time; queued buffers, now -> pieces of one run of frames
 * Source:  yamux_wire.h; what go, rust and js do beyond it is noted where it matters
 * Owner:   the connection's lcore
 * Memory:  caller places struct yamux; a stream is a heap block that lives until yamux_stream_drop or _reset. Input is
 *          borrowed: the slice of a DATA event points into it. A Data frame's body is handed on as it comes, never kept
 * Units:   ns monotonic; windows in bytes
 * Errors:  0, 1, or -YAMUX_E...; after a fatal one (from yamux_next) gather once more for the GoAway, then fini
 * Limits:  streams as configured; YAMUX_RESETS_MAX answers to refused streams and YAMUX_PONGS_MAX to pings may wait
 *          for output, then the peer is cut off or its ping skipped
 */
#ifndef LIBP2P_YAMUX_H
#define LIBP2P_YAMUX_H

#include "base/list.h"
#include "libp2p/sendq.h"
#include "libp2p/yamux_window.h"
#include "libp2p/yamux_wire.h"

#define YAMUX_BUCKETS    64
#define YAMUX_PONGS_MAX  8
#define YAMUX_RESETS_MAX 1024

enum yamux_err {
    YAMUX_EVERSION = 1, /* fatal, like all to YAMUX_EMEM: header of another version */
    YAMUX_ETYPE,        /* no such frame type */
    YAMUX_EPARITY,      /* SYN with an id of our side */
    YAMUX_EDUPLICATE,   /* SYN for a stream that is open */
    YAMUX_ESTREAM,      /* stream 0 in a stream's frame */
    YAMUX_EWINDOW,      /* more data than was granted */
    YAMUX_ELENGTH,      /* a body that no window allows */
    YAMUX_EFLOOD,       /* more refused streams than answers fit */
    YAMUX_EMEM,
    YAMUX_EFULL,        /* not taken: stream table full */
    YAMUX_EAWAY,        /* no new streams: one side has said goodbye */
    YAMUX_ECLOSED,      /* our write side is closed */
};
const char *yamux_err_name(int err);

struct yamux_config {
    bool is_client;              /* dialer: odd ids */
    uint32_t streams_in, streams_out;
    uint32_t window_cap_bytes;   /* growth of receive windows ends here; at least YAMUX_WINDOW_INITIAL */
    uint64_t secret;             /* random: keys the stream table, so ids cannot be chosen to collide */
};

struct yamux_stream {
    uint32_t id;
    bool is_ours;        /* we opened it */
    bool owes_syn, owes_ack, owes_window, owes_fin; /* to be said in the next output */
    bool is_acked;       /* the peer knows it */
    bool has_sent_fin, has_got_fin, has_got_rst;
    struct yamux_window window;
    uint64_t credit;
    struct sendq queue;
    void *user;
    struct yamux_stream *bucket_next;
    struct list all, control, ready, over; /* links: every stream; has something to say; has data and credit; ended */
};

struct yamux_counters {
    uint64_t frames_in, frames_out, streams_in, streams_out, refused_in, resets_in, resets_out;
    uint64_t bytes_unknown_stream, pongs_dropped, pongs_unasked;
};

struct yamux {
    struct yamux_config cfg;
    struct yamux_stream *bucket[YAMUX_BUCKETS];
    struct list all, control, ready, over;
    uint32_t count_in, count_out, next_id;
    uint64_t queued_bytes;

    /* input */
    uint8_t head[YAMUX_HEAD_BYTES];
    uint8_t head_have;
    bool fin_follows;            /* the current body is the last */
    uint32_t body_left;
    struct yamux_stream *body;   /* whose it is; NULL: drained */
    int err;                     /* the fatal one; 0 while it lives */

    /* output that belongs to no stream */
    uint32_t pongs[YAMUX_PONGS_MAX];
    uint32_t npongs, nresets, resets_cap;
    uint32_t *resets;
    bool owes_ping, owes_goaway, is_polite, has_sent_goaway, has_got_goaway;
    uint32_t ping_value, goaway_code;
    bool is_ping_out;            /* unanswered */
    uint64_t ping_sent_ns, rtt_ns;
    struct yamux_counters counters;
};

void yamux_init(struct yamux *y, const struct yamux_config *cfg);
/* Frees every stream; their users are the caller's to free before (yamux_first / yamux_after walk them). */
void yamux_fini(struct yamux *y);

enum yamux_event_type {
    YAMUX_OPENED, /* stream: the peer's; set its user */
    YAMUX_BODY,   /* stream, data: credited to the peer from now on */
    YAMUX_EOF,    /* stream */
    YAMUX_RESET,  /* stream: drop it now */
    YAMUX_PONG,   /* rtt_ns */
    YAMUX_AWAY,   /* code */
};

struct yamux_event {
    enum yamux_event_type type;
    struct yamux_stream *stream;
    struct slice data;
    uint64_t rtt_ns;
    uint32_t code;
};

/* Reads from the front of *in up to the next event. 1: ev is filled; 0: *in is empty; else fatal. */
int yamux_next(struct yamux *y, struct slice *in, struct yamux_event *ev, uint64_t now);

/* Would yamux_next tell something without further input? (The end of a stream, behind the body it came with.) */
static inline bool yamux_has_event(const struct yamux *y)
{
    return y->fin_follows && !y->body_left;
}

/* NULL: *err (may be NULL) is -YAMUX_EFULL, -YAMUX_EAWAY or -YAMUX_EMEM. */
struct yamux_stream *yamux_stream_open(struct yamux *y, void *user, int *err, uint64_t now);
struct yamux_stream *yamux_stream_find(const struct yamux *y, uint32_t id);
/* Queue bytes; see sendq.h for the reference. -YAMUX_ECLOSED, -YAMUX_EMEM: the caller keeps it. */
int yamux_stream_send(struct yamux *y, struct yamux_stream *st, struct buf *b, uint32_t off, uint32_t len);
int yamux_stream_copy(struct yamux *y, struct yamux_stream *st, struct slice s);
int yamux_stream_splice(struct yamux *y, struct yamux_stream *st, struct sendq *src);
/* FIN behind what is queued. */
void yamux_stream_close(struct yamux *y, struct yamux_stream *st);
/* Both sides have ended, or the peer reset it: drop it. */
bool yamux_stream_is_over(const struct yamux_stream *st);
/* Frees it without a word; after RESET, or when over. */
void yamux_stream_drop(struct yamux *y, struct yamux_stream *st);
/* RST to the peer, and frees it. */
void yamux_stream_reset(struct yamux *y, struct yamux_stream *st);
/* A stream that ended because output sent our FIN as the last word; the caller drops it. NULL: none. */
struct yamux_stream *yamux_next_over(struct yamux *y);
/* Walks all streams; `after` NULL for the first. The one returned may be dropped only after its successor was asked for. */
struct yamux_stream *yamux_walk(const struct yamux *y, const struct yamux_stream *after);

/* Asks for a pong carrying value; one at a time (a call while one is out does nothing). */
void yamux_ping(struct yamux *y, uint32_t value);
/* Polite: after all that is queued. Otherwise nothing else is sent any more. */
void yamux_goaway(struct yamux *y, enum yamux_code code, bool is_polite);

#define YAMUX_PIECES_MAX 256
#define YAMUX_SMALL_MAX  8192

/* One run of frames, to be sealed as one. Begin with yamux_gather_begin. */
struct yamux_gather {
    struct slice pieces[YAMUX_PIECES_MAX];
    struct buf *done[YAMUX_PIECES_MAX]; /* references to drop once the pieces are used */
    uint32_t npieces, ndone, nsmall;
    size_t bytes, max_bytes;
    uint8_t small[YAMUX_SMALL_MAX];     /* headers and little pieces */
};

void yamux_gather_begin(struct yamux_gather *g, size_t max_bytes);
/* Bytes that are not yamux's ahead of its first frame, at most YAMUX_SMALL_MAX / 2 in all: copied. */
void yamux_gather_copy(struct yamux_gather *g, struct slice s);
/* Adds frames, at most max_bytes in all: first what concerns the whole session, then streams' control frames, then
 * data, streams in turn. The pieces point into queued buffers and into g. */
void yamux_gather(struct yamux *y, struct yamux_gather *g, uint64_t now);
/* The pieces were used: drops the references they needed. */
void yamux_gather_end(struct yamux_gather *g);
bool yamux_has_output(const struct yamux *y);

#endif
