/* gw_kept.h: small messages as they were published, for a while: one run of bytes
 * Shape:   add at the end, take from the front; what is too old, or in the way of a new one, goes. Sans-IO
 * Why:     one for each publish confirmed. Kept as they are, thousands of publishes would lie spread over the heap, cold whenever one is
 *          freed; here they are copied one behind the other, and forgetting one is an addition
 * Owner:   the pool, under its lock
 * Memory:  `cap` bytes from the first add on
 */
#ifndef GATEWAY_GW_KEPT_H
#define GATEWAY_GW_KEPT_H

#include "gateway/gw_delivery.h"

#define GW_KEPT_PAYLOAD_MAX 4096 /* more is not small */

struct gw_kept {
    uint8_t *ring; /* NULL: none yet */
    size_t cap, first, len; /* of bytes in use; records may wrap */
};

struct gw_kept_head {
    uint64_t at_ns;
    uint8_t id[GW_ID_BYTES];
    uint32_t topic_len, payload_len;
};

struct gw_kept_item {
    struct gw_kept_head head;
    uint8_t bytes[GW_NAME_MAX + GW_KEPT_PAYLOAD_MAX]; /* topic, payload */
};

void gw_kept_init(struct gw_kept *k, size_t cap);
void gw_kept_fini(struct gw_kept *k);
/* False: too large for it, or no memory. */
bool gw_kept_add(struct gw_kept *k, struct slice topic, const uint8_t id[GW_ID_BYTES], struct slice payload, uint64_t now);
/* Forgets what was added before `until`. */
void gw_kept_expire(struct gw_kept *k, uint64_t until_ns);
/* The oldest; false: there is none. */
bool gw_kept_pop(struct gw_kept *k, struct gw_kept_item *out);

#endif
