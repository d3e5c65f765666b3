#include "node/net_role.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/timerq.h"

#define COMMANDS_PER_TURN 256
#define EVENTS_PER_TURN   256
#define FRAMES_MAX_BYTES  (1ull << 30)
#define FRAMES_KEEP_BYTES (32ull << 20)
#define WATCH_NS          10000000ull /* how often queues that hold something are reported */
#define WATCH_BYTES       65536u
#define LOOK_NS           500000ull
#define REPORT_EACH_BYTES   (256u << 10)
#define REPORT_CHANGE_BYTES (1u << 20)
#define SHADOWS_PER_BLOCK 256

struct shadow {
    struct buf buf; /* first, so that the one is the other */
    struct buf *lent;
    struct net_role *role;
    struct shadow *next;
};

struct shadow_block { /* the first shadow of a block only links blocks */
    struct shadow s[SHADOWS_PER_BLOCK];
};

static void shadow_release(struct buf *b)
{
    struct shadow *s = (struct shadow *)b;

    s->next = s->role->done;
    s->role->done = s;
}

/* Sends home what the done shadows had borrowed, as far as the ring takes it. */
static void flush_done(struct net_role *r)
{
    while (r->done) {
        struct xmsg m = {.type = X_SENT_HOME};
        struct shadow *s = r->done, *next;
        for (; s && m.homes.count < XMSG_HOMES; s = s->next)
            m.homes.buf[m.homes.count++] = s->lent;
        if (!xring_push_sp(r->to_coding.ring, &m))
            return;
        for (next = r->done; next != s;) {
            struct shadow *f = next;
            next = f->next;
            f->next = r->free_shadows;
            r->free_shadows = f;
        }
        r->done = s;
    }
}

/* Grows by a block when none is free: rare, and never shrinks. */
static struct shadow *shadow_get(struct net_role *r)
{
    if (!r->free_shadows) {
        struct shadow_block *block = calloc(1, sizeof(*block));
        if (!block)
            return NULL;
        block->s[0].next = r->shadow_blocks;
        r->shadow_blocks = &block->s[0];
        for (unsigned i = 1; i < SHADOWS_PER_BLOCK; i++) {
            block->s[i].role = r;
            block->s[i].next = r->free_shadows;
            r->free_shadows = &block->s[i];
        }
    }
    struct shadow *s = r->free_shadows;
    r->free_shadows = s->next;
    return s;
}

int net_role_init(struct net_role *r, struct net_config *cfg, uint64_t now, char err[256], char why[512])
{
    *r = (struct net_role){.number = cfg->role, .next_watch_ns = TIMER_NEVER, .allow = (struct allowlist *)cfg->allow,
                           .local = (struct session_local *)cfg->local};
    unsigned nroles = cfg->nroles ? cfg->nroles : 1;

    bufpool_init(&r->frames, FRAMES_MAX_BYTES / nroles, FRAMES_KEEP_BYTES / nroles);
    cfg->frame_alloc = bufpool_alloc;
    cfg->frame_ctx = &r->frames;
    r->net = net_new(cfg, now, err, why);
    return r->net ? 0 : -1;
}

