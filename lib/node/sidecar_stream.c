/* sidecar_stream.c: CommandStream.ListenCommands, one stream
 * Note:    clients that publish and never read are drained without limit; what they do not read is bounded by the queue.
 *          A client that half-closes gets the end at once if it only published, and stays if it subscribed. A publish that is
 *          refused is answered and ends nothing
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "node/sidecar_impl.h"

#define TOPIC_MAX_BYTES 256
#define PLAIN_TOPICS    1024 /* of a client that is no gateway: half of what the node has for all of them */
#define QUEUE_MESSAGES  (1u << 20) /* for messages of a few bytes; their bytes are CLIENT_QUEUE_BYTES */

/* ---- hub to client, on the hub's dispatch thread ---- */

static void on_hub_message(void *user, struct hub_message *m)
{
    struct stream *st = user;
    struct rpc_msg *e;
    int err;

    if (sidecar_auth_is_over(st))
        return;
    e = sidecar_encoded(st->sidecar, m, st->is_raw);
    err = e ? rpc_call_send(st->call, e, RPC_MUST) : -RPC_ENOMEM;
    if (err == 0) {
        SIDECAR_COUNT(st->sidecar, delivered, 1);
    } else if (err == -RPC_EFULL) { /* what does not fit is told by stream_dropped */
        if (st->sidecar->policy == NODE_CLIENT_DISCONNECT)
            rpc_call_abort(st->call, RPC_CODE_RESOURCE_EXHAUSTED, "the client reads too slowly"); /* on_close comes on its own thread */
    } else if (err != -RPC_ECLOSED) { /* else nobody is left to be owed anything */
        SIDECAR_COUNT(st->sidecar, lost, 1);
        atomic_fetch_add(&st->lost, 1);
    }
    rpc_msg_unref(e);
}

static void on_hub_trace(void *user, struct hub_trace *t)
{
    struct stream *st = user;
    struct rpc_msg *m = sidecar_trace(t);
    int err;

    if (m)
        rpc_msg_charge(m, &st->sidecar->deliveries);
    err = m ? rpc_call_send(st->call, m, RPC_MAY) : -RPC_ENOMEM;
    if (err == 0)
        SIDECAR_COUNT(st->sidecar, traces, 1);
    else if (err != -RPC_EFULL) /* that is counted where it is said */
        SIDECAR_COUNT(st->sidecar, traces_lost, 1);
    rpc_msg_unref(m);
}

/* ---- client to hub, on the call's loop thread ---- */

static bool has_subscriber(struct stream *st)
{
    struct hub_subscriber_ops ops = {.on_message = on_hub_message, .on_trace = st->has_traces ? on_hub_trace : NULL,
                                     .max_topics = st->reads_answers ? 0 : PLAIN_TOPICS};

    if (!st->subscriber)
        st->subscriber = hub_subscriber_new(st->sidecar->hub, &ops, st);
    return st->subscriber != NULL;
}

static void finish_by(struct stream *st, int err)
{
    static const enum rpc_code codes[] = {
        [HUB_ESIZE] = RPC_CODE_RESOURCE_EXHAUSTED, [HUB_ETOPIC] = RPC_CODE_INVALID_ARGUMENT,
        [HUB_EFULL] = RPC_CODE_RESOURCE_EXHAUSTED, [HUB_ESTOPPING] = RPC_CODE_UNAVAILABLE,
        [HUB_EMEM] = RPC_CODE_RESOURCE_EXHAUSTED, [HUB_ETOPICS] = RPC_CODE_RESOURCE_EXHAUSTED,
        [HUB_ESUBSCRIBER] = RPC_CODE_RESOURCE_EXHAUSTED,
    };
    bool is_known = -err > 0 && (size_t)-err < sizeof(codes) / sizeof(*codes);

    rpc_call_finish(st->call, is_known ? codes[-err] : RPC_CODE_INTERNAL, hub_err_text(err));
}

/* A gateway's stream serves many clients: it goes on. */
static void refuse_topic(struct stream *st, struct slice topic, int err)
{
    SIDECAR_COUNT(st->sidecar, topics_refused, 1);
    log_debug("\"subscribe refused\" topic=%.*s why=\"%s\" peer=%s", (int)topic.len, (const char *)topic.p, hub_err_text(err),
              rpc_call_peer(st->call));
    if (st->reads_answers)
        sidecar_tell_refused_topic(st, topic, sidecar_refusal_http(err), hub_err_text(err));
    else
        finish_by(st, err);
}

/* topic as a C string; false: it cannot be one. */
static bool topic_text(char out[TOPIC_MAX_BYTES + 1], struct slice topic)
{
    if (topic.len == 0 || topic.len > TOPIC_MAX_BYTES || memchr(topic.p, 0, topic.len))
        return false;
    memcpy(out, topic.p, topic.len);
    out[topic.len] = 0;
    return true;
}

/* False: the client has been told the reason. */
static bool subscribe(void *user, struct slice topic)
{
    struct stream *st = user;
    char name[TOPIC_MAX_BYTES + 1];
    int err = 0;

    if (!topic_text(name, topic))
        err = -HUB_ETOPIC;
    else if (!has_subscriber(st))
        err = -HUB_EMEM;
    else
        err = hub_subscribe(st->subscriber, name);
    if (err)
        refuse_topic(st, topic, err);
    else
        log_debug("\"client subscribes\" topic=%s peer=%s", name, rpc_call_peer(st->call));
    return !err;
}

