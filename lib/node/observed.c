#include "node/observed.h"

static bool is_same(const struct observed_addr *a, const struct observed_addr *b)
{
    return a->ip_len == b->ip_len && a->port == b->port && memcmp(a->ip, b->ip, a->ip_len) == 0;
}

static bool read_addr(const struct multiaddr *m, struct observed_addr *out)
{
    struct multiaddr_target t;

    if (multiaddr_target(multiaddr_slice(m), &t) || (t.kind != MULTIADDR_IP4 && t.kind != MULTIADDR_IP6))
        return false;
    *out = (struct observed_addr){.ip_len = t.kind == MULTIADDR_IP4 ? 4 : 16, .port = t.port};
    memcpy(out->ip, t.ip, out->ip_len);
    return true;
}

enum scope { NOWHERE, LOOPBACK, PRIVATE, PUBLIC };

static enum scope scope_of(const struct observed_addr *a)
{
    static const uint8_t zero[16], loopback6[16] = {[15] = 1};
    const uint8_t *p = a->ip;

    if (a->ip_len == 16) {
        if (memcmp(p, loopback6, 16) == 0)
            return LOOPBACK;
        if (memcmp(p, zero, 12) == 0 || p[0] == 0xff || (p[0] == 0xfe && (p[1] & 0xc0) == 0x80))
            return NOWHERE; /* unspecified and IPv4-compatible, multicast, link-local */
        return (p[0] & 0xfe) == 0xfc ? PRIVATE : PUBLIC;
    }
    if (p[0] == 127)
        return LOOPBACK;
    if (p[0] == 0 || p[0] >= 224 || (p[0] == 169 && p[1] == 254))
        return NOWHERE;
    if (p[0] == 10 || (p[0] == 172 && (p[1] & 0xf0) == 16) || (p[0] == 192 && p[1] == 168) || (p[0] == 100 && (p[1] & 0xc0) == 64))
        return PRIVATE;
    return PUBLIC;
}

/* An observer on a network of its own kind alone can know: a public one may name public addresses, a private one those and
 * private ones, for our network may be private as a whole. */
static bool may_say(const struct observed_addr *observer, const struct observed_addr *addr)
{
    enum scope of = scope_of(addr);

    return of != NOWHERE && of >= scope_of(observer) && addr->port != 0;
}

static struct observed_addr group_of(const struct observed_addr *a)
{
    struct observed_addr g = {.ip_len = a->ip_len};

    memcpy(g.ip, a->ip, a->ip_len == 4 ? 3 : 6);
    return g;
}

void observed_init(struct observed *o, uint16_t listen_port)
{
    *o = (struct observed){.listen_port = listen_port};
}

static struct observed_word *find(struct observed *o, const struct peer_id *who)
{
    for (unsigned i = 0; i < o->count; i++)
        if (peer_id_is_equal(&o->words[i].who, who))
            return &o->words[i];
    return NULL;
}

static void remove_at(struct observed *o, unsigned i)
{
    o->words[i] = o->words[--o->count];
    o->is_changed = true;
}

/* A place for a word of this group; of those that are gone the oldest makes way, in a full group one of the group. */
static struct observed_word *place(struct observed *o, const struct observed_addr *group)
{
    unsigned in_group = 0, oldest = OBSERVED_MAX;

    for (unsigned i = 0; i < o->count; i++)
        in_group += is_same(&o->words[i].group, group);
    if (in_group < OBSERVED_GROUP_MAX && o->count < OBSERVED_MAX)
        return &o->words[o->count++];
    for (unsigned i = 0; i < o->count; i++) {
        const struct observed_word *w = &o->words[i];
        if (w->until_ns == UINT64_MAX || (in_group >= OBSERVED_GROUP_MAX && !is_same(&w->group, group)))
            continue;
        if (oldest == OBSERVED_MAX || w->until_ns < o->words[oldest].until_ns)
            oldest = i;
    }
    return oldest == OBSERVED_MAX ? NULL : &o->words[oldest];
}

void observed_said(struct observed *o, const struct peer_id *who, const struct multiaddr *theirs, bool is_dialer,
                   const struct multiaddr *addr, uint64_t now)
{
    struct observed_addr observer, seen, group;
    struct observed_word *w = find(o, who);

    (void)now;
    if (!addr->len)
        return; /* a push that says nothing of it */
    if (!read_addr(theirs, &observer) || !read_addr(addr, &seen)) {
        o->refused++;
        return;
    }
    if (is_dialer)
        seen.port = o->listen_port;
    group = group_of(&observer);
    if (!may_say(&observer, &seen) || (!w && !(w = place(o, &group)))) {
        o->refused++;
        return;
    }
    if (w->until_ns == UINT64_MAX && peer_id_is_equal(&w->who, who) && is_same(&w->addr, &seen))
        return;
    *w = (struct observed_word){.who = *who, .group = group, .addr = seen, .until_ns = UINT64_MAX};
    o->is_changed = true;
}

void observed_gone(struct observed *o, const struct peer_id *who, uint64_t now)
{
    struct observed_word *w = find(o, who);

    if (w)
        w->until_ns = now + OBSERVED_TTL_NS;
}

static unsigned groups_for(const struct observed *o, const struct observed_addr *addr)
{
    const struct observed_addr *seen[OBSERVED_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < o->count; i++) {
        bool is_new = is_same(&o->words[i].addr, addr);
        for (unsigned j = 0; j < n && is_new; j++)
            is_new = !is_same(seen[j], &o->words[i].group);
        if (is_new)
            seen[n++] = &o->words[i].group;
    }
    return n;
}

static bool is_believed(const struct observed *o, const struct observed_addr *addr)
{
    for (unsigned i = 0; i < o->nbelieved; i++)
        if (is_same(&o->believed[i], addr))
            return true;
    return false;
}

bool observed_update(struct observed *o, uint64_t now)
{
    bool has_changed = false;

    for (unsigned i = o->count; i-- > 0;)
        if (o->words[i].until_ns <= now)
            remove_at(o, i);
    if (!o->is_changed)
        return false;
    o->is_changed = false;
    for (unsigned i = o->nbelieved; i-- > 0;)
        if (groups_for(o, &o->believed[i]) < OBSERVED_KEEP) {
            o->believed[i] = o->believed[--o->nbelieved];
            has_changed = true;
        }
    for (unsigned i = 0; i < o->count && o->nbelieved < OBSERVED_ADDRS; i++)
        if (!is_believed(o, &o->words[i].addr) && groups_for(o, &o->words[i].addr) >= OBSERVED_CONFIRM) {
            o->believed[o->nbelieved++] = o->words[i].addr;
            has_changed = true;
        }
    return has_changed;
}

void observed_format(const struct observed *o, unsigned i, struct multiaddr *out)
{
    multiaddr_of_tcp(out, o->believed[i].ip, o->believed[i].ip_len, o->believed[i].port, NULL);
}
