#include "pubsub/score_params.h"

#define SECOND_NS 1000000000ull

/* Time in the mesh alone (at most 0.5) does not reach the threshold of opportunistic grafting, so a mesh of silent peers
 * is opened; about 20 first messages in a minute and a half let a peer exchange peers. */
const struct score_params score_defaults = {
    .topic = {
        .weight = 1,
        .time_weight = 0.005,
        .time_cap = 100,
        .time_quantum_ns = SECOND_NS,
        .first_weight = 0.5,
        .first_decay = 0.99,
        .first_cap = 40,
        .mesh_weight = 0,
        .mesh_decay = 0.9,
        .mesh_cap = 100,
        .mesh_threshold = 20,
        .mesh_window_ns = SECOND_NS / 5,
        .mesh_activation_ns = 10 * SECOND_NS,
        .failure_weight = 0,
        .failure_decay = 0.98,
        .invalid_weight = -2,
        .invalid_decay = 0.98,
    },
    .topic_cap = 40,
    .app_weight = 1,
    .ip_weight = -5,
    .ip_threshold = 10,
    .behaviour_weight = -10,
    .behaviour_threshold = 6,
    .behaviour_decay = 0.8,
    .behaviour_flood = 12,
    .behaviour_flood_decay = 0.99,
    .invalid_weight = -2,
    .invalid_decay = 0.98,
    .near_zero = 0.01,
    .decay_ns = SECOND_NS,
    .retain_ns = 600 * SECOND_NS,
};

const struct score_params score_off = {.ip_threshold = UINT32_MAX, .decay_ns = SECOND_NS, .near_zero = 1};

/* js-libp2p's, but for the last: theirs are 10 and 20. */
const struct score_thresholds score_threshold_defaults = {
    .gossip = -10,
    .publish = -50,
    .graylist = -80,
    .accept_px = 10,
    .opportunistic_graft = 1,
};
