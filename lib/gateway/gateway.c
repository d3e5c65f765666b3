/* gateway.c: starting, stopping, and a message's way from a node to the clients */
#include "gateway/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/rate.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_lane.h"
#include "gateway/gw_pool.h"
#include "rpc/rpc_gather.h"

#define TICK_MS      200
#define SEEN_TTL_NS  120000000000ull
#define SAVE_TICKS   5
#define EXPIRE_TICKS 50
#define SQUEEZE_TICKS 10
#define TLS_TICKS    2
#define LINE_TICKS   5
#define LINE_NS      100000000ull /* lines about topics: clients can cause any number */
#define LINES        10
#define MACHINE_NS   1000000000ull

static const double size_bounds[] = {256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216};
static const double delay_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                      0.1,    0.25,  0.5,    1,     2.5,  5,     10};

uint64_t gw_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t ceiling(const struct gateway *gw)
{
    return gw->cfg.max_message_bytes ? gw->cfg.max_message_bytes : GW_MESSAGE_CEILING;
}

uint64_t gw_max_message_bytes(struct gateway *gw)
{
    uint64_t learned = gw_pool_max_message_bytes(gw->pool);

    return learned && learned < ceiling(gw) ? learned : ceiling(gw);
}

size_t gw_text_ceiling(const struct gateway *gw)
{
    return (size_t)ceiling(gw) / 3 * 4 + 65536;
}

void gw_result_text(struct gateway *gw, const struct gw_result *r, char *out, size_t cap)
{
    if (r->outcome.text)
        snprintf(out, cap, "%s", r->outcome.text);
    else if (r->outcome.err == GW_E_TOO_LARGE)
        snprintf(out, cap, "message too large: at most %llu bytes",
                 (unsigned long long)gw_max_message_bytes(gw));
    else if (r->outcome.err == GW_E_CLIENT_TOPICS)
        snprintf(out, cap, "at most %u topics for one client (MAX_CLIENT_TOPICS)", gw->cfg.max_client_topics);
    else
        snprintf(out, cap, "%s", gw_err_text(r->outcome.err));
}

void gw_machine(struct gateway *gw, struct machine *out)
{
    uint64_t now = gw_now_ns();

    pthread_mutex_lock(&gw->lock);
    if (!gw->machine_ns || gw_since(now, gw->machine_ns) >= MACHINE_NS) {
        machine_read(&gw->machine);
        gw->machine_ns = now;
    }
    *out = gw->machine;
    pthread_mutex_unlock(&gw->lock);
}

void gw_random(struct gateway *gw, void *out, size_t n)
{
    pthread_mutex_lock(&gw->lock);
    rng_fill(&gw->rng, out, n);
    pthread_mutex_unlock(&gw->lock);
}

/* ---- from a node to the clients ---- */

struct arrival {
    bool is_first;         /* the first copy of all */
    unsigned seen;         /* nodes that have it now */
    double before, share;  /* the share of the nodes that had it, and that has it now */
    double of_all;         /* the same of all that are named, whether they can be reached or not */
    uint64_t published_ns; /* here; 0: elsewhere */
};

/* Of which a threshold is a share. With THRESHOLD_NODES=reachable nobody waits for a node that is gone. */
static uint64_t counted_nodes(struct gateway *gw)
{
    return gw->cfg.threshold_nodes == GW_OF_ALL ? gw_pool_all(gw->pool) : gw_pool_reachable(gw->pool);
}

/* The share never sinks, so that each client is served once. */
static struct arrival record(struct gateway *gw, unsigned node, const struct gw_delivery *d, uint64_t now)
{
    uint64_t counted = counted_nodes(gw);
    struct arrival a = {true, 1, 0, 1, 1, 0};
    struct gw_seen_entry *e;

