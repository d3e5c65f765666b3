/* http_linger.c: letting a client read its refusal
 * Why:     h2o answers 413 and closes at once. With the rest of the body still unread, the kernel then sends RST, and RST
 *          throws away the answer on its way. So a second descriptor of the same socket takes and forgets what still comes
 * Limits:  LINGER_BYTES and LINGER_MS
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/http_private.h"

#define LINGER_BYTES (64u << 20)
#define LINGER_MS    10000

struct lingering {
    struct http_peer *peer; /* NULL once its socket has closed */
    h2o_socket_t *sock;
    h2o_timeout_entry_t timer;
    struct http_thread *thread;
    unsigned ticks;
    uint64_t bytes;
};

static void linger_end(struct lingering *l)
{
    if (l->peer)
        l->peer->linger = NULL;
    h2o_timeout_unlink(&l->timer);
    h2o_socket_close(l->sock);
    l->thread->lingers--;
    free(l);
}

static void on_read(h2o_socket_t *sock, const char *err)
{
    struct lingering *l = sock->data;

    l->bytes += sock->input->size;
    h2o_buffer_consume(&sock->input, sock->input->size);
    if (err || l->bytes > LINGER_BYTES)
        linger_end(l);
}

static void on_timer(h2o_timeout_entry_t *e)
{
    struct lingering *l = CONTAINER_OF(e, struct lingering, timer);

    if (++l->ticks >= LINGER_MS / 100 || l->thread->stopping)
        linger_end(l);
    else
        h2o_timeout_link(l->thread->loop, &l->thread->ctx.hundred_ms_timeout, &l->timer);
}

void http_linger_start(struct http_peer *p)
{
    struct lingering *l;
    int fd;

    if (p->linger)
        return;
    fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
    l = fd >= 0 ? calloc(1, sizeof(*l)) : NULL;
    if (!l) {
        if (fd >= 0)
            close(fd);
        return;
    }
    l->peer = p;
    l->thread = p->thread;
    l->thread->lingers++;
    l->sock = h2o_evloop_socket_create(p->thread->loop, fd, 0);
    l->sock->data = l;
    l->timer.cb = on_timer;
    p->linger = l->sock;
    h2o_timeout_link(p->thread->loop, &p->thread->ctx.hundred_ms_timeout, &l->timer);
    h2o_socket_read_start(l->sock, on_read);
}

void http_linger_shut(struct http_peer *p)
{
    struct lingering *l;

    if (!p->linger)
        return;
    l = p->linger->data;
    l->peer = NULL;
    shutdown(h2o_socket_get_fd(l->sock), SHUT_WR); /* the answer is out: say so */
}
