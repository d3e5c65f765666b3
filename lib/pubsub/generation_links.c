/* generation_links.c: what is remembered of each peer for one generation
 * Why:     a link is 344 bytes, and a message that everyone has needs none of it: peers that have a kept message and know that we have it
 *          are put into a short list, so that thousands of kept messages with hundreds of peers each stay small
 */
#include <stdlib.h>

#include "pubsub/generation_int.h"

/* While we collect, those that have the message are whom we ask. */
static struct generation_link *link_given_up(struct generation *g)
{
    for (unsigned i = 0; i < g->link_count && generation_is_decoded(g); i++) {
        struct generation_link *l = &g->links[(g->link_turn + i) % g->link_count];

        if (l->is_done) {
            g->link_turn = (uint16_t)(g->link_turn + i + 1);
            return l;
        }
    }
    return NULL;
}

static int settled_at(const struct generation *g, pubsub_peer p)
{
    for (unsigned i = 0; i < g->settled_count; i++)
        if (g->settled[i].peer == p)
            return (int)i;
    return -1;
}

bool generation_is_settled(const struct generation *g, pubsub_peer p)
{
    return settled_at(g, p) >= 0;
}

/* It speaks of the message again: what it has had counts on. */
static void unsettle(struct generation *g, struct generation_link *l)
{
    int at = settled_at(g, l->peer);
    struct generation_settled *s;

    if (at < 0)
        return;
    s = &g->settled[at];
    l->is_done = l->has_header = true;
    l->rank = l->told_rank = g->shape.k;
    l->has = l->told = coded_bits_all(g->shape.k);
    l->served = s->served;
    l->rows_sent = s->rows_sent;
    l->headers = s->headers;
    *s = g->settled[--g->settled_count];
}

static bool settle(struct generation *g, const struct generation_link *l)
{
    if (g->settled_count == g->settled_cap) {
        unsigned cap = g->settled_cap ? g->settled_cap * 2u : GENERATION_LINKS_FIRST;
        struct generation_settled *s = cap > GENERATION_SETTLED_MAX ? NULL : realloc(g->settled, cap * sizeof(*s));

        if (!s)
            return false;
        g->settled = s;
        g->settled_cap = (uint16_t)cap;
    }
    g->settled[g->settled_count++] = (struct generation_settled){l->peer, l->served, l->rows_sent, l->headers};
    return true;
}

/* Gives back what is more than twice too much. */
static void shrink(struct generation *g)
{
    unsigned cap = GENERATION_LINKS_FIRST;
    struct generation_link *l;

    while (cap < g->link_count)
        cap *= 2;
    if (cap >= g->link_cap)
        return;
    l = realloc(g->links, cap * sizeof(*l));
    if (!l)
        return;
    g->links = l;
    g->link_cap = (uint16_t)cap;
}

uint32_t generation_links_settle(struct generation *g)
{
    unsigned left = 0, more;

    for (unsigned i = 0; generation_is_decoded(g) && i < g->link_count; i++) {
        struct generation_link *l = &g->links[i];
        if (!l->is_done || l->told_rank < g->shape.k || !settle(g, l))
            g->links[left++] = *l;
    }
    if (generation_is_decoded(g)) {
        g->link_count = (uint16_t)left;
        shrink(g);
    }
    g->is_link_due = false;
    more = g->link_cap > GENERATION_LINKS_FIRST ? g->link_cap - (unsigned)GENERATION_LINKS_FIRST : 0;
    return (uint32_t)(more * sizeof(*g->links) + g->settled_cap * sizeof(*g->settled));
}

void generation_links_free(struct generation *g)
{
    free(g->links);
    free(g->settled);
}

struct generation_link *generation_link(struct generation *g, pubsub_peer p, bool make)
{
    struct generation_link *l;

    g->is_link_due |= make;

    for (unsigned i = 0; i < g->link_count; i++)
        if (g->links[i].peer == p)
            return &g->links[i];
    if (!make || p == 0)
        return NULL;
    if (g->link_count == GENERATION_LINKS_MAX) {
        l = link_given_up(g);
        if (!l)
            return NULL;
        *l = (struct generation_link){.peer = p};
        unsettle(g, l);
        return l;
    }
    if (g->link_count == g->link_cap) {
        unsigned cap = g->link_cap ? g->link_cap * 2u : GENERATION_LINKS_FIRST;

        l = realloc(g->links, cap * sizeof(*l));
        if (!l)
            return NULL;
        g->links = l;
        g->link_cap = (uint16_t)cap;
    }
    l = &g->links[g->link_count++];
    *l = (struct generation_link){.peer = p};
    unsettle(g, l);
    return l;
}

static void rows_forget(struct generation_row *rows, unsigned n, pubsub_peer p)
{
    for (unsigned i = 0; i < n; i++)
        if (rows[i].from == p)
            rows[i].from = 0;
}

void generation_peer_gone(struct generation *g, pubsub_peer p)
{
    int at = settled_at(g, p);

    if (at >= 0)
        g->settled[at] = g->settled[--g->settled_count];
    for (unsigned i = 0; i < g->link_count; i++)
        if (g->links[i].peer == p) {
            g->links[i] = g->links[--g->link_count];
            break;
        }
    rows_forget(g->source, g->shape.k, p);
    rows_forget(g->coded, g->coded_count, p);
    rows_forget(g->dropped, g->dropped_count, p);
    if (g->charged == p)
        g->charged = 0;
    if (g->last_from == p)
        g->last_from = 0;
}
