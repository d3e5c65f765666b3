/* gw_ws.c: WebSocket clients: deliveries out, subscribe, unsubscribe and publish frames in
 * Owner:   a session is counted: the connection holds one reference, every publish under way another
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/stash.h"
#include "base/text.h"
#include "base/wr.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"
#include "http/http_json.h"

#define ID_MAX          160        /* bytes of a frame's "id", as written */
#define UNDER_WAY_BYTES (8u << 20) /* published and not answered yet: above this the client is not read */
#define UNDER_WAY_MAX   1024

struct session {
    _Atomic uint32_t refs;
    struct gateway *gw;
    struct ws_conn *conn;
    struct gw_sink sink;
    struct gw_name client;
    bool is_named;   /* by the client or its token */
    bool takes_name; /* the client has not given its id: the first frame that does will be taken at its word */
    struct auth_grant *grant; /* NULL: tokens are not asked for */
    char peer[64];
    bool wants_notices; /* the server thread's */
    _Atomic uint64_t bytes_under_way;
    _Atomic uint32_t under_way;
};

static void session_free(struct session *s)
{
    if (!s)
        return;
    ws_conn_unref(s->conn);
    free(s->grant);
    free(s);
}

static void session_unref(struct session *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    session_free(s);
}

/* A token that ran out ends its socket with the next message, whichever way that goes. */
static bool end_when_over(struct session *s)
{
    if (!gw_auth_is_over(s->gw, s->grant))
        return false;
    ws_conn_close(s->conn, 1008, auth_err_name(AUTH_E_EXPIRED));
    return true;
}

static void deliver(struct gw_sink *sink, struct gw_delivery *d)
{
    struct session *s = CONTAINER_OF(sink, struct session, sink);
    struct ws_msg *m = end_when_over(s) ? NULL : gw_delivery_ws(d);

    if (m && ws_conn_deliver(s->conn, m, &d->wakes) == -HTTP_E_FULL && s->gw->cfg.ws_policy == WS_DISCONNECT)
        gw_count(&s->gw->count.ws_too_slow, 1); /* once: from now on it is closed */
}

static void squeeze(struct gw_sink *sink)
{
    struct session *s = CONTAINER_OF(sink, struct session, sink);

    if (ws_conn_squeeze(s->conn))
        gw_count(&s->gw->count.ws_too_slow, 1);
}

struct frame_id {
    char text[ID_MAX]; /* JSON as the client wrote it */
    size_t len;
};

/* ---- answers to frames ---- */

struct answer {
    char text[HTTP_JSON_STR_MAX(GW_NAME_MAX) + ID_MAX + 256];
    struct wr w;
};

static void put(struct wr *w, const char *s)
{
    wr_slice(w, slice_str(s));
}

static void put_quoted(struct wr *w, struct slice s)
{
    char text[HTTP_JSON_STR_MAX(GW_NAME_MAX)];

    s.len = s.len < GW_NAME_MAX ? s.len : GW_NAME_MAX;
    wr_bytes(w, text, http_json_quote(text, s));
}

static void answer_begin(struct answer *a, const char *type, const struct frame_id *id)
{
    a->w = wr_of(a->text, sizeof(a->text));
    put(&a->w, "{\"type\":");
    put_quoted(&a->w, slice_str(type));
    if (id->len) {
        put(&a->w, ",\"id\":");
        wr_bytes(&a->w, id->text, id->len);
    }
}

static void answer_send(struct answer *a, struct session *s)
{
    struct ws_msg *m;

    put(&a->w, "}");
    m = a->w.bad ? NULL : ws_msg_copy(WS_TEXT, slice_of(a->text, a->w.len));
    if (m)
        ws_conn_send(s->conn, WS_REPLY, m);
    ws_msg_unref(m);
}

static void send_error(struct session *s, const struct frame_id *id, const char *why)
{
    struct answer a;

    answer_begin(&a, "error", id);
    put(&a.w, ",\"error\":");
    put_quoted(&a.w, slice_str(why));
    answer_send(&a, s);
}

/* Frames without an id hear only of what went wrong. */
static void send_ack(struct session *s, const struct frame_id *id, const char *status, struct slice topic,
                     const char *message_id)
{
    struct answer a;

    if (!id->len)
        return;
    answer_begin(&a, "ack", id);
    put(&a.w, ",\"status\":");
    put_quoted(&a.w, slice_str(status));
    if (topic.len) {
        put(&a.w, ",\"topic\":");
        put_quoted(&a.w, topic);
    }
    if (message_id) {
        put(&a.w, ",\"message_id\":");
        put_quoted(&a.w, slice_str(message_id));
    }
    answer_send(&a, s);
}

/* ---- frames ---- */

struct frame {
    struct session *s;
    struct frame_id id;
    size_t bytes;
    bool holds; /* the client's input, until this is answered */
};

static bool is_over(const struct session *s)
{
    return atomic_load(&s->bytes_under_way) > UNDER_WAY_BYTES || atomic_load(&s->under_way) > UNDER_WAY_MAX;
}

