/* net.c: the network role: its turn, its limits, its API (net.h) */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/open.h"
#include "net/role.h"

#define BLOCK_BYTES      (256u << 10)
#define POOL_KEEP_BYTES  (64u << 20)
#define CONGESTED_BYTES  (32u << 20)
#define CONGESTED_EVENTS 8192u
#define QUICK_EVENTS     4u
#define QUICK_BYTES      (16u << 10)
#define LINK_CHECK_NS    1000000000ull
#define EVICT_AGE_NS     250000000ull /* a handshake that is not even this old may be an honest one */
#define MAX_CONNS_LIMIT                                                                                      \
    32768u /* a slot number takes 16 bits of the id, and there are two slots a connection */

const char *net_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case NET_EFULL: return "queue full";
    case NET_ENOCONN: return "no such connection, or not ready";
    case NET_EADDR: return "not an address that can be dialed";
    case NET_ELIMIT: return "limit reached";
    case NET_EMEM: return "no memory";
    case NET_EDRIVER: return "driver";
    case NET_EALLOW: return "the peer is not on the allow-list";
    }
    return "unknown";
}

void net_identity_free(struct net_identity *id)
{
    if (!id)
        return;
    buf_unref(id->record);
    free(id);
}

/* ---- life ---- */

static uint32_t at_least(uint32_t v, uint32_t low)
{
    return v > low ? v : low;
}

static void set_defaults(struct net_config *cfg)
{
    if (!cfg->max_conns)
        cfg->max_conns = 256;
    if (cfg->max_conns > MAX_CONNS_LIMIT)
        cfg->max_conns = MAX_CONNS_LIMIT;
    if (!cfg->max_conns_per_ip)
        cfg->max_conns_per_ip = cfg->max_conns / 4 > 16 ? cfg->max_conns / 4 : 16;
    if (!cfg->nroles)
        cfg->nroles = 1;
    if (!cfg->max_handshakes)
        cfg->max_handshakes = at_least(64 / cfg->nroles, 16);
    if (!cfg->max_handshakes_per_ip)
        cfg->max_handshakes_per_ip = at_least(16 / cfg->nroles, 8);
    if (!cfg->max_frame_bytes)
        cfg->max_frame_bytes = 16u << 20;
    if (!cfg->max_partial_bytes)
        cfg->max_partial_bytes = (64ull << 20) / cfg->nroles + 4ull * cfg->max_frame_bytes;
    if (!cfg->max_queue_bytes)
        cfg->max_queue_bytes = 4u << 20;
    if (!cfg->handshake_ns)
        cfg->handshake_ns = 10000000000ull;
    if (!cfg->dial_ns)
        cfg->dial_ns = 10000000000ull;
}

struct net *net_new(const struct net_config *cfg, uint64_t now, char err[256], char why[512])
{
    struct net *n = calloc(1, sizeof(*n));
    uint8_t seed[16];
    char scrap[512];

    if (!n) {
        snprintf(err, 256, "no memory");
        return NULL;
    }
    n->cfg = *cfg;
    set_defaults(&n->cfg);
    while (n->nprotocols < NET_MAX_PROTOCOLS && cfg->protocols[n->nprotocols])
        n->nprotocols++;
    for (unsigned i = 0; i < n->nprotocols; i++)
        n->accepts[i] = cfg->protocols[i];
    for (; n->nservices < NET_MAX_SERVICES && cfg->services[n->nservices]; n->nservices++)
        n->accepts[n->nprotocols + n->nservices] = cfg->services[n->nservices];
    list_init(&n->dirty);
    list_init(&n->handshakes);
    list_init(&n->over);
    timerq_init(&n->timers);
    bufpool_init(&n->pool, UINT64_MAX, POOL_KEEP_BYTES);
    rng_fill(cfg->rng, seed, sizeof(seed));
    iplimit_init(&n->iplimit, n->cfg.max_conns_per_ip, n->cfg.max_handshakes_per_ip, seed);
    n->nslots = n->cfg.max_conns * 2;
    n->slots = calloc(n->nslots, sizeof(struct netconn *));
    if (n->slots)
        n->transport = net_open_transport(&n->cfg, cfg->first ? &cfg->first->share : NULL, &n->share, now, err, why ? why : scrap);
    else
        snprintf(err, 256, "no memory");
    if (!n->transport) {
        net_free(n);
        return NULL;
    }
    if (n->transport->listen.ip_len)
        multiaddr_of_tcp(&n->listen_addr, n->transport->listen.ip, n->transport->listen.ip_len,
                         n->transport->listen.port, NULL);
    if (n->transport->listen6.ip_len)
        multiaddr_of_tcp(&n->listen_addr6, n->transport->listen6.ip, 16, n->transport->listen6.port, NULL);
    n->watch.is_up = true;
    n->link_check_ns = n->transport->has_link ? now : TIMER_NEVER;
    return n;
}

