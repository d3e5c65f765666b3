/* coding_peers.c: connections as the router sees them: who is up, which carries our stream, whom to dial (coding_int.h) */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rate.h"
#include "node/coding_int.h"

#define CONNS_USUAL       2 /* of one peer: both sides may dial at once */
#define IDENTIFY_EVERY_NS 1000000000ull
#define IDENTIFY_BURST    16

static void open_stream(struct coding_role *r, struct peer *p)
{
    if (!p->stream && !p->opening && p->moving) { /* the one that is being opened anyway */
        p->opening = p->moving;
        p->moving = 0;
    }
    struct peer_conn *c = p->stream || p->opening || r->is_leaving ? NULL : peers_other_conn(p);
    struct xmsg m = {.type = X_PUBSUB_OPEN};

    if (!c)
        return;
    c->opens++;
    m.conn = p->opening = c->id;
    coding_to_net(r, &m);
}

/* A newcomer beyond max_peers is turned away, unless the operator named it. So is a further connection of one that has two,
 * once there are many: net takes twice max_peers, and a few identities must not use them up between them. */
static bool has_place(struct coding_role *r, const struct peer_id *id)
{
    const struct stored_peer *s = peerstore_find(&r->store, id);
    const struct peer *p = peers_find(&r->peers, id);
    bool has = p ? p->nconns < CONNS_USUAL || r->peers.by_conn.count < r->cfg.max_peers / 2 : r->peers.count < r->cfg.max_peers;

    if (has || (s && stored_peer_is_kept(s)))
        return true;
    r->refused_full++;
    return false;
}

static struct peer_conn *take_conn(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    if (r->is_leaving || peer_id_is_equal(&ev->peer, &r->cfg.self) || !has_place(r, &ev->peer))
        return NULL;
    return peers_add(&r->peers, &ev->peer, ev->conn, now);
}

static void conn_up(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = take_conn(r, ev, now);
    char id[PEER_ID_TEXT_MAX], addr[MULTIADDR_TEXT_MAX];

    if (!c) {
        struct xmsg m = {.type = X_CLOSE, .conn = ev->conn};
        if (ev->is_dialer)
            dialer_failed(&r->dialer, ev->token, now);
        coding_to_net(r, &m);
        return;
    }
    c->addr = ev->addr;
    c->is_dialer = ev->is_dialer;
    dialer_up(&r->dialer, &ev->peer, ev->is_dialer ? ev->token : 0, now);
    peer_id_format(&ev->peer, id);
    if (multiaddr_format(multiaddr_slice(&ev->addr), addr, sizeof(addr)) < 0)
        addr[0] = 0;
    coding_peer_note(r, LOG_INFO_L, "\"connected\" peer=%s addr=%s direction=%s", id, addr, ev->is_dialer ? "out" : "in");
    open_stream(r, c->peer);
    coding_kad_conn_up(r, c->peer, now);
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

/* We hung up to dial it anew. */
static void redial(struct coding_role *r, const struct peer_id *id, uint64_t now)
{
    struct stored_peer *s = peerstore_find(&r->store, id);

    if (!s || !s->is_redialed || s->conns)
        return;
    s->is_redialed = false;
    dialer_want(&r->dialer, id, now);
}

static void conn_down(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    char id[PEER_ID_TEXT_MAX];

    if (!c)
        return;
    struct peer *p = c->peer;
    peer_id_format(&p->id, id);
    coding_peer_note(r, LOG_INFO_L, "\"disconnected\" peer=%s reason=\"%s\"", id, ev->reason ? ev->reason : "");
    dialer_down(&r->dialer, &p->id, now);
    redial(r, &p->id, now);
    mute_conn_down(&p->mute, ev->conn, now);
    if (p->stream == ev->conn)
        stream_gone(r, p, now);
    if (p->opening == ev->conn)
        p->opening = 0;
    if (p->moving == ev->conn)
        p->moving = 0;
    if (peers_remove(&r->peers, c)) {
        coding_self_peer_gone(r, &p->id, now);
        peers_drop(&r->peers, p);
    } else {
        stream_failed(r, p);
    }
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

/* True: the peer has a stream already. If it was to move here, it has now: what is queued on the old one still goes out. */
static bool stream_moved(struct coding_role *r, struct peer *p, net_conn_id conn)
{
    struct xmsg m = {.type = X_PUBSUB_FINISH, .conn = p->stream};

    if (p->moving == conn)
        p->moving = 0;
    else if (p->stream)
        m.conn = 0;
    if (!p->stream)
        return false;
    if (m.conn && m.conn != conn) {
        coding_to_net(r, &m);
        p->stream = conn;
        p->queue_bytes = 0;
    }
    return true;
}

static void stream_ready(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    uint8_t ip[16];
    struct slice addr;

    if (!c || stream_moved(r, c->peer, ev->conn))
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
    coding_trust_up(r, p, now);
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
    if (c->peer->moving == ev->conn)
        c->peer->moving = 0;
    stream_failed(r, c->peer);
}

static void stream_closed(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);

    if (!c)
        return;
    if (c->peer->opening == ev->conn)
        c->peer->opening = 0;
    if (c->peer->moving == ev->conn)
        c->peer->moving = 0;
    if (c->peer->stream == ev->conn)
        stream_gone(r, c->peer, now);
    stream_failed(r, c->peer);
}

static void identified(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, ev->conn);
    const struct net_identity *id = ev->identity;
    char peer[PEER_ID_TEXT_MAX];

    if (!c || !id)
        return;
    /* A peer may push what it says of itself as often as it likes; records in it cost us signature checks. */
    if (!rate_take(&c->peer->identified_ns, IDENTIFY_EVERY_NS, IDENTIFY_BURST, now)) {
        r->identities_dropped++;
        return;
    }
    snprintf(c->peer->agent, sizeof(c->peer->agent), "%s", id->agent);
    coding_trust_record(r, c->peer, id->record, now);
    c->peer->is_codecast = strncmp(id->agent, "codecast/", 9) == 0;
    for (unsigned i = 0; i < id->naddrs; i++)
        peerstore_add_addr(&r->store, &c->peer->id, multiaddr_slice(&id->addrs[i]), PEERSTORE_IDENTIFY, now);
    if (id->record)
        peerstore_add_record(&r->store, &c->peer->id, buf_slice(id->record), now);
    coding_kad_identified(r, c->peer, id, now);
    coding_self_identified(r, c, id, now);
    for (unsigned i = 0; i < id->nprotocols && !c->peer->is_warned && c->peer->is_codecast; i++)
        if (strcmp(id->protocols[i], r->cfg.other_protocol) == 0) {
            c->peer->is_warned = true;
            peer_id_format(&c->peer->id, peer);
            coding_peer_note(r, LOG_WARN_L, "\"peer runs in another NODE_MODE: no messages pass between us\" peer=%s ours=%s", peer,
                             r->cfg.own_mode);
        }
}

