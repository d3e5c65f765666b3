/* gw_metrics.c: GET metrics
 * Note:    names that dashboards query keep their spelling, whatever promtool says of them (compat: API section 8)
 */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/gw_impl.h"

#define TOPICS_SHOWN  200 /* series a family: more would make the scrape the heaviest client */
#define CLIENTS_SHOWN 500

struct writer {
    struct metrics *m;
    unsigned left;
};

static void label_text(char *out, size_t cap, struct slice s)
{
    snprintf(out, cap, "%.*s", (int)s.len, (const char *)s.p);
}

static void write_topic(void *user, struct slice topic, unsigned subs)
{
    struct writer *w = user;
    char name[GW_NAME_MAX + 1];

    if (w->left == 0)
        return;
    w->left--;
    label_text(name, sizeof(name), topic);
    metrics_u64(w->m, (struct metrics_label[]){{"topic", name}}, 1, subs);
}

static void write_threshold(void *user, struct slice client, struct slice topic, double threshold)
{
    struct writer *w = user;
    char id[GW_NAME_MAX + 1], name[GW_NAME_MAX + 1];

    if (w->left == 0)
        return;
    w->left--;
    label_text(id, sizeof(id), client);
    label_text(name, sizeof(name), topic);
    metrics_double(w->m, (struct metrics_label[]){{"client_id", id}, {"topic", name}}, 2, threshold);
}

static void write_client(void *user, struct slice id, uint64_t published, unsigned sinks, unsigned subs)
{
    struct writer *w = user;
    char name[GW_NAME_MAX + 1];

    (void)sinks;
    (void)subs;
    if (w->left == 0 || !published)
        return;
    w->left--;
    label_text(name, sizeof(name), id);
    metrics_u64(w->m, (struct metrics_label[]){{"client_id", name}}, 1, published);
}

