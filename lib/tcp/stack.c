#include "tcp/stack.h"

#include <assert.h>
#include <stdlib.h>

#define CONNS_PER_CHUNK     16
#define TIMEWAITS_PER_CHUNK 256
#define NEIGH_MAX           4096
#define NEIGH_SPARE         16
#define RST_PER_SECOND      1000
#define ICMP_PER_SECOND     100
#define LEAST_BUFFER_BYTES  2048

const char *tcp_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case TCP_ENOMEM: return "nomem";
    case TCP_EFULL: return "full";
    case TCP_EINUSE: return "inuse";
    case TCP_ENOPORT: return "noport";
    case TCP_EADDR: return "addr";
    case TCP_ECLOSED: return "closed";
    case TCP_ECONFIG: return "config";
    default: return "unknown";
    }
}

const char *tcp_reason_name(enum tcp_reason r)
{
    switch (r) {
    case TCP_CLOSED_DONE: return "done";
    case TCP_CLOSED_RESET: return "reset";
    case TCP_CLOSED_TIMEOUT: return "timeout";
    case TCP_CLOSED_REFUSED: return "refused";
    case TCP_CLOSED_UNREACHABLE: return "unreachable";
    case TCP_CLOSED_NO_MEMORY: return "nomem";
    }
    return "unknown";
}

void tcp_config_defaults(struct tcp_config *c)
{
    const uint64_t s = 1000000000ull, ms = 1000000ull;

    *c = (struct tcp_config){.prefix_len = 24,
                             .prefix6_len = 64,
                             .mtu_bytes = 1500,
                             .ttl = 64,
                             .syn_cookies = true,
                             .port_min = 40000,
                             .port_max = 49999,
                             .max_conns = 4096,
                             .max_half_open = 512,
                             .max_time_wait = 4096,
                             .max_listeners = 16,
                             .send_buf_bytes = 4u << 20,
                             .send_buf_max_bytes = 32u << 20,
                             .ecn = TCP_ECN_ACCEPT,
                             .recv_buf_bytes = 4u << 20,
                             .recv_buf_first_bytes = 256u << 10,
                             .rx_pool_bytes = 256ull << 20,
                             .tx_pool_bytes = 256ull << 20,
                             .rto_min_ns = 200 * ms,
                             .rto_max_ns = 60 * s,
                             .syn_timeout_ns = 10 * s,
                             .user_timeout_ns = 30 * s,
                             .fin_wait_ns = 60 * s,
                             .time_wait_ns = 60 * s,
                             .delayed_ack_ns = 40 * ms,
                             .quick_acks = 16,
                             .keepalive_idle_ns = 30 * s,
                             .keepalive_interval_ns = 5 * s,
                             .keepalive_probes = 4};
}

/* One of the two families: nothing, or an address, and a gateway of that family if there is one. */
static bool is_sane_family(uint8_t family, const struct ip_addr *ip, const struct ip_addr *gateway)
{
    if (ip->family == IP_NONE)
        return gateway->family == IP_NONE;
    return ip->family == family && ip_is_host(ip) &&
           (gateway->family == IP_NONE || (gateway->family == family && ip_is_host(gateway)));
}

static bool has_sane_addresses(const struct tcp_config *c)
{
    return is_sane_family(IP_V4, &c->ip, &c->gateway) && is_sane_family(IP_V6, &c->ip6, &c->gateway6) &&
           (c->ip.family || c->ip6.family) && c->prefix_len <= 32 && c->prefix6_len <= 128 &&
           (c->ip6.family == IP_NONE || c->mtu_bytes >= IPV6_MTU_MIN);
}

static bool is_sane(const struct tcp_config *c)
{
    return has_sane_addresses(c) && !eth_is_group(c->mac) && c->mtu_bytes >= PMTU_MIN &&
           c->mtu_bytes <= UINT16_MAX && (c->gso_max_bytes == 0 || c->csum_tx) && c->ttl > 0 &&
           c->port_min > 0 && c->port_min <= c->port_max && c->max_conns > 0 && c->max_half_open > 0 &&
           c->max_listeners > 0 && c->max_conns < 1u << 20 && c->max_half_open < 1u << 20 &&
           c->max_time_wait < 1u << 20 && c->send_buf_bytes >= LEAST_BUFFER_BYTES &&
           c->send_buf_bytes < 1u << 30 && c->recv_buf_bytes >= LEAST_BUFFER_BYTES &&
           c->send_buf_max_bytes < 1u << 30 && c->recv_buf_bytes < 1u << 30 &&
           (c->recv_buf_first_bytes == 0 || c->recv_buf_first_bytes >= LEAST_BUFFER_BYTES) && c->rx_pool_bytes >= 8 * RXPOOL_BLOCK_BYTES && c->rto_min_ns > 0 &&
           c->rto_max_ns >= c->rto_min_ns;
}

