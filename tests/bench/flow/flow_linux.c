/* flow_linux.c: either end over Linux's sockets (flow.h) */
#include "flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct sock {
    int fd;
    char mode;
    uint64_t bytes, first_ns, last_ns;
};

static uint8_t hot[FLOW_CHUNK], sink[FLOW_CHUNK];

static void watch(int epoll, int fd, void *p, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = p};

    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &ev) && (errno != ENOENT || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev)))
        flow_die("epoll_ctl");
}

static int new_socket(const struct flow_config *c)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        flow_die("socket");
    if (c->cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, c->cc, (socklen_t)strlen(c->cc)))
        flow_die(c->cc);
    return fd;
}

static struct sockaddr_in address_of(const struct flow_config *c)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(c->tcp_port)};

    if (c->ip && inet_pton(AF_INET, c->ip, &sin.sin_addr) != 1)
        flow_die(c->ip);
    return sin;
}

/* ---- server ---- */

static void drop(struct sock *s)
{
    close(s->fd);
    free(s);
}

static void generate(struct sock *s)
{
    for (unsigned i = 0; i < 8; i++)
        if (send(s->fd, hot, sizeof(hot), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
}

/* -1: the connection is over. */
static int swallow(struct sock *s, uint64_t now)
{
    ssize_t n = recv(s->fd, sink, sizeof(sink), MSG_DONTWAIT);

    if (n > 0) {
        s->bytes += (uint64_t)n;
        s->first_ns = s->first_ns ? s->first_ns : now;
        s->last_ns = now;
        return 0;
    }
    if (n == 0) {
        struct flow_swallowed r = {s->bytes, s->last_ns - s->first_ns};
        if (send(s->fd, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
            return -1;
    }
    return n < 0 && errno == EAGAIN ? 0 : -1;
}

static int echo(struct sock *s)
{
    ssize_t n = recv(s->fd, sink, sizeof(sink), MSG_DONTWAIT);

    if (n > 0)
        return send(s->fd, sink, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
    return n < 0 && errno == EAGAIN ? 0 : -1;
}

static int serve_one(struct sock *s, int epoll, uint32_t events, uint64_t now)
{
    if (!s->mode) {
        if (recv(s->fd, &s->mode, 1, MSG_DONTWAIT) != 1)
            return -1;
        if (s->mode == 'G')
            watch(epoll, s->fd, s, EPOLLOUT | EPOLLRDHUP);
    }
    if (events & (EPOLLHUP | EPOLLERR))
        return -1;
    switch (s->mode) {
    case 'G':
        if (events & EPOLLRDHUP)
            return -1;
        generate(s);
        return 0;
    case 'S': return swallow(s, now);
    case 'E': return echo(s);
    default: return -1;
    }
}

static void accept_some(int listener, int epoll)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct sock *s = calloc(1, sizeof(*s));
        s->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(epoll, fd, s, EPOLLIN);
    }
}

int flow_linux_serve(const struct flow_config *c)
{
    struct sockaddr_in sin = address_of(c);
    int listener = new_socket(c), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev[64];

    if (bind(listener, (struct sockaddr *)&sin, sizeof(sin)) || listen(listener, 1024))
        flow_die("listen");
    fcntl(listener, F_SETFL, O_NONBLOCK);
    watch(epoll, listener, NULL, EPOLLIN);
    printf("ready\n");
    fflush(stdout);
    while (!flow_stop) {
        int n = epoll_wait(epoll, ev, 64, 200);
        for (int i = 0; i < n; i++) {
            struct sock *s = ev[i].data.ptr;
            if (!s)
                accept_some(listener, epoll);
            else if (serve_one(s, epoll, ev[i].events, bench_now_ns()) < 0)
                drop(s);
        }
    }
    close(listener);
    return 0;
}

/* ---- clients ---- */

static int dial(const struct flow_config *c, char mode)
{
    struct sockaddr_in sin = address_of(c);
    int fd;

    for (unsigned tries = 0;; tries++) { /* the server may still be starting */
        fd = new_socket(c);
        if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
            break;
        close(fd);
        if (tries == 50)
            flow_die("connect");
        usleep(100000);
    }
    if (send(fd, &mode, 1, MSG_NOSIGNAL) != 1)
        flow_die("send");
    return fd;
}

static void dial_all(const struct flow_config *c, struct sock *s, int epoll, char mode, uint32_t events)
{
    for (unsigned i = 0; i < c->flows; i++) {
        s[i] = (struct sock){.fd = dial(c, mode), .mode = mode};
        watch(epoll, s[i].fd, &s[i], events);
    }
}

/* ---- what the server can send ---- */

struct receiver {
    const struct flow_config *c;
    struct sock s[FLOW_CONNS_MAX];
    unsigned open;
    int epoll;
    uint64_t begun_ns; /* 0: not counting yet */
    uint64_t bytes[FLOW_CONNS_MAX];
};

static void dial_begin(struct receiver *r, struct sock *s)
{
    struct sockaddr_in sin = address_of(r->c);

    s->fd = new_socket(r->c);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (connect(s->fd, (struct sockaddr *)&sin, sizeof(sin)) && errno != EINPROGRESS)
        flow_die("connect");
    watch(r->epoll, s->fd, s, EPOLLOUT);
}

static void dial_end(struct receiver *r, struct sock *s)
{
    socklen_t len = sizeof(int);
    int err = 0;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) || err || send(s->fd, "G", 1, MSG_NOSIGNAL) != 1)
        flow_die("connect");
    s->mode = 'G';
    r->open++;
    watch(r->epoll, s->fd, s, EPOLLIN);
}

static void receive_some(struct receiver *r, struct sock *s)
{
    ssize_t got = recv(s->fd, sink, sizeof(sink), MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN))
        flow_die("a flow broke");
    if (got > 0 && r->begun_ns)
        r->bytes[s - r->s] += (uint64_t)got;
}

