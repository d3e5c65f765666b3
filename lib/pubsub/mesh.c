#include "pubsub/mesh.h"

struct mesh_params mesh_params_of(unsigned target, unsigned min, unsigned max, unsigned out)
{
    struct mesh_params p = {target ? target : 6, min ? min : 4, max ? max : 12, out ? out : 2, MESH_GOSSIP_FACTOR};

    if (p.lo > p.d)
        p.lo = p.d;
    if (p.hi < p.d)
        p.hi = p.d;
    if (p.out > p.d / 2)
        p.out = p.d / 2;
    if (p.out >= p.lo)
        p.out = p.lo - 1;
    return p;
}

static void swap(struct mesh_candidate *a, struct mesh_candidate *b)
{
    struct mesh_candidate t = *a;

    *a = *b;
    *b = t;
}

unsigned mesh_pick(struct mesh_candidate *c, unsigned n, unsigned want, struct rng *rng)
{
    unsigned i = 0;

    for (; i < want && i < n; i++)
        swap(&c[i], &c[i + rng_below(rng, n - i)]);
    return i;
}

/* The best `want` to the front, best first. */
static void best_first(struct mesh_candidate *c, unsigned n, unsigned want)
{
    for (unsigned i = 0; i < want && i < n; i++) {
        unsigned best = i;
        for (unsigned j = i + 1; j < n; j++)
            if (c[j].score > c[best].score)
                best = j;
        swap(&c[i], &c[best]);
    }
}

double mesh_median(struct mesh_candidate *c, unsigned n)
{
    best_first(c, n, n);
    return c[n - 1 - n / 2].score; /* of an even number the better of the two, as go takes it */
}

void mesh_order_kept(struct mesh_candidate *c, unsigned n, const struct mesh_params *p, struct rng *rng)
{
    unsigned outbound = 0, at;

    mesh_pick(c, n, n, rng); /* equal scores: no order of ours */
    best_first(c, n, MESH_SCORE_KEPT);
    if (n <= p->d)
        return;
    for (unsigned i = 0; i < p->d; i++)
        outbound += c[i].is_outbound;
    /* Too few outbound ones among the kept: they take the places of the last inbound ones. */
    at = p->d;
    for (unsigned i = p->d; i < n && outbound < p->out; i++) {
        if (!c[i].is_outbound)
            continue;
        while (at > 0 && c[at - 1].is_outbound)
            at--;
        if (at == 0)
            break;
        swap(&c[--at], &c[i]);
        outbound++;
    }
}
