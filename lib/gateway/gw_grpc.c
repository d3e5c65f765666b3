/* gw_grpc.c: ProxyStream (by both names) and SessionService
 * Source:  proto/gateway.proto; requests are read in place, so that a payload is shared and not copied
 * Owner:   a stream is counted: its call holds one reference, every publish under way another
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pb.h"
#include "base/text.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_order.h"

#define UNDER_WAY_BYTES (8u << 20)
#define UNDER_WAY_MAX   1024
#define TOPICS_MAX      1000 /* in one SubscribeRequest */

/* ---- reading and writing ---- */

enum { F_CLIENT = 1, F_MESSAGE = 2, F_TOPIC = 3, F_MESSAGE_ID = 4, F_TYPE = 5 }; /* ProxyMessage */

struct proxy_message {
    struct slice client, message, topic, type;
};

static bool read_proxy(struct rpc_msg *m, struct proxy_message *out)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    int rc;

    memset(out, 0, sizeof(*out));
    while ((rc = pb_next(&r, &f)) > 0) {
        if (f.type != PB_BYTES)
            continue;
        if (f.number == F_CLIENT)
            out->client = f.bytes;
        else if (f.number == F_MESSAGE)
            out->message = f.bytes;
        else if (f.number == F_TOPIC)
            out->topic = f.bytes;
        else if (f.number == F_TYPE)
            out->type = f.bytes;
    }
    return rc == 0;
}

/* A message of up to five texts by field number; empty ones are left out. */
struct text_field {
    uint32_t number;
    struct slice text;
};

static struct rpc_msg *write_texts(const struct text_field *f, unsigned n)
{
    struct wr w = wr_counter();
    struct rpc_msg *m = NULL;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < n; i++)
            if (f[i].text.len)
                pb_put_bytes(&w, f[i].number, f[i].text);
        if (pass == 0) {
            m = rpc_msg_new(w.len);
            if (!m)
                return NULL;
            w = wr_of(rpc_msg_bytes(m), w.len);
        }
    }
    return m;
}

static void finish_error(struct gateway *gw, struct rpc_call *c, int err)
{
    struct gw_result r = {.outcome = {.err = err < 0 ? -err : err}};
    char text[256];

    gw_result_text(gw, &r, text, sizeof(text));
    rpc_call_finish(c, (enum rpc_code)gw_err_rpc(err), text);
}

static void reply(struct rpc_call *c, struct rpc_msg *m)
{
    if (m)
        rpc_call_reply(c, m);
    else
        rpc_call_finish(c, RPC_CODE_INTERNAL, "out of memory");
    rpc_msg_unref(m);
}

/* The payload as a message of its own that shares the request's bytes. */
static struct rpc_msg *payload_of(struct rpc_msg *m, struct slice part)
{
    return part.len ? rpc_msg_part(m, part) : rpc_msg_copy(part);
}

/* ---- ClientStream ---- */

struct stream {
    _Atomic uint32_t refs;
    struct gateway *gw;
    struct rpc_call *call;
    struct gw_sink sink;
    struct gw_name client;
    bool is_attached;
    _Atomic uint64_t bytes_under_way;
    _Atomic uint32_t under_way;
    pthread_mutex_t lock; /* guards is_paused, so that pause and resume keep their order */
    bool is_paused;
};

static void stream_unref(struct stream *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    rpc_call_unref(s->call);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void deliver(struct gw_sink *sink, struct gw_delivery *d)
{
    struct stream *s = CONTAINER_OF(sink, struct stream, sink);
    struct rpc_msg *m = gw_delivery_grpc(d);

    if (m)
        rpc_call_send(s->call, m, RPC_MUST);
}

static void stream_open(struct rpc_call *c, void *user)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s) {
        rpc_call_finish(c, RPC_CODE_INTERNAL, "out of memory");
        return;
    }
    s->gw = user;
    s->call = rpc_call_ref(c);
    s->sink.deliver = deliver;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    rpc_call_set_data(c, s);
    gw_count(&s->gw->count.grpc_clients, 1);
}

