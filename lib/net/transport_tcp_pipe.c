/* transport_tcp_pipe.c: one pipe over our TCP (transport_tcp_pvt.h) */
#include <stdlib.h>

#include "net/transport_tcp_pvt.h"

#define LINGER_NS 3000000000ull /* of a polite close */

struct tpipe *tpipe_new(struct ttcp *t, struct tcp_conn *tcp)
{
    struct tpipe *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->pipe.transport = &t->t;
    p->tcp = tcp;
    list_push_back(&t->all, &p->node);
    return p;
}

void tpipe_free(struct tpipe *p)
{
    struct ttcp *t = owner_of(p);

    if (t->gone == p)
        t->gone = NULL;
    if (t->lent_pipe == p)
        t->lent_pipe = NULL;
    buf_unref(p->rest);
    list_del(&p->node);
    list_del(&p->ready);
    list_del(&p->waiting);
    free(p);
}

void tpipe_mark_ready(struct ttcp *t, struct tpipe *p)
{
    if (!list_is_linked(&p->ready))
        list_push_back(&t->ready, &p->ready);
}

void ttcp_settle(struct ttcp *t)
{
    uint32_t taken = 0;

    if (!t->lent_pipe)
        return;
    for (unsigned i = 0; i < t->lent_at; i++)
        taken += (uint32_t)t->lent[i].len;
    if (t->lent_pipe->tcp)
        tcp_recv_consume(t->lent_pipe->tcp, taken);
    t->lent_pipe = NULL;
}

int tpipe_recv(struct pipe *pipe, struct slice *in, const char **reason)
{
    struct tpipe *p = tpipe_of(pipe);
    struct ttcp *t = owner_of(p);

    if (t->lent_pipe != p || t->lent_at == t->nlent) {
        ttcp_settle(t);
        t->nlent = p->tcp ? tcp_recv_peek(p->tcp, t->lent, PEEK_SLICES) : 0;
        t->lent_at = 0;
        if (t->nlent > 0)
            t->lent_pipe = p;
    }
    if (t->nlent > 0) {
        *in = t->lent[t->lent_at++];
        return 1;
    }
    if (p->broken) {
        list_del(&p->ready);
        *reason = p->broken;
        return PIPE_BROKEN;
    }
    list_del(&p->ready);
    return p->has_fin ? PIPE_END : PIPE_NOTHING;
}

uint64_t tpipe_room(const struct pipe *pipe)
{
    struct tpipe *p = tpipe_of(pipe);

    if (!p->rest)
        return UINT32_MAX; /* one send may be larger than the stack's room; its rest waits here */
    p->is_full = true;
    return 0;
}

bool tpipe_push_rest(struct tpipe *p)
{
    int n;

    if (!p->rest)
        return true;
    n = p->tcp ? tcp_send_buf(p->tcp, p->rest, p->rest_off, p->rest_len) : -TCP_ECLOSED;
    if (n == -TCP_ENOMEM) {
        owner_of(p)->is_starved = true;
        return false;
    }
    if (n >= 0 && (uint32_t)n < p->rest_len) {
        p->rest_off += (uint32_t)n;
        p->rest_len -= (uint32_t)n;
        return false;
    }
    buf_unref(p->rest); /* all taken, or closed: an event says so */
    p->rest = NULL;
    return true;
}

void tpipe_send(struct pipe *pipe, struct buf *b, uint32_t off, uint32_t len, uint64_t now)
{
    struct tpipe *p = tpipe_of(pipe);

    if (len == 0 || !p->tcp)
        return;
    p->rest = buf_ref(b); /* room was not 0, so nothing else waits */
    p->rest_off = off;
    p->rest_len = len;
    tpipe_push_rest(p);
}

void tpipe_finish(struct pipe *pipe)
{
    struct tpipe *p = tpipe_of(pipe);

    p->is_finishing = true;
    if (p->tcp && !p->broken && tpipe_push_rest(p))
        tcp_close(p->tcp);
}

void tpipe_close(struct pipe *pipe, bool is_polite, uint64_t now)
{
    struct tpipe *p = tpipe_of(pipe);
    struct ttcp *t = owner_of(p);

    ttcp_settle(t);
    p->pipe.user = NULL;
    list_del(&p->ready);
    if (!p->tcp || p->broken) {
        tpipe_free(p);
        return;
    }
    if (!is_polite) {
        tcp_abort(p->tcp);
        tpipe_free(p);
        return;
    }
    p->is_orphan = true;
    p->linger_until = now + LINGER_NS;
    list_del(&p->waiting);
    list_push_back(&t->lingering, &p->waiting);
    tpipe_finish(pipe);
    tpipe_mark_ready(t, p); /* to throw away what is unread */
}
