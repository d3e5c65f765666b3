/* kad_serve.c: what we answer to others (kad.h) */
#include "libp2p/kad_pvt.h"

/* A reply as it is built: addresses live here, for its slices to point to. */
struct reply {
    struct kad_msg m;
    struct multiaddr addrs[2 * KAD_PEERS_MAX][KAD_ADDRS_MAX];
    unsigned npeers;
};

static void put_peer(struct kad *k, struct reply *r, struct kad_peer *list, unsigned *count, const struct peer_id *id)
{
    struct kad_peer *p = &list[*count];
    struct multiaddr *a = r->addrs[r->npeers];

    if (*count == KAD_PEERS_MAX)
        return;
    *p = (struct kad_peer){.id = *id};
    p->naddrs = k->cfg.addrs(k->cfg.addrs_ctx, id, a, KAD_ADDRS_MAX);
    for (unsigned i = 0; i < p->naddrs; i++)
        p->addrs[i] = multiaddr_slice(&a[i]);
    if (p->naddrs == 0)
        return; /* of no use to anybody */
    r->npeers++;
    ++*count;
}

/* The peer that is asked for comes first if we know where it is, ourselves included; then the nearest in the table. */
static void put_closer(struct kad *k, struct reply *r, struct slice key, const struct peer_id *from)
{
    struct kad_key target = kad_key_of(key);
    struct kad_entry near[KAD_K];
    unsigned n = kad_table_closest(&k->table, &target, from, near, KAD_K);
    struct peer_id wanted;
    bool has_wanted = r->m.type == KAD_FIND_NODE && peer_id_from_bytes(&wanted, key) == 0 && !peer_id_is_equal(&wanted, from);

    if (has_wanted)
        put_peer(k, r, r->m.closer, &r->m.ncloser, &wanted);
    for (unsigned i = 0; i < n; i++)
        if (!has_wanted || !peer_id_is_equal(&near[i].id, &wanted))
            put_peer(k, r, r->m.closer, &r->m.ncloser, &near[i].id);
}

static void put_providers(struct kad *k, struct reply *r, struct slice key, uint64_t now)
{
    struct peer_id ids[KAD_PEERS_MAX];
    unsigned n = kad_store_providers(&k->store, key, ids, KAD_PEERS_MAX, now);

    for (unsigned i = 0; i < n; i++)
        put_peer(k, r, r->m.providers, &r->m.nproviders, &ids[i]);
}

static void put_value(struct kad *k, struct reply *r, struct slice key, uint64_t now)
{
    r->m.record_key = key;
    r->m.record_value = kad_store_get(&k->store, key, now);
    r->m.has_record = r->m.record_value.len != 0;
}

/* Only for itself may a peer say that it provides something. */
static ssize_t add_provider(struct kad *k, const struct kad_msg *m, const struct peer_id *from, uint64_t now)
{
    for (unsigned i = 0; i < m->nproviders; i++)
        if (peer_id_is_equal(&m->providers[i].id, from) && kad_store_provide(&k->store, m->key, from, now)) {
            kad_hear(k, &m->providers[i], 1);
            return 0;
        }
    return -1;
}

static ssize_t answer(struct kad *k, const struct kad_msg *m, const struct peer_id *from, uint8_t *out, size_t cap, uint64_t now)
{
    struct reply r = {.m = {.type = m->type, .key = m->key}};

    switch (m->type) {
    case KAD_PING: break;
    case KAD_ADD_PROVIDER: return add_provider(k, m, from, now);
    case KAD_PUT_VALUE:
        if (!m->has_record || !slice_is_equal(m->key, m->record_key) || !kad_store_put(&k->store, m->key, m->record_value, now))
            return -1;
        return kad_encode(m, out, cap); /* the record comes back as it went */
    case KAD_GET_VALUE:
        put_value(k, &r, m->key, now);
        put_closer(k, &r, m->key, from);
        break;
    case KAD_GET_PROVIDERS:
        put_providers(k, &r, m->key, now);
        put_closer(k, &r, m->key, from);
        break;
    case KAD_FIND_NODE: put_closer(k, &r, m->key, from); break;
    default: return -1;
    }
    return kad_encode(&r.m, out, cap);
}

ssize_t kad_serve(struct kad *k, const struct peer_id *from, struct slice request, uint8_t *out, size_t cap, uint64_t now)
{
    struct kad_msg m;
    ssize_t n = -1;

    k->now_ns = now;
    if (k->cfg.is_server && kad_keep_message(k, request, &m) && (m.type == KAD_PING || m.key.len))
        n = answer(k, &m, from, out, cap, now);
    k->counters.served += n >= 0;
    k->counters.refused += n < 0;
    return n;
}