/* An error that does not end the stream. */
static void stream_error(struct stream *s, struct slice topic, const char *message_id, const char *why)
{
    const struct text_field f[] = {{F_CLIENT, gw_name_slice(&s->client)},
                                   {F_MESSAGE, slice_str(why)},
                                   {F_TOPIC, topic},
                                   {F_MESSAGE_ID, slice_str(message_id)},
                                   {F_TYPE, SLICE_LIT("error")}};
    struct rpc_msg *m = write_texts(f, 5);

    if (m)
        rpc_call_send(s->call, m, RPC_MUST);
    rpc_msg_unref(m);
}

static void stream_error_code(struct stream *s, struct slice topic, int err)
{
    struct gw_result r = {.outcome = {.err = err < 0 ? -err : err}};
    char text[256];

    gw_result_text(s->gw, &r, text, sizeof(text));
    stream_error(s, topic, "", text);
}

/* More under way than a client may have: read nothing more until it is less. */
static void set_pause(struct stream *s)
{
    bool over;

    pthread_mutex_lock(&s->lock);
    over = atomic_load(&s->bytes_under_way) > UNDER_WAY_BYTES || atomic_load(&s->under_way) > UNDER_WAY_MAX;
    if (over && !s->is_paused)
        rpc_call_pause(s->call);
    else if (!over && s->is_paused)
        rpc_call_resume(s->call);
    s->is_paused = over;
    pthread_mutex_unlock(&s->lock);
}

struct stream_publish {
    struct stream *s;
    size_t bytes;
};

static void on_stream_published(void *user, const struct gw_result *r)
{
    struct stream_publish *p = user;
    struct stream *s = p->s;
    char text[256];

    if (r->outcome.err) {
        gw_result_text(s->gw, r, text, sizeof(text));
        stream_error(s, r->topic, r->id_hex, text);
    }
    atomic_fetch_sub(&s->bytes_under_way, p->bytes);
    atomic_fetch_sub(&s->under_way, 1);
    set_pause(s);
    free(p);
    stream_unref(s);
}

static int stream_publish(struct stream *s, struct rpc_msg *m, const struct proxy_message *pm, const struct gw_name *topic)
{
    struct stream_publish *p = calloc(1, sizeof(*p));
    struct rpc_msg *payload = p ? payload_of(m, pm->message) : NULL;

    if (!payload) {
        free(p);
        return -GW_E_NOMEM;
    }
    p->s = s;
    p->bytes = pm->message.len;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    atomic_fetch_add(&s->bytes_under_way, p->bytes);
    atomic_fetch_add(&s->under_way, 1);
    set_pause(s);
    gw_registry_published(&s->gw->registry, gw_name_slice(&s->client), gw_now_ns());
    gw_publish_start(s->gw, gw_name_slice(topic), payload, on_stream_published, p);
    rpc_msg_unref(payload);
    return 0;
}

/* The first message names the client; without a name it gets one of its own, which goes with the stream. */
static int stream_attach(struct stream *s, struct slice client)
{
    uint8_t random[8];
    char hex[17];
    int rc = gw_name_set(&s->client, client, GW_E_CLIENT_LONG, GW_E_CLIENT);

    if (rc)
        return rc;
    if (!client.len) {
        gw_random(s->gw, random, sizeof(random));
        hex_encode(hex, slice_of(random, sizeof(random)));
        s->client.len = (size_t)snprintf(s->client.text, sizeof(s->client.text), "anonymous-%s", hex);
    }
    rc = gw_registry_attach(&s->gw->registry, gw_name_slice(&s->client), &s->sink, !client.len, gw_now_ns());
    s->is_attached = rc == 0;
    return rc;
}

enum action { NOTHING, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, BAD_TYPE };

/* Without a type, what is there says what is meant. */
static enum action action_of(const struct proxy_message *pm)
{
    if (slice_is_equal(pm->type, SLICE_LIT("publish")))
        return PUBLISH;
    if (slice_is_equal(pm->type, SLICE_LIT("subscribe")))
        return pm->topic.len ? SUBSCRIBE : NOTHING;
    if (slice_is_equal(pm->type, SLICE_LIT("unsubscribe")))
        return UNSUBSCRIBE;
    if (pm->type.len)
        return BAD_TYPE;
    return !pm->topic.len ? (pm->message.len ? PUBLISH : NOTHING) : pm->message.len ? PUBLISH : SUBSCRIBE;
}

