/* recvq.h: received bytes, in order and out of order
 * Shape:   (sequence number, bytes) in any order -> slices in order; the ranges beyond a hole for SACK
 * Source:  RFC 9293 3.10.7.4, RFC 2018, RFC 2883
 * Owner:   the connection; memory from the stack's rxpool
 * Memory:  copies go into shared blocks; with a lent buffer, large pieces are kept by reference instead: few of a buffer, for each is
 *          charged with all of it. Copies of large pieces in order wait for rxpool_settle where the frame lasts until then
 *          (rxpool.may_be_late); all copies do where its payload is not there yet (rxpool.is_unread)
 * Errors:  what cannot be kept is refused and said so; nothing acknowledged or SACKed is ever dropped
 * Limits:  RECVQ_MAX_RANGES holes and RECVQ_MAX_PIECES pieces beyond a hole; finding a place is logarithmic. SACKs: no more of
 *          them than segments came
 */
#ifndef TCP_RECVQ_H
#define TCP_RECVQ_H

#include "base/buf.h"
#include "tcp/rxpool.h"
#include "tcp/seq.h"
#include "tcp/seqset.h"

#define RECVQ_MAX_RANGES 4096
#define RECVQ_MAX_PIECES 32768
#define RECVQ_RECENT     64 /* more than change in one turn of the loop: those beyond go untold, and come again */

struct rx_piece {
    struct rx_piece *next;
    struct buf *buf; /* one reference */
    const uint8_t *p;
    uint32_t len;
    uint32_t charge_bytes; /* itself, and a lent buffer with it; a block is charged by itself */
    struct list late;      /* in the pool's, while p is not yet in buf */
    uint8_t *place;        /* in buf: where p is to be copied */
};

struct rx_chain {
    struct rx_piece *first, *last;
};

struct rx_range {
    uint32_t lo, hi;
    struct rx_chain chain;
};

struct recvq {
    struct rxpool *pool;
    uint32_t nxt; /* next byte expected in order */
    uint32_t unread_bytes;
    struct rx_chain ready;
    struct buf *ready_block, *ooo_block; /* where copies go on; NULL: none yet */
    struct rx_range *range;              /* out of order, sorted, never touching */
    uint32_t range_count, range_cap;
    uint32_t ooo_pieces;
    uint32_t recent[RECVQ_RECENT]; /* a number in each of the ranges that changed last, latest first */
    uint32_t recent_count;
    uint32_t untold; /* of these, from the first on: changed since an ACK had them as its first block */
    struct seq_range dsack; /* the last duplicate not yet reported; lo == hi: none */
};

enum recvq_result {
    RECVQ_IN_ORDER = 1, /* nxt moved */
    RECVQ_OUT_OF_ORDER, /* kept beyond a hole, or nothing new */
    RECVQ_NO_MEMORY,    /* refused: pool or heap */
    RECVQ_NO_ROOM,      /* refused: too many holes or pieces */
};

void recvq_init(struct recvq *q, struct rxpool *pool, uint32_t nxt);
void recvq_fini(struct recvq *q);
/* data begins at seq and lies within the window (the caller trimmed it); lent: the buffer data points into, or NULL.
 * *dup_bytes: bytes we had already. */
enum recvq_result recvq_insert(struct recvq *q, uint32_t seq, struct slice data, struct buf *lent,
                               uint32_t *dup_bytes);
unsigned recvq_peek(const struct recvq *q, struct slice *out, unsigned n);
void recvq_consume(struct recvq *q, uint32_t n);
/* [lo, hi) came again, though wholly below the window: the next ACK says so. */
void recvq_note_old(struct recvq *q, uint32_t lo, uint32_t hi);
/* The peer's FIN took a sequence number. */
void recvq_skip_fin(struct recvq *q);
/* The blocks of the next ACK, a pending DSACK first (and then forgotten). Of the untold ranges the one that changed first leads, and
 * is told: an ACK for each of them says what one for each segment would have said. Returns how many, at most n. */
unsigned recvq_sacks(struct recvq *q, struct seq_range *out, unsigned n);

static inline bool recvq_has_holes(const struct recvq *q)
{
    return q->range_count > 0;
}

#endif
