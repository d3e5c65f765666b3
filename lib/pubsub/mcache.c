#include "pubsub/mcache.h"

#include <stdlib.h>

int mcache_init(struct mcache *c, uint32_t max_count, uint64_t max_bytes, uint64_t keep_ns)
{
    uint32_t slots = 256;

    while (slots < max_count && slots < 1u << 20)
        slots *= 2;
    *c = (struct mcache){.mask = slots - 1, .max_count = max_count, .max_bytes = max_bytes, .keep_ns = keep_ns};
    list_init(&c->by_age);
    c->table = calloc(slots, sizeof(*c->table));
    return c->table ? 0 : -1;
}

void mcache_fini(struct mcache *c)
{
    if (!c->table)
        return;
    LIST_EACH(it, &c->by_age) {
        struct message *m = CONTAINER_OF(it, struct message, by_age);
        list_del(it);
        message_unref(m);
    }
    free(c->table);
    *c = (struct mcache){0};
}

void mcache_put(struct mcache *c, struct message *m, uint64_t now)
{
    struct message **slot = &c->table[m->key.a & c->mask];

    message_ref(m);
    m->at_ns = now;
    m->tick = c->tick;
    m->next_hash = *slot;
    *slot = m;
    list_push_back(&c->by_age, &m->by_age);
    c->count++;
    c->bytes += m->held_bytes;
}

struct message *mcache_get(const struct mcache *c, struct msgkey key)
{
    for (struct message *m = c->table[key.a & c->mask]; m; m = m->next_hash)
        if (m->key.a == key.a && m->key.b == key.b)
            return m;
    return NULL;
}

static void take_out(struct mcache *c, struct message *m)
{
    struct message **at = &c->table[m->key.a & c->mask];

    while (*at != m)
        at = &(*at)->next_hash;
    *at = m->next_hash;
    list_del(&m->by_age);
    c->count--;
    c->bytes -= m->held_bytes;
}

struct message *mcache_pop(struct mcache *c, uint64_t now)
{
    if (list_is_empty(&c->by_age))
        return NULL;
    struct message *m = CONTAINER_OF(c->by_age.next, struct message, by_age);
    uint64_t max_bytes = m->awaited ? MCACHE_AWAITED_TIMES * c->max_bytes : c->max_bytes;
    bool is_over = c->count > c->max_count || c->bytes > max_bytes;
    bool is_old = c->tick - m->tick >= MCACHE_HISTORY_TICKS && now - m->at_ns >= c->keep_ns;

    if (!is_over && !is_old)
        return NULL;
    c->evicted += !is_old;
    take_out(c, m);
    return m;
}

void mcache_shift(struct mcache *c)
{
    c->tick++;
}

static struct message_served *note_of(struct message *m, pubsub_peer peer)
{
    for (unsigned i = 0; i < m->nserved; i++)
        if (m->served[i].peer == peer)
            return &m->served[i];
    if (m->nserved == MCACHE_SERVED_PEERS)
        return NULL;
    if ((m->nserved & (m->nserved - 1)) == 0) { /* full at each power of two */
        struct message_served *s = realloc(m->served, (m->nserved ? m->nserved * 2u : 1u) * sizeof(*s));
        if (!s)
            return NULL;
        m->served = s;
    }
    m->served[m->nserved] = (struct message_served){.peer = peer};
    return &m->served[m->nserved++];
}

bool mcache_serve(struct message *m, pubsub_peer peer)
{
    struct message_served *s = note_of(m, peer);

    if (!s || s->count >= MCACHE_SERVE_MAX)
        return false;
    s->count++;
    return true;
}

bool mcache_brought(struct message *m, pubsub_peer peer)
{
    struct message_served *s = note_of(m, peer);

    if (!s || s->has_brought)
        return false;
    s->has_brought = true;
    return true;
}
