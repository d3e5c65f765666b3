/* rpc_call.h: one RPC, seen from either end
 * Shape:   messages in by callback on the call's loop thread; messages out through a bounded queue, from any thread
 * Owner:   refcounted. The room holds one reference until on_close has returned; whoever keeps a pointer past a callback
 *          (to send from another thread) takes its own. Every function here may be called from any thread at any
 *          time while a reference is held; after the end they do nothing and say -RPC_ECLOSED
 * Order:   on_open, then on_message*, then on_half_close at most once, on_drained at any time, on_close last and exactly
 *          once. All on one thread, never two at a time for one call, never under a lock of ours
 * Limits:  one message is with gRPC core at a time; the rest waits in our queue, bounded in messages and bytes, so a peer
 *          that never reads costs queue.max_bytes and a flow-control window
 */
#ifndef RPC_RPC_CALL_H
#define RPC_RPC_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "rpc/rpc_err.h"
#include "rpc/rpc_msg.h"

struct budget;
struct rpc_call;

/* What happens when a message that must arrive finds the queue full (droppable ones have been evicted by then). */
enum rpc_policy {
    RPC_REFUSE,      /* rpc_call_send says -RPC_EFULL: the sender decides */
    RPC_DROP_OLDEST, /* the oldest waiting messages make room, counted in dropped_must */
};

/* A message always fits into an empty queue, whatever max_bytes says. */
struct rpc_queue_limits {
    uint32_t max_messages; /* 0: 1024 */
    uint64_t max_bytes;    /* 0: 32 MiB */
    enum rpc_policy policy;
    struct budget *budget; /* that it shares with others; NULL: none. It outlives the call */
};

enum rpc_worth {
    RPC_MUST, /* owed to the peer: lost only by the policy, and counted */
    RPC_MAY,  /* traces and the like: evicted oldest first whenever room is needed, counted in dropped_may */
};

struct rpc_status {
    int code;            /* enum rpc_code, or another number if the peer sent one */
    const char *message; /* NUL-terminated, never NULL, valid during the callback */
};

struct rpc_handlers {
    /* The call exists; metadata may be read, messages sent, the call refused by rpc_call_finish. Server calls only. */
    void (*on_open)(struct rpc_call *c, void *user);
    /* m is borrowed: rpc_msg_ref it to keep it. The next one is read after this returns, unless the call is paused. */
    void (*on_message)(struct rpc_call *c, struct rpc_msg *m, void *user);
    /* The peer sends no more. A server still may, and must rpc_call_finish some time. */
    void (*on_half_close)(struct rpc_call *c, void *user);
    /* The queue ran empty after it had refused or dropped something. */
    void (*on_drained)(struct rpc_call *c, void *user);
    /* So much that was owed was dropped or refused since the last time: what to tell the peer, ahead of all that waits (the
     * room takes the reference), or NULL. It comes when something has just gone out, not at once. */
    struct rpc_msg *(*on_dropped)(struct rpc_call *c, uint64_t messages, uint64_t bytes, void *user);
    /* The end. On a client: the server's status, or UNAVAILABLE and the like from our side. On a server: what we
     * finished with, or CANCELLED when the peer went away, cancelled or ran out of its deadline. */
    void (*on_close)(struct rpc_call *c, const struct rpc_status *st, void *user);
};

struct rpc_call_stats {
    uint64_t sent, sent_bytes;         /* accepted by the transport */
    uint64_t received, received_bytes;
    uint64_t bundles;                  /* sends that took several of the sent messages at once */
    uint64_t refused;                  /* -RPC_EFULL answers for what was owed */
    uint64_t dropped_must, dropped_may; /* evicted from the queue; may: or refused */
    uint64_t lost_bytes;                /* of what was refused and of dropped_must */
    uint32_t queued;
    uint64_t queued_bytes;
};

struct rpc_call *rpc_call_ref(struct rpc_call *c);
void rpc_call_unref(struct rpc_call *c);

/* The caller's own pointer to its per-call state. Set it in on_open (or when opening), before others see the call. */
void rpc_call_set_data(struct rpc_call *c, void *data);
void *rpc_call_data(const struct rpc_call *c);

/* Queues m (we take our own reference). 0, or -RPC_ECLOSED, -RPC_EFULL, -RPC_ETOOBIG: nothing was taken.
 * A RPC_MAY message never evicts a RPC_MUST one: it is itself refused then. */
int rpc_call_send(struct rpc_call *c, struct rpc_msg *m, enum rpc_worth worth);

/* Now and then while the queue's budget is spent: a peer that has taken nothing since the last time is cut down to BUDGET_SQUEEZED_BYTES
 * of what waits for it. True: something was dropped (counted). */
bool rpc_call_squeeze(struct rpc_call *c);

/* Server: the status goes out after everything queued. The first finish wins. message may be NULL. */
int rpc_call_finish(struct rpc_call *c, enum rpc_code code, const char *message);
/* Server, unary: m, then status OK. */
int rpc_call_reply(struct rpc_call *c, struct rpc_msg *m);
/* Client: no more messages after those queued. */
int rpc_call_half_close(struct rpc_call *c);
/* Ends the call now and forgets what is queued; the peer sees code and message where the transport still can tell it
 * (even when it never reads). on_close follows. */
void rpc_call_abort(struct rpc_call *c, enum rpc_code code, const char *message);

/* Back-pressure: no further message is read until resume; the peer is held by flow control. At most the message being
 * read at that moment is still delivered. */
void rpc_call_pause(struct rpc_call *c);
void rpc_call_resume(struct rpc_call *c);

/* Server: a value the client sent with the call (key in lower case; "authorization"); {NULL,0} when absent. The first
 * one of several. Valid while the reference is held. */
struct slice rpc_call_metadata(const struct rpc_call *c, const char *key);
/* "ipv4:127.0.0.1:1234"; never NULL. Server only: "" on clients. */
const char *rpc_call_peer(const struct rpc_call *c);
/* The same of either end, asked of the transport, into out; "" when there is none. On clients: once a message is here. */
void rpc_call_remote(struct rpc_call *c, char *out, size_t cap);
/* Full method path, NUL-terminated. */
const char *rpc_call_path(const struct rpc_call *c);
/* Milliseconds until the deadline the client set; -1: none, 0: over. */
int64_t rpc_call_remaining_ms(const struct rpc_call *c);

bool rpc_call_is_closed(const struct rpc_call *c);
void rpc_call_get_stats(const struct rpc_call *c, struct rpc_call_stats *out);

#endif
