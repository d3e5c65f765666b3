#include "libp2p/kad_store.h"

static bool is_entry(const struct kad_provider *p, struct slice key, const struct peer_id *peer)
{
    return slice_is_equal(slice_of(p->key, p->key_len), key) && peer_id_is_equal(&p->peer, peer);
}

/* The place of a new entry: a free or expired one, the peer's own oldest when it has its share, or the oldest of all. */
static struct kad_provider *place(struct kad_store *s, struct slice key, const struct peer_id *peer, uint64_t now)
{
    struct kad_provider *free_one = NULL, *oldest = &s->providers[0], *own = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < KAD_PROVIDERS; i++) {
        struct kad_provider *p = &s->providers[i];
        if (p->key_len == 0 || now >= p->expires_ns) {
            free_one = p;
            continue;
        }
        if (is_entry(p, key, peer))
            return p;
        if (p->expires_ns < oldest->expires_ns)
            oldest = p;
        if (!peer_id_is_equal(&p->peer, peer))
            continue;
        count++;
        if (!own || p->expires_ns < own->expires_ns)
            own = p;
    }
    return count >= KAD_PROVIDERS_EACH ? own : free_one ? free_one : oldest;
}

bool kad_store_provide(struct kad_store *s, struct slice key, const struct peer_id *peer, uint64_t now)
{
    struct kad_provider *p;

    if (key.len == 0 || key.len > KAD_PROVIDE_KEY_MAX)
        return false;
    p = place(s, key, peer, now);
    memcpy(p->key, key.p, key.len);
    p->key_len = (uint8_t)key.len;
    p->peer = *peer;
    p->expires_ns = now + KAD_PROVIDE_NS;
    return true;
}

unsigned kad_store_providers(const struct kad_store *s, struct slice key, struct peer_id *out, unsigned cap, uint64_t now)
{
    unsigned n = 0;

    for (unsigned i = 0; i < KAD_PROVIDERS && n < cap; i++) {
        const struct kad_provider *p = &s->providers[i];
        if (p->key_len && now < p->expires_ns && slice_is_equal(slice_of(p->key, p->key_len), key))
            out[n++] = p->peer;
    }
    return n;
}

static bool id_of_key(struct slice key, struct peer_id *id)
{
    static const struct slice prefix = SLICE_LIT("/pk/");

    return key.len > prefix.len && memcmp(key.p, prefix.p, prefix.len) == 0 &&
           peer_id_from_bytes(id, slice_of(key.p + prefix.len, key.len - prefix.len)) == 0;
}

bool kad_store_put(struct kad_store *s, struct slice key, struct slice value, uint64_t now)
{
    struct kad_value *at = &s->values[0];
    struct peer_id id, actual;

    if (!id_of_key(key, &id) || value.len == 0 || value.len > KAD_VALUE_MAX)
        return false;
    peer_id_from_key(&actual, value);
    if (!peer_id_is_equal(&id, &actual))
        return false;
    for (unsigned i = 0; i < KAD_VALUES; i++) {
        struct kad_value *v = &s->values[i];
        if (v->id.len && peer_id_is_equal(&v->id, &id)) {
            at = v;
            break;
        }
        if (v->expires_ns < at->expires_ns)
            at = v; /* free ones expired at 0 */
    }
    at->id = id;
    at->len = (uint16_t)value.len;
    memcpy(at->bytes, value.p, value.len);
    at->expires_ns = now + KAD_VALUE_NS;
    return true;
}

struct slice kad_store_get(const struct kad_store *s, struct slice key, uint64_t now)
{
    struct peer_id id;

    if (!id_of_key(key, &id))
        return slice_of(NULL, 0);
    for (unsigned i = 0; i < KAD_VALUES; i++)
        if (s->values[i].id.len && now < s->values[i].expires_ns && peer_id_is_equal(&s->values[i].id, &id))
            return slice_of(s->values[i].bytes, s->values[i].len);
    return slice_of(NULL, 0);
}
