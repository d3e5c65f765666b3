/* rpc_call_impl.h: a call's insides (inside the room only)
 * Owner:   fields under "lock" belong to it; the rest is constant after start, or the loop thread's
 * Life:    start -> batches (each counted in pending) -> the end is known (close_seen) and no batch is out -> ended
 */
#ifndef RPC_RPC_CALL_IMPL_H
#define RPC_RPC_CALL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "rpc/rpc_call.h"
#include "rpc/rpc_home.h"
#include "rpc/rpc_queue.h"
#include "rpc/rpc_tag.h"

struct rpc_call {
    atomic_uint refs;
    bool is_server, is_unary;
    struct rpc_home *home; /* not after the end */
    struct rpc_live live;
    struct rpc_handlers on;
    void *user;
    _Atomic(void *) data;
    uint32_t max_send_bytes; /* 0: no bound */
    uint32_t max_recv_bytes;
    gpr_timespec deadline, made_at;
    char *path;
    char *peer;                     /* gpr_free */
    grpc_metadata_array in_headers; /* server: the client's, each slice referenced; client: the server's */
    grpc_metadata *out_headers;     /* client: sent at the start */
    size_t out_header_count;
    uint32_t start_flags;

    struct rpc_tag tag_send, tag_recv, tag_close, tag_rest;
    grpc_byte_buffer *in;
    int close_cancelled;             /* server: RECV_CLOSE's answer */
    grpc_metadata_array in_trailers; /* client */
    grpc_status_code in_code;        /* client */
    grpc_slice in_message;           /* client */

    pthread_mutex_t lock;
    grpc_call *call; /* NULL after the end */
    struct rpc_queue out;
    struct rpc_call_stats stats;
    struct rpc_msg *notice; /* goes before the queue */
    struct {
        uint64_t messages, bytes;
    } noticed; /* what on_dropped was told of */
    unsigned pending;
    bool headers_due, headers_sent; /* due: even before there is a message */
    bool sending;
    bool offers_bundles; /* client: the header went out with the call */
    bool may_bundle;     /* the peer reads bundles, and sends them */
    unsigned send_count; /* messages under way */
    size_t send_len;
    bool started;
    bool reading, read_done, paused, got_message;
    bool delivering;         /* on_message is running: what comes next is asked for when it is through */
    struct rpc_msg *rest;    /* a bundle that a pause left half read, from rest_at on */
    size_t rest_at;
    bool rest_called;     /* the loop thread will go on with it */
    bool in_headers_asked; /* client */
    bool finish_wanted, finish_sent;
    bool aborted;
    bool send_broken; /* a send failed: the call is dying */
    bool starved;     /* refused or dropped since the queue was last empty */
    bool close_seen, ended;
    int code; /* finish or abort */
    char *message;
};

struct rpc_call_setup {
    bool is_server, is_unary, may_bundle;
    const struct rpc_handlers *on;
    void *user, *data;
    const struct rpc_queue_limits *queue;
    uint32_t max_send_bytes, max_recv_bytes;
    struct rpc_home *home;
    gpr_timespec deadline;
};

/* Takes call. path is copied. One reference: the room's own, dropped after on_close. NULL: no memory or the home is closed; call is untouched. */
struct rpc_call *rpc_call_make(grpc_call *call, struct slice path, const struct rpc_call_setup *s);
/* Asks core for the end of the call. From here on the end comes by itself, and on_close with it. */
void rpc_call_watch_end(struct rpc_call *c);
/* After on_open on a server: what was queued may go, messages may come. */
void rpc_call_start(struct rpc_call *c);
/* Under the lock: starts the next send if one is due. */
void rpc_call_pump(struct rpc_call *c);
/* The same without the lock. */
void rpc_call_pump_now(struct rpc_call *c);
/* rpc_gather.c. False: this thread does not gather, or has no place for another call. */
bool rpc_gather_add(struct rpc_call *c);
/* Under the lock: starts the next read if one is due. */
void rpc_call_read(struct rpc_call *c);
/* Whether the peer's headers have key as "1". A client's: once the first message is here. */
bool rpc_call_has_header(const struct rpc_call *c, const char *key);
/* Under the lock. */
void rpc_call_count_drops(struct rpc_call *c, struct rpc_queue_drops d);

#endif
