/* gw_auth.h: who a client is, and how much it may publish (inside the room only)
 * Rules:   with ENABLE_AUTH everything but health, version, pages and, unless METRICS_AUTH, metrics needs a token. A token's name is its
 *          client_id, else its sub. Requests may name other client ids: those are the token's own, nobody else's of that name
 * Errors:  -GW_E_...
 */
#ifndef GATEWAY_GW_AUTH_H
#define GATEWAY_GW_AUTH_H

#include "auth/auth_guard.h"
#include "base/settings.h"
#include "gateway/gw_err.h"

struct gateway;
struct gw_name;
struct http_req;
struct http_route;
struct metrics;
struct rpc_call;

/* Why a publish may not be, for the client. */
struct gw_refusal {
    int err; /* negative: -GW_E_LIMIT_... */
    uint32_t retry_s; /* 0: not at all */
    char text[160];
};

int gw_auth_start(struct gateway *gw, const uint8_t seed[16]);
/* The HTTP servers' gate: answers those that may not pass. user: the gateway. */
bool gw_auth_gate(struct http_req *q, const struct http_route *r, void *user);
/* Who asks; NULL: tokens are not asked for. Lives as long as the request. */
const struct auth_grant *gw_auth_of(const struct http_req *q);
/* A copy for a longer life; NULL for NULL. */
struct auth_grant *gw_auth_keep(const struct auth_grant *g);
/* Has the token run out since? Counted when it has. */
bool gw_auth_is_over(struct gateway *gw, const struct auth_grant *g);
/* The name under which the registry has this client. given may be empty: then the token's own name, if there is a token. */
int gw_auth_name(const struct auth_grant *g, const struct gw_name *given, struct gw_name *out);
/* Such a name as its client wrote it. */
struct slice gw_auth_shown(struct slice name);
/* Whose it is: the name of its token. */
struct slice gw_auth_owner(struct slice name);
/* May it publish so many bytes now? g: may be NULL; then client, and without one the peer's address, has the limits of the settings.
 * 0 or r->err. */
int gw_auth_publish(struct gateway *gw, const struct auth_grant *g, struct slice client, const char *peer, uint64_t bytes,
                    struct gw_refusal *r);
/* Do limits apply without a token? */
bool gw_auth_has_limits(const struct gateway *gw);

/* The token of "Bearer TOKEN"; empty for anything else. */
struct slice gw_auth_bearer(struct slice value);
/* Does a WebSocket's client offer the subprotocol "bearer", with a token behind it? Then it wants to hear "bearer" back. */
bool gw_auth_offers_bearer(const struct http_req *q);
/* A call's token, from its metadata. False: the call has been ended. *out: the caller's to free; NULL: tokens are not asked for. */
bool gw_auth_call(struct gateway *gw, struct rpc_call *c, struct auth_grant **out);

void gw_auth_metrics(struct gateway *gw, struct metrics *m);

#endif
