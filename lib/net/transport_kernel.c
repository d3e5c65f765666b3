/* transport_kernel.c: epoll over non-blocking sockets (transport_kernel.h) */
#include "net/transport_kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"
#include "base/timerq.h"

#define SCRATCH_BYTES    (256u << 10)
#define QUEUE_PIECES     64           /* per pipe; room is 0 when they are all in use */
#define QUEUE_BYTES      (512u << 10) /* beyond what the socket itself buffers */
#define EVENTS           64
#define ACCEPTS_PER_POLL 16 /* so that a flood of connects leaves time for the others */
#define ACCEPT_REST_NS   100000000ull
#define LINGER_NS        3000000000ull /* for queued bytes of a polite close */

struct piece {
    struct buf *buf;
    uint32_t off, len;
};

struct kpipe {
    struct pipe pipe;
    struct list node; /* of kernel.dead or kernel.orphans */
    int fd;           /* -1 once closed */
    bool is_connecting;
    bool is_orphan; /* the connection has left; queued bytes still go out */
    bool is_full;   /* room was 0: owe a PIPE_ROOM */
    bool is_broken;
    bool is_finishing; /* FIN follows the queue */
    bool is_drained;   /* the last recv got all there was: spares the call that would say so */
    uint32_t interest; /* epoll events asked for */
    uint32_t first, count;
    uint64_t queued;
    uint64_t linger_until;
    struct piece queue[QUEUE_PIECES];
};

struct kernel {
    struct transport t;
    int epfd;
    struct listener listener;
    struct list dead; /* closed pipes whose events may still be in the array */
    struct list orphans;
    struct epoll_event events[EVENTS];
    unsigned nevents, at;
    bool has_in_done; /* of events[at], its IN was handed out */
    unsigned accepts_left;
    uint64_t accept_again_ns; /* the listener rests until then: no descriptors; 0: it does not */
    uint64_t accepts_failed;
    uint64_t now;
    const char *cc; /* congestion control of sockets; NULL: the system's */
    uint8_t *scratch;
};

static struct kernel *kernel_of(struct transport *t)
{
    return CONTAINER_OF(t, struct kernel, t);
}

static struct kpipe *kpipe_of(const struct pipe *p)
{
    return CONTAINER_OF((struct pipe *)(uintptr_t)p, struct kpipe, pipe);
}

static struct kernel *owner_of(const struct kpipe *k)
{
    return kernel_of(k->pipe.transport);
}

/* ---- pipes ---- */

static void set_interest(struct kpipe *k, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = k};

    if (k->fd < 0 || events == k->interest)
        return;
    epoll_ctl(owner_of(k)->epfd, EPOLL_CTL_MOD, k->fd, &ev);
    k->interest = events;
}

static struct kpipe *kpipe_new(struct kernel *kn, int fd, uint32_t interest)
{
    struct kpipe *k = calloc(1, sizeof(*k));
    struct epoll_event ev = {.events = interest};
    int one = 1;

    if (!k)
        return NULL;
    k->pipe.transport = &kn->t;
    k->fd = fd;
    k->interest = interest;
    ev.data.ptr = k;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(kn->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        free(k);
        return NULL;
    }
    return k;
}

static void drop_queue(struct kpipe *k)
{
    for (; k->count > 0; k->count--) {
        buf_unref(k->queue[k->first].buf);
        k->first = (k->first + 1) % QUEUE_PIECES;
    }
    k->queued = 0;
}

/* Closes the descriptor; the struct waits on the dead list until no event can name it. */
static void bury(struct kpipe *k, bool is_reset)
{
    struct linger hard = {1, 0};

    drop_queue(k);
    if (k->fd >= 0) {
        if (is_reset)
            setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(k->fd);
        k->fd = -1;
    }
    list_del(&k->node);
    list_push_back(&owner_of(k)->dead, &k->node);
}

static void advance(struct kpipe *k, size_t n)
{
    k->queued -= n;
    while (n > 0) {
        struct piece *p = &k->queue[k->first];

        if (n < p->len) {
            p->off += (uint32_t)n;
            p->len -= (uint32_t)n;
            return;
        }
        n -= p->len;
        buf_unref(p->buf);
        k->first = (k->first + 1) % QUEUE_PIECES;
        k->count--;
    }
}

