/* coding_kad.c: the DHT's core joined to connections: its questions become dials and requests (coding_int.h) */
#include <stdlib.h>

#include "base/timerq.h"
#include "node/coding_int.h"

#define ASK_NS 10000000000ull /* as the core waits */

static unsigned addrs_for_others(void *ctx, const struct peer_id *id, struct multiaddr *out, unsigned cap)
{
    struct coding_role *r = ctx;
    unsigned n = 0;

    if (!peer_id_is_equal(id, &r->cfg.self))
        return peerstore_addrs(&r->store, id, out, cap, r->now_ns);
    for (; n < r->cfg.naddrs && n < cap; n++)
        out[n] = r->cfg.addrs[n];
    return n;
}

int coding_kad_init(struct coding_role *r, uint64_t now)
{
    struct kad_config kc = {.self = r->cfg.self, .is_server = true, .rng = r->cfg.rng, .addrs = addrs_for_others, .addrs_ctx = r};

    r->now_ns = now;
    if (!r->cfg.kad_protocol)
        return 0;
    r->kad = kad_new(&kc, now);
    return r->kad ? 0 : -1;
}

/* ---- our questions ---- */

static struct coding_ask *find_ask(struct coding_role *r, uint64_t token)
{
    for (unsigned i = 0; i < CODING_ASKS; i++)
        if (r->asks[i].token == token)
            return &r->asks[i];
    return NULL;
}

static struct xexchange *new_exchange(uint64_t token, struct slice bytes)
{
    struct xexchange *x = malloc(sizeof(*x) + bytes.len);

    if (!x)
        return NULL;
    *x = (struct xexchange){.token = token, .len = (uint32_t)bytes.len};
    if (bytes.len)
        memcpy(x->bytes, bytes.p, bytes.len);
    return x;
}

static bool send_ask(struct coding_role *r, const struct peer *p, uint64_t token, struct slice request)
{
    struct xmsg m = {.type = X_REQUEST, .conn = CONTAINER_OF(p->conns.next, struct peer_conn, node)->id};

    m.exchange = new_exchange(token, request);
    if (m.exchange && coding_to_net(r, &m))
        return true;
    free(m.exchange);
    return false;
}

/* Sends it now, or keeps it until the peer's dial has ended. */
static void ask(struct coding_role *r, const struct kad_output *o, uint64_t now)
{
    struct peer *p = peers_find(&r->peers, &o->peer);
    struct coding_ask *a = find_ask(r, 0);

    if (p) {
        p->used_ns = now;
        if (!send_ask(r, p, o->token, o->request))
            kad_unasked(r->kad, o->token, now);
        return;
    }
    if (!a || o->request.len > sizeof(a->request) || !(dialer_is_dialing(&r->dialer, &o->peer) || dialer_want(&r->dialer, &o->peer, now))) {
        kad_unasked(r->kad, o->token, now);
        return;
    }
    *a = (struct coding_ask){.token = o->token, .peer = o->peer, .until_ns = now + ASK_NS, .len = (uint16_t)o->request.len};
    memcpy(a->request, o->request.p, o->request.len);
}

void coding_kad_conn_up(struct coding_role *r, struct peer *p, uint64_t now)
{
    for (unsigned i = 0; r->kad && i < CODING_ASKS; i++) {
        struct coding_ask *a = &r->asks[i];
        uint64_t token = a->token;
        if (!token || !peer_id_is_equal(&a->peer, &p->id))
            continue;
        a->token = 0;
        p->used_ns = now;
        if (!send_ask(r, p, token, slice_of(a->request, a->len)))
            kad_unasked(r->kad, token, now);
    }
}

void coding_kad_dial_failed(struct coding_role *r, const struct peer_id *peer, uint64_t now)
{
    const struct stored_peer *p = peerstore_find(&r->store, peer);

    if (!r->kad || (p && peerstore_due_ns(p, now) <= now)) /* there is another address */
        return;
    for (unsigned i = 0; i < CODING_ASKS; i++) {
        struct coding_ask *a = &r->asks[i];
        uint64_t token = a->token;
        if (!token || !peer_id_is_equal(&a->peer, peer))
            continue;
        a->token = 0;
        kad_failed(r->kad, token, now);
    }
}

/* Those that waited too long: the core gives them up by its own clock. */
static void expire_asks(struct coding_role *r, uint64_t now)
{
    for (unsigned i = 0; i < CODING_ASKS; i++)
        if (r->asks[i].token && now >= r->asks[i].until_ns)
            r->asks[i].token = 0;
}

/* ---- theirs ---- */

static void serve(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    static uint8_t out[KAD_MESSAGE_MAX]; /* one coding role per process */
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    struct xmsg m = {.type = X_ANSWER, .conn = ev->conn};
    ssize_t n = -1;

    if (!c)
        return;
    c->peer->used_ns = now;
    if (r->kad)
        n = kad_serve(r->kad, &c->peer->id, buf_slice(ev->frame), out, sizeof(out), now);
    m.exchange = new_exchange(ev->token, slice_of(out, n > 0 ? (size_t)n : 0));
    if (!m.exchange)
        return;
    m.exchange->is_reset = n < 0;
    if (!coding_to_net(r, &m))
        free(m.exchange);
}

void coding_kad_event(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    if (ev->type == NET_EV_REQUEST)
        serve(r, ev, now);
    else if (r->kad && ev->type == NET_EV_ANSWER)
        kad_answer(r->kad, ev->token, buf_slice(ev->frame), now);
    else if (r->kad && ev->is_unsent)
        kad_unasked(r->kad, ev->token, now);
    else if (r->kad)
        kad_failed(r->kad, ev->token, now);
    coding_kad_drain(r, now);
}

/* ---- upkeep ---- */

void coding_kad_identified(struct coding_role *r, const struct peer *p, const struct net_identity *id, uint64_t now)
{
    bool serves = false;

    if (!r->kad || id->nprotocols == 0)
        return; /* a peer that does not answer identify, or a push that leaves them out */
    for (unsigned i = 0; i < id->nprotocols; i++)
        serves |= strcmp(id->protocols[i], r->cfg.kad_protocol) == 0;
    if (serves)
        kad_peer_serves(r->kad, &p->id, now);
    else
        kad_peer_left(r->kad, &p->id);
}

void coding_kad_drain(struct coding_role *r, uint64_t now)
{
    bool has_room = true;
    struct kad_output o;

    while (r->kad && !r->is_leaving && (has_room = coding_has_room(r)) && kad_next_output(r->kad, &o)) {
        if (o.type == KAD_ASK)
            ask(r, &o, now);
        for (unsigned i = 0; i < o.naddrs; i++)
            peerstore_add_addr(&r->store, &o.peer, o.addrs[i], PEERSTORE_DHT, now);
    }
    r->has_more_kad = !has_room;
}

void coding_kad_poll(struct coding_role *r, uint64_t now)
{
    if (!r->kad || r->is_leaving)
        return;
    if (now >= kad_next_deadline(r->kad)) {
        expire_asks(r, now);
        kad_on_deadline(r->kad, now);
    } else if (!r->has_more_kad) {
        return;
    }
    coding_kad_drain(r, now);
}

uint64_t coding_kad_deadline(const struct coding_role *r)
{
    return r->kad && !r->is_leaving ? kad_next_deadline(r->kad) : TIMER_NEVER;
}
