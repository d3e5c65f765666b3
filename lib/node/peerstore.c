#include "node/peerstore.h"

#include <stdlib.h>

#include "base/timerq.h"
#include "libp2p/peer_record.h"

void peerstore_init(struct peerstore *s, const struct peer_id *self, bool has_loopback, const uint8_t seed[16])
{
    memset(s, 0, sizeof(*s));
    s->self = *self;
    s->has_loopback = has_loopback;
    map_init(&s->by_id, PEERSTORE_MAX, seed);
}

void peerstore_fini(struct peerstore *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        buf_unref(s->all[i]->record);
        free(s->all[i]);
    }
    map_fini(&s->by_id);
}

struct stored_peer *peerstore_find(const struct peerstore *s, const struct peer_id *id)
{
    return map_get(&s->by_id, peer_id_slice(id));
}

static void forget(struct peerstore *s, struct stored_peer *p)
{
    map_del(&s->by_id, peer_id_slice(&p->id));
    s->all[p->place] = s->all[--s->count];
    s->all[p->place]->place = p->place;
    buf_unref(p->record);
    free(p);
}

static enum peerstore_source best_source(const struct stored_peer *p, uint64_t now)
{
    enum peerstore_source best = PEERSTORE_DHT;

    for (unsigned i = 0; i < p->naddrs; i++)
        if (p->addrs[i].expires_ns > now && p->addrs[i].source > best)
            best = (enum peerstore_source)p->addrs[i].source;
    return best;
}

/* Is a worth less than b? By who vouches for it, by its failures, by when it was seen. */
static bool is_worth_less(const struct stored_peer *a, const struct stored_peer *b, uint64_t now)
{
    enum peerstore_source sa = best_source(a, now), sb = best_source(b, now);

    if (sa != sb)
        return sa < sb;
    if (a->failures != b->failures)
        return a->failures > b->failures;
    return a->seen_ns < b->seen_ns;
}

/* Makes room for a newcomer of that source. */
static bool make_room(struct peerstore *s, enum peerstore_source source, uint64_t now)
{
    struct stored_peer *worst = NULL;

    if (s->count < PEERSTORE_MAX)
        return true;
    for (unsigned i = 0; i < s->count; i++) {
        struct stored_peer *p = s->all[i];
        if (!stored_peer_is_kept(p) && !p->is_dialing && p->conns == 0 && (!worst || is_worth_less(p, worst, now)))
            worst = p;
    }
    if (!worst || best_source(worst, now) > source) {
        s->refused++;
        return false;
    }
    forget(s, worst);
    return true;
}

struct stored_peer *peerstore_get(struct peerstore *s, const struct peer_id *id, enum peerstore_source source, uint64_t now)
{
    struct stored_peer *p = peerstore_find(s, id);

    if (p || id->len == 0 || peer_id_is_equal(id, &s->self) || !make_room(s, source, now))
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->id = *id;
    p->place = s->count;
    if (map_put(&s->by_id, peer_id_slice(id), p)) {
        free(p);
        return NULL;
    }
    s->all[s->count++] = p;
    return p;
}

/* Where nobody can be, or where only our own host is. */
static bool is_usable(const struct peerstore *s, const struct multiaddr_target *t)
{
    static const uint8_t loopback6[16] = {[15] = 1}, none[16];

    if (t->port == 0)
        return false;
    if (t->kind == MULTIADDR_IP4)
        return t->ip[0] != 0 && t->ip[0] < 224 && (t->ip[0] != 127 || s->has_loopback);
    if (t->kind == MULTIADDR_IP6)
        return t->ip[0] != 0xff && memcmp(t->ip, none, 16) != 0 && (s->has_loopback || memcmp(t->ip, loopback6, 16) != 0);
    return false;
}

static uint64_t lifetime(enum peerstore_source source)
{
    switch (source) {
    case PEERSTORE_SIGNED: return PEERSTORE_SIGNED_NS;
    case PEERSTORE_SEEN: return PEERSTORE_SEEN_NS;
    case PEERSTORE_BOOTSTRAP: return TIMER_NEVER;
    default: return PEERSTORE_HEARD_NS;
    }
}

struct stored_addr *peerstore_same_addr(struct stored_peer *p, const uint8_t *ip, uint8_t ip_len, uint16_t port)
{
    for (unsigned i = 0; i < p->naddrs; i++) {
        struct stored_addr *a = &p->addrs[i];
        if (a->ip_len == ip_len && a->port == port && memcmp(a->ip, ip, ip_len) == 0)
            return a;
    }
    return NULL;
}

/* A place for an address: a new one, one that expired, or that of the least trusted below `source`. */
static struct stored_addr *addr_place(struct stored_peer *p, enum peerstore_source source, uint64_t now)
{
    struct stored_addr *least = NULL;

