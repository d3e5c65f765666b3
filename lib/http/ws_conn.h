/* ws_conn.h: a WebSocket connection, server side
 * Shape:   handshake (RFC 6455 4.2, version 13, no extensions) on an h2o request; wslay reads frames, our own bounded queue writes
 * Owner:   the connection and its callbacks: one server thread. The handle is counted: any thread may hold it, send, close, unref
 * Memory:  ws_upgrade's handle belongs to the caller (one reference); user is the caller's, untouched after on_close returned
 * Limits:  max_message_bytes (1009); out_max_bytes of deliveries by policy; while more than pause_bytes of replies (acks,
 *          pongs) wait, nothing more is read from this client. A client that neither sends nor takes anything for
 *          idle_ms is closed. Nothing a client does delays another one
 */
#ifndef HTTP_WS_CONN_H
#define HTTP_WS_CONN_H

#include "http/http_err.h"
#include "http/ws_msg.h"

struct http_req;
struct http_thread;
struct http_msg;
struct ws_conn;

enum ws_policy { WS_DROP_OLDEST, WS_DROP_NEWEST, WS_DISCONNECT /* 1008 */ };

/* What kind of thing is sent: deliveries obey the policy, replies are never dropped but pause reading. */
enum ws_kind { WS_DELIVERY, WS_REPLY };

struct ws_config {
    size_t max_message_bytes; /* 0: 1 MiB */
    size_t out_max_bytes;     /* 0: 16 MiB; one message is always accepted by an empty queue */
    size_t pause_bytes;       /* 0: 1 MiB */
    enum ws_policy policy;
    struct budget *budget;    /* that deliveries share with those of others; NULL: none. It outlives the connection */
    uint32_t ping_ms; /* ping after so long without input; 0: 30 s */
    uint32_t idle_ms; /* 0: 90 s */
    /* All on the server thread, on_close last and exactly once. */
    /* In ws_upgrade, before the client hears that it is connected: what is sent from now on reaches it, and nothing that
     * happens after its handshake comes too early for us. */
    void (*on_open)(struct ws_conn *c, void *user);
    void (*on_message)(struct ws_conn *c, void *user, enum ws_opcode op, struct slice msg);
    void (*on_close)(struct ws_conn *c, void *user, uint16_t code);
    /* Deliveries were dropped by the policy since the last time: what to tell the client, before those that are left (the
     * connection takes the reference), or NULL. May be NULL. */
    struct ws_msg *(*on_dropped)(struct ws_conn *c, void *user, uint64_t msgs, uint64_t bytes);
};

struct ws_stats {
    uint64_t in_msgs, in_bytes, out_msgs, out_bytes;
    uint64_t dropped_msgs, dropped_bytes; /* by policy */
    uint64_t queued_bytes;                /* gauge */
};

/* Answers q with 101 and gives a handle, or answers it with the error (400, 426) and gives NULL. cfg is copied.
 * protocol: a subprotocol to confirm, or NULL. */
struct ws_conn *ws_upgrade(struct http_req *q, const struct ws_config *cfg, void *user, const char *protocol);
struct ws_conn *ws_conn_ref(struct ws_conn *c);
void ws_conn_unref(struct ws_conn *c);

/* Any thread, never blocks. m is borrowed (a reference is taken). 0, or -HTTP_E_CLOSED, or -HTTP_E_FULL when this message
 * was dropped (DROP_NEWEST), or the client is going to be closed for it (DISCONNECT; later ones get CLOSED). */
int ws_conn_send(struct ws_conn *c, enum ws_kind kind, struct ws_msg *m);
/* The wake-ups of one delivery to many: each server thread gets its own in one go. All zero at first; one thread's. */
#define WS_WAKES_THREADS 8
struct ws_wakes {
    unsigned n;
    struct ws_wakes_of {
        struct http_thread *thread;
        struct http_msg *first, **end;
    } of[WS_WAKES_THREADS];
};

/* As ws_conn_send of a delivery, but that it may not go before ws_wakes_post, which must follow soon. */
int ws_conn_deliver(struct ws_conn *c, struct ws_msg *m, struct ws_wakes *w);
void ws_wakes_post(struct ws_wakes *w);

/* Any thread: sends what replies are queued, then a close frame; deliveries still queued are dropped (counted). */
void ws_conn_close(struct ws_conn *c, uint16_t code, const char *reason);
/* Any thread, now and then while the budget is spent: a client that has taken none of its deliveries since the last time is cut down to
 * BUDGET_SQUEEZED_BYTES of them. True: it is closed for it (DISCONNECT). */
bool ws_conn_squeeze(struct ws_conn *c);
/* Any thread: nothing more is read from this client until as many releases as holds. For users that have too much of
 * its work under way; the message being read may still come. */
void ws_conn_hold(struct ws_conn *c);
void ws_conn_release(struct ws_conn *c);
void ws_conn_stats(struct ws_conn *c, struct ws_stats *out);

#endif
