/* gw_pool.c: the nodes: channels, streams, topics, what they send */
#include "gateway/gw_pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pb.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_pool_impl.h"

#define REOPEN_NS        300000000ull
#define HEALTH_NS        2000000000ull
#define KNOWN_NS         10000000000ull
#define KNOWN_MAX        100000
#define COMMANDS_BYTES   (64ull << 20) /* room for subscriptions behind a full queue of publishes */
#define STREAM_MSGS_MAX  300000

enum { COMMAND_SUBSCRIBE = 2, COMMAND_UNSUBSCRIBE = 3 };
enum { RESPONSE_UNKNOWN = 0, RESPONSE_MESSAGE = 1 };

struct rpc_msg *gw_pool_request(int command, struct slice topic)
{
    uint8_t buf[16 + GW_NAME_MAX];
    struct wr w = wr_of(buf, sizeof(buf));

    pb_put_varint(&w, 1, (uint64_t)command);
    pb_put_bytes(&w, 3, topic);
    return w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len));
}

static void send_command(struct gw_node *n, int command, struct slice topic)
{
    struct rpc_msg *m = gw_pool_request(command, topic);

    if (!m || rpc_call_send(n->stream, m, RPC_MUST) < 0) {
        log_warn("\"node did not take a subscription, its stream begins anew\" node=%s command=%d", n->info.target, command);
        rpc_call_abort(n->stream, RPC_CODE_CANCELLED, "a subscription found no room");
    }
    rpc_msg_unref(m);
}

/* ---- the stream ---- */

static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gw_node *n = user;
    struct gateway *gw = n->pool->gw;
    struct rd r = rd_of(rpc_msg_slice(m));
    struct slice data = {0};
    uint64_t command = 0;
    struct gw_delivery d;
    struct pb_field f;
    int rc;

    (void)c;
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, 1, PB_VARINT))
            command = f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            data = f.bytes;
    }
    if (rc < 0) {
        gw_count(&gw->count.incoming_bad, 1);
    } else if (command == RESPONSE_MESSAGE) {
        if (gw_delivery_parse(&d, data) == 0) {
            gateway_incoming(gw, n->index, &d);
            gw_delivery_fini(&d);
        } else {
            gw_count(&gw->count.incoming_bad, 1);
        }
    } else if (command == RESPONSE_UNKNOWN && data.len) {
        gw_pool_answer(n, data);
    } /* the rest are traces, for others */
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct gw_node *n = user;
    struct gw_pool *pool = n->pool;
    struct list orphans;
    bool stopping;

    list_init(&orphans);
    pthread_mutex_lock(&pool->lock);
    gw_pool_take_inflight(n, &orphans);
    n->stream = NULL;
    n->retry_ns = gw_now_ns() + REOPEN_NS;
    stopping = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    rpc_call_unref(c);
    if (!stopping)
        log_warn("\"node lost\" node=%s status=%s reason=\"%s\"", n->info.target, rpc_code_name(st->code),
                 st->message);
    gw_pool_resend(pool, &orphans);
}

static const struct rpc_handlers stream_handlers = {.on_message = on_message, .on_close = on_close};

/* Under the lock. */
static bool open_stream(struct gw_node *n, uint64_t now)
{
    /* proto/sidecar.proto: a refused publish must not end a stream that many clients share, and traces are made for those
     * who read them */
    static const struct rpc_header headers[] = {{"codecast-errors", {(const uint8_t *)"answer", 6}},
                                                {"codecast-traces", {(const uint8_t *)"off", 3}}};
    struct rpc_call_options opt = {.headers = headers,
                                   .header_count = 2,
                                   .queue = {.max_messages = STREAM_MSGS_MAX,
                                             .max_bytes = n->pool->queue_bytes + COMMANDS_BYTES,
                                             .policy = RPC_REFUSE}};
    struct slice topic;
    size_t it = 0;

    if (n->stream || !n->is_ready || n->pool->stopping)
        return false;
    if (rpc_client_open(n->client, "/proto.CommandStream/ListenCommands", &stream_handlers, n, &opt,
                        &n->stream) < 0) {
        n->stream = NULL;
        n->retry_ns = now + REOPEN_NS;
        return false;
    }
    n->info.reconnects++;
    while (map_next(&n->pool->wanted, &it, &topic))
        send_command(n, COMMAND_SUBSCRIBE, topic);
    gw_pool_ask_health(n, now);
    return true;
}

static void on_state(struct rpc_client *c, enum rpc_state state, void *user)
{
    struct gw_node *n = user;
    bool opened = false;

    (void)c;
    pthread_mutex_lock(&n->pool->lock);
    n->is_ready = state == RPC_READY;
    if (n->client) /* else rpc_client_new has not returned yet: the tick opens */
        opened = open_stream(n, gw_now_ns());
    pthread_mutex_unlock(&n->pool->lock);
    log_debug("\"node channel\" node=%s state=%s", n->info.target, rpc_state_name(state));
    if (opened) {
        log_info("\"node connected\" node=%s", n->info.target);
        gw_pool_retry_waiting(n->pool, gw_now_ns());
    }
}

/* ---- operations ---- */

static void want_topic(struct gw_upstream *u, struct slice topic, bool wanted)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);

    pthread_mutex_lock(&pool->lock);
    if (wanted)
        map_put(&pool->wanted, topic, pool);
    else
        map_del(&pool->wanted, topic);
    for (unsigned i = 0; i < pool->n_nodes; i++)
        if (pool->nodes[i].stream)
            send_command(&pool->nodes[i], wanted ? COMMAND_SUBSCRIBE : COMMAND_UNSUBSCRIBE, topic);
    pthread_mutex_unlock(&pool->lock);
}