static void write_nodes(struct gateway *gw, struct metrics *m, const struct gw_node_info *nodes, unsigned n)
{
    unsigned healthy = 0;

    for (unsigned i = 0; i < n; i++)
        healthy += nodes[i].is_healthy;
    metrics_gauge(m, "nodes_active_total", "Nodes that can be reached.", healthy);
    metrics_gauge(m, "optimum_proxy_p2p_connections", "Streams to nodes.", healthy);
    metrics_family(m, "node_received_messages_total", "counter", "Messages received from each node.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1,
                    gw_read(&gw->node_received[i]));
    metrics_family(m, "codecast_gateway_node_published_total", "counter", "Messages sent to each node.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].published);
    metrics_family(m, "codecast_gateway_node_lane_published_total", "counter", "Messages of them that went by lanes, beside the stream.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].lane_published);
    metrics_family(m, "codecast_gateway_node_lanes", "gauge", "Open lanes to each node: one for each HTTP thread.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].lanes);
    metrics_family(m, "codecast_gateway_node_lanes_failed_total", "counter", "Lanes that did not come about, or broke.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].lanes_failed);
    metrics_family(m, "codecast_gateway_node_up", "gauge", "Whether the node can be reached.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].is_healthy);
    metrics_family(m, "codecast_gateway_node_streams_opened_total", "counter",
                   "Streams opened to each node, the first included.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].reconnects);
    metrics_family(m, "codecast_gateway_node_unconfirmed_total", "counter",
                   "Publishes that a node did not confirm in time.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].unconfirmed);
    metrics_family(m, "codecast_gateway_node_topics_refused", "gauge", "Topics wanted now that the node does not take.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].topics_refused);
    metrics_family(m, "codecast_gateway_node_repeated_total", "counter",
                   "Publishes that a node had confirmed shortly before it was lost, sent to others too.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].repeated);
    metrics_family(m, "codecast_gateway_node_answer_seconds", "gauge", "Time of an answer of each node, smoothed.");
    for (unsigned i = 0; i < n; i++)
        metrics_double(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, (double)nodes[i].answer_ns / 1e9);
    metrics_family(m, "codecast_gateway_node_queue_bytes", "gauge", "Published to each node and not confirmed.");
    for (unsigned i = 0; i < n; i++)
        metrics_u64(m, (struct metrics_label[]){{"node", nodes[i].target}}, 1, nodes[i].queued_bytes);
}

/* Names that a node has too. Where its gateway's metrics are shown beside its own, the node's figures stand: they are of all
 * its clients, the gateway's among them. */
static void write_shared(struct gateway *gw, struct metrics *m, unsigned topics)
{
    struct gw_counters *c = &gw->count;

    metrics_counter(m, "optimum_p2p_messages_published_total", "Messages published through this gateway.",
                    gw_read(&c->published));
    metrics_counter(m, "optimum_p2p_messages_received_total",
                    "Messages received from nodes, copies not counted.", gw_read(&c->incoming));
    metrics_family(m, "optimum_p2p_message_size_bytes", "histogram", "Payload sizes of those.");
    metrics_hist_write(m, NULL, 0, &gw->sizes);
    metrics_family(m, "optimum_p2p_publish_errors_total", "counter", "Publishes that failed, by reason.");
    for (unsigned i = 1; i < GW_E_COUNT; i++)
        if (gw_read(&c->publish_errors[i]))
            metrics_u64(m, (struct metrics_label[]){{"reason", gw_err_text((int)i)}}, 1,
                        gw_read(&c->publish_errors[i]));
    metrics_gauge(m, "optimum_p2p_active_topics", "Topics with a subscriber here.", topics);
    metrics_process(m);
}

static void write_messages(struct gateway *gw, struct metrics *m)
{
    uint64_t errors = 0, evicted;
    struct gw_counters *c = &gw->count;

    for (unsigned i = 0; i < GW_E_COUNT; i++)
        errors += gw_read(&c->publish_errors[i]);
    metrics_counter(m, "publish_error_total", "Publishes that failed.", errors);
    metrics_family(m, "message_size_bytes", "histogram", "Payload sizes of messages received from nodes.");
    metrics_hist_write(m, NULL, 0, &gw->sizes);
    metrics_gauge(m, "message_first_seen_timestamp",
                  "When the latest message was first seen, unix time in seconds.",
                  (double)gw_read(&gw->last_first_seen_ms) / 1e3);
    metrics_gauge(m, "message_seen_nodes_count", "Nodes that had the latest message when it last came.",
                  (double)gw_read(&gw->last_seen_nodes));
    metrics_counter(m, "fallback_deliveries_total",
                    "Deliveries that THRESHOLD_NODES=reachable made: below the client's threshold, were all named nodes counted.",
                    gw_read(&gw->registry.fallbacks));
    metrics_counter(m, "codecast_gateway_repeats_failed_total", "Publishes of a lost node that no other node took again; they may have been delivered.",
                    gw_read(&c->repeats_failed));
    metrics_counter(m, "codecast_gateway_deduplicated_total", "Publishes that were repeats.",
                    gw_read(&c->deduplicated));
    pthread_mutex_lock(&gw->publishes.lock);
    evicted = gw->seen.evicted_early;
    pthread_mutex_unlock(&gw->publishes.lock);
    metrics_counter(m, "codecast_gateway_seen_evicted_total",
                    "Message ids forgotten before their 120 s: a repeat of them is no longer known as one.", evicted);
    metrics_counter(m, "codecast_gateway_published_bytes_total", "Payload bytes published.",
                    gw_read(&c->published_bytes));
    metrics_counter(m, "codecast_gateway_received_bytes_total",
                    "Payload bytes received from nodes, copies not counted.", gw_read(&c->incoming_bytes));
    metrics_counter(m, "codecast_gateway_received_copies_total",
                    "Further copies of messages, from other nodes.", gw_read(&c->incoming_duplicates));
    metrics_counter(m, "codecast_gateway_received_bad_total", "Answers of nodes that could not be read.",
                    gw_read(&c->incoming_bad));
    metrics_counter(m, "codecast_gateway_node_dropped_total",
                    "Messages that nodes dropped because this gateway read too slowly.",
                    gw_read(&c->node_lost));
    metrics_counter(m, "codecast_gateway_topics_refused_total", "Times that a node refused a topic.",
                    gw_read(&c->topics_refused));
    metrics_counter(m, "codecast_gateway_subscribes_refused_total", "Subscriptions refused because no node takes one more topic.",
                    gw_read(&c->subscribes_refused));
    metrics_family(m, "codecast_gateway_delay_seconds", "histogram",
                   "From a publish here to its first arrival here.");
    metrics_hist_write(m, NULL, 0, &gw->delays);
}

static void write_clients(struct gateway *gw, struct metrics *m, const struct gw_registry_counts *counts)
{
    struct writer topics = {m, TOPICS_SHOWN}, clients = {m, CLIENTS_SHOWN}, thresholds = {m, CLIENTS_SHOWN};
    struct http_server_stats http;
    struct rpc_server_stats grpc;

    http_server_stats(gw->http, &http);
    rpc_server_get_stats(gw->grpc, &grpc);
    metrics_gauge(m, "optimum_proxy_ws_clients_active", "WebSocket clients connected.",
                  (double)http.ws_conns);
    metrics_counter(m, "codecast_gateway_ws_moved_total", "WebSockets handed to another HTTP thread than had accepted them.", http.ws_moved);
    metrics_gauge(m, "codecast_gateway_queued_bytes", "Deliveries that wait for clients, shared ones once.", (double)__atomic_load_n(&gw->deliveries.bytes, __ATOMIC_RELAXED));
    metrics_counter(m, "codecast_gateway_squeezed_total", "Deliveries that found no place because CLIENTS_QUEUE_BYTES was used up.",
                    __atomic_load_n(&gw->deliveries.squeezed, __ATOMIC_RELAXED));
    metrics_gauge(m, "codecast_gateway_clients", "Client ids known.", counts->clients);
    metrics_gauge(m, "codecast_gateway_subscriptions", "Subscriptions of all clients.", counts->subs);
    metrics_counter(m, "codecast_gateway_deliveries_total", "Messages handed to clients' queues.",
                    counts->deliveries);
    metrics_counter(m, "codecast_gateway_ws_clients_total", "WebSocket clients that connected.",
                    gw_read(&gw->count.ws_clients));
    metrics_counter(m, "codecast_gateway_ws_dropped_total",
                    "Deliveries dropped for WebSocket clients that read too slowly or went away.", http.ws_dropped_msgs);
    metrics_counter(m, "codecast_gateway_ws_dropped_bytes_total", "Bytes of those deliveries.", http.ws_dropped_bytes);
    metrics_counter(m, "codecast_gateway_grpc_streams_total", "gRPC client streams that were opened.",
                    gw_read(&gw->count.grpc_clients));
    metrics_counter(m, "codecast_gateway_grpc_dropped_total", "Messages dropped for gRPC clients.",
                    grpc.dropped_must + grpc.refused);
    metrics_family(m, "codecast_gateway_too_slow_total", "counter", "Clients that the policy disconnected, by kind.");
    metrics_u64(m, (struct metrics_label[]){{"kind", "ws"}}, 1, gw_read(&gw->count.ws_too_slow));
    metrics_u64(m, (struct metrics_label[]){{"kind", "grpc"}}, 1, gw_read(&gw->count.grpc_too_slow));
    metrics_counter(m, "codecast_gateway_notices_total", "Notices of dropped messages that clients asked for.",
                    gw_read(&gw->count.notices));
    metrics_gauge(m, "codecast_gateway_grpc_calls_open", "gRPC calls open.", grpc.open);
    metrics_counter(m, "codecast_gateway_http_requests_total", "HTTP requests.", http.requests);
    metrics_family(m, "codecast_gateway_http_answers_total", "counter", "HTTP answers by class of status.");
    metrics_u64(m, (struct metrics_label[]){{"status", "2xx"}}, 1, http.answers_2xx);
    metrics_u64(m, (struct metrics_label[]){{"status", "4xx"}}, 1, http.answers_4xx);
    metrics_u64(m, (struct metrics_label[]){{"status", "5xx"}}, 1, http.answers_5xx);
    metrics_counter(m, "codecast_gateway_http_refused_connections_total", "Connections beyond the bound.",
                    http.refused_conns);
    metrics_counter(m, "codecast_gateway_http_slow_answers_cut_total", "Answers that a client did not take.",
                    http.slow_answers_cut);
    metrics_gauge(m, "codecast_gateway_http_connections", "HTTP connections open.", (double)http.conns);
    metrics_family(m, "client_topic_threshold", "gauge",
                   "Share of the nodes that must have a message of the topic before the client gets it.");
    gw_registry_each_kept(&gw->registry, write_threshold, &thresholds);
    metrics_family(m, "codecast_gateway_topic_subscriptions", "gauge", "Subscriptions by topic.");
    gw_registry_each_topic(&gw->registry, write_topic, &topics);
    metrics_family(m, "optimum_proxy_published_by_client_total", "counter",
                   "Messages published by each client.");
    gw_registry_each_client(&gw->registry, write_client, &clients);
}

static void write_all(struct gateway *gw, struct metrics *m, const struct gw_node_info *nodes, unsigned n, bool is_alone)
{
    struct gw_registry_counts counts;

    gw_registry_counts(&gw->registry, &counts);
    if (is_alone)
        write_shared(gw, m, counts.topics);
    write_nodes(gw, m, nodes, n);
    write_messages(gw, m);
    write_clients(gw, m, &counts);
    gw_auth_metrics(gw, m);
    gw_tls_metrics(gw, m);
}

void gateway_metrics(struct gateway *gw, struct metrics *m)
{
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));

    if (nodes)
        write_all(gw, m, nodes, gw_pool_nodes(gw->pool, nodes, GW_NODES_MAX), false);
    free(nodes);
}

void gw_metrics_handler(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct metrics_label constant[] = {{"cluster_id", gw->cfg.cluster_id}, {"protocol_type", ""}};
    struct gw_node_info *nodes;
    struct metrics m;
    unsigned n;

    if (!gw->http || !gw->grpc) { /* asked while we still start */
        http_req_reply(q, http_reply_error(503, "starting"));
        return;
    }
    nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    n = nodes ? gw_pool_nodes(gw->pool, nodes, GW_NODES_MAX) : 0;
    constant[1].value = gw_mode(nodes, n);
    metrics_init(&m, constant, 2);
    write_all(gw, &m, nodes, n, true);
    http_req_reply(q, metrics_reply(&m));
    free(nodes);
}
