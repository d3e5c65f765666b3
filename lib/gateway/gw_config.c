/* gw_config.c: the gateway's settings, from the environment */
#include "gateway/gw_config.h"

#include <string.h>

static const char *const policies[] = {"drop-oldest", "drop-newest", "disconnect", NULL};

static const char *const threshold_nodes[] = {"all", "reachable", NULL};

#define AT(field) offsetof(struct gw_config, field)

/* Of the program alone: inside a node these are the node's. */
static const struct setting program_rows[] = {
    SETTING_CLUSTER_ID(AT(cluster_id)),
    SETTING_LOG_LEVEL(AT(log_level)),
    SETTING_LOG_FORMAT(AT(log_format)),
    SETTING_RUN_AS_USER(AT(run_as)),
    SETTING_COUNTRY(AT(country), AT(country_iso)),
    {"P2P_NODES", SETTING_TEXT, AT(p2p_nodes), NULL, 0, 0, false, NULL,
     "must be set: a comma list of HOST:PORT", "the nodes' sidecars"},
    {"PROXY_PORT", SETTING_LISTEN, AT(proxy), ":8080", 0, 0, false, NULL, NULL,
     "HTTP and WebSocket for clients"},
    {"API_PORT", SETTING_LISTEN, AT(api), ":8081", 0, 0, false, NULL, NULL, "HTTP for monitoring"},
    {"OPTIMUM_MAX_MSG_SIZE", SETTING_U32, AT(max_message_bytes), "0", 0, 1u << 30, false, NULL, NULL,
     "largest payload in bytes; 0: learned from the nodes"},
};

/* Of a gateway inside a node. */
static const struct setting inside_rows[] = {
    {"PROXY_PORT", SETTING_LISTEN, AT(proxy), "", 0, 0, false, NULL, NULL,
     "HTTP and WebSocket for clients: when set, a gateway runs inside the node"},
    {"P2P_NODES", SETTING_TEXT, AT(p2p_nodes), "", 0, 0, false, NULL, "a comma list of HOST:PORT",
     "sidecars of further nodes for that gateway; this node is its first anyway"},
};

/* Of both. */
static const struct setting rows[] = {
    {"PROXY_GRPC_PORT", SETTING_LISTEN, AT(grpc), ":50051", 0, 0, false, NULL, NULL, "gRPC for clients"},
    {"SUBSCRIBER_THRESHOLD", SETTING_REAL, AT(threshold), "0.1", 0, 1, true, NULL, NULL,
     "share of the nodes that must have a message before subscribers get it"},
    {"THRESHOLD_NODES", SETTING_CHOICE, AT(threshold_nodes), "all", 0, 0, false, threshold_nodes, NULL,
     "the nodes that a threshold is a share of: all that are named, or those that can be reached"},
    {"SUBSCRIPTIONS_FILE", SETTING_TEXT, AT(subscriptions_file), "", 0, 0, false, NULL, NULL,
     "file that keeps clients' subscriptions over a restart"},
    {"CORS_ORIGINS", SETTING_TEXT, AT(cors_origins), "", 0, 0, false, NULL, NULL,
     "* or a comma list of origins of web pages"},
    {"HTTP_THREADS", SETTING_U32, AT(http_threads), "2", 1, 64, false, NULL, NULL,
     "threads for HTTP and WebSocket"},
    {"GRPC_THREADS", SETTING_U32, AT(grpc_threads), "2", 1, 64, false, NULL, NULL,
     "threads for gRPC clients"},
    {"CLIENT_QUEUE_BYTES", SETTING_U32, AT(client_queue_bytes), "268435456", 65536, 4294967295.0, false, NULL,
     NULL, "what may wait for one client that reads slowly"},
    {"CLIENTS_QUEUE_BYTES", SETTING_U32, AT(clients_queue_bytes), "2147483648", 0, 4294967295.0, false, NULL,
     NULL, "what may wait for all clients together, shared messages once; past it a client may have 1 MiB; 0: no bound"},
    {"CLIENT_POLICY", SETTING_CHOICE, AT(client_policy), "drop-oldest", 0, 0, false, policies, NULL,
     "what happens to a client whose queue is full"},
    {"CLIENT_POLICY_WS", SETTING_CHOICE, AT(ws_policy), "drop-oldest", 0, 0, false, policies, NULL,
     "the same for WebSocket clients; default: CLIENT_POLICY"},
    {"CLIENT_POLICY_GRPC", SETTING_CHOICE, AT(grpc_policy), "drop-oldest", 0, 0, false, policies, NULL,
     "the same for gRPC clients; default: CLIENT_POLICY"},
    {"NODE_QUEUE_BYTES", SETTING_U32, AT(node_queue_bytes), "268435456", 65536, 4294967295.0, false, NULL,
     NULL, "what may be published to one node and not confirmed; past it another node gets it, or 503 is answered"},
    {"MAX_CLIENTS", SETTING_U32, AT(max_clients), "100000", 1, 10000000, false, NULL, NULL,
     "client ids remembered at once"},
    {"MAX_CLIENT_TOPICS", SETTING_U32, AT(max_client_topics), "1024", 1, GW_TOPICS_MAX, false, NULL, NULL,
     "topics of one client; with ENABLE_AUTH of one token, for all its client ids together"},
    {"MAX_SEEN", SETTING_U32, AT(max_seen), "1048576", 1024, 16777216, false, NULL, NULL,
     "messages remembered for 120 s so that repeats are known, rounded up to a power of two; up to 92 bytes each"},
    {"MAX_CONNECTIONS", SETTING_U32, AT(max_connections), "20000", 1, 1000000, false, NULL, NULL,
     "HTTP connections at once"},
    {"REQUEST_TIMEOUT", SETTING_U32, AT(request_timeout_s), "30", 1, 3600, false, NULL, NULL,
     "seconds for a request to arrive whole"},
    {"DRAIN_MS", SETTING_U32, AT(drain_ms), "2000", 0, 60000, false, NULL, NULL,
     "milliseconds for answers to finish at the end"},
};

