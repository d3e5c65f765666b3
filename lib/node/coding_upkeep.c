/* coding_upkeep.c: once a second: peers that never speak, surplus and idle connections, what we wait for (coding_int.h) */
#include <stdio.h>

#include "base/log.h"
#include "node/coding_int.h"
#include "node/trim.h"

#define UPKEEP_NS  1000000000ull
#define IDLE_NS    60000000000ull /* a peer that neither speaks pub/sub with us nor asks or is asked */
#define GRACE_NS   20000000000ull /* a new peer may prove useful */
#define SURPLUS_NS 5000000000ull  /* a second connection is left alone for so long */
#define WAIT_NS    3000000000ull  /* shorter absences are not worth a line */
#define HANG_UPS   3              /* of one peer that never speaks */
#define HANG_UP_NS 20000000000ull /* between two of them */
#define SCORES_NS  10000000000ull /* how often scores are noted for the next sight */

/* ---- peers that never speak ---- */

/* A peer that does not even open a stream is dialed anew, not too often: it may have no other way. */
static bool hang_up(struct coding_role *r, const struct peer *p, const struct peer_conn *c, uint64_t now)
{
    struct stored_peer *s = c->is_dialer && mute_is_lost(&p->mute) ? peerstore_find(&r->store, &p->id) : NULL;
    struct xmsg m = {.type = X_CLOSE, .conn = c->id, .number = 1};

    if (!s || s->hang_ups >= HANG_UPS || (s->hang_ups && now < s->hung_up_ns + HANG_UP_NS))
        return false;
    s->hang_ups++;
    s->hung_up_ns = now;
    s->is_redialed = true;
    coding_to_net(r, &m);
    return true;
}

/* Opens our stream anew to peers that never spoke; such a try does not count as a stream that they broke. */
static void try_mute(struct coding_role *r, struct peer *p, uint64_t now)
{
    struct peer_conn *c = p->stream && !p->is_codecast && mute_is_due(&p->mute, now) ? peers_conn(&r->peers, p->stream) : NULL;
    struct xmsg m = {.type = X_PUBSUB_CLOSE, .conn = c ? c->id : 0};

    if (!c || hang_up(r, p, c, now))
        return;
    c->opens -= c->opens > 0;
    coding_to_net(r, &m);
}

/* ---- two connections of one peer ---- */

/* The one that both sides prefer: dialed by the peer of the smaller id. Both nodes dialed each other at the same time, or
 * one lost sight of the other; each reaches the same choice alone. */
static struct peer_conn *preferred_conn(const struct coding_role *r, const struct peer *p)
{
    int order = memcmp(r->cfg.self.bytes, p->id.bytes, PEER_ID_MAX);

    LIST_EACH (it, &p->conns) {
        struct peer_conn *c = CONTAINER_OF(it, struct peer_conn, node);
        if (c->is_dialer == (order < 0) && !c->has_no_pubsub)
            return c;
    }
    return NULL;
}

/* Moves our stream over to the preferred connection, and lets the other go once the peer has moved too. Nothing is lost:
 * the old stream ends behind what is queued on it, and a connection is closed only when nothing is on it. Only between
 * our own kind: go resets what is left of the old stream when a new one comes, and keeps both connections itself. */
static void merge_conns(struct coding_role *r, struct peer *p, uint64_t now)
{
    struct peer_conn *best = p->is_codecast && p->nconns > 1 && !p->opening ? preferred_conn(r, p) : NULL;

    if (!best || now < best->since_ns + SURPLUS_NS)
        return;
    if (p->stream && p->stream != best->id && !p->moving) {
        struct xmsg m = {.type = X_PUBSUB_OPEN, .conn = best->id};
        p->moving = best->id;
        coding_to_net(r, &m);
        return;
    }
    LIST_EACH (it, &p->conns) {
        struct peer_conn *c = CONTAINER_OF(it, struct peer_conn, node);
        struct xmsg m = {.type = X_CLOSE, .conn = c->id, .number = 2};
        if (c != best && c->id != p->stream && now >= c->since_ns + SURPLUS_NS && coding_has_room(r))
            coding_to_net(r, &m);
    }
}

/* ---- too many, and idle ---- */

static void close_peer(struct coding_role *r, struct peer *p)
{
    LIST_EACH (it, &p->conns) {
        struct xmsg m = {.type = X_CLOSE, .conn = CONTAINER_OF(it, struct peer_conn, node)->id, .number = 1};
        coding_to_net(r, &m);
    }
}

static bool is_protected(const struct coding_role *r, const struct peer *p)
{
    const struct stored_peer *s = peerstore_find(&r->store, &p->id);

    return s && stored_peer_is_kept(s);
}

static void close_idle(struct coding_role *r, struct peer *p, uint64_t now)
{
    uint64_t used = p->used_ns > p->connected_ns ? p->used_ns : p->connected_ns;

    if (p->stream || p->opening || now < used + IDLE_NS || is_protected(r, p))
        return;
    r->idle_closed++;
    close_peer(r, p);
}

static struct pubsub_peer_info infos[PEERS_MAX]; /* one coding role per process */

static void note_scores(struct coding_role *r, unsigned n, uint64_t now)
{
    for (unsigned i = 0; i < n; i++) {
        struct peer *p = peers_at(&r->peers, infos[i].peer);
        struct stored_peer *s = p ? peerstore_find(&r->store, &p->id) : NULL;
        if (!s)
            continue;
        s->score = infos[i].score;
        s->rtt_ns = p->rtt_ns;
    }
    r->scores_at_ns = now + SCORES_NS;
}

