/* node.h: a whole node: data path on lcores, hub, sidecar, API
 * Shape:   configuration and identity -> a running node; node_wait blocks until asked to stop
 * Owner:   the main thread
 * Errors:  -1 and one sentence in err; everything begun is undone
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <sched.h>

#include "node/config.h"
#include "node/layout.h"
#include "libp2p/keys.h"

struct node;
struct hub;
struct metrics;

/* What lives in the node beside its sidecar: the gateway of a program that has both. All zero: nobody. */
struct node_guest {
    /* Opens its ports; hub and API are up, rights are not given up yet. 0, or -1 and a sentence in err. The hub and cpus (of
     * the control threads) stay until stop returned. */
    int (*start)(void *user, struct hub *hub, const cpu_set_t *cpus, char err[256]);
    void (*stop)(void *user); /* while the node can still confirm what is under way; not when start failed or never ran */
    void (*metrics)(void *user, struct metrics *m); /* for the node's /metrics; from the API's threads, at any time */
    void *user;
};

struct node_options {
    bool is_spin;    /* never sleep: dedicated servers */
    struct layout_wish layout; /* what it leaves open is NET_LCORES' and CODING_LCORES' to say, then the CPUs' */
    char *const *eal_args;     /* the operator's for EAL; borrowed */
    unsigned neal_args;
    const char *pcap_path;    /* the port's packets go there; NULL: nowhere */
    uint32_t pcap_snap_bytes; /* of each; 0: all */
    /* Called when every port is open and before the first peer is heard; not 0 ends the start, with a sentence in err.
     * NULL: nothing to do. */
    int (*on_open)(void *user, char err[256]);
    void *user;
    struct node_guest guest;
};

struct node *node_start(const struct node_config *cfg, const struct key_pair *key, const struct node_options *opt,
                        char err[512]);
/* Reads the allow-list's file again; a bad one is logged and changes nothing. */
void node_reread(struct node *n);
/* Leaves the mesh, closes connections and stops, within 5 s after the guest has. Frees. */
void node_stop(struct node *n);

#endif
