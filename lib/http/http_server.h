/* http_server.h: HTTP/1.1 server threads on h2o
 * Shape:   N threads, each with its own h2o context, event loop and SO_REUSEPORT listener; requests never change thread
 * Owner:   the program's main thread makes, stops and frees it; handlers run on the server's threads
 * Memory:  http_server_free after http_server_stop, when nobody will touch a deferred request or a ws_conn of it any more
 * Limits:  connections, header and body bytes, time for a request to arrive and for an answer to be taken; each refusal counted
 * Note:    HTTP/2 is off: h2o 2.2.5 has no mitigation of rapid reset
 */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include <sched.h>
#include <stdint.h>

#include "http/http_err.h"
#include "http/http_route.h"

struct http_server;
struct http_tls;

struct http_server_config {
    const char *bind;          /* "127.0.0.1", "::1", "0.0.0.0"; NULL or "": every address, IPv4 and IPv6 */
    uint16_t port;             /* 0: the kernel chooses (http_server_port) */
    unsigned threads;          /* 0: 1 */
    const cpu_set_t *cpus;     /* where the threads may run; NULL: as the caller */
    const char *thread_name;   /* up to 12 characters; NULL: "http" */
    size_t max_body_bytes;     /* 0: 1 MiB */
    uint32_t max_header_bytes; /* 0: 32 KiB; h2o itself refuses above 408 KiB */
    uint32_t max_conns;        /* over all threads, WebSockets included; 0: 10000 */
    uint32_t
        request_timeout_ms;     /* from the first byte to the end of the body, and idle keep-alive; 0: 30 s */
    uint32_t answer_timeout_ms; /* a client that does not take its answer; 0: 60 s */
    uint32_t drain_ms;          /* how long stop waits for answers and closing WebSockets; 0: 2 s */
    const char *cors_origins;   /* "*" or a comma list of origins; NULL or "": no CORS headers */
    const char *server_name;    /* Server header; NULL: "codecast" */
    const struct http_routes *routes; /* borrowed until http_server_free */
    /* Asked before every handler, on its thread. False: it has answered the request. NULL: all may pass. */
    bool (*gate)(struct http_req *q, const struct http_route *r, void *user);
    void *gate_user;
    /* After every turn of a server thread, on it: what the handlers of that turn gathered may go now. last: no turn follows.
     * NULL: nothing. */
    void (*on_turn)(bool last);
    struct http_tls *tls; /* a reference is taken; NULL: plain */
};

/* All counters only grow, except the gauges marked so. */
struct http_server_stats {
    uint64_t accepted, refused_conns, requests, answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    uint64_t slow_answers_cut;  /* answer_timeout_ms passed */
    uint64_t deferred_vanished; /* answered after the client had gone */
    uint64_t ws_dropped_msgs, ws_dropped_bytes; /* by policy and at the end of a connection */
    uint64_t conns;             /* gauge */
    uint64_t ws_conns;          /* gauge */
    uint64_t ws_moved;          /* to another thread than had accepted them */
};

/* Binds and starts. 0 and *out, or -HTTP_E_ADDRESS, _BIND, _THREAD, _NOMEM: nothing is left behind, *out is NULL.
 * *out is set before the first thread runs, so handlers may read it. */
int http_server_start(struct http_server **out, const struct http_server_config *cfg);
uint16_t http_server_port(const struct http_server *s);
unsigned http_server_threads(const struct http_server *s);
void http_server_stats(const struct http_server *s, struct http_server_stats *out);

/* For connections to come; those that are open stay as they are. tls: a reference is taken. Any thread, but for handlers of s;
 * a server that began without TLS keeps to it. */
void http_server_set_tls(struct http_server *s, struct http_tls *tls);

/* Stops listening, closes WebSockets with 1001, lets answers finish for drain_ms, joins the threads. Blocks; not from a
 * handler. Afterwards answering deferred requests and sending to WebSockets is harmless and does nothing. */
void http_server_stop(struct http_server *s);
void http_server_free(struct http_server *s); /* NULL is allowed */

#endif