/* Down to seven eighths of the mark, so that it does not happen at every newcomer. */
static void trim(struct coding_role *r, unsigned n, uint64_t now)
{
    static struct trim_peer t[PEERS_MAX];
    unsigned count = 0, chosen;

    for (unsigned i = 0; i < PEERS_MAX; i++) {
        const struct peer *p = r->peers.slots[i];
        if (p)
            t[count++] = (struct trim_peer){.handle = p->handle, .is_protected = is_protected(r, p), .has_stream = p->stream != 0,
                                            .is_young = now < p->connected_ns + GRACE_NS, .connected_ns = p->connected_ns};
    }
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < count; j++)
            if (t[j].handle == infos[i].peer) {
                t[j].is_mesh = infos[i].meshes > 0;
                t[j].score = infos[i].score;
            }
    chosen = trim_choose(t, count, r->cfg.conn_high - r->cfg.conn_high / 8);
    for (unsigned i = 0; i < chosen && coding_has_room(r); i++) {
        r->trimmed++;
        close_peer(r, peers_at(&r->peers, t[i].handle));
    }
}

/* ---- what we wait for ---- */

static void list_waiting(const struct coding_role *r, char *out, size_t cap)
{
    size_t len = 0;

    out[0] = 0;
    for (unsigned i = 0; i < r->store.count; i++) {
        const struct stored_peer *p = r->store.all[i];
        struct multiaddr a;
        char text[MULTIADDR_TEXT_MAX];
        if (!p->is_protected || p->conns || p->naddrs == 0 || len + 120 > cap)
            continue;
        peerstore_format_addr(&p->addrs[0], &p->id, &a);
        if (multiaddr_format(multiaddr_slice(&a), text, sizeof(text)) > 0)
            len += (size_t)snprintf(out + len, cap - len, "%s%.110s", len ? " " : "", text);
    }
    for (unsigned i = 0; i < r->names.count && len + 120 <= cap; i++) {
        char text[MULTIADDR_TEXT_MAX];
        if (r->names.n[i].is_told && multiaddr_format(multiaddr_slice(&r->names.n[i].addr), text, sizeof(text)) > 0)
            len += (size_t)snprintf(out + len, cap - len, "%s%.110s", len ? " " : "", text);
    }
}

/* Once for each change that lasts, never once for each second. */
static void tell_waiting(struct coding_role *r, uint64_t now)
{
    unsigned waiting = dialer_waiting(&r->dialer) + r->names.count, up = dialer_bootstrap_up(&r->dialer);
    enum coding_wait is = waiting == 0 || up > 0 ? CODING_WAITS_FOR_NOBODY : r->peers.count ? CODING_BOOTSTRAP_AWAY : CODING_ALONE;
    char who[300];

    if (is == r->waits) {
        r->waits_since_ns = now;
        return;
    }
    if (now < r->waits_since_ns + WAIT_NS)
        return;
    list_waiting(r, who, sizeof(who));
    if (is == CODING_ALONE)
        coding_note(r, LOG_WARN_L, "\"no peer is connected: waiting for a bootstrap peer\" waiting=\"%s\" reason=\"%s\"", who, r->dial_reason);
    else if (is == CODING_BOOTSTRAP_AWAY)
        coding_note(r, LOG_INFO_L, "\"no bootstrap peer is connected, other peers are\" peers=%u waiting=\"%s\"", r->peers.count, who);
    else
        coding_note(r, LOG_INFO_L, "\"a bootstrap peer is connected\" peers=%u", r->peers.count);
    r->waits = is;
}

static void watch_ring(struct coding_role *r, struct ring_watch *w, const struct xring *ring)
{
    enum ring_news news = ring_watch_beat(w, ring->full);

    if (news == RING_STAYS_FULL)
        coding_note(r, LOG_WARN_L, "\"a ring stays full: who takes from it is behind\" ring=%s full=%llu", ring->name, (unsigned long long)ring->full);
    else if (news == RING_HAS_ROOM)
        coding_note(r, LOG_INFO_L, "\"the ring has room again\" ring=%s full=%llu", ring->name, (unsigned long long)ring->full);
}

static void watch_rings(struct coding_role *r)
{
    for (unsigned i = 0; i < r->nnets; i++)
        watch_ring(r, &r->to_nets_watch[i], r->nets[i].out.ring);
    for (unsigned i = 0; i < r->nhelpers; i++)
        watch_ring(r, &r->to_helpers_watch[i], r->helpers[i].out.ring);
    watch_ring(r, &r->to_control_watch, r->to_control.ring);
}

void coding_upkeep(struct coding_role *r, uint64_t now)
{
    unsigned n = 0;

    if (now < r->upkeep_at_ns || r->is_leaving)
        return;
    r->upkeep_at_ns = now + UPKEEP_NS;
    for (unsigned i = 0; i < PEERS_MAX && coding_has_room(r); i++) {
        struct peer *p = r->peers.slots[i];
        if (!p)
            continue;
        try_mute(r, p, now);
        merge_conns(r, p, now);
        close_idle(r, p, now);
    }
    if (now >= r->scores_at_ns || r->peers.count > r->cfg.conn_high)
        n = pubsub_peers(r->ps, infos, PEERS_MAX);
    if (now >= r->scores_at_ns)
        note_scores(r, n, now);
    if (r->peers.count > r->cfg.conn_high)
        trim(r, n, now);
    tell_waiting(r, now);
    watch_rings(r);
    coding_self_upkeep(r, now);
}