/* Writes what the socket takes. A write error shows as PIPE_BROKEN at the next recv, which also has what arrived before. */
static void drain(struct kpipe *k)
{
    while (k->count > 0) {
        struct iovec iov[QUEUE_PIECES];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = k->count};
        ssize_t n;

        for (uint32_t i = 0; i < k->count; i++) {
            const struct piece *p = &k->queue[(k->first + i) % QUEUE_PIECES];

            iov[i] = (struct iovec){p->buf->data + p->off, p->len};
        }
        n = sendmsg(k->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            advance(k, (size_t)n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            k->is_broken = true;
            drop_queue(k);
            break;
        }
    }
    if (k->count == 0 && k->is_finishing)
        shutdown(k->fd, SHUT_WR);
    set_interest(k, (k->is_orphan ? 0u : EPOLLIN) | (k->count > 0 ? EPOLLOUT : 0u));
}

static uint64_t kernel_room(const struct pipe *p)
{
    struct kpipe *k = kpipe_of(p);

    if (k->is_connecting)
        return 0;
    if (k->count < QUEUE_PIECES && k->queued < QUEUE_BYTES)
        return k->is_broken ? UINT32_MAX : QUEUE_BYTES - k->queued;
    k->is_full = true;
    return 0;
}

static void kernel_send(struct pipe *p, struct buf *b, uint32_t off, uint32_t len, uint64_t now)
{
    struct kpipe *k = kpipe_of(p);

    if (k->is_broken || len == 0)
        return;
    if (k->count == 0) {
        ssize_t n = send(k->fd, b->data + off, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            k->is_broken = true;
            return;
        }
        if (n > 0) {
            off += (uint32_t)n;
            len -= (uint32_t)n;
        }
        if (len == 0)
            return;
    }
    k->queue[(k->first + k->count++) % QUEUE_PIECES] = (struct piece){buf_ref(b), off, len};
    k->queued += len;
    set_interest(k, EPOLLIN | EPOLLOUT);
}

static void kernel_finish(struct pipe *p)
{
    struct kpipe *k = kpipe_of(p);

    k->is_finishing = true;
    if (k->count == 0)
        shutdown(k->fd, SHUT_WR);
}

static int kernel_recv(struct pipe *p, struct slice *in, const char **reason)
{
    struct kpipe *k = kpipe_of(p);
    struct kernel *kn = owner_of(k);
    ssize_t n;

    if (k->fd < 0 || (k->is_drained && !k->is_broken))
        return PIPE_NOTHING;
    n = recv(k->fd, kn->scratch, SCRATCH_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        k->is_drained = n < SCRATCH_BYTES;
        *in = slice_of(kn->scratch, (size_t)n);
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) && !k->is_broken)
        return PIPE_NOTHING;
    set_interest(k, 0); /* the end is told once, not at every poll */
    if (n == 0 && !k->is_broken)
        return PIPE_END;
    *reason = n < 0 && errno != EAGAIN && errno != EWOULDBLOCK ? strerrordesc_np(errno) : "connection broken";
    return PIPE_BROKEN;
}

static void kernel_close(struct pipe *p, bool is_polite, uint64_t now)
{
    struct kpipe *k = kpipe_of(p);

    k->pipe.user = NULL;
    if (!is_polite || k->count == 0 || k->is_broken || k->is_connecting) {
        bury(k, !is_polite);
        return;
    }
    k->is_orphan = true;
    k->linger_until = now + LINGER_NS;
    set_interest(k, EPOLLOUT);
    list_push_back(&owner_of(k)->orphans, &k->node);
}

/* ---- dialing ---- */

/* False: it keeps the system's. */
static bool set_cc(const struct kernel *kn, int fd)
{
    return !kn->cc || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kn->cc, (socklen_t)strlen(kn->cc)) == 0;
}

