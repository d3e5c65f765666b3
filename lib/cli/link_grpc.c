/* link_grpc.c: a gateway by gRPC: unary Publish and Subscribe, messages by ClientStream */
#include <stdlib.h>
#include <string.h>

#include "base/pb.h"
#include "cli/channel.h"
#include "cli/link.h"
#include "cli/words.h"

#define SERVICE "/proto.ProxyStream/"

enum { F_CLIENT = 1, F_MESSAGE = 2, F_TOPIC = 3, F_MESSAGE_ID = 4, F_TYPE = 5 }; /* ProxyMessage */

struct grpc_link {
    struct cli_link link;
    struct cli_channel channel;
    struct rpc_call *stream;
    atomic_bool is_ending; /* we end it: nobody is told */
};

static struct grpc_link *of(struct cli_link *l)
{
    return CONTAINER_OF(l, struct grpc_link, link);
}

/* ---- publishing ---- */

struct publish {
    struct grpc_link *link;
    uint64_t tag;
};

static void copy_text(char *out, size_t cap, struct slice s)
{
    size_t n = s.len < cap ? s.len : cap - 1;

    if (n)
        memcpy(out, s.p, n);
    out[n] = 0;
}

/* PublishResponse {status 1, topic 2, client_id 3, message_id 4} */
static void read_published(struct cli_event *e, struct rpc_msg *reply)
{
    struct rd r = rd_of(rpc_msg_slice(reply));
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        if (pb_is(&f, 4, PB_BYTES))
            copy_text(e->id, sizeof(e->id), f.bytes);
        else if (pb_is(&f, 1, PB_BYTES))
            e->is_duplicate = slice_is_equal(f.bytes, SLICE_LIT("deduplicated"));
    }
}

static void on_published(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct publish *p = user;
    bool is_told = !atomic_load(&p->link->is_ending);
    struct cli_event *e = is_told ? cli_event_new(CLI_PUBLISHED, (struct slice){0}, 0) : NULL;
    struct cli_fault f = {0};

    if (e) {
        e->tag = p->tag;
        e->at_ns = cli_now_ns();
        cli_channel_fault(p->link->link.target, st, &f);
        e->err = f.err;
        snprintf(e->text, sizeof(e->text), "%.255s", f.what);
        if (reply)
            read_published(e, reply);
        cli_inbox_push(p->link->link.inbox, e);
    }
    free(p);
}

static void put_publish(struct wr *w, const char *topic, struct slice payload)
{
    pb_put_bytes(w, 2, slice_str(topic));
    pb_put_bytes(w, 3, payload);
}

static int publish(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f)
{
    struct grpc_link *g = of(l);
    struct rpc_call_options opt = {.headers = g->channel.headers, .header_count = g->channel.header_count, .timeout_ms = 60000};
    struct wr size = wr_counter(), w;
    struct publish *p = malloc(sizeof(*p));
    struct rpc_msg *m;
    int rc;

    put_publish(&size, topic, payload);
    m = p ? rpc_msg_new(size.len) : NULL;
    if (!m) {
        free(p);
        return cli_fail(f, CLI_EFAILED, "out of memory");
    }
    w = wr_of(rpc_msg_bytes(m), size.len);
    put_publish(&w, topic, payload);
    *p = (struct publish){g, tag};
    rc = rpc_client_unary(g->channel.client, SERVICE "Publish", m, &opt, on_published, p);
    rpc_msg_unref(m);
    if (rc) {
        free(p);
        return cli_fail(f, CLI_EFAILED, "%s", rpc_err_name(rc));
    }
    return 0;
}

/* ---- subscribing ---- */

struct delivery {
    struct slice message, topic, id, type;
};

static struct delivery read_delivery(struct slice s)
{
    struct delivery d = {0};
    struct rd r = rd_of(s);
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        if (pb_is(&f, F_MESSAGE, PB_BYTES))
            d.message = f.bytes;
        else if (pb_is(&f, F_TOPIC, PB_BYTES))
            d.topic = f.bytes;
        else if (pb_is(&f, F_MESSAGE_ID, PB_BYTES))
            d.id = f.bytes;
        else if (pb_is(&f, F_TYPE, PB_BYTES))
            d.type = f.bytes;
    }
    return d;
}

/* NULL: there is nothing to say of it, or no memory. */
static struct cli_event *event_of(const struct delivery *d)
{
    bool is_error = slice_is_equal(d->type, SLICE_LIT("error")), is_notice = slice_is_equal(d->type, SLICE_LIT("notice"));
    struct cli_event *e = NULL;
    char why[200];

    if (is_error && d->topic.len) { /* one without a topic is about no subscription */
        e = cli_event_new(CLI_DOWN, d->topic, 0);
        if (e) {
            e->err = CLI_EFAILED;
            snprintf(e->text, sizeof(e->text), "the gateway refused the subscription: %s", cli_clean(why, sizeof(why), d->message));
        }
    } else if (is_notice) {
        e = cli_notice_of_json(d->message);
    } else if (!is_error && d->topic.len) {
        e = cli_event_new(CLI_MESSAGE, d->topic, d->message.len);
        if (e && d->message.len)
            memcpy(cli_event_payload(e), d->message.p, d->message.len);
        if (e)
            copy_text(e->id, sizeof(e->id), d->id);
    }
    if (e)
        e->at_ns = cli_now_ns();
    return e;
}