static void unsubscribe(struct stream *st, struct slice topic)
{
    char name[TOPIC_MAX_BYTES + 1];

    if (!topic_text(name, topic)) {
        refuse_topic(st, topic, -HUB_ETOPIC);
        return;
    }
    if (st->subscriber)
        hub_unsubscribe(st->subscriber, name);
    log_debug("\"client unsubscribes\" topic=%s peer=%s", name, rpc_call_peer(st->call));
}

static void command_came(struct rpc_call *call, struct rpc_msg *m, void *user)
{
    struct stream *st = rpc_call_data(call);
    struct sidecar_command c;
    char why[64];

    if (!st)
        return; /* there was no memory for it: the call has been finished, what was on its way still comes */
    if (!sidecar_command_read(&c, rpc_msg_slice(m))) {
        rpc_call_finish(call, RPC_CODE_INVALID_ARGUMENT, "the request does not decode");
        return;
    }
    if (!sidecar_auth_command(st, &c))
        return;
    switch (c.verb) {
    case SIDECAR_PUBLISH:
    case SIDECAR_PUBLISH_BATCH:
        if (!sidecar_publish(st, m, &c))
            sidecar_wait_for_room(st);
        break;
    case SIDECAR_SUBSCRIBE: subscribe(st, c.topic); break;
    case SIDECAR_UNSUBSCRIBE: unsubscribe(st, c.topic); break;
    case SIDECAR_SUBSCRIBE_MANY:
        if (!sidecar_each_topic(&c, subscribe, st))
            rpc_call_finish(call, RPC_CODE_INVALID_ARGUMENT,
                            "command 4 takes its topics as a JSON array of strings in data");
        break;
    default:
        snprintf(why, sizeof(why), "unknown command %d", c.verb);
        rpc_call_finish(call, RPC_CODE_INVALID_ARGUMENT, why);
    }
}

static void stream_opened(struct rpc_call *call, void *user)
{
    struct sidecar *s = user;
    struct stream *st = calloc(1, sizeof(*st));

    if (!st) {
        rpc_call_finish(call, RPC_CODE_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    st->sidecar = s;
    st->call = call; /* it outlives its on_close, where we end */
    st->reads_answers = slice_is_equal(rpc_call_metadata(call, "codecast-errors"), SLICE_LIT("answer"));
    st->has_traces = !slice_is_equal(rpc_call_metadata(call, "codecast-traces"), SLICE_LIT("off"));
    st->is_raw = slice_is_equal(rpc_call_metadata(call, "codecast-payloads"), SLICE_LIT("raw"));
    rpc_call_set_data(call, st);
    SIDECAR_COUNT(s, streams, 1);
    SIDECAR_COUNT(s, open, 1);
    pthread_mutex_lock(&s->lock);
    list_push_back(&s->streams, &st->node);
    if (s->stopping)
        rpc_call_finish(call, RPC_CODE_UNAVAILABLE, hub_err_text(-HUB_ESTOPPING));
    pthread_mutex_unlock(&s->lock);
    if (sidecar_auth_open(st))
        sidecar_lane_offer(st);
}

static void stream_half_closed(struct rpc_call *call, void *user)
{
    struct stream *st = rpc_call_data(call);

    if (!st || (st->subscriber && hub_subscriber_topics(st->subscriber) > 0))
        return;
    if (st->refused.code && !st->reads_answers)
        rpc_call_finish(call, st->refused.code, st->refused.why);
    else
        rpc_call_finish(call, RPC_CODE_OK, NULL);
}

static void stream_drained(struct rpc_call *call, void *user)
{
    struct stream *st = rpc_call_data(call);

    if (st)
        st->is_warned = false;
}

/* Ahead of all that waits: so many messages are missing here. */
static struct rpc_msg *stream_dropped(struct rpc_call *call, uint64_t messages, uint64_t bytes, void *user)
{
    struct stream *st = rpc_call_data(call);

    if (!st)
        return NULL;
    messages += atomic_exchange(&st->lost, 0);
    if (!st->is_warned)
        log_warn("\"a subscriber reads too slowly, messages are dropped\" client=%s", rpc_call_peer(call));
    st->is_warned = true;
    return sidecar_lost(messages);
}

static void stream_closed(struct rpc_call *call, const struct rpc_status *status, void *user)
{
    struct stream *st = rpc_call_data(call);
    struct sidecar *s = user;

    if (!st)
        return;
    lane_session_free(st->lane.session);
    sidecar_wait_no_more(st);
    hub_subscriber_free(st->subscriber);
    sidecar_job_fini(&st->job);
    free(st->grant);
    pthread_mutex_lock(&s->lock);
    list_del(&st->node);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub(&s->n.open, 1);
    free(st);
}

const struct rpc_method sidecar_listen_commands = {
    .name = "ListenCommands",
    .kind = RPC_BIDI,
    .takes_bundles = true,
    .on = {.on_open = stream_opened,
           .on_message = command_came,
           .on_half_close = stream_half_closed,
           .on_drained = stream_drained,
           .on_dropped = stream_dropped,
           .on_close = stream_closed},
    .queue = {.max_messages = QUEUE_MESSAGES}, /* the rest: sidecar.c */
};