void net_role_fini(struct net_role *r)
{
    free(r->self);
    for (struct shadow *s = r->shadow_blocks, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    bufpool_fini(&r->frames);
    allowlist_free(r->allow);
}

/* After it took `bytes` more, `taken` in all. One whose queue stays short is reported now and then too: until then the coding role
 * counts what it sent as waiting. */
static void watch(struct net_role *r, net_conn_id conn, uint64_t bytes, uint64_t taken, uint64_t now)
{
    if (net_conn_queue_bytes(r->net, conn) < WATCH_BYTES && taken / REPORT_EACH_BYTES == (taken - bytes) / REPORT_EACH_BYTES)
        return;
    for (unsigned i = 0; i < r->nwatched; i++)
        if (r->watched[i].conn == conn)
            return;
    if (r->nwatched == NET_ROLE_WATCHED)
        return;
    r->watched[r->nwatched++] = (struct net_watched){.conn = conn};
    if (r->next_watch_ns == TIMER_NEVER)
        r->next_watch_ns = now + WATCH_NS;
}

/* False: the ring is full. */
static bool report(struct net_role *r, struct net_watched *w)
{
    struct xmsg m = {.type = X_QUEUE, .conn = w->conn,
                     .queue = {net_conn_queue_bytes(r->net, w->conn), net_conn_took(r->net, w->conn, 0)}};

    if (!xring_push_sp(r->to_coding.ring, &m))
        return false;
    w->told_bytes = m.queue.bytes;
    w->told_taken = m.queue.taken_bytes;
    return true;
}

/* Tells the coding role how full the watched queues are; those that have drained are told so once and forgotten. */
static void report_queues(struct net_role *r, uint64_t now)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < r->nwatched; i++) {
        bool is_told = report(r, &r->watched[i]);
        if (!is_told || r->watched[i].told_bytes >= WATCH_BYTES)
            r->watched[kept++] = r->watched[i];
    }
    r->nwatched = kept;
    r->next_watch_ns = kept ? now + WATCH_NS : TIMER_NEVER;
}

/* Between two reports, those for which much has changed: a fast line drains megabytes in that time. */
static void report_changes(struct net_role *r, uint64_t now)
{
    r->next_look_ns = now + LOOK_NS;
    for (unsigned i = 0; i < r->nwatched; i++) {
        struct net_watched *w = &r->watched[i];
        uint64_t bytes = net_conn_queue_bytes(r->net, w->conn), taken = net_conn_took(r->net, w->conn, 0);
        if (bytes + REPORT_CHANGE_BYTES <= w->told_bytes || taken - w->told_taken >= REPORT_CHANGE_BYTES)
            report(r, w);
    }
}

/* Without a shadow (no memory): straight home. */
static void give_back(struct net_role *r, const struct net_piece *p, unsigned count)
{
    struct xmsg m = {.type = X_SENT_HOME};

    for (unsigned i = 0; i < count; i++)
        m.homes.buf[m.homes.count++] = p[i].buf;
    xout_send(&r->to_coding, &m);
}

