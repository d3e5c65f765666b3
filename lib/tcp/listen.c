/* listen.c: listening ports and their half-open connections */
#include "tcp/stack.h"

struct listener *stack_listener(struct tcp_stack *s, uint16_t port)
{
    for (uint32_t i = 0; port && i < s->cfg.max_listeners; i++)
        if (s->listeners[i].port == port)
            return &s->listeners[i];
    return NULL;
}

int tcp_listen(struct tcp_stack *s, uint16_t port, uint32_t backlog)
{
    if (port == 0)
        return -TCP_EADDR;
    if (stack_listener(s, port))
        return -TCP_EINUSE;
    for (uint32_t i = 0; i < s->cfg.max_listeners; i++) {
        if (s->listeners[i].port == 0) {
            struct listener *l = &s->listeners[i];
            *l = (struct listener){.port = port, .backlog = backlog ? backlog : 1};
            list_init(&l->half);
            return 0;
        }
    }
    return -TCP_EFULL;
}

static struct tcp_conn *oldest_half(const struct listener *l)
{
    return list_is_empty(&l->half) ? NULL : CONTAINER_OF(l->half.next, struct tcp_conn, half_link);
}

void tcp_unlisten(struct tcp_stack *s, uint16_t port)
{
    struct listener *l = stack_listener(s, port);
    struct tcp_conn *c;

    if (!l)
        return;
    while ((c = oldest_half(l)))
        conn_finish(c, TCP_CLOSED_RESET);
    *l = (struct listener){0};
}

void listen_forget_half(struct tcp_conn *c)
{
    list_del(&c->half_link);
    c->stack->half_open_count--;
    c->listener->half_open--;
    c->listener = NULL;
}

void listen_syn(struct tcp_stack *s, struct listener *l, const struct ip_endpoint *remote,
                const struct tcp_in *in, uint64_t now)
{
    if (s->open_count >= s->cfg.max_conns) {
        s->n.drop_conn_full++;
        return; /* silence: the peer tries again */
    }
    /* The oldest gives way: a flood must come faster than honest handshakes take to hurt them. */
    if (l->half_open >= l->backlog || s->half_open_count >= s->cfg.max_half_open) {
        s->n.drop_backlog++;
        if (list_is_empty(&l->half))
            return; /* other ports hold them all */
        conn_free(oldest_half(l));
    }
    struct tcp_conn *c = conn_new(s, remote, l->port, now);
    if (!c) {
        s->n.drop_conn_full++;
        return;
    }
    c->listener = l;
    l->half_open++;
    s->half_open_count++;
    list_push_back(&l->half, &c->half_link);
    table_add(&s->table, &c->flow);
    c->in_table = true;
    s->n.conn_passive++;
    conn_timer_set(c, CONN_LIFE, now + s->cfg.syn_timeout_ns);
    conn_accept_syn(c, in, now);
}
