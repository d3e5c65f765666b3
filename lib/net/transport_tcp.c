/* transport_tcp.c: our TCP on a packet port: the turn, events, opening (transport_tcp.h) */
#include "net/transport_tcp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/timerq.h"
#include "drivers/guard.h"
#include "net/transport_tcp_pvt.h"

#define RECV_BUF    (16u << 20) /* at most: 1 Gbit/s over 100 ms */
#define BURST       32
#define ACK_FIRST_BYTES 65536u /* what takes a while to decrypt and hash is acknowledged before: the peer sends on meanwhile */
#define RETRY_NS    2000000ull /* when the stack had no memory for a send */
#define TX_RETRY_NS 100000ull  /* when a port is full that cannot say when it is not */
#define POLL_NS     100000ull /* a port that cannot say when something arrives is looked at so often */
#define PORT_TRIES  64 /* local ports of our queue that turn out to be taken */

static const char *reason_text(enum tcp_reason r)
{
    switch (r) {
    case TCP_CLOSED_DONE: return "closed";
    case TCP_CLOSED_RESET: return "reset by the peer";
    case TCP_CLOSED_TIMEOUT: return "connection timed out";
    case TCP_CLOSED_REFUSED: return "connection refused";
    case TCP_CLOSED_UNREACHABLE: return "host unreachable";
    case TCP_CLOSED_NO_MEMORY: return "no memory";
    }
    return "connection broken";
}

/* ---- dialing ---- */

/* The port of a dial to that remote; 0: any. Our TCP dies with its process and says nothing, so a peer of the last
 * life may still believe in its connection; rust-libp2p then takes a new one for a second, on which it repeats none of its
 * subscriptions. From the same port our SYN meets the old connection: the peer's TCP answers it with an ACK, our RST ends
 * the old connection, and the next SYN makes the new one (RFC 9293, 3.5.1). After a dial from there that got no answer one
 * takes any port: nothing on the way that holds on to the old ports can shut us out. */
static uint16_t usual_port(struct ttcp *t, struct tpipe *p, const struct endpoint *to)
{
    uint64_t seed[2] = {t->dial_seed, to->port};
    uint64_t hash = siphash13(seed, slice_of(to->ip, to->ip_len));
    unsigned slot = (unsigned)(hash >> 32) % USUAL_SLOTS;

    if (!t->dial_seed)
        return 0;
    t->is_unanswered[slot] = !t->is_unanswered[slot];
    if (!t->is_unanswered[slot])
        return 0;
    p->usual_slot = slot + 1;
    return (uint16_t)(t->dial_first + (uint32_t)hash % t->dial_count);
}

static bool is_ours(const struct ttcp *t, const struct endpoint *to, uint16_t port)
{
    struct pktio_flow f = {.local_port = port, .remote_port = to->port, .is_ip6 = to->ip_len == 16};

    memcpy(f.local, f.is_ip6 ? t->t.listen6.ip : t->t.listen.ip, to->ip_len);
    memcpy(f.remote, to->ip, to->ip_len);
    return pktio_flow_queue(t->port, &f) == t->port->link.queue;
}

/* From the wanted port (0: any). Where the port has several queues: from the next one whose answers come to ours. */
static int connect_from(struct ttcp *t, struct tpipe *p, const struct endpoint *to, const struct ip_endpoint *remote, uint16_t port,
                        uint64_t now)
{
    uint32_t at = port ? (uint32_t)(port - t->dial_first) : (uint32_t)rng_below(t->rng, t->dial_count), tries = 0;
    int rc = -TCP_ENOPORT;

    if (t->port->link.queues < 2)
        return tcp_connect(t->stack, remote, port, p, &p->tcp, now);
    for (uint32_t i = 0; i < t->dial_count && tries < PORT_TRIES; i++) {
        uint16_t local = (uint16_t)(t->dial_first + (at + i) % t->dial_count);

        if (!is_ours(t, to, local))
            continue;
        rc = tcp_connect(t->stack, remote, local, p, &p->tcp, now);
        if (rc != -TCP_EINUSE)
            break;
        tries++;
    }
    return rc;
}

