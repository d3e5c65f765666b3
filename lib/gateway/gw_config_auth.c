/* gw_config_auth.c: the settings about tokens, limits and TLS */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth_guard.h"
#include "gateway/gw_config.h"

#define AT(field) offsetof(struct gw_config, field)

static const struct setting table[] = {
    {"ENABLE_AUTH", SETTING_BOOL, AT(enable_auth), "false", 0, 0, false, NULL, NULL, "whether clients need a token"},
    {"AUTH0_DOMAIN", SETTING_TEXT, AT(auth0_domain), "", 0, 0, false, NULL, NULL,
     "issuer of the tokens, with ENABLE_AUTH: HOST, HOST:PORT or HOST/PATH; its keys are at https://.../.well-known/jwks.json"},
    {"AUTH0_AUDIENCE", SETTING_TEXT, AT(auth0_audience), "", 0, 0, false, NULL, NULL,
     "audience of the tokens, with ENABLE_AUTH"},
    {"AUTH_CA_FILE", SETTING_TEXT, AT(auth_ca_file), "", 0, 0, false, NULL, NULL,
     "PEM file of the authorities that vouch for the issuer; not set: the system's"},
    {"AUTH_KEYS_REFRESH", SETTING_U32, AT(auth_keys_refresh_s), "600", 1, 86400, false, NULL, NULL,
     "seconds after which the issuer is asked for its keys again"},
    {"METRICS_AUTH", SETTING_BOOL, AT(metrics_auth), "false", 0, 0, false, NULL, NULL,
     "whether metrics need a token too, with ENABLE_AUTH"},
    {"LIMIT_PUBLISH_PER_SEC", SETTING_REAL, AT(limit_per_second), "0", 0, 1e9, false, NULL, NULL,
     "publishes of one client in a second, unless its token says; 0: 2 with ENABLE_AUTH, else no limit"},
    {"LIMIT_PUBLISH_PER_HOUR", SETTING_REAL, AT(limit_per_hour), "0", 0, 1e15, false, NULL, NULL,
     "publishes of one client in an hour, unless its token says; 0: 100 with ENABLE_AUTH, else no limit"},
    {"LIMIT_MESSAGE_BYTES", SETTING_REAL, AT(limit_message_bytes), "0", 0, 1e15, false, NULL, NULL,
     "largest message of one client, unless its token says; 0: 2 MiB with ENABLE_AUTH, else no limit"},
    {"LIMIT_DAILY_BYTES", SETTING_REAL, AT(limit_daily_bytes), "0", 0, 1e18, false, NULL, NULL,
     "bytes of one client in a day, unless its token says; 0: 100 MiB with ENABLE_AUTH, else no limit"},
    {"PROXY_TLS_CERT", SETTING_TEXT, AT(tls_cert), "", 0, 0, false, NULL, NULL,
     "PEM file, certificate and chain: TLS for HTTP, WebSocket and gRPC clients; read again when it changes"},
    {"PROXY_TLS_KEY", SETTING_TEXT, AT(tls_key), "", 0, 0, false, NULL, NULL, "PEM file, private key of that certificate"},
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static void check_tokens(const struct gw_config *c, struct settings_report *rep)
{
    if (!c->auth0_domain[0])
        settings_fatal(rep, "AUTH0_DOMAIN", NULL, "must be set when ENABLE_AUTH is true");
    else if (!auth_domain_is_valid(c->auth0_domain))
        settings_fatal(rep, "AUTH0_DOMAIN", c->auth0_domain, "must be a host name, with a port or path if need be; it is asked by https alone");
    if (!c->auth0_audience[0])
        settings_fatal(rep, "AUTH0_AUDIENCE", NULL, "must be set when ENABLE_AUTH is true");
    if (c->auth_ca_file[0] && access(c->auth_ca_file, R_OK) != 0)
        settings_fatal(rep, "AUTH_CA_FILE", c->auth_ca_file, "must be a file that can be read");
}

static void check_tls(const struct gw_config *c, struct settings_report *rep)
{
    if (c->tls_cert[0] && !c->tls_key[0])
        settings_fatal(rep, "PROXY_TLS_KEY", NULL, "must be set when PROXY_TLS_CERT is");
    if (c->tls_key[0] && !c->tls_cert[0])
        settings_fatal(rep, "PROXY_TLS_CERT", NULL, "must be set when PROXY_TLS_KEY is");
    if (c->enable_auth && !c->tls_cert[0])
        settings_warn(rep, "PROXY_TLS_CERT", NULL, "is not set: tokens cross the network in the clear unless something in front has TLS");
}

void gw_config_auth_load(struct gw_config *c, settings_lookup get, void *ctx, struct settings_report *rep)
{
    settings_load(table, ROWS, c, get, ctx, rep);
    if (c->enable_auth)
        check_tokens(c, rep);
    check_tls(c, rep);
}

void gw_config_auth_print_help(FILE *f)
{
    settings_print_help(f, table, ROWS);
}

void gw_config_auth_print(FILE *f, const struct gw_config *c)
{
    fprintf(f, "ENABLE_AUTH=%s\nAUTH0_DOMAIN=%s\nAUTH0_AUDIENCE=%s\nAUTH_CA_FILE=%s\nAUTH_KEYS_REFRESH=%u\nMETRICS_AUTH=%s\n",
            c->enable_auth ? "true" : "false", c->auth0_domain, c->auth0_audience, c->auth_ca_file, c->auth_keys_refresh_s,
            c->metrics_auth ? "true" : "false");
    fprintf(f, "LIMIT_PUBLISH_PER_SEC=%g\nLIMIT_PUBLISH_PER_HOUR=%g\nLIMIT_MESSAGE_BYTES=%.0f\nLIMIT_DAILY_BYTES=%.0f\n",
            c->limit_per_second, c->limit_per_hour, c->limit_message_bytes, c->limit_daily_bytes);
    fprintf(f, "PROXY_TLS_CERT=%s\nPROXY_TLS_KEY=%s\n", c->tls_cert, c->tls_key);
}
