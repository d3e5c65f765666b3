/* coding_role.c: the role itself: its stocks, what the core says, its turn (coding_int.h) */
#include "node/coding_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/rate.h"
#include "base/timerq.h"
#include "node/helper_role.h"

#define INPUTS_PER_TURN    256
#define PAYLOADS_MAX_BYTES (1ull << 30)
#define PAYLOADS_KEEP_BYTES (32ull << 20)

/* What strangers can cause as often as they like: a start of so many lines, and one more each time. */
#define PEER_NOTES_START    200
#define PEER_NOTES_EVERY_NS 100000000ull

static void note(struct coding_role *r, int level, const char *fmt, va_list ap)
{
    struct xnote *n = log_is_on(level) && xring_room(r->to_control.ring) > 64 ? malloc(sizeof(*n)) : NULL;
    struct xmsg m = {.type = X_NOTE, .note = n};

    if (!n) {
        r->notes_dropped += log_is_on(level);
        return;
    }
    n->level = level;
    log_pack(n->record, sizeof(n->record), fmt, ap);
    if (!xout_send(&r->to_control, &m)) {
        r->notes_dropped++;
        free(n);
    }
}

void coding_note(struct coding_role *r, int level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note(r, level, fmt, ap);
    va_end(ap);
}

void coding_peer_note(struct coding_role *r, int level, const char *fmt, ...)
{
    va_list ap;

    if (!log_is_on(level))
        return;
    if (!rate_take(&r->peer_notes_ns, PEER_NOTES_EVERY_NS, PEER_NOTES_START, r->now_ns)) {
        r->peer_notes_left_out++;
        return;
    }
    if (r->peer_notes_left_out > r->peer_notes_told) {
        coding_note(r, LOG_WARN_L, "\"too many lines about peers, some were left out\" lines=%llu",
                    (unsigned long long)(r->peer_notes_left_out - r->peer_notes_told));
        r->peer_notes_told = r->peer_notes_left_out;
    }
    va_start(ap, fmt);
    note(r, level, fmt, ap);
    va_end(ap);
}

void coding_frame_release(struct buf *b)
{
    xhomes_add(&((struct coding_net *)b->home)->frames, b);
}

void coding_source_release(struct buf *b)
{
    xhomes_add(&((struct coding_role *)b->home)->sources, b);
}

void coding_adopt(void *home, struct buf *b, void (*release)(struct buf *))
{
    b->refs = 1;
    b->release = release;
    b->home = home;
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
    peerstore_init(&r->store, &cfg->self, cfg->has_loopback, seed);
    dialer_init(&r->dialer, &r->store, cfg->conn_low, cfg->rng);
    for (unsigned i = 0; i < cfg->nbootstrap; i++)
        dialer_bootstrap(&r->dialer, &cfg->bootstrap[i], now);
    for (unsigned i = 0; i < cfg->ndirect; i++) {
        struct stored_peer *p = peerstore_get(&r->store, &cfg->direct[i], PEERSTORE_BOOTSTRAP, now);
        if (p)
            p->is_direct = true;
    }
    coding_names_init(r, now);
    r->dial_reason = "";
    r->waits_since_ns = now;
    coding_self_init(r);
    if (coding_kad_init(r, now))
        return -1;
    r->cfg.pubsub.jobs = r->nhelpers ? HELPER_JOBS : 0;
    r->own_helper = pubsub_helper_new();
    r->ps = r->own_helper ? pubsub_new(&r->cfg.pubsub, cfg->rng, now, unix_ns) : NULL;
    return r->ps ? make_stocks(r) : -1;
}

static void drop_input(struct coding_role *r, const struct xmsg *m)
{
    switch (m->type) {
    case X_EVENT:
        if (m->event->identity)
            net_identity_free(m->event->identity);
        buf_unref(m->event->frame);
        free(m->event);
        break;
    case X_RPC:
        coding_adopt(&r->nets[net_conn_role(m->conn)], m->buf, coding_frame_release);
        buf_unref(m->buf);
        break;
    case X_PUBLISH:
        coding_adopt(r, m->publish->payload, coding_source_release);
        buf_unref(m->publish->payload);
        free(m->publish);
        break;
    case X_SUBSCRIBE:
    case X_RELAY:
    case X_UNSUBSCRIBE: free(m->publish); break;
    case X_SENT_HOME:
    case X_PAYLOADS_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_SNAPSHOT: free(m->snapshot); break;
    case X_ALLOW: allowlist_free(m->allow); break;
    case X_RESOLVED: free(m->resolved); break;
    default: break;
    }
}

