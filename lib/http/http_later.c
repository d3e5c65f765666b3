/* http_later.c: requests that are answered later, from any thread
 * Why:     h2o stops reading from a client whose request is under way, and starts again after the answer: two epoll_ctl a request. So
 *          we go on reading for it. What is read must not move the request, whose names and body lie in the socket's buffer: the
 *          socket gets another one meanwhile. Hardly ever does anything come; when it does, reading stops as h2o would have it, and
 *          what came is put behind the request, for h2o to find when the request is over
 */
#include <assert.h>

#include "base/stash.h"
#include "http/http_private.h"

/* In the request's pool: what is to be done when the request is over, answered or not. */
struct later_hook {
    struct http_later *later; /* NULL: it is on its way out */
    h2o_socket_t *sock;
    h2o_buffer_t *input; /* the socket's own; NULL: it has it */
};

/* The client says more, or goes away, before its answer. */
static void on_early(h2o_socket_t *sock, const char *err)
{
    (void)err; /* h2o will hear of it when it reads again */
    h2o_socket_read_stop(sock);
}

static void lend_input(struct later_hook *k)
{
    if (k->sock->ssl || h2o_socket_is_reading(k->sock))
        return;
    k->input = k->sock->input;
    h2o_buffer_init(&k->sock->input, &h2o_socket_buffer_prototype);
    h2o_socket_read_start(k->sock, on_early);
}

static void return_input(struct later_hook *k)
{
    h2o_buffer_t *early = k->sock->input;
    h2o_iovec_t room;

    if (!k->input)
        return;
    k->sock->input = k->input;
    if (early->size) {
        room = h2o_buffer_reserve(&k->sock->input, early->size);
        memcpy(room.base, early->bytes, early->size);
        k->sock->input->size += early->size;
    }
    h2o_buffer_dispose(&early);
}

/* The request is being disposed: answered, or the client has gone. h2o has not looked at the input since, and does so next. */
static void on_hook_dispose(void *p)
{
    struct later_hook *k = p;

    return_input(k);
    if (!k->later)
        return;
    k->later->h = NULL;
    list_del(&k->later->link);
}

static struct http_reply *unhook(struct http_later *l)
{
    struct http_reply *r = l->reply;

    l->hook->later = NULL;
    list_del(&l->link);
    l->reply = NULL;
    return r;
}

static void later_run(struct http_msg *m, struct http_thread *th)
{
    struct http_later *l = CONTAINER_OF(m, struct http_later, msg);

    if (l->h) {
        h2o_req_t *h = l->h;

        http_answer_send(h, th, unhook(l));
    } else {
        http_count(&th->count.deferred_vanished);
        http_reply_free(l->reply);
    }
    stash_put(l, sizeof(*l));
}

struct http_later *http_req_defer(struct http_req *q)
{
    struct http_later *l = stash_get(sizeof(*l));

    assert(!q->done);
    if (!l)
        return NULL;
    *l = (struct http_later){.msg.run = later_run, .thread = q->thread, .h = q->h};
    l->hook = h2o_mem_alloc_shared(&q->h->pool, sizeof(*l->hook), on_hook_dispose);
    *l->hook = (struct later_hook){.later = l, .sock = q->h->conn->callbacks->get_socket(q->h->conn)};
    lend_input(l->hook);
    list_push_back(&q->thread->laters, &l->link);
    q->done = true;
    return l;
}

void http_later_send(struct http_later *l, struct http_reply *r)
{
    l->reply = r;
    if (http_thread_post(l->thread, &l->msg))
        return;
    http_reply_free(r); /* the server has stopped */
    stash_put(l, sizeof(*l));
}

/* Stopping: nobody will wait for these. Their laters stay with whoever holds them. */
void http_later_abandon(struct http_thread *th)
{
    LIST_EACH(it, &th->laters)
    {
        struct http_later *l = CONTAINER_OF(it, struct http_later, link);
        h2o_req_t *h = l->h;

        l->hook->later = NULL;
        l->h = NULL;
        list_del(&l->link);
        h->http1_is_persistent = 0;
        http_answer_send(h, th, http_reply_error(503, "shutting down"));
    }
}
