#include "node/coding_role.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/timerq.h"

#define INPUTS_PER_TURN    256
#define PAYLOADS_MAX_BYTES (1ull << 30)
#define PAYLOADS_KEEP_BYTES (32ull << 20)
#define LEAVE_NS           2500000000ull
#define REOPENS            3
#define MUTE_EVERY_NS      1000000000ull

static void note(struct coding_role *r, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A line for control to log: writing to a terminal may block, so it is not done here. */
static void note(struct coding_role *r, int level, const char *fmt, ...)
{
    struct xnote *n = log_is_on(level) && xring_room(r->to_control.ring) > 64 ? malloc(sizeof(*n)) : NULL;
    struct xmsg m = {.type = X_NOTE, .note = n};
    va_list ap;

    if (!n) {
        r->notes_dropped += log_is_on(level);
        return;
    }
    n->level = level;
    va_start(ap, fmt);
    vsnprintf(n->text, sizeof(n->text), fmt, ap);
    va_end(ap);
    if (!xout_send(&r->to_control, &m)) {
        r->notes_dropped++;
        free(n);
    }
}

static void frame_release(struct buf *b)
{
    xhomes_add(&((struct coding_role *)b->home)->frames, b);
}

static void source_release(struct buf *b)
{
    xhomes_add(&((struct coding_role *)b->home)->sources, b);
}

static void adopt(struct coding_role *r, struct buf *b, void (*release)(struct buf *))
{
    b->refs = 1;
    b->release = release;
    b->home = r;
}

static int make_stocks(struct coding_role *r)
{
    r->delivery_stock = calloc(CODING_DELIVERIES, sizeof(*r->delivery_stock));
    r->trace_stock = calloc(CODING_TRACES, sizeof(*r->trace_stock));
    if (!r->delivery_stock || !r->trace_stock)
        return -1;
    for (unsigned i = 0; i < CODING_DELIVERIES; i++) {
        r->delivery_stock[i].next = r->deliveries;
        r->deliveries = &r->delivery_stock[i];
    }
    for (unsigned i = 0; i < CODING_TRACES; i++) {
        r->trace_stock[i].next = r->traces;
        r->traces = &r->trace_stock[i];
    }
    return 0;
}

int coding_role_init(struct coding_role *r, const struct coding_config *cfg, uint64_t now, uint64_t unix_ns)
{
    uint8_t seed[16];

    r->cfg = *cfg;
    bufpool_init(&r->payloads, PAYLOADS_MAX_BYTES, PAYLOADS_KEEP_BYTES);
    r->cfg.pubsub.alloc = bufpool_alloc;
    r->cfg.pubsub.alloc_ctx = &r->payloads;
    r->cfg.pubsub.has_trace = false; /* until somebody listens */
    rng_fill(cfg->rng, seed, sizeof(seed));
    peers_init(&r->peers, seed);
    dialer_init(&r->dialer, cfg->bootstrap, cfg->nbootstrap, &cfg->self, cfg->rng, now);
    r->ps = pubsub_new(&r->cfg.pubsub, cfg->rng, now, unix_ns);
    return r->ps ? make_stocks(r) : -1;
}

static void drop_input(struct coding_role *r, const struct xmsg *m)
{
    switch (m->type) {
    case X_EVENT:
        if (m->event->identity)
            net_identity_free(m->event->identity);
        free(m->event);
        break;
    case X_RPC:
        adopt(r, m->buf, frame_release);
        buf_unref(m->buf);
        break;
    case X_PUBLISH:
        adopt(r, m->publish->payload, source_release);
        buf_unref(m->publish->payload);
        free(m->publish);
        break;
    case X_SUBSCRIBE:
    case X_UNSUBSCRIBE: free(m->publish); break;
    case X_SENT_HOME:
    case X_PAYLOADS_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_SNAPSHOT: free(m->snapshot); break;
    default: break;
    }
}

void coding_role_settle(struct coding_role *r, const struct xout *kept)
{
    struct xmsg m;

    while (xring_pop_sc(r->from_control, &m))
        drop_input(r, &m);
    while (xring_pop_sc(r->from_net, &m))
        drop_input(r, &m);
    for (unsigned i = 0; i < kept->nheld; i++)
        drop_input(r, &kept->held[i]);
    for (unsigned i = 0; i < r->to_control.nheld; i++) /* what the hub never saw */
        if (r->to_control.held[i].type == X_DELIVER)
            buf_unref(r->to_control.held[i].delivery->payload);
        else if (r->to_control.held[i].type == X_NOTE)
            free(r->to_control.held[i].note);
        else if (r->to_control.held[i].type == X_PUBLISHED)
            free(r->to_control.held[i].publish);
        else if (r->to_control.held[i].type == X_SNAPSHOT)
            free(r->to_control.held[i].snapshot);
    peers_fini(&r->peers);
    pubsub_free(r->ps);
    r->ps = NULL;
}

void coding_role_fini(struct coding_role *r)
{
    free(r->delivery_stock);
    free(r->trace_stock);
    bufpool_fini(&r->payloads);
}

/* ---- outputs of the core ---- */

static void send_rpc(struct coding_role *r, struct pubsub_output *o)
{
    struct peer *p = peers_at(&r->peers, o->peer);
    struct xmsg m = {.type = X_SEND, .conn = p ? p->stream : 0};

    if (!m.conn) { /* the stream went while the core was speaking */
        for (unsigned i = 0; i < o->npieces; i++)
            buf_unref(o->pieces[i].buf);
        return;
    }
    for (unsigned i = 0; i < o->npieces; i++)
        m.send.piece[i] = (struct net_piece){o->pieces[i].buf, o->pieces[i].off, o->pieces[i].len};
    m.send.count = o->npieces;
    xout_send(&r->to_net, &m);
}

static void deliver(struct coding_role *r, struct pubsub_output *o)
{
    struct xdelivery *d = r->deliveries;
    struct xmsg m = {.type = X_DELIVER, .delivery = d};

    r->deliveries = d->next;
    memcpy(d->topic, o->topic, sizeof(d->topic));
    d->payload = o->payload;
    d->from = o->from;
    d->upstream = o->upstream;
    d->k = o->k;
    xout_send(&r->to_control, &m);
}

static void trace(struct coding_role *r, const struct pubsub_trace *t)
{
    struct xtrace *x = r->traces;
    struct xmsg m = {.type = X_TRACE, .trace = x};
    struct timespec ts;

    if (!__atomic_load_n(r->cfg.wants_traces, __ATOMIC_RELAXED))
        return;
    if (!x || xring_room(r->to_control.ring) < CODING_DELIVERIES / 2) {
        r->traces_dropped++;
        return;
    }
    r->traces = x->next;
    clock_gettime(CLOCK_REALTIME, &ts);
    x->unix_ns = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
    x->t = *t;
    xout_send(&r->to_control, &m);
}

static void disconnect(struct coding_role *r, struct pubsub_output *o)
{
    struct peer *p = peers_at(&r->peers, o->peer);
    char id[PEER_ID_TEXT_MAX];

    if (!p)
        return;
    peer_id_format(&p->id, id);
    note(r, LOG_WARN_L, "\"peer cut off\" peer=%s rule=\"%s\"", id, o->reason ? o->reason : "");
    LIST_EACH (it, &p->conns) {
        struct xmsg m = {.type = X_CLOSE, .conn = CONTAINER_OF(it, struct peer_conn, node)->id};
        xout_send(&r->to_net, &m);
    }
}

static bool has_room(const struct coding_role *r)
{
    return r->to_net.nheld == 0 && r->to_control.nheld == 0 && r->deliveries && xring_room(r->to_net.ring) > 8 &&
           xring_room(r->to_control.ring) > 8;
}

/* False when there may be more than there is room for. */
static bool drain_outputs(struct coding_role *r)
{
    struct pubsub_output o;

    for (;;) {
        r->has_more_output = !has_room(r);
        if (r->has_more_output)
            return false;
        if (!pubsub_next_output(r->ps, &o))
            return true;
        switch (o.type) {
        case PUBSUB_SEND: send_rpc(r, &o); break;
        case PUBSUB_DELIVER: deliver(r, &o); break;
        case PUBSUB_TRACE: trace(r, o.trace); break;
        case PUBSUB_DISCONNECT: disconnect(r, &o); break;
        case PUBSUB_DIAL: buf_unref(o.record); break; /* peers from PX are not dialed yet: only the bootstrap list is */
        }
    }
}

/* ---- connections ---- */

static void open_stream(struct coding_role *r, struct peer *p)
{
    struct peer_conn *c = p->stream || p->opening || r->is_leaving ? NULL : peers_other_conn(p);
    struct xmsg m = {.type = X_PUBSUB_OPEN};

    if (!c || c->reopens++ > REOPENS)
        return;
    m.conn = p->opening = c->id;
    xout_send(&r->to_net, &m);
}

static void conn_up(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peer_id_is_equal(&ev->peer, &r->cfg.self) ? NULL : peers_add(&r->peers, &ev->peer, ev->conn, now);
    struct xmsg m = {.type = X_CLOSE, .conn = ev->conn};
    char id[PEER_ID_TEXT_MAX], addr[MULTIADDR_TEXT_MAX];

    if (!c || r->is_leaving) { /* ourselves, or a limit is reached */
        xout_send(&r->to_net, &m);
        if (!c)
            return;
    }
    c->addr = ev->addr;
    c->is_dialer = ev->is_dialer;
    dialer_up(&r->dialer, &ev->peer);
    peer_id_format(&ev->peer, id);
    if (multiaddr_format(multiaddr_slice(&ev->addr), addr, sizeof(addr)) < 0)
        addr[0] = 0;
    note(r, LOG_INFO_L, "\"connected\" peer=%s addr=%s direction=%s", id, addr, ev->is_dialer ? "out" : "in");
    open_stream(r, c->peer);
}

static void stream_gone(struct coding_role *r, struct peer *p, uint64_t now)
{
    p->stream = 0;
    mute_stream_gone(&p->mute);
    if (p->is_known)
        pubsub_peer_down(r->ps, p->handle, now);
    p->is_known = false;
    p->queue_bytes = 0;
}

/* Tries the next connection; with none left, what is held is for nobody. */
static void stream_failed(struct coding_role *r, struct peer *p)
{
    open_stream(r, p);
    if (!p->opening && !p->stream)
        r->frames_dropped += peers_drop_held(&r->peers, p);
}

static void conn_down(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    char id[PEER_ID_TEXT_MAX];

    if (!c)
        return;
    struct peer *p = c->peer;
    peer_id_format(&p->id, id);
    note(r, LOG_INFO_L, "\"disconnected\" peer=%s reason=\"%s\"", id, ev->reason ? ev->reason : "");
    dialer_down(&r->dialer, &p->id, now);
    mute_conn_down(&p->mute, ev->conn, now);
    if (p->stream == ev->conn)
        stream_gone(r, p, now);
    if (p->opening == ev->conn)
        p->opening = 0;
    if (peers_remove(&r->peers, c))
        peers_drop(&r->peers, p);
    else
        stream_failed(r, p);
}

static void ip_of(const struct multiaddr *a, uint8_t ip[16], struct slice *out)
{
    struct multiaddr_target t;

    *out = slice_of(ip, 0);
    if (multiaddr_target(multiaddr_slice(a), &t) || (t.kind != MULTIADDR_IP4 && t.kind != MULTIADDR_IP6))
        return;
    memcpy(ip, t.ip, 16);
    out->len = t.kind == MULTIADDR_IP4 ? 4 : 16;
}

static void stream_ready(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    uint8_t ip[16];
    struct slice addr;

    if (!c || c->peer->stream)
        return;
    struct peer *p = c->peer;
    p->opening = 0;
    p->stream = ev->conn;
    p->protocol = ev->protocol;
    mute_stream_ready(&p->mute, now);
    ip_of(&c->addr, ip, &addr);
    if (pubsub_peer_up(r->ps, p->handle, &p->id, r->cfg.protocols[ev->protocol], c->is_dialer, addr, now)) {
        r->frames_dropped += peers_drop_held(&r->peers, p);
        return;
    }
    p->is_known = true;
    for (struct buf *held; (held = peers_next_held(&r->peers, p));)
        pubsub_rpc(r->ps, p->handle, held, now);
}

static void stream_none(struct coding_role *r, const struct net_event *ev)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);

    if (!c)
        return;
    c->has_no_pubsub = true;
    if (c->peer->opening == ev->conn)
        c->peer->opening = 0;
    stream_failed(r, c->peer);
}