static void netconn_free(struct netconn *c)
{
    c->net->slots[c->id & 0xffff] = NULL;
    free(c);
}

/* Frees the sessions of connections that ended in this turn: no function is inside one any more. */
static void reap(struct net *n)
{
    struct list *it;

    while ((it = list_pop_front(&n->over))) {
        struct netconn *c = CONTAINER_OF(it, struct netconn, over);

        session_free(c->session);
        c->session = NULL;
        if (!c->is_told_up && !c->is_dialer)
            netconn_free(c); /* nobody above ever heard of it */
    }
}

void net_free(struct net *n)
{
    if (!n)
        return;
    for (uint32_t i = 0; n->slots && i < n->nslots; i++)
        if (n->slots[i])
            netconn_end(n->slots[i], "stopped", true, 0);
    reap(n);
    event_queue_fini(&n->events);
    for (uint32_t i = 0; n->slots && i < n->nslots; i++)
        free(n->slots[i]);
    free(n->slots);
    transport_free(n->transport);
    net_share_close(&n->share);
    buf_unref(n->block);
    bufpool_fini(&n->pool);
    iplimit_fini(&n->iplimit);
    timerq_fini(&n->timers);
    free(n);
}

/* ---- inside helpers ---- */

bool net_is_congested(const struct net *n)
{
    return n->events.frame_bytes > CONGESTED_BYTES || n->events.count > CONGESTED_EVENTS;
}

/* Where the next frame goes behind `len` bytes of a block. */
static uint32_t frame_place(uint32_t len, bool is_lined)
{
    return is_lined ? ((len + NOISE_HEAD_BYTES + 63) & ~63u) - NOISE_HEAD_BYTES : len;
}

struct buf *net_out_block(struct net *n, bool is_lined)
{
    uint32_t at = n->block ? frame_place(n->block->len, is_lined) : 0;

    if (n->block && at + SESSION_OUTPUT_MIN <= n->block->cap) {
        n->block->len = at;
        return n->block;
    }
    if (!n->block || n->block->refs > 1) {
        buf_unref(n->block);
        n->block = bufpool_get(&n->pool, BLOCK_BYTES);
    }
    if (n->block)
        n->block->len = frame_place(0, is_lined);
    return n->block;
}

static struct netconn *find(const struct net *n, net_conn_id id)
{
    uint32_t slot = (uint32_t)(id & 0xffff);
    struct netconn *c = slot < n->nslots ? n->slots[slot] : NULL;

    return c && c->id == id && c->state != CONN_OVER ? c : NULL;
}

/* ---- the turn ---- */

/* Under a flood the oldest unfinished handshake makes way: honest ones take milliseconds. */
static bool make_room(struct net *n, uint64_t now)
{
    struct netconn *oldest;

    if (n->handshakes_in < n->cfg.max_handshakes)
        return true;
    oldest = CONTAINER_OF(n->handshakes.next, struct netconn, handshake);
    if (now < oldest->begun_ns + EVICT_AGE_NS)
        return false;
    n->counters.handshakes_evicted++;
    netconn_end(oldest, "made way for a newer handshake", false, now);
    return true;
}

