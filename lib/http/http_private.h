/* http_private.h: what the h2o side of the room shares: threads, peers, requests, replies
 * Owner:   struct http_thread: its thread, but for inbox posting (lock) and counters (relaxed atomics)
 */
#ifndef HTTP_HTTP_PRIVATE_H
#define HTTP_HTTP_PRIVATE_H

#include <h2o.h>
#include <h2o/http1.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/list.h"
#include "http/http_req.h"
#include "http/http_server.h"
#include "http/http_tls.h"
#include "http/ws_conn.h"
#include "http/ws_fan.h"

#define HTTP_REPLY_HEADERS 8
#define HTTP_THREADS_MAX   64

struct http_thread;

struct http_reply {
    int status;
    char type[64];
    uint8_t *body; /* freed with the reply */
    size_t len;
    unsigned n_headers;
    struct http_reply_header {
        char name[32];
        char value[192];
    } *headers; /* HTTP_REPLY_HEADERS of them; NULL: none, as most have */
};

/* Work for a thread, from any thread. Embedded; run() owns it. */
struct http_msg {
    struct http_msg *next; /* in the inbox */
    void (*run)(struct http_msg *m, struct http_thread *th);
};

struct http_counters {
    _Atomic uint64_t accepted, refused_conns, requests, slow_answers_cut, deferred_vanished, ws_conns, ws_moved;
    _Atomic uint64_t ws_dropped_msgs, ws_dropped_bytes;
    _Atomic uint64_t answers[6]; /* by status / 100 */
};

struct http_thread {
    struct http_server *server;
    unsigned index;
    pthread_t tid;
    bool started;
    int fd; /* listening, -1 once h2o has it */
    h2o_context_t ctx;
    h2o_evloop_t *loop;
    h2o_accept_ctx_t accept;
    struct http_tls *tls; /* of connections accepted from now on; NULL: none */
    h2o_socket_t *listener;
    h2o_multithread_receiver_t bell; /* wakes the loop, without a message */
    pthread_mutex_t lock;            /* guards open, sleeps, inbox */
    bool open;                       /* messages may be posted */
    bool sleeps;                     /* or is about to: who posts must ring */
    struct http_inbox {
        struct http_msg *first, **end;
    } inbox;
    struct list peers;        /* struct http_peer: every accepted socket */
    _Atomic unsigned n_peers; /* of them, and on their way to this thread */
    _Atomic bool is_full;     /* of the last second */
    uint64_t cpu_ns, cpu_at_ns; /* when that was looked at */
    struct list laters;       /* struct http_later whose request lives */
    struct list ws;           /* struct ws_conn */
    struct ws_fan fan;        /* of their deliveries */
    struct list watches;      /* struct http_watch */
    h2o_timeout_entry_t tick; /* linked while there is anything to look at */
    unsigned lingers;
    bool accept_paused; /* no descriptors left */
    bool stopping, killing;
    uint64_t stop_at_ms; /* h2o's clock */
    sem_t ready;
    struct http_counters count;
};

struct http_tls {
    _Atomic uint32_t refs;
    SSL_CTX *ctx;
    int64_t expires_s;
};

struct http_server {
    struct http_server_config cfg;
    char *bind, *cors, *name, *thread_name;
    h2o_globalconf_t conf;
    h2o_hostconf_t *host;
    cpu_set_t cpus;
    bool has_cpus, has_few_cpus;
    uint16_t port;
    _Atomic uint64_t conns;
    unsigned n_threads;
    bool stopped;
    struct http_thread *threads;
};

/* One accepted socket, for as long as it is open: plain, keep-alive or upgraded. */
struct http_peer {
    struct list link;
    struct http_thread *thread;
    h2o_socket_t *sock; /* while it is open; never followed when upgraded */
    int fd;
    bool upgraded;
    h2o_socket_t *linger; /* a second descriptor of the socket, see http_linger.c */
    bool has_acked;       /* for the present answer */
    uint64_t acked;       /* TCP's count when last looked at */
    uint64_t moved_at_ms; /* when acked last changed */
};

struct http_req {
    h2o_req_t *h;
    struct http_thread *thread;
    void *data; /* the gate's */
    bool done;
};

struct http_later {
    struct http_msg msg;
    struct list link;
    struct http_thread *thread;
    h2o_req_t *h;             /* NULL: the client has gone */
    struct later_hook *hook;  /* in the request's pool */
    struct http_reply *reply;
};

/* The server thread that this is; NULL: none. */
extern _Thread_local struct http_thread *http_thread_here;
/* The thread's whole life; arg: struct http_thread. */
void *http_thread_main(void *arg);
/* False: the thread has ended or is ending; m stays the caller's. */
bool http_thread_post(struct http_thread *th, struct http_msg *m);
/* A chain of them, last's next where end points. */
bool http_thread_post_chain(struct http_thread *th, struct http_msg *first, struct http_msg **end);
/* Looks at what is open, within a second. */
void http_thread_tick(struct http_thread *th);
/* http_accept.c */
void http_accept_start(struct http_thread *th);
bool http_accept_has_few_cpus(const struct http_server *s);
/* For a connection of th's that has become a WebSocket. */
struct http_thread *http_place_of_ws(struct http_thread *th);
/* A connection of another thread's; it is among n_peers. NULL: there are too many, and sock is the caller's. */
struct http_peer *http_peer_import(struct http_thread *th, h2o_socket_export_t *sock);
/* http_answer.c: the handler and filter of the one path configuration; conf: http_server's. */
void http_answer_register(h2o_pathconf_t *p, struct http_server *s);
void http_answer_send(h2o_req_t *h, struct http_thread *th, struct http_reply *r);
struct http_peer *http_peer_of(h2o_req_t *h);
/* http_loop.c */
void http_watch_end_all(struct http_thread *th);
/* http_later.c: 503 for every deferred request */
void http_later_abandon(struct http_thread *th);
/* http_linger.c */
void http_linger_start(struct http_peer *p);
void http_linger_shut(struct http_peer *p); /* the peer's own socket has closed; p is about to be freed */
/* http_sweep.c: once a second and when stopping */
void http_sweep(struct http_thread *th);
void http_sweep_close_idle(struct http_thread *th);
bool http_peer_has_moved(struct http_peer *p, uint64_t now_ms, uint32_t limit_ms);
uint64_t http_tcp_acked(int fd);
/* ws_conn.c */
void ws_conn_tick(struct http_thread *th);
void ws_conn_close_all(struct http_thread *th, uint16_t code);
void ws_conn_kill_all(struct http_thread *th);

static inline void http_count(_Atomic uint64_t *c)
{
    atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

static inline struct slice http_slice(h2o_iovec_t v)
{
    return slice_of(v.base, v.len);
}

#endif
