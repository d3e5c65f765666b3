/* score.h: how far a peer is trusted
 * Shape:   misdeeds in, one number out; it decays, and is kept for a while after the peer leaves
 * Source:  gossipsub v1.1, Peer Scoring: P7 (behaviour) and the peer-wide part of P4 (invalid messages). P1-P3 per topic,
 *          P5 and P6 take their places in struct score when they come
 * Owner:   the pub/sub core; keyed by peer id
 * Units:   ns; one decay per second
 * Limits:  max entries; to make room one of a few absent peers goes, the least bad of them
 */
#ifndef PUBSUB_SCORE_H
#define PUBSUB_SCORE_H

#include "base/list.h"
#include "base/map.h"
#include "libp2p/peer_id.h"

/* Thresholds as js-libp2p has them. */
#define SCORE_GOSSIP   (-10.0) /* below: no gossip to or from it */
#define SCORE_PUBLISH  (-50.0) /* below: it does not get our own messages */
#define SCORE_GRAYLIST (-80.0) /* below: its RPCs are ignored */

struct score_params {
    double behaviour_weight, behaviour_threshold, behaviour_decay;
    double invalid_weight, invalid_decay;
    uint64_t decay_ns, retain_ns;
};
/* Honest but differently configured peers break at most one promise a heartbeat, which must not graylist them: the
 * steady state of one a second stays below the threshold. */
extern const struct score_params score_defaults;

struct score {
    struct peer_id id;
    double behaviour, invalid;
    uint64_t gone_ns;  /* when the peer left; 0: connected */
    bool is_cut;       /* cut off: the lowest score while it is remembered */
    struct list node;
};

struct scores {
    struct score_params params;
    struct map map;
    struct list all;
    uint64_t decayed_ns;
    uint32_t max;
};

void scores_init(struct scores *s, const struct score_params *params, uint32_t max, const uint8_t seed[16], uint64_t now);
void scores_fini(struct scores *s);
/* The peer's record, made when absent, valid until score_leave. NULL: no memory, or full of connected peers. */
struct score *score_enter(struct scores *s, const struct peer_id *id);
/* Forgets a clean record at once. */
void score_leave(struct scores *s, struct score *sc, uint64_t now);
void score_behaviour(struct score *sc, double severity); /* INFINITY: cut off */
void score_invalid(struct score *sc);
double score_value(const struct scores *s, const struct score *sc);
/* Decays and forgets; call at heartbeats. */
void scores_tick(struct scores *s, uint64_t now);

#endif
