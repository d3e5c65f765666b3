/* attack.h: honest cores and hostile peers in one simulated network
 * Shape:   an attack, a way of scoring, sizes, a seed -> what was delivered, how late, and who sits in the meshes
 * Source:  the attacks of the gossipsub v1.1 evaluation (arXiv 2007.02754), and the floods that docs/INTEROP.md names
 * Owner:   one test or bench
 * Note:    hostile peers come from an address each, so nothing here rests on P6
 */
#ifndef TESTS_PUBSUB_ATTACK_H
#define TESTS_PUBSUB_ATTACK_H

#include <stdbool.h>
#include <stdint.h>

enum attack_kind {
    ATTACK_NONE,
    ATTACK_DROP,      /* sybils graft, regraft when they may, and pass nothing on */
    ATTACK_SPAM,      /* forged messages from inside the mesh */
    ATTACK_GOSSIP,    /* IHAVE of what does not exist, IWANT of everything again and again */
    ATTACK_GRAFTS,    /* GRAFTs without end */
    ATTACK_BACKOFF,   /* GRAFT as the answer to every PRUNE */
    ATTACK_ECLIPSE,   /* all sybils around one node, there before its honest peers */
    ATTACK_COLD_BOOT, /* every honest node's first peers are sybils, dialed and dialing */
    ATTACK_FLASH,     /* sybils serve well for a while, then all drop everything at once */
    ATTACK_COUNT
};
extern const char *const attack_names[ATTACK_COUNT];

/* Scores off; as the node has them; and with P3 for the topic, whose rate is known. */
enum attack_scoring { ATTACK_UNSCORED, ATTACK_SCORED, ATTACK_SCORED_P3, ATTACK_SCORINGS };
extern const char *const attack_scorings[ATTACK_SCORINGS];

struct attack_size {
    unsigned honest, sybils; /* together at most 250 */
    unsigned degree;         /* dials of each honest node to others */
    unsigned sybil_links;    /* honest peers of each sybil */
    unsigned takeover_s;     /* from the attack's start to the first message */
    unsigned messages;       /* measured; five a second, as all the time before */
};

struct attack_result {
    unsigned wanted, delivered;  /* deliveries */
    double p50_ms, p99_ms, max_ms;
    double mesh_share;           /* of the mesh places of honest nodes that sybils hold, in the measured time */
    double shut_out;             /* share of the sybils' links that are graylisted, in the measured time */
    unsigned blamed;             /* honest peers with a negative score at an honest node */
    uint64_t signature_checks_failed;
};

struct attack_result attack_run(enum attack_kind kind, enum attack_scoring scoring, const struct attack_size *size,
                                uint64_t seed);

#endif
