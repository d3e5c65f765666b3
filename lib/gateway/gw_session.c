/* gw_session.c: POST session: an id and some nodes to talk to
 * Note:    tickets are only ids as long as nodes do not check them; with authentication they will be more
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"

#define SESSION_S 3600
#define REFRESH_S 3000

/* The reachable nodes, at most `expose` of them (0: all), beginning at a random one. */
void gw_session_create(struct gateway *gw, unsigned expose, char id[33], struct gw_node_info *nodes,
                       unsigned *n)
{
    unsigned total = gw_pool_nodes(gw->pool, nodes, GW_NODES_MAX), kept = 0;
    uint8_t random[17];

    gw_random(gw, random, sizeof(random));
    hex_encode(id, slice_of(random, 16));
    for (unsigned i = 0; i < total; i++)
        if (nodes[i].is_healthy)
            nodes[kept++] = nodes[i];
    if (kept > 1)
        for (unsigned turn = random[16] % kept; turn > 0; turn--) {
            struct gw_node_info first = nodes[0];

            memmove(nodes, nodes + 1, (kept - 1) * sizeof(*nodes));
            nodes[kept - 1] = first;
        }
    *n = expose && expose < kept ? expose : kept;
}

static void format_time(char out[32], time_t at)
{
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void gw_session_times(char expires[32], char refresh[32])
{
    time_t now = time(NULL);

    format_time(expires, now + SESSION_S);
    format_time(refresh, now + REFRESH_S);
}

/* The peer id at the end of a node's address; "" when it has not said it. */
const char *gw_node_peer_id(const struct gw_node_info *n)
{
    const char *at = strstr(n->p2p_address, "/p2p/");

    return at ? at + 5 : "";
}

/* Its peer id, and where it listens as long as that is not known: ids of nodes differ. */
const char *gw_node_id(const struct gw_node_info *n)
{
    const char *id = gw_node_peer_id(n);

    return *id ? id : n->target;
}

static json_t *node_json(const struct gw_node_info *n, const char *ticket)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:f}", "id", gw_node_id(n), "address", n->target, "transport",
                     "grpc", "region", n->country_iso, "ticket", ticket, "score", 1.0);
}

static struct http_reply *session_reply(struct gateway *gw, unsigned expose)
{
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    char id[33], expires[32], refresh[32];
    json_t *list = json_array(), *out;
    unsigned n = 0;

    if (nodes)
        gw_session_create(gw, expose, id, nodes, &n);
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, node_json(&nodes[i], id));
    free(nodes);
    if (n == 0) {
        json_decref(list);
        return http_reply_error(503, "%s", gw_err_text(GW_E_NO_NODE));
    }
    gw_session_times(expires, refresh);
    out = json_pack("{s:s,s:o,s:s,s:s}", "session_id", id, "nodes", list, "expires_at", expires,
                    "refresh_after", refresh);
    return http_reply_json(200, out);
}

static int subscribe_one(void *user, struct slice topic)
{
    (void)user;
    (void)topic; /* topics of a session are wishes for the choice of nodes; subscribing is another request */
    return 0;
}

static void post_session(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_order o;
    unsigned amount = 0;
    int rc = gw_order_read(&o, http_req_body(q));

    if (!rc && !o.client.len)
        rc = -GW_E_CLIENT;
    if (!rc && (rc = gw_order_topics(&o, subscribe_one, NULL)) == -GW_E_TOPIC &&
        o.v[O_TOPICS].type != FLAT_ARRAY)
        rc = 0;
    if (!rc)
        rc = gw_order_amount(&o, &amount);
    http_req_reply(q, rc ? http_reply_error(gw_err_http(rc), "%s", gw_err_text(rc)) : session_reply(gw, amount));
    gw_order_fini(&o);
}

int gw_session_routes(struct gateway *gw)
{
    static const char *const families[] = {"", "/api", "/api/v1", NULL};

    return http_routes_add(&gw->routes, &(struct http_route){"POST", "/session", post_session, gw, false},
                           families);
}
