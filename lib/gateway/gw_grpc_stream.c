/* gw_grpc_stream.c: ClientStream: deliveries out, subscribe, unsubscribe and publish in
 * Owner:   a stream is counted: its call holds one reference, every publish under way another
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pb.h"
#include "base/text.h"
#include "gateway/gw_grpc_impl.h"

#define UNDER_WAY_BYTES (8u << 20)
#define UNDER_WAY_MAX   1024

static const char TOO_SLOW[] = "client too slow";

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

struct stream {
    _Atomic uint32_t refs;
    struct gateway *gw;
    struct rpc_call *call;
    struct gw_sink sink;
    struct gw_name client; /* as the registry has it */
    struct auth_grant *grant; /* NULL: tokens are not asked for */
    bool is_attached, is_named;
    bool wants_notices; /* the call's thread's */
    _Atomic uint64_t bytes_under_way;
    _Atomic uint32_t under_way;
    pthread_mutex_t lock; /* guards what follows; pause and resume keep their order by it */
    bool is_paused;
    bool is_ending; /* the client said all and listens to nothing: the stream ends with its last publish */
};

static void stream_unref(struct stream *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    rpc_call_unref(s->call);
    pthread_mutex_destroy(&s->lock);
    free(s->grant);
    free(s);
}

/* A token that ran out ends its stream with the next message, whichever way that goes. */
static bool end_when_over(struct stream *s)
{
    if (!gw_auth_is_over(s->gw, s->grant))
        return false;
    rpc_call_abort(s->call, RPC_CODE_UNAUTHENTICATED, auth_err_name(AUTH_E_EXPIRED)); /* on_close comes on its own thread */
    return true;
}

static void deliver(struct gw_sink *sink, struct gw_delivery *d)
{
    struct stream *s = CONTAINER_OF(sink, struct stream, sink);
    struct rpc_msg *m = end_when_over(s) ? NULL : gw_delivery_grpc(d);

    if (m && rpc_call_send(s->call, m, RPC_MUST) == -RPC_EFULL && s->gw->cfg.grpc_policy == WS_DISCONNECT)
        rpc_call_abort(s->call, RPC_CODE_RESOURCE_EXHAUSTED, TOO_SLOW); /* on_close comes on its own thread */
}

static void squeeze(struct gw_sink *sink)
{
    struct stream *s = CONTAINER_OF(sink, struct stream, sink);

    if (rpc_call_squeeze(s->call) && s->gw->cfg.grpc_policy == WS_DISCONNECT)
        rpc_call_abort(s->call, RPC_CODE_RESOURCE_EXHAUSTED, TOO_SLOW);
}

static void stream_open(struct rpc_call *c, void *user)
{
    struct auth_grant *grant;
    struct stream *s;

    if (!gw_auth_call(user, c, &grant))
        return;
    s = calloc(1, sizeof(*s));
    if (!s) {
        free(grant);
        rpc_call_finish(c, RPC_CODE_INTERNAL, "out of memory");
        return;
    }
    s->gw = user;
    s->grant = grant;
    s->call = rpc_call_ref(c);
    s->sink.deliver = deliver;
    s->sink.squeeze = squeeze;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    rpc_call_set_data(c, s);
    gw_count(&s->gw->count.grpc_clients, 1);
}

/* An error that does not end the stream. */
static void stream_error(struct stream *s, struct slice topic, const char *message_id, const char *why)
{
    const struct text_field f[] = {{F_CLIENT, gw_auth_shown(gw_name_slice(&s->client))},
                                   {F_MESSAGE, slice_str(why)},
                                   {F_TOPIC, topic},
                                   {F_MESSAGE_ID, slice_str(message_id)},
                                   {F_TYPE, SLICE_LIT("error")}};
    struct rpc_msg *m = gw_grpc_texts(f, 5);

    if (m)
        rpc_call_send(s->call, m, RPC_MUST);
    rpc_msg_unref(m);
}

static struct rpc_msg *stream_dropped(struct rpc_call *c, uint64_t messages, uint64_t bytes, void *user)
{
    struct stream *s = rpc_call_data(c);
    char text[GW_NOTICE_MAX];

    (void)user;
    if (!s || !s->wants_notices)
        return NULL;
    return gw_grpc_texts((const struct text_field[]){{F_CLIENT, gw_name_slice(&s->client)},
                                                     {F_MESSAGE, slice_of(text, gw_notice_dropped(s->gw, text, messages, bytes))},
                                                     {F_TYPE, SLICE_LIT("notice")}},
                         3);
}

