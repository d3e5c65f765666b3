/* gw_status.c: health, version, nodes, tracer: what monitoring asks for */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/gw_impl.h"
#include "http/http_loglevel.h"

#include "commit.h"

#define WINDOW_MAX_S 1e9

static unsigned get_nodes(struct gateway *gw, struct gw_node_info **out)
{
    *out = calloc(GW_NODES_MAX, sizeof(**out));
    return *out ? gw_pool_nodes(gw->pool, *out, GW_NODES_MAX) : 0;
}

static unsigned count_healthy(const struct gw_node_info *nodes, unsigned n)
{
    unsigned healthy = 0;

    for (unsigned i = 0; i < n; i++)
        healthy += nodes[i].is_healthy;
    return healthy;
}

/* All nodes run one protocol; the first that has told its own names it. */
const char *gw_mode(const struct gw_node_info *nodes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (nodes[i].mode[0])
            return nodes[i].mode;
    return "optimum";
}

static json_t *percent(double v)
{
    char text[16];

    snprintf(text, sizeof(text), "%.2f", v);
    return json_string(text);
}

/* ok with all nodes, degraded with some, 503 with none. */
static void get_health(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes;
    unsigned n = get_nodes(gw, &nodes), healthy = count_healthy(nodes, n);
    struct machine m;

    gw_machine(gw, &m);
    http_req_reply(q,
                   http_reply_json(healthy ? 200 : 503,
                                   json_pack("{s:s,s:s,s:o,s:o,s:o,s:s,s:s,s:i,s:i}", "country", gw->cfg.country,
                                             "country_iso", gw->cfg.country_iso, "cpu_used",
                                             percent(m.cpu_used), "disk_used", percent(m.disk_used),
                                             "memory_used", percent(m.memory_used), "mode",
                                             gw_mode(nodes, n), "status",
                                             healthy == n ? "ok"
                                             : healthy    ? "degraded"
                                                          : "unavailable",
                                             "nodes", (int)n, "healthy_nodes", (int)healthy)));
    free(nodes);
}

static void get_version(struct http_req *q, void *user)
{
    (void)user;
    http_req_reply(q, http_reply_json(200, json_pack("{s:s,s:s}", "version", CODECAST_VERSION, "commit_hash",
                                                     CODECAST_COMMIT)));
}

static void get_node_countries(struct http_req *q, void *user)
{
    json_t *countries = json_object(), *isos = json_object();
    struct gw_node_info *nodes;
    unsigned n = get_nodes(user, &nodes);

    for (unsigned i = 0; i < n; i++) {
        json_object_set_new(countries, nodes[i].target, json_string(nodes[i].country));
        json_object_set_new(isos, nodes[i].target, json_string(nodes[i].country_iso));
    }
    free(nodes);
    http_req_reply(q, http_reply_json(200, json_pack("{s:i,s:o,s:o}", "count", (int)n, "countries", countries,
                                                     "country_isos", isos)));
}

/* A number without sign and exponent. */
static bool read_number(struct slice *s, double *v)
{
    size_t n = 0, digits = 0;
    char text[32];

    for (; n < s->len && n < sizeof(text) - 1 && strchr("0123456789.", s->p[n] ? s->p[n] : 'x'); n++)
        digits += s->p[n] != '.';
    memcpy(text, s->p, n);
    text[n] = 0;
    if (digits == 0 || n > digits + 1)
        return false;
    *v = strtod(text, NULL);
    *s = slice_of(s->p + n, s->len - n);
    return true;
}

/* Seconds of the unit at the beginning of s; 0: there is none. */
static double read_unit(struct slice *s)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"\xce\xbcs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};

    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);

        if (s->len >= n && memcmp(s->p, units[i].name, n) == 0) {
            *s = slice_of(s->p + n, s->len - n);
            return units[i].seconds;
        }
    }
    return 0;
}

