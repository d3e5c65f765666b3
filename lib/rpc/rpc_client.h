/* rpc_client.h: a gRPC channel to one host:port
 * Shape:   unary calls and bidi streams out; replies, messages and the channel's state by callback on the loop's thread
 * Owner:   whoever made it; free is not for callbacks. Calls and unary may be started from any thread
 * Note:    the channel stays connected by itself: a state watch is always outstanding, so a broken connection is redialled
 *          within the backoff even while no call is made. Streams do not come back by themselves: open a new one when
 *          on_close ran and on_state says RPC_READY
 * Errors:  -RPC_E...; what happens to a call comes as its status
 */
#ifndef RPC_RPC_CLIENT_H
#define RPC_RPC_CLIENT_H

#include "rpc/rpc_call.h"
#include "rpc/rpc_loop.h"

struct rpc_client;

enum rpc_state { RPC_IDLE, RPC_CONNECTING, RPC_READY, RPC_FAILING, RPC_SHUT };

const char *rpc_state_name(enum rpc_state s);

struct rpc_client_config {
    const char *target;       /* "host:port", "[::1]:33212" */
    const char *tls_roots;    /* PEM of the authorities that the server's certificate is checked against; NULL: no TLS */
    struct rpc_loop *loop;    /* several clients may share one; must outlive the client */
    uint32_t max_recv_bytes;  /* one message; 0: 4 MiB */
    uint32_t max_send_bytes;  /* 0: no bound */
    uint32_t keepalive_ms;    /* pings a silent server, also without calls; 0: 10000 */
    uint32_t keepalive_timeout_ms; /* 0: 5000 */
    uint32_t backoff_initial_ms; /* 0: 200 */
    uint32_t backoff_max_ms;     /* 0: 2000 */
    uint32_t connect_timeout_ms; /* 0: 5000 */
    void (*on_state)(struct rpc_client *c, enum rpc_state state, void *user); /* may be NULL */
    void *user;
};

/* Begins to connect at once. */
int rpc_client_new(struct rpc_client **out, const struct rpc_client_config *cfg);
/* Cancels its calls; their on_close and on_reply have run when this returns. NULL is allowed. */
void rpc_client_free(struct rpc_client *c);
enum rpc_state rpc_client_state(const struct rpc_client *c);
const char *rpc_client_target(const struct rpc_client *c);

/* Sent with the call; copied. Keys in lower case. */
struct rpc_header {
    const char *key;
    struct slice value;
};

struct rpc_call_options {
    const struct rpc_header *headers;
    unsigned header_count;
    uint32_t timeout_ms;    /* 0: none */
    bool wait_for_ready;    /* wait for the connection within the timeout rather than fail at once */
    struct rpc_queue_limits queue; /* streams only */
    bool offers_bundles; /* streams only: several small messages may cross as one (rpc_bundle.h) if the server can, too */
};

/* Runs once, whatever happens. reply is borrowed, NULL unless st->code is RPC_CODE_OK. */
typedef void rpc_reply_fn(const struct rpc_status *st, struct rpc_msg *reply, void *user);

/* path "/proto.CommandStream/Health"; req may be unref'd after the return. opt may be NULL.
 * -RPC_ECLOSED: the client is being freed; -RPC_EARG: a header may not be sent; -RPC_ETOOBIG: on_reply will not run. */
int rpc_client_unary(struct rpc_client *c, const char *path, struct rpc_msg *req, const struct rpc_call_options *opt,
                     rpc_reply_fn *on_reply, void *user);

/* A bidi stream. *out carries one reference for the caller (rpc_call_unref). on is copied; on->on_open is not used.
 * data is what rpc_call_data gives and what the callbacks get as user. */
int rpc_client_open(struct rpc_client *c, const char *path, const struct rpc_handlers *on, void *data,
                    const struct rpc_call_options *opt, struct rpc_call **out);

struct rpc_client_stats {
    uint64_t calls, ok, failed;
    uint64_t received, received_bytes, sent, sent_bytes;
    uint64_t refused, dropped_must, dropped_may;
    uint64_t connects, disconnects; /* times READY was entered and left */
    uint32_t open;
};
void rpc_client_get_stats(const struct rpc_client *c, struct rpc_client_stats *out);

#endif
