#include "tcp/neigh.h"

#include <stdlib.h>

#include "base/map.h"

#define NEIGH_SCAN 64 /* entries looked at for one to replace, beside the fixed ones */

int neigh_init(struct neigh_table *t, uint32_t max, bool is_external, struct timerq *timers,
               const uint64_t key[2])
{
    uint32_t n = 16;

    while (n < max)
        n *= 2;
    *t = (struct neigh_table){
        .max = max, .mask = n - 1, .is_external = is_external, .timers = timers, .key = {key[0], key[1]}};
    list_init(&t->to_ask);
    t->entries = calloc(max, sizeof(*t->entries));
    t->buckets = calloc(n, sizeof(*t->buckets));
    return t->entries && t->buckets ? 0 : -1;
}

void neigh_fini(struct neigh_table *t)
{
    free(t->entries);
    free(t->buckets);
    t->entries = NULL;
    t->buckets = NULL;
}

static struct neigh **bucket_of(const struct neigh_table *t, const struct ip_addr *ip)
{
    return &t->buckets[siphash13(t->key, slice_of(ip->bytes, sizeof(ip->bytes))) & t->mask];
}

struct neigh *neigh_find(const struct neigh_table *t, const struct ip_addr *ip)
{
    struct neigh *n = *bucket_of(t, ip);

    while (n && !ip_addr_is_equal(&n->ip, ip))
        n = n->hash_next;
    return n;
}

void neigh_forget(struct neigh_table *t, struct neigh *n)
{
    struct neigh **at = bucket_of(t, &n->ip);

    while (*at != n)
        at = &(*at)->hash_next;
    *at = n->hash_next;
    list_del(&n->ask_link);
    timerq_cancel(t->timers, &n->timer);
    neigh_fix(t, n, false);
    n->state = NEIGH_FREE;
    n->has_mac = n->is_heard = false;
    n->asks = 0;
    n->gen++;
}

void neigh_fix(struct neigh_table *t, struct neigh *n, bool is_fixed)
{
    is_fixed = is_fixed && (n->is_fixed || t->fixed < t->max / 2);
    t->fixed += is_fixed - n->is_fixed;
    n->is_fixed = is_fixed;
}

/* A free entry, or the least recently used of some that nobody waits for (unused: of those that were never used). */
static struct neigh *entry_new(struct neigh_table *t, bool unused)
{
    struct neigh *best = NULL;

    if (t->made < t->max) {
        struct neigh *n = &t->entries[t->made++];
        list_init(&n->waiters);
        return n;
    }
    for (uint32_t i = 0, looks = 0; looks < NEIGH_SCAN && i < t->max; i++) {
        struct neigh *n = &t->entries[t->hand++ % t->max];
        if (n->is_fixed)
            continue; /* there may be more of them in a row than we look at */
        looks++;
        if (!list_is_empty(&n->waiters))
            continue;
        if (n->state == NEIGH_FREE)
            return n;
        if (unused && n->used_ns)
            continue;
        if (!best || n->used_ns < best->used_ns)
            best = n;
    }
    if (best)
        neigh_forget(t, best);
    return best;
}

static void ask(struct neigh_table *t, struct neigh *n, uint64_t now)
{
    n->asks++;
    n->is_broadcast_ask = n->state != NEIGH_KNOWN;
    if (!list_is_linked(&n->ask_link))
        list_push_back(&t->to_ask, &n->ask_link);
    timerq_set(t->timers, &n->timer, now + NEIGH_ASK_INTERVAL_NS);
}

static struct neigh *add(struct neigh_table *t, struct neigh *n, const struct ip_addr *ip, uint64_t used_ns)
{
    struct neigh **b = bucket_of(t, ip);

    n->ip = *ip;
    n->state = NEIGH_ASKING;
    n->asks = 0;
    n->used_ns = used_ns;
    n->confirmed_ns = 0;
    n->timer.kind = NEIGH_TIMER_KIND;
    n->hash_next = *b;
    *b = n;
    return n;
}

struct neigh *neigh_get(struct neigh_table *t, const struct ip_addr *ip, uint64_t now)
{
    struct neigh *n = neigh_find(t, ip);

    if (n)
        return n;
    n = entry_new(t, false);
    if (n)
        ask(t, add(t, n, ip, now), now);
    return n;
}

struct neigh *neigh_get_unasked(struct neigh_table *t, const struct ip_addr *ip)
{
    struct neigh *n = neigh_find(t, ip);

    if (n)
        return n;
    n = entry_new(t, true);
    return n ? add(t, n, ip, 0) : NULL;
}

void neigh_use(struct neigh_table *t, struct neigh *n, uint64_t now)
{
    n->used_ns = now;
    if (n->state == NEIGH_KNOWN && !n->asks && !t->is_external && !n->is_fixed && now - n->confirmed_ns > NEIGH_REACHABLE_NS)
        ask(t, n, now);
}

void neigh_doubt(struct neigh_table *t, struct neigh *n, uint64_t now)
{
    if (n->state != NEIGH_KNOWN || n->asks || t->is_external || n->is_fixed || now - n->confirmed_ns < NEIGH_ASK_INTERVAL_NS)
        return;
    n->confirmed_ns = 0;
    ask(t, n, now);
}

void neigh_dispute(struct neigh_table *t, struct neigh *n, uint64_t now)
{
    if (t->is_external || n->is_fixed)
        return;
    if (!n->asks)
        ask(t, n, now);
    else if (!list_is_linked(&n->ask_link))
        list_push_back(&t->to_ask, &n->ask_link);
    n->is_broadcast_ask = true;
}

bool neigh_learn(struct neigh_table *t, struct neigh *n, const uint8_t mac[ETH_ALEN], uint64_t now)
{
    bool has_moved = n->has_mac && memcmp(n->mac, mac, ETH_ALEN) != 0;

    n->has_mac = true;
    memcpy(n->mac, mac, ETH_ALEN);
    n->state = NEIGH_KNOWN;
    n->asks = 0;
    n->confirmed_ns = now;
    list_del(&n->ask_link);
    timerq_cancel(t->timers, &n->timer);
    return has_moved;
}

bool neigh_on_timer(struct neigh_table *t, struct neigh *n, uint64_t now)
{
    if (n->state == NEIGH_KNOWN && now - n->confirmed_ns <= NEIGH_REACHABLE_NS) {
        n->asks = 0; /* its TCP answered meanwhile */
        list_del(&n->ask_link);
        return false;
    }
    if (n->asks < NEIGH_MAX_ASKS) {
        ask(t, n, now);
        return false;
    }
    if (n->state == NEIGH_KNOWN) {
        /* Silent at the address we know: it may have moved, ask everyone. */
        n->state = NEIGH_ASKING;
        n->asks = 0;
        ask(t, n, now);
        return false;
    }
    neigh_forget(t, n);
    return true;
}

struct neigh *neigh_next_ask(struct neigh_table *t)
{
    struct list *l = list_pop_front(&t->to_ask);

    return l ? CONTAINER_OF(l, struct neigh, ask_link) : NULL;
}
