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

void coded_push_published(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k, total, at = 0;

    rotate(c, mesh, n);
    for (unsigned i = 0; i < n;) {
        if (coded_is_slow(c, mesh[i]))
            mesh[i] = mesh[--n];
        else
            i++;
    }
    total = shards_to_publish(c, k, n);
    for (unsigned i = 0; i < total; i++) {
        struct generation_link *l = generation_link(g, mesh[at++ % n], true);

        if (!l)
            continue;
        if (i < k)
            coded_send_source(c, g, l, i, (struct slice){0});
        else
            coded_send_mixed(c, g, l, 1);
    }
    /* All of the mesh know who can be asked, also those that got no shard. */
    coded_push_done(c, g);
}

struct spread {
    struct generation *g;
    unsigned index, count, budget;
    bool is_first_hand;
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

/* Does the shard go to u? Notes on the way who has it. */
static bool spread_to(struct coded *c, struct spread *s, const struct coded_peer *u, struct generation_link *l)
{
    struct coded_bits holds = generation_link_holds(l);

    if (coded_tags_have(s->sent, u->tag))
        coded_bits_put(&l->sent, s->index);
    else if (needs(s->g, l) && !coded_bits_has(&holds, s->index) && !coded_is_slow(c, u->p) &&
             (s->is_first_hand ||
              (l->pushed < s->budget && coded_near_is_ours(c, s->g, s->index, u, s->sent))))
        return true;
    else if (!coded_bits_has(&holds, s->index))
        return false;
    spread_tag(s, u->tag);
    return false;
}

void coded_push_source(struct coded *c, struct generation *g, unsigned index, pubsub_peer from, struct slice sent)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k;
    struct spread s = {.g = g, .index = index, .sent = sent};
    const struct peer_id *from_id = c->host.peer_id(c->host.core, from);
    double share = n ? (double)k * c->cfg.mult / n : 0;

    s.is_first_hand = from_id && peer_id_is_equal(from_id, &g->from);
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

        l->pushed += l->pushed < UINT8_MAX;
        coded_send_source(c, g, l, index, slice_of(s.tags, s.tag_count * CODED_TAG_BYTES));
    }
}

void coded_push_hints(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh);

    for (unsigned i = 0; i < n; i++) {
        struct generation_link *l = generation_link(g, mesh[i], true);
        struct coded_body b;

        if (!l || !needs(g, l) || l->hints == CODED_HINTS_MAX || l->told_rank == generation_rank(g))
            continue;
        l->hints++;
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
}

/* Redundancy beyond the source shards is the operator's to give (SHARD_MULT above 1): mesh peers that have not said for a
 * while that they are complete get a few mixtures unasked, which serve whatever they lack. */
void coded_push_spare(struct coded *c, struct generation *g)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k;
    double share = n && c->cfg.mult > 1 ? (c->cfg.mult - 1) * k / n : 0;
    unsigned spare = share > 255 ? 255 : (unsigned)share + ((double)(unsigned)share < share);

    for (unsigned i = 0; i < n && spare; i++) {
        struct generation_link *l = generation_link(g, mesh[i], false);
        struct coded_bits more = l ? coded_bits_minus(g->have, l->has) : (struct coded_bits){{0}};
        unsigned need;

        /* One that was never heard of here is told, not sent: it may hold all by other ways. */
        if (!l || !l->heard_ns || !needs(g, l) || coded_bits_is_empty(&more) || coded_is_slow(c, l->peer))
            continue;
        need = k - l->rank;
        need = need < coded_bits_count(&more) ? need : coded_bits_count(&more);
        coded_send_mixed(c, g, l, need < spare ? need : spare);
    }
}