static void stream_closed(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);

    if (!c)
        return;
    if (c->peer->opening == ev->conn)
        c->peer->opening = 0;
    if (c->peer->stream == ev->conn)
        stream_gone(r, c->peer, now);
    stream_failed(r, c->peer);
}

/* Opens our stream anew to peers that never spoke; such a try does not count as a stream that they broke. */
static void try_mute_peers(struct coding_role *r, uint64_t now)
{
    r->mute_at_ns = now + MUTE_EVERY_NS;
    for (unsigned i = 0; i < PEERS_MAX && has_room(r) && !r->is_leaving; i++) {
        struct peer *p = r->peers.slots[i];
        struct peer_conn *c = p && p->stream && mute_is_due(&p->mute, now) ? peers_conn(&r->peers, p->stream) : NULL;
        struct xmsg m = {.type = X_PUBSUB_CLOSE, .conn = c ? c->id : 0};
        if (!c)
            continue;
        c->reopens -= c->reopens > 0;
        xout_send(&r->to_net, &m);
    }
}

static void identified(struct coding_role *r, const struct net_event *ev)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    const struct net_identity *id = ev->identity;
    char peer[PEER_ID_TEXT_MAX];

    if (!c || !id)
        return;
    snprintf(c->peer->agent, sizeof(c->peer->agent), "%s", id->agent);
    for (unsigned i = 0; i < id->nprotocols && !c->peer->is_warned && strncmp(id->agent, "codecast/", 9) == 0; i++)
        if (strcmp(id->protocols[i], r->cfg.other_protocol) == 0) {
            c->peer->is_warned = true;
            peer_id_format(&c->peer->id, peer);
            note(r, LOG_WARN_L, "\"peer runs in another NODE_MODE: no messages pass between us\" peer=%s ours=%s", peer,
                 r->cfg.own_mode);
        }
}

