/* sim.h: networks of thousands of nodes on a virtual clock, running the node's own protocol cores
 * Shape:   a scenario (struct sim_config) -> latencies, bytes and counters (struct sim_result); one seed decides everything
 * Source:  the cores are lib/pubsub's, not copies; the network below them is a model: link.c says what of
 * Owner:   one thread
 * Memory:  allocated as the scenario needs; a core that runs out of memory is not simulated: the program ends
 * Units:   ns of virtual time; bytes; bits per second only in the configuration
 * Errors:  sim_new: NULL and a text
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "pubsub/pubsub.h"

#define SIM_MS 1000000ull
#define SIM_S  1000000000ull

enum sim_mode { SIM_CODED, SIM_GOSSIPSUB, SIM_REFERENCE /* reference.h */ };
enum sim_delay { SIM_DELAY_FIXED, SIM_DELAY_RANDOM, SIM_DELAY_WORLD, SIM_DELAY_MATRIX };
enum sim_loss { SIM_LOSE_SHARDS, SIM_LOSE_ALL };

struct sim_config {
    uint32_t seed;
    uint32_t nodes, dials;     /* dials: connections that each node opens; 0: everyone to everyone */
    uint32_t messages, bytes;  /* of each payload */
    double interval_s;         /* between publishes */
    uint32_t publishers;       /* messages come from so many nodes in turn; 0: from random ones */
    double warmup_s, drain_s;  /* before the first publish; at most so long after the last */
    int mode;                  /* enum sim_mode */
    int version;               /* gossipsub: 0 v1.1, 1 v1.2 */
    uint32_t d, d_lo, d_hi, d_out; /* 0: go's way to choose them */
    bool is_flood;
    uint32_t k;
    double mult, threshold;
    uint32_t small_bytes;
    int delay;                 /* enum sim_delay */
    double delay_ms, delay_max_ms, jitter_ms;
    const char *matrix;        /* the text of a matrix of one-way ms, rows by line: nodes take its places in turn */
    double up_mbit, down_mbit; /* of each node; 0: no limit */
    double loss_percent;
    int loss;                  /* enum sim_loss: which RPCs can be lost */
    double churn_percent;      /* of the nodes, per minute: leave at random times, and return */
    double churn_away_s;
    double leave_after_ms;     /* publishers vanish so long after each publish; 0: they stay */
    double forgers_percent, silent_percent, withholders_percent;
    int is_carried;            /* 0: payloads are elided; 1: there in every byte */
    uint32_t reference_copies; /* reference.h */
};

/* What became of one message. */
struct sim_message {
    uint32_t publisher;
    uint64_t at_ns;
    uint32_t wanted, delivered; /* by honest nodes that were there all the time, its publisher excepted */
    uint32_t refused;           /* the publisher's core did not take it */
};

#define SIM_NOT_DELIVERED UINT32_MAX
#define SIM_NOT_COUNTED   (UINT32_MAX - 1) /* delivered, to a node that was not there when it was published */

struct sim_node_result {
    uint64_t out_bytes, in_bytes, out_frames, in_frames; /* from the first publish on */
    uint32_t mesh, links;
    bool is_honest;
    double worst_score;
};

struct sim_result {
    const struct sim_config *cfg;
    const struct sim_message *messages;
    const uint32_t *latency_us; /* messages x nodes; SIM_NOT_DELIVERED */
    const struct sim_node_result *nodes;
    struct pubsub_counters sum; /* of the honest nodes */
    uint64_t wrong;             /* payloads delivered that nobody published, or twice */
    uint64_t liars, liars_cut;  /* adversaries; of those, cut off by some honest node */
    uint64_t lie_links, lie_links_cut; /* connections on which a wrong payload went to an honest node; those cut for it (what comes
                                        * after a message is decoded is thrown away unseen, and nobody is cut for it) */
    uint64_t cut_after_messages; /* messages published when the last of those was cut off for the first time */
    uint64_t honest_cut;        /* times that an honest node cut off an honest one */
    uint64_t events, lost_frames;
    uint64_t end_ns, first_ns;
};

struct sim;

/* cfg is borrowed. */
struct sim *sim_new(const struct sim_config *cfg, const char **why);
void sim_free(struct sim *s);

/* Runs up to `events` events; false when the scenario is over. */
bool sim_run(struct sim *s, uint64_t events);

struct sim_progress {
    uint64_t now_ns, events;
    uint32_t published;
    uint64_t delivered, wanted;
};
struct sim_progress sim_progress(const struct sim *s);

/* Valid until sim_free. */
struct sim_result sim_result(const struct sim *s);

#endif