static uint64_t receive_turn(struct receiver *r, uint64_t until)
{
    uint64_t now = bench_now_ns();
    struct epoll_event ev[64];
    int n = epoll_wait(r->epoll, ev, 64, now < until ? (int)((until - now) / 1000000 + 1) : 0);

    for (int i = 0; i < n; i++) {
        struct sock *s = ev[i].data.ptr;
        if (s->mode)
            receive_some(r, s);
        else
            dial_end(r, s);
    }
    return bench_now_ns();
}

/* All are dialled at the same time, and counted when all are open and the warm-up is over: a lost SYN costs a second, which is the
 * handshake's luck and not the rate. */
static void receive(const struct flow_config *c)
{
    static struct receiver r;
    uint64_t now = bench_now_ns(), end = now + FLOW_DIAL_NS, ns[FLOW_CONNS_MAX];

    r.c = c;
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < c->flows; i++)
        dial_begin(&r, &r.s[i]);
    while (r.open < c->flows && now < end)
        now = receive_turn(&r, end);
    if (r.open < c->flows)
        flow_die("the connections did not open");
    for (end = now + (uint64_t)(c->warm_seconds * 1e9); now < end;)
        now = receive_turn(&r, end);
    r.begun_ns = now;
    for (end = now + (uint64_t)(c->seconds * 1e9); now < end;)
        now = receive_turn(&r, end);
    for (unsigned i = 0; i < c->flows; i++)
        ns[i] = now - r.begun_ns;
    flow_report_rate(r.bytes, ns, c->flows);
}

/* Sends for the time, then wants to hear how much of it came. */
static void send_all(const struct flow_config *c)
{
    static struct sock s[FLOW_CONNS_MAX];
    uint64_t bytes[FLOW_CONNS_MAX], ns[FLOW_CONNS_MAX], begun = bench_now_ns(), end = begun + (uint64_t)(c->seconds * 1e9);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct flow_swallowed r;
    struct epoll_event ev[64];

    dial_all(c, s, epoll, 'S', EPOLLOUT);
    while (bench_now_ns() < end) {
        int n = epoll_wait(epoll, ev, 64, 100);
        for (int i = 0; i < n; i++)
            generate(ev[i].data.ptr);
    }
    for (unsigned i = 0; i < c->flows; i++)
        shutdown(s[i].fd, SHUT_WR);
    for (unsigned i = 0; i < c->flows; i++) {
        if (recv(s[i].fd, &r, sizeof(r), MSG_WAITALL) != sizeof(r))
            flow_die("the server did not tell what came");
        bytes[i] = r.bytes;
        ns[i] = r.ns ? r.ns : 1;
    }
    flow_report_rate(bytes, ns, c->flows);
}

static void ping(const struct flow_config *c)
{
    static uint32_t ns[FLOW_PINGS_MAX];
    uint64_t end = bench_now_ns() + (uint64_t)(c->seconds * 1e9), t;
    int fd = dial(c, 'E');
    unsigned n = 0;

    while (n < FLOW_PINGS_MAX && (t = bench_now_ns()) < end) {
        if (send(fd, hot, c->size, MSG_NOSIGNAL) != (ssize_t)c->size || recv(fd, sink, c->size, MSG_WAITALL) != (ssize_t)c->size)
            flow_die("ping");
        ns[n++] = (uint32_t)(bench_now_ns() - t);
    }
    flow_report_ping(ns, n);
}

static void open_next(const struct flow_config *c, struct sock *s, int epoll)
{
    struct sockaddr_in sin = address_of(c);
    struct linger reset = {1, 0};

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* a reset at the end: no port waits for its time to pass */
    s->mode = 0;
    if (connect(s->fd, (struct sockaddr *)&sin, sizeof(sin)) && errno != EINPROGRESS)
        flow_die("connect");
    watch(epoll, s->fd, s, EPOLLOUT);
}

/* Connections one after another on each of `flows` places: connect, a byte there and back, reset. */
static void connects(const struct flow_config *c)
{
    static struct sock s[FLOW_CONNS_MAX];
    uint64_t begun = bench_now_ns(), end = begun + (uint64_t)(c->seconds * 1e9), done = 0, failed = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev[64];

    for (unsigned i = 0; i < c->flows; i++)
        open_next(c, &s[i], epoll);
    while (bench_now_ns() < end) {
        int n = epoll_wait(epoll, ev, 64, 100);
        for (int i = 0; i < n; i++) {
            struct sock *f = ev[i].data.ptr;
            if (!(ev[i].events & (EPOLLERR | EPOLLHUP)) && !f->mode && send(f->fd, "Ex", 2, MSG_NOSIGNAL) == 2) {
                f->mode = 'E';
                watch(epoll, f->fd, f, EPOLLIN);
                continue;
            }
            if (f->mode && recv(f->fd, sink, 1, 0) == 1)
                done++;
            else
                failed++;
            close(f->fd);
            open_next(c, f, epoll);
        }
    }
    flow_report_connects(done, bench_now_ns() - begun, failed);
}

int flow_linux_client(const struct flow_config *c)
{
    switch (c->mode) {
    case FLOW_RECV: receive(c); break;
    case FLOW_SEND: send_all(c); break;
    case FLOW_PING: ping(c); break;
    case FLOW_CONNECT: connects(c); break;
    default: return 1;
    }
    return 0;
}
