/* gw_pool.c: the nodes: which are up, what is wanted of them, what they send */
#include "gateway/gw_pool.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_link_grpc.h"
#include "gateway/gw_pool_impl.h"

#define HEALTH_NS 2000000000ull
#define KNOWN_NS  10000000000ull
#define KNOWN_MAX 100000
#define CPUS_FOR_TWO 4

/* ---- for links ---- */

void gw_node_lock(struct gw_node *n)
{
    pthread_mutex_lock(&n->pool->lock);
}

void gw_node_unlock(struct gw_node *n)
{
    pthread_mutex_unlock(&n->pool->lock);
}

bool gw_node_is_stopping(struct gw_node *n)
{
    bool is_stopping;

    gw_node_lock(n);
    is_stopping = n->pool->stopping;
    gw_node_unlock(n);
    return is_stopping;
}

void gw_pool_note(struct gw_pool *pool)
{
    uint64_t least = 0, mask = 0;

    for (unsigned i = 0; i < pool->n_nodes; i++) {
        const struct gw_node *n = &pool->nodes[i];

        if (!gw_node_is_up(n))
            continue;
        mask |= 1ull << i;
        if (n->info.max_message_bytes && (!least || n->info.max_message_bytes < least))
            least = n->info.max_message_bytes;
    }
    atomic_store_explicit(&pool->noted_up, mask, memory_order_relaxed);
    atomic_store_explicit(&pool->noted_max_bytes, least, memory_order_relaxed);
}

void gw_node_up(struct gw_node *n, uint64_t now)
{
    n->is_open = n->is_ready = true;
    gw_pool_note(n->pool);
    n->info.reconnects++;
    gw_pool_ask_topics_anew(n);
    gw_pool_ask_health(n, now);
    log_info("\"node connected\" node=%s", n->info.target);
}

void gw_node_set_ready(struct gw_node *n, bool is_ready)
{
    n->is_ready = is_ready;
    gw_pool_note(n->pool);
}

void gw_node_retry(struct gw_node *n, uint64_t now)
{
    gw_pool_retry_waiting(n->pool, now);
}

void gw_node_down(struct gw_node *n)
{
    struct list orphans;

    list_init(&orphans);
    gw_node_lock(n);
    n->is_open = n->is_ready = false;
    gw_pool_note(n->pool);
    gw_pool_topics_down(n);
    gw_pool_take_kept(n, &orphans, gw_now_ns());
    gw_pool_take_inflight(n, &orphans);
    gw_node_unlock(n);
    gw_pool_resend(n->pool, &orphans);
}

void gw_node_incoming(struct gw_node *n, struct gw_delivery *d)
{
    gateway_incoming(n->pool->gw, n->index, d);
}

void gw_node_bad(struct gw_node *n)
{
    gw_count(&n->pool->gw->count.incoming_bad, 1);
}

void gw_node_lost(struct gw_node *n, uint64_t messages)
{
    gw_node_lock(n);
    n->is_owed = n->is_open;
    gw_node_unlock(n);
    gw_count(&n->pool->gw->count.node_lost, messages);
    log_warn("\"node dropped messages for us\" node=%s messages=%llu", n->info.target, (unsigned long long)messages);
}

/* ---- for the gateway ---- */

struct rpc_loop *gw_pool_poller(const struct gw_pool *pool)
{
    return pool->loops[0];
}

unsigned gw_pool_nodes(struct gw_pool *pool, struct gw_node_info *out, unsigned cap)
{
    unsigned n = pool->n_nodes < cap ? pool->n_nodes : cap;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < n; i++) {
        out[i] = pool->nodes[i].info;
        out[i].is_healthy = gw_node_is_up(&pool->nodes[i]);
        out[i].answer_ns = pool->nodes[i].load.answer_ns;
        out[i].queued_bytes = pool->nodes[i].inflight_bytes;
        out[i].topics_refused = (uint32_t)pool->nodes[i].refused.count;
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}

uint64_t gw_pool_all(const struct gw_pool *pool)
{
    return pool->n_nodes ? ~0ull >> (64 - pool->n_nodes) : 0;
}

uint64_t gw_pool_reachable(struct gw_pool *pool)
{
    return atomic_load_explicit(&pool->noted_up, memory_order_relaxed);
}

uint64_t gw_pool_max_message_bytes(struct gw_pool *pool)
{
    return atomic_load_explicit(&pool->noted_max_bytes, memory_order_relaxed);
}

static void forget_known(struct gw_pool *pool, uint64_t now)
{
    uint8_t seed[16];

    memcpy(seed, pool->known.seed, sizeof(seed));
    map_fini(&pool->known);
    map_init(&pool->known, KNOWN_MAX, seed);
    pool->known_ns = now;
}