static void stream_error_code(struct stream *s, struct slice topic, int err)
{
    struct gw_result r = {.outcome = {.err = err < 0 ? -err : err}};
    char text[256];

    gw_result_text(s->gw, &r, text, sizeof(text));
    log_debug("\"message of a gRPC client refused\" client=%.*s topic=%.*s err=\"%s\"", (int)s->client.len, s->client.text,
              (int)topic.len, (const char *)topic.p, text);
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

/* By whoever comes last of the client's half-close and the publishes' answers. */
static void end_when_done(struct stream *s)
{
    bool is_done;

    pthread_mutex_lock(&s->lock);
    is_done = s->is_ending && atomic_load(&s->under_way) == 0;
    pthread_mutex_unlock(&s->lock);
    if (is_done)
        rpc_call_finish(s->call, RPC_CODE_OK, NULL);
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
    end_when_done(s);
    free(p);
    stream_unref(s);
}

static int stream_publish(struct stream *s, struct rpc_msg *m, const struct proxy_message *pm,
                          const struct gw_name *topic)
{
    struct slice client = s->is_named ? gw_name_slice(&s->client) : (struct slice){0};
    struct stream_publish *p;
    struct rpc_msg *payload;
    struct gw_refusal r;

    if (gw_auth_publish(s->gw, s->grant, client, rpc_call_peer(s->call), pm->message.len, &r) < 0) {
        log_debug("\"publish refused\" client=%.*s topic=%.*s err=\"%s\"", (int)s->client.len, s->client.text, (int)topic->len,
                  topic->text, r.text);
        stream_error(s, gw_name_slice(topic), "", r.text);
        return 0;
    }
    p = calloc(1, sizeof(*p));
    payload = p ? gw_grpc_payload(m, pm->message) : NULL;
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
    struct gw_name given;
    int rc = gw_name_set(&given, client, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);

    if (!rc)
        rc = gw_auth_name(s->grant, &given, &s->client);
    if (rc)
        return rc;
    s->is_named = s->client.len > 0;
    if (!s->is_named) {
        gw_random(s->gw, random, sizeof(random));
        hex_encode(hex, slice_of(random, sizeof(random)));
        s->client.len = (size_t)snprintf(s->client.text, sizeof(s->client.text), "anonymous-%s", hex);
    }
    rc = gw_registry_attach(&s->gw->registry, gw_name_slice(&s->client), &s->sink, !s->is_named, gw_now_ns());
    s->is_attached = rc == 0;
    if (!rc)
        log_debug("\"gRPC client connected\" client=%.*s peer=%s", (int)s->client.len, s->client.text, rpc_call_peer(s->call));
    return rc;
}

enum action { NOTHING, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, NOTICES, BAD_TYPE };

/* Without a type, what is there says what is meant. */
static enum action action_of(const struct proxy_message *pm)
{
    if (slice_is_equal(pm->type, SLICE_LIT("publish")))
        return PUBLISH;
    if (slice_is_equal(pm->type, SLICE_LIT("subscribe")))
        return pm->topic.len ? SUBSCRIBE : NOTHING;
    if (slice_is_equal(pm->type, SLICE_LIT("unsubscribe")))
        return UNSUBSCRIBE;
    if (slice_is_equal(pm->type, SLICE_LIT("notices")))
        return NOTICES;
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
    if (a == NOTICES) {
        s->wants_notices = true;
        return 0;
    }
    if (!topic.len)
        return -GW_E_TOPIC;
    if (a == PUBLISH && !pm->message.len)
        return -GW_E_EMPTY;
    if (a == PUBLISH)
        return stream_publish(s, m, pm, &topic);
    if (a == SUBSCRIBE)
        return gw_registry_subscribe(reg, gw_name_slice(&s->client), gw_name_slice(&topic),
                                     s->gw->cfg.threshold, gw_now_ns());
    gw_registry_unsubscribe(reg, gw_name_slice(&s->client), gw_name_slice(&topic), gw_now_ns());
    return 0;
}

static void stream_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct stream *s = rpc_call_data(c);
    struct proxy_message pm;
    struct gw_name topic;
    int rc = 0;

    (void)user;
    if (!s || end_when_over(s))
        return;
    if (!read_proxy(m, &pm)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
        return;
    }
    if (!s->is_attached)
        rc = stream_attach(s, pm.client);
    if (rc) {
        gw_grpc_error(s->gw, c, rc);
        return;
    }
    rc = stream_act(s, m, &pm);
    if (rc) /* a topic that is no text is not echoed: the client could not read our answer */
        stream_error_code(s, gw_name_set(&topic, pm.topic, 1, 1) == 0 ? pm.topic : (struct slice){0}, rc);
}

static void add_nothing(void *user, struct slice topic)
{
    (void)user;
    (void)topic;
}

/* Whoever subscribed goes on listening; whoever only published is done once he has heard what became of it. */
static void stream_half_close(struct rpc_call *c, void *user)
{
    struct stream *s = rpc_call_data(c);

    (void)user;
    if (!s) {
        rpc_call_finish(c, RPC_CODE_OK, NULL);
        return;
    }
    if (s->is_attached && gw_registry_client_topics(&s->gw->registry, gw_name_slice(&s->client), add_nothing, NULL))
        return;
    pthread_mutex_lock(&s->lock);
    s->is_ending = true;
    pthread_mutex_unlock(&s->lock);
    end_when_done(s);
}

static void stream_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct stream *s = rpc_call_data(c);

    (void)user;
    if (!s)
        return;
    if (st->code == RPC_CODE_RESOURCE_EXHAUSTED && strcmp(st->message, TOO_SLOW) == 0)
        gw_count(&s->gw->count.grpc_too_slow, 1);
    gw_registry_detach(&s->gw->registry, &s->sink, gw_now_ns());
    log_debug("\"gRPC client gone\" client=%.*s status=%s", (int)s->client.len, s->client.text,
              rpc_code_name(st->code));
    stream_unref(s);
}

const struct rpc_handlers gw_grpc_stream_handlers = {.on_open = stream_open,
                                                     .on_message = stream_message,
                                                     .on_half_close = stream_half_close,
                                                     .on_dropped = stream_dropped,
                                                     .on_close = stream_close};
