/* gw_balance.h: which node the next publish goes to
 * Shape:   what was sent and how long answers took -> a price for sending more; the cheapest node is chosen. Sans-IO
 * Owner:   whoever holds the lock around it (the pool's)
 * Units:   ns monotonic; work in units of 16 KiB, at least one a message
 * Note:    fair shares by weight: a node that answers ten times slower gets a tenth, and never nothing, so that it is noticed
 *          when it is quick again. Work that waits for an answer counts at once, before any time was measured
 */
#ifndef GATEWAY_GW_BALANCE_H
#define GATEWAY_GW_BALANCE_H

#include <stdint.h>

/* All zero: a node that nothing is known of. */
struct gw_load {
    uint64_t answer_ns;   /* smoothed time of one unit of work */
    uint64_t outstanding; /* units sent and not answered */
    uint64_t due;         /* virtual time up to which its share is used up */
    double cpu;           /* of its machine, percent */
};

/* The virtual price of sending so many bytes there now, at virtual time `clock`: lower is better. */
uint64_t gw_load_price(const struct gw_load *l, uint64_t bytes, uint64_t clock);
/* It was sent; *clock moves on. */
void gw_load_sent(struct gw_load *l, uint64_t bytes, uint64_t *clock);
/* It is no longer with that node, answered or not. */
void gw_load_taken(struct gw_load *l, uint64_t bytes);
/* An answer (bytes 0: to a question) took so long. */
void gw_load_answered(struct gw_load *l, uint64_t bytes, uint64_t took_ns);

#endif