static void usual_port_answered(struct ttcp *t, struct tpipe *p)
{
    if (p->usual_slot)
        t->is_unanswered[p->usual_slot - 1] = false;
    p->usual_slot = 0;
}

static struct pipe *ttcp_dial(struct transport *tr, const struct endpoint *to, uint64_t now,
                              const char **reason)
{
    struct ttcp *t = ttcp_of(tr);
    struct ip_endpoint remote = {.port = to->port};
    struct tpipe *p;
    uint16_t port;
    int rc;

    if (!(to->ip_len == 16 ? t->t.listen6.ip_len : t->t.listen.ip_len)) {
        *reason = to->ip_len == 16 ? "no IPv6 address of our own" : "no IPv4 address of our own";
        return NULL;
    }
    remote.ip = to->ip_len == 16 ? ip_v6_bytes(to->ip) : ip_v4_bytes(to->ip);
    p = tpipe_new(t, NULL);
    if (!p) {
        *reason = "no memory";
        return NULL;
    }
    port = usual_port(t, p, to);
    rc = connect_from(t, p, to, &remote, port, now);
    if (port && rc == -TCP_EINUSE)
        rc = connect_from(t, p, to, &remote, 0, now);
    if (rc < 0) {
        *reason = tcp_err_name(rc);
        tpipe_free(p);
        return NULL;
    }
    return &p->pipe;
}

/* ---- events ---- */

static bool on_accepted(struct ttcp *t, struct tcp_conn *tcp, struct pipe_event *ev)
{
    struct tpipe *p = tpipe_new(t, tcp);
    struct tcp_conn_info info;

    if (!p) {
        tcp_abort(tcp);
        return false;
    }
    tcp_conn_set_user(tcp, p);
    tcp_conn_info(tcp, &info);
    *ev = (struct pipe_event){.type = PIPE_NEW, .pipe = &p->pipe};
    ev->remote.ip_len = info.remote.ip.family == IP_V6 ? 16 : 4;
    ev->remote.port = info.remote.port;
    memcpy(ev->remote.ip, info.remote.ip.bytes, ev->remote.ip_len);
    if (tcp_recv_unread(tcp) > 0)
        tpipe_mark_ready(t, p);
    return true;
}

static bool on_writable(struct tpipe *p, struct pipe_event *ev)
{
    if (!tpipe_push_rest(p))
        return false;
    if (p->is_finishing) {
        tcp_close(p->tcp);
        return false;
    }
    if (!p->is_full)
        return false;
    p->is_full = false;
    *ev = (struct pipe_event){.type = PIPE_ROOM, .pipe = &p->pipe};
    return true;
}

/* The stack's connection lives until its next event is asked for: its last bytes are offered first, then the end. */
static bool on_closed(struct ttcp *t, struct tpipe *p, enum tcp_reason reason, struct pipe_event *ev)
{
    if (p->is_orphan) {
        p->tcp = NULL;
        tpipe_free(p);
        return false;
    }
    p->broken = reason_text(reason);
    t->gone = p;
    *ev = (struct pipe_event){.type = PIPE_IN, .pipe = &p->pipe};
    return true;
}

/* After the last bytes: the pipe no longer has a connection below it. */
static bool on_gone(struct ttcp *t, struct pipe_event *ev)
{
    struct tpipe *p = t->gone;

    t->gone = NULL;
    ttcp_settle(t);
    p->tcp = NULL;
    list_del(&p->ready);
    *ev = (struct pipe_event){.type = PIPE_GONE, .pipe = &p->pipe, .reason = p->broken};
    return true;
}

