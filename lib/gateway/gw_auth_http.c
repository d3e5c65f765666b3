/* gw_auth_http.c: the gate in front of every HTTP handler */
#include <stdio.h>
#include <time.h>

#include "gateway/gw_impl.h"

#define KEYS_RETRY_S 5 /* the issuer is away: no use in asking at once */

/* Paths as they are without their family; pages are all below /assets/. */
static bool is_open(const struct gateway *gw, const char *path)
{
    static const char *const open[] = {"/health", "/version", "/", "/index.html", "/favicon.ico", NULL};

    if (strncmp(path, "/api/v1/", 8) == 0)
        path += 7;
    else if (strncmp(path, "/api/", 5) == 0)
        path += 4;
    for (const char *const *p = open; *p; p++)
        if (strcmp(path, *p) == 0)
            return true;
    if (strcmp(path, "/metrics") == 0)
        return !gw->cfg.metrics_auth;
    return strncmp(path, "/assets/", 8) == 0;
}

static struct slice trim(struct slice s)
{
    while (s.len && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* "Bearer TOKEN", the scheme in any case (RFC 9110 11.1). */
struct slice gw_auth_bearer(struct slice value)
{
    if (value.len < 7 || strncasecmp((const char *)value.p, "bearer", 6) != 0 || (value.p[6] != ' ' && value.p[6] != '\t'))
        return (struct slice){0};
    return trim(slice_of(value.p + 7, value.len - 7));
}

/* Browsers cannot set headers of a WebSocket: new WebSocket(url, ["bearer", TOKEN]). */
static struct slice from_protocols(struct slice list)
{
    const uint8_t *comma = list.len ? memchr(list.p, ',', list.len) : NULL;
    struct slice rest;

    if (!comma || !slice_is_equal(trim(slice_of(list.p, (size_t)(comma - list.p))), SLICE_LIT("bearer")))
        return (struct slice){0};
    rest = slice_of(comma + 1, list.len - (size_t)(comma + 1 - list.p));
    comma = memchr(rest.p, ',', rest.len);
    return trim(comma ? slice_of(rest.p, (size_t)(comma - rest.p)) : rest);
}

bool gw_auth_offers_bearer(const struct http_req *q)
{
    struct slice list;

    return http_req_header(q, "sec-websocket-protocol", &list) && from_protocols(list).len;
}

/* In a query a token shows in the logs of whatever is in between: for WebSockets alone, which may have no other way. */
static struct slice token_of(struct http_req *q, bool is_ws)
{
    struct slice s;

    if (http_req_header(q, "authorization", &s))
        return gw_auth_bearer(s);
    if (is_ws && http_req_query(q, "token", &s) && s.len)
        return s;
    if (is_ws && http_req_header(q, "sec-websocket-protocol", &s))
        return from_protocols(s);
    return (struct slice){0};
}

static struct http_reply *refusal(int err)
{
    struct http_reply *r;
    char challenge[192], seconds[12];

    err = -err;
    if (err == AUTH_E_INACTIVE)
        return http_reply_error(403, "%s", auth_err_name(err));
    if (err == AUTH_E_NO_KEYS || err == AUTH_E_ASKING) {
        r = http_reply_error(503, "%s", auth_err_name(err));
        snprintf(seconds, sizeof(seconds), "%d", err == AUTH_E_ASKING ? 1 : KEYS_RETRY_S);
        http_reply_header(r, "retry-after", seconds);
        return r;
    }
    r = http_reply_error(401, "%s", auth_err_name(err));
    if (err == AUTH_E_MISSING) /* RFC 6750 3.1: no error code when nothing was offered */
        snprintf(challenge, sizeof(challenge), "Bearer realm=\"codecast\"");
    else
        snprintf(challenge, sizeof(challenge), "Bearer realm=\"codecast\", error=\"invalid_token\", error_description=\"%s\"",
                 auth_err_name(err));
    http_reply_header(r, "www-authenticate", challenge);
    return r;
}

bool gw_auth_gate(struct http_req *q, const struct http_route *r, void *user)
{
    struct gateway *gw = user;
    struct auth_grant *g;
    size_t n = strlen(r->path);
    int rc;

    if (!gw->cfg.enable_auth || is_open(gw, r->path))
        return true;
    g = http_req_alloc(q, sizeof(*g));
    rc = auth_guard_admit(gw->guard, token_of(q, n >= 3 && strcmp(r->path + n - 3, "/ws") == 0), g, time(NULL));
    if (rc) {
        http_req_reply(q, refusal(rc));
        return false;
    }
    http_req_set_data(q, g);
    return true;
}

const struct auth_grant *gw_auth_of(const struct http_req *q)
{
    return http_req_data(q);
}
