/* mcache.h: recent messages: gossiped for a few heartbeats, served to IWANT, kept for peers that come late
 * Shape:   messages in order of arrival, found by key; a tick is a heartbeat
 * Source:  gossipsub v1.0, Message Cache (history 5 windows, gossip 3); keeping longer is ours (DESIGN: first message)
 * Owner:   the pub/sub core
 * Memory:  holds one reference of each message; mcache_pop gives it back to the caller
 * Units:   ns, bytes of buffers held
 * Errors:  init: -1 without memory
 * Limits:  max_bytes and max_count; the oldest go first. While the oldest one waits for peers to have room, so much more is kept
 *          as MCACHE_AWAITED_TIMES says
 */
#ifndef PUBSUB_MCACHE_H
#define PUBSUB_MCACHE_H

#include "pubsub/message.h"

#define MCACHE_HISTORY_TICKS 5
#define MCACHE_GOSSIP_TICKS  3
#define MCACHE_SERVE_MAX     3  /* answers to IWANT per message and peer (GossipRetransmission) */
#define MCACHE_AWAITED_TIMES 4
#define MCACHE_SERVED_PEERS  512

struct mcache {
    struct list by_age; /* oldest first */
    struct message **table;
    uint32_t mask, count, max_count, tick;
    uint64_t bytes, max_bytes, keep_ns;
    uint64_t evicted; /* left before their time */
};

int mcache_init(struct mcache *c, uint32_t max_count, uint64_t max_bytes, uint64_t keep_ns);
/* Drops all references. */
void mcache_fini(struct mcache *c);
/* Takes a reference. m must not be in it. */
void mcache_put(struct mcache *c, struct message *m, uint64_t now);
struct message *mcache_get(const struct mcache *c, struct msgkey key);
/* Call until NULL after put and at heartbeats: a message that has to leave, out of time or over the limits. */
struct message *mcache_pop(struct mcache *c, uint64_t now);
/* A heartbeat has passed. */
void mcache_shift(struct mcache *c);

/* Is it of the last windows, those that gossip tells of? */
static inline bool mcache_is_gossiped(const struct mcache *c, const struct message *m)
{
    return c->tick - m->tick < MCACHE_GOSSIP_TICKS;
}

/* Counts an answer to peer's IWANT; false when it had its share. */
bool mcache_serve(struct message *m, pubsub_peer peer);
/* Notes that the peer sent us a copy; false when it did before (or there is no room to note it). */
bool mcache_brought(struct message *m, pubsub_peer peer);

#endif