/* Everything that can fail, each once. Zeroed members are valid for tcp_stack_free. */
static int stack_allocate(struct tcp_stack *s)
{
    const struct tcp_config *c = &s->cfg;
    uint32_t conns = c->max_conns + c->max_half_open, neighs = conns + NEIGH_SPARE;
    uint64_t key[2];

    if (neighs > NEIGH_MAX)
        neighs = NEIGH_MAX;
    slab_init(&s->conns, sizeof(struct tcp_conn), CONNS_PER_CHUNK, conns);
    slab_init(&s->timewaits, sizeof(struct timewait), TIMEWAITS_PER_CHUNK, c->max_time_wait);
    rxpool_init(&s->rxpool, c->rx_pool_bytes);
    rng_fill(s->rng, key, sizeof(key));
    if (table_init(&s->table, conns + c->max_time_wait, key))
        return -1;
    rng_fill(s->rng, key, sizeof(key));
    if (neigh_init(&s->neigh, neighs, c->neigh_external, &s->timers, key))
        return -1;
    s->listeners = calloc(c->max_listeners, sizeof(*s->listeners));
    return s->listeners ? timerq_reserve(&s->timers, conns + neighs + 1) : -1;
}

struct tcp_stack *tcp_stack_new(const struct tcp_config *c, struct rng *rng, int *err, uint64_t now)
{
    struct tcp_stack *s = is_sane(c) ? calloc(1, sizeof(*s)) : NULL;

    if (err)
        *err = is_sane(c) ? -TCP_ENOMEM : -TCP_ECONFIG;
    if (!s)
        return NULL;
    s->cfg = *c;
    s->rng = rng;
    s->now_ns = now;
    timerq_init(&s->timers);
    s->timewait_timer.kind = TIMEWAIT_TIMER_KIND;
    list_init(&s->tx);
    list_init(&s->starved);
    list_init(&s->events);
    list_init(&s->unread);
    list_init(&s->timewait_list);
    rate_init(&s->rst_rate, RST_PER_SECOND, RST_PER_SECOND / 10);
    rate_init(&s->icmp_rate, ICMP_PER_SECOND, ICMP_PER_SECOND / 2);
    rng_fill(rng, s->isn_key, sizeof(s->isn_key));
    rng_fill(rng, s->ts_key, sizeof(s->ts_key));
    if (stack_allocate(s)) {
        tcp_stack_free(s);
        return NULL;
    }
    if (err)
        *err = 0;
    return s;
}

static void free_flows(struct tcp_stack *s)
{
    for (uint32_t i = 0; s->table.buckets && i <= s->table.mask; i++) {
        struct flow *f;
        while ((f = s->table.buckets[i])) {
            if (f->kind == FLOW_CONN)
                conn_free(CONTAINER_OF(f, struct tcp_conn, flow));
            else
                timewait_free(s, CONTAINER_OF(f, struct timewait, flow));
        }
    }
    /* Closed ones are out of the table: told, not yet told, or held by unread bytes. */
    while (!list_is_empty(&s->events))
        conn_free(CONTAINER_OF(s->events.next, struct tcp_conn, event_link));
    while (!list_is_empty(&s->unread))
        conn_free(CONTAINER_OF(s->unread.next, struct tcp_conn, tx_link));
    if (s->dying)
        conn_free(s->dying);
}

void tcp_stack_free(struct tcp_stack *s)
{
    if (!s)
        return;
    free_flows(s);
    while (s->ctl_head != s->ctl_tail)
        buf_unref(s->ctl[s->ctl_head++ % STACK_CTL_QUEUE].payload);
    buf_unref(s->lent_out);
    slab_fini(&s->conns);
    slab_fini(&s->timewaits);
    rxpool_fini(&s->rxpool);
    table_fini(&s->table);
    neigh_fini(&s->neigh);
    timerq_fini(&s->timers);
    free(s->listeners);
    free(s);
}

