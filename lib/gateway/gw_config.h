/* gw_config.h: the gateway's settings, from the environment
 * Shape:   variables -> a checked struct; every broken rule is one fatal line naming variable, value and rule
 * Memory:  texts point at the environment or at the defaults
 */
#ifndef GATEWAY_GW_CONFIG_H
#define GATEWAY_GW_CONFIG_H

#include <sched.h>

#include "auth/auth_settings.h"
#include "base/rights.h"
#include "base/settings.h"
#include "gateway/gw_link.h"
#include "http/ws_conn.h"

/* The nodes that a threshold is a share of. */
enum { GW_OF_ALL, GW_OF_REACHABLE };

struct gw_config {
    const char *cluster_id;
    struct setting_listen proxy, grpc, api;
    const char *p2p_nodes;
    double threshold;
    int threshold_nodes; /* GW_OF_ALL, GW_OF_REACHABLE */
    int log_level;
    int log_format;
    const char *cors_origins, *country, *country_iso;
    bool enable_auth, metrics_auth;
    struct auth_settings auth;
    const char *node_token_file; /* "": nodes get no token */
    const char *tls_cert, *tls_key; /* files; "": no TLS */
    uint32_t max_message_bytes; /* 0: learned from the nodes */
    uint32_t http_threads, grpc_threads;
    uint32_t client_queue_bytes, clients_queue_bytes, node_queue_bytes;
    int client_policy;          /* enum ws_policy */
    int ws_policy, grpc_policy; /* the same, of each kind of client */
    uint32_t max_clients, max_client_topics, max_connections, max_seen;
    uint32_t request_timeout_s, drain_ms;
    const char *subscriptions_file; /* "": forgotten with the program */
    const char *run_as; /* "": stays who it is */
    struct rights_user run_as_user;

    /* derived */
    char nodes[GW_NODES_MAX][128];
    unsigned n_nodes;
    const cpu_set_t *cpus; /* set by the program; NULL: any */
    bool is_inside;        /* a node, which has the name, the log and the port for monitoring */
};

/* What a payload may have while neither the setting nor a node says less. */
#define GW_MESSAGE_CEILING (32u << 20)

/* Returns the number of fatal lines. */
unsigned gw_config_load(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep);
/* The settings of a gateway inside a node, beside the node's own. False: PROXY_PORT is not set, none is wanted. */
bool gw_config_load_inside(struct gw_config *c, const char *cluster_id, settings_lookup get, void *ctx,
                           struct settings_report *rep);
void gw_config_print_help(FILE *f);
void gw_config_print_help_inside(FILE *f);
/* "name=value" lines; secrets are not among the settings. */
void gw_config_print(FILE *f, const struct gw_config *c);
/* gw_config_auth.c: the part about tokens, limits and TLS */
void gw_config_auth_load(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep);
void gw_config_auth_print_help(FILE *f, bool is_inside);
void gw_config_auth_print(FILE *f, const struct gw_config *c);

#endif
