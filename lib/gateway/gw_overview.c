/* gw_overview.c: the page for people, and what it shows: GET status */
#include <stdlib.h>

#include "gateway/gw_impl.h"
#include "http/http_pages.h"

#define SHOWN 200 /* clients, and topics: a page with more would help nobody */

struct listing {
    json_t *rows;
    unsigned left;
};

static void add_topic(void *user, struct slice topic, unsigned subs)
{
    struct listing *l = user;

    if (!l->left)
        return;
    l->left--;
    json_array_append_new(l->rows, json_pack("{s:s%,s:i}", "topic", topic.p, topic.len, "subscribers", (int)subs));
}

static void add_client(void *user, struct slice id, uint64_t published, unsigned sinks, unsigned subs)
{
    struct listing *l = user;
    struct slice name = gw_auth_shown(id);

    if (!l->left)
        return;
    l->left--;
    json_array_append_new(l->rows, json_pack("{s:s%,s:i,s:i,s:I}", "client_id", name.p, name.len, "connections", (int)sinks, "topics",
                                             (int)subs, "published", (json_int_t)published));
}

static json_t *node_json(const struct gw_node_info *n, uint64_t received)
{
    return json_pack("{s:s,s:b,s:s,s:s,s:s,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "target", n->target, "healthy", n->is_healthy, "country",
                     n->country, "mode", n->mode, "p2p_address", n->p2p_address, "cpu_used", n->cpu_used, "memory_used", n->memory_used,
                     "answer_ms", (double)n->answer_ns / 1e6, "queued_bytes", (json_int_t)n->queued_bytes, "published",
                     (json_int_t)n->published, "received", (json_int_t)received, "unconfirmed", (json_int_t)n->unconfirmed,
                     "reconnects", (json_int_t)n->reconnects, "max_topics", (json_int_t)n->max_topics, "topics_refused",
                     (json_int_t)n->topics_refused);
}

static json_t *nodes_json(struct gateway *gw)
{
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    unsigned n = nodes ? gw_pool_nodes(gw->pool, nodes, GW_NODES_MAX) : 0;
    json_t *a = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, node_json(&nodes[i], gw_read(&gw->node_received[i])));
    free(nodes);
    return a;
}

/* What rates are made of. */
static json_t *counters_json(struct gateway *gw, const struct gw_registry_counts *counts)
{
    struct gw_counters *c = &gw->count;
    uint64_t errors = 0;

    for (unsigned i = 0; i < GW_E_COUNT; i++)
        errors += gw_read(&c->publish_errors[i]);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "published", (json_int_t)gw_read(&c->published), "published_bytes",
                     (json_int_t)gw_read(&c->published_bytes), "deduplicated", (json_int_t)gw_read(&c->deduplicated), "publish_errors",
                     (json_int_t)errors, "incoming", (json_int_t)gw_read(&c->incoming), "incoming_bytes",
                     (json_int_t)gw_read(&c->incoming_bytes), "deliveries", (json_int_t)counts->deliveries);
}

static void get_status(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_registry_counts counts;
    struct listing topics = {json_array(), SHOWN}, clients = {json_array(), SHOWN};

    gw_registry_counts(&gw->registry, &counts);
    gw_registry_each_topic(&gw->registry, add_topic, &topics);
    gw_registry_each_client(&gw->registry, add_client, &clients);
    http_req_reply(q, http_reply_json(200, json_pack("{s:s,s:I,s:f,s:i,s:i,s:i,s:I,s:o,s:o,s:o,s:o}", "cluster_id", gw->cfg.cluster_id,
                                                     "max_message_bytes", (json_int_t)gw_max_message_bytes(gw), "now_seconds",
                                                     (double)gw_now_ns() / 1e9, "client_count", (int)counts.clients, "topic_count",
                                                     (int)counts.topics, "subscription_count", (int)counts.subs, "connections",
                                                     (json_int_t)counts.sinks, "counters", counters_json(gw, &counts), "nodes",
                                                     nodes_json(gw), "topics", topics.rows, "clients", clients.rows)));
}

int gw_overview_routes(struct gateway *gw)
{
    static const char *const families[] = {"", "/api", "/api/v1", NULL};
    const struct http_route status = {"GET", "/status", get_status, gw, false};
    int rc = http_routes_add(&gw->routes, &status, families);

    return rc ? rc : http_pages_add(&gw->routes, "gateway.html");
}
