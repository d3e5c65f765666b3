/* score_params.h: what a peer's score is made of: weights, caps, decays and thresholds
 * Shape:   plain numbers; P1..P7 are the parameters of the specification
 * Source:  gossipsub v1.1, Peer Scoring. A counter is multiplied by its decay once per decay_ns; a weight of 0 switches
 *          its part off
 * Owner:   immutable once a core has copied them
 * Units:   ns; decays per decay_ns
 */
#ifndef PUBSUB_SCORE_PARAMS_H
#define PUBSUB_SCORE_PARAMS_H

#include <stdint.h>

/* Of one topic. Its part of the score is weight * (P1 + P2 + P3 + P3b + P4). */
struct score_topic_params {
    double weight;
    double time_weight, time_cap; /* P1: time in the mesh, in quanta */
    uint64_t time_quantum_ns;
    double first_weight, first_decay, first_cap; /* P2: messages that the peer was the first to bring */
    /* P3: messages brought while in the mesh, first or within the window after the first; the square of what is missing
     * to the threshold counts, from the activation time in the mesh on. IDONTWANT keeps copies of large messages away,
     * and the coded router sends none: P3 is for topics of small plain messages with a known rate. */
    double mesh_weight, mesh_decay, mesh_cap, mesh_threshold;
    uint64_t mesh_window_ns, mesh_activation_ns;
    double failure_weight, failure_decay; /* P3b: deficits of P3 at the time it was pruned or left */
    double invalid_weight, invalid_decay; /* P4: the square of invalid messages */
};

struct score_params {
    struct score_topic_params topic; /* of every topic that has none of its own */
    double topic_cap;                /* what all topics together can add; 0: no cap */
    double app_weight;               /* P5: what the application says of a peer */
    double ip_weight;                /* P6: the square of peers on one address (IPv6: one /64) past the threshold */
    uint32_t ip_threshold;
    double behaviour_weight, behaviour_threshold, behaviour_decay; /* P7 */
    /* Above this many misdeeds, which no mistake reaches, P7 decays by this instead: a flood is not forgiven in seconds.
     * 0: no such level (the specification has none). */
    double behaviour_flood, behaviour_flood_decay;
    double invalid_weight, invalid_decay; /* P4 of what belongs to no topic of ours: malformed RPCs */
    double near_zero;                     /* below this a counter is 0 */
    uint64_t decay_ns, retain_ns;         /* retain: how long a bad score outlives its connection */
};

struct score_thresholds {
    double gossip;   /* below: no gossip to or from it */
    double publish;  /* below: it does not get our own messages */
    double graylist; /* below: its RPCs are ignored, but for subscriptions */
    double accept_px; /* at least this: peers that it tells of are believed */
    double opportunistic_graft; /* a mesh whose median is below this takes in two better peers, once a minute */
};

/* Safe for any traffic: P3 is off. Honest but differently configured peers break at most one promise a heartbeat, which
 * must not graylist them: the steady state of one a second stays below P7's threshold. */
extern const struct score_params score_defaults;
/* All weights 0: for comparison. */
extern const struct score_params score_off;
extern const struct score_thresholds score_threshold_defaults;

#endif
