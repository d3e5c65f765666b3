/* sendq.h: bytes waiting to be sent, as references to refcounted buffers
 * Shape:   pieces in; the front piece out, bite by bite
 * Owner:   one stream
 * Memory:  the ring grows by doubling; each piece holds one reference, given back to whoever consumes its last byte
 * Errors:  0, or -1 when there is no memory or too many pieces (the caller keeps its reference)
 * Limits:  SENDQ_PIECES_MAX pieces; bytes are the caller's to bound
 */
#ifndef LIBP2P_SENDQ_H
#define LIBP2P_SENDQ_H

#include "base/buf.h"

#define SENDQ_PIECES_MAX (1u << 16)
#define SENDQ_COPY_MAX   4096 /* bytes per p2p_sendq_copy */

struct p2p_sendq_piece {
    struct buf *buf;
    uint32_t off, len;
    bool is_ours; /* made by p2p_sendq_copy: later copies may be appended to it */
};

struct sendq {
    struct p2p_sendq_piece *ring;
    uint32_t head, count, cap; /* cap: a power of two, or 0 */
    uint64_t bytes;
};

/* Zeroed memory is a valid empty queue. */
/* Takes the caller's reference on 0. len 0 is allowed and drops it at once. */
int p2p_sendq_push(struct sendq *q, struct buf *b, uint32_t off, uint32_t len);
int p2p_sendq_copy(struct sendq *q, struct slice s);
/* The front bytes; len 0 when the queue is empty. Valid until the piece is consumed and its reference dropped. */
struct slice p2p_sendq_front(const struct sendq *q);
/* n bytes of the front piece, at most its length, have been taken. Returns the buffer whose reference is now the
 * caller's to drop, or NULL when the piece goes on. */
struct buf *p2p_sendq_consume(struct sendq *q, uint32_t n);
/* Moves all of src behind dst. On -1 both are unchanged. */
int p2p_sendq_splice(struct sendq *dst, struct sendq *src);
/* Drops everything. */
void p2p_sendq_fini(struct sendq *q);

#endif
