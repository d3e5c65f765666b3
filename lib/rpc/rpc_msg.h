/* rpc_msg.h: one message's bytes, refcounted and shared between streams
 * Shape:   a short list of counted slices; to send the same message to many streams is to send the same struct
 * Owner:   any thread; the count is atomic. The bytes are immutable once the message was handed to anyone
 * Memory:  rpc_msg_wrap borrows the caller's block until its release runs, which may be on a gRPC thread
 * Errors:  NULL: no memory (gRPC core itself aborts when malloc fails)
 */
#ifndef RPC_RPC_MSG_H
#define RPC_RPC_MSG_H

#include <stddef.h>

#include "base/slice.h"

struct rpc_msg;

/* len writable bytes (rpc_msg_bytes), to be filled before it is sent. */
struct rpc_msg *rpc_msg_new(size_t len);
/* A copy of s. */
struct rpc_msg *rpc_msg_copy(struct slice s);
/* No copy: the block stays with us until release(user) runs, once, on whatever thread drops the last reference. */
struct rpc_msg *rpc_msg_wrap(struct slice s, void (*release)(void *user), void *user);
/* A message made of head's bytes followed by tail's, sharing both: an envelope round a payload without copying it.
 * The caller keeps its references to both. */
struct rpc_msg *rpc_msg_join(struct rpc_msg *head, struct rpc_msg *tail);
/* A message that shares part of m: s must lie inside rpc_msg_slice(m). m must have come in from a peer or been made
 * by new, copy or wrap (so that it is one run of bytes). */
struct rpc_msg *rpc_msg_part(struct rpc_msg *m, struct slice s);

struct rpc_msg *rpc_msg_ref(struct rpc_msg *m);
/* NULL is allowed. */
void rpc_msg_unref(struct rpc_msg *m);

/* Charges its bytes to b until its end. Once, before it is sent; b NULL: nothing. */
struct budget;
void rpc_msg_charge(struct rpc_msg *m, struct budget *b);

size_t rpc_msg_len(const struct rpc_msg *m);
/* The bytes as one run, valid while a reference is held. Received messages are always one run; joined ones are not,
 * and give {NULL, 0}. */
struct slice rpc_msg_slice(const struct rpc_msg *m);
/* For messages from rpc_msg_new alone, before they are sent. */
uint8_t *rpc_msg_bytes(struct rpc_msg *m);
/* The same: the message ends after len bytes. */
void rpc_msg_cut(struct rpc_msg *m, size_t len);
/* Copies the bytes, also of a joined message: out has room for rpc_msg_len(m). */
void rpc_msg_read(const struct rpc_msg *m, uint8_t *out);

#endif