void gw_pool_tick(struct gw_pool *pool, uint64_t now)
{
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        if (n->link->ops->tick)
            n->link->ops->tick(n->link, now);
        if (n->is_open && gw_since(now, n->health_ns) >= HEALTH_NS)
            gw_pool_ask_health(n, now);
        gw_pool_topics_tick(n, now);
    }
    if (now - pool->known_ns >= KNOWN_NS)
        forget_known(pool, now);
    pthread_mutex_unlock(&pool->lock);
    gw_pool_forget_kept(pool, now);
    gw_pool_check_answers(pool, now);
    gw_pool_retry_waiting(pool, now);
}

void gw_pool_stop(struct gw_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++)
        pool->nodes[i].link->ops->stop(pool->nodes[i].link);
    gw_pool_retry_waiting(pool, gw_now_ns());
}

void gw_pool_free(struct gw_pool *pool)
{
    if (!pool)
        return;
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        pool->nodes[i].link->ops->free(pool->nodes[i].link);
        gw_pool_free_kept(&pool->nodes[i]);
        map_fini(&pool->nodes[i].refused);
        map_fini(&pool->nodes[i].names);
    }
    for (unsigned i = 0; i < 2; i++)
        if (pool->loops[i])
            rpc_loop_free(pool->loops[i]);
    map_fini(&pool->by_key);
    map_fini(&pool->wanted);
    map_fini(&pool->known);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ---- the start ---- */

static struct gw_pool *pool_make(struct gateway *gw)
{
    struct gw_pool *pool = calloc(1, sizeof(*pool));
    uint8_t seed[16];

    if (!pool)
        return NULL;
    gw_random(gw, seed, sizeof(seed));
    pool->gw = gw;
    gw_lock_init(&pool->lock);
    map_init(&pool->by_key, 0, seed);
    map_init(&pool->wanted, 0, seed);
    map_init(&pool->known, KNOWN_MAX, seed);
    list_init(&pool->waiting);
    return pool;
}

static void add_node(struct gw_pool *pool, struct gw_link *link)
{
    struct gw_node *n = &pool->nodes[pool->n_nodes];

    n->pool = pool;
    n->index = pool->n_nodes++;
    n->link = link;
    list_init(&n->inflight);
    list_init(&n->kept_large);
    map_init(&n->refused, 0, (const uint8_t *)pool->wanted.seed);
    map_init(&n->names, GW_TOPICS_CEILING, (const uint8_t *)pool->wanted.seed);
    snprintf(n->info.target, sizeof(n->info.target), "%s", link->target);
    link->node = n;
}

/* Two threads that wait on gRPC core's sockets wake each other (rpc_loop.h): only where CPUs are many does a second one pay. */
static unsigned loops_wanted(const struct gw_config *cfg)
{
    cpu_set_t all;

    if (cfg->cpus)
        all = *cfg->cpus;
    else if (sched_getaffinity(0, sizeof(all), &all) < 0)
        return 1;
    return CPU_COUNT(&all) < CPUS_FOR_TWO ? 1 : 2;
}

static bool add_remote_nodes(struct gw_pool *pool, const struct gw_config *cfg)
{
    uint32_t ceiling = cfg->max_message_bytes > GW_MESSAGE_CEILING ? cfg->max_message_bytes : GW_MESSAGE_CEILING;

    for (unsigned i = 0; i < cfg->n_nodes && i < loops_wanted(cfg); i++) {
        pool->loops[i] = rpc_loop_new(i ? "gw-nodes-1" : "gw-nodes-0", cfg->cpus);
        if (!pool->loops[0])
            return false;
    }
    for (unsigned i = 0; i < cfg->n_nodes && pool->n_nodes < GW_NODES_MAX; i++) {
        struct rpc_loop *loop = pool->loops[i % 2] ? pool->loops[i % 2] : pool->loops[0];
        struct gw_link *link = gw_link_grpc_new(cfg->nodes[i], loop, ceiling / 3 * 4 + (1u << 20), cfg->node_queue_bytes,
                                                cfg->node_token_file);

        if (!link)
            return false;
        add_node(pool, link);
    }
    return true;
}

struct gw_pool *gw_pool_new(struct gateway *gw, const struct gw_config *cfg, struct gw_link *local)
{
    struct gw_pool *pool = pool_make(gw);
    bool is_good;

    if (!pool) {
        if (local)
            local->ops->free(local);
        return NULL;
    }
    if (local)
        add_node(pool, local);
    pool->queue_bytes = cfg->node_queue_bytes;
    is_good = add_remote_nodes(pool, cfg);
    for (unsigned i = 0; i < pool->n_nodes && is_good; i++)
        is_good = pool->nodes[i].link->ops->start(pool->nodes[i].link);
    if (is_good)
        return pool;
    gw_pool_stop(pool);
    gw_pool_free(pool);
    return NULL;
}
