#include "cli/link.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"
#include "cli/words.h"

int cli_link_open(struct cli_link **out, const struct cli_target *t, struct cli_inbox *b, struct cli_fault *f)
{
    *out = NULL;
    switch (t->kind) {
    case CLI_GATEWAY_HTTP: return cli_link_http_open(out, t, b, f);
    case CLI_GATEWAY_GRPC: return cli_link_grpc_open(out, t, b, f);
    case CLI_SIDECAR: return cli_link_sidecar_open(out, t, b, f);
    }
    return cli_fail(f, CLI_EUSAGE, "no such target");
}

void cli_link_free(struct cli_link *l)
{
    if (l)
        l->ops->free(l);
}

static int check_topic(const char *topic, struct cli_fault *f)
{
    struct slice s = slice_str(topic);

    if (!s.len || s.len > CLI_TOPIC_MAX)
        return cli_fail(f, CLI_EUSAGE, "a topic has 1 to %d bytes", CLI_TOPIC_MAX);
    return cli_is_utf8(s) ? 0 : cli_fail(f, CLI_EUSAGE, "a topic is UTF-8 text");
}

int cli_link_subscribe(struct cli_link *l, const struct cli_subscription *s, struct cli_fault *f)
{
    for (unsigned i = 0; i < s->n_topics; i++) {
        int rc = check_topic(s->topics[i], f);

        if (rc)
            return rc;
    }
    return l->ops->subscribe(l, s, f);
}

int cli_link_publish(struct cli_link *l, const char *topic, struct slice payload, uint64_t tag, struct cli_fault *f)
{
    int rc = check_topic(topic, f);

    if (rc)
        return rc;
    if (payload.len > CLI_MESSAGE_MAX)
        return cli_fail(f, CLI_EFAILED, "the message has %zu bytes, more than any node takes", payload.len);
    return l->ops->publish(l, topic, payload, tag, f);
}

void cli_client_id(char out[CLI_CLIENT_ID_MAX], const char *wanted)
{
    struct rng rng;
    uint8_t bytes[8];
    char hex[17];

    if (wanted) {
        snprintf(out, CLI_CLIENT_ID_MAX, "%s", wanted);
        return;
    }
    rng_init_system(&rng);
    rng_fill(&rng, bytes, sizeof(bytes));
    hex_encode(hex, slice_of(bytes, sizeof(bytes)));
    snprintf(out, CLI_CLIENT_ID_MAX, "codecast-%s", hex);
}

static struct slice member(json_t *j, const char *name)
{
    json_t *v = json_object_get(j, name);

    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : (struct slice){0};
}

static void copy(char *out, size_t cap, struct slice s)
{
    size_t n = s.len < cap ? s.len : cap - 1;

    if (n)
        memcpy(out, s.p, n);
    out[n] = 0;
}

struct cli_event *cli_event_of_json(struct slice text, uint64_t now_ns)
{
    json_t *j = json_loadb((const char *)text.p, text.len, JSON_ALLOW_NUL, NULL);
    struct slice message = member(j, "message"), topic = member(j, "topic");
    struct cli_event *e = NULL;
    ssize_t n = 0;

    if (topic.len && json_is_string(json_object_get(j, "message")))
        e = cli_event_new(CLI_MESSAGE, topic, message.len / 4 * 3);
    if (e && message.len) {
        n = base64_decode(cli_event_payload(e), e->payload.len, message);
        if (n < 0) {
            cli_event_free(e);
            e = NULL;
        }
    }
    if (e) {
        e->payload.len = (size_t)n;
        e->at_ns = now_ns;
        copy(e->id, sizeof(e->id), member(j, "message_id"));
        copy(e->source, sizeof(e->source), member(j, "source_node_id"));
    }
    json_decref(j);
    return e;
}

struct cli_event *cli_notice_of_json(struct slice text)
{
    json_t *j = json_loadb((const char *)text.p, text.len, JSON_ALLOW_NUL, NULL);
    const char *what = json_string_value(json_object_get(j, "notice"));
    json_int_t lost = what && strcmp(what, "dropped") == 0 ? json_integer_value(json_object_get(j, "messages")) : 0;
    struct cli_event *e = lost > 0 ? cli_event_new(CLI_LOST, (struct slice){0}, 0) : NULL;

    if (e)
        e->lost = (uint64_t)lost;
    json_decref(j);
    return e;
}
