/* gw_rest.c: publish, subscribe and topics over HTTP */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/stash.h"
#include "base/wr.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"
#include "http/http_json.h"

static struct http_reply *error_reply(struct gateway *gw, int err)
{
    struct gw_result r = {.outcome = {.err = err < 0 ? -err : err}};
    struct http_reply *reply;
    char text[256];

    gw_result_text(gw, &r, text, sizeof(text));
    reply = http_reply_error(gw_err_http(err), "%s", text);
    if (gw_err_http(err) == 503)
        http_reply_header(reply, "retry-after", "1");
    return reply;
}

/* ---- publish ---- */

/* {"status":..,"topic":..,"message_id":..}, by hand: this is the busiest answer. */
static struct http_reply *published_reply(const struct gw_result *r)
{
    char text[HTTP_JSON_STR_MAX(GW_NAME_MAX) + 160];
    struct wr w = wr_of(text, sizeof(text));

    wr_slice(&w, r->outcome.is_duplicate ? SLICE_LIT("{\"status\":\"deduplicated\",\"topic\":")
                                         : SLICE_LIT("{\"status\":\"published\",\"topic\":"));
    w.len += http_json_quote(text + w.len, r->topic);
    wr_slice(&w, SLICE_LIT(",\"message_id\":\""));
    wr_slice(&w, slice_str(r->id_hex));
    wr_slice(&w, SLICE_LIT("\"}"));
    return http_reply_new(200, "application/json", slice_of(text, w.len));
}

static struct http_reply *result_reply(struct gateway *gw, const struct gw_result *r)
{
    struct http_reply *reply;
    char text[256];
    int status = r->outcome.http ? r->outcome.http : gw_err_http(r->outcome.err);

    if (!r->outcome.err)
        return published_reply(r);
    gw_result_text(gw, r, text, sizeof(text));
    reply = http_reply_error(status, "%s", text);
    if (status == 503 || status == 429)
        http_reply_header(reply, "retry-after", "1");
    return reply;
}

/* A publish whose client waits. */
struct pending {
    struct gateway *gw;
    struct http_later *later;
    struct rpc_msg *payload;
    struct gw_name topic;
};

static void pending_end(struct pending *p, struct http_reply *reply)
{
    http_later_send(p->later, reply);
    rpc_msg_unref(p->payload);
    stash_put(p, sizeof(*p));
}

static void on_published(void *user, const struct gw_result *r)
{
    struct pending *p = user;

    pending_end(p, result_reply(p->gw, r));
}

static void on_topic_known(void *user, bool is_known)
{
    struct pending *p = user;

    if (is_known)
        gw_publish_start(p->gw, gw_name_slice(&p->topic), p->payload, on_published, p);
    else
        pending_end(p, error_reply(p->gw, GW_E_UNASSIGNED));
}

/* The client's limits: false when they have refused it. */
static bool may_publish(struct gateway *gw, struct http_req *q, struct gw_order *o)
{
    struct http_reply *reply;
    struct gw_refusal r;
    char peer[64] = "", seconds[12];

    if (!gw_auth_has_limits(gw))
        return true;
    http_req_peer(q, peer, sizeof(peer));
    if (gw_auth_publish(gw, gw_auth_of(q), gw_name_slice(&o->client), peer, rpc_msg_len(o->payload), &r) == 0)
        return true;
    reply = http_reply_error(gw_err_http(r.err), "%s", r.text);
    snprintf(seconds, sizeof(seconds), "%u", r.retry_s);
    if (r.retry_s)
        http_reply_header(reply, "retry-after", seconds);
    http_req_reply(q, reply);
    return false;
}

static void publish(struct gateway *gw, struct http_req *q, struct gw_order *o)
{
    bool is_assigned = !o->client.len || gw_registry_has_topic(&gw->registry, gw_name_slice(&o->topic));
    struct pending *p = stash_get(sizeof(*p));
    struct gw_name client;

    if (p)
        p->later = http_req_defer(q);
    if (!p || !p->later) {
        stash_put(p, sizeof(*p));
        http_req_reply(q, error_reply(gw, GW_E_NOMEM));
        return;
    }
    p->gw = gw;
    p->payload = o->payload;
    o->payload = NULL;
    p->topic = o->topic;
    if (gw_auth_name(gw_auth_of(q), &o->client, &client) == 0 && client.len)
        gw_registry_published(&gw->registry, gw_name_slice(&client), gw_now_ns());
    if (is_assigned)
        on_topic_known(p, true);
    else
        gw_pool_ask_topic(gw->pool, gw_name_slice(&p->topic), on_topic_known, p);
}

/* The short form {"topic","data"} names no client; the full one must. */
static int check_order(struct gateway *gw, struct gw_order *o)
{
    bool is_short = o->v[O_DATA].type != FLAT_ABSENT;

    if (!o->client.len && !is_short)
        return -GW_E_CLIENT;
    if (!o->topic.len)
        return -GW_E_TOPIC;
    return gw_order_payload(o, gw);
}

static bool is_binary(const struct http_req *q)
{
    static const char want[] = "application/octet-stream";
    struct slice type;

    return http_req_header(q, "content-type", &type) && type.len >= sizeof(want) - 1 &&
           strncasecmp((const char *)type.p, want, sizeof(want) - 1) == 0;
}

