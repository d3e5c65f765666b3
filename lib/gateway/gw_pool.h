/* gw_pool.h: the nodes, over gRPC: one channel and one ListenCommands stream each
 * Shape:   struct gw_upstream over lib/rpc
 * Source:  proto/sidecar.proto
 * Owner:   any thread; one lock for all nodes. Callbacks come on one rpc loop
 * Rules:   a publish goes to the least loaded node that is up. When that node goes away or stays silent for ACK_NS the
 *          message goes to another one: twice in the network, once at each client, since (topic, SHA-256) is known
 */
#ifndef GATEWAY_GW_POOL_H
#define GATEWAY_GW_POOL_H

#include "gateway/gw_config.h"

/* NULL: no memory. Starts to connect at once; a node that is not there yet is no error. */
struct gw_upstream *gw_pool_new(struct gateway *gw, const struct gw_config *cfg);

#endif
