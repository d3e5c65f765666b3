/* rpc_slice.h: between our messages and gRPC core's byte buffers (inside the room only)
 * Owner:   any thread
 */
#ifndef RPC_RPC_SLICE_H
#define RPC_RPC_SLICE_H

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "base/slice.h"
#include "rpc/rpc_msg.h"

/* A buffer that shares m's bytes; the caller destroys the shell after the batch has started. */
grpc_byte_buffer *rpc_msg_to_buffer(const struct rpc_msg *m);
/* Takes bb whole, also on failure: one run of bytes, copied only when core received it in pieces, or when it is so small
 * that sharing would pin a far larger read buffer. Opened if it is compressed.
 * -RPC_ETOOBIG: larger than max_bytes; -RPC_EARG: it does not decode; -RPC_ENOMEM. */
int rpc_msg_from_buffer(struct rpc_msg **out, grpc_byte_buffer *bb, size_t max_bytes);

static inline struct slice rpc_slice_view(const grpc_slice *s)
{
    return s->refcount ? slice_of(s->data.refcounted.bytes, s->data.refcounted.length)
                       : slice_of(s->data.inlined.bytes, s->data.inlined.length);
}

#endif