static int stream_act(struct stream *s, struct rpc_msg *m, const struct proxy_message *pm)
{
    struct gw_registry *reg = &s->gw->registry;
    struct gw_name topic = {.len = 0};
    enum action a = action_of(pm);
    int rc = gw_name_set(&topic, pm->topic, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);

    if (rc || a == NOTHING)
        return rc;
    if (a == BAD_TYPE)
        return -GW_E_TYPE;
    if (!topic.len)
        return -GW_E_TOPIC;
    if (a == PUBLISH)
        return stream_publish(s, m, pm, &topic);
    if (a == SUBSCRIBE)
        return gw_registry_subscribe(reg, gw_name_slice(&s->client), gw_name_slice(&topic), s->gw->cfg.threshold, gw_now_ns());
    gw_registry_unsubscribe(reg, gw_name_slice(&s->client), gw_name_slice(&topic), gw_now_ns());
    return 0;
}

static void stream_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct stream *s = rpc_call_data(c);
    struct proxy_message pm;
    int rc = 0;

    (void)user;
    if (!s)
        return;
    if (!read_proxy(m, &pm)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
        return;
    }
    if (!s->is_attached)
        rc = stream_attach(s, pm.client);
    if (rc) {
        finish_error(s->gw, c, rc);
        return;
    }
    rc = stream_act(s, m, &pm);
    if (rc)
        stream_error_code(s, pm.topic.len <= GW_NAME_MAX ? pm.topic : (struct slice){0}, rc);
}

static void add_nothing(void *user, struct slice topic)
{
    (void)user;
    (void)topic;
}

/* Whoever subscribed goes on listening; whoever only published is done. */
static void stream_half_close(struct rpc_call *c, void *user)
{
    struct stream *s = rpc_call_data(c);

    (void)user;
    if (!s || !s->is_attached || !gw_registry_client_topics(&s->gw->registry, gw_name_slice(&s->client), add_nothing, NULL))
        rpc_call_finish(c, RPC_CODE_OK, NULL);
}

static void stream_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct stream *s = rpc_call_data(c);
    struct rpc_call_stats stats;

    (void)st;
    (void)user;
    if (!s)
        return;
    gw_registry_detach(&s->gw->registry, &s->sink, gw_now_ns());
    rpc_call_get_stats(c, &stats);
    gw_count(&s->gw->count.grpc_dropped, stats.dropped_must);
    log_debug("\"gRPC client gone\" client=%.*s status=%s", (int)s->client.len, s->client.text, rpc_code_name(st->code));
    stream_unref(s);
}

/* ---- Publish ---- */

struct unary_publish {
    struct gateway *gw;
    struct rpc_call *call;
    struct gw_name client;
};

static void on_unary_published(void *user, const struct gw_result *r)
{
    struct unary_publish *p = user;
    const struct text_field f[] = {{1, SLICE_LIT("published")},
                                   {2, r->topic},
                                   {3, gw_name_slice(&p->client)},
                                   {4, slice_str(r->id_hex)}};
    char text[256];

    if (r->outcome.err) {
        gw_result_text(p->gw, r, text, sizeof(text));
        rpc_call_finish(p->call, r->outcome.http == 429 ? RPC_CODE_RESOURCE_EXHAUSTED : (enum rpc_code)gw_err_rpc(r->outcome.err), text);
    } else {
        reply(p->call, write_texts(f, 4));
    }
    rpc_call_unref(p->call);
    free(p);
}

/* PublishRequest {client_id 1, topic 2, message 3} */
static bool read_publish(struct rpc_msg *m, struct slice f[4])
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field x;
    int rc;

    memset(f, 0, 4 * sizeof(*f));
    while ((rc = pb_next(&r, &x)) > 0)
        if (x.type == PB_BYTES && x.number >= 1 && x.number <= 3)
            f[x.number] = x.bytes;
    return rc == 0;
}

