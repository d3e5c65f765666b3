/* coded_push.c: what goes out unasked (docs/PROTOCOL.md 6)
 * Note:    the aim is that each peer is sent each shard once. A source shard fresh from its publisher goes to all our mesh, for
 *          nobody else has it; further on, the receivers of one sender share its other neighbours among them (coded_near.c), within
 *          a budget per link; what that leaves open is told (HAVE) and asked for (coded_repair.c)
 */
#include "pubsub/coded_int.h"

static unsigned mesh_of(struct coded *c, const struct generation *g, pubsub_peer *out)
{
    return c->host.mesh(c->host.core, g->topic, out, CODED_MESH_MAX);
}

/* A random start, so that all who got a shard together do not send to the same peer first. */
static void rotate(struct coded *c, pubsub_peer *list, unsigned n)
{
    pubsub_peer turned[CODED_MESH_MAX];
    unsigned by;

    if (n < 2)
        return;
    by = (unsigned)rng_below(c->host.rng, n);
    for (unsigned i = 0; i < n; i++)
        turned[i] = list[(i + by) % n];
    memcpy(list, turned, n * sizeof(*list));
}

/* A peer whose rank, by its word or by what it was sent, cannot rise any more needs nothing. */
static bool needs(const struct generation *g, const struct generation_link *l)
{
    struct coded_bits holds = generation_link_holds(l);
    unsigned k = g->shape.k;

    return !l->is_done && l->rank < k && coded_bits_count(&holds) < k;
}

static unsigned shards_to_publish(const struct coded *c, unsigned k, unsigned peers)
{
    double want = (double)k * c->cfg.mult;
    unsigned n = want > 1e6 ? 1000000 : (unsigned)want;

    n += (double)n < want;
    return n < k * peers ? n : k * peers;
}

/* A word ahead of the shards, which take their time on the way: nobody else need be asked for them. */
static void promise(struct coded *c, struct generation *g, struct generation_link *l, struct coded_bits sending)
{
    struct coded_body b;

    if (!l)
        return;
    coded_body_init(&b);
    coded_body_header(&b, g, l);
    coded_body_promise(&b, g, l, sending);
    coded_body_send(c, &b, l->peer);
}

void coded_push_published(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    struct coded_bits sending[CODED_MESH_MAX] = {{{0}}};
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k, total;

    rotate(c, mesh, n);
    for (unsigned i = 0; i < n;) {
        if (coded_is_slow(c, mesh[i]))
            mesh[i] = mesh[--n];
        else
            i++;
    }
    total = shards_to_publish(c, k, n);
    for (unsigned i = 0; i < total && i < k; i++)
        coded_bits_put(&sending[i % n], i);
    /* All of the mesh know who can be asked, also those that get no shard; and what comes to them. */
    for (unsigned i = 0; i < n; i++)
        promise(c, g, generation_link(g, mesh[i], true), sending[i]);
    coded_push_done(c, g);
    for (unsigned i = 0; i < total; i++) {
        struct generation_link *l = generation_link(g, mesh[i % n], false);

        if (l && i < k)
            coded_send_source(c, g, l, i, 1, (struct slice){0});
        else if (l)
            coded_send_mixed(c, g, l, 1);
    }
}

/* Pushing pays while most nodes lack the shard. How many hops that is depends on the network, so it is learned: from what use the
 * shards were that came pushed over that many. */
enum { USE_ALL = 1 << 20, USE_WORTH = USE_ALL / 4 * 3, USE_DOUBT = USE_ALL / 5 * 4, SURE_HOPS = 3, USE_GAIN = 16, USE_FADE = 2048 };

void coded_push_init(struct coded *c)
{
    for (unsigned i = 0; i < CODED_HOPS; i++)
        c->push_use[i] = i <= SURE_HOPS ? USE_ALL : USE_DOUBT;
}

static unsigned hops_class(unsigned hops)
{
    return hops < CODED_HOPS ? hops : CODED_HOPS - 1;
}

void coded_push_note(struct coded *c, unsigned hops, bool is_useful)
{
    uint32_t *use = &c->push_use[hops_class(hops)];

    if (hops == 0)
        return; /* an answer */
    if (is_useful)
        *use += (USE_ALL - *use) / USE_GAIN;
    else
        *use -= *use / USE_GAIN;
}

void coded_push_beat(struct coded *c)
{
    for (unsigned i = 0; i < CODED_HOPS; i++)
        c->push_use[i] += (USE_ALL - c->push_use[i]) / USE_FADE;
}

/* Nor when fewer hops do not pay: what comes after them is rarer still. */
static bool is_worth(const struct coded *c, unsigned hops)
{
    for (unsigned i = 0; i <= hops_class(hops); i++)
        if (c->push_use[i] < USE_WORTH)
            return false;
    return true;
}

