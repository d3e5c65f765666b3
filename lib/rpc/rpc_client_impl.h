/* rpc_client_impl.h: a client's insides, shared by streams and unary calls (inside the room only)
 * Owner:   fields under "lock" belong to it; last is the loop thread's once the client is made
 */
#ifndef RPC_RPC_CLIENT_IMPL_H
#define RPC_RPC_CLIENT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "rpc/rpc_client.h"
#include "rpc/rpc_home.h"
#include "rpc/rpc_tag.h"

struct rpc_client {
    char *target;
    struct rpc_loop *loop;
    grpc_channel *channel;
    uint32_t max_send_bytes, max_recv_bytes;
    void (*on_state)(struct rpc_client *c, enum rpc_state state, void *user);
    void *user;
    struct rpc_home home;
    struct rpc_tag watch_tag;
    grpc_connectivity_state last;
    _Atomic(enum rpc_state) state;
    atomic_ullong connects, disconnects;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping, watching; /* lock */
};

gpr_timespec rpc_client_deadline(const struct rpc_call_options *o);
uint32_t rpc_client_flags(const struct rpc_call_options *o);
/* Copies the options' headers; *out is freed by headers_free. -RPC_EARG: one of them may not be sent. */
int rpc_client_headers(const struct rpc_call_options *o, grpc_metadata **out, size_t *count);
void rpc_client_headers_free(grpc_metadata *headers, size_t count);
grpc_call *rpc_client_call(struct rpc_client *c, const char *path, gpr_timespec deadline);

#endif