static bool translate(struct ttcp *t, const struct tcp_event *e, struct pipe_event *ev)
{
    struct tpipe *p = e->user;

    if (e->type == TCP_EV_ACCEPTED)
        return on_accepted(t, e->conn, ev);
    if (!p)
        return false;
    switch (e->type) {
    case TCP_EV_CONNECTED:
        usual_port_answered(t, p);
        *ev = (struct pipe_event){.type = PIPE_OPEN, .pipe = &p->pipe};
        return true;
    case TCP_EV_PEER_CLOSED:
        p->has_fin = true;
        tpipe_mark_ready(t, p);
        return false;
    case TCP_EV_READABLE: tpipe_mark_ready(t, p); return false;
    case TCP_EV_WRITABLE: return on_writable(p, ev);
    case TCP_EV_CLOSED:
        if (e->reason == TCP_CLOSED_REFUSED)
            usual_port_answered(t, p);
        return on_closed(t, p, e->reason, ev);
    default: return false;
    }
}

static void discard(struct tpipe *p)
{
    list_del(&p->ready);
    if (p->tcp)
        tcp_recv_consume(p->tcp, tcp_recv_unread(p->tcp));
}

static bool next_ready(struct ttcp *t, struct pipe_event *ev)
{
    struct list *it;

    while ((it = list_pop_front(&t->ready))) {
        struct tpipe *p = CONTAINER_OF(it, struct tpipe, ready);

        if (p->is_orphan) {
            discard(p);
            continue;
        }
        list_push_back(&t->again, &p->ready);
        *ev = (struct pipe_event){.type = PIPE_IN, .pipe = &p->pipe};
        return true;
    }
    return false;
}

/* No event of the stack tells of room that was made by other memory. */
static bool next_roomy(struct ttcp *t, struct pipe_event *ev)
{
    struct list *it = list_pop_front(&t->roomy);

    if (!it)
        return false;
    struct tpipe *p = CONTAINER_OF(it, struct tpipe, waiting);
    p->is_full = false;
    *ev = (struct pipe_event){.type = PIPE_ROOM, .pipe = &p->pipe};
    return true;
}

static bool ttcp_next_event(struct transport *tr, struct pipe_event *ev)
{
    struct ttcp *t = ttcp_of(tr);
    struct tcp_event e;

    ttcp_settle(t);
    if (t->gone)
        return on_gone(t, ev);
    while (tcp_stack_next_event(t->stack, &e))
        if (translate(t, &e, ev))
            return true;
    return next_roomy(t, ev) || next_ready(t, ev);
}

/* ---- the turn ---- */

static void run_lingering(struct ttcp *t, uint64_t now)
{
    LIST_EACH(it, &t->lingering)
    {
        struct tpipe *p = CONTAINER_OF(it, struct tpipe, waiting);

        if (now < p->linger_until)
            break; /* in order of their closing */
        tcp_abort(p->tcp);
        tpipe_free(p);
    }
}

/* Sends that found no memory are tried again; rare, so a walk over all is good enough. */
static void feed_starved(struct ttcp *t)
{
    t->is_starved = false;
    LIST_EACH(it, &t->all)
    {
        struct tpipe *p = CONTAINER_OF(it, struct tpipe, node);

        if (!p->rest || !tpipe_push_rest(p))
            continue;
        if (p->is_finishing)
            tcp_close(p->tcp);
        else if (p->is_full)
            list_push_back(&t->roomy, &p->waiting);
    }
}

/* What is unread of the last frames is copied, and the port has them back. Nothing is lent out at the time. */
static void give_frames_back(struct ttcp *t)
{
    if (!t->has_frames)
        return;
    tcp_stack_settle(t->stack);
    pktio_recv_done(t->port);
    t->has_frames = false;
}

static void seg_of(struct pktio_seg *out, const struct tcp_segment *seg)
{
    memcpy(out->head, seg->head, seg->head_len);
    out->head_len = seg->head_len;
    out->npieces = seg->slice_count;
    out->csum_start = seg->csum_start;
    out->csum_offset = seg->csum_offset;
    out->gso_bytes = seg->gso_size;
    out->is_ip6 = seg->head[12] == 0x86; /* of its Ethernet type */
    for (unsigned i = 0; i < seg->slice_count; i++)
        out->pieces[i] = (struct pktio_piece){seg->slices[i].p, (uint32_t)seg->slices[i].len, NULL};
}

