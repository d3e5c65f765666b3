/* auth_settings.c: the settings about tokens and limits */
#include "auth/auth_settings.h"

#include <errno.h>
#include <math.h>

#define AT(field) offsetof(struct auth_settings, field)

static const struct setting table[] = {
    {"AUTH0_DOMAIN", SETTING_TEXT, AT(domain), "", 0, 0, false, NULL, NULL,
     "issuer of the tokens: HOST, HOST:PORT or HOST/PATH; its keys are at https://.../.well-known/jwks.json"},
    {"AUTH0_AUDIENCE", SETTING_TEXT, AT(audience), "", 0, 0, false, NULL, NULL, "audience of the tokens"},
    {"AUTH_CA_FILE", SETTING_TEXT, AT(ca_file), "", 0, 0, false, NULL, NULL,
     "PEM file of the authorities that vouch for the issuer; not set: the system's"},
    {"AUTH_KEYS_REFRESH", SETTING_U32, AT(refresh_s), "600", 1, 86400, false, NULL, NULL,
     "seconds after which the issuer is asked for its keys again"},
    {"LIMIT_PUBLISH_PER_SEC", SETTING_REAL, AT(per_second), "0", 0, 1e9, false, NULL, NULL,
     "publishes of one client in a second, unless its token says; 0: 2 with tokens, else no limit"},
    {"LIMIT_PUBLISH_PER_HOUR", SETTING_REAL, AT(per_hour), "0", 0, 1e15, false, NULL, NULL,
     "publishes of one client in an hour, unless its token says; 0: 100 with tokens, else no limit"},
    {"LIMIT_MESSAGE_BYTES", SETTING_REAL, AT(message_bytes), "0", 0, 1e15, false, NULL, NULL,
     "largest message of one client, unless its token says; 0: 2 MiB with tokens, else no limit"},
    {"LIMIT_DAILY_BYTES", SETTING_REAL, AT(daily_bytes), "0", 0, 1e18, false, NULL, NULL,
     "bytes of one client in a day, unless its token says; 0: 100 MiB with tokens, else no limit"},
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static bool can_read(const char *path)
{
    FILE *f = fopen(path, "re");

    if (f)
        fclose(f);
    return f != NULL;
}

void auth_settings_load(struct auth_settings *s, const char *switch_name, bool has_tokens, settings_lookup get, void *ctx,
                        struct settings_report *rep)
{
    settings_load(table, ROWS, s, get, ctx, rep);
    if (!has_tokens)
        return;
    if (!s->domain[0])
        settings_fatal(rep, "AUTH0_DOMAIN", NULL, "must be set when %s is true", switch_name);
    else if (!auth_domain_is_valid(s->domain))
        settings_fatal(rep, "AUTH0_DOMAIN", s->domain,
                       "must be a host name, with a port or path if need be; it is asked by https alone");
    if (!s->audience[0])
        settings_fatal(rep, "AUTH0_AUDIENCE", NULL, "must be set when %s is true", switch_name);
    if (s->ca_file[0] && !can_read(s->ca_file))
        settings_fatal(rep, "AUTH_CA_FILE", s->ca_file, "must be a file that can be read: %s", strerror(errno));
}

void auth_settings_print_help(FILE *f)
{
    settings_print_help(f, table, ROWS);
}

void auth_settings_print(FILE *f, const struct auth_settings *s)
{
    fprintf(f, "AUTH0_DOMAIN=%s\nAUTH0_AUDIENCE=%s\nAUTH_CA_FILE=%s\nAUTH_KEYS_REFRESH=%u\n", s->domain, s->audience,
            s->ca_file, s->refresh_s);
    fprintf(f, "LIMIT_PUBLISH_PER_SEC=%g\nLIMIT_PUBLISH_PER_HOUR=%g\nLIMIT_MESSAGE_BYTES=%.0f\nLIMIT_DAILY_BYTES=%.0f\n",
            s->per_second, s->per_hour, s->message_bytes, s->daily_bytes);
}

bool auth_settings_has_limits(const struct auth_settings *s)
{
    return s->per_second > 0 || s->per_hour > 0 || s->message_bytes > 0 || s->daily_bytes > 0;
}

static uint64_t count_or(double set, uint64_t otherwise)
{
    return set > 0 ? (uint64_t)set : otherwise;
}

struct auth_guard_config auth_settings_guard(const struct auth_settings *s, bool has_tokens, uint32_t max_clients)
{
    bool t = has_tokens; /* compat: API section 4 has these */

    return (struct auth_guard_config){
        .domain = has_tokens ? s->domain : NULL,
        .audience = s->audience,
        .ca_file = s->ca_file,
        .refresh_s = s->refresh_s,
        .max_clients = max_clients,
        .defaults = {.per_second = s->per_second > 0 ? s->per_second : t ? 2 : INFINITY,
                     .per_hour = count_or(s->per_hour, t ? 100 : AUTH_UNLIMITED),
                     .message_bytes = count_or(s->message_bytes, t ? 2u << 20 : AUTH_UNLIMITED),
                     .daily_bytes = count_or(s->daily_bytes, t ? 100u << 20 : AUTH_UNLIMITED)}};
}
