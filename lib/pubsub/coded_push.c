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

/* shards >= 0, as a whole number of them, none below it. */
static unsigned round_up(double shards, unsigned most)
{
    unsigned n = shards > most ? most : (unsigned)shards;

    return n + (n < most && (double)n < shards);
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

/* Who is sent which shards by their publisher: source shards in turn, round by round; in the next round each to another peer. */
struct issue {
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n, k, total, sources; /* shards: all; of those, source shards */
};

static unsigned place_of(const struct issue *s, unsigned shard)
{
    return (shard % s->k + shard / s->k) % s->n;
}

static struct issue issue_of(struct coded *c, const struct generation *g)
{
    struct issue s = {.k = g->shape.k};
    double reach = coded_size_reach(c->cfg.small_bytes, g->shape.size_bytes);

    s.n = mesh_of(c, g, s.mesh);
    rotate(c, s.mesh, s.n);
    for (unsigned i = 0; i < s.n;) {
        if (coded_is_slow(c, s.mesh[i]))
            s.mesh[i] = s.mesh[--s.n];
        else
            i++;
    }
    s.total = round_up(s.k * c->cfg.mult * reach, s.k * s.n);
    s.sources = round_up(s.k * reach, s.total);
    return s;
}

/* All of the mesh know who can be asked, also those that get no shard; and what comes to them. */
static void issue_promise(struct coded *c, struct generation *g, const struct issue *s, unsigned round)
{
    struct coded_bits sending[CODED_MESH_MAX] = {{{0}}};

    for (unsigned i = round * s->k; i < s->sources && i < (round + 1) * s->k; i++)
        coded_bits_put(&sending[place_of(s, i)], i % s->k);
    for (unsigned i = 0; i < s->n; i++)
        if (round == 0 || !coded_bits_is_empty(&sending[i]))
            promise(c, g, generation_link(g, s->mesh[i], true), sending[i]);
}

/* Who else is sent source shard index. */
static struct slice issue_tags(struct coded *c, const struct issue *s, unsigned index, uint8_t out[CODED_SENT_MAX * CODED_TAG_BYTES])
{
    unsigned count = 0;

    for (unsigned i = index; i < s->sources && count < CODED_SENT_MAX; i += s->k) {
        const struct coded_peer *u = coded_peer_find(c, s->mesh[place_of(s, i)]);

        if (u)
            coded_tag_write(out + CODED_TAG_BYTES * count++, u->tag);
    }
    return slice_of(out, count * CODED_TAG_BYTES);
}

void coded_push_published(struct coded *c, struct generation *g)
{
    uint8_t tags[CODED_SENT_MAX * CODED_TAG_BYTES];
    struct issue s = issue_of(c, g);

    for (unsigned round = 0; round == 0 || round * s.k < s.sources; round++)
        issue_promise(c, g, &s, round);
    coded_push_done(c, g);
    for (unsigned i = 0; i < s.total; i++) {
        struct generation_link *l = generation_link(g, s.mesh[place_of(&s, i)], false);

        if (l && i < s.sources)
            coded_send_source(c, g, l, i % s.k, 1, issue_tags(c, &s, i % s.k, tags));
        else if (l)
            coded_send_mixed(c, g, l, 1);
    }
}

/* Pushing pays while enough nodes lack the shard. How many hops that is depends on the network, so it is learned: from what use the
 * shards were that came pushed over that many. */
enum { USE_ALL = 1 << 20, SURE_HOPS = 3, USE_GAIN = 16, USE_FADE = 2048 };
#define USE_MARGIN (16.0 / 15)

/* Beyond the hops that are sure to pay it is just enough to begin with, so that a fresh network learns soon. */
void coded_push_init(struct coded *c)
{
    for (unsigned i = 0; i < CODED_SIZE_CLASSES; i++) {
        double doubt = USE_MARGIN * USE_ALL * coded_size_worth(c->cfg.small_bytes, coded_size_class_top(c->cfg.small_bytes, i));

        for (unsigned hops = 0; hops < CODED_HOPS; hops++)
            c->push_use[i][hops] = hops <= SURE_HOPS ? USE_ALL : (uint32_t)doubt;
    }
}

static unsigned hops_class(unsigned hops)
{
    return hops < CODED_HOPS ? hops : CODED_HOPS - 1;
}

static uint32_t *use_of(struct coded *c, uint32_t size_bytes)
{
    return c->push_use[coded_size_class(c->cfg.small_bytes, size_bytes)];
}

void coded_push_note(struct coded *c, uint32_t size_bytes, unsigned hops, bool is_useful)
{
    uint32_t *use = use_of(c, size_bytes) + hops_class(hops);

    if (hops == 0)
        return; /* an answer */
    if (is_useful)
        *use += (USE_ALL - *use) / USE_GAIN;
    else
        *use -= *use / USE_GAIN;
}

void coded_push_beat(struct coded *c)
{
    for (unsigned i = 0; i < CODED_SIZE_CLASSES * CODED_HOPS; i++) {
        uint32_t *use = &c->push_use[i / CODED_HOPS][i % CODED_HOPS];

        *use += (USE_ALL - *use) / USE_FADE;
    }
}

/* Nor when fewer hops do not pay: what comes after them is rarer still. */
static bool is_worth(struct coded *c, uint32_t size_bytes, unsigned hops)
{
    double worth = USE_ALL * coded_size_worth(c->cfg.small_bytes, size_bytes);
    const uint32_t *use = use_of(c, size_bytes);

    for (unsigned i = 0; i <= hops_class(hops); i++)
        if (use[i] < worth)
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
    if (s->tag_count < CODED_SENT_MAX)
        coded_tag_write(s->tags + CODED_TAG_BYTES * s->tag_count++, tag);
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
    is_ours = coded_near_is_ours(c, s->g, s->index, u, s->sent);
    if (!is_ours)
        coded_bits_put(&l->sent, s->index); /* by the one whose it is */
    return is_ours && (s->is_first_hand || l->pushed < s->budget);
}

void coded_push_source(struct coded *c, struct generation *g, unsigned index, pubsub_peer from, unsigned hops, struct slice sent)
{
    pubsub_peer mesh[CODED_MESH_MAX];
    unsigned n = mesh_of(c, g, mesh), k = g->shape.k;
    struct spread s = {.g = g, .index = index, .sent = sent};
    double share = k * c->cfg.mult * coded_size_reach(c->cfg.small_bytes, g->shape.size_bytes);

    s.is_first_hand = coded_is_publisher(c, g, from);
    s.is_worth = s.is_first_hand || is_worth(c, g->shape.size_bytes, hops + 1);
    s.budget = n > 1 ? round_up(share / (n - 1), UINT8_MAX) : 1; /* of the mesh, all but who sent it */
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