static void net_event(struct coding_role *r, struct net_event *ev, uint64_t now)
{
    struct peer_conn *c;

    switch (ev->type) {
    case NET_EV_CONN_UP: conn_up(r, ev, now); break;
    case NET_EV_CONN_DOWN: conn_down(r, ev, now); break;
    case NET_EV_DIAL_FAILED:
        note(r, LOG_DEBUG_L, "\"dial failed\" entry=%u reason=\"%s\"", (unsigned)ev->token, ev->reason ? ev->reason : "");
        dialer_failed(&r->dialer, (int)ev->token - 1, now);
        break;
    case NET_EV_PUBSUB_READY: stream_ready(r, ev, now); break;
    case NET_EV_PUBSUB_NONE: stream_none(r, ev); break;
    case NET_EV_PUBSUB_CLOSED: stream_closed(r, ev, now); break;
    case NET_EV_IDENTIFIED: identified(r, ev); break;
    case NET_EV_RTT:
        if ((c = peers_conn(&r->peers, ev->conn)))
            c->peer->rtt_ns = ev->rtt_ns;
        break;
    case NET_EV_LINK: note(r, LOG_WARN_L, "\"link\" state=\"%s\"", ev->reason ? ev->reason : ""); break;
    case NET_EV_WRITABLE:
    case NET_EV_RPC: break;
    }
    if (ev->identity)
        net_identity_free(ev->identity);
    free(ev);
}

