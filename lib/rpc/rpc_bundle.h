/* rpc_bundle.h: several small messages of a stream as one gRPC message (inside the room only)
 * Shape:   the front of a queue -> one message; bytes -> the messages in it, one after the other
 * Source:  ours: field 15, repeated bytes, each a whole message of the stream (proto/sidecar.proto). Agreed on by the metadata
 *          RPC_BUNDLE_KEY, which the client sends with the call and the server gives back; without it nobody sends bundles
 * Why:     a gRPC message costs both ends several microseconds whatever it holds
 * Owner:   the call, under its lock; reading: its loop thread
 * Errors:  next: 1 a message, 0 the end, -1 not a bundle
 * Limits:  a bundle never nests: what is in it goes to the receiver as it is
 */
#ifndef RPC_RPC_BUNDLE_H
#define RPC_RPC_BUNDLE_H

#include "rpc/rpc_queue.h"

#define RPC_BUNDLE_KEY   "codecast-bundles"
#define RPC_BUNDLE_FIELD 15
#define RPC_BUNDLE_ITEM  8192u        /* bytes of a message that is worth it */
#define RPC_BUNDLE_BYTES (64u << 10)
#define RPC_BUNDLE_COUNT 256u

/* first and what follows it in q, as far as it fits. Takes first. *count: messages in it; *bytes: theirs. Returns first itself when
 * it goes alone. */
struct rpc_msg *rpc_bundle_make(struct rpc_queue *q, struct rpc_msg *first, unsigned *count, size_t *bytes);
bool rpc_bundle_is(struct slice s);
/* *at: 0 at first. */
int rpc_bundle_next(struct slice s, size_t *at, struct slice *item);

#endif
