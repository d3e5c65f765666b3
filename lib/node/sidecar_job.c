/* sidecar_job.c: from a publish command to the hub, and the answer back */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "node/sidecar_impl.h"

#define TOPIC_MAX_BYTES 256

/* How a refusal is said: in the answer, and as the status of a stream that ends after it. */
struct refusal {
    int http;
    enum rpc_code code;
};

static struct refusal refusal_of(int err)
{
    switch (-err) {
    case HUB_ESIZE: return (struct refusal){413, RPC_CODE_RESOURCE_EXHAUSTED};
    case HUB_ETOPIC: return (struct refusal){400, RPC_CODE_INVALID_ARGUMENT};
    case HUB_ESTOPPING: return (struct refusal){503, RPC_CODE_UNAVAILABLE};
    default: return (struct refusal){503, RPC_CODE_RESOURCE_EXHAUSTED};
    }
}

int sidecar_refusal_http(int err)
{
    return refusal_of(err).http;
}

/* One that is lost, at once or while it waits, is told with the messages that are (stream_dropped): of publishes the client knows by time
 * which are meant, topics it has to ask for again. */
static void send_answer(struct stream *st, const struct sidecar_answer *a)
{
    struct rpc_msg *m = sidecar_answer(a);
    int err;

    if (m)
        rpc_msg_charge(m, &st->sidecar->deliveries);
    err = m ? rpc_call_send(st->call, m, RPC_MUST) : -RPC_ENOMEM;
    if (err < 0 && err != -RPC_ECLOSED)
        SIDECAR_COUNT(st->sidecar, answers_lost, 1);
    if (err < 0 && err != -RPC_ECLOSED && err != -RPC_EFULL)
        atomic_fetch_add(&st->lost, 1);
    rpc_msg_unref(m);
}

static void refuse(struct stream *st, struct slice topic, const char *id, struct refusal r, const char *why)
{
    struct sidecar_answer a = {.topic = topic, .message_id = id, .status = "error", .error = why, .code = r.http};

    SIDECAR_COUNT(st->sidecar, refused, 1);
    log_debug("\"publish refused\" topic=%.*s id=%s why=\"%s\" peer=%s", (int)topic.len, (const char *)topic.p, id, why,
              rpc_call_peer(st->call));
    send_answer(st, &a);
    st->refused.code = r.code;
    snprintf(st->refused.why, sizeof(st->refused.why), "%s", why);
}

void sidecar_refuse(struct stream *st, struct slice topic, const char *id, int http, enum rpc_code code, const char *why)
{
    refuse(st, topic, id, (struct refusal){http, code}, why);
}

void sidecar_tell_refused_topic(struct stream *st, struct slice topic, int http, const char *why)
{
    send_answer(st, &(struct sidecar_answer){.topic = topic, .message_id = "", .status = "refused", .error = why, .code = http});
}

int sidecar_hand_on(struct sidecar *s, struct slice topic, struct slice payload, void (*release)(void *), void *user, char id[65])
{
    char name[TOPIC_MAX_BYTES + 1];
    int err;

    id[0] = 0;
    if (topic.len > TOPIC_MAX_BYTES || (topic.len && memchr(topic.p, 0, topic.len))) {
        if (release)
            release(user);
        return -HUB_ETOPIC;
    }
    memcpy(name, topic.len ? (const char *)topic.p : "", topic.len);
    name[topic.len] = 0;
    err = hub_publish(s->hub, name, payload, release, user, id);
    if (err == 0)
        SIDECAR_COUNT(s, published, 1);
    else if (err == -HUB_EDUP)
        SIDECAR_COUNT(s, deduplicated, 1);
    return err;
}

