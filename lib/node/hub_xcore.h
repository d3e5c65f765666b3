/* hub_xcore.h: making and running a hub (hub.h is its face)
 * Owner:   the program's main thread; the dispatch thread is the hub's own
 */
#ifndef NODE_HUB_XCORE_H
#define NODE_HUB_XCORE_H

#include <sched.h>

#include "node/config.h"
#include "node/hub.h"
#include "node/xcore.h"

struct xresolved;

struct hub_config {
    const struct node_config *config; /* borrowed */
    struct peer_id self;
    struct xring *to_coding;          /* consumer: the coding role */
    struct xring *from_coding;        /* consumer: the hub's dispatch thread, whose bell it is made with */
    struct xdoor *door;               /* that bell */
    const cpu_set_t *cpus;            /* where the dispatch thread may run; NULL: as the caller */
};

/* NULL: no memory. No thread runs yet. */
struct hub *hub_new(const struct hub_config *cfg);
/* Where peers reach us, as health answers tell it. Before hub_start. */
void hub_set_address(struct hub *h, const struct multiaddr *addr);
/* Starts the dispatch thread. 0 or -1. */
int hub_start(struct hub *h);
/* Asks the lcores to leave the mesh and close; returns when they have or after timeout_ms. From then on publishes
 * answer -HUB_ESTOPPING. */
void hub_leave(struct hub *h, unsigned timeout_ms);
/* Stops the dispatch thread. The lcores must have stopped. */
void hub_stop(struct hub *h);
void hub_free(struct hub *h);
/* The allow-list of that net role from now on; it passes to the role. NULL (no memory for it): nothing changes. */
void hub_allow(struct hub *h, unsigned role, struct allowlist *a);
/* Who resolves names for the coding role. Before hub_start. */
void hub_set_resolver(struct hub *h, void (*ask)(void *user, unsigned index, const struct multiaddr *addr), void *user);
/* An answer for the coding role; taken. */
void hub_resolved(struct hub *h, struct xresolved *a);
/* A client's payload that has come home. */
void hub_source_done(struct buf *b);
/* Set while someone listens to traces; the coding role reads it. */
const uint32_t *hub_wants_traces(const struct hub *h);

#endif
