/* limits.h: how much of each kind one peer may ask of us between two heartbeats
 * Shape:   take(limit, n) -> within or not; each thing past a limit is counted by kind, and a flood costs the peer its score
 * Source:  gossipsub v1.1, Spam Protection Measures; go's values where it has them
 * Owner:   the peer it belongs to
 * Limits:  this is what they are
 */
#ifndef PUBSUB_LIMITS_H
#define PUBSUB_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum pubsub_limit {
    LIMIT_IHAVE_RPCS,     /* RPCs that hold IHAVEs */
    LIMIT_IHAVE_IDS,      /* ids that we ask a peer for */
    LIMIT_IWANT_IDS,      /* ids looked up */
    LIMIT_IWANT_REPEATS,  /* asked again for what it was sent MCACHE_SERVE_MAX times */
    LIMIT_IDONTWANT_RPCS,
    LIMIT_IDONTWANT_IDS,
    LIMIT_GRAFTS,         /* GRAFTs and PRUNEs */
    LIMIT_SUBSCRIPTIONS,  /* changes of subscriptions */
    LIMIT_TOPICS,         /* topics that a peer may be in, at a time */
    LIMIT_OFFERS,         /* times that kept messages are looked through */
    LIMIT_PX_PEERS,       /* peers that it tells of */
    LIMIT_OVERSIZE,       /* messages above the size limit */
    LIMIT_VALIDATIONS,    /* its messages that wait for the application's verdict (at a time) */
    PUBSUB_LIMIT_COUNT
};

extern const char *const pubsub_limit_names[PUBSUB_LIMIT_COUNT];

struct limits {
    uint32_t used[PUBSUB_LIMIT_COUNT];
};

enum limit_verdict { LIMIT_WITHIN, LIMIT_PAST, LIMIT_FLOOD };

/* Takes n of the limit. PAST: more than there is. FLOOD: the one time per heartbeat that a peer goes far past it. */
enum limit_verdict limits_take(struct limits *l, enum pubsub_limit limit, uint32_t n);
/* Has that one time been in this heartbeat? */
bool limits_is_flood(const struct limits *l, enum pubsub_limit limit);
/* A heartbeat has passed. */
void limits_renew(struct limits *l);
uint32_t limit_max(enum pubsub_limit limit);

#endif
