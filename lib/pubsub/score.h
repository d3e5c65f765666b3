/* score.h: how far a peer is trusted
 * Shape:   deeds and misdeeds in, one number out; they decay, and the bad ones are kept for a while after the peer leaves
 * Source:  gossipsub v1.1, Peer Scoring: P1-P4 per topic, P5 application, P6 shared addresses, P7 behaviour
 *          Deviations: a peer that leaves loses its credit but never its debts (go drops the whole record of a peer whose
 *          sum is positive); P7 decays slowly above a level that only floods reach
 * Owner:   the pub/sub core; keyed by peer id
 * Units:   ns; one decay per params.decay_ns
 * Limits:  max records; to make room one of a few absent peers goes, the least bad of them. SCORE_TOPICS_MAX topics per
 *          record, past it no more are tracked (refused)
 */
#ifndef PUBSUB_SCORE_H
#define PUBSUB_SCORE_H

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "libp2p/peer_id.h"
#include "pubsub/score_params.h"

#define SCORE_TOPICS_MAX 1024
#define SCORE_PARTS      7

/* A topic as scores know it; part of the core's topic. */
struct score_subject {
    uint64_t key;                            /* keyed hash of its name */
    const struct score_topic_params *params; /* NULL: not scored */
};

/* What one peer did in one topic. */
struct score_topic {
    uint64_t key;
    const struct score_topic_params *params;
    double first, mesh, failure, invalid;
    uint64_t graft_ns, mesh_ns; /* in the mesh since; for how long, as of the last tick */
    bool is_in_mesh, is_mesh_active;
};

struct score_ip; /* peers that share an address */

struct score {
    struct peer_id id;
    struct score_topic *topics;
    uint16_t ntopics, cap;
    double app, behaviour, invalid;
    struct score_ip *ip; /* NULL: no address, or one that does not count */
    double topics_sum;   /* of the topics, while is_summed */
    uint64_t gone_ns;    /* when the peer left; 0: connected */
    bool is_cut;         /* cut off: the lowest score while it is remembered */
    bool is_summed;
    struct list node;
};

struct scores {
    struct score_params params;
    struct map map, ips;
    struct list all;
    uint64_t decayed_ns, refused;
    uint32_t max;
};

void scores_init(struct scores *s, const struct score_params *params, uint32_t max, const uint8_t seed[16], uint64_t now);
void scores_fini(struct scores *s);
/* The peer's record, made when absent, valid until score_leave. addr: its IP address (4 or 16 bytes), or empty; loopback
 * and private addresses do not count in P6. NULL: no memory, or full of connected peers. */
struct score *score_enter(struct scores *s, const struct peer_id *id, struct slice addr);
/* Forgets a clean record at once. */
void score_leave(struct scores *s, struct score *sc, uint64_t now);

void score_graft(struct scores *s, struct score *sc, struct score_subject t, uint64_t now);
void score_prune(struct scores *s, struct score *sc, struct score_subject t);
/* It brought a message (or this share of one) first: P2, and P3 when it is in the mesh. */
void score_first(struct scores *s, struct score *sc, struct score_subject t, double share);
/* It brought a copy of one within the window: P3. */
void score_again(struct scores *s, struct score *sc, struct score_subject t);
/* P4. A subject without params: no topic of ours. */
void score_invalid(struct scores *s, struct score *sc, struct score_subject t);
void score_behaviour(struct score *sc, double severity); /* P7; INFINITY: cut off */

double score_value(const struct scores *s, struct score *sc);
/* The weighted parts P1..P7 (P3b with P3), before the cap on topics. */
void score_parts(const struct scores *s, const struct score *sc, double parts[SCORE_PARTS]);
/* Decays and forgets; call at heartbeats. */
void scores_tick(struct scores *s, uint64_t now);

#endif