#define COUNT(table) (sizeof(table) / sizeof(table[0]))

static bool is_host_port(const char *s)
{
    const char *colon = strrchr(s, ':');
    unsigned port = 0;
    size_t host = colon ? (size_t)(colon - s) : 0;

    if (host == 0 || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (memchr(s, ':', host) && (s[0] != '[' || s[host - 1] != ']'))
        return false; /* an IPv6 address needs its brackets */
    if (strcspn(s, " \t/@") != strlen(s))
        return false;
    sscanf(colon + 1, "%u", &port);
    return port >= 1 && port <= 65535;
}

static bool has_node(const struct gw_config *c, const char *target)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i], target) == 0)
            return true;
    return false;
}

static void add_node(struct gw_config *c, const char *item, size_t len, struct settings_report *rep)
{
    unsigned most = GW_NODES_MAX - (c->is_inside ? 1 : 0);
    char target[128];

    while (len && (*item == ' ' || *item == '\t')) {
        item++;
        len--;
    }
    while (len && (item[len - 1] == ' ' || item[len - 1] == '\t'))
        len--;
    snprintf(target, sizeof(target), "%.*s", (int)len, item);
    if (len == 0)
        settings_fatal(rep, "P2P_NODES", c->p2p_nodes,
                       "holds an empty item; it must be a comma list of HOST:PORT");
    else if (len >= sizeof(target) || !is_host_port(target))
        settings_fatal(rep, "P2P_NODES", c->p2p_nodes, "%.60s%s is not HOST:PORT with a port from 1 to 65535",
                       target, len > 60 ? ".." : "");
    else if (has_node(c, target))
        settings_warn(rep, "P2P_NODES", c->p2p_nodes, "%s is named twice", target);
    else if (c->n_nodes == most)
        settings_fatal(rep, "P2P_NODES", c->p2p_nodes, "must name at most %u nodes", most);
    else
        strcpy(c->nodes[c->n_nodes++], target);
}

/* One comma at the end is forgiven, an empty item is not. */
static void split_nodes(struct gw_config *c, struct settings_report *rep)
{
    const char *p = c->p2p_nodes ? c->p2p_nodes : "";

    while (*p) {
        size_t n = strcspn(p, ",");

        add_node(c, p, n, rep);
        p += n + (p[n] == ',');
    }
}

static const char *listen_text(const struct setting_listen *l, char out[80])
{
    snprintf(out, 80, strchr(l->host, ':') ? "[%s]:%u" : "%s:%u", l->host, l->port);
    return out;
}

static bool is_same_port(const struct setting_listen *a, const struct setting_listen *b)
{
    return a->port && a->port == b->port && (!a->host[0] || !b->host[0] || strcmp(a->host, b->host) == 0);
}

static void check_ports(const struct gw_config *c, struct settings_report *rep)
{
    const struct setting_listen *a[] = {&c->proxy, &c->grpc, &c->api};
    static const char *const names[] = {"PROXY_PORT", "PROXY_GRPC_PORT", "API_PORT"};
    char text[80];

    for (unsigned i = 0; i < 3; i++) {
        if (a[i]->host[0] && !settings_ip_bits(a[i]->host))
            settings_fatal(rep, names[i], listen_text(a[i], text),
                           "the host to listen on must be an IP address");
        for (unsigned j = 0; j < i; j++)
            if (is_same_port(a[i], a[j]))
                settings_fatal(rep, names[i], listen_text(a[i], text), "must differ from %s", names[j]);
    }
}

