/* rpc_tag.h: what a completion queue hands back (inside the room only)
 * Owner:   embedded in the object that waits; that object must live until fn has run
 */
#ifndef RPC_RPC_TAG_H
#define RPC_RPC_TAG_H

#include <stdbool.h>

#include <grpc/grpc.h>

#include "rpc/rpc_loop.h"

struct rpc_tag {
    void (*fn)(struct rpc_tag *t, bool ok); /* on the loop's thread */
};

grpc_completion_queue *rpc_loop_cq(struct rpc_loop *l);
const cpu_set_t *rpc_loop_cpus(const struct rpc_loop *l);

#endif
