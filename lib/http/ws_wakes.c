/* ws_wakes.c: the wake-ups of one delivery to many, by server thread */
#include "http/ws_private.h"

bool ws_wakes_add(struct ws_wakes *w, struct http_thread *th, struct http_msg *m)
{
    struct ws_wakes_of *o = w->of;

    while (o < w->of + w->n && o->thread != th)
        o++;
    if (o == w->of + WS_WAKES_THREADS)
        return false;
    if (o == w->of + w->n) {
        *o = (struct ws_wakes_of){.thread = th, .end = &o->first};
        w->n++;
    }
    *o->end = m;
    o->end = &m->next;
    return true;
}

/* The server has stopped: the wake-ups' references come back. */
static void let_go(struct http_msg *m)
{
    struct http_msg *next;

    for (; m; m = next) {
        next = m->next;
        ws_conn_unref(CONTAINER_OF(m, struct ws_conn, wake));
    }
}

void ws_wakes_post(struct ws_wakes *w)
{
    for (struct ws_wakes_of *o = w->of; o < w->of + w->n; o++)
        if (!http_thread_post_chain(o->thread, o->first, o->end))
            let_go(o->first);
    w->n = 0;
}
