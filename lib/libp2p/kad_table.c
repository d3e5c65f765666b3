#include "libp2p/kad_table.h"

#include <stdlib.h>

void kad_table_init(struct kad_table *t, const struct peer_id *self)
{
    memset(t, 0, sizeof(*t));
    t->self = kad_key_of(peer_id_slice(self));
}

void kad_table_fini(struct kad_table *t)
{
    for (unsigned i = 0; i < KAD_KEY_BITS; i++)
        free(t->buckets[i]);
}

static struct kad_entry *find(struct kad_bucket *b, const struct peer_id *id)
{
    for (unsigned i = 0; b && i < b->count; i++)
        if (peer_id_is_equal(&b->e[i].id, id))
            return &b->e[i];
    return NULL;
}

static struct kad_entry *quietest(struct kad_bucket *b)
{
    struct kad_entry *q = &b->e[0];

    for (unsigned i = 1; i < b->count; i++)
        if (b->e[i].heard_ns < q->heard_ns)
            q = &b->e[i];
    return q;
}

bool kad_table_add(struct kad_table *t, const struct peer_id *id, uint64_t now)
{
    struct kad_key key = kad_key_of(peer_id_slice(id));
    unsigned bits = kad_key_common_bits(&t->self, &key);
    struct kad_bucket *b;
    struct kad_entry *e;

    if (bits == KAD_KEY_BITS)
        return false;
    if (!t->buckets[bits])
        t->buckets[bits] = calloc(1, sizeof(*b));
    b = t->buckets[bits];
    if (!b)
        return false;
    e = find(b, id);
    if (e) {
        e->heard_ns = now;
        e->failures = 0;
        return true;
    }
    if (b->count < KAD_K) {
        e = &b->e[b->count++];
        t->count++;
    } else {
        e = quietest(b);
        if (now - e->heard_ns < KAD_STALE_NS)
            return false;
    }
    *e = (struct kad_entry){.id = *id, .key = key, .heard_ns = now};
    return true;
}

static struct kad_bucket *bucket_of(const struct kad_table *t, const struct peer_id *id)
{
    struct kad_key key = kad_key_of(peer_id_slice(id));
    unsigned bits = kad_key_common_bits(&t->self, &key);

    return bits == KAD_KEY_BITS ? NULL : t->buckets[bits];
}

void kad_table_remove(struct kad_table *t, const struct peer_id *id)
{
    struct kad_bucket *b = bucket_of(t, id);
    struct kad_entry *e = find(b, id);

    if (!e)
        return;
    *e = b->e[--b->count];
    t->count--;
}

void kad_table_failed(struct kad_table *t, const struct peer_id *id)
{
    struct kad_entry *e = find(bucket_of(t, id), id);

    if (e && ++e->failures >= KAD_FAILURES)
        kad_table_remove(t, id);
}

bool kad_table_has(const struct kad_table *t, const struct peer_id *id)
{
    return find(bucket_of(t, id), id) != NULL;
}

/* Into out, which is sorted and holds n of at most cap. */
static unsigned insert_nearest(const struct kad_key *key, const struct kad_entry *e, const struct kad_entry **out, unsigned n, unsigned cap)
{
    unsigned at = n;

    while (at > 0 && kad_key_compare(key, &e->key, &out[at - 1]->key) < 0)
        at--;
    if (at == cap)
        return n;
    if (n < cap)
        n++;
    memmove(&out[at + 1], &out[at], (n - 1 - at) * sizeof(*out));
    out[at] = e;
    return n;
}

unsigned kad_table_closest(const struct kad_table *t, const struct kad_key *key, const struct peer_id *except,
                           struct kad_entry *out, unsigned cap)
{
    const struct kad_entry *near[KAD_K];
    unsigned n = 0;

    cap = cap < KAD_K ? cap : KAD_K;
    for (unsigned i = 0; i < KAD_KEY_BITS; i++) {
        const struct kad_bucket *b = t->buckets[i];
        for (unsigned j = 0; b && j < b->count; j++)
            if (!except || !peer_id_is_equal(&b->e[j].id, except))
                n = insert_nearest(key, &b->e[j], near, n, cap);
    }
    for (unsigned i = 0; i < n; i++)
        out[i] = *near[i];
    return n;
}

void kad_table_looked_up(struct kad_table *t, const struct kad_key *key, uint64_t now)
{
    unsigned bits = kad_key_common_bits(&t->self, key);

    if (bits == KAD_KEY_BITS) {
        for (unsigned i = 0; i < KAD_KEY_BITS; i++) /* of ourselves: the near ones are as fresh as they get */
            if (t->buckets[i] && t->buckets[i]->count < KAD_K)
                t->buckets[i]->refreshed_ns = now;
    } else if (t->buckets[bits]) {
        t->buckets[bits]->refreshed_ns = now;
    }
}

bool kad_table_stale(const struct kad_table *t, uint64_t age_ns, unsigned *from, uint64_t now)
{
    unsigned last = 0;

    for (unsigned i = 0; i < KAD_KEY_BITS; i++)
        if (t->buckets[i] && t->buckets[i]->count)
            last = i;
    for (unsigned i = *from; i <= last; i++) {
        if (t->buckets[i] && now - t->buckets[i]->refreshed_ns < age_ns)
            continue;
        *from = i;
        return t->count > 0;
    }
    return false;
}