static struct pipe *kernel_dial(struct transport *t, const struct endpoint *to, uint64_t now,
                                const char **reason)
{
    struct kernel *kn = kernel_of(t);
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(to, &sa);
    int one = 1, fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct kpipe *k;

    if (fd < 0)
        goto fail;
    set_cc(kn, fd);
    if (kn->listener.source_len && kn->listener.source.ss_family == sa.ss_family) {
        /* The port is chosen at connect, so that ports are shared between different remotes. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&kn->listener.source, kn->listener.source_len) < 0)
            goto fail;
    }
    if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
        goto fail;
    k = kpipe_new(kn, fd, EPOLLOUT);
    if (!k) {
        errno = ENOMEM;
        goto fail;
    }
    k->is_connecting = true;
    return &k->pipe;
fail:
    *reason = strerrordesc_np(errno);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* ---- events ---- */

static void set_listening(struct kernel *kn, bool is_on)
{
    struct epoll_event ev = {.events = is_on ? EPOLLIN : 0u};

    epoll_ctl(kn->epfd, EPOLL_CTL_MOD, kn->listener.fd, &ev);
}

/* No descriptors left: the backlog waits, and a level-triggered listener must not keep us awake meanwhile. */
static void rest_listener(struct kernel *kn)
{
    kn->accepts_failed++;
    kn->accepts_left = 0;
    kn->accept_again_ns = kn->now + ACCEPT_REST_NS;
    set_listening(kn, false);
}

static bool accept_one(struct kernel *kn, struct pipe_event *ev)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct kpipe *k;
    int fd;

    if (kn->accepts_left == 0)
        return false;
    kn->accepts_left--;
    fd = accept4(kn->listener.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
            rest_listener(kn);
        return false;
    }
    k = kpipe_new(kn, fd, EPOLLIN);
    if (!k) {
        kn->accepts_failed++;
        close(fd);
        return false;
    }
    *ev = (struct pipe_event){.type = PIPE_NEW, .pipe = &k->pipe, .remote = endpoint_of_sockaddr(&sa)};
    return true;
}

static bool connect_done(struct kpipe *k, struct pipe_event *ev)
{
    int err = 0;
    socklen_t len = sizeof(err);

    getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    *ev = (struct pipe_event){.type = err ? PIPE_GONE : PIPE_OPEN,
                              .pipe = &k->pipe,
                              .reason = err ? strerrordesc_np(err) : NULL};
    k->is_connecting = false;
    set_interest(k, err ? 0 : EPOLLIN);
    return true;
}

static bool serve_orphan(struct kpipe *k)
{
    drain(k);
    if (k->count == 0)
        bury(k, false);
    return false;
}

/* Output has room again: true when someone waits for it. */
static bool made_room(struct kpipe *k, struct pipe_event *ev)
{
    drain(k);
    if (!k->is_full || (!k->is_broken && (k->count > QUEUE_PIECES / 2 || k->queued > QUEUE_BYTES / 2)))
        return false;
    k->is_full = false;
    *ev = (struct pipe_event){.type = PIPE_ROOM, .pipe = &k->pipe};
    return true;
}

/* One event of the array. Returns whether *ev was filled; *is_used up tells to go on to the next. */
static bool take_event(struct kernel *kn, const struct epoll_event *e, struct pipe_event *ev, bool *is_used)
{
    struct kpipe *k = e->data.ptr;

    *is_used = true;
    if (!k) {
        *is_used = !accept_one(kn, ev);
        return !*is_used;
    }
    if (k->fd < 0)
        return false;
    if (k->is_orphan)
        return serve_orphan(k);
    if (k->is_connecting)
        return connect_done(k, ev);
    if (!kn->has_in_done && (e->events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        kn->has_in_done = true;
        k->is_drained = false;
        *is_used = !(e->events & EPOLLOUT);
        *ev = (struct pipe_event){.type = PIPE_IN, .pipe = &k->pipe};
        return true;
    }
    return (e->events & EPOLLOUT) && made_room(k, ev);
}

static bool kernel_next_event(struct transport *t, struct pipe_event *ev)
{
    struct kernel *kn = kernel_of(t);

    while (kn->at < kn->nevents) {
        bool is_used, has = take_event(kn, &kn->events[kn->at], ev, &is_used);

        if (is_used) {
            kn->at++;
            kn->has_in_done = false;
        }
        if (has)
            return true;
    }
    return false;
}

static void clear_dead(struct kernel *kn)
{
    struct list *n;

    while ((n = list_pop_front(&kn->dead)))
        free(CONTAINER_OF(n, struct kpipe, node));
}

static unsigned kernel_poll(struct transport *t, uint64_t now)
{
    struct kernel *kn = kernel_of(t);
    int n;

    kn->now = now;
    clear_dead(kn); /* the last array is used up */
    if (kn->accept_again_ns && now >= kn->accept_again_ns) {
        kn->accept_again_ns = 0;
        set_listening(kn, true);
    }
    LIST_EACH(it, &kn->orphans)
    {
        struct kpipe *k = CONTAINER_OF(it, struct kpipe, node);

        if (now >= k->linger_until)
            bury(k, true);
    }
    n = epoll_wait(kn->epfd, kn->events, EVENTS, 0);
    kn->nevents = n > 0 ? (unsigned)n : 0;
    kn->at = 0;
    kn->has_in_done = false;
    kn->accepts_left = ACCEPTS_PER_POLL;
    return kn->nevents;
}

static void kernel_flush(struct transport *t, uint64_t now)
{
}

static uint64_t kernel_next_deadline(const struct transport *t)
{
    const struct kernel *kn = CONTAINER_OF(t, struct kernel, t);
    uint64_t at = kn->accept_again_ns ? kn->accept_again_ns : TIMER_NEVER;

    for (const struct list *it = kn->orphans.next; it != &kn->orphans; it = it->next) {
        const struct kpipe *k = CONTAINER_OF(it, struct kpipe, node);

        if (k->linger_until < at)
            at = k->linger_until;
    }
    return at;
}

static unsigned kernel_wait_fds(struct transport *t, int *fds, unsigned cap)
{
    if (cap == 0)
        return 0;
    fds[0] = kernel_of(t)->epfd;
    return 1;
}

static void kernel_stats(struct transport *t, struct transport_stats *out)
{
    *out = (struct transport_stats){.accepts_failed = kernel_of(t)->accepts_failed};
}

static bool kernel_link_is_up(struct transport *t, uint64_t now)
{
    return true;
}

static void kernel_free(struct transport *t)
{
    struct kernel *kn = kernel_of(t);

    LIST_EACH(it, &kn->orphans)
    bury(CONTAINER_OF(it, struct kpipe, node), true);
    clear_dead(kn);
    if (kn->listener.fd >= 0)
        close(kn->listener.fd);
    if (kn->epfd >= 0)
        close(kn->epfd);
    free(kn->scratch);
    free(kn);
}

static const struct transport_ops kernel_ops = {kernel_poll,          kernel_next_event, kernel_flush,
                                                kernel_next_deadline, kernel_wait_fds,   kernel_dial,
                                                kernel_recv,          kernel_room,       kernel_send,
                                                kernel_finish,        kernel_close,      kernel_stats,
                                                kernel_link_is_up,    kernel_free};

/* ---- opening ---- */

struct transport *transport_kernel_new(const char *listen_ip, uint16_t listen_port, enum listener_share share, const char *cc, char err[256])
{
    struct kernel *kn = calloc(1, sizeof(*kn));
    struct epoll_event ev = {.events = EPOLLIN};

    if (!kn) {
        snprintf(err, 256, "no memory");
        return NULL;
    }
    kn->t.ops = &kernel_ops;
    kn->listener.fd = -1;
    list_init(&kn->dead);
    list_init(&kn->orphans);
    kn->scratch = malloc(SCRATCH_BYTES);
    kn->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (!kn->scratch || kn->epfd < 0) {
        snprintf(err, 256, "epoll: %s", strerror(errno));
        goto fail;
    }
    if (listener_open(&kn->listener, listen_ip, listen_port, share, err) < 0)
        goto fail;
    kn->t.listen = kn->listener.listen;
    if (epoll_ctl(kn->epfd, EPOLL_CTL_ADD, kn->listener.fd, &ev) < 0) {
        snprintf(err, 256, "epoll: %s", strerror(errno));
        goto fail;
    }
    kn->cc = cc;
    if (!set_cc(kn, kn->listener.fd)) { /* accepted sockets inherit it */
        kn->t.no_cc = cc;
        kn->cc = NULL;
    }
    snprintf(kn->t.text, sizeof(kn->t.text), "kernel %s port %u", listen_ip ? listen_ip : "any",
             kn->t.listen.port);
    return &kn->t;
fail:
    kernel_free(&kn->t);
    return NULL;
}
