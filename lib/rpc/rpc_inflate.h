/* rpc_inflate.h: a compressed message opened within a bound (inside the room only)
 * Why:     gRPC core 1.51 opens a message before it looks at its size: half a megabyte of gzip became half a gigabyte
 * Errors:  -RPC_ETOOBIG: it would be larger than max_bytes; -RPC_EARG: it is not what it says; -RPC_ENOMEM
 * Limits:  time and memory grow with what comes out, never beyond max_bytes
 */
#ifndef RPC_RPC_INFLATE_H
#define RPC_RPC_INFLATE_H

#include <grpc/byte_buffer.h>

#include "rpc/rpc_msg.h"

/* bb is compressed (by gzip or deflate); it stays the caller's. */
int rpc_inflate(struct rpc_msg **out, grpc_byte_buffer *bb, size_t max_bytes);

#endif