    pthread_mutex_lock(&gw->publishes.lock);
    e = gw_seen_put(&gw->seen, d->topic, d->id, now);
    if (e) {
        a.is_first = e->nodes == 0;
        e->nodes |= 1ull << node;
        e->flags |= GW_SEEN_DELIVERED;
        a.seen = (unsigned)__builtin_popcountll(e->nodes);
        a.published_ns = e->published_ns;
        a.before = e->share;
        a.share = (double)a.seen / __builtin_popcountll(counted | e->nodes);
        e->share = a.share = a.share > a.before ? a.share : a.before;
        a.of_all = (double)a.seen / __builtin_popcountll(gw_pool_all(gw->pool) | e->nodes);
    } /* no memory: better twice than never */
    pthread_mutex_unlock(&gw->publishes.lock);
    return a;
}

static void count_first(struct gateway *gw, const struct gw_delivery *d, const struct arrival *a,
                        uint64_t now)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    atomic_store_explicit(&gw->last_first_seen_ms,
                          (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000, memory_order_relaxed);
    gw_count(&gw->count.incoming, 1);
    gw_count(&gw->count.incoming_bytes, d->payload_len);
    metrics_hist_observe(&gw->sizes, (double)d->payload_len);
    if (a->published_ns && now > a->published_ns)
        metrics_hist_observe(&gw->delays, (double)(now - a->published_ns) / 1e9);
}

void gateway_incoming(struct gateway *gw, unsigned node, struct gw_delivery *d)
{
    uint64_t now = gw_now_ns();
    struct arrival a = record(gw, node, d, now);
    unsigned delivered = 0;

    gw_count(&gw->node_received[node], 1);
    atomic_store_explicit(&gw->last_seen_nodes, a.seen, memory_order_relaxed);
    if (a.is_first)
        count_first(gw, d, &a, now);
    else
        gw_count(&gw->count.incoming_duplicates, 1);
    d->of_all = a.of_all;
    d->budget = &gw->deliveries;
    if (a.share > a.before)
        delivered = gw_registry_deliver(&gw->registry, a.before, a.share, d);
    ws_wakes_post(&d->wakes);
    gw_tracer_arrived(&gw->tracer, d, node, delivered, now);
    log_debug("\"message received\" topic=%.*s id=%s node=%u seen=%u delivered=%u", (int)d->topic.len,
              d->topic_text, d->id_hex, node, a.seen, delivered);
}

/* ---- the ticker ---- */

static void tell_held_lines(struct gateway *gw)
{
    uint64_t held = atomic_exchange_explicit(&gw->topic_lines_held, 0, memory_order_relaxed);

    if (held)
        log_info("\"more topics came or went\" lines_left_out=%llu", (unsigned long long)held);
}

static void *ticker_main(void *arg)
{
    struct gateway *gw = arg;
    unsigned ticks = 0;

    pthread_mutex_lock(&gw->lock);
    while (!gw->stopping) {
        struct timespec until;
        uint64_t now;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&gw->wake, &gw->lock, &until);
        if (gw->stopping)
            break;
        pthread_mutex_unlock(&gw->lock);
        now = gw_now_ns();
        gw_pool_tick(gw->pool, now);
        if (ticks % TLS_TICKS == 0)
            gw_tls_tick(gw);
        if (ticks % LINE_TICKS == 0)
            tell_held_lines(gw);
        if (ticks % SAVE_TICKS == 0)
            gw_state_save(gw);
        if (ticks % SQUEEZE_TICKS == 0 && budget_is_spent(&gw->deliveries))
            gw_registry_squeeze(&gw->registry);
        if (++ticks % EXPIRE_TICKS == 0)
            gw_registry_expire(&gw->registry, now);
        pthread_mutex_lock(&gw->lock);
    }
    pthread_mutex_unlock(&gw->lock);
    return NULL;
}

/* ---- start ---- */

static void on_topic(void *user, struct slice topic, bool wanted)
{
    struct gateway *gw = user;

    gw_pool_want_topic(gw->pool, topic, wanted);
    if (rate_take(&gw->topic_line_ns, LINE_NS, LINES, gw_now_ns()))
        log_info("\"topic %s\" topic=%.*s", wanted ? "subscribed" : "left", (int)topic.len, (const char *)topic.p);
    else
        gw_count(&gw->topic_lines_held, 1);
}

static bool has_topic_room(void *user, struct slice topic)
{
    struct gateway *gw = user;
    bool has = gw_pool_has_topic_room(gw->pool, topic);

    if (!has)
        gw_count(&gw->count.subscribes_refused, 1);
    return has;
}