static int read_query_name(struct http_req *q, const char *name, struct gw_name *out, int err_long,
                           int err_text)
{
    struct slice s;

    out->len = 0;
    return http_req_query(q, name, &s) ? gw_name_set(out, s, err_long, err_text) : 0;
}

static int read_binary(struct http_req *q, struct gw_order *o)
{
    int rc = read_query_name(q, "topic", &o->topic, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);

    o->client.len = 0;
    o->payload = NULL;
    if (!rc)
        rc = read_query_name(q, "client_id", &o->client, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);
    if (rc)
        return rc;
    if (!o->topic.len)
        return -GW_E_TOPIC;
    if (!http_req_body(q).len)
        return -GW_E_MESSAGE;
    o->payload = rpc_msg_copy(http_req_body(q));
    return o->payload ? 0 : -GW_E_NOMEM;
}

/* Both names missing: say so of both. */
static struct http_reply *order_error(struct gateway *gw, const struct gw_order *o, int err)
{
    if (err == -GW_E_CLIENT && !o->topic.len)
        return http_reply_error(400, "%s, %s", gw_err_text(GW_E_CLIENT), gw_err_text(GW_E_TOPIC));
    return error_reply(gw, err);
}

static void post_publish(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_order o;
    int rc;

    if (is_binary(q)) {
        rc = read_binary(q, &o);
    } else {
        rc = gw_order_read(&o, http_req_body(q));
        if (!rc)
            rc = check_order(gw, &o);
    }
    if (rc) {
        log_debug("\"publish refused\" client=%.*s topic=%.*s err=\"%s\"", (int)o.client.len, o.client.text, (int)o.topic.len,
                  o.topic.text, gw_err_text(-rc));
        gw_count(&gw->count.publish_errors[-rc], 1);
        http_req_reply(q, order_error(gw, &o, rc));
    } else if (may_publish(gw, q, &o)) {
        publish(gw, q, &o);
    }
    gw_order_fini(&o);
}

/* ---- subscribe, unsubscribe ---- */

struct subscription {
    struct gateway *gw;
    struct slice client;
    double threshold;
};

static int subscribe_one(void *user, struct slice topic)
{
    struct subscription *s = user;

    return gw_registry_subscribe(&s->gw->registry, s->client, topic, s->threshold, gw_now_ns());
}

static int unsubscribe_one(void *user, struct slice topic)
{
    struct subscription *s = user;

    gw_registry_unsubscribe(&s->gw->registry, s->client, topic, gw_now_ns());
    return 0;
}

static void change_subscription(struct gateway *gw, struct http_req *q, const char *status,
                                int (*one)(void *, struct slice))
{
    struct subscription s = {.gw = gw, .threshold = gw->cfg.threshold};
    struct gw_name client = {.len = 0};
    struct gw_order o;
    int rc = gw_order_read(&o, http_req_body(q));

    if (!rc && !o.client.len)
        rc = -GW_E_CLIENT;
    if (!rc)
        rc = gw_auth_name(gw_auth_of(q), &o.client, &client);
    if (!rc)
        rc = gw_order_threshold(&o, &s.threshold);
    s.client = gw_name_slice(&client);
    if (!rc)
        rc = gw_order_topics(&o, one, &s);
    if (rc)
        log_debug("\"subscription refused\" wanted=%s client=%.*s topic=%.*s err=\"%s\"", status, (int)o.client.len, o.client.text,
                  (int)o.topic.len, o.topic.text, gw_err_text(-rc));
    if (rc)
        http_req_reply(q, order_error(gw, &o, rc));
    else
        http_req_reply(q, http_reply_json(200, json_pack("{s:s,s:s%}", "status", status, "client",
                                                         o.client.text, o.client.len)));
    gw_order_fini(&o);
}

static void post_subscribe(struct http_req *q, void *user)
{
    change_subscription(user, q, "subscribed", subscribe_one);
}

static void post_unsubscribe(struct http_req *q, void *user)
{
    change_subscription(user, q, "unsubscribed", unsubscribe_one);
}

/* ---- topics ---- */

static void add_topic(void *user, struct slice topic)
{
    json_array_append_new(user, json_stringn((const char *)topic.p, topic.len));
}

static void get_topics(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct gw_name client, key;
    json_t *topics;
    unsigned n;
    int rc = read_query_name(q, "client_id", &client, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);

    if (!rc)
        rc = gw_auth_name(gw_auth_of(q), &client, &key);
    if (rc || !client.len) {
        http_req_reply(q, error_reply(gw, rc ? rc : -GW_E_CLIENT));
        return;
    }
    topics = json_array();
    n = gw_registry_client_topics(&gw->registry, gw_name_slice(&key), add_topic, topics);
    http_req_reply(q, http_reply_json(200, json_pack("{s:s%,s:o,s:i}", "client_id", client.text, client.len,
                                                     "topics", topics, "count", (int)n)));
}

int gw_rest_routes(struct gateway *gw)
{
    static const char *const families[] = {"", "/api", "/api/v1", NULL};
    struct http_route routes[] = {{"POST", "/publish", post_publish, gw, false},
                                  {"POST", "/subscribe", post_subscribe, gw, false},
                                  {"POST", "/unsubscribe", post_unsubscribe, gw, false},
                                  {"GET", "/topics", get_topics, gw, false},
                                  {"GET", "/ws", gw_ws_handler, gw, false}};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < sizeof(routes) / sizeof(routes[0]); i++)
        rc = http_routes_add(&gw->routes, &routes[i], families);
    return rc;
}