static void frame(struct coding_role *r, const struct xmsg *m, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, m->conn);

    adopt(r, m->buf, frame_release);
    if (c)
        mute_heard(&c->peer->mute, c->id);
    if (c && c->peer->is_known) {
        pubsub_rpc(r->ps, c->peer->handle, m->buf, now);
    } else if (!c || !c->peer->opening || !peers_hold(&r->peers, c->peer, m->buf)) {
        /* Held when the peer's stream came before ours was ready; else, or over the bounds, dropped. */
        r->frames_dropped++;
        buf_unref(m->buf);
    }
}

/* ---- snapshots ---- */

static void fill_peers(struct coding_role *r, struct snapshot *s)
{
    static struct pubsub_peer_info info[PEERS_MAX]; /* one coding role per process */
    unsigned n = pubsub_peers(r->ps, info, PEERS_MAX);

    s->npeers = 0;
    for (unsigned i = 0; i < PEERS_MAX && s->npeers < SNAPSHOT_PEERS; i++) {
        struct peer *p = r->peers.slots[i];
        if (!p)
            continue;
        struct snapshot_peer *o = &s->peers[s->npeers++];
        *o = (struct snapshot_peer){.id = p->id, .rtt_ns = p->rtt_ns, .queue_bytes = p->queue_bytes,
                                    .connected_ns = p->connected_ns, .has_stream = p->stream != 0};
        snprintf(o->agent, sizeof(o->agent), "%s", p->agent);
        if (p->stream)
            snprintf(o->protocol, sizeof(o->protocol), "%s", pubsub_proto_ids[r->cfg.protocols[p->protocol]]);
        LIST_EACH (it, &p->conns) {
            struct peer_conn *c = CONTAINER_OF(it, struct peer_conn, node);
            if (o->conns++ == 0 || c->id == p->stream) {
                o->addr = c->addr;
                o->is_dialer = c->is_dialer;
            }
        }
        for (unsigned j = 0; j < n; j++)
            if (info[j].peer == p->handle)
                o->info = info[j];
        for (unsigned t = 0; t < s->ntopics && t < 64; t++)
            if (pubsub_mesh_has(r->ps, slice_str(s->topics[t].topic), p->handle))
                o->meshes |= 1ull << t;
    }
}

