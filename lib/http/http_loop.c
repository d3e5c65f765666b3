#include "http/http_loop.h"

#include <stdlib.h>

#include "http/http_private.h"

_Thread_local struct http_thread *http_thread_here;

struct call {
    struct http_msg msg;
    void (*run)(void *user);
    void *user;
};

struct http_watch {
    struct list link;
    h2o_socket_t *sock;
    struct http_watch_ops ops;
    void *user;
};

int http_loop_index(const struct http_server *s)
{
    return http_thread_here && http_thread_here->server == s ? (int)http_thread_here->index : -1;
}

static void run_call(struct http_msg *m, struct http_thread *th)
{
    struct call c = *CONTAINER_OF(m, struct call, msg);

    (void)th;
    free(CONTAINER_OF(m, struct call, msg));
    c.run(c.user);
}

bool http_loop_run(struct http_server *s, unsigned i, void (*run)(void *user), void *user)
{
    struct call *c = malloc(sizeof(*c));

    if (!c)
        return false;
    *c = (struct call){.msg.run = run_call, .run = run, .user = user};
    if (http_thread_post(&s->threads[i], &c->msg))
        return true;
    free(c);
    return false;
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct http_watch *w = sock->data;

    (void)err; /* whoever reads sees it */
    w->ops.on_ready(w->user);
}

static void on_writable(h2o_socket_t *sock, const char *err)
{
    struct http_watch *w = sock->data;

    (void)err;
    w->ops.on_writable(w->user);
}

struct http_watch *http_watch_new(int fd, const struct http_watch_ops *ops, void *user)
{
    struct http_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->ops = *ops;
    w->user = user;
    w->sock = h2o_evloop_socket_create(http_thread_here->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    w->sock->data = w;
    list_push_back(&http_thread_here->watches, &w->link);
    h2o_socket_read_start(w->sock, on_readable);
    return w;
}

void http_watch_want_write(struct http_watch *w)
{
    if (!h2o_socket_is_writing(w->sock))
        h2o_socket_notify_write(w->sock, on_writable);
}

void http_watch_free(struct http_watch *w)
{
    if (!w)
        return;
    list_del(&w->link);
    h2o_socket_close(w->sock);
    free(w);
}

void http_watch_end_all(struct http_thread *th)
{
    LIST_EACH(it, &th->watches)
    {
        struct http_watch *w = CONTAINER_OF(it, struct http_watch, link);

        w->ops.on_end(w->user);
    }
}
