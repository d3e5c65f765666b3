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

/* c becomes a half-open connection of l. */
static void add_half(struct listener *l, struct tcp_conn *c, uint64_t now)
{
    struct tcp_stack *s = c->stack;

    c->listener = l;
    l->half_open++;
    s->half_open_count++;
    list_push_back(&l->half, &c->half_link);
    table_add(&s->table, &c->flow);
    c->in_table = true;
    s->n.conn_passive++;
    conn_timer_set(c, CONN_LIFE, now + s->cfg.syn_timeout_ns);
}

/* ---- cookies ---- */

static void answer_with_cookie(struct tcp_stack *s, const struct listener *l, const struct ip_endpoint *remote,
                               const struct tcp_in *in, const uint8_t *src_mac, uint64_t now)
{
    struct syncookie_facts f = {.remote = *remote,
                                .local_port = l->port,
                                .irs = in->seq,
                                .mss = in->opt.has_mss ? in->opt.mss : conn_mss_default(&remote->ip),
                                .has_ts = in->opt.has_ts,
                                .has_sack = in->opt.has_sack_ok,
                                .has_ecn = conn_ecn_is_asked(&s->cfg, in),
                                .has_wscale = in->opt.has_wscale,
                                .wscale = in->opt.wscale};
    struct tcp_out o = {.src_mac = s->cfg.mac,
                        .dst_mac = src_mac,
                        .src_ip = stack_our_ip(s, &remote->ip),
                        .dst_ip = &remote->ip,
                        .src_port = l->port,
                        .dst_port = remote->port,
                        .seq = syncookie_make(&s->cookie, &f, s->rng, now),
                        .ack = in->seq + 1,
                        .wnd = conn_first_window(&s->cfg),
                        .flags = TCP_SYN | TCP_ACK,
                        .ttl = s->cfg.ttl};

    o.opt = (struct tcp_options){.has_mss = true,
                                 .mss = conn_our_mss(&s->cfg, &remote->ip),
                                 .has_sack_ok = f.has_sack,
                                 .has_wscale = f.has_wscale,
                                 .wscale = conn_window_scale(&s->cfg),
                                 .has_ts = f.has_ts,
                                 .ts_val = syncookie_timestamp(&f, stack_ts(s, remote, l->port, now)),
                                 .ts_ecr = in->opt.ts_val};
    if (f.has_ecn)
        o.flags |= TCP_ECE;
    if (stack_reply(s, &o))
        s->n.syncookie_sent++;
}

/* The cookie is checked by the number of the SYN, which only what follows it at once tells. Of data further on, when the ACK and the
 * first packet were lost or are late, half of the cookie tells that they are of its peer: they are dropped and come again. Silence
 * for all would meet the connections of before a restart too, just when cookies are given because everybody comes back at once, and
 * these must hear that they are gone. */
struct tcp_conn *listen_cookie(struct tcp_stack *s, struct listener *l, const struct ip_endpoint *remote,
                               const struct tcp_in *in, bool *is_early, uint64_t now)
{
    struct syncookie_facts f = {
        .remote = *remote, .local_port = l->port, .irs = in->seq - 1, .has_ts = in->opt.has_ts};
    enum syncookie_verdict verdict = syncookie_check(&s->cookie, &f, in->ack - 1, in->opt.ts_ecr, s->rng, now);

    *is_early = verdict == SYNCOOKIE_EARLY;
    s->n.syncookie_early += verdict == SYNCOOKIE_EARLY;
    s->n.syncookie_failed += verdict == SYNCOOKIE_FORGED;
    if (verdict != SYNCOOKIE_OURS)
        return NULL;
    struct tcp_conn *c = s->open_count < s->cfg.max_conns ? conn_new(s, remote, l->port, now) : NULL;
    if (!c) {
        s->n.drop_conn_full++;
        return NULL;
    }
    s->n.syncookie_accepted++;
    add_half(l, c, now);
    conn_accept_cookie(c, in, &f, now);
    return c;
}

/* ---- SYNs ---- */

void listen_syn(struct tcp_stack *s, struct listener *l, const struct ip_endpoint *remote,
                const struct tcp_in *in, const uint8_t *src_mac, uint64_t now)
{
    if (s->open_count >= s->cfg.max_conns) {
        s->n.drop_conn_full++;
        return; /* silence: the peer tries again */
    }
    if (l->half_open >= l->backlog || s->half_open_count >= s->cfg.max_half_open) {
        if (s->cfg.syn_cookies) {
            answer_with_cookie(s, l, remote, in, src_mac, now);
            return;
        }
        /* The oldest gives way: a flood must come faster than honest handshakes take to hurt them. */
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
    add_half(l, c, now);
    conn_accept_syn(c, in, now);
}
