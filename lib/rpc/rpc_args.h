/* rpc_args.h: channel arguments, filled one by one (inside the room only)
 * Memory:  the caller's; core copies what it needs while the server or channel is made
 */
#ifndef RPC_RPC_ARGS_H
#define RPC_RPC_ARGS_H

#include <assert.h>
#include <limits.h>
#include <stdint.h>

#include <grpc/grpc.h>

#define RPC_ARGS_MAX 24

struct rpc_args {
    unsigned count;
    grpc_arg arg[RPC_ARGS_MAX];
    grpc_channel_args all;
};

/* Numbers above what core's int holds become its largest, which means no bound. */
static inline void rpc_args_int(struct rpc_args *a, const char *key, int64_t value)
{
    assert(a->count < RPC_ARGS_MAX);
    a->arg[a->count++] = (grpc_arg){.type = GRPC_ARG_INTEGER,
                                    .key = (char *)(uintptr_t)key,
                                    .value.integer = value > INT_MAX ? INT_MAX : (int)value};
}

static inline void rpc_args_pointer(struct rpc_args *a, const char *key, void *p, const grpc_arg_pointer_vtable *vtable)
{
    assert(a->count < RPC_ARGS_MAX);
    a->arg[a->count++] = (grpc_arg){
        .type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)key, .value.pointer = {.p = p, .vtable = vtable}};
}

static inline const grpc_channel_args *rpc_args_done(struct rpc_args *a)
{
    a->all = (grpc_channel_args){.num_args = a->count, .args = a->arg};
    return &a->all;
}

#endif