/* A duration as Go writes it ("10s", "1m30s", "1.5h", "500ms"), or seconds. False: neither. */
static bool parse_window(struct slice s, uint64_t *ns)
{
    double total = 0, v, unit;
    bool is_first = true;

    if (s.len == 0)
        return false;
    for (; s.len; is_first = false) {
        if (!read_number(&s, &v))
            return false;
        unit = s.len == 0 && is_first ? 1 : read_unit(&s);
        total += v * unit;
        if (unit == 0 || total > WINDOW_MAX_S)
            return false;
    }
    *ns = (uint64_t)(total * 1e9);
    return true;
}

static void get_tracer(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes;
    uint64_t window = 0;
    struct slice s;
    unsigned n;

    if (http_req_query(q, "window", &s) && !parse_window(s, &window)) {
        http_req_reply(q, http_reply_error(400, "window must be a duration such as 10s or 1m30s"));
        return;
    }
    n = get_nodes(gw, &nodes);
    http_req_reply(q, http_reply_json(200, gw_tracer_snapshot(&gw->tracer, nodes, n, window, gw_now_ns())));
    free(nodes);
}

static void get_tracer_reset(struct http_req *q, void *user)
{
    struct gateway *gw = user;

    gw_tracer_reset(&gw->tracer);
    http_req_reply(q, http_reply_json(200, json_pack("{s:s}", "status", "reset")));
}

static void add_topic(void *user, struct slice topic, unsigned subs)
{
    (void)subs;
    json_array_append_new(user, json_stringn((const char *)topic.p, topic.len));
}

/* The node's shape, for monitoring that asks nodes and gateways alike. A gateway is no peer and has no key: it shows that of the
 * first of its nodes that is healthy. */
static void get_node_state(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    json_t *peers = json_array(), *topics = json_array();
    struct gw_node_info *nodes;
    unsigned n = get_nodes(gw, &nodes);
    char pub_key[sizeof(nodes->p2p_address)] = "";

    for (unsigned i = 0; i < n && !pub_key[0]; i++)
        if (nodes[i].is_healthy)
            snprintf(pub_key, sizeof(pub_key), "%s", gw_node_peer_id(&nodes[i]));
    for (unsigned i = 0; i < n; i++)
        if (nodes[i].is_healthy)
            json_array_append_new(peers, json_string(nodes[i].p2p_address[0] ? nodes[i].p2p_address
                                                                             : nodes[i].target));
    free(nodes);
    gw_registry_each_topic(&gw->registry, add_topic, topics);
    http_req_reply(q, http_reply_json(200, json_pack("{s:s,s:s,s:s,s:[],s:o,s:o}", "pub_key", pub_key, "country",
                                                     gw->cfg.country, "country_iso", gw->cfg.country_iso,
                                                     "addresses", "peers", peers, "topics", topics)));
}

static int add(struct http_routes *t, struct http_route *routes, unsigned n)
{
    static const char *const families[] = {"", "/api", "/api/v1", NULL};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = http_routes_add(t, &routes[i], families);
    return rc;
}

int gw_status_routes(struct gateway *gw)
{
    struct http_route common[] = {{"GET", "/health", get_health, gw, false},
                                  {"GET", "/version", get_version, gw, false},
                                  {"GET", "/node-state", get_node_state, gw, false},
                                  {"GET", "/node-countries", get_node_countries, gw, false},
                                  {"GET", "/metrics", gw_metrics_handler, gw, false}};
    struct http_route clients[] = {{"GET", "/tracer/stream", get_tracer, gw, false},
                                   {"GET", "/tracer/reset", get_tracer_reset, gw, false},
                                   {"POST", "/tracer/reset", get_tracer_reset, gw, false}};
    int rc = add(&gw->routes, common, 5);

    if (!rc)
        rc = add(&gw->routes, clients, 3);
    if (!rc)
        rc = http_loglevel_add(&gw->api_routes);
    return rc ? rc : add(&gw->api_routes, common, 5);
}