/* Publishes one payload and answers. -HUB_EFULL: not now, nothing was answered; other errors: refused. */
static int publish_one(struct stream *st, struct slice topic, struct slice payload, void (*release)(void *), void *user)
{
    char id[65] = "";
    struct sidecar_answer a = {.topic = topic, .message_id = id};
    int err;

    if (!sidecar_auth_publish(st, topic, payload)) {
        release(user);
        return -HUB_ETOPIC; /* whatever it is called: it has been answered */
    }
    err = sidecar_hand_on(st->sidecar, topic, payload, release, user, id);
    st->job.is_charged = err == -HUB_EFULL; /* it comes again */
    switch (err) {
    case -HUB_EFULL: return err;
    case 0: a.status = "published"; break;
    case -HUB_EDUP: a.status = "deduplicated"; break;
    default: refuse(st, topic, id, refusal_of(err), hub_err_text(err)); return err;
    }
    send_answer(st, &a);
    return 0;
}

static void release_request(void *user)
{
    rpc_msg_unref(user);
}

/* One {"topic":"t","msg":"<base64>"} of a batch. */
static int publish_entry(struct stream *st, json_t *entry)
{
    static const struct refusal malformed = {400, RPC_CODE_INVALID_ARGUMENT};
    json_t *topic = json_object_get(entry, "topic"), *msg = json_object_get(entry, "msg");
    struct slice name, text;
    uint8_t *payload;
    ssize_t len;

    if (!json_is_string(topic) || !json_is_string(msg)) {
        refuse(st, SLICE_LIT(""), "", malformed, "a batch is {\"messages\":[{\"topic\":..,\"msg\":\"<base64>\"}]}");
        return -HUB_ETOPIC;
    }
    name = slice_of(json_string_value(topic), json_string_length(topic));
    text = slice_of(json_string_value(msg), json_string_length(msg));
    payload = malloc(text.len / 4 * 3 + 1);
    if (!payload) {
        refuse(st, name, "", refusal_of(-HUB_EMEM), hub_err_text(-HUB_EMEM));
        return -HUB_EMEM;
    }
    len = base64_decode(payload, text.len / 4 * 3, text);
    if (len < 0) {
        free(payload);
        refuse(st, name, "", malformed, "a message of the batch is not base64");
        return -HUB_ETOPIC;
    }
    return publish_one(st, name, slice_of(payload, (size_t)len), free, payload);
}

static bool run_batch(struct stream *st)
{
    struct publish_job *j = &st->job;
    json_t *all = json_object_get(j->batch, "messages");

    for (; j->next < json_array_size(all); j->next++) {
        int err = publish_entry(st, json_array_get(all, j->next));

        if (err == -HUB_EFULL)
            return false;
    }
    return true;
}

bool sidecar_job_run(struct stream *st)
{
    struct publish_job *j = &st->job;
    bool is_done;

    if (j->batch)
        is_done = run_batch(st);
    else
        is_done = publish_one(st, j->command.topic, j->command.data, release_request, rpc_msg_ref(j->request)) !=
                  -HUB_EFULL;
    if (is_done)
        sidecar_job_fini(j);
    return is_done;
}

void sidecar_job_fini(struct publish_job *j)
{
    rpc_msg_unref(j->request);
    json_decref(j->batch);
    *j = (struct publish_job){0};
}

bool sidecar_publish(struct stream *st, struct rpc_msg *request, const struct sidecar_command *c)
{
    static const struct refusal malformed = {400, RPC_CODE_INVALID_ARGUMENT};
    json_t *batch = NULL;

    if (c->verb == SIDECAR_PUBLISH_BATCH) {
        batch = json_loadb((const char *)c->data.p, c->data.len, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_array(json_object_get(batch, "messages"))) {
            json_decref(batch);
            refuse(st, SLICE_LIT(""), "", malformed, "a batch is {\"messages\":[{\"topic\":..,\"msg\":\"<base64>\"}]}");
            return true;
        }
    }
    st->job = (struct publish_job){.request = rpc_msg_ref(request), .command = *c, .batch = batch};
    return sidecar_job_run(st);
}
