/* gw_auth.c: who a client is, and how much it may publish */
#include "gateway/gw_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"

#define SEPARATOR '\x1f' /* between a client id and the token it belongs to: names cannot hold it */

int gw_auth_start(struct gateway *gw, const uint8_t seed[16])
{
    struct auth_guard_config cfg = auth_settings_guard(&gw->cfg.auth, gw->cfg.enable_auth, gw->cfg.max_clients);

    gw->quota = cfg.defaults;
    gw->guard = auth_guard_new(&cfg, seed);
    return gw->guard ? 0 : -GW_E_NOMEM;
}

bool gw_auth_has_limits(const struct gateway *gw)
{
    return gw->cfg.enable_auth || auth_settings_has_limits(&gw->cfg.auth);
}

struct auth_grant *gw_auth_keep(const struct auth_grant *g)
{
    struct auth_grant *copy = g ? malloc(sizeof(*copy)) : NULL;

    if (copy)
        *copy = *g;
    return copy;
}

bool gw_auth_is_over(struct gateway *gw, const struct auth_grant *g)
{
    if (!g || time(NULL) < g->expires_s)
        return false;
    auth_guard_refuse(gw->guard, -AUTH_E_EXPIRED);
    return true;
}

int gw_auth_name(const struct auth_grant *g, const struct gw_name *given, struct gw_name *out)
{
    struct slice own = g ? auth_grant_client(g) : (struct slice){0}, name = gw_name_slice(given);

    if (!g || slice_is_equal(own, name)) {
        *out = *given;
        return 0;
    }
    if (!name.len)
        return gw_name_set(out, own, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);
    if (name.len + 1 + own.len > GW_NAME_MAX)
        return -GW_E_CLIENT_LONG;
    *out = *given;
    out->text[name.len] = SEPARATOR;
    memcpy(out->text + name.len + 1, own.p, own.len);
    out->len = name.len + 1 + own.len;
    return 0;
}

struct slice gw_auth_shown(struct slice name)
{
    const uint8_t *end = name.len ? memchr(name.p, SEPARATOR, name.len) : NULL;

    return end ? slice_of(name.p, (size_t)(end - name.p)) : name;
}

struct slice gw_auth_owner(struct slice name)
{
    const uint8_t *end = name.len ? memchr(name.p, SEPARATOR, name.len) : NULL;

    return end ? slice_of(end + 1, name.len - (size_t)(end + 1 - name.p)) : name;
}

/* ---- limits ---- */

static int limit_error(int err)
{
    switch (-err) {
    case AUTH_E_SECOND: return -GW_E_LIMIT_SECOND;
    case AUTH_E_HOUR: return -GW_E_LIMIT_HOUR;
    case AUTH_E_DAY: return -GW_E_LIMIT_DAY;
    case AUTH_E_SIZE: return -GW_E_LIMIT_SIZE;
    default: return -GW_E_NOMEM;
    }
}

static void refusal_text(struct gw_refusal *r, const struct auth_quota *q)
{
    unsigned long long day = q->daily_bytes, size = q->message_bytes < day ? q->message_bytes : day;
    const char *why = gw_err_text(r->err);

    switch (-r->err) {
    case GW_E_LIMIT_SECOND:
        snprintf(r->text, sizeof(r->text), "%s: at most %g publishes per second; try again in %u s", why, q->per_second,
                 r->retry_s);
        break;
    case GW_E_LIMIT_HOUR:
        snprintf(r->text, sizeof(r->text), "%s: at most %llu publishes per hour; try again in %u s", why,
                 (unsigned long long)q->per_hour, r->retry_s);
        break;
    case GW_E_LIMIT_DAY:
        snprintf(r->text, sizeof(r->text), "%s: at most %llu bytes per day; try again in %u s", why, day, r->retry_s);
        break;
    case GW_E_LIMIT_SIZE:
        snprintf(r->text, sizeof(r->text), "%s: at most %llu bytes", why, size);
        r->retry_s = 0;
        break;
    default: snprintf(r->text, sizeof(r->text), "%s", why); r->retry_s = 0;
    }
}

