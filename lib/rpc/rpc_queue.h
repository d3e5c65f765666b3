/* rpc_queue.h: one stream's outgoing messages, bounded in number and bytes
 * Shape:   FIFO; droppable messages make room for owed ones, oldest first
 * Owner:   the call, under its lock
 * Limits:  max_messages and max_bytes, except that one message always fits an empty queue
 * Errors:  -RPC_EFULL: nothing was taken; -RPC_ENOMEM
 */
#ifndef RPC_RPC_QUEUE_H
#define RPC_RPC_QUEUE_H

#include "base/budget.h"
#include "base/list.h"
#include "rpc/rpc_call.h"

struct rpc_queue {
    struct list all; /* in sending order */
    struct list may; /* the droppable ones among them, in the same order */
    struct rpc_queue_limits limits;
    uint32_t count, may_count;
    uint64_t bytes, may_bytes;
    struct budget_watch watch;
};

struct rpc_queue_drops {
    uint32_t must, may;
    uint64_t must_bytes;
};

void rpc_queue_init(struct rpc_queue *q, const struct rpc_queue_limits *limits);
/* Drops all that waits; returns how much that was. */
struct rpc_queue_drops rpc_queue_clear(struct rpc_queue *q);
/* Takes a reference to m. *drops says what had to go for it. */
int rpc_queue_push(struct rpc_queue *q, struct rpc_msg *m, enum rpc_worth worth, struct rpc_queue_drops *drops);
/* Now and then: while the budget is spent and nothing has been popped since the last time, all but BUDGET_SQUEEZED_BYTES go: the newest where
 * the policy refuses those, else the oldest. */
struct rpc_queue_drops rpc_queue_squeeze(struct rpc_queue *q);
/* The next message with its reference; NULL when empty. */
struct rpc_msg *rpc_queue_pop(struct rpc_queue *q);
/* The same, left there. */
struct rpc_msg *rpc_queue_front(const struct rpc_queue *q);
/* How many from the front on are of at most item_max bytes and fit together into *room, each with head bytes more; at most max.
 * *room is what they leave. */
unsigned rpc_queue_run(const struct rpc_queue *q, unsigned max, size_t item_max, size_t head, size_t *room);

#endif