static int make_core(struct gateway *gw)
{
    struct gw_registry_config rc = {.max_clients = gw->cfg.max_clients, /* until gw_registry_loaded: */ .max_topics = GW_TOPICS_CEILING,
                                    .max_topics_per_owner = GW_TOPICS_CEILING, .owner_of = gw->cfg.enable_auth ? gw_auth_owner : NULL, .on_topic = on_topic, .user = gw};
    pthread_condattr_t attr;
    uint8_t seed[16];

    rng_init_system(&gw->rng);
    rng_fill(&gw->rng, seed, sizeof(seed));
    pthread_mutex_init(&gw->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&gw->wake, &attr);
    pthread_condattr_destroy(&attr);
    gw_registry_init(&gw->registry, &rc, seed);
    gw_seen_init(&gw->seen, gw->cfg.max_seen, SEEN_TTL_NS, seed);
    metrics_hist_init(&gw->sizes, size_bounds, sizeof(size_bounds) / sizeof(size_bounds[0]));
    metrics_hist_init(&gw->delays, delay_bounds, sizeof(delay_bounds) / sizeof(delay_bounds[0]));
    http_routes_init(&gw->routes, seed);
    http_routes_init(&gw->api_routes, seed);
    if (gw_publishes_init(&gw->publishes, seed) < 0 || gw_tracer_init(&gw->tracer) < 0)
        return -1;
    return gw_auth_start(gw, seed);
}

static int make_routes(struct gateway *gw)
{
    int rc = gw_rest_routes(gw);

    if (!rc)
        rc = gw_session_routes(gw);
    if (!rc)
        rc = gw_overview_routes(gw);
    return rc ? rc : gw_status_routes(gw);
}

/* The publishes of one turn go to a node together. */
static void gather_turn(bool last)
{
    gw_lanes_turn();
    if (last)
        rpc_gather_end();
    else
        rpc_gather_flush();
}

static int start_http(struct gateway *gw, char err[256])
{
    struct http_server_config proxy = {.bind = gw->cfg.proxy.host,
                                       .port = gw->cfg.proxy.port,
                                       .threads = gw->cfg.http_threads,
                                       .cpus = gw->cfg.cpus,
                                       .thread_name = "gw-http",
                                       .max_body_bytes = gw_text_ceiling(gw),
                                       .max_conns = gw->cfg.max_connections,
                                       .request_timeout_ms = gw->cfg.request_timeout_s * 1000,
                                       .drain_ms = gw->cfg.drain_ms ? gw->cfg.drain_ms : 1,
                                       .cors_origins = gw->cfg.cors_origins,
                                       .gate = gw_auth_gate,
                                       .gate_user = gw,
                                       .on_turn = gather_turn,
                                       .routes = &gw->routes};
    struct http_server_config api = proxy; /* for monitoring: plain whatever clients have */
    int rc;

    proxy.tls = gw->tls.http;
    rc = http_server_start(&gw->http, &proxy);

    if (rc < 0) {
        snprintf(err, 256, "PROXY_PORT=%s:%u: %s: %s", proxy.bind, proxy.port, http_err_name(rc),
                 strerror(errno));
        return -1;
    }
    if (gw->cfg.is_inside)
        return 0;
    api.bind = gw->cfg.api.host;
    api.port = gw->cfg.api.port;
    api.threads = 1;
    api.thread_name = "gw-api";
    api.max_body_bytes = 65536;
    api.max_conns = 1000;
    api.routes = &gw->api_routes;
    rc = http_server_start(&gw->api, &api);
    if (rc < 0)
        snprintf(err, 256, "API_PORT=%s:%u: %s: %s", api.bind, api.port, http_err_name(rc), strerror(errno));
    return rc < 0 ? -1 : 0;
}