static void fill_snapshot(struct coding_role *r, struct snapshot *s, uint64_t now)
{
    s->now_ns = now;
    s->ntopics = pubsub_topics(r->ps, s->topics, SNAPSHOT_TOPICS);
    fill_peers(r, s);
    s->ngenerations = pubsub_generations(r->ps, s->generations, SNAPSHOT_GENERATIONS);
    pubsub_counters_get(r->ps, &s->pubsub);
    s->nbootstrap_waiting = dialer_waiting(&r->dialer);
    s->frames_dropped = r->frames_dropped;
    s->traces_dropped = r->traces_dropped;
    s->notes_dropped = r->notes_dropped;
    s->pool_refused = r->payloads.refused;
}

/* ---- commands of control ---- */

static void publish(struct coding_role *r, struct xpublish *p, uint64_t now)
{
    struct xmsg m = {.type = X_PUBLISHED, .publish = p};
    struct slice topic = slice_str(p->topic);

    switch (p->kind) {
    case X_SUBSCRIBE: p->err = pubsub_subscribe(r->ps, topic, now); break;
    case X_UNSUBSCRIBE: p->err = pubsub_unsubscribe(r->ps, topic, now); break;
    default:
        adopt(r, p->payload, source_release);
        p->err = pubsub_publish(r->ps, topic, p->payload, p->sha256, now);
        if (p->err)
            buf_unref(p->payload);
    }
    xout_send(&r->to_control, &m);
}

static void leave(struct coding_role *r, uint64_t now)
{
    r->is_leaving = true;
    r->leave_by_ns = now + LEAVE_NS;
    pubsub_leave(r->ps, now);
}

/* After the farewells are queued: close every connection, wait for the last, tell control. */
static void go_on_leaving(struct coding_role *r, uint64_t now)
{
    struct xmsg left = {.type = X_LEFT};

    if (!r->has_closed) {
        for (unsigned i = 0; i < PEERS_MAX; i++) {
            struct peer *p = r->peers.slots[i];
            if (!p)
                continue;
            LIST_EACH (it, &p->conns) {
                struct xmsg m = {.type = X_CLOSE, .conn = CONTAINER_OF(it, struct peer_conn, node)->id, .number = 1};
                if (!xring_push_sp(r->to_net.ring, &m))
                    return; /* goes on next turn; closing twice is harmless */
            }
        }
        r->has_closed = true;
    }
    if (!r->has_left && (r->peers.count == 0 || now >= r->leave_by_ns)) {
        r->has_left = true;
        xout_send(&r->to_control, &left);
    }
}

static void from_control(struct coding_role *r, const struct xmsg *m, uint64_t now)
{
    switch (m->type) {
    case X_PUBLISH:
    case X_SUBSCRIBE:
    case X_UNSUBSCRIBE: publish(r, m->publish, now); break;
    case X_PAYLOADS_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_TRACE_HOME:
        m->trace->next = r->traces;
        r->traces = m->trace;
        break;
    case X_DELIVERY_HOME:
        m->delivery->next = r->deliveries;
        r->deliveries = m->delivery;
        break;
    case X_SNAPSHOT:
        fill_snapshot(r, m->snapshot, now);
        xout_send(&r->to_net, m);
        break;
    case X_LEAVE: leave(r, now); break;
    default: break;
    }
}

