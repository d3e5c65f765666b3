/* rpc_server.h: a gRPC server over gRPC core's C API
 * Shape:   tables of methods in; calls out by callback (rpc_call.h) on one of the server's loop threads.
 *          A call stays on its thread for life, so callbacks of one call need no lock
 * Built in: grpc.health.v1.Health (Check, Watch), grpc.reflection.v1 and v1alpha
 * Owner:   whoever made it; new, add, start, stop, free come from one thread that is no loop thread
 * Errors:  -RPC_E...
 * Limits:  message sizes both ways, calls in all and per connection, handshake time, send queue per call. Unknown
 *          methods get UNIMPLEMENTED; pings are permitted as often as clients like (keepalive 2 s without calls)
 */
#ifndef RPC_RPC_SERVER_H
#define RPC_RPC_SERVER_H

#include <sched.h>

#include "rpc/rpc_call.h"
#include "rpc/rpc_loop.h"

struct rpc_server;

enum rpc_kind {
    RPC_UNARY, /* on_message once with the whole request; answer now or later by rpc_call_reply or rpc_call_finish */
    RPC_BIDI,
};

struct rpc_method {
    const char *name; /* "ListenCommands" */
    enum rpc_kind kind;
    struct rpc_handlers on;
    struct rpc_queue_limits queue;
    bool takes_bundles; /* several small messages may cross as one with clients that can (rpc_bundle.h): callbacks do not see it */
};

/* Static: lives as long as the server. The same method twice under two names is how aliases are made. */
struct rpc_service {
    const char *name; /* "proto.CommandStream" */
    const struct rpc_method *methods;
    unsigned count;
};

struct rpc_server_config {
    const char *bind;         /* "127.0.0.1:33212", "[::1]:0", ":50051" (all addresses), "50051" */
    unsigned threads;         /* 0: 2 */
    const cpu_set_t *cpus;    /* see rpc_loop.h; copied */
    struct rpc_loop *poller;  /* looks after the sockets, so that idle threads sleep; outlives the server. NULL: the threads do it */
    uint32_t max_recv_bytes;  /* one message; 0: 4 MiB. Larger ones end their call with RESOURCE_EXHAUSTED */
    uint32_t max_send_bytes;  /* 0: no bound */
    uint32_t max_calls;       /* open at once, all connections; more get RESOURCE_EXHAUSTED. 0: 4096 */
    uint32_t max_streams;     /* per connection; 0: 1024 */
    uint64_t memory_bytes;    /* what gRPC core may buffer for all connections before it sheds them; 0: 1 GiB */
    uint32_t keepalive_ms;    /* we ping a silent client; 0: 60000 */
    uint32_t keepalive_timeout_ms; /* 0: 20000 */
    const char *tls_cert, *tls_key; /* PEM, copied: TLS; NULL: plain */
    struct slice descriptors; /* a FileDescriptorSet for reflection, static; {NULL,0}: that of proto/ */
};

struct rpc_server_stats {
    uint64_t calls, calls_unknown, calls_refused; /* started; unknown method; over max_calls */
    uint64_t ok, failed, cancelled;               /* ended by status OK, by another, by the peer */
    uint64_t received, received_bytes, sent, sent_bytes;
    uint64_t refused, dropped_must, dropped_may;
    uint32_t open;
};

/* 0: *out is a server that does not listen yet. */
int rpc_server_new(struct rpc_server **out, const struct rpc_server_config *cfg);
/* Before start. user goes to every callback of this service. -RPC_EARG: a path that is there already. */
int rpc_server_add(struct rpc_server *s, const struct rpc_service *svc, void *user);
/* Binds and listens. -RPC_EBIND: taken or malformed. */
int rpc_server_start(struct rpc_server *s);
/* The port in use, also when 0 was asked for; 0 before start. */
int rpc_server_port(const struct rpc_server *s);

/* For connections to come: another certificate (and chain) and its key, PEM, copied. 0, or -RPC_ENOMEM, -RPC_ESTATE: the
 * server began without TLS. A pair that gRPC core cannot read is logged by it, and the old one stays. */
int rpc_server_set_tls(struct rpc_server *s, const char *cert, const char *key);

/* Health of one service; "" is the whole server. Everything serves from start until stop. */
void rpc_server_set_serving(struct rpc_server *s, const char *service, bool serving);

/* Stops listening, lets open calls end for grace_ms, then cancels them (clients see UNAVAILABLE). Every on_close has
 * run when this returns. Finish streams politely (rpc_call_finish) before or during it from other threads. Idempotent. */
void rpc_server_stop(struct rpc_server *s, uint32_t grace_ms);
/* Stops without grace if still running. Call references may outlive it. NULL is allowed. */
void rpc_server_free(struct rpc_server *s);

void rpc_server_get_stats(const struct rpc_server *s, struct rpc_server_stats *out);

#endif
