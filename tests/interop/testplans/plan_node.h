/* plan_node.h: one gossipsub node over kernel sockets, as libp2p's gossipsub-interop wants it
 * Shape:   connect, subscribe, publish; plan_node_run until a time -> a line for each message that comes
 * Source:  libp2p/test-plans gossipsub-interop/test-specs/implementation.md: StrictNoSign; a message's id is the first 8
 *          bytes of its data, shown as a decimal number
 * Owner:   one thread
 * Memory:  caller places it; new/free
 * Units:   ns monotonic
 * Limits:  PLAN_PEERS peers; frames that come before our own stream is ready wait, PLAN_HELD a connection
 */
#ifndef TESTPLANS_PLAN_NODE_H
#define TESTPLANS_PLAN_NODE_H

#include "net/net.h"
#include "pubsub/pubsub.h"

#define PLAN_PORT     9000
#define PLAN_PEERS    512
#define PLAN_DELAYS   16
#define PLAN_MSG_MAX  (10u << 20)
#define PLAN_ID_BYTES 8

struct plan_delay {
    char topic[PUBSUB_TOPIC_MAX + 1];
    uint64_t ns;
};

/* Mesh numbers; 0: ours. */
struct plan_params {
    uint32_t mesh_target, mesh_min, mesh_max, mesh_out;
    double gossip_factor;
    uint64_t heartbeat_ns;
};

struct plan_node;

/* NULL: said on stderr why. id: the node's number, which is also its key. */
struct plan_node *plan_node_new(uint32_t id, uint64_t now);
void plan_node_free(struct plan_node *n);
/* Once, before the calls below. 0, or -1. */
int plan_node_start(struct plan_node *n, const struct plan_params *p, uint64_t now);
/* Dials node number id at that address and waits until it is connected; 0, or -1 after ten seconds. */
int plan_node_connect(struct plan_node *n, uint32_t id, const struct multiaddr *addr);
int plan_node_subscribe(struct plan_node *n, const char *topic);
/* size zero bytes but for the number in the first eight; size at least PLAN_ID_BYTES. */
int plan_node_publish(struct plan_node *n, const char *topic, uint64_t id, uint32_t size);
/* Messages of topic are held for so long before they are passed on. 0, or -1: too many topics. */
int plan_node_delay(struct plan_node *n, const char *topic, uint64_t ns);
/* Lives until then. */
void plan_node_run(struct plan_node *n, uint64_t until_ns);

void plan_key(struct key_pair *k, uint32_t id);
uint64_t plan_now(void);
/* One line of JSON on stdout: time and msg, then the fields (", \"a\": 1" or "") of fmt. */
void plan_say(const char *msg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