const struct tcp_counters *tcp_stack_counters(const struct tcp_stack *s)
{
    return &s->n;
}

uint32_t tcp_stack_conn_count(const struct tcp_stack *s)
{
    return s->open_count + s->half_open_count;
}

void tcp_stack_set_mac(struct tcp_stack *s, const uint8_t mac[6])
{
    memcpy(s->cfg.mac, mac, ETH_ALEN);
}

void tcp_stack_set_mtu(struct tcp_stack *s, uint32_t mtu_bytes)
{
    if (mtu_bytes < PMTU_MIN || mtu_bytes > UINT16_MAX)
        return;
    s->cfg.mtu_bytes = mtu_bytes;
    for (uint32_t i = 0; i <= s->table.mask; i++)
        for (struct flow *f = s->table.buckets[i]; f; f = f->next)
            if (f->kind == FLOW_CONN)
                conn_path_mtu(CONTAINER_OF(f, struct tcp_conn, flow), mtu_bytes);
}

/* ---- time ---- */

uint32_t stack_ts(const struct tcp_stack *s, const struct ip_endpoint *remote, uint16_t local_port, uint64_t now)
{
    return (uint32_t)(now / 1000000) + (uint32_t)flow_hash(s->ts_key, remote, local_port);
}


uint64_t tcp_stack_next_deadline(const struct tcp_stack *s)
{
    return timerq_next(&s->timers);
}

void tcp_stack_on_deadline(struct tcp_stack *s, uint64_t now)
{
    struct timer *t;

    s->now_ns = now;
    while ((t = timerq_pop(&s->timers, now))) {
        if (t->kind == CONN_TIMER_KIND)
            conn_on_timer(CONTAINER_OF(t, struct tcp_conn, timer), now);
        else if (t->kind == TIMEWAIT_TIMER_KIND)
            timewait_expire(s, now);
        else {
            struct neigh *n = CONTAINER_OF(t, struct neigh, timer);
            if (neigh_on_timer(&s->neigh, n, now))
                stack_fail_waiters(s, n, now);
        }
    }
}

/* ---- events ---- */

static const struct {
    enum conn_event bit;
    enum tcp_event_type type;
} event_order[] = {
    {CONN_EV_CONNECTED, TCP_EV_CONNECTED},     {CONN_EV_ACCEPTED, TCP_EV_ACCEPTED},
    {CONN_EV_READABLE, TCP_EV_READABLE},       {CONN_EV_WRITABLE, TCP_EV_WRITABLE},
    {CONN_EV_PEER_CLOSED, TCP_EV_PEER_CLOSED}, {CONN_EV_CLOSED, TCP_EV_CLOSED},
};

static void tell(struct tcp_stack *s, struct tcp_conn *c, struct tcp_event *ev)
{
    unsigned i = 0;

    while (!(c->events & event_order[i].bit))
        i++;
    c->events &= ~(uint32_t)event_order[i].bit;
    if (!c->events)
        list_del(&c->event_link);
    *ev = (struct tcp_event){.type = event_order[i].type,
                             .conn = c,
                             .user = c->user,
                             .local_port = c->flow.local_port};
    if (ev->type == TCP_EV_CLOSED) {
        ev->reason = c->reason;
        s->dying = c;
    }
}

int tcp_stack_next_event(struct tcp_stack *s, struct tcp_event *ev)
{
    struct neigh *n;

    if (s->dying)
        conn_free(s->dying);
    if (!list_is_empty(&s->events)) {
        tell(s, CONTAINER_OF(s->events.next, struct tcp_conn, event_link), ev);
        return 1;
    }
    if (s->cfg.neigh_external && (n = neigh_next_ask(&s->neigh))) {
        *ev = (struct tcp_event){.type = TCP_EV_NEIGH_WANTED, .ip = n->ip};
        return 1;
    }
    return 0;
}

/* ---- send memory ---- */

void stack_tx_freed(struct tcp_stack *s, uint64_t bytes)
{
    assert(s->tx_bytes >= bytes);
    s->tx_bytes -= bytes;
    if (s->tx_bytes > s->cfg.tx_pool_bytes / 4 * 3)
        return;
    struct list *l;
    while ((l = list_pop_front(&s->starved))) {
        struct tcp_conn *c = CONTAINER_OF(l, struct tcp_conn, starved_link);
        c->is_short = false;
        conn_event(c, CONN_EV_WRITABLE);
    }
}