static void publish_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct unary_publish *p = calloc(1, sizeof(*p));
    struct gw_name topic = {.len = 0};
    struct rpc_msg *payload = NULL;
    struct slice f[4];
    int rc = p ? 0 : -GW_E_NOMEM;

    if (!rc && !read_publish(m, f))
        rc = -GW_E_JSON;
    if (!rc)
        rc = gw_name_set(&p->client, f[1], GW_E_CLIENT_LONG, GW_E_CLIENT);
    if (!rc)
        rc = gw_name_set(&topic, f[2], GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);
    if (!rc && !topic.len)
        rc = -GW_E_TOPIC;
    if (!rc && !(payload = payload_of(m, f[3])))
        rc = -GW_E_NOMEM;
    if (rc) {
        free(p);
        if (rc == -GW_E_JSON)
            rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
        else
            finish_error(gw, c, rc);
        return;
    }
    p->gw = gw;
    p->call = rpc_call_ref(c);
    if (p->client.len)
        gw_registry_published(&gw->registry, gw_name_slice(&p->client), gw_now_ns());
    gw_publish_start(gw, gw_name_slice(&topic), payload, on_unary_published, p);
    rpc_msg_unref(payload);
}

/* ---- Subscribe ---- */

/* SubscribeRequest {client_id 1, topic 2, float threshold 3, repeated topics 4} */
struct subscribe_request {
    struct slice client, topic, topics[TOPICS_MAX];
    unsigned n_topics;
    float threshold;
};

static bool read_subscribe(struct rpc_msg *m, struct subscribe_request *out)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    int rc;

    memset(out, 0, sizeof(*out));
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, 1, PB_BYTES)) {
            out->client = f.bytes;
        } else if (pb_is(&f, 2, PB_BYTES)) {
            out->topic = f.bytes;
        } else if (pb_is(&f, 3, PB_FIXED32)) {
            uint32_t bits = (uint32_t)f.u;

            memcpy(&out->threshold, &bits, sizeof(bits));
        } else if (pb_is(&f, 4, PB_BYTES)) {
            if (out->n_topics == TOPICS_MAX)
                return false;
            out->topics[out->n_topics++] = f.bytes;
        }
    }
    return rc == 0;
}

static int subscribe_topic(struct gateway *gw, const struct gw_name *client, struct slice topic, double threshold)
{
    struct gw_name name = {.len = 0};
    int rc = gw_name_set(&name, topic, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);

    if (rc)
        return rc;
    if (!name.len)
        return -GW_E_TOPIC;
    return gw_registry_subscribe(&gw->registry, gw_name_slice(client), gw_name_slice(&name), threshold, gw_now_ns());
}

static int subscribe_all(struct gateway *gw, const struct subscribe_request *req, struct gw_name *client)
{
    double threshold = req->threshold != 0 ? (double)req->threshold : gw->cfg.threshold;
    int rc = gw_name_set(client, req->client, GW_E_CLIENT_LONG, GW_E_CLIENT);

    if (!rc && !client->len)
        rc = -GW_E_CLIENT;
    if (!rc && !(threshold > 0 && threshold <= 1))
        rc = -GW_E_THRESHOLD;
    if (!rc && !req->topic.len && !req->n_topics)
        rc = -GW_E_TOPIC;
    if (!rc && req->topic.len)
        rc = subscribe_topic(gw, client, req->topic, threshold);
    for (unsigned i = 0; !rc && i < req->n_topics; i++)
        rc = subscribe_topic(gw, client, req->topics[i], threshold);
    return rc;
}

static void subscribe_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct subscribe_request *req = malloc(sizeof(*req));
    struct gw_name client = {.len = 0};
    int rc;

    if (!req) {
        finish_error(gw, c, GW_E_NOMEM);
        return;
    }
    if (!read_subscribe(m, req)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
    } else if ((rc = subscribe_all(gw, req, &client)) != 0) {
        finish_error(gw, c, rc);
    } else {
        const struct text_field f[] = {{1, SLICE_LIT("subscribed")},
                                       {2, req->topic.len ? req->topic : req->topics[0]},
                                       {3, gw_name_slice(&client)}};

        reply(c, write_texts(f, 3));
    }
    free(req);
}

/* ---- ExposeNodes, CreateSession ---- */

static unsigned amount_of(struct rpc_msg *m, uint32_t field)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    unsigned amount = 0;

    while (pb_next(&r, &f) > 0)
        if (pb_is(&f, field, PB_VARINT))
            amount = f.u > GW_NODES_MAX ? GW_NODES_MAX : (unsigned)f.u;
    return amount;
}

