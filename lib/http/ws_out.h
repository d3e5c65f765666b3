/* ws_out.h: what waits to be written to one WebSocket client
 * Shape:   messages in, batches out; replies go before deliveries; sans-IO
 * Owner:   whoever holds the connection's lock
 * Memory:  holds one reference of each message; a popped message's reference is the caller's
 * Units:   bytes on the wire plus WS_OUT_ITEM_COST for each message, so that a million empty messages are bounded too
 * Limits:  deliveries: max_bytes (or one message when empty) by policy. Replies are bounded by whoever stops reading
 */
#ifndef HTTP_WS_OUT_H
#define HTTP_WS_OUT_H

#include "base/budget.h"
#include "http/ws_conn.h"

#define WS_OUT_ITEM_COST 64

struct ws_fifo {
    struct ws_msg **ring;
    size_t head, count, cap; /* cap: 0 or a power of two */
    size_t bytes;
};

struct ws_out {
    struct ws_fifo replies, deliveries;
    size_t max_bytes;
    enum ws_policy policy;
    struct budget *budget; /* NULL: none; deliveries are charged by whoever made them, their places here */
    struct budget_watch watch;
    uint64_t dropped_msgs, dropped_bytes;
};

void ws_out_init(struct ws_out *o, size_t max_bytes, enum ws_policy policy);
void ws_out_fini(struct ws_out *o);

enum ws_push { WS_PUSHED, WS_PUSH_DROPPED, WS_PUSH_DISCONNECT, WS_PUSH_NOMEM };

/* m is borrowed. PUSHED: queued, older deliveries may have been dropped for it. DROPPED: this one was, and counted.
 * DISCONNECT: the policy says so; counted, nothing queued. */
enum ws_push ws_out_push(struct ws_out *o, enum ws_kind kind, struct ws_msg *m);
/* Up to n messages, stopping once bytes_max is reached (at least one). */
unsigned ws_out_pop(struct ws_out *o, struct ws_msg **out, unsigned n, size_t bytes_max);
/* Now and then: while the budget is spent and nobody has taken a delivery since the last time, all but BUDGET_SQUEEZED_BYTES go, counted:
 * the newest where the policy drops those, else the oldest. How many. */
unsigned ws_out_squeeze(struct ws_out *o);
/* Drops queued deliveries, counted. */
void ws_out_drop_deliveries(struct ws_out *o);
bool ws_out_is_empty(const struct ws_out *o);

#endif