static void on_accept(struct net *n, const struct pipe_event *ev, uint64_t now)
{
    struct netconn *c = NULL;

    /* An eighth of the places is for connections of our own choice. */
    if (n->counters.conns_now >= n->cfg.max_conns - n->cfg.max_conns / 8 || !make_room(n, now)) {
        n->counters.refused_full++;
    } else if (!iplimit_take(&n->iplimit, &ev->remote)) {
        n->counters.refused_ip++;
    } else {
        c = netconn_new(n, ev->pipe, &ev->remote, false, now);
        if (!c) {
            iplimit_handshake_over(&n->iplimit, &ev->remote);
            iplimit_give(&n->iplimit, &ev->remote);
        }
    }
    if (!c) {
        n->counters.conns_refused++;
        pipe_close(ev->pipe, false, now);
        return;
    }
    c->is_counted_ip = true;
    list_push_back(&n->handshakes, &c->handshake);
    n->handshakes_in++;
    netconn_begin(c, now);
}

static void on_pipe_event(struct net *n, const struct pipe_event *ev, uint64_t now)
{
    struct netconn *c = ev->pipe->user;

    switch (ev->type) {
    case PIPE_NEW: on_accept(n, ev, now); break;
    case PIPE_OPEN: netconn_begin(c, now); break;
    case PIPE_IN: netconn_readable(c, now); break;
    case PIPE_ROOM: netconn_mark_dirty(c); break;
    case PIPE_GONE: netconn_end(c, ev->reason, false, now); break;
    }
}

static void check_link(struct net *n, uint64_t now)
{
    struct transport_stats stats;
    const char *what;
    bool is_up;

    if (now < n->link_check_ns)
        return;
    n->link_check_ns = now + LINK_CHECK_NS;
    is_up = transport_link_is_up(n->transport, now);
    n->counters.port.links_down += n->watch.is_up && !is_up;
    transport_stats_get(n->transport, &stats);
    while ((what = port_watch_next(&n->watch, &stats, is_up, now)))
        event_queue_push(&n->events, &(struct queued_event){.type = NET_EV_LINK, .flag = is_up, .reason = what});
}

static unsigned run_timers(struct net *n, uint64_t now)
{
    struct timer *t;
    unsigned work = 0;

    for (; (t = timerq_pop(&n->timers, now)); work++)
        netconn_on_timer(CONTAINER_OF(t, struct netconn, timer), now);
    check_link(n, now);
    return work;
}

/* Each connection that is dirty now gets one go; one that is dirty again waits for the next turn. */
static unsigned flush_dirty(struct net *n, uint64_t now)
{
    struct list last = {0};
    unsigned work = 0;

    list_push_back(&n->dirty, &last);
    for (struct list *it; (it = list_pop_front(&n->dirty)) != &last; work++)
        netconn_flush(CONTAINER_OF(it, struct netconn, dirty), now);
    return work;
}

/* What is made of them goes out within some 0.3 ms. Only acknowledgements wait that long: they wake a peer, which would then take the CPU
 * from those who are to have the message. */
static bool are_events_quick(const struct net *n)
{
    return n->events.count && n->events.count <= QUICK_EVENTS && n->events.frame_bytes <= QUICK_BYTES;
}

unsigned net_poll(struct net *n, uint64_t now)
{
    uint64_t out_bytes = n->counters.wire_bytes_out;
    unsigned work = transport_poll(n->transport, now);
    struct pipe_event ev;

    while (transport_next_event(n->transport, &ev))
        on_pipe_event(n, &ev, now);
    work += run_timers(n, now);
    work += flush_dirty(n, now);
    n->owes_flush = n->counters.wire_bytes_out == out_bytes && !n->owes_flush && are_events_quick(n);
    if (!n->owes_flush)
        transport_flush(n->transport, now);
    reap(n);
    return work;
}

uint64_t net_next_deadline(const struct net *n)
{
    uint64_t at = timerq_next(&n->timers), below;

    if (n->events.count > 0 || n->owes_flush || !list_is_empty(&n->dirty))
        return 0;
    below = transport_next_deadline(n->transport);
    if (below < at)
        at = below;
    return n->link_check_ns < at ? n->link_check_ns : at;
}

