/* lane_conn.c: one connection at the node's end
 * Note:    it is read into the server's one buffer; only what is left over is kept with it, so idle connections cost nothing
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lane/lane_impl.h"

#define HELLO_NS 5000000000ull

/* Asks epoll for what it waits for now. */
static bool watch(struct lane_conn *c, int op)
{
    uint32_t want = c->out.len ? EPOLLOUT : c->is_stalled ? EPOLLRDHUP : EPOLLIN;
    struct epoll_event e = {.events = want, .data.ptr = c};

    if (op == EPOLL_CTL_MOD && want == c->events)
        return true;
    c->events = want;
    return epoll_ctl(c->server->epoll, op, c->fd, &e) == 0;
}

void lane_conn_new(struct lane_server *s, int fd, uint8_t source, uint64_t now)
{
    struct lane_conn *c = calloc(1, sizeof(*c));
    int on = 1;

    if (!c) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->fd = fd;
    c->server = s;
    c->since_ns = now;
    c->source = source;
    list_push_back(&s->strangers, &c->node);
    s->n_strangers++;
    s->strangers_of[source]++;
    s->n_conns++;
    if (!watch(c, EPOLL_CTL_ADD))
        lane_conn_close(c);
}

/* It is one no more. */
static void leave_strangers(struct lane_conn *c)
{
    c->server->n_strangers--;
    c->server->strangers_of[c->source]--;
    list_del(&c->node);
}

void lane_conn_close(struct lane_conn *c)
{
    struct lane_server *s = c->server;

    s->n_conns--;
    s->n_stalled -= c->is_stalled;
    if (c->session) {
        atomic_fetch_sub(&s->n.conns, 1);
        lane_session_unref(c->session);
        list_del(&c->node);
    } else {
        leave_strangers(c);
    }
    close(c->fd);
    free(c->rest.p);
    free(c->out.p);
    free(c);
}

static void set_stalled(struct lane_conn *c, bool is)
{
    c->server->n_stalled += is;
    c->server->n_stalled -= c->is_stalled;
    c->is_stalled = is;
}

/* ---- frames ---- */

static bool take_hello(struct lane_conn *c, const struct lane_frame *f, struct wr *w)
{
    struct lane_server *s = c->server;
    struct lane_frame ready = {.type = LANE_READY, .max_payload = s->cfg.max_payload};

    c->session = lane_session_find(s, f->secret);
    if (!c->session) {
        LANE_COUNT(s, refused);
        return false;
    }
    LANE_COUNT(s, conns);
    leave_strangers(c);
    list_push_back(&s->conns, &c->node);
    lane_frame_write(w, &ready);
    return true;
}

/* Under the session's lock. */
static void take_publish(struct lane_conn *c, const struct lane_frame *f, struct wr *w)
{
    struct lane_server *s = c->server;
    struct lane_frame out = {.type = LANE_ANSWER, .number = f->number};
    struct lane_answer a;

    a.text[0] = 0;
    a.http = 0;
    set_stalled(c, !s->cfg.publish(c->session->user, f->topic, f->payload, &c->is_charged, &a));
    if (c->is_stalled) {
        if (!c->has_waited)
            LANE_COUNT(s, waits);
        c->has_waited = true;
        return;
    }
    c->has_waited = c->is_charged = false;
    LANE_COUNT(s, publishes);
    out.outcome = a.outcome;
    out.http = a.http;
    out.text = slice_str(a.text);
    lane_frame_write(w, &out);
}

/* Publishes as long as there is room for answers. Bytes done; -1: it cannot go on. */
static ssize_t publish_all(struct lane_conn *c, struct slice s, struct wr *w)
{
    struct lane_frame f;
    size_t at = 0;
    ssize_t n = 0;

    pthread_mutex_lock(&c->session->lock);
    while (!c->session->is_over && w->cap - w->len >= LANE_ANSWER_MAX) {
        n = lane_frame_read(&f, slice_of(s.p + at, s.len - at));
        if (n > 0 && f.type != LANE_PUBLISH)
            n = -1;
        if (n <= 0)
            break;
        take_publish(c, &f, w);
        if (c->is_stalled)
            break;
        at += (size_t)n;
    }
    pthread_mutex_unlock(&c->session->lock);
    if (n < 0)
        LANE_COUNT(c->server, broken);
    return n < 0 ? -1 : (ssize_t)at;
}