static void load_rows(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep)
{
    settings_load(rows, COUNT(rows), c, get, ctx, rep);
    if (!settings_is_set(get, ctx, "CLIENT_POLICY_WS"))
        c->ws_policy = c->client_policy;
    if (!settings_is_set(get, ctx, "CLIENT_POLICY_GRPC"))
        c->grpc_policy = c->client_policy;
    split_nodes(c, rep);
    check_ports(c, rep);
    gw_config_auth_load(c, get, ctx, rep);
}

unsigned gw_config_load(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep)
{
    unsigned before = rep->fatal;

    memset(c, 0, sizeof(*c));
    settings_load(program_rows, COUNT(program_rows), c, get, ctx, rep);
    settings_check_name(rep, "CLUSTER_ID", c->cluster_id);
    settings_check_country(rep, c->country, c->country_iso);
    settings_check_user(&c->run_as_user, "RUN_AS_USER", c->run_as, rep);
    load_rows(c, get, ctx, rep);
    return rep->fatal - before;
}

bool gw_config_load_inside(struct gw_config *c, const char *cluster_id, settings_lookup get, void *ctx,
                           struct settings_report *rep)
{
    memset(c, 0, sizeof(*c));
    if (!settings_is_set(get, ctx, inside_rows[0].name))
        return false;
    c->is_inside = true;
    c->cluster_id = cluster_id;
    settings_load(inside_rows, COUNT(inside_rows), c, get, ctx, rep);
    load_rows(c, get, ctx, rep);
    return true;
}

void gw_config_print_help(FILE *f)
{
    settings_print_help(f, program_rows, COUNT(program_rows));
    settings_print_help(f, rows, COUNT(rows));
    gw_config_auth_print_help(f, false);
}

void gw_config_print_help_inside(FILE *f)
{
    settings_print_help(f, inside_rows, COUNT(inside_rows));
    settings_print_help(f, rows, COUNT(rows));
    gw_config_auth_print_help(f, true);
}

void gw_config_print(FILE *f, const struct gw_config *c)
{
    if (!c->is_inside)
        fprintf(f, "CLUSTER_ID=%s\nLOG_LEVEL=%s\nLOG_FORMAT=%s\nOPTIMUM_MAX_MSG_SIZE=%u\n", c->cluster_id,
                setting_log_levels[c->log_level], setting_log_formats[c->log_format], c->max_message_bytes);
    fprintf(f, "PROXY_PORT=%s:%u\nPROXY_GRPC_PORT=%s:%u\n", c->proxy.host, c->proxy.port, c->grpc.host, c->grpc.port);
    if (!c->is_inside)
        fprintf(f, "API_PORT=%s:%u\n", c->api.host, c->api.port);
    fprintf(f, "SUBSCRIBER_THRESHOLD=%g\n", c->threshold);
    for (unsigned i = 0; i < c->n_nodes; i++)
        fprintf(f, "%s%s%s", i ? "," : "P2P_NODES=", c->nodes[i], i + 1 == c->n_nodes ? "\n" : "");
    fprintf(f, "CORS_ORIGINS=%s\nSUBSCRIPTIONS_FILE=%s\nCOUNTRY=%s\nCOUNTRY_ISO=%s\n", c->cors_origins, c->subscriptions_file, c->country,
            c->country_iso);
    fprintf(f, "HTTP_THREADS=%u\nGRPC_THREADS=%u\nCLIENT_QUEUE_BYTES=%u\nCLIENT_POLICY=%s\n", c->http_threads,
            c->grpc_threads, c->client_queue_bytes, policies[c->client_policy]);
    fprintf(f, "CLIENT_POLICY_WS=%s\nCLIENT_POLICY_GRPC=%s\n", policies[c->ws_policy], policies[c->grpc_policy]);
    fprintf(f, "CLIENTS_QUEUE_BYTES=%u\n", c->clients_queue_bytes);
    fprintf(f, "NODE_QUEUE_BYTES=%u\nTHRESHOLD_NODES=%s\n", c->node_queue_bytes, threshold_nodes[c->threshold_nodes]);
    fprintf(f, "MAX_CLIENTS=%u\nMAX_CLIENT_TOPICS=%u\nMAX_SEEN=%u\nMAX_CONNECTIONS=%u\nREQUEST_TIMEOUT=%u\nDRAIN_MS=%u\n", c->max_clients, c->max_client_topics, c->max_seen,
            c->max_connections, c->request_timeout_s, c->drain_ms);
    gw_config_auth_print(f, c);
}