static void send_out(struct ttcp *t, uint64_t now)
{
    struct tcp_segment seg;

    t->is_tx_full = false;
    while (tcp_stack_output(t->stack, &seg, now) > 0) {
        seg_of(&t->seg, &seg);
        if (pktio_send(t->port, &t->seg, 1) == 1)
            continue;
        tcp_stack_output_failed(t->stack, &seg, now);
        t->is_tx_full = true; /* the wait descriptor now also tells of room */
        break;
    }
}

/* Acknowledged before it is read, each for itself: a sender that paces (BBR) takes our time for the network's, and waits by its
 * timers. */
static void input_late(struct ttcp *t, const struct pktio_frame *f, uint64_t now)
{
    tcp_stack_input_buf(t->stack, f->buf, TCP_INPUT_CSUM_OK | TCP_INPUT_UNREAD, now);
    send_out(t, now);
}

static unsigned ttcp_poll(struct transport *tr, uint64_t now)
{
    struct ttcp *t = ttcp_of(tr);
    struct pktio_frame frames[BURST];
    uint64_t bytes = 0;
    unsigned n, work;
    t->now = now;
    ttcp_settle(t);
    give_frames_back(t);
    for (struct list *it; (it = list_pop_front(&t->again));)
        list_push_back(&t->ready, it);
    n = pktio_recv(t->port, frames, BURST);
    t->has_frames = true;
    for (unsigned i = 0; i < n; i++) {
        unsigned flags = frames[i].is_csum_ok ? TCP_INPUT_CSUM_OK : 0;

        if (frames[i].is_late) {
            input_late(t, &frames[i], now);
            continue;
        }
        bytes += frames[i].len + (frames[i].rest ? frames[i].rest_len : 0);
        if (frames[i].rest)
            tcp_stack_input_parts(t->stack, slice_of(frames[i].data, frames[i].len), slice_of(frames[i].rest, frames[i].rest_len), flags, now);
        else if (frames[i].buf)
            tcp_stack_input_buf(t->stack, frames[i].buf, flags, now);
        else
            tcp_stack_input(t->stack, slice_of(frames[i].data, frames[i].len), flags | TCP_INPUT_LASTS, now);
    }
    pktio_fill(t->port);
    if (!tcp_stack_is_lasting(t->stack))
        give_frames_back(t); /* soon: the other end may wait for room */
    if (bytes >= ACK_FIRST_BYTES)
        send_out(t, now);
    work = n;
    if (tcp_stack_next_deadline(t->stack) <= now) {
        tcp_stack_on_deadline(t->stack, now);
        work++;
    }
    if (t->is_starved)
        feed_starved(t);
    run_lingering(t, now);
    return work + !list_is_empty(&t->ready);
}

static void ttcp_flush(struct transport *tr, uint64_t now)
{
    struct ttcp *t = ttcp_of(tr);

    ttcp_settle(t);
    give_frames_back(t); /* before anyone sleeps: held slots keep a ring's descriptor ready */
    send_out(t, now);
}

static uint64_t ttcp_next_deadline(const struct transport *tr)
{
    const struct ttcp *t = ttcp_of(tr);
    uint64_t at = tcp_stack_next_deadline(t->stack);

    if (!list_is_empty(&t->again) || !list_is_empty(&t->ready))
        return 0;
    if (t->is_starved && t->now + RETRY_NS < at)
        at = t->now + RETRY_NS;
    if (t->is_tx_full && !t->port->link.has_tx_wait && t->now + TX_RETRY_NS < at)
        at = t->now + TX_RETRY_NS;
    if (pktio_wait_fd(t->port, t->is_tx_full) < 0 && t->now + POLL_NS < at)
        at = t->now + POLL_NS;
    if (!list_is_empty(&t->lingering)) {
        const struct tpipe *p = CONTAINER_OF(t->lingering.next, struct tpipe, waiting);

        if (p->linger_until < at)
            at = p->linger_until;
    }
    return at;
}

static unsigned ttcp_wait_fds(struct transport *tr, int *fds, unsigned cap)
{
    struct ttcp *t = ttcp_of(tr);
    int fd = pktio_wait_fd(t->port, t->is_tx_full);

    if (fd < 0 || cap == 0)
        return 0;
    fds[0] = fd;
    return 1;
}

