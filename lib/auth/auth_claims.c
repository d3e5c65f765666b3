/* auth_claims.c: a verified token's claims
 * Note:    a claim that is there but cannot be understood refuses the token: a limit must not vanish by a typing error
 */
#include <math.h>
#include <stdlib.h>

#include <jansson.h>

#include "auth/auth_token.h"

#define AUDIENCES_MAX 64

/* A number, or a number in a string, as some issuers write them. */
static bool number_of(const json_t *v, double *out)
{
    const char *s = json_string_value(v);
    char *end;

    if (json_is_number(v)) {
        *out = json_number_value(v);
        return isfinite(*out);
    }
    if (!s || !((*s >= '0' && *s <= '9') || *s == '-'))
        return false;
    *out = strtod(s, &end);
    return !*end && isfinite(*out);
}

/* A limit of at least 0; absent: as it was. */
static bool read_real(const json_t *claims, const char *name, double *out)
{
    const json_t *v = json_object_get(claims, name);
    double x;

    if (!v || json_is_null(v))
        return true;
    if (!number_of(v, &x) || x < 0)
        return false;
    *out = x;
    return true;
}

static bool read_count(const json_t *claims, const char *name, uint64_t *out)
{
    double x = -1;

    if (!read_real(claims, name, &x))
        return false;
    if (x >= 0)
        *out = x < 1.8e19 ? (uint64_t)x : AUTH_UNLIMITED;
    return true;
}

/* true, 1, "true", "1"; absent counts as active: not every issuer has the claim. */
static bool read_active(const json_t *v, bool *out)
{
    const char *s = json_string_value(v);
    double x;

    *out = true;
    if (!v || json_is_null(v))
        return true;
    if (json_is_boolean(v)) {
        *out = json_is_true(v);
    } else if (s && (strcasecmp(s, "true") == 0 || strcasecmp(s, "false") == 0)) {
        *out = strcasecmp(s, "true") == 0;
    } else {
        if (!number_of(v, &x))
            return false;
        *out = x != 0;
    }
    return true;
}

static bool is_text_equal(const json_t *v, const char *want)
{
    return json_is_string(v) && slice_is_equal(slice_of(json_string_value(v), json_string_length(v)), slice_str(want));
}

static bool is_issuer(const json_t *v, const char *issuer)
{
    size_t n = strlen(issuer);
    const char *s = json_string_value(v);

    return s && strncmp(s, issuer, n) == 0 && (!s[n] || strcmp(s + n, "/") == 0);
}

static bool is_audience(const json_t *v, const char *audience)
{
    if (json_is_string(v))
        return is_text_equal(v, audience);
    for (size_t i = 0; i < json_array_size(v) && i < AUDIENCES_MAX; i++)
        if (is_text_equal(json_array_get(v, i), audience))
            return true;
    return false;
}

/* exp is a must, nbf is not; both are numbers (RFC 7519 2: NumericDate). */
static int read_times(const json_t *claims, const struct auth_policy *p, struct auth_grant *g, int64_t now_s)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    double leeway = (double)p->leeway_s, end;

    if (!json_is_number(exp) || (nbf && !json_is_number(nbf)))
        return -AUTH_E_CLAIMS;
    end = json_number_value(exp) + leeway;
    if (!((double)now_s < end))
        return -AUTH_E_EXPIRED;
    if (nbf && !(json_number_value(nbf) <= (double)now_s + leeway))
        return -AUTH_E_EARLY;
    g->expires_s = end < 9e18 ? (int64_t)end : INT64_MAX;
    return 0;
}

/* As names of clients are everywhere: no control characters (jansson has seen to it that it is UTF-8). */
static bool read_client(const json_t *v, struct auth_grant *g)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);

    if (!s || n == 0 || n > AUTH_CLIENT_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    memcpy(g->client, s, n + 1);
    g->client_len = n;
    return true;
}

static int read_claims(const json_t *c, const struct auth_policy *p, struct auth_grant *g, int64_t now_s)
{
    const json_t *client = json_object_get(c, "client_id");
    int rc;

    if (!json_is_object(c))
        return -AUTH_E_CLAIMS;
    if (!is_issuer(json_object_get(c, "iss"), p->issuer))
        return -AUTH_E_ISSUER;
    if (!is_audience(json_object_get(c, "aud"), p->audience))
        return -AUTH_E_AUDIENCE;
    rc = read_times(c, p, g, now_s);
    if (rc)
        return rc;
    if (!client || json_is_null(client) || is_text_equal(client, ""))
        client = json_object_get(c, "sub");
    if (!read_client(client, g))
        return -AUTH_E_CLIENT;
    if (!read_active(json_object_get(c, "is_active"), &g->is_active) ||
        !read_real(c, "max_publish_per_sec", &g->quota.per_second) ||
        !read_count(c, "max_publish_per_hour", &g->quota.per_hour) ||
        !read_count(c, "max_message_size", &g->quota.message_bytes) ||
        !read_count(c, "daily_quota", &g->quota.daily_bytes))
        return -AUTH_E_CLAIMS;
    return g->is_active ? 0 : -AUTH_E_INACTIVE;
}

int auth_claims_read(struct slice json, const struct auth_policy *p, struct auth_grant *out, int64_t now_s)
{
    json_t *c = json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
    int rc;

    *out = (struct auth_grant){.quota = p->defaults};
    rc = read_claims(c, p, out, now_s);
    json_decref(c);
    return rc;
}
