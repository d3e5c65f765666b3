/* coded_gossip.c: who is told of what is kept or collected, besides by pushing (docs/PROTOCOL.md 6)
 * Note:    mesh peers that are not known to have a message hear of it at each heartbeat. The others that subscribe are walked, each
 *          generation by its own cursor: all of them in CODED_GOSSIP_BEATS heartbeats, and again as long as it is kept, but for those
 *          that are known to have it: who has it answers. So a message reaches everyone over any connected graph, whoever is in
 *          whose mesh and whatever is lost
 * Limits:  CODED_GOSSIP_TOLD words a heartbeat for each of the two lists; what that puts off goes on at the next
 */
#include <stdlib.h>

#include "pubsub/coded_int.h"

enum { LEAST = 3 /* of them at a time */, LISTED_MAX = 16 * CODED_PEERS_MAX /* peers looked up a heartbeat */ };

/* Who has to do with a topic. */
struct audience {
    struct slice topic;
    unsigned nmesh, nothers;
    pubsub_peer mesh[CODED_MESH_MAX], others[CODED_PEERS_MAX];
};

static bool list_has(const pubsub_peer *list, unsigned n, pubsub_peer p)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] == p)
            return true;
    return false;
}

static void audience_of(struct coded *c, struct audience *a, struct slice topic)
{
    unsigned n = c->host.subscribers(c->host.core, topic, a->others, CODED_PEERS_MAX);

    a->topic = topic;
    a->nmesh = c->host.mesh(c->host.core, topic, a->mesh, CODED_MESH_MAX);
    a->nothers = 0;
    for (unsigned i = 0; i < n; i++)
        if (!list_has(a->mesh, a->nmesh, a->others[i]))
            a->others[a->nothers++] = a->others[i];
}

static int by_handle(const void *a, const void *b)
{
    pubsub_peer x = *(const pubsub_peer *)a, y = *(const pubsub_peer *)b;

    return x < y ? -1 : x > y;
}

unsigned coded_some_peers(struct coded *c, struct slice topic, pubsub_peer *out, unsigned cap)
{
    struct audience a;
    unsigned n = 0, from_mesh, start;

    audience_of(c, &a, topic);
    from_mesh = a.nothers < cap / 4 ? cap - a.nothers : cap - cap / 4;
    start = a.nmesh ? (unsigned)rng_below(c->host.rng, a.nmesh) : 0;
    for (unsigned i = 0; i < a.nmesh && n < from_mesh; i++)
        out[n++] = a.mesh[(start + i) % a.nmesh];
    start = a.nothers ? (unsigned)rng_below(c->host.rng, a.nothers) : 0;
    for (unsigned i = 0; i < a.nothers && n < cap; i++)
        out[n++] = a.others[(start + i) % a.nothers];
    return n;
}

/* (generation, rank), to one that may need it. True: it was told. */
static bool tell(struct coded *c, struct generation *g, pubsub_peer p, bool is_mesh)
{
    struct generation_link *l = generation_is_settled(g, p) ? NULL : generation_link(g, p, is_mesh);
    struct generation_link stranger = {.peer = p, .has_header = true};
    struct coded_body b;

    if ((l ? l->is_done : generation_is_settled(g, p)) || (!is_mesh && coded_is_slow(c, p)))
        return false;
    coded_body_init(&b);
    coded_body_have(&b, g, l ? l : &stranger);
    coded_body_send(c, &b, p);
    c->host.counters->ihave_out++;
    c->host.counters->gossip_out_bytes += b.w.len;
    return true;
}

/* How many of the others have their turn at a heartbeat. */
static unsigned turn_of(unsigned n)
{
    unsigned turn = (n + CODED_GOSSIP_BEATS - 1) / CODED_GOSSIP_BEATS;

    turn = turn < LEAST ? LEAST : turn;
    return turn < n ? turn : n;
}

/* The place behind the last that was told; peers come and go in the meantime. */
static unsigned place_of(struct coded *c, const struct generation *g, const struct audience *a)
{
    unsigned at = 0;

    if (!g->gossip_after)
        return (unsigned)rng_below(c->host.rng, a->nothers);
    while (at < a->nothers && a->others[at] <= g->gossip_after)
        at++;
    return at % a->nothers;
}

static unsigned tell_others(struct coded *c, struct generation *g, const struct audience *a, unsigned left)
{
    unsigned turn = turn_of(a->nothers), at = turn ? place_of(c, g, a) : 0, told = 0;

    for (unsigned i = 0; i < turn; i++) {
        pubsub_peer p = a->others[(at + i) % a->nothers];

        if (told == left) {
            c->host.counters->gossip_deferred++;
            break;
        }
        told += tell(c, g, p, false);
        g->gossip_after = p;
    }
    return told;
}

static unsigned gossip(struct coded *c, struct generation *g, const struct audience *a, unsigned left)
{
    unsigned told = 0;

    for (unsigned i = 0; i < a->nmesh && told < left; i++)
        told += tell(c, g, a->mesh[i], true);
    return told + tell_others(c, g, a, left - told);
}

void coded_gossip_now(struct coded *c, struct generation *g)
{
    struct audience a;

    audience_of(c, &a, g->topic);
    qsort(a.others, a.nothers, sizeof(a.others[0]), by_handle);
    tell_others(c, g, &a, CODED_GOSSIP_TOLD);
}

static unsigned gather(const struct list *l, struct generation **out)
{
    unsigned n = 0, look = CODED_GOSSIP_LOOK;

    for (const struct list *it = l->prev; it != l && look; it = it->prev, look--) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);

        if (generation_rank(g))
            out[n++] = g;
    }
    return n;
}

/* The newest first, and with each the others of its topic: a list of peers is made once a topic. */
static void gossip_list(struct coded *c, struct list *l)
{
    struct generation *all[CODED_GOSSIP_LOOK];
    struct audience a;
    unsigned n = gather(l, all), left = CODED_GOSSIP_TOLD, listed = 0;

    for (unsigned i = 0; i < n; i++) {
        if (!all[i])
            continue;
        if (!left || listed > LISTED_MAX) {
            c->host.counters->gossip_deferred++;
            continue;
        }
        audience_of(c, &a, all[i]->topic);
        qsort(a.others, a.nothers, sizeof(a.others[0]), by_handle);
        listed += a.nothers;
        for (unsigned j = i; j < n && left; j++)
            if (all[j] && slice_is_equal(all[j]->topic, a.topic)) {
                left -= gossip(c, all[j], &a, left);
                all[j] = NULL;
            }
    }
}

void coded_gossip_beat(struct coded *c)
{
    gossip_list(c, &c->undecoded);
    gossip_list(c, &c->kept);
}