static void ttcp_stats(struct transport *tr, struct transport_stats *out)
{
    struct ttcp *t = ttcp_of(tr);
    const struct tcp_counters *c = tcp_stack_counters(t->stack);
    struct pktio_counters p;

    pktio_counters_get(t->port, &p);
    *out = (struct transport_stats){
        .packets_in = p.rx_frames,
        .packets_out = p.tx_segs,
        .packets_dropped_in = p.rx_dropped + p.rx_truncated,
        .packets_dropped_out = p.tx_dropped,
        .port = {.tx_full = p.tx_full, .no_memory = p.no_memory, .foreign = p.rx_foreign, .truncated = p.rx_truncated,
                 .zeroed = p.rx_zeroed, .unkept = p.rx_unkept, .lost = p.lost, .found = p.found, .unopened = p.unopened, .resets = p.resets,
                 .captured = p.captured, .capture_dropped = p.capture_dropped, .mac_changed = t->mac_changed, .mtu_changed = t->mtu_changed},
        .tcp = *c,
        .tcp_retransmits = c->tx_rtx_segments,
        .tcp_checksum_errors = c->drop_tcp_csum + c->drop_ip_csum,
        .accepts_failed = c->drop_conn_full + c->drop_backlog,
    };
    ttcp_neigh_stats(t, &out->port);
}

static bool ttcp_link_is_up(struct transport *tr, uint64_t now)
{
    struct ttcp *t = ttcp_of(tr);
    struct pktio_link was = t->port->link;
    const struct pktio_link *is = &t->port->link;
    bool is_moved;

    ttcp_settle(t);
    give_frames_back(t); /* the port may be made anew */
    pktio_refresh(t->port);
    is_moved = memcmp(was.mac, is->mac, 6) != 0;
    if (is_moved)
        tcp_stack_set_mac(t->stack, is->mac);
    t->mac_changed += is_moved;
    t->mtu_changed += was.mtu != is->mtu;
    if (was.mtu != is->mtu)
        tcp_stack_set_mtu(t->stack, is->mtu);
    if (is->is_up && (!was.is_up || is_moved))
        tcp_stack_announce(t->stack, now);
    ttcp_neigh_turn(t, now);
    return t->port->link.is_up;
}

/* Connections that are still closing get their reset; the guard goes last, so that the kernel stays silent to the end. */
static void ttcp_free(struct transport *tr)
{
    struct ttcp *t = ttcp_of(tr);

    LIST_EACH(it, &t->all)
    {
        struct tpipe *p = CONTAINER_OF(it, struct tpipe, node);

        if (p->tcp)
            tcp_abort(p->tcp);
        tpipe_free(p);
    }
    if (t->stack) {
        ttcp_flush(tr, t->now);
        tcp_stack_free(t->stack);
    }
    ttcp_neigh_close(t);
    pktio_close(t->port);
    if (t->guard) {
        guard_close(t->guard);
        free(t->guard);
    }
    free(t);
}

static const struct transport_ops ttcp_ops = {ttcp_poll,          ttcp_next_event, ttcp_flush,
                                              ttcp_next_deadline, ttcp_wait_fds,   ttcp_dial,
                                              tpipe_recv,         tpipe_room,      tpipe_send,
                                              tpipe_finish,       tpipe_close,     ttcp_stats,
                                              ttcp_link_is_up,    ttcp_free};

/* ---- opening ---- */

static bool is_set(const uint8_t *ip, size_t len)
{
    static const uint8_t none[16];

    return memcmp(ip, none, len) != 0;
}