void coding_role_settle(struct coding_role *r, const struct xout *const kept[])
{
    struct xmsg m;

    while (xring_pop_sc(r->from_control, &m))
        drop_input(r, &m);
    for (unsigned n = 0; n < r->nnets; n++) {
        while (xring_pop_sc(r->nets[n].in, &m))
            drop_input(r, &m);
        for (unsigned i = 0; i < kept[n]->nheld; i++)
            drop_input(r, &kept[n]->held[i]);
    }
    for (unsigned n = 0; n < r->nhelpers; n++) {
        while (xring_pop_sc(r->helpers[n].in, &m))
            drop_input(r, &m);
        for (unsigned i = 0; i < r->helpers[n].out.nheld; i++)
            drop_input(r, &r->helpers[n].out.held[i]);
    }
    for (unsigned i = 0; i < r->to_control.nheld; i++) /* what the hub never saw */
        if (r->to_control.held[i].type == X_DELIVER)
            buf_unref(r->to_control.held[i].delivery->payload);
        else if (r->to_control.held[i].type == X_NOTE)
            free(r->to_control.held[i].note);
        else if (r->to_control.held[i].type == X_PUBLISHED)
            free(r->to_control.held[i].publish);
        else if (r->to_control.held[i].type == X_RESOLVE)
            free(r->to_control.held[i].name);
        else if (r->to_control.held[i].type == X_SNAPSHOT)
            free(r->to_control.held[i].snapshot);
    coding_held_drop(r);
    peers_fini(&r->peers);
    peerstore_fini(&r->store);
    kad_free(r->kad);
    pubsub_free(r->ps);
    r->ps = NULL;
    pubsub_helper_free(r->own_helper);
    r->own_helper = NULL;
}

void coding_role_fini(struct coding_role *r)
{
    free(r->delivery_stock);
    free(r->trace_stock);
    bufpool_fini(&r->payloads);
}

/* ---- outputs of the core ---- */

/* What waits for the peer: in its connection's queue as net last said, and what we sent since, in the ring. */
static void tell_queue(struct coding_role *r, const struct peer_conn *c, uint64_t now)
{
    struct peer *p = c->peer;

    if (p->stream != c->id)
        return;
    p->queue_bytes = c->reported_bytes + c->sent_bytes - c->taken_bytes;
    if (p->is_known)
        pubsub_peer_queue(r->ps, p->handle, p->queue_bytes, now);
}

static void send_rpc(struct coding_role *r, struct pubsub_output *o, uint64_t now)
{
    struct peer *p = peers_at(&r->peers, o->peer);
    struct peer_conn *c = p ? peers_conn(&r->peers, p->stream) : NULL;
    struct xmsg m = {.type = X_SEND, .conn = c ? c->id : 0};

    if (!m.conn) { /* the stream went while the core was speaking */
        for (unsigned i = 0; i < o->npieces; i++)
            buf_unref(o->pieces[i].buf);
        return;
    }
    for (unsigned i = 0; i < o->npieces; i++) {
        m.send.piece[i] = (struct net_piece){o->pieces[i].buf, o->pieces[i].off, o->pieces[i].len};
        p->bytes_out += o->pieces[i].len;
        c->sent_bytes += o->pieces[i].len;
    }
    p->rpc_out++;
    m.send.count = o->npieces;
    coding_to_net(r, &m);
    tell_queue(r, c, now);
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
    xout_send_soon(&r->to_control, &m, r->now_ns);
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
    xout_send_quiet(&r->to_control, &m, r->now_ns);
}

static void disconnect(struct coding_role *r, struct pubsub_output *o)
{
    struct peer *p = peers_at(&r->peers, o->peer);
    char id[PEER_ID_TEXT_MAX];

    if (!p)
        return;
    peer_id_format(&p->id, id);
    coding_peer_note(r, LOG_WARN_L, "\"peer cut off\" peer=%s rule=\"%s\"", id, o->reason ? o->reason : "");
    LIST_EACH (it, &p->conns) {
        struct xmsg m = {.type = X_CLOSE, .conn = CONTAINER_OF(it, struct peer_conn, node)->id};
        coding_to_net(r, &m);
    }
}

bool coding_has_room(const struct coding_role *r)
{
    return coding_nets_have_room(r) && r->to_control.nheld == 0 && r->deliveries && xring_room(r->to_control.ring) > 8;
}

bool coding_drain(struct coding_role *r, uint64_t now)
{
    struct pubsub_output o;

    for (;;) {
        r->has_more_output = !coding_has_room(r);
        if (r->has_more_output)
            return false;
        if (!pubsub_next_output(r->ps, &o))
            return true;
        switch (o.type) {
        case PUBSUB_SEND: send_rpc(r, &o, now); break;
        case PUBSUB_DELIVER: deliver(r, &o); break;
        case PUBSUB_TRACE: trace(r, o.trace); break;
        case PUBSUB_DISCONNECT: disconnect(r, &o); break;
        case PUBSUB_DIAL: coding_px(r, &o, now); break;
        case PUBSUB_WORK: coding_give_work(r, o.job, now); break;
        case PUBSUB_VALIDATE: buf_unref(o.payload); break; /* not switched on */
        }
    }
}

