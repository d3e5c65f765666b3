/* inside_link.h: the link between a gateway and the node that it lives in
 * Shape:   struct gw_link over the hub: publishes and topics go to the hub's ring as the sidecar's do, deliveries come from its
 *          dispatch thread
 * Owner:   the pool, as gw_link.h says. Two threads of its own, one each way (inside_out.c, inside_in.c), so that neither the
 *          clients' threads wait for the lcore's ring nor the hub's thread for the clients
 * Memory:  a publish keeps the client's bytes until the lcore sends them home; a delivery keeps the lcore's payload until each
 *          wire form that a client needs was built from it, which is its one copy
 * Limits:  deliveries that wait: INSIDE_IN_BYTES, beyond which the newest are dropped, counted and told to the pool. Publishes
 *          that wait: what the pool lets be under way (NODE_QUEUE_BYTES)
 */
#ifndef INSIDE_INSIDE_LINK_H
#define INSIDE_INSIDE_LINK_H

#include <sched.h>

#include "gateway/gw_link.h"
#include "node/hub.h"

#define INSIDE_IN_BYTES (256ull << 20)

/* target: as gw_link's. cpus (NULL: any) and hub outlive the link. NULL: no memory. */
struct gw_link *inside_link_new(struct hub *hub, const char *target, const cpu_set_t *cpus);

struct inside_link_stats {
    uint64_t published, waits, refused; /* publishes that the hub took; that found its ring full; that it would not have */
    uint64_t delivered, lost;           /* messages handed to the gateway; dropped because it was too slow */
    uint64_t out_bytes, in_bytes, in_peak_bytes;
};
/* l must be from inside_link_new. */
void inside_link_stats(struct gw_link *l, struct inside_link_stats *out);

#endif
