/* pending.h: messages that wait for the application's verdict
 * Shape:   add(message, who brought it) -> token; who brought it too; take(token) -> the message and all of them
 * Source:  gossipsub v1.1, Extended Validators: accept, ignore, reject; a rejected message counts against all who brought it
 * Owner:   the pub/sub core
 * Memory:  holds one reference of each message until it is taken
 * Limits:  max in all (the caller bounds them per peer), and max_bytes of the buffers they hold (one message may always
 *          wait); PENDING_SOURCES names each; over the time limit they are given up
 */
#ifndef PUBSUB_PENDING_H
#define PUBSUB_PENDING_H

#include "base/map.h"
#include "pubsub/message.h"

#define PENDING_SOURCES 24

struct pending_message {
    struct list node; /* oldest first */
    struct message *message;
    struct topic *topic;
    struct msgkey key;
    uint64_t token, at_ns;
    struct peer_id upstream;               /* of the first who brought it */
    pubsub_peer sources[PENDING_SOURCES];  /* the first is first; 0: gone */
    uint8_t nsources;
};

struct pending {
    struct map by_key, by_token;
    struct list all;
    uint64_t last_token, bytes, max_bytes;
    uint32_t count, max;
};

/* max_bytes: no bound; the caller may set one. */
void pending_init(struct pending *p, uint32_t max, const uint8_t seed[16]);
void pending_fini(struct pending *p);
/* Takes a reference of m. NULL: full, or no memory. */
struct pending_message *pending_add(struct pending *p, struct message *m, struct msgkey key, pubsub_peer source,
                                    uint64_t now);
struct pending_message *pending_find(const struct pending *p, struct msgkey key);
/* Another peer brought it too. */
void pending_also(struct pending_message *pm, pubsub_peer source);
/* Out of the lists; the caller releases it by pending_release. NULL: unknown token. */
struct pending_message *pending_take(struct pending *p, uint64_t token);
/* The oldest, when it has waited for longer than for_ns: taken out like above. */
struct pending_message *pending_late(struct pending *p, uint64_t for_ns, uint64_t now);
void pending_release(struct pending_message *pm);
/* A peer left: its handle may come to name another. */
void pending_forget(struct pending *p, pubsub_peer source);

#endif
