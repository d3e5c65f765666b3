/* outq.h: what one peer is to be sent, packed into RPCs
 * Shape:   subscriptions, control entries, units of pieces -> RPCs of at most PUBSUB_MAX_PIECES pieces
 *          Subscriptions first, then control, then units in order, small things together in one RPC, each large one in
 *          its own; small pieces are copied together, large ones go by reference. A unit (one message, or one coded send) is never split
 * Owner:   the peer it belongs to
 * Memory:  a pushed unit takes its own references; what outq_next gives out belongs to the receiver
 * Units:   bytes
 * Errors:  -1: no memory; nothing was queued
 * Limits:  the caller looks at outq_bytes before it pushes; subscriptions and control of one RPC stay within OUTQ_RPC_BYTES
 */
#ifndef PUBSUB_OUTQ_H
#define PUBSUB_OUTQ_H

#include "base/list.h"
#include "base/wr.h"
#include "pubsub/pubsub.h"

#define OUTQ_UNIT_PIECES 3
/* rust-libp2p resets the stream on an RPC with more than 16384 bytes of subscriptions and control entries (and, as any RPC,
 * above 64 KiB; go-libp2p above 1 MiB): what we may split stays below. */
#define OUTQ_RPC_BYTES  16000u
/* A frame is acted on when it is whole: what could be acted on at once (an IDONTWANT, a small message) does not share an
 * RPC with something large. */
#define OUTQ_JOIN_BYTES (8u << 10)
#define OUTQ_COPY_BYTES 2048 /* pieces up to this are copied next to their neighbours */

struct outq_bytes {
    uint8_t *p;
    uint32_t len, cap;
};

struct outq_unit {
    struct pubsub_piece pieces[OUTQ_UNIT_PIECES]; /* buf NULL: bytes of the arena */
    uint32_t npieces, len;
};

struct outq {
    struct list node; /* the core's list of peers with output */
    struct outq_bytes subs, control, arena;
    uint32_t control_at; /* control entries before it are sent already */
    struct outq_unit *units;
    uint32_t head, count, cap;
    uint64_t unit_bytes;
    uint32_t lead;       /* bytes at the head of subs that go first, in an RPC of their own */
    bool is_iwant_apart; /* an RPC holds at most one IWANT entry: js answers all of an RPC's IWANTs in one RPC */
};

void outq_init(struct outq *q);
void outq_fini(struct outq *q);

/* Room for n bytes at the end of the subscriptions or of the control message, as a cursor; outq_commit keeps what was
 * written. bad is set when there is no memory. */
struct wr outq_subs(struct outq *q, size_t n);
void outq_subs_commit(struct outq *q, const struct wr *w);
/* All that is in subs so far is the first thing that the peer hears. */
static inline void outq_subs_lead(struct outq *q)
{
    q->lead = q->subs.len;
}
struct wr outq_control(struct outq *q, size_t n);
void outq_control_commit(struct outq *q, const struct wr *w);

/* One or more whole RPC fields as pieces; a reference of each buffer is taken. */
int outq_push(struct outq *q, const struct pubsub_piece *pieces, unsigned n);
/* Whole RPC fields given as bytes (copied), followed by an optional piece (a reference is taken). */
int outq_push_bytes(struct outq *q, struct slice head, struct buf *body, uint32_t off, uint32_t len);

static inline bool outq_is_empty(const struct outq *q)
{
    return !q->count && !q->subs.len && q->control_at == q->control.len;
}

static inline uint64_t outq_pending_bytes(const struct outq *q)
{
    return q->unit_bytes + q->subs.len + q->control.len - q->control_at;
}

/* The next RPC: fills pieces, returns their count and the RPC's bytes; 0 when nothing waits or (q is not empty) there
 * is no memory. */
unsigned outq_next(struct outq *q, struct buf *(*alloc)(void *ctx, uint32_t cap), void *ctx,
                   struct pubsub_piece out[PUBSUB_MAX_PIECES], uint64_t *bytes);

#endif