static void expose_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    struct text_field f[2 * GW_NODES_MAX];
    char id[33];
    unsigned n = 0, k = 0;

    if (!nodes) {
        finish_error(gw, c, GW_E_NOMEM);
        return;
    }
    gw_session_create(gw, amount_of(m, 2), id, nodes, &n);
    for (unsigned i = 0; i < n; i++)
        f[k++] = (struct text_field){1, slice_str(nodes[i].target)};
    for (unsigned i = 0; i < n; i++)
        f[k++] = (struct text_field){2, slice_str(nodes[i].p2p_address)};
    reply(c, write_texts(f, k));
    free(nodes);
}

/* SessionNode {id 1, address 2, transport 3, region 4, ticket 5, score 6} */
static void put_session_node(struct wr *w, const struct gw_node_info *n, const char *ticket)
{
    const struct text_field f[] = {{1, slice_str(n->p2p_address)}, {2, slice_str(n->target)},  {3, SLICE_LIT("grpc")},
                                   {4, slice_str(n->country_iso)}, {5, slice_str(ticket)}};
    struct rpc_msg *m = write_texts(f, 5);

    if (!m)
        return;
    pb_put_bytes(w, 2, rpc_msg_slice(m));
    rpc_msg_unref(m);
}

static void session_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    uint8_t *buf = malloc(GW_NODES_MAX * 512 + 256);
    char id[33] = "", expires[32], refresh[32];
    unsigned n = 0;
    struct wr w;

    if (!nodes || !buf) {
        finish_error(gw, c, GW_E_NOMEM);
    } else {
        gw_session_create(gw, amount_of(m, 5), id, nodes, &n);
        gw_session_times(expires, refresh);
        w = wr_of(buf, GW_NODES_MAX * 512 + 256);
        pb_put_bytes(&w, 1, slice_str(id));
        for (unsigned i = 0; i < n; i++)
            put_session_node(&w, &nodes[i], id);
        pb_put_bytes(&w, 3, slice_str(expires));
        pb_put_bytes(&w, 4, slice_str(refresh));
        if (n == 0)
            pb_put_bytes(&w, 5, slice_str(gw_err_text(GW_E_NO_NODE)));
        reply(c, w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len)));
    }
    free(nodes);
    free(buf);
}

/* ---- tables ---- */

/* The queue's bound is CLIENT_QUEUE_BYTES: filled in before the server copies the tables. */
static const struct rpc_handlers stream_handlers = {.on_open = stream_open,
                                                    .on_message = stream_message,
                                                    .on_half_close = stream_half_close,
                                                    .on_close = stream_close};

int gw_grpc_add(struct gateway *gw)
{
    struct rpc_queue_limits queue = {.max_messages = 1u << 20,
                                     .max_bytes = gw->cfg.client_queue_bytes,
                                     .policy = RPC_DROP_OLDEST};
    const struct rpc_method methods[] = {{"ClientStream", RPC_BIDI, stream_handlers, queue},
                                         {"Stream", RPC_BIDI, stream_handlers, queue},
                                         {"Publish", RPC_UNARY, {.on_message = publish_message}, {0}},
                                         {"Subscribe", RPC_UNARY, {.on_message = subscribe_message}, {0}},
                                         {"ExposeNodes", RPC_UNARY, {.on_message = expose_message}, {0}}};
    static const struct rpc_method session_methods[] = {{"CreateSession", RPC_UNARY, {.on_message = session_message}, {0}}};
    static const struct rpc_service session_service = {"proto.SessionService", session_methods, 1};
    int rc;

    memcpy(gw->grpc_methods, methods, sizeof(methods));
    gw->grpc_services[0] = (struct rpc_service){"proto.ProxyStream", gw->grpc_methods, 5};
    gw->grpc_services[1] = (struct rpc_service){"proto.GatewayStream", gw->grpc_methods, 5};
    rc = rpc_server_add(gw->grpc, &gw->grpc_services[0], gw);
    if (!rc)
        rc = rpc_server_add(gw->grpc, &gw->grpc_services[1], gw);
    return rc ? rc : rpc_server_add(gw->grpc, &session_service, gw);
}