static void send_rpc(struct net_role *r, const struct xmsg *m, uint64_t now)
{
    struct net_piece piece[NET_MAX_PIECES] = {0};
    uint64_t bytes = 0;
    unsigned n = 0;
    int err = -NET_EMEM;

    for (unsigned i = 0; i < m->send.count; i++)
        bytes += m->send.piece[i].len;
    watch(r, m->conn, bytes, net_conn_took(r->net, m->conn, bytes), now);
    for (; n < m->send.count; n++) {
        const struct net_piece *p = &m->send.piece[n];
        struct shadow *s = shadow_get(r);
        if (!s) {
            give_back(r, p, m->send.count - n);
            break;
        }
        s->lent = p->buf;
        s->buf = (struct buf){.data = p->buf->data, .len = p->off + p->len, .cap = p->off + p->len, .refs = 1, .release = shadow_release};
        piece[n] = (struct net_piece){&s->buf, p->off, p->len};
    }
    if (n == m->send.count)
        err = net_send(r->net, m->conn, piece, n, now);
    if (err == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        buf_unref(piece[i].buf);
    if (err == -NET_ENOCONN) {
        r->send_no_conn++; /* its CONN_DOWN is on its way to the coding role */
        return;
    }
    /* Counted and no more: an answer for each would fill our held messages, stop our taking of commands, and so leave
     * both roles waiting for the other's ring. */
    r->send_dropped++;
}

/* The answer to a command that net refused at once. */
static void answer(struct net_role *r, const struct net_event *what)
{
    struct net_event *ev = malloc(sizeof(*ev));
    struct xmsg m = {.type = X_EVENT, .event = ev};

    if (ev)
        *ev = *what;
    if (ev && xout_send(&r->to_coding, &m))
        return;
    r->answers_lost++;
    free(ev);
}

static void dial(struct net_role *r, struct xdial *d, uint64_t now)
{
    int err = net_dial(r->net, &d->addr, d->expect.len ? &d->expect : NULL, d->token, now);

    if (err)
        answer(r, &(struct net_event){.type = NET_EV_DIAL_FAILED, .token = d->token, .reason = net_err_name(err)});
    free(d);
}

static void open_stream(struct net_role *r, net_conn_id conn, uint64_t now)
{
    int err = net_pubsub_open(r->net, conn, now);

    if (err && err != -NET_ENOCONN) /* of one that is gone, CONN_DOWN is on its way */
        answer(r, &(struct net_event){.type = NET_EV_PUBSUB_CLOSED, .conn = conn});
}

static void request(struct net_role *r, net_conn_id conn, struct xexchange *x, uint64_t now)
{
    int err = net_request(r->net, conn, 0, slice_of(x->bytes, x->len), x->token, now);

    if (err)
        answer(r, &(struct net_event){.type = NET_EV_REQUEST_FAILED, .conn = conn, .token = x->token, .is_unsent = true,
                                      .reason = net_err_name(err)});
    free(x);
}

static void close_conn(struct net_role *r, const struct xmsg *m, uint64_t now)
{
    if (m->number == 2)
        net_conn_close_idle(r->net, m->conn, now);
    else
        net_conn_close(r->net, m->conn, m->number != 0, now);
}

static void fill_snapshot(struct net_role *r, struct snapshot *s)
{
    struct net_counters k;

    net_counters_get(r->net, &k);
    k.events_lost += r->answers_lost;
    net_counters_add(&s->net, &k);
    if (s->nnets < NET_ROLES_MAX)
        s->nets[s->nnets++] = (struct snapshot_net){.conns = k.conns_now, .handshakes = k.handshakes_now, .wire_in = k.wire_bytes_in,
                                                    .wire_out = k.wire_bytes_out, .packets_in = k.packets_in, .packets_out = k.packets_out,
                                                    .dropped_in = k.packets_dropped_in, .send_dropped = r->send_dropped};
    if (r->number == 0) {
        snprintf(s->driver, sizeof(s->driver), "%s", net_driver_text(r->net));
        s->listen = *net_listen_addr(r->net);
        s->listen6 = *net_listen_addr6(r->net);
    }
    s->pool_refused += r->frames.refused;
    s->send_dropped += r->send_dropped;
    snapshot_add_ring(s, r->to_coding.ring);
    snapshot_add_batches(s, r->from_coding);
}

/* Other addresses, another record: every peer that takes pushes is told. */
static void announce(struct net_role *r, struct xself *x, uint64_t now)
{
    struct session_local *l = r->local;

    l->addrs = x->addrs;
    l->naddrs = x->naddrs;
    l->record = slice_of(x->record, x->record_len);
    l->version++;
    free(r->self);
    r->self = x;
    net_local_changed(r->net, now);
}

static void command(struct net_role *r, const struct xmsg *m, uint64_t now)
{
    switch (m->type) {
    case X_SEND: send_rpc(r, m, now); break;
    case X_DIAL: dial(r, m->dial, now); break;
    case X_PUBSUB_OPEN: open_stream(r, m->conn, now); break;
    case X_PUBSUB_CLOSE: net_pubsub_close(r->net, m->conn, now); break;
    case X_PUBSUB_FINISH: net_pubsub_finish(r->net, m->conn, now); break;
    case X_CLOSE: close_conn(r, m, now); break;
    case X_REQUEST: request(r, m->conn, m->exchange, now); break;
    case X_ANSWER:
        net_answer(r->net, m->conn, m->exchange->token,
                   m->exchange->is_reset ? slice_of(NULL, 0) : slice_of(m->exchange->bytes, m->exchange->len));
        free(m->exchange);
        break;
    case X_ALLOW:
        net_allow(r->net, m->allow, now);
        allowlist_free(r->allow);
        r->allow = m->allow;
        break;
    case X_SELF: announce(r, m->self, now); break;
    case X_FRAMES_HOME:
        for (unsigned i = 0; i < m->homes.count; i++)
            bufpool_put(&r->frames, m->homes.buf[i]);
        break;
    case X_SNAPSHOT:
        fill_snapshot(r, m->snapshot);
        xout_send(&r->to_coding, m);
        break;
    default: break;
    }
}

static bool push_event(struct net_role *r, struct net_event *ev)
{
    struct xmsg m = {.conn = ev->conn, .protocol = ev->protocol};

    if (ev->type == NET_EV_RPC) {
        m.type = X_RPC;
        m.buf = ev->frame;
        return xring_push_sp(r->to_coding.ring, &m);
    }
    m.type = X_EVENT; /* connection upkeep: rare, so the heap may be used */
    m.event = malloc(sizeof(*ev));
    if (!m.event)
        return false;
    *m.event = *ev;
    if (xring_push_sp(r->to_coding.ring, &m))
        return true;
    free(m.event);
    return false;
}

unsigned net_role_poll(struct net_role *r, uint64_t now)
{
    struct xmsg m;
    unsigned work = 0, n;

    /* Commands are always taken, whatever the state of our own output: so the two roles cannot wait for each other. */
    for (n = 0; n < COMMANDS_PER_TURN && r->to_coding.nheld < XOUT_HELD - 2 && xring_pop_sc(r->from_coding, &m); n++)
        command(r, &m, now);
    work += n;
    work += net_poll(r->net, now);
    if (!xout_flush(&r->to_coding))
        return work;
    for (n = 0; n < EVENTS_PER_TURN; n++) {
        if (!r->has_event && !net_next_event(r->net, &r->event))
            break;
        r->has_event = !push_event(r, &r->event);
        if (r->has_event)
            break; /* the ring is full: the peer feels it as a closing window */
    }
    work += n;
    if (now >= r->next_watch_ns)
        report_queues(r, now);
    else if (now >= r->next_look_ns && r->nwatched)
        report_changes(r, now);
    flush_done(r);
    return work;
}

uint64_t net_role_next_deadline(const struct net_role *r)
{
    uint64_t at = net_next_deadline(r->net);

    return r->next_watch_ns < at ? r->next_watch_ns : at;
}

bool net_role_has_input(const struct net_role *r)
{
    return !xring_is_empty(r->from_coding) || r->has_event || r->to_coding.nheld || r->done;
}

static void drop_command(struct net_role *r, const struct xmsg *m)
{
    if (m->type == X_SEND)
        for (unsigned i = 0; i < m->send.count; i++)
            buf_unref(m->send.piece[i].buf); /* the coding role's count: its lcore no longer runs */
    if (m->type == X_FRAMES_HOME)
        command(r, m, 0);
    if (m->type == X_DIAL)
        free(m->dial);
    if (m->type == X_REQUEST || m->type == X_ANSWER)
        free(m->exchange);
    if (m->type == X_ALLOW)
        allowlist_free(m->allow);
    if (m->type == X_SELF)
        free(m->self);
    if (m->type == X_SNAPSHOT)
        free(m->snapshot);
}

void net_role_settle(struct net_role *r, const struct xout *kept)
{
    struct xmsg m;

    if (r->from_coding)
        while (xring_pop_sc(r->from_coding, &m))
            drop_command(r, &m);
    for (unsigned i = 0; i < kept->nheld; i++)
        drop_command(r, &kept->held[i]);
    if (r->has_event && r->event.frame && r->event.type == NET_EV_RPC)
        bufpool_put(&r->frames, r->event.frame);
    else if (r->has_event)
        buf_unref(r->event.frame); /* of a request or an answer: the heap's */
    if (r->has_event && r->event.identity)
        net_identity_free(r->event.identity);
    net_free(r->net);
    for (struct shadow *s = r->done; s; s = s->next)
        buf_unref(s->lent);
    r->done = NULL;
}