static void on_published(void *user, const struct gw_result *r)
{
    struct frame *f = user;
    struct session *s = f->s;
    char text[256];

    if (r->outcome.err) {
        gw_result_text(s->gw, r, text, sizeof(text));
        send_error(s, &f->id, text);
    } else {
        send_ack(s, &f->id, r->outcome.is_duplicate ? "deduplicated" : "published", r->topic, r->id_hex);
    }
    atomic_fetch_sub(&s->bytes_under_way, f->bytes);
    atomic_fetch_sub(&s->under_way, 1);
    if (f->holds)
        ws_conn_release(s->conn);
    session_unref(s);
    stash_put(f, sizeof(*f));
}

static int frame_publish(struct session *s, struct gw_order *o, const struct frame_id *id)
{
    struct gw_refusal r;
    struct frame *f;
    int rc;

    if (!o->topic.len)
        return -GW_E_TOPIC;
    rc = gw_order_payload(o, s->gw);
    if (rc)
        return rc;
    if (gw_auth_publish(s->gw, s->grant, s->is_named ? gw_name_slice(&s->client) : (struct slice){0}, s->peer,
                        rpc_msg_len(o->payload), &r) < 0) {
        log_debug("\"publish refused\" client=%.*s topic=%.*s err=\"%s\"", (int)s->client.len, s->client.text, (int)o->topic.len,
                  o->topic.text, r.text);
        send_error(s, id, r.text);
        return 0;
    }
    f = stash_get(sizeof(*f));
    if (!f)
        return -GW_E_NOMEM;
    f->s = s;
    f->id.len = id->len;
    memcpy(f->id.text, id->text, id->len);
    f->bytes = rpc_msg_len(o->payload);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    atomic_fetch_add(&s->bytes_under_way, f->bytes);
    atomic_fetch_add(&s->under_way, 1);
    f->holds = is_over(s);
    if (f->holds)
        ws_conn_hold(s->conn);
    gw_registry_published(&s->gw->registry, gw_name_slice(&s->client), gw_now_ns());
    gw_publish_start(s->gw, gw_name_slice(&o->topic), o->payload, on_published, f);
    return 0;
}

struct subscription {
    struct session *s;
    double threshold;
};

static int subscribe_one(void *user, struct slice topic)
{
    struct subscription *x = user;

    return gw_registry_subscribe(&x->s->gw->registry, gw_name_slice(&x->s->client), topic, x->threshold,
                                 gw_now_ns());
}

static int unsubscribe_one(void *user, struct slice topic)
{
    struct subscription *x = user;

    gw_registry_unsubscribe(&x->s->gw->registry, gw_name_slice(&x->s->client), topic, gw_now_ns());
    return 0;
}

static int frame_subscription(struct session *s, struct gw_order *o, const struct frame_id *id, bool is_on)
{
    struct subscription x = {.s = s, .threshold = s->gw->cfg.threshold};
    int rc = gw_order_threshold(o, &x.threshold);

    if (!rc)
        rc = gw_order_topics(o, is_on ? subscribe_one : unsubscribe_one, &x);
    if (!rc)
        send_ack(s, id, is_on ? "subscribed" : "unsubscribed", gw_name_slice(&o->topic), NULL);
    return rc;
}

/* A socket opened without client_id takes the first one that a frame names, and keeps what it subscribed to before. */
static int take_name(struct session *s, const struct gw_order *o)
{
    struct gw_name client;
    int rc;

    if (!s->takes_name || !o->client.len)
        return 0;
    rc = gw_auth_name(s->grant, &o->client, &client);
    if (!rc)
        rc = gw_registry_rename(&s->gw->registry, &s->sink, gw_name_slice(&client), gw_now_ns());
    if (rc)
        return rc;
    s->client = client;
    s->is_named = true;
    s->takes_name = false;
    return 0;
}

static int run_frame(struct session *s, struct gw_order *o, const struct frame_id *id)
{
    struct slice type = o->v[O_TYPE].type == FLAT_STRING ? o->v[O_TYPE].raw : (struct slice){0};
    int rc = take_name(s, o);

    if (rc)
        return rc;
    if (slice_is_equal(type, SLICE_LIT("publish")))
        return frame_publish(s, o, id);
    if (slice_is_equal(type, SLICE_LIT("subscribe")))
        return frame_subscription(s, o, id, true);
    if (slice_is_equal(type, SLICE_LIT("unsubscribe")))
        return frame_subscription(s, o, id, false);
    if (slice_is_equal(type, SLICE_LIT("notices"))) {
        s->wants_notices = true;
        send_ack(s, id, "notices", (struct slice){0}, NULL);
        return 0;
    }
    if (slice_is_equal(type, SLICE_LIT("ping"))) {
        send_ack(s, id, "pong", (struct slice){0}, NULL);
        return 0;
    }
    return -GW_E_TYPE;
}

