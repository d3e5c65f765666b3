/* want.h: ids asked for by IWANT and not here yet
 * Shape:   offered(id, peer) -> ask this peer now, or remember it as another source; at heartbeats the next sources are
 *          asked for what did not come: two, then four, then eight. So a message offered by six peers travels once, and
 *          liars delay it by a few heartbeats at most. A peer in doubt is only asked when nobody else offers
 * Source:  ours; gossipsub leaves open whom to ask (go asks everyone)
 * Owner:   the pub/sub core
 * Limits:  WANTS_MAX ids, WANT_SOURCES peers each; past it an id is asked for at once and not remembered
 */
#ifndef PUBSUB_WANT_H
#define PUBSUB_WANT_H

#include "base/list.h"
#include "pubsub/pubsub.h"
#include "pubsub/pubsub_wire.h"
#include "pubsub/seen.h"

#define WANTS_MAX        16384
#define WANT_SOURCES     16
#define WANT_RETRY_TICKS 2
#define WANT_ROUNDS      3 /* times that all sources are asked: their queue to us may have been full */

struct want {
    struct msgkey key;
    struct list node; /* by the time it was asked, oldest first */
    struct want *next_hash;
    uint32_t tick;
    uint8_t id_len, nsources, asked;
    uint8_t rounds;     /* that failed */
    uint8_t ngood;      /* of the sources, those not in doubt come first */
    uint8_t wave, left; /* how often it was asked anew; sources to ask still in this wave */
    uint8_t wave_at;    /* the first source of this wave */
    uint8_t failed_at, nfailed; /* sources of the wave before, which is over: set with the first of a wave alone */
    uint8_t id[MESSAGE_ID_MAX];
    pubsub_peer sources[WANT_SOURCES];
};

struct wants {
    struct list all;
    struct want **table;
    uint32_t mask, count;
};

int wants_init(struct wants *w);
void wants_fini(struct wants *w);
/* True: ask this peer now. is_doubtful: it did not keep its word lately. */
bool want_offered(struct wants *w, struct msgkey key, struct slice id, pubsub_peer peer, bool is_doubtful, uint32_t tick);
/* It came. */
void want_met(struct wants *w, struct msgkey key);
/* Call until NULL at each heartbeat: something to ask *peer for now (valid until the next call). */
const struct want *want_retry(struct wants *w, uint32_t tick, pubsub_peer *peer);

#endif
