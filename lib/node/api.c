#include "node/api.h"

#include <stdlib.h>

#include "base/rng.h"
#include "http/http_loglevel.h"
#include "http/http_metrics.h"
#include "http/http_pages.h"
#include "http/http_req.h"
#include "http/http_server.h"

#include "commit.h"

struct api {
    const struct node_config *cfg;
    struct hub *hub;
    struct sidecar *sidecar;
    const struct node_guest *guest;
    struct http_routes routes;
    struct http_server *server;
};

static void reply_text(struct http_req *q, char *json)
{
    if (!json)
        http_req_reply(q, http_reply_error(503, "the data path does not answer"));
    else
        http_req_reply(q, http_reply_take(200, "application/json", (uint8_t *)json, strlen(json)));
}

static json_t *percent(double v)
{
    char text[32];

    snprintf(text, sizeof(text), "%.2f", v);
    return json_string(text);
}

static void get_health(struct http_req *q, void *user)
{
    struct api *a = user;
    struct hub_health v;
    json_t *j = json_object();

    hub_health_get(a->hub, &v);
    json_object_set_new(j, "country", json_string(v.country));
    json_object_set_new(j, "country_iso", json_string(v.country_iso));
    json_object_set_new(j, "cpu_used", percent(v.cpu_used));
    json_object_set_new(j, "disk_used", percent(v.disk_used));
    json_object_set_new(j, "memory_used", percent(v.memory_used));
    json_object_set_new(j, "mode", json_string(hub_mode(a->hub)));
    json_object_set_new(j, "status", json_string("ok"));
    http_req_reply(q, http_reply_json(200, j));
}

static void get_version(struct http_req *q, void *user)
{
    http_req_reply(q, http_reply_json(200, json_pack("{s:s,s:s}", "version", CODECAST_VERSION, "commit_hash", CODECAST_COMMIT)));
}

static void get_node_state(struct http_req *q, void *user)
{
    reply_text(q, hub_json_node_state(((struct api *)user)->hub));
}

static void get_peers(struct http_req *q, void *user)
{
    reply_text(q, hub_json_peers(((struct api *)user)->hub));
}

static void get_snapshot(struct http_req *q, void *user)
{
    reply_text(q, hub_json_p2p_snapshot(((struct api *)user)->hub));
}

static void get_messages(struct http_req *q, void *user)
{
    reply_text(q, hub_json_messages(((struct api *)user)->hub));
}

static void get_config(struct http_req *q, void *user)
{
    reply_text(q, node_config_json(((struct api *)user)->cfg));
}

static void get_topics(struct http_req *q, void *user)
{
    struct slice topic = {0}, info = {0};

    http_req_query(q, "topic", &topic);
    http_req_query(q, "nodeinfo", &info);
    reply_text(q, hub_json_topics(((struct api *)user)->hub, topic.len ? (const char *)topic.p : NULL,
                                  slice_is_equal(info, SLICE_LIT("true"))));
}

static void get_ready(struct http_req *q, void *user)
{
    char why[HUB_REASON_MAX];

    if (!hub_is_ready(((struct api *)user)->hub, why))
        http_req_reply(q, http_reply_error(503, "%s", why));
    else
        http_req_reply(q, http_reply_json(200, json_pack("{s:s}", "status", "ready")));
}

static void get_metrics(struct http_req *q, void *user)
{
    struct api *a = user;
    struct metrics m;
    struct metrics_label constant[] = {{"cluster_id", a->cfg->cluster_id}, {"protocol_type", hub_mode(a->hub)}};

    metrics_init(&m, constant, 2);
    hub_metrics(a->hub, &m);
    sidecar_metrics(a->sidecar, &m);
    if (a->guest->metrics)
        a->guest->metrics(a->guest->user, &m);
    metrics_process(&m);
    http_req_reply(q, metrics_reply(&m));
}

static int add_routes(struct api *a)
{
    static const char *const families[] = {"", "/api", "/api/v1", NULL};
    const struct http_route r[] = {
        {"GET", "/health", get_health, a, false},       {"GET", "/version", get_version, a, false},
        {"GET", "/node-state", get_node_state, a, false}, {"GET", "/peers", get_peers, a, false},
        {"GET", "/p2p-snapshot", get_snapshot, a, false}, {"GET", "/config", get_config, a, false},
        {"GET", "/topics", get_topics, a, false},       {"GET", "/ready", get_ready, a, false},
        {"GET", "/metrics", get_metrics, a, false},     {"GET", "/debug/peers", get_peers, a, true},
        {"GET", "/debug/messages", get_messages, a, true},
    };
    int err = 0;

    for (size_t i = 0; i < sizeof(r) / sizeof(r[0]) && !err; i++)
        err = http_routes_add(&a->routes, &r[i], families);
    if (!err)
        err = http_loglevel_add(&a->routes);
    return err ? err : http_pages_add(&a->routes, "node.html");
}

struct api *api_start(const struct node_config *cfg, struct hub *hub, struct sidecar *sidecar, const struct node_guest *guest,
                      const cpu_set_t *cpus, char err[256])
{
    struct api *a = calloc(1, sizeof(*a));
    struct http_server_config sc = {.bind = cfg->api_bind, .port = cfg->api_port, .threads = 1, .cpus = cpus,
                                    .thread_name = "api", .max_conns = 1000};
    struct rng rng;
    uint8_t seed[16];
    int rc;

    if (!a) {
        snprintf(err, 256, "out of memory");
        return NULL;
    }
    rng_init_system(&rng);
    rng_fill(&rng, seed, sizeof(seed));
    a->cfg = cfg;
    a->hub = hub;
    a->sidecar = sidecar;
    a->guest = guest;
    sc.routes = &a->routes;
    rc = http_routes_init(&a->routes, seed);
    if (!rc)
        rc = add_routes(a);
    if (!rc)
        rc = http_server_start(&a->server, &sc);
    if (rc) {
        snprintf(err, 256, "API_PORT=%u: cannot listen on %s: %s", cfg->api_port, cfg->api_bind, http_err_name(rc));
        api_stop(a);
        return NULL;
    }
    return a;
}

void api_stop(struct api *a)
{
    if (!a)
        return;
    if (a->server) {
        http_server_stop(a->server);
        http_server_free(a->server);
    }
    http_routes_fini(&a->routes);
    free(a);
}
