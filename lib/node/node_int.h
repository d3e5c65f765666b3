/* node_int.h: what the files of a node share (inside lib/node only)
 * Owner:   the main thread; roles belong to their workers while those run
 * Files:   node.c start and stop, node_path.c the data path: rings, roles, workers
 */
#ifndef NODE_NODE_INT_H
#define NODE_NODE_INT_H

#include "libp2p/noise.h"
#include "node/eal.h"
#include "node/node.h"
#include "node/worker.h"

struct node {
    const struct node_config *cfg;
    const struct key_pair *key;
    struct eal_plan plan;
    struct rng rng, net_rngs[NET_ROLES_MAX], coding_rng;
    struct noise_identity noise;
    struct session_local local, net_locals[NET_ROLES_MAX]; /* what identify says; each net role changes its own later */
    char kad_protocol[64];
    const char *protocols[NET_MAX_PROTOCOLS + 1]; /* what identify lists: pub/sub, then the DHT */
    unsigned npubsub;
    struct multiaddr addrs[NODE_MAX_ANNOUNCE + 1];
    uint8_t record[SELF_RECORD_MAX];
    uint64_t record_seq;
    struct xring net_to_coding[NET_ROLES_MAX], coding_to_net[NET_ROLES_MAX], coding_to_hub, hub_to_coding;
    struct xdoor hub_door;
    struct worker workers[LAYOUT_LCORES_MAX];
    unsigned nworkers;
    struct net_role nets[NET_ROLES_MAX];
    unsigned nnets; /* of them, those that are open */
    struct coding_role coding;
    struct xring coding_to_helper[LAYOUT_CODING_MAX], helper_to_coding[LAYOUT_CODING_MAX];
    struct helper_role helpers[LAYOUT_CODING_MAX]; /* the coding lcores but the router's */
    unsigned nhelpers;                             /* of them, those that are made */
    struct score_params score;
    struct score_thresholds thresholds;
    struct capture *capture; /* NULL: none */
    struct hub *hub;
    struct resolver *resolver; /* NULL: no names to resolve */
    struct sidecar *sidecar;
    struct api *api;
    struct node_guest guest;
    bool has_guest;
    bool has_coding, is_running, is_up;
};

_Static_assert(NET_ROLES_MAX == LAYOUT_NET_MAX, "as many as a layout may ask for");

/* node_path.c. 0, or -1 with err; node_stop undoes. */
void node_say_of_us(struct node *n);
int node_make_rings(struct node *n, char err[512]);
int node_start_nets(struct node *n, uint64_t now, char err[512]);
int node_start_helpers(struct node *n, char err[512]);
int node_start_coding(struct node *n, uint64_t now, char err[512]);
int node_launch(struct node *n, bool is_spin, char err[512]);
void node_stop_workers(struct node *n);
/* All other threads have ended: buffers go home, roles and rings end. */
void node_settle(struct node *n);
void node_free_path(struct node *n);

#endif
