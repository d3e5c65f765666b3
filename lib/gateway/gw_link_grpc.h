/* gw_link_grpc.h: a node's sidecar, over gRPC: one channel and one ListenCommands stream
 * Shape:   struct gw_link over lib/rpc
 * Source:  proto/sidecar.proto
 * Owner:   as gw_link.h says; callbacks come on one rpc loop. gRPC calls are made under the pool's lock: lib/rpc never calls
 *          back from inside them
 */
#ifndef GATEWAY_GW_LINK_GRPC_H
#define GATEWAY_GW_LINK_GRPC_H

#include "gateway/gw_link.h"
#include "rpc/rpc_loop.h"

/* loop must outlive the link. queue_bytes: of publishes on their way to the node. token_file:
 * borrowed; "": no token. NULL: no memory. */
struct gw_link *gw_link_grpc_new(const char *target, struct rpc_loop *loop, uint32_t max_recv_bytes, uint64_t queue_bytes,
                                 const char *token_file);

#endif
