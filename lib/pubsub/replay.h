/* replay.h: the seqnos that each author has used up: signed messages replayed after the seen cache has forgotten them
 * Shape:   author, seqno, now -> old or not
 * Source:  go-libp2p-pubsub's BasicSeqnoValidator, eased: it wants each seqno above the largest one so far, and so drops what was
 *          overtaken on its way. Here the seen cache judges for as long as it remembers, and a seqno is old when it is not above
 *          the largest one that came at least three quarters of that time ago, and it is remembered for all of it
 * Owner:   the pub/sub core
 * Memory:  an entry for each author on the heap, at its first message
 * Units:   ns
 * Errors:  init, note: none; without memory an author is not guarded, and counted in unguarded
 * Limits:  max authors; the one that has been silent longest makes way (evicted) and is then as without the guard
 */
#ifndef PUBSUB_REPLAY_H
#define PUBSUB_REPLAY_H

#include "base/list.h"
#include "base/map.h"
#include "libp2p/peer_id.h"

#define REPLAY_TURNS 4 /* that the time of the seen cache is cut into */

struct replay {
    struct map by_author;
    struct list by_age; /* longest silent first */
    uint32_t max;
    uint64_t turn_ns, evicted, unguarded;
};

/* forget_ns: how long the seen cache remembers. seed: for the map. */
void replay_init(struct replay *r, uint32_t max, uint64_t forget_ns, const uint8_t seed[16]);
void replay_fini(struct replay *r);
/* Of a message whose signature is good and which the seen cache does not know. */
bool replay_is_old(const struct replay *r, const struct peer_id *author, uint64_t seqno, uint64_t now);
/* Such a message is taken. */
void replay_note(struct replay *r, const struct peer_id *author, uint64_t seqno, uint64_t now);

#endif
