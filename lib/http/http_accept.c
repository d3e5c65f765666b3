/* http_accept.c: new connections, and which thread has them */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/http_place.h"
#include "http/http_private.h"

#define ACCEPTS_PER_WAKE 16

struct handover {
    struct http_msg msg;
    int fd;
};

static void on_peer_close(void *arg)
{
    struct http_peer *p = arg;

    http_linger_shut(p);
    list_del(&p->link);
    atomic_fetch_sub_explicit(&p->thread->n_peers, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&p->thread->server->conns, 1, memory_order_relaxed);
    free(p);
}

/* h2o says goodbye by TLS before it closes a socket, and waits for that to be written: as long as the client likes. The kernel
 * does not. */
static void bound_goodbye(const struct http_thread *th, int fd)
{
    unsigned ms = th->server->cfg.answer_timeout_ms;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static void log_conn(const char *what, int fd)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;
    socklen_t len = sizeof(sa);
    char host[INET6_ADDRSTRLEN] = "?";

    if (!log_is_on(LOG_DEBUG_L) || getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        return;
    inet_ntop(sa.ss_family, sa.ss_family == AF_INET6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host, sizeof(host));
    log_debug("\"HTTP connection %s\" ip=%s port=%u", what, host, ntohs(sa.ss_family == AF_INET6 ? in6->sin6_port : in->sin_port));
}

static void refuse(struct http_thread *th, int fd)
{
    log_conn("refused", fd);
    atomic_fetch_sub_explicit(&th->n_peers, 1, memory_order_relaxed);
    http_count(&th->count.refused_conns);
    close(fd);
}

/* It is among n_peers. NULL: there are too many. One that was let in before is not weighed again. */
static struct http_peer *peer_new(struct http_thread *th, int fd, bool is_let_in)
{
    struct http_server *s = th->server;
    struct http_peer *p = NULL;

    if (atomic_fetch_add_explicit(&s->conns, 1, memory_order_relaxed) < s->cfg.max_conns || is_let_in)
        p = calloc(1, sizeof(*p));
    if (!p) {
        atomic_fetch_sub_explicit(&s->conns, 1, memory_order_relaxed);
        return NULL;
    }
    p->thread = th;
    p->fd = fd;
    return p;
}

static void peer_has(struct http_peer *p, h2o_socket_t *sock)
{
    p->sock = sock;
    sock->on_close.cb = on_peer_close;
    sock->on_close.data = p;
    list_push_back(&p->thread->peers, &p->link);
    http_thread_tick(p->thread);
}

static void peer_open(struct http_thread *th, int fd)
{
    struct http_peer *p = peer_new(th, fd, false);
    int on = 1;

    if (!p) {
        refuse(th, fd);
        return;
    }
    http_count(&th->count.accepted);
    log_conn("open", fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (th->tls)
        bound_goodbye(th, fd);
    peer_has(p, h2o_evloop_socket_create(th->loop, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION));
    h2o_accept(&th->accept, p->sock);
}

struct http_peer *http_peer_import(struct http_thread *th, h2o_socket_export_t *sock)
{
    struct http_peer *p = peer_new(th, sock->fd, true);

    if (p)
        peer_has(p, h2o_socket_import(th->loop, sock));
    return p;
}

static void run_handover(struct http_msg *m, struct http_thread *th)
{
    int fd = CONTAINER_OF(m, struct handover, msg)->fd;

    free(CONTAINER_OF(m, struct handover, msg));
    if (th->listener)
        peer_open(th, fd);
    else
        refuse(th, fd); /* the server stops */
}

static void loads(const struct http_server *s, struct http_load *t)
{
    for (unsigned i = 0; i < s->n_threads; i++)
        t[i] = (struct http_load){.peers = atomic_load_explicit(&s->threads[i].n_peers, memory_order_relaxed),
                                  .ws = (unsigned)atomic_load_explicit(&s->threads[i].count.ws_conns, memory_order_relaxed),
                                  .is_full = atomic_load_explicit(&s->threads[i].is_full, memory_order_relaxed)};
}

static struct http_thread *choose(struct http_server *s)
{
    struct http_load t[HTTP_THREADS_MAX];

    loads(s, t);
    return &s->threads[http_place_peer(t, s->n_threads, s->has_few_cpus)];
}

struct http_thread *http_place_of_ws(struct http_thread *th)
{
    struct http_load t[HTTP_THREADS_MAX];
    struct http_server *s = th->server;

    loads(s, t);
    return &s->threads[http_place_ws(t, s->n_threads, th->index, s->has_few_cpus)];
}

static bool hand_over(struct http_thread *to, int fd)
{
    struct handover *h = malloc(sizeof(*h));

    if (!h)
        return false;
    *h = (struct handover){.msg.run = run_handover, .fd = fd};
    if (http_thread_post(to, &h->msg))
        return true;
    free(h);
    return false;
}

static void place(struct http_thread *th, int fd)
{
    struct http_thread *to = choose(th->server);

    atomic_fetch_add_explicit(&to->n_peers, 1, memory_order_relaxed);
    if (to != th && hand_over(to, fd))
        return;
    if (to != th) { /* it has not begun, or has ended */
        atomic_fetch_sub_explicit(&to->n_peers, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&th->n_peers, 1, memory_order_relaxed);
    }
    peer_open(th, fd);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct http_thread *th = listener->data;

    for (unsigned i = 0; !err && i < ACCEPTS_PER_WAKE; i++) {
        int fd = accept4(h2o_socket_get_fd(listener), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            place(th, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            http_count(&th->count.refused_conns);
            h2o_socket_read_stop(listener); /* else the loop would spin; the tick tries again */
            th->accept_paused = true;
            http_thread_tick(th);
        }
        return;
    }
}

void http_accept_start(struct http_thread *th)
{
    h2o_socket_read_start(th->listener, on_accept);
}

bool http_accept_has_few_cpus(const struct http_server *s)
{
    cpu_set_t own;

    if (s->has_cpus)
        return CPU_COUNT(&s->cpus) <= HTTP_PLACE_FEW_CPUS;
    return sched_getaffinity(0, sizeof(own), &own) == 0 && CPU_COUNT(&own) <= HTTP_PLACE_FEW_CPUS;
}
