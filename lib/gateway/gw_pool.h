/* gw_pool.h: the nodes, each behind its link (gw_link.h): state, balance, failover, topics
 * Owner:   any thread may call, none may block; one lock for all nodes. Answers come on the links' threads, also before the
 *          call returned
 * Memory:  a struct gw_publish belongs to the pool from gw_pool_publish until gw_publish_done
 * Rules:   a publish goes to the least loaded node that is up. When that node goes away or stays silent for ACK_NS the
 *          message goes to another one: twice in the network, once at each client, since (topic, SHA-256) is known
 */
#ifndef GATEWAY_GW_POOL_H
#define GATEWAY_GW_POOL_H

#include "gateway/gw_config.h"

struct gw_pool;
struct rpc_loop;

struct gw_node_info {
    char target[128];
    bool is_healthy;
    char country[64], country_iso[8], p2p_address[192], mode[16];
    double memory_used, cpu_used, disk_used;
    uint64_t max_message_bytes; /* 0: unknown */
    uint32_t max_topics, topics, topics_refused; /* max 0: unknown; refused: that we want and it does not take, now */
    uint64_t published, received, reconnects, unconfirmed, repeated;
    uint64_t lanes, lane_published, lanes_failed; /* gw_lane.h; failed: that did not come about, or broke */
    uint64_t answer_ns, queued_bytes; /* smoothed time of an answer; published and not confirmed */
};

/* Begins to connect at once; a node that is not there yet is no error. local: the first node's link, or NULL; taken, also
 * when it fails. NULL: no memory. */
struct gw_pool *gw_pool_new(struct gateway *gw, const struct gw_config *cfg, struct gw_link *local);
/* Ends with gw_publish_done(p, ...), whatever happens. */
void gw_pool_publish(struct gw_pool *pool, struct gw_publish *p);
/* Under the registry's write lock. */
void gw_pool_want_topic(struct gw_pool *pool, struct slice topic, bool wanted);
/* Is a reachable node known to have room for this topic, new to us, or to have it already? One is enough. Under the registry's write
 * lock. */
bool gw_pool_has_topic_room(struct gw_pool *pool, struct slice topic);
/* Does any node know the topic? answer(user, ..) runs once, maybe at once. */
void gw_pool_ask_topic(struct gw_pool *pool, struct slice topic, void (*answer)(void *user, bool is_known), void *user);
/* The thread that looks after gRPC core's sockets as long as the pool is there; NULL: no node is reached by gRPC. */
struct rpc_loop *gw_pool_poller(const struct gw_pool *pool);
unsigned gw_pool_nodes(struct gw_pool *pool, struct gw_node_info *out, unsigned cap);
/* Bit n: there is a node n. */
uint64_t gw_pool_all(const struct gw_pool *pool);
/* Bit n: node n can be reached now. */
uint64_t gw_pool_reachable(struct gw_pool *pool);
/* The largest payload that every reachable node takes; 0: not learned yet. */
uint64_t gw_pool_max_message_bytes(struct gw_pool *pool);
/* A few times a second, from one thread. */
void gw_pool_tick(struct gw_pool *pool, uint64_t now);
/* No callback runs after it returned; publishes still under way end with GW_E_STOPPING. */
void gw_pool_stop(struct gw_pool *pool);
void gw_pool_free(struct gw_pool *pool); /* NULL is allowed */

#endif