static void from_net(struct coding_role *r, const struct xmsg *m, uint64_t now)
{
    struct peer_conn *c;

    switch (m->type) {
    case X_EVENT: net_event(r, m->event, now); break;
    case X_RPC: frame(r, m, now); break;
    case X_SENT_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_QUEUE:
        if ((c = peers_conn(&r->peers, m->conn)) && c->peer->stream == m->conn) {
            c->peer->queue_bytes = m->number;
            if (c->peer->is_known)
                pubsub_peer_queue(r->ps, c->peer->handle, m->number, now);
        }
        break;
    case X_SNAPSHOT: xout_send(&r->to_control, m); break;
    default: break;
    }
}

static void dial_due(struct coding_role *r, uint64_t now)
{
    int i;

    while (!r->is_leaving && has_room(r) && (i = dialer_take(&r->dialer, now)) >= 0) {
        struct xdial *d = malloc(sizeof(*d));
        struct xmsg m = {.type = X_DIAL, .dial = d};
        if (!d) {
            dialer_failed(&r->dialer, i, now);
            continue;
        }
        *d = (struct xdial){r->dialer.e[i].addr, r->dialer.e[i].peer, (uint64_t)i + 1};
        xout_send(&r->to_net, &m);
    }
}

/* Buffers and stock that come home are taken even when there is no room for anything else, or room would never come. */
static unsigned take_from_control(struct coding_role *r, uint64_t now)
{
    struct xmsg m;
    unsigned n = 0;

    while (n < INPUTS_PER_TURN && r->to_control.nheld < XOUT_HELD / 2 && r->to_net.nheld < XOUT_HELD / 2 &&
           xring_pop_sc(r->from_control, &m)) {
        from_control(r, &m, now);
        n++;
        if (m.type == X_PUBLISH && !drain_outputs(r))
            break;
    }
    return n;
}

static unsigned take_from_net(struct coding_role *r, uint64_t now)
{
    struct xmsg m;
    unsigned n = 0;

    while (n < INPUTS_PER_TURN && drain_outputs(r) && xring_pop_sc(r->from_net, &m)) {
        from_net(r, &m, now);
        n++;
    }
    return n;
}

/* Traces cost a copy each: the core makes them only while somebody listens. */
static void follow_traces(struct coding_role *r)
{
    bool is_on = __atomic_load_n(r->cfg.wants_traces, __ATOMIC_RELAXED) != 0;

    if (is_on != r->has_traces)
        pubsub_trace_enable(r->ps, is_on);
    r->has_traces = is_on;
}

unsigned coding_role_poll(struct coding_role *r, uint64_t now)
{
    unsigned work = 0;

    xout_flush(&r->to_net);
    xout_flush(&r->to_control);
    follow_traces(r);
    work += take_from_control(r, now);
    work += take_from_net(r, now);
    if (now >= pubsub_next_deadline(r->ps)) {
        pubsub_on_deadline(r->ps, now);
        if (now >= r->mute_at_ns) /* a second's grain will do: the heartbeat's */
            try_mute_peers(r, now);
        work++;
    }
    dial_due(r, now);
    if (drain_outputs(r) && r->is_leaving)
        go_on_leaving(r, now);
    xhomes_flush_sp(&r->frames, r->to_net.ring, X_FRAMES_HOME);
    xhomes_flush_sp(&r->sources, r->to_control.ring, X_SOURCES_HOME);
    return work;
}

uint64_t coding_role_next_deadline(const struct coding_role *r)
{
    uint64_t at = pubsub_next_deadline(r->ps), dial = dialer_next_deadline(&r->dialer);

    if (r->is_leaving)
        return r->leave_by_ns < at ? r->leave_by_ns : at;
    return dial < at ? dial : at;
}

bool coding_role_has_input(const struct coding_role *r)
{
    return !xring_is_empty(r->from_net) || !xring_is_empty(r->from_control) || r->to_net.nheld || r->to_control.nheld ||
           r->frames.head || r->sources.head ||
           /* Nobody rings when a ring empties; a stock that is used up comes back by a message, which does. */
           (r->has_more_output && r->deliveries);
}