static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct grpc_link *g = user;
    struct delivery d = read_delivery(rpc_msg_slice(m));
    struct cli_event *e = event_of(&d);

    if (e && !cli_inbox_push(g->link.inbox, e))
        rpc_call_pause(c);
}

static void on_room(void *user)
{
    struct grpc_link *g = user;

    if (g->stream)
        rpc_call_resume(g->stream);
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct grpc_link *g = user;
    struct cli_event *e = atomic_load(&g->is_ending) ? NULL : cli_event_new(CLI_DOWN, (struct slice){0}, 0);
    struct cli_fault f = {0};

    (void)c;
    if (!e)
        return;
    cli_channel_fault(g->link.target, st, &f);
    e->err = f.err ? f.err : CLI_EREACH;
    snprintf(e->text, sizeof(e->text), "%.255s", f.err ? f.what : "the gateway ended the stream");
    cli_inbox_push(g->link.inbox, e);
}

/* SubscribeRequest {client_id 1, topic 2, float threshold 3, repeated topics 4} */
static void put_subscribe(struct wr *w, const char *client, const struct cli_subscription *s)
{
    float threshold = (float)s->threshold;
    uint32_t bits;

    memcpy(&bits, &threshold, sizeof(bits));
    pb_put_bytes(w, 1, slice_str(client));
    if (s->threshold > 0)
        pb_put_fixed32(w, 3, bits);
    for (unsigned i = 0; i < s->n_topics; i++)
        pb_put_bytes(w, 4, slice_str(s->topics[i]));
}

static struct rpc_msg *subscribe_message(const char *client, const struct cli_subscription *s)
{
    struct wr size = wr_counter(), w;
    struct rpc_msg *m;

    put_subscribe(&size, client, s);
    m = rpc_msg_new(size.len);
    if (m) {
        w = wr_of(rpc_msg_bytes(m), size.len);
        put_subscribe(&w, client, s);
    }
    return m;
}

static int say(struct grpc_link *g, const char *client, const char *type, const char *topic)
{
    uint8_t text[1024];
    struct wr w = wr_of(text, sizeof(text));
    struct rpc_msg *m;
    int rc;

    pb_put_bytes(&w, F_CLIENT, slice_str(client));
    if (topic)
        pb_put_bytes(&w, F_TOPIC, slice_str(topic));
    if (type)
        pb_put_bytes(&w, F_TYPE, slice_str(type));
    m = w.bad ? NULL : rpc_msg_copy(slice_of(text, w.len));
    rc = m ? rpc_call_send(g->stream, m, RPC_MUST) : -RPC_ETOOBIG;
    rpc_msg_unref(m);
    return rc;
}

static int open_stream(struct grpc_link *g, struct cli_fault *f)
{
    static const struct rpc_handlers on = {.on_message = on_message, .on_close = on_close};
    struct rpc_call_options opt = {.headers = g->channel.headers, .header_count = g->channel.header_count};
    int rc;

    g->link.inbox->on_room = on_room;
    g->link.inbox->room_user = g;
    rc = rpc_client_open(g->channel.client, SERVICE "ClientStream", &on, g, &opt, &g->stream);
    return rc ? cli_fail(f, CLI_EFAILED, "the stream does not open: %s", rpc_err_name(rc)) : 0;
}

/* A name or a threshold takes the unary call, whose subscription stays with the name; else it goes with the stream. */
static int subscribe(struct cli_link *l, const struct cli_subscription *s, struct cli_fault *f)
{
    struct grpc_link *g = of(l);
    bool has_name = s->client_id || s->threshold > 0;
    char client[CLI_CLIENT_ID_MAX] = "";
    int rc, sent;

    if (has_name)
        cli_client_id(client, s->client_id);
    /* the stream answers nothing: whether we are let in at all, a call tells */
    rc = has_name ? cli_channel_call(&g->channel, SERVICE "Subscribe", subscribe_message(client, s), NULL, f)
                  : cli_channel_call(&g->channel, SERVICE "ExposeNodes", rpc_msg_copy((struct slice){0}), NULL, f);
    if (!rc)
        rc = open_stream(g, f);
    if (rc)
        return rc;
    sent = say(g, client, NULL, NULL);
    if (!sent)
        sent = say(g, client, "notices", NULL);
    for (unsigned i = 0; !sent && !has_name && i < s->n_topics; i++)
        sent = say(g, client, "subscribe", s->topics[i]);
    return sent ? cli_fail(f, CLI_EFAILED, "the subscription: %s", rpc_err_name(sent)) : 0;
}

/* ---- the link ---- */

static void grpc_link_free(struct cli_link *l)
{
    struct grpc_link *g = of(l);

    if (l->inbox->room_user == g)
        l->inbox->on_room = NULL;
    atomic_store(&g->is_ending, true);
    cli_channel_fini(&g->channel);
    if (g->stream)
        rpc_call_unref(g->stream);
    free(g);
}

int cli_link_grpc_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f)
{
    static const struct cli_link_ops ops = {.subscribe = subscribe, .publish = publish, .free = grpc_link_free};
    struct grpc_link *g = calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return cli_fail(f, CLI_EFAILED, "out of memory");
    g->link = (struct cli_link){.ops = &ops, .target = t, .inbox = b};
    rc = cli_channel_init(&g->channel, t, f);
    if (!rc)
        rc = cli_channel_call(&g->channel, "/grpc.health.v1.Health/Check", rpc_msg_copy((struct slice){0}), NULL, f);
    if (rc)
        grpc_link_free(&g->link);
    else
        *out = &g->link;
    return rc;
}
