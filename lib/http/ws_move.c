/* ws_move.c: a connection that has just become a WebSocket goes to the thread that shall have it
 * Owner:   the thread that accepted it until the message is posted, then the other. Nobody else wakes a connection before its
 *          first turn (c->scheduled), so that none sees it between the two
 */
#include <stdlib.h>

#include "http/ws_private.h"

struct move {
    struct http_msg msg;
    struct ws_conn *c;
    h2o_socket_export_t sock;
};

static void join(struct ws_conn *c, struct http_thread *th)
{
    pthread_mutex_lock(&c->lock);
    c->th = th;
    pthread_mutex_unlock(&c->lock);
    http_count(&th->count.ws_conns);
}

static void leave(struct ws_conn *c)
{
    list_del(&c->link);
    atomic_fetch_sub_explicit(&c->th->count.ws_conns, 1, memory_order_relaxed);
}

/* On the thread that shall have it. */
static void arrive(struct http_msg *m, struct http_thread *th)
{
    struct move *mv = CONTAINER_OF(m, struct move, msg);
    struct ws_conn *c = mv->c;

    list_push_back(&th->ws, &c->link);
    if (th->listener) /* else the server stops */
        c->peer = http_peer_import(th, &mv->sock);
    if (c->peer) {
        c->sock = c->peer->sock;
        http_count(&th->count.ws_moved);
        ws_io_begin(c);
    } else {
        atomic_fetch_sub_explicit(&th->n_peers, 1, memory_order_relaxed);
        http_count(&th->count.refused_conns);
        h2o_socket_dispose_export(&mv->sock);
        ws_io_die(c);
    }
    free(mv);
}

/* The other one has not begun, or has ended. */
static void come_back(struct move *mv, struct http_thread *th)
{
    struct http_thread *to = mv->c->th;

    atomic_fetch_sub_explicit(&to->count.ws_conns, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&to->n_peers, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&th->n_peers, 1, memory_order_relaxed);
    join(mv->c, th);
    arrive(&mv->msg, th);
}

bool ws_move(struct ws_conn *c)
{
    struct http_thread *from = c->th, *to = http_place_of_ws(from);
    struct move *mv = to != from ? malloc(sizeof(*mv)) : NULL;

    if (!mv)
        return false;
    *mv = (struct move){.msg.run = arrive, .c = c};
    if (h2o_socket_export(c->sock, &mv->sock) < 0) {
        free(mv);
        return false;
    }
    c->sock = NULL; /* closed, and its peer with it; the descriptor is not */
    c->peer = NULL;
    leave(c);
    atomic_fetch_add_explicit(&to->n_peers, 1, memory_order_relaxed);
    join(c, to);
    if (!http_thread_post(to, &mv->msg))
        come_back(mv, from);
    return true;
}
