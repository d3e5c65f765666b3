/* backoff.h: whom not to graft again too soon
 * Shape:   (topic, peer id) -> until when; kept by peer id, so a reconnect does not clear it
 * Source:  gossipsub v1.1, PRUNE Backoff: 60 s, 10 s on unsubscribe, or what the PRUNE says; two heartbeats of slack
 *          before we ourselves graft
 * Owner:   the pub/sub core
 * Units:   ns
 * Limits:  max entries; past it the one that ends first makes room (counted)
 */
#ifndef PUBSUB_BACKOFF_H
#define PUBSUB_BACKOFF_H

#include "base/map.h"
#include "base/timerq.h"
#include "libp2p/peer_id.h"

#define BACKOFF_PRUNE_S       60
#define BACKOFF_UNSUBSCRIBE_S 10
#define BACKOFF_MAX_S         3600 /* more than this is nobody's honest wish */

struct backoff {
    struct map map;
    struct timerq ends;
    uint64_t slack_ns, evicted;
    uint32_t max;
};

void backoff_init(struct backoff *b, uint32_t max, uint64_t slack_ns, const uint8_t seed[16]);
void backoff_fini(struct backoff *b);
/* Never shortens what is there. No memory: nothing is noted. */
void backoff_add(struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t for_ns, uint64_t now);
/* Until when a GRAFT from the peer is too early; 0 when it is welcome. */
uint64_t backoff_until(const struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t now);
/* May we graft it? Also waits out the slack, so that the peer's clock is surely past it. */
bool backoff_has(const struct backoff *b, struct slice topic, const struct peer_id *peer, uint64_t now);
void backoff_expire(struct backoff *b, uint64_t now);

#endif
