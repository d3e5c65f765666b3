/* coded_pull.c: what peers offer is asked for at once (docs/PROTOCOL.md 7)
 * Note:    what others are sending us, as far as the peer knows, is left to them. A few shards are asked of each peer at a time, so
 *          that many share the work and a slow one holds up little
 */
#include "pubsub/coded_int.h"

enum { SHARE = 4 }; /* a peer is asked for at most k / SHARE shards at a time */

bool coded_is_publisher(const struct coded *c, const struct generation *g, pubsub_peer p)
{
    const struct peer_id *id = c->host.peer_id(c->host.core, p);

    return id && peer_id_is_equal(id, &g->from);
}

struct coded_bits coded_pull_left(const struct generation *g, unsigned *need)
{
    struct coded_bits missing = coded_bits_minus(coded_bits_all(g->shape.k), g->have), asked = {{0}};
    unsigned gap = g->shape.k - g->rank.rank, n;

    for (unsigned i = 0; i < g->link_count; i++)
        asked = coded_bits_or(asked, coded_bits_or(g->links[i].asked, g->links[i].promised));
    asked = coded_bits_and(coded_bits_or(asked, g->hashing), missing);
    n = coded_bits_count(&asked);
    *need = gap > n ? gap - n : 0;
    return coded_bits_minus(missing, asked);
}

struct coded_bits coded_pull_some(struct coded *c, const struct generation *g, struct coded_bits from, unsigned n)
{
    unsigned k = g->shape.k, it = 0, index, start = (unsigned)rng_below(c->host.rng, k);
    struct coded_bits out = {{0}};

    while (n && coded_bits_next(&from, k, start, &it, &index)) {
        coded_bits_put(&out, index);
        n--;
    }
    return out;
}

void coded_pull_send(struct coded *c, struct generation_link *l, const struct coded_want *w, unsigned k)
{
    struct coded_body b;

    c->host.counters->repairs_asked++;
    l->told_rank = w->rank;
    l->told = coded_bits_or(l->told, w->verified);
    coded_body_init(&b);
    coded_want_put(&b.w, w, k);
    coded_body_send(c, &b, l->peer);
}

void coded_pull_ask(struct coded *c, struct generation *g, struct generation_link *l, struct coded_bits give, uint64_t now)
{
    struct coded_bits missing = coded_bits_minus(coded_bits_all(g->shape.k), g->have);
    struct coded_want w = {
        .id = g->id,
        .verified = g->have,
        .skip = coded_bits_minus(missing, give),
        .rank = (uint8_t)generation_rank(g),
        .count = (uint8_t)coded_bits_count(&give),
        .flags = g->failures && g->round < CODED_SOURCE_ONLY_ROUNDS ? CODED_WANT_SOURCE_ONLY : 0,
    };

    l->asked_before = l->asked;
    l->asked = coded_bits_or(l->asked, give);
    if (!l->asked_ns) {
        l->asked_ns = now;
        l->is_answering = false;
    }
    coded_pull_send(c, l, &w, g->shape.k);
}

/* How many more l may be asked for. Who did not answer is asked by repair. */
static unsigned room_of(const struct generation *g, const struct generation_link *l)
{
    unsigned most = g->shape.k / SHARE ? g->shape.k / SHARE : 1, asked = coded_bits_count(&l->asked);

    return l->failed || asked >= most ? 0 : most - asked;
}

/* What l may be asked for at once. The publisher sends what it has to send unasked: only for what was lost. */
static struct coded_bits offer_of(const struct coded *c, const struct generation *g, const struct generation_link *l)
{
    return coded_is_publisher(c, g, l->peer) ? l->lost : coded_bits_minus(l->has, l->coming);
}

void coded_pull(struct coded *c, struct generation *g, uint64_t now)
{
    unsigned need, start = g->link_count ? (unsigned)rng_below(c->host.rng, g->link_count) : 0;
    struct coded_bits left = coded_pull_left(g, &need);

    for (unsigned i = 0; i < g->link_count && need; i++) {
        struct generation_link *l = &g->links[(start + i) % g->link_count];
        struct coded_bits offered = coded_bits_and(left, offer_of(c, g, l)), give;
        unsigned room;

        if (coded_bits_is_empty(&offered))
            continue;
        room = room_of(g, l);
        if (!room)
            continue;
        give = coded_pull_some(c, g, offered, room < need ? room : need);
        coded_pull_ask(c, g, l, give, now);
        left = coded_bits_minus(left, give);
        need -= coded_bits_count(&give);
    }
}
