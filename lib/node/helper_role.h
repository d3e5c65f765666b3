/* helper_role.h: a coding lcore beside the router: does the work that needs none of the router's state
 * Shape:   jobs in (signatures, hashes of shards), the same jobs back with what came of them
 * Owner:   one worker lcore
 * Memory:  a job and the frame that its bytes lie in are the router's; only the result is written here. Nothing is counted here
 * Limits:  the ring back has room for every job that there is, so a helper never waits for the router
 */
#ifndef NODE_HELPER_ROLE_H
#define NODE_HELPER_ROLE_H

#include "node/snapshot.h"
#include "node/xcore.h"

#define HELPER_JOBS 512 /* of the router, out at a time at all helpers */
#define HELPER_RING 1024

struct helper_role {
    struct xring *in;
    struct xout out;
    struct pubsub_helper *helper;
};

/* Rings are set by the caller before. 0 or -1 (no memory). */
int helper_role_init(struct helper_role *r);
/* All lcores stopped. Jobs that are still in the rings are the router's, which lets them go with its core. */
void helper_role_fini(struct helper_role *r);
/* One turn; returns the work done. */
unsigned helper_role_poll(struct helper_role *r);
bool helper_role_has_input(const struct helper_role *r);

#endif
