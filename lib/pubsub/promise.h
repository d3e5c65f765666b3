/* promise.h: who said IHAVE, was asked, and has not sent
 * Shape:   asked(peer, key) -> kept(key) or, after 3 s, broken(peer)
 * Source:  gossipsub v1.1, Spam Protection: one random id per IWANT is tracked, a broken one counts in P7
 * Owner:   the pub/sub core
 * Units:   ns; every promise has the same time, so they end in the order they were made
 * Limits:  PROMISES_MAX; past it no new ones are tracked
 */
#ifndef PUBSUB_PROMISE_H
#define PUBSUB_PROMISE_H

#include "pubsub/pubsub.h"
#include "pubsub/seen.h"

#define PROMISES_MAX       8192
#define PROMISE_FOLLOWUP_NS 3000000000ull

struct promise {
    struct msgkey key;
    uint64_t until_ns;
    pubsub_peer peer; /* 0: kept */
    uint32_t next;    /* of the same bucket, place + 1 */
};

struct promises {
    struct promise *ring;
    uint32_t *buckets;
    uint32_t head, count;
};

int promises_init(struct promises *p);
void promises_fini(struct promises *p);
void promises_add(struct promises *p, pubsub_peer peer, struct msgkey key, uint64_t now);
/* The message came, from whomever: all who promised it are free, they could not keep it any more. */
void promises_kept(struct promises *p, struct msgkey key);
/* A peer that left owes nothing. */
void promises_forget(struct promises *p, pubsub_peer peer);
/* The next peer that broke one; 0 when there is none (yet). */
pubsub_peer promises_broken(struct promises *p, uint64_t now);

#endif