static unsigned nodes(struct gw_upstream *u, struct gw_node_info *out, unsigned cap)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);
    unsigned n = pool->n_nodes < cap ? pool->n_nodes : cap;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < n; i++) {
        out[i] = pool->nodes[i].info;
        out[i].is_healthy = gw_node_is_up(&pool->nodes[i]);
        out[i].answer_ns = pool->nodes[i].load.answer_ns;
        out[i].queued_bytes = pool->nodes[i].inflight_bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}

static uint64_t reachable(struct gw_upstream *u)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);
    uint64_t mask = 0;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++)
        mask |= (uint64_t)gw_node_is_up(&pool->nodes[i]) << i;
    pthread_mutex_unlock(&pool->lock);
    return mask;
}

static uint64_t max_message_bytes(struct gw_upstream *u)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);
    uint64_t least = 0;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        const struct gw_node *n = &pool->nodes[i];

        if (gw_node_is_up(n) && n->info.max_message_bytes && (!least || n->info.max_message_bytes < least))
            least = n->info.max_message_bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    return least;
}

static void tick(struct gw_upstream *u, uint64_t now)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        if (!n->stream && n->is_ready && now >= n->retry_ns && open_stream(n, now))
            log_info("\"node connected\" node=%s", n->info.target);
        if (n->stream && now - n->health_ns >= HEALTH_NS)
            gw_pool_ask_health(n, now);
    }
    if (now - pool->known_ns >= KNOWN_NS) {
        uint8_t seed[16];

        memcpy(seed, pool->known.seed, sizeof(seed));
        map_fini(&pool->known);
        map_init(&pool->known, KNOWN_MAX, seed);
        pool->known_ns = now;
    }
    pthread_mutex_unlock(&pool->lock);
    gw_pool_check_answers(pool, now);
    gw_pool_retry_waiting(pool, now);
}

static void stop(struct gw_upstream *u)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);

    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_nodes; i++) {
        rpc_client_free(pool->nodes[i].client);
        pool->nodes[i].client = NULL;
    }
    gw_pool_retry_waiting(pool, gw_now_ns());
}

static void pool_free(struct gw_upstream *u)
{
    struct gw_pool *pool = CONTAINER_OF(u, struct gw_pool, up);

    for (unsigned i = 0; i < pool->n_nodes; i++)
        rpc_client_free(pool->nodes[i].client);
    for (unsigned i = 0; i < 2; i++)
        if (pool->loops[i])
            rpc_loop_free(pool->loops[i]);
    map_fini(&pool->by_key);
    map_fini(&pool->wanted);
    map_fini(&pool->known);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static const struct gw_upstream_ops pool_ops = {.publish = gw_pool_publish,
                                                .want_topic = want_topic,
                                                .ask_topic = gw_pool_ask_topic,
                                                .nodes = nodes,
                                                .reachable = reachable,
                                                .max_message_bytes = max_message_bytes,
                                                .tick = tick,
                                                .stop = stop,
                                                .free = pool_free};

static int node_start(struct gw_pool *pool, unsigned i, const struct gw_config *cfg)
{
    uint32_t ceiling =
        cfg->max_message_bytes > GW_MESSAGE_CEILING ? cfg->max_message_bytes : GW_MESSAGE_CEILING;
    struct gw_node *n = &pool->nodes[i];
    struct rpc_client *client = NULL;
    struct rpc_client_config cc = {.target = n->info.target,
                                   .loop = pool->loops[i % 2] ? pool->loops[i % 2] : pool->loops[0],
                                   .max_recv_bytes = ceiling / 3 * 4 + (1u << 20),
                                   .keepalive_ms = 2000,
                                   .keepalive_timeout_ms = 2000,
                                   .on_state = on_state,
                                   .user = n};
    int rc = rpc_client_new(&client, &cc);

    pthread_mutex_lock(&pool->lock);
    n->client = client;
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

struct gw_upstream *gw_pool_new(struct gateway *gw, const struct gw_config *cfg)
{
    struct gw_pool *pool = calloc(1, sizeof(*pool));
    uint8_t seed[16];

    if (!pool)
        return NULL;
    gw_random(gw, seed, sizeof(seed));
    pool->up.ops = &pool_ops;
    pool->gw = gw;
    pool->queue_bytes = cfg->node_queue_bytes;
    pthread_mutex_init(&pool->lock, NULL);
    map_init(&pool->by_key, 0, seed);
    map_init(&pool->wanted, 0, seed);
    map_init(&pool->known, KNOWN_MAX, seed);
    list_init(&pool->waiting);
    pool->loops[0] = rpc_loop_new("gw-nodes-0", cfg->cpus);
    pool->loops[1] = cfg->n_nodes > 1 ? rpc_loop_new("gw-nodes-1", cfg->cpus) : NULL;
    for (unsigned i = 0; i < cfg->n_nodes; i++) {
        struct gw_node *n = &pool->nodes[i];

        n->pool = pool;
        n->index = i;
        list_init(&n->inflight);
        snprintf(n->info.target, sizeof(n->info.target), "%s", cfg->nodes[i]);
    }
    for (; pool->loops[0] && pool->n_nodes < cfg->n_nodes; pool->n_nodes++)
        if (node_start(pool, pool->n_nodes, cfg) < 0)
            break;
    if (pool->n_nodes == cfg->n_nodes)
        return &pool->up;
    pool->stopping = true;
    pool_free(&pool->up);
    return NULL;
}
