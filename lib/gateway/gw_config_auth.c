/* gw_config_auth.c: the settings about tokens, limits and TLS */
#include <string.h>

#include "gateway/gw_config.h"

#define AT(field) offsetof(struct gw_config, field)

static const struct setting table[] = {
    {"ENABLE_AUTH", SETTING_BOOL, AT(enable_auth), "false", 0, 0, false, NULL, NULL, "whether clients need a token"},
    {"METRICS_AUTH", SETTING_BOOL, AT(metrics_auth), "false", 0, 0, false, NULL, NULL,
     "whether metrics need a token too, with ENABLE_AUTH"},
    {"P2P_TOKEN_FILE", SETTING_TEXT, AT(node_token_file), "", 0, 0, false, NULL, NULL,
     "file with a token for nodes that want one (their SIDECAR_AUTH); read again for every stream"},
    {"PROXY_TLS_CERT", SETTING_TEXT, AT(tls_cert), "", 0, 0, false, NULL, NULL,
     "PEM file, certificate and chain: TLS for HTTP, WebSocket and gRPC clients; read again when it changes"},
    {"PROXY_TLS_KEY", SETTING_TEXT, AT(tls_key), "", 0, 0, false, NULL, NULL, "PEM file, private key of that certificate"},
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static void check_tls(const struct gw_config *c, struct settings_report *rep)
{
    if (c->tls_cert[0] && !c->tls_key[0])
        settings_fatal(rep, "PROXY_TLS_KEY", NULL, "must be set when PROXY_TLS_CERT is");
    if (c->tls_key[0] && !c->tls_cert[0])
        settings_fatal(rep, "PROXY_TLS_CERT", NULL, "must be set when PROXY_TLS_KEY is");
    if (c->enable_auth && !c->tls_cert[0])
        settings_warn(rep, "PROXY_TLS_CERT", NULL, "tokens cross the network in the clear unless something in front has TLS");
}

void gw_config_auth_load(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep)
{
    settings_load(table, ROWS, c, get, ctx, rep);
    auth_settings_load(&c->auth, "ENABLE_AUTH", c->enable_auth, get, ctx, rep);
    check_tls(c, rep);
}

void gw_config_auth_print_help(FILE *f, bool is_inside)
{
    settings_print_help(f, table, ROWS);
    if (!is_inside) /* the node has them too */
        auth_settings_print_help(f);
}

void gw_config_auth_print(FILE *f, const struct gw_config *c)
{
    fprintf(f, "ENABLE_AUTH=%s\nMETRICS_AUTH=%s\nP2P_TOKEN_FILE=%s\nPROXY_TLS_CERT=%s\nPROXY_TLS_KEY=%s\n",
            c->enable_auth ? "true" : "false", c->metrics_auth ? "true" : "false", c->node_token_file, c->tls_cert, c->tls_key);
    auth_settings_print(f, &c->auth);
}
