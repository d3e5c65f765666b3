#include "node/dialer.h"

#include "base/timerq.h"

void dialer_init(struct dialer *d, struct peerstore *store, unsigned low, struct rng *rng)
{
    *d = (struct dialer){.store = store, .low = low, .rng = rng, .next_token = 1, .has_changed = true};
}

void dialer_bootstrap(struct dialer *d, const struct multiaddr *addr, uint64_t now)
{
    struct multiaddr_target t;
    struct stored_peer *p;

    if (multiaddr_target(multiaddr_slice(addr), &t))
        return;
    if (!peerstore_add_addr(d->store, &t.peer, multiaddr_slice(addr), PEERSTORE_BOOTSTRAP, now))
        return;
    p = peerstore_find(d->store, &t.peer);
    p->is_protected = true;
}

bool dialer_want(struct dialer *d, const struct peer_id *peer, uint64_t now)
{
    const struct stored_peer *p = peerstore_find(d->store, peer);
    struct dialer_wish *place = NULL;

    if (!p || p->conns || peerstore_due_ns(p, now) > now + DIALER_WANT_NS)
        return false;
    for (unsigned i = 0; i < DIALER_WANTED; i++) {
        struct dialer_wish *w = &d->wishes[i];
        if (w->until_ns > now && peer_id_is_equal(&w->peer, peer))
            return true;
        if (w->until_ns <= now)
            place = w;
    }
    if (!place)
        return false;
    *place = (struct dialer_wish){*peer, now + DIALER_WANT_NS};
    d->has_changed = true;
    return true;
}

/* ---- which one ---- */

static unsigned dialing(const struct dialer *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < DIALER_DIALS; i++)
        n += d->dials[i].token != 0;
    return n;
}

/* Is there a dial to spare for such a peer? */
static bool has_dial(const struct dialer *d, bool is_kept)
{
    unsigned same = 0;

    for (unsigned i = 0; i < DIALER_DIALS; i++)
        same += d->dials[i].token && d->dials[i].is_kept == is_kept;
    return same < DIALER_DIALS - DIALER_KEPT && dialing(d) < DIALER_DIALS;
}

static bool is_due(const struct stored_peer *p, uint64_t now)
{
    return p && p->conns == 0 && !p->is_dialing && peerstore_due_ns(p, now) <= now;
}

/* When one is dialed because more peers are needed: not soon if its score was bad, but scores fade. */
static uint64_t needed_ns(const struct stored_peer *p, uint64_t now)
{
    uint64_t at = peerstore_due_ns(p, now), forgiven = p->seen_ns + DIALER_FORGIVE_NS;

    return p->score < 0 && !stored_peer_is_kept(p) && at < forgiven ? forgiven : at;
}

static struct stored_peer *due_wish(struct dialer *d, uint64_t now)
{
    for (unsigned i = 0; i < DIALER_WANTED; i++) {
        struct dialer_wish *w = &d->wishes[i];
        struct stored_peer *p = w->until_ns > now ? peerstore_find(d->store, &w->peer) : NULL;
        if (is_due(p, now) && has_dial(d, stored_peer_is_kept(p))) {
            w->until_ns = 0;
            return p;
        }
    }
    return NULL;
}

static bool has_enough(const struct dialer *d)
{
    return d->connected + dialing(d) >= d->low;
}

/* One that was here goes before hearsay that nobody has tried: strangers can make up any amount of that. */
static unsigned failures_of(const struct stored_peer *p)
{
    return p->seen_ns && p->failures <= DIALER_TRUST ? 0 : p->failures;
}

/* Is a the better one to know? */
static bool is_better(const struct stored_peer *a, const struct stored_peer *b)
{
    if (stored_peer_is_kept(a) != stored_peer_is_kept(b))
        return stored_peer_is_kept(a);
    if (failures_of(a) != failures_of(b))
        return failures_of(a) < failures_of(b);
    return a->score > b->score || (a->score == b->score && a->seen_ns > b->seen_ns);
}

/* A bootstrap peer, or when more peers are needed the best of all. */
static struct stored_peer *due_known(struct dialer *d, uint64_t now)
{
    struct stored_peer *best = NULL;
    bool for_others = !has_enough(d) && has_dial(d, false), for_kept = has_dial(d, true);

    for (unsigned i = 0; i < d->store->count; i++) {
        struct stored_peer *p = d->store->all[i];
        if ((stored_peer_is_kept(p) ? for_kept : for_others && needed_ns(p, now) <= now) && is_due(p, now) &&
            (!best || is_better(p, best)))
            best = p;
    }
    return best;
}

/* ---- dials ---- */

static struct dialer_dial *find(struct dialer *d, uint64_t token)
{
    for (unsigned i = 0; i < DIALER_DIALS; i++)
        if (d->dials[i].token == token)
            return &d->dials[i];
    return NULL;
}

static void expire(struct dialer *d, uint64_t now)
{
    for (unsigned i = 0; i < DIALER_DIALS; i++)
        if (d->dials[i].token && now >= d->dials[i].until_ns)
            dialer_failed(d, d->dials[i].token, now);
}

