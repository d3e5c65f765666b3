/* mesh.h: the choices of mesh upkeep, on plain arrays
 * Shape:   candidates (score, direction) -> whom to keep, whom to take
 * Source:  gossipsub v1.1: D, Dlo, Dhi, Dscore, Dout; Outbound Mesh Quotas; Heartbeat Maintenance
 * Owner:   none; pure functions, randomness passed in
 */
#ifndef PUBSUB_MESH_H
#define PUBSUB_MESH_H

#include "base/rng.h"

#include <stdbool.h>

#define MESH_SCORE_KEPT    4    /* Dscore */
#define MESH_GOSSIP_FACTOR 0.25

struct mesh_params {
    unsigned d, lo, hi, out; /* out is below lo and at most d / 2 */
    double gossip_factor;    /* share of the candidates told of gossip */
};

struct mesh_candidate {
    void *link; /* the caller's */
    double score;
    bool is_outbound;
};

/* Params that obey the spec's relations, from what the configuration says. */
struct mesh_params mesh_params_of(unsigned target, unsigned min, unsigned max, unsigned out);

/* Orders c so that the first p->d are the ones to keep: the best Dscore by score, the rest at random, among them at
 * least Dout outbound ones when there are that many. */
void mesh_order_kept(struct mesh_candidate *c, unsigned n, const struct mesh_params *p, struct rng *rng);

/* Moves up to want random candidates to the front; returns how many. */
unsigned mesh_pick(struct mesh_candidate *c, unsigned n, unsigned want, struct rng *rng);

/* May a peer's GRAFT be taken when the mesh has `size` members? */
static inline bool mesh_has_room(const struct mesh_params *p, unsigned size, bool is_outbound)
{
    return size < p->hi || is_outbound;
}

/* The score in the middle; n > 0. Orders c by score. */
double mesh_median(struct mesh_candidate *c, unsigned n);

/* How many to tell of gossip: a share of the candidates, at least d (Dlazy). */
static inline unsigned mesh_gossip_targets(const struct mesh_params *p, unsigned candidates)
{
    unsigned share = (unsigned)(candidates * p->gossip_factor), want = share > p->d ? share : p->d;

    return want < candidates ? want : candidates;
}

#endif