/* The address without its port: "1.2.3.4:5", "[::1]:5", and gRPC's "ipv4:1.2.3.4:5". */
static struct slice address_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');

    return slice_of(peer, colon ? (size_t)(colon - peer) : strlen(peer));
}

int gw_auth_publish(struct gateway *gw, const struct auth_grant *g, struct slice client, const char *peer, uint64_t bytes,
                    struct gw_refusal *r)
{
    const struct auth_quota *q = g ? &g->quota : &gw->quota;
    int rc;

    r->err = 0;
    if (!gw_auth_has_limits(gw))
        return 0;
    if (g)
        client = auth_grant_client(g);
    else if (!client.len)
        client = address_of(peer);
    rc = auth_guard_publish(gw->guard, client, q, bytes, &r->retry_s, gw_now_ns());
    if (!rc)
        return 0;
    r->err = limit_error(rc);
    gw_count(&gw->count.publish_errors[-r->err], 1);
    refusal_text(r, q);
    return r->err;
}

/* ---- metrics ---- */

/* Labels of refusals: no spaces, and stable when the words for clients change. */
static const struct {
    int err;
    const char *reason;
} refusals[] = {{AUTH_E_MISSING, "missing"},     {AUTH_E_LONG, "long"},           {AUTH_E_FORM, "form"},
                {AUTH_E_HEADER, "header"},       {AUTH_E_ALG, "algorithm"},       {AUTH_E_CRIT, "critical"},
                {AUTH_E_KID, "no_key_id"},       {AUTH_E_KEY, "unknown_key"},     {AUTH_E_SIGNATURE, "signature"},
                {AUTH_E_CLAIMS, "claims"},       {AUTH_E_EXPIRED, "expired"},     {AUTH_E_EARLY, "early"},
                {AUTH_E_ISSUER, "issuer"},       {AUTH_E_AUDIENCE, "audience"},   {AUTH_E_CLIENT, "client"},
                {AUTH_E_INACTIVE, "inactive"},   {AUTH_E_NO_KEYS, "no_keys_yet"}, {AUTH_E_ASKING, "asking"}},
  limits[] = {{AUTH_E_SECOND, "second"}, {AUTH_E_HOUR, "hour"}, {AUTH_E_DAY, "day"}, {AUTH_E_SIZE, "size"}};

static void token_metrics(struct metrics *m, const struct auth_guard_stats *st)
{
    metrics_counter(m, "codecast_auth_tokens_accepted_total", "Tokens that were good.", st->accepted);
    metrics_counter(m, "codecast_auth_tokens_remembered_total", "Of these, those whose signature had been checked before.",
                    st->from_cache);
    metrics_family(m, "codecast_auth_tokens_refused_total", "counter", "Tokens refused, by reason.");
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        metrics_u64(m, (struct metrics_label[]){{"reason", refusals[i].reason}}, 1, st->refused[refusals[i].err]);
    metrics_gauge(m, "codecast_auth_keys", "Keys of the issuer.", st->issuer.keys);
    metrics_gauge(m, "codecast_auth_keys_age_seconds", "Age of the issuer's keys; -1: none yet.", (double)st->issuer.age_s);
    metrics_counter(m, "codecast_auth_fetches_total", "Times that the issuer gave its keys.", st->issuer.fetched);
    metrics_counter(m, "codecast_auth_fetches_failed_total", "Times that it could not be asked.", st->issuer.failed);
}

void gw_auth_metrics(struct gateway *gw, struct metrics *m)
{
    struct auth_guard_stats st;

    auth_guard_stats(gw->guard, &st);
    if (auth_guard_has_tokens(gw->guard))
        token_metrics(m, &st);
    metrics_family(m, "codecast_auth_limited_total", "counter", "Publishes refused by a client's limits.");
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        metrics_u64(m, (struct metrics_label[]){{"limit", limits[i].reason}}, 1, st.refused[limits[i].err]);
    metrics_gauge(m, "codecast_auth_metered_clients", "Clients whose publishes are counted.", (double)st.clients);
    metrics_counter(m, "codecast_auth_metered_forgotten_total", "Clients whose counts made way for others.", st.forgotten);
}
