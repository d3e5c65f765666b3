#include "tcp/table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/map.h"

int table_init(struct table *t, uint32_t expected, const uint64_t key[2])
{
    uint32_t n = 64;

    while (n < expected && n < 1u << 30)
        n *= 2;
    *t = (struct table){.mask = n - 1, .key = {key[0], key[1]}};
    t->buckets = calloc(n, sizeof(*t->buckets));
    return t->buckets ? 0 : -1;
}

void table_fini(struct table *t)
{
    free(t->buckets);
    t->buckets = NULL;
}

uint64_t flow_hash(const uint64_t key[2], const struct ip_endpoint *remote, uint16_t local_port)
{
    uint8_t k[20];

    memcpy(k, remote->ip.bytes, 16);
    memcpy(k + 16, &remote->port, 2);
    memcpy(k + 18, &local_port, 2);
    return siphash13(key, slice_of(k, sizeof(k)));
}

static bool is_same(const struct flow *f, const struct ip_endpoint *remote, uint16_t local_port)
{
    return f->local_port == local_port && f->remote.port == remote->port &&
           ip_addr_is_equal(&f->remote.ip, &remote->ip);
}

struct flow *table_find(const struct table *t, const struct ip_endpoint *remote, uint16_t local_port)
{
    struct flow *f = t->buckets[flow_hash(t->key, remote, local_port) & t->mask];

    while (f && !is_same(f, remote, local_port))
        f = f->next;
    return f;
}

void table_add(struct table *t, struct flow *f)
{
    f->bucket = (uint32_t)flow_hash(t->key, &f->remote, f->local_port) & t->mask;
    f->next = t->buckets[f->bucket];
    t->buckets[f->bucket] = f;
    t->count++;
}

void table_del(struct table *t, struct flow *f)
{
    struct flow **at = &t->buckets[f->bucket];

    while (*at != f) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = f->next;
    t->count--;
}