static ssize_t work(struct lane_conn *c, struct slice s, struct wr *w)
{
    struct lane_frame f;
    ssize_t n;

    if (c->session)
        return publish_all(c, s, w);
    n = lane_frame_may_be_hello(s) ? lane_frame_read(&f, s) : -1; /* who has not said the secret is not waited for with more */
    if (n < 0) {
        LANE_COUNT(c->server, broken);
        return -1;
    }
    return n > 0 && !take_hello(c, &f, w) ? -1 : n;
}

/* ---- bytes ---- */

/* Keeps a copy of s instead of what it had; s may lie in that. */
static bool keep(uint8_t **p, size_t *len, struct slice s)
{
    uint8_t *copy = s.len ? malloc(s.len) : NULL;

    if (s.len && !copy)
        return false;
    if (s.len)
        memcpy(copy, s.p, s.len);
    free(*p);
    *p = copy;
    *len = s.len;
    return true;
}

/* What the socket does not take is kept. */
static bool send_some(struct lane_conn *c, struct slice s)
{
    while (s.len) {
        ssize_t n = send(c->fd, s.p, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        s = slice_of(s.p + n, s.len - (size_t)n);
    }
    return keep(&c->out.p, &c->out.len, s);
}

/* All that can be done with s; what cannot is kept. False: the connection is to be closed. */
static bool run(struct lane_conn *c, struct slice s)
{
    ssize_t n;

    do {
        struct wr w = wr_of(c->server->answers, sizeof(c->server->answers));

        n = work(c, s, &w);
        if (n < 0 || (w.len && !send_some(c, slice_of(w.p, w.len))))
            return false;
        s = slice_of(s.p + n, s.len - (size_t)n);
    } while (n > 0 && s.len && !c->out.len && !c->is_stalled);
    return (s.len == c->rest.len && s.p == c->rest.p) || keep(&c->rest.p, &c->rest.len, s);
}

static bool read_some(struct lane_conn *c)
{
    struct lane_server *s = c->server;
    size_t had = c->rest.len; /* less than a frame: else it would not be read */
    ssize_t n;

    if (had)
        memcpy(s->in, c->rest.p, had);
    n = recv(c->fd, s->in + had, sizeof(s->in) - had, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    LANE_COUNT(s, reads);
    return run(c, slice_of(s->in, had + (size_t)n));
}

static void finish(struct lane_conn *c, bool goes_on)
{
    if (!goes_on || !watch(c, EPOLL_CTL_MOD))
        lane_conn_close(c);
}

void lane_conn_ready(struct lane_conn *c, uint32_t events)
{
    bool goes_on = !(events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP));

    if (goes_on && (events & EPOLLOUT)) {
        goes_on = send_some(c, slice_of(c->out.p, c->out.len));
        if (goes_on && !c->out.len && c->rest.len)
            goes_on = run(c, slice_of(c->rest.p, c->rest.len));
    } else if (goes_on && (events & EPOLLIN)) {
        goes_on = read_some(c);
    }
    finish(c, goes_on);
}

void lane_conn_retry(struct lane_conn *c)
{
    if (!c->is_stalled || c->out.len)
        return;
    set_stalled(c, false);
    finish(c, run(c, slice_of(c->rest.p, c->rest.len)));
}

void lane_conn_sweep(struct lane_conn *c, uint64_t now)
{
    bool is_over = false;

    if (c->session) {
        pthread_mutex_lock(&c->session->lock);
        is_over = c->session->is_over;
        pthread_mutex_unlock(&c->session->lock);
    } else if (now - c->since_ns >= HELLO_NS) {
        LANE_COUNT(c->server, refused);
        is_over = true;
    }
    if (is_over)
        lane_conn_close(c);
}