unsigned net_wait_fds(const struct net *n, int *fds, unsigned cap)
{
    return transport_wait_fds(n->transport, fds, cap);
}

/* ---- events ---- */

static void fill_from_conn(struct net_event *ev, const struct queued_event *q)
{
    const struct netconn *c = q->conn;

    ev->conn = q->type == NET_EV_DIAL_FAILED ? 0 : c->id;
    ev->is_dialer = c->is_dialer;
    if (q->type == NET_EV_CONN_UP) {
        ev->peer = c->peer;
        multiaddr_of_tcp(&ev->addr, c->remote.ip, c->remote.ip_len, c->remote.port, NULL);
    }
}

bool net_next_event(struct net *n, struct net_event *ev)
{
    struct queued_event q;

    if (!event_queue_pop(&n->events, &q))
        return false;
    memset(ev, 0, sizeof(*ev));
    ev->type = q.type;
    ev->protocol = q.protocol;
    ev->reason = q.reason;
    ev->is_link_up = q.flag;
    if (q.type == NET_EV_RPC || q.type == NET_EV_REQUEST || q.type == NET_EV_ANSWER)
        ev->frame = q.frame;
    else if (q.type == NET_EV_IDENTIFIED)
        ev->identity = q.identity;
    if (q.type == NET_EV_RTT)
        ev->rtt_ns = q.value;
    else
        ev->token = q.value;
    if (q.conn)
        fill_from_conn(ev, &q);
    if (q.type == NET_EV_CONN_DOWN || q.type == NET_EV_DIAL_FAILED) {
        reap(n);
        netconn_free(q.conn);
    }
    return true;
}

/* ---- commands ---- */

int net_dial(struct net *n, const struct multiaddr *addr, const struct peer_id *expect, uint64_t token,
             uint64_t now)
{
    struct multiaddr_target target;
    struct endpoint to = {0};
    const char *reason = NULL;
    struct pipe *pipe;
    struct netconn *c;

    if (multiaddr_target(multiaddr_slice(addr), &target) < 0 ||
        (target.kind != MULTIADDR_IP4 && target.kind != MULTIADDR_IP6))
        return -NET_EADDR;
    if (n->counters.conns_now >= n->cfg.max_conns)
        return -NET_ELIMIT;
    if (!expect && target.peer.len)
        expect = &target.peer;
    if (expect && !allowlist_has(n->cfg.allow, expect))
        return -NET_EALLOW;
    to.ip_len = target.kind == MULTIADDR_IP4 ? 4 : 16;
    to.port = target.port;
    memcpy(to.ip, target.ip, to.ip_len);
    pipe = transport_dial(n->transport, &to, now, &reason);
    if (!pipe) {
        n->counters.dials_failed++;
        return -NET_EADDR;
    }
    c = netconn_new(n, pipe, &to, true, now);
    if (!c) {
        pipe_close(pipe, false, now);
        return -NET_EMEM;
    }
    c->token = token;
    if (expect) {
        c->expect = *expect;
        c->has_expect = true;
    }
    netconn_rearm(c);
    return 0;
}

int net_pubsub_open(struct net *n, net_conn_id id, uint64_t now)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY ? pubsub_stream_open(c, now) : -NET_ENOCONN;
}

int net_pubsub_close(struct net *n, net_conn_id id, uint64_t now)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY ? pubsub_stream_close(c) : -NET_ENOCONN;
}

int net_pubsub_finish(struct net *n, net_conn_id id, uint64_t now)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY ? pubsub_stream_finish(c) : -NET_ENOCONN;
}

int net_request(struct net *n, net_conn_id id, unsigned service, struct slice message, uint64_t token, uint64_t now)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY && service < n->nservices ? exchange_request(c, service, message, token, now) : -NET_ENOCONN;
}

int net_answer(struct net *n, net_conn_id id, uint64_t request, struct slice message)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY ? exchange_answer(c, request, message) : -NET_ENOCONN;
}