static void dial_failed(struct coding_role *r, const struct net_event *ev, uint64_t now)
{
    const struct peer_id *failed = dialer_failed(&r->dialer, ev->token, now);
    char id[PEER_ID_TEXT_MAX];

    if (!failed)
        return;
    r->dial_reason = ev->reason ? ev->reason : "";
    peer_id_format(failed, id);
    coding_peer_note(r, LOG_DEBUG_L, "\"dial failed\" peer=%s reason=\"%s\"", id, r->dial_reason);
    coding_kad_dial_failed(r, failed, now);
}

void coding_net_event(struct coding_role *r, struct net_event *ev, uint64_t now)
{
    struct peer_conn *c;

    switch (ev->type) {
    case NET_EV_CONN_UP: conn_up(r, ev, now); break;
    case NET_EV_CONN_DOWN: conn_down(r, ev, now); break;
    case NET_EV_DIAL_FAILED: dial_failed(r, ev, now); break;
    case NET_EV_PUBSUB_READY: stream_ready(r, ev, now); break;
    case NET_EV_PUBSUB_NONE: stream_none(r, ev); break;
    case NET_EV_PUBSUB_CLOSED: stream_closed(r, ev, now); break;
    case NET_EV_IDENTIFIED: identified(r, ev, now); break;
    case NET_EV_PUBSUB_IN:
        if ((c = peers_conn(&r->peers, ev->conn)))
            mute_opened(&c->peer->mute, c->id);
        break;
    case NET_EV_RTT:
        if ((c = peers_conn(&r->peers, ev->conn)))
            c->peer->rtt_ns = ev->rtt_ns;
        break;
    case NET_EV_LINK: coding_note(r, LOG_WARN_L, "\"port\" state=\"%s\"", ev->reason ? ev->reason : ""); break;
    case NET_EV_REQUEST:
    case NET_EV_ANSWER:
    case NET_EV_REQUEST_FAILED: coding_kad_event(r, ev, now); break;
    case NET_EV_WRITABLE:
    case NET_EV_RPC: break;
    }
    buf_unref(ev->frame);
    if (ev->identity)
        net_identity_free(ev->identity);
    free(ev);
}

void coding_frame(struct coding_role *r, const struct xmsg *m, uint64_t now)
{
    struct peer_conn *c = peers_conn(&r->peers, m->conn);

    coding_adopt(&r->nets[net_conn_role(m->conn)], m->buf, coding_frame_release);
    if (c) {
        mute_heard(&c->peer->mute, c->id);
        c->peer->rpc_in++;
        c->peer->bytes_in += m->buf->len;
    }
    if (c && c->peer->is_known) {
        pubsub_rpc(r->ps, c->peer->handle, m->buf, now);
    } else if (!c || !c->peer->opening || !peers_hold(&r->peers, c->peer, m->buf)) {
        /* Held when the peer's stream came before ours was ready; else, or over the bounds, dropped. */
        r->frames_dropped++;
        buf_unref(m->buf);
    }
}

void coding_dial_due(struct coding_role *r, uint64_t now)
{
    struct dialer_order o;

    while (!r->is_leaving && coding_has_room(r) && dialer_take(&r->dialer, &o, now)) {
        struct xdial *d = malloc(sizeof(*d));
        struct xmsg m = {.type = X_DIAL, .dial = d};
        if (!d) {
            dialer_failed(&r->dialer, o.token, now);
            continue;
        }
        *d = (struct xdial){o.addr, o.peer, o.token};
        unsigned role = coding_dial_role(r, &o.addr);
        r->nets[role].conns++;
        m.conn = net_role_id(role);
        coding_to_net(r, &m);
    }
}

void coding_px(struct coding_role *r, struct pubsub_output *o, uint64_t now)
{
    if (o->record)
        peerstore_add_record(&r->store, &o->from, buf_slice(o->record), now);
    buf_unref(o->record);
    if (!r->is_leaving && r->peers.count < r->cfg.conn_high)
        r->px_dials += dialer_want(&r->dialer, &o->from, now);
}