void coding_pass_snapshot(struct coding_role *r, unsigned at, const struct xmsg *m)
{
    if (at < r->nnets)
        xout_send(&r->nets[at].out, m);
    else if (at - r->nnets < r->nhelpers)
        xout_send(&r->helpers[at - r->nnets].out, m);
    else
        xout_send(&r->to_control, m);
}

static void from_net(struct coding_role *r, unsigned from, const struct xmsg *m, uint64_t now)
{
    struct peer_conn *c;

    switch (m->type) {
    case X_EVENT:
        coding_nets_count(r, from, m->event);
        coding_net_event(r, m->event, now);
        break;
    case X_RPC: coding_frame(r, m, now); break;
    case X_SENT_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            buf_unref(m->homes.buf[i]);
        break;
    case X_QUEUE:
        if ((c = peers_conn(&r->peers, m->conn)) != NULL) {
            c->reported_bytes = m->queue.bytes;
            c->taken_bytes = m->queue.taken_bytes;
            tell_queue(r, c, now);
        }
        break;
    case X_SNAPSHOT: coding_pass_snapshot(r, from + 1, m); break;
    default: break;
    }
}

/* Buffers and stock that come home are taken even when there is no room for anything else, or room would never come. */
static unsigned take_from_control(struct coding_role *r, uint64_t now)
{
    struct xmsg m;
    unsigned n = 0;

    while (n < INPUTS_PER_TURN && r->to_control.nheld < XOUT_HELD / 2 && coding_nets_take_more(r) && xring_pop_sc(r->from_control, &m)) {
        coding_from_control(r, &m, now);
        n++;
        if (m.type == X_PUBLISH && !coding_drain(r, now))
            break;
    }
    return n;
}

static unsigned take_from_net(struct coding_role *r, unsigned from, uint64_t now)
{
    struct xmsg m;
    unsigned n = 0;

    while (n < INPUTS_PER_TURN && coding_drain(r, now) && coding_may_take_frames(r) && xring_pop_sc(r->nets[from].in, &m)) {
        from_net(r, from, &m, now);
        n++;
        if (r->jobs_out) /* at once: only who is seen to be done gets more */
            coding_take_jobs(r, now);
    }
    return n;
}

/* Each in turn is the first: when there is room for little, it is not always the same one's. */
static unsigned take_from_nets(struct coding_role *r, uint64_t now)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->nnets; i++)
        n += take_from_net(r, (r->first_net + i) % r->nnets, now);
    r->first_net = (r->first_net + 1) % r->nnets;
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

    r->now_ns = now;
    coding_nets_flush(r);
    coding_jobs_flush(r);
    xout_flush(&r->to_control);
    xout_bell(&r->to_control, now);
    follow_traces(r);
    work += take_from_control(r, now);
    work += coding_take_jobs(r, now);
    work += take_from_nets(r, now);
    if (now >= pubsub_next_deadline(r->ps)) {
        pubsub_on_deadline(r->ps, now);
        coding_upkeep(r, now); /* a second's grain will do: the heartbeat's */
        work++;
    }
    coding_kad_poll(r, now);
    coding_names_poll(r, now);
    coding_dial_due(r, now);
    while (coding_drain(r, now) && coding_held_go_on(r, now))
        work++;
    if (coding_drain(r, now) && r->is_leaving)
        coding_go_on_leaving(r, now);
    coding_nets_send_home(r);
    xhomes_flush_sp(&r->sources, r->to_control.ring, X_SOURCES_HOME);
    return work;
}

uint64_t coding_role_next_deadline(struct coding_role *r)
{
    uint64_t at = pubsub_next_deadline(r->ps), kad = coding_kad_deadline(r), dial;

    if (r->to_control.bell_at_ns && r->to_control.bell_at_ns < at)
        at = r->to_control.bell_at_ns;
    if (r->is_leaving)
        return r->leave_by_ns < at ? r->leave_by_ns : at;
    if (kad < at)
        at = kad;
    if (coding_held_deadline(r, r->now_ns) < at)
        at = coding_held_deadline(r, r->now_ns);
    if (names_next_deadline(&r->names) < at)
        at = names_next_deadline(&r->names);
    dial = dialer_next_deadline(&r->dialer, r->now_ns);
    return dial < at ? dial : at;
}

bool coding_role_needs_home(const struct coding_role *r)
{
    return !r->deliveries || r->payloads.used_bytes > PAYLOADS_MAX_BYTES / 2;
}

bool coding_role_has_input(const struct coding_role *r)
{
    return coding_nets_have_input(r) || coding_jobs_have_input(r) || !xring_is_empty(r->from_control) || r->to_control.nheld || r->sources.head ||
           /* Nobody rings when a ring empties; a stock that is used up comes back by a message, which does. */
           (r->has_more_output && r->deliveries);
}