static void stack_config(const struct transport_tcp_config *cfg, const struct pktio_link *link,
                         struct tcp_config *c)
{
    tcp_config_defaults(c);
    memcpy(c->mac, link->mac, 6);
    if (is_set(cfg->ip4, 4)) {
        c->ip = ip_v4_bytes(cfg->ip4);
        c->prefix_len = cfg->prefix;
        if (is_set(cfg->gateway4, 4))
            c->gateway = ip_v4_bytes(cfg->gateway4);
    }
    if (is_set(cfg->ip6, 16)) {
        c->ip6 = ip_v6_bytes(cfg->ip6);
        c->prefix6_len = cfg->prefix6;
        if (is_set(cfg->gateway6, 16))
            c->gateway6 = ip_v6_bytes(cfg->gateway6);
    }
    c->mtu_bytes = link->mtu;
    c->csum_tx = link->has_tx_csum;
    c->csum_rx_trusted = false; /* each frame says it for itself */
    c->gso_max_bytes = link->gso_max_bytes;
    c->address_shared = link->is_shared;
    if (cfg->dial_count) {
        c->port_min = cfg->dial_first;
        c->port_max = (uint16_t)(cfg->dial_first + cfg->dial_count - 1);
    }
    c->max_conns = cfg->max_conns + cfg->max_half_open;
    c->max_half_open = cfg->max_half_open;
    c->recv_buf_bytes = RECV_BUF;
    c->cc = (enum tcp_cc)cfg->cc;
    c->ecn = (enum tcp_ecn)cfg->ecn;
    if (cfg->nroles > 1) {
        c->rx_pool_bytes /= cfg->nroles;
        c->tx_pool_bytes /= cfg->nroles;
    }
}

static void say_addresses(struct ttcp *t, const struct transport_tcp_config *cfg, const char *port)
{
    int at = snprintf(t->t.text, sizeof(t->t.text), "%.80s", port);
    char ip[INET6_ADDRSTRLEN];

    if (t->t.listen.ip_len && inet_ntop(AF_INET, cfg->ip4, ip, sizeof(ip)))
        at += snprintf(t->t.text + at, sizeof(t->t.text) - (size_t)at, " %s/%u", ip, cfg->prefix);
    if (t->t.listen6.ip_len && inet_ntop(AF_INET6, cfg->ip6, ip, sizeof(ip)))
        snprintf(t->t.text + at, sizeof(t->t.text) - (size_t)at, " %s/%u", ip, cfg->prefix6);
}

struct transport *transport_tcp_new(const struct transport_tcp_config *cfg, struct pktio *port,
                                    struct guard *guard, uint64_t now, char err[256])
{
    struct ttcp *t = calloc(1, sizeof(*t));
    struct tcp_config c;
    int rc = -TCP_ENOMEM;

    if (t) {
        stack_config(cfg, &port->link, &c);
        t->stack = tcp_stack_new(&c, cfg->rng, &rc, now);
    }
    if (!t || !t->stack ||
        (cfg->listen_port && (rc = tcp_listen(t->stack, cfg->listen_port, cfg->max_half_open)) < 0)) {
        snprintf(err, 256, "TCP on %s: %s", port->text, tcp_err_name(rc));
        if (t && t->stack)
            tcp_stack_free(t->stack);
        free(t);
        return NULL;
    }
    t->t.ops = &ttcp_ops;
    t->t.has_link = true;
    t->t.holds_output = true;
    t->t.listen = (struct endpoint){.ip_len = c.ip.family ? 4 : 0, .port = cfg->listen_port};
    memcpy(t->t.listen.ip, cfg->ip4, 4);
    t->t.listen6 = (struct endpoint){.ip_len = c.ip6.family ? 16 : 0, .port = cfg->listen_port};
    memcpy(t->t.listen6.ip, cfg->ip6, 16);
    t->port = port;
    port->takes_late = true;
    t->guard = guard;
    t->dial_seed = cfg->dial_seed;
    t->rng = cfg->rng;
    t->dial_first = c.port_min;
    t->dial_count = (uint16_t)(c.port_max - c.port_min + 1);
    t->now = now;
    list_init(&t->all);
    list_init(&t->ready);
    list_init(&t->again);
    list_init(&t->lingering);
    list_init(&t->roomy);
    say_addresses(t, cfg, port->text);
    tcp_stack_announce(t->stack, now);
    if (cfg->iface)
        ttcp_neigh_open(t, cfg->iface, now);
    return &t->t;
}
