/* gw_impl.h: the gateway's inside (inside the room only)
 * Locks:   registry.lock before a pool's lock; publishes.lock and the tracer's stand alone. None is held over a callback
 */
#ifndef GATEWAY_GW_IMPL_H
#define GATEWAY_GW_IMPL_H

#include <stdatomic.h>
#include <string.h>

#include "base/machine.h"
#include "base/rng.h"
#include "base/budget.h"
#include "gateway/gateway.h"
#include "gateway/gw_auth.h"
#include "gateway/gw_pool.h"
#include "gateway/gw_publish.h"
#include "gateway/gw_registry.h"
#include "gateway/gw_seen.h"
#include "gateway/gw_tls.h"
#include "gateway/gw_tracer.h"
#include "http/http_metrics.h"
#include "http/http_req.h"
#include "http/http_server.h"
#include "rpc/rpc_server.h"

struct gw_counters {
    _Atomic uint64_t published, deduplicated, publish_errors[GW_E_COUNT];
    _Atomic uint64_t repeats_failed; /* of a lost node's confirmed publishes: no other node took them */
    _Atomic uint64_t published_bytes, incoming, incoming_bytes, incoming_duplicates, incoming_bad, node_lost, topics_refused;
    _Atomic uint64_t subscribes_refused; /* here: no node would take the topic */
    _Atomic uint64_t ws_clients, grpc_clients, ws_too_slow, grpc_too_slow, notices;
};

struct gateway {
    struct gw_config cfg;
    struct gw_pool *pool;
    struct gw_registry registry;
    struct gw_publishes publishes;
    struct gw_seen seen; /* under publishes.lock */
    struct gw_tracer tracer;
    struct auth_guard *guard;
    struct auth_quota quota; /* of clients without a token */
    struct gw_tls tls;
    struct gw_counters count;
    struct budget deliveries; /* that wait for clients */
    struct metrics_hist sizes, delays;
    _Atomic uint64_t node_received[GW_NODES_MAX], last_first_seen_ms, last_seen_nodes;
    struct http_routes routes, api_routes;
    struct http_server *http, *api;
    struct rpc_server *grpc;
    struct rpc_method grpc_methods[5];
    struct rpc_service grpc_services[2];
    pthread_t ticker;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stopping, has_ticker;
    uint64_t saved_changes; /* the ticker's, as the two that follow: gw_state.c */
    bool has_state, is_unsaved;
    struct machine machine;
    uint64_t machine_ns;
    uint64_t topic_line_ns;             /* under the registry's write lock: base/rate.h */
    _Atomic uint64_t topic_lines_held; /* since the last second */
    struct rng rng;
};

uint64_t gw_now_ns(void);

/* For short sections that several threads want at once: who finds it taken looks again for a moment before it sleeps, which costs
 * more than the sections last. */
static inline void gw_lock_init(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
}

/* How long ago; 0 for what happened after the clock was read, as other threads' doings may have while we waited for a lock. */
static inline uint64_t gw_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}
/* The largest payload accepted now. */
uint64_t gw_max_message_bytes(struct gateway *gw);
/* What a request with a payload in base64 may have in bytes, whatever the nodes say later. */
size_t gw_text_ceiling(const struct gateway *gw);
/* "message too large: N bytes, at most M" and the like: the sentence for a client. */
void gw_result_text(struct gateway *gw, const struct gw_result *r, char *out, size_t cap);
/* Node `node` had this message. d is read, and its forms may be built. */
void gateway_incoming(struct gateway *gw, unsigned node, struct gw_delivery *d);
/* NODE_MODE as the nodes tell it. */
const char *gw_mode(const struct gw_node_info *nodes, unsigned n);
/* Machine figures, read at most once a second. */
void gw_machine(struct gateway *gw, struct machine *out);
/* n random bytes. */
void gw_random(struct gateway *gw, void *out, size_t n);

/* The JSON for a client whose deliveries were dropped; counted. Returns its length. */
#define GW_NOTICE_MAX 128
size_t gw_notice_dropped(struct gateway *gw, char out[GW_NOTICE_MAX], uint64_t messages, uint64_t bytes);

/* gw_state.c. Load: 0, or -1 with the reason in err. Save: if there is anything new. */
int gw_state_load(struct gateway *gw, char err[256]);
void gw_state_save(struct gateway *gw);

/* gw_rest.c, gw_ws.c, gw_status.c, gw_overview.c, gw_session.c, gw_metrics.c, gw_grpc.c */
int gw_rest_routes(struct gateway *gw);
int gw_status_routes(struct gateway *gw);
int gw_overview_routes(struct gateway *gw);
int gw_session_routes(struct gateway *gw);
void gw_ws_handler(struct http_req *q, void *user);
void gw_metrics_handler(struct http_req *q, void *user);
void gw_session_create(struct gateway *gw, unsigned expose, char id[33], struct gw_node_info *nodes,
                       unsigned *n);
const char *gw_node_peer_id(const struct gw_node_info *n);
const char *gw_node_id(const struct gw_node_info *n);
void gw_session_times(char expires[32], char refresh[32]);
int gw_grpc_add(struct gateway *gw);

static inline void gw_count(_Atomic uint64_t *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static inline uint64_t gw_read(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

#endif
