/* geo.h: how far nodes are from each other
 * Shape:   a node's place, two places -> one-way delay
 * Source:  the table is rounded from round-trip times between cloud regions as their operators publish them; a node adds its last
 *          mile. Other delays: fixed, uniform, or a matrix of the user's
 * Owner:   one simulation
 * Units:   ns, one way
 */
#ifndef SIM_GEO_H
#define SIM_GEO_H

#include "base/rng.h"
#include "sim/sim.h"

struct sim_geo {
    int kind; /* enum sim_delay */
    uint64_t min_ns, max_ns;
    uint64_t *matrix; /* places x places */
    uint32_t places;
};

struct sim_place {
    uint32_t region; /* or the matrix's row */
    uint64_t mile_ns;
};

/* NULL, or what is wrong with the configuration. */
const char *sim_geo_init(struct sim_geo *g, const struct sim_config *cfg);
void sim_geo_fini(struct sim_geo *g);
struct sim_place sim_geo_place(const struct sim_geo *g, uint32_t node, struct rng *rng);
uint64_t sim_geo_delay(const struct sim_geo *g, const struct sim_place *a, const struct sim_place *b, struct rng *rng);

#endif