int net_send(struct net *n, net_conn_id id, const struct net_piece *pieces, unsigned count, uint64_t now)
{
    struct netconn *c = find(n, id);

    return c && c->state == CONN_READY ? pubsub_stream_send(c, pieces, count, now) : -NET_ENOCONN;
}

void net_conn_close(struct net *n, net_conn_id id, bool is_polite, uint64_t now)
{
    struct netconn *c = find(n, id);

    if (!c || (is_polite && c->state == CONN_LEAVING))
        return;
    if (is_polite)
        netconn_leave(c, now);
    else
        netconn_end(c, "closed by us", false, now);
}

void net_conn_close_idle(struct net *n, net_conn_id id, uint64_t now)
{
    struct netconn *c = find(n, id);

    if (c && c->state == CONN_READY && !c->in_stream && !c->out_stream && list_is_empty(&c->exchanges) &&
        session_queued_bytes(c->session) == 0)
        netconn_leave(c, now);
}

void net_allow(struct net *n, const struct allowlist *allow, uint64_t now)
{
    n->cfg.allow = allow;
    for (uint32_t i = 0; i < n->nslots; i++) {
        struct netconn *c = n->slots[i];

        if (c && c->is_told_up && c->state != CONN_OVER && !allowlist_has(allow, &c->peer)) {
            n->counters.refused_peer++;
            netconn_end(c, "the peer is not on the allow-list", true, now);
        }
    }
}

void net_local_changed(struct net *n, uint64_t now)
{
    for (uint32_t i = 0; i < n->nslots; i++) {
        struct netconn *c = n->slots[i];

        if (!c || !c->session || (c->state != CONN_READY && c->state != CONN_HANDSHAKE))
            continue;
        session_local_changed(c->session, now);
        netconn_mark_dirty(c);
    }
}

uint64_t net_conn_queue_bytes(const struct net *n, net_conn_id id)
{
    const struct netconn *c = find(n, id);

    return c && c->session ? session_queued_bytes(c->session) : 0;
}

uint64_t net_conn_took(struct net *n, net_conn_id id, uint64_t bytes)
{
    struct netconn *c = find(n, id);

    return c ? c->taken_bytes += bytes : 0;
}

void net_counters_get(const struct net *n, struct net_counters *out)
{
    struct transport_stats t;

    transport_stats_get(n->transport, &t);
    *out = n->counters;
    out->packets_in = t.packets_in;
    out->packets_out = t.packets_out;
    out->packets_dropped_in = t.packets_dropped_in;
    out->packets_dropped_out = t.packets_dropped_out;
    t.port.links_down = n->counters.port.links_down;
    out->port = t.port;
    out->tcp = t.tcp;
    out->tcp_retransmits = t.tcp_retransmits;
    out->tcp_checksum_errors = t.tcp_checksum_errors;
    out->accepts_failed = t.accepts_failed;
    out->partial_bytes_now = n->partial_bytes;
    out->events_lost = n->events.lost;
    out->streams_now = 0;
    for (uint32_t i = 0; i < n->nslots; i++)
        if (n->slots[i] && n->slots[i]->session) {
            struct session_counters s;
            session_counters_get(n->slots[i]->session, &s);
            out->streams_now += s.streams_now;
        }
}

const char *net_driver_text(const struct net *n)
{
    return n->transport->text;
}

const char *net_missing_cc(const struct net *n)
{
    return n->transport->no_cc;
}

const struct multiaddr *net_listen_addr(const struct net *n)
{
    return &n->listen_addr;
}

const struct multiaddr *net_listen_addr6(const struct net *n)
{
    return &n->listen_addr6;
}

/* All but what ends the struct is a run of 64-bit counts. */
void net_counters_add(struct net_counters *sum, const struct net_counters *c)
{
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)c;

    for (size_t i = 0; i < (offsetof(struct net_counters, lasted) + sizeof(c->lasted)) / sizeof(*to); i++)
        to[i] += from[i];
    sum->conns_now += c->conns_now;
    sum->handshakes_now += c->handshakes_now;
    sum->streams_now += c->streams_now;
    sum->partial_bytes_now += c->partial_bytes_now;
}