/* Any JSON as the client wrote it; strings keep their quotes. False: too long to be given back, so the frame is not carried out. */
static bool read_id(struct frame_id *id, const struct flat_value *v)
{
    size_t quote = v->type == FLAT_STRING;

    id->len = 0;
    if (v->type == FLAT_ABSENT || v->type == FLAT_NULL)
        return true;
    if (v->raw.len + 2 * quote > sizeof(id->text))
        return false;
    if (quote)
        id->text[0] = id->text[v->raw.len + 1] = '"';
    memcpy(id->text + quote, v->raw.p, v->raw.len);
    id->len = v->raw.len + 2 * quote;
    return true;
}

static void on_message(struct ws_conn *c, void *user, enum ws_opcode op, struct slice msg)
{
    struct session *s = user;
    struct frame_id id = {.len = 0};
    struct gw_order o;
    int rc;

    (void)op;
    (void)c;
    if (end_when_over(s))
        return;
    rc = gw_order_read(&o, msg);
    if (!read_id(&id, &o.v[O_ID]))
        rc = -GW_E_ID_LONG;
    if (!rc)
        rc = run_frame(s, &o, &id);
    if (rc) {
        struct gw_result r = {.outcome = {.err = -rc}};
        char text[256];

        gw_result_text(s->gw, &r, text, sizeof(text));
        log_debug("\"message of a WebSocket client refused\" client=%.*s err=\"%s\"", (int)s->client.len, s->client.text, text);
        send_error(s, &id, text);
    }
    gw_order_fini(&o);
}

/* ---- the connection ---- */

static void on_open(struct ws_conn *c, void *user)
{
    struct session *s = user;

    s->conn = c;
    gw_count(&s->gw->count.ws_clients, 1);
    if (gw_registry_attach(&s->gw->registry, gw_name_slice(&s->client), &s->sink, !s->is_named, gw_now_ns()) < 0)
        ws_conn_close(s->conn, 1013, gw_err_text(GW_E_FULL));
    else
        log_debug("\"WebSocket client connected\" client=%.*s peer=%s", (int)s->client.len, s->client.text, s->peer);
}

static struct ws_msg *on_dropped(struct ws_conn *c, void *user, uint64_t msgs, uint64_t bytes)
{
    struct session *s = user;
    char text[GW_NOTICE_MAX];

    (void)c;
    if (!s->wants_notices)
        return NULL;
    return ws_msg_copy(WS_TEXT, slice_of(text, gw_notice_dropped(s->gw, text, msgs, bytes)));
}

static void on_close(struct ws_conn *c, void *user, uint16_t code)
{
    struct session *s = user;
    struct ws_stats st;

    gw_registry_detach(&s->gw->registry, &s->sink, gw_now_ns());
    ws_conn_stats(c, &st);
    log_debug("\"WebSocket client gone\" client=%.*s code=%u dropped=%llu", (int)s->client.len,
              s->client.text, code, (unsigned long long)st.dropped_msgs);
    session_unref(s);
}

static void name_session(struct session *s, struct http_req *q, int *err)
{
    const struct auth_grant *g = gw_auth_of(q);
    struct gw_name given = {.len = 0};
    uint8_t random[8];
    char hex[17];
    struct slice id = {0}, notices;

    *err = 0;
    s->wants_notices = http_req_query(q, "notices", &notices) &&
                       (slice_is_equal(notices, SLICE_LIT("true")) || slice_is_equal(notices, SLICE_LIT("1")));
    s->takes_name = !(http_req_query(q, "client_id", &id) && id.len);
    if (!s->takes_name || g) {
        if (id.len)
            *err = gw_name_set(&given, id, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);
        if (!*err)
            *err = gw_auth_name(g, &given, &s->client);
        s->is_named = true;
        return;
    }
    gw_random(s->gw, random, sizeof(random));
    hex_encode(hex, slice_of(random, sizeof(random)));
    s->client.len = (size_t)snprintf(s->client.text, sizeof(s->client.text), "anonymous-%s", hex);
}

static struct ws_config ws_config_of(struct gateway *gw)
{
    return (struct ws_config){.max_message_bytes = gw_text_ceiling(gw),
                              .out_max_bytes = gw->cfg.client_queue_bytes,
                              .policy = (enum ws_policy)gw->cfg.ws_policy,
                              .budget = &gw->deliveries,
                              .on_open = on_open,
                              .on_message = on_message,
                              .on_close = on_close,
                              .on_dropped = on_dropped};
}

void gw_ws_handler(struct http_req *q, void *user)
{
    struct gateway *gw = user;
    struct ws_config cfg = ws_config_of(gw);
    struct session *s = calloc(1, sizeof(*s));
    int err = -GW_E_NOMEM;

    if (s) {
        s->gw = gw;
        atomic_init(&s->refs, 1);
        s->sink.deliver = deliver;
        s->sink.squeeze = squeeze;
        http_req_peer(q, s->peer, sizeof(s->peer));
        s->grant = gw_auth_keep(gw_auth_of(q));
        if (s->grant || !gw_auth_of(q))
            name_session(s, q, &err);
    }
    if (err) {
        http_req_reply(q, http_reply_error(gw_err_http(err), "%s", gw_err_text(err)));
        session_free(s);
        return;
    }
    if (!ws_upgrade(q, &cfg, s, gw_auth_offers_bearer(q) ? "bearer" : NULL))
        session_free(s); /* refused, and answered */
}
