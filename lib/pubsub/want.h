/* want.h: ids asked for by IWANT and not here yet
 * Shape:   offered(id, peer) -> ask this peer now, or remember it as another source; at heartbeats the next source is
 *          asked for what did not come. So a message offered by six peers travels once
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
#define WANT_SOURCES     4
#define WANT_RETRY_TICKS 2

struct want {
    struct msgkey key;
    struct list node; /* by the time it was asked, oldest first */
    struct want *next_hash;
    uint32_t tick;
    uint8_t id_len, nsources, asked;
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
/* True: ask this peer now. */
bool want_offered(struct wants *w, struct msgkey key, struct slice id, pubsub_peer peer, uint32_t tick);
/* It came. */
void want_met(struct wants *w, struct msgkey key);
/* Call until NULL at each heartbeat: something to ask *peer for now (valid until the next call). */
const struct want *want_retry(struct wants *w, uint32_t tick, pubsub_peer *peer);

#endif