static int start_grpc(struct gateway *gw, char err[256])
{
    char where[96];
    struct rpc_server_config cfg = {.bind = where,
                                    .threads = gw->cfg.grpc_threads,
                                    .cpus = gw->cfg.cpus,
                                    .poller = gw_pool_poller(gw->pool),
                                    .tls_cert = gw->tls.cert,
                                    .tls_key = gw->tls.key,
                                    .max_recv_bytes = ceiling(gw) + (1u << 20)};
    int rc;

    snprintf(where, sizeof(where), strchr(gw->cfg.grpc.host, ':') ? "[%s]:%u" : "%s:%u", gw->cfg.grpc.host,
             gw->cfg.grpc.port);
    rc = rpc_server_new(&gw->grpc, &cfg);
    if (!rc)
        rc = gw_grpc_add(gw);
    if (!rc)
        rc = rpc_server_start(gw->grpc);
    if (rc < 0)
        snprintf(err, 256, "PROXY_GRPC_PORT=%s: cannot listen there: %s", where, rpc_err_name(rc));
    return rc < 0 ? -1 : 0;
}

static int start_all(struct gateway *gw, struct gw_link *local, char err[256])
{
    gw->deliveries.max_bytes = gw->cfg.clients_queue_bytes;
    gw->pool = gw_pool_new(gw, &gw->cfg, local);
    if (!gw->pool || make_routes(gw) < 0) {
        snprintf(err, 256, "out of memory");
        return -1;
    }
    if (gw_state_load(gw, err) < 0) /* all of it: nodes refuse what they do not take, and are asked again */
        return -1;
    gw_registry_loaded(&gw->registry, gw->cfg.max_client_topics, has_topic_room);
    if (gw_tls_start(gw, err) < 0 || start_grpc(gw, err) < 0 || start_http(gw, err) < 0)
        return -1;
    gw->has_ticker = pthread_create(&gw->ticker, NULL, ticker_main, gw) == 0;
    if (!gw->has_ticker)
        snprintf(err, 256, "cannot start a thread");
    return gw->has_ticker ? 0 : -1;
}

struct gateway *gateway_start(const struct gw_config *cfg, struct gw_link *local, char err[256])
{
    struct gateway *gw = calloc(1, sizeof(*gw));

    if (gw)
        gw->cfg = *cfg;
    if (!gw || make_core(gw) < 0) {
        snprintf(err, 256, "out of memory");
        if (local)
            local->ops->free(local);
    } else if (start_all(gw, local, err) == 0) {
        return gw;
    }
    if (gw)
        gateway_stop(gw);
    gateway_free(gw);
    return NULL;
}

/* ---- stop ---- */

void gateway_stop(struct gateway *gw)
{
    pthread_mutex_lock(&gw->lock);
    gw->stopping = true;
    pthread_cond_signal(&gw->wake);
    pthread_mutex_unlock(&gw->lock);
    if (gw->has_ticker)
        pthread_join(gw->ticker, NULL);
    gw->has_ticker = false;
    if (gw->http)
        http_server_stop(gw->http); /* while nodes are still there to confirm what is under way */
    if (gw->api)
        http_server_stop(gw->api);
    if (gw->grpc)
        rpc_server_stop(gw->grpc, gw->cfg.drain_ms < 500 ? gw->cfg.drain_ms : 500);
    gw_state_save(gw);
    if (gw->pool)
        gw_pool_stop(gw->pool);
}

void gateway_free(struct gateway *gw)
{
    if (!gw)
        return;
    rpc_server_free(gw->grpc);
    http_server_free(gw->http);
    http_server_free(gw->api);
    gw_registry_fini(&gw->registry);
    gw_pool_free(gw->pool);
    gw_publishes_fini(&gw->publishes);
    gw_seen_fini(&gw->seen);
    gw_tracer_fini(&gw->tracer);
    auth_guard_free(gw->guard);
    gw_tls_fini(gw);
    http_routes_fini(&gw->routes);
    http_routes_fini(&gw->api_routes);
    pthread_cond_destroy(&gw->wake);
    pthread_mutex_destroy(&gw->lock);
    free(gw);
}

void gateway_ports(const struct gateway *gw, uint16_t *proxy, uint16_t *grpc, uint16_t *api)
{
    *proxy = http_server_port(gw->http);
    *grpc = (uint16_t)rpc_server_port(gw->grpc);
    *api = gw->api ? http_server_port(gw->api) : 0;
}