    if (p->naddrs < PEERSTORE_ADDRS)
        return &p->addrs[p->naddrs++];
    for (unsigned i = 0; i < p->naddrs; i++) {
        struct stored_addr *a = &p->addrs[i];
        if (a->expires_ns <= now)
            return a;
        if (!least || a->source < least->source || (a->source == least->source && a->failures > least->failures))
            least = a;
    }
    return least->source < source || (least->source == source && least->failures) ? least : NULL;
}

bool peerstore_add_addr(struct peerstore *s, const struct peer_id *id, struct slice addr, enum peerstore_source source, uint64_t now)
{
    struct multiaddr_target t;
    struct stored_peer *p;
    struct stored_addr *a;
    uint8_t ip_len;
    uint64_t life = lifetime(source);

    if (multiaddr_target(addr, &t) || !is_usable(s, &t) || (t.peer.len && !peer_id_is_equal(&t.peer, id)))
        return false;
    p = peerstore_get(s, id, source, now);
    if (!p)
        return false;
    ip_len = t.kind == MULTIADDR_IP4 ? 4 : 16;
    a = peerstore_same_addr(p, t.ip, ip_len, t.port);
    if (!a) {
        a = addr_place(p, source, now);
        if (!a)
            return false;
        *a = (struct stored_addr){.ip_len = ip_len, .port = t.port, .source = (uint8_t)source};
        memcpy(a->ip, t.ip, ip_len);
        s->version++;
    }
    if (a->source <= source || a->expires_ns <= now)
        a->source = (uint8_t)source;
    if (life == TIMER_NEVER || a->expires_ns < now + life)
        a->expires_ns = life == TIMER_NEVER ? life : now + life;
    return true;
}

int peerstore_add_record(struct peerstore *s, const struct peer_id *id, struct slice envelope, uint64_t now)
{
    struct stored_peer *p = peerstore_find(s, id);
    struct peer_record r;
    struct buf *copy;

    if (envelope.len > PEERSTORE_RECORD)
        return -1;
    if (p && p->record && slice_is_equal(buf_slice(p->record), envelope)) /* known: no need to verify it again */
        return 0;
    if (peer_record_open(envelope, &r) || !peer_id_is_equal(&r.id, id))
        return -1;
    if (p && p->record && r.seq <= p->record_seq)
        return 0;
    p = peerstore_get(s, id, PEERSTORE_SIGNED, now);
    copy = p ? buf_copy(envelope) : NULL;
    if (!copy)
        return 0;
    buf_unref(p->record);
    p->record = copy;
    p->record_seq = r.seq;
    for (unsigned i = 0; i < p->naddrs; i++) /* what an older record said, and this one does not, is hearsay */
        if (p->addrs[i].source == PEERSTORE_SIGNED)
            p->addrs[i].source = PEERSTORE_DHT;
    for (unsigned i = 0; i < r.naddrs; i++)
        peerstore_add_addr(s, id, r.addrs[i], PEERSTORE_SIGNED, now);
    return 0;
}

unsigned peerstore_addrs(const struct peerstore *s, const struct peer_id *id, struct multiaddr *out, unsigned cap, uint64_t now)
{
    const struct stored_peer *p = peerstore_find(s, id);
    unsigned n = 0;

    for (int source = PEERSTORE_BOOTSTRAP; p && source >= 0; source--)
        for (unsigned i = 0; i < p->naddrs && n < cap; i++)
            if (p->addrs[i].source == source && p->addrs[i].expires_ns > now && p->addrs[i].failures == 0)
                multiaddr_of_tcp(&out[n++], p->addrs[i].ip, p->addrs[i].ip_len, p->addrs[i].port, NULL);
    return n;
}

static bool is_better(const struct stored_addr *a, const struct stored_addr *b)
{
    return a->failures != b->failures ? a->failures < b->failures : a->source > b->source;
}

struct stored_addr *peerstore_due_addr(struct stored_peer *p, uint64_t now)
{
    struct stored_addr *best = NULL;

    for (unsigned i = 0; i < p->naddrs; i++) {
        struct stored_addr *a = &p->addrs[i];
        if (a->expires_ns > now && a->retry_ns <= now && (!best || is_better(a, best)))
            best = a;
    }
    return best;
}

uint64_t peerstore_due_ns(const struct stored_peer *p, uint64_t now)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < p->naddrs; i++)
        if (p->addrs[i].expires_ns > now && p->addrs[i].retry_ns < at)
            at = p->addrs[i].retry_ns;
    return at < p->retry_ns ? p->retry_ns : at;
}

void peerstore_format_addr(const struct stored_addr *a, const struct peer_id *id, struct multiaddr *out)
{
    multiaddr_of_tcp(out, a->ip, a->ip_len, a->port, id);
}