bool dialer_take(struct dialer *d, struct dialer_order *out, uint64_t now)
{
    struct dialer_dial *dial;
    struct stored_peer *p;
    struct stored_addr *a;

    if (now < dialer_next_deadline(d, now))
        return false;
    d->has_changed = true;
    expire(d, now);
    dial = find(d, 0);
    if (!dial)
        return false;
    p = due_wish(d, now);
    if (!p)
        p = due_known(d, now);
    a = p ? peerstore_due_addr(p, now) : NULL;
    if (!a)
        return false;
    p->is_dialing = true;
    *dial = (struct dialer_dial){.token = d->next_token++, .peer = p->id, .is_kept = stored_peer_is_kept(p),
                                 .ip_len = a->ip_len, .port = a->port, .until_ns = now + DIALER_TIMEOUT_NS};
    memcpy(dial->ip, a->ip, sizeof(dial->ip));
    *out = (struct dialer_order){.peer = p->id, .token = dial->token};
    peerstore_format_addr(a, &p->id, &out->addr);
    d->dialed++;
    return true;
}

static uint64_t backoff(struct dialer *d, const struct stored_peer *p, unsigned failures)
{
    unsigned doublings = failures > 20 ? 20 : failures - 1;
    uint64_t ns = DIALER_FIRST_NS << doublings;
    uint64_t longest = !stored_peer_is_kept(p) ? DIALER_OTHERS_NS : has_enough(d) ? DIALER_ENOUGH_NS : DIALER_MAX_NS;

    if (ns > longest)
        ns = longest;
    return ns - rng_below(d->rng, ns / 4 + 1);
}

static void peer_failed(struct dialer *d, struct stored_peer *p, uint64_t now)
{
    p->failures += p->failures < UINT16_MAX;
    p->retry_ns = now + backoff(d, p, p->failures);
}

const struct peer_id *dialer_failed(struct dialer *d, uint64_t token, uint64_t now)
{
    struct dialer_dial *dial = token ? find(d, token) : NULL;
    struct stored_peer *p = dial ? peerstore_find(d->store, &dial->peer) : NULL;
    struct stored_addr *a;

    if (!dial)
        return NULL;
    d->has_changed = true;
    dial->token = 0;
    d->failed++;
    if (!p)
        return &dial->peer;
    p->is_dialing = false;
    a = peerstore_same_addr(p, dial->ip, dial->ip_len, dial->port);
    if (a) {
        a->failures += a->failures < UINT16_MAX;
        a->retry_ns = now + backoff(d, p, a->failures);
    }
    if (!peerstore_due_addr(p, now)) /* with another address still to try it is not the peer's failure yet */
        peer_failed(d, p, now);
    return &dial->peer;
}

void dialer_up(struct dialer *d, const struct peer_id *peer, uint64_t token, uint64_t now)
{
    struct dialer_dial *dial = token ? find(d, token) : NULL;
    struct stored_peer *p = peerstore_get(d->store, peer, PEERSTORE_SEEN, now);
    struct stored_addr *a;

    d->has_changed = true;
    if (dial)
        dial->token = 0;
    if (!p)
        return;
    if (p->conns++ == 0) {
        d->connected++;
        p->up_ns = now;
    }
    p->seen_ns = now;
    if (!dial)
        return;
    p->is_dialing = false;
    a = peerstore_same_addr(p, dial->ip, dial->ip_len, dial->port);
    if (!a)
        return;
    a->failures = 0;
    if (a->source < PEERSTORE_SEEN)
        a->source = PEERSTORE_SEEN;
    if (a->expires_ns < now + PEERSTORE_SEEN_NS)
        a->expires_ns = now + PEERSTORE_SEEN_NS;
}

void dialer_down(struct dialer *d, const struct peer_id *peer, uint64_t now)
{
    struct stored_peer *p = peerstore_find(d->store, peer);

    if (!p || p->conns == 0 || --p->conns > 0)
        return;
    d->has_changed = true;
    d->connected -= d->connected > 0;
    p->seen_ns = now;
    if (now - p->up_ns >= DIALER_SOON_NS)
        p->failures = 0;
    peer_failed(d, p, now);
}

bool dialer_is_dialing(const struct dialer *d, const struct peer_id *peer)
{
    const struct stored_peer *p = peerstore_find(d->store, peer);

    return p && p->is_dialing;
}

static uint64_t look(const struct dialer *d, uint64_t now)
{
    bool for_kept = has_dial(d, true), for_others = has_dial(d, false), has_all = has_enough(d);
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < DIALER_DIALS; i++)
        if (d->dials[i].token && d->dials[i].until_ns < at)
            at = d->dials[i].until_ns;
    for (unsigned i = 0; i < d->store->count; i++) {
        const struct stored_peer *p = d->store->all[i];
        if (p->conns || p->is_dialing || !(stored_peer_is_kept(p) ? for_kept : for_others && !has_all))
            continue;
        if (needed_ns(p, now) < at)
            at = needed_ns(p, now);
    }
    for (unsigned i = 0; i < DIALER_WANTED; i++) {
        const struct stored_peer *p = d->wishes[i].until_ns > now ? peerstore_find(d->store, &d->wishes[i].peer) : NULL;
        if (p && (stored_peer_is_kept(p) ? for_kept : for_others) && !p->conns && !p->is_dialing && peerstore_due_ns(p, now) < at)
            at = peerstore_due_ns(p, now);
    }
    return at;
}

uint64_t dialer_next_deadline(struct dialer *d, uint64_t now)
{
    if (d->has_changed || d->version != d->store->version) {
        d->version = d->store->version;
        d->due_ns = look(d, now);
        d->has_changed = false;
    }
    return d->due_ns;
}

static unsigned count_bootstrap(const struct dialer *d, bool is_up)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->store->count; i++)
        n += d->store->all[i]->is_protected && (d->store->all[i]->conns > 0) == is_up;
    return n;
}

unsigned dialer_waiting(const struct dialer *d)
{
    return count_bootstrap(d, false);
}

unsigned dialer_bootstrap_up(const struct dialer *d)
{
    return count_bootstrap(d, true);
}