struct spread {
    struct generation *g;
    unsigned index, count, budget;
    bool is_first_hand, is_worth; /* pushed at all */
    struct slice sent; /* as it came */
    uint32_t targets[CODED_MESH_MAX]; /* places in mesh */
    uint8_t tags[CODED_SENT_MAX * CODED_TAG_BYTES];
    unsigned tag_count;
};

static void spread_tag(struct spread *s, uint32_t tag)
{
    uint8_t *t = s->tags + s->tag_count * CODED_TAG_BYTES;

    if (s->tag_count == CODED_SENT_MAX)
        return;
    t[0] = (uint8_t)(tag >> 24);
    t[1] = (uint8_t)(tag >> 16);
    t[2] = (uint8_t)(tag >> 8);
    t[3] = (uint8_t)tag;
    s->tag_count++;
}

/* Does the shard go to u? Notes on the way who has it, or will have it from others. */
static bool spread_to(struct coded *c, struct spread *s, const struct coded_peer *u, struct generation_link *l)
{
    struct coded_bits holds = generation_link_holds(l);
    bool is_ours;

    if (coded_tags_have(s->sent, u->tag))
        coded_bits_put(&l->sent, s->index);
    if (coded_tags_have(s->sent, u->tag) || coded_bits_has(&holds, s->index)) {
        spread_tag(s, u->tag);
        return false;
    }
    if (!s->is_worth || !needs(s->g, l) || coded_is_slow(c, u->p))
        return false;
    is_ours = s->is_first_hand || coded_near_is_ours(c, s->g, s->index, u, s->sent);
    if (!is_ours)
        coded_bits_put(&l->sent, s->index); /* by the one whose it is */
    return is_ours && (s->is_first_hand || l->pushed < s->budget);
}

void coded_push_source(struct coded *c, struct generation *g, unsigned index, pubsub_peer from, unsigned hops, struct slice sent)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k;
    struct spread s = {.g = g, .index = index, .sent = sent};
    double share = n > 1 ? (double)k * c->cfg.mult / (n - 1) : 0; /* of the mesh, all but who sent it */

    s.is_first_hand = coded_is_publisher(c, g, from);
    s.is_worth = s.is_first_hand || is_worth(c, hops + 1);
    s.budget = share < 1 ? 1 : share > 255 ? 255 : (unsigned)share;
    s.budget += (double)s.budget < share && s.budget < 255;
    rotate(c, mesh, n);
    for (unsigned i = 0; i < n; i++) {
        struct coded_peer *u = coded_peer_find(c, mesh[i]);
        struct generation_link *l = u && u->p != from ? generation_link(g, u->p, true) : NULL;

        if (l && spread_to(c, &s, u, l)) {
            s.targets[s.count++] = i;
            spread_tag(&s, u->tag);
        }
    }
    for (unsigned i = 0; i < s.count; i++) {
        struct generation_link *l = generation_link(g, mesh[s.targets[i]], false);
        struct coded_bits one = {{0}};

        l->pushed += l->pushed < UINT8_MAX;
        coded_bits_put(&one, index);
        promise(c, g, l, one);
        coded_send_source(c, g, l, index, hops + 1, slice_of(s.tags, s.tag_count * CODED_TAG_BYTES));
    }
}

/* Has it something to ask for? */
static bool is_offer(const struct generation *g, const struct generation_link *l)
{
    struct coded_bits holds = generation_link_holds(l), more = coded_bits_minus(coded_bits_minus(g->have, holds), l->told);

    return needs(g, l) && !coded_bits_is_empty(&more);
}

void coded_push_hints(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh);

    for (unsigned i = 0; i < n; i++) {
        struct generation_link *l = generation_link(g, mesh[i], true);
        struct coded_body b;

        if (!l || !is_offer(g, l))
            continue;
        coded_body_init(&b);
        coded_body_header(&b, g, l);
        coded_body_have(&b, g, l);
        coded_body_send(c, &b, mesh[i]);
    }
}

void coded_push_done(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k;

    for (unsigned i = 0; i < n; i++)
        generation_link(g, mesh[i], true);
    for (unsigned i = 0; i < g->link_count; i++) {
        struct generation_link *l = &g->links[i];
        struct coded_body b;

        if (l->told_rank == k)
            continue;
        coded_body_init(&b);
        if (!l->is_done)
            coded_body_header(&b, g, l);
        coded_body_have(&b, g, l);
        coded_body_send(c, &b, l->peer);
    }
    if (n == 0)
        coded_gossip_now(c, g);
}
