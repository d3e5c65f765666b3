#include "cli/link.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"
#include "cli/words.h"
#include "http/http_flat.h"

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

enum { M_TOPIC, M_MESSAGE, M_ID, M_SOURCE, M_COUNT };

/* A short text, cut when it is too long; empty when it is none, or absurd. */
static size_t label(char *out, size_t cap, const struct flat_value *v)
{
    uint8_t text[6 * CLI_TOPIC_MAX]; /* as it may be written: \u0061 */
    ssize_t got = v->type == FLAT_STRING && v->raw.len <= sizeof(text) ? http_flat_text(text, v) : 0;
    size_t n = got > 0 ? (size_t)got : 0;

    n = n < cap ? n : cap - 1;
    if (n)
        memcpy(out, text, n);
    out[n] = 0;
    return n;
}

/* The payload of a message of many megabytes, decoded straight out of the text. */
static ssize_t payload(uint8_t *out, size_t cap, const struct flat_value *v)
{
    uint8_t *text;
    ssize_t n;

    if (!v->is_escaped)
        return base64_decode(out, cap, v->raw);
    text = malloc(v->raw.len);
    n = text ? http_flat_text(text, v) : -1;
    if (n >= 0)
        n = base64_decode(out, cap, slice_of(text, (size_t)n));
    free(text);
    return n;
}

struct cli_event *cli_event_of_json(struct slice text, uint64_t now_ns)
{
    static const char *const names[M_COUNT] = {"topic", "message", "message_id", "source_node_id"};
    struct flat_value v[M_COUNT];
    struct cli_event *e;
    char topic[CLI_TOPIC_MAX + 1];
    size_t topic_len;
    ssize_t n = 0;

    if (http_flat_find(text, names, M_COUNT, v) < 0 || v[M_MESSAGE].type != FLAT_STRING)
        return NULL;
    topic_len = label(topic, sizeof(topic), &v[M_TOPIC]);
    e = topic_len ? cli_event_new(CLI_MESSAGE, slice_of(topic, topic_len), v[M_MESSAGE].raw.len / 4 * 3) : NULL;
    if (!e)
        return NULL;
    if (v[M_MESSAGE].raw.len)
        n = payload(cli_event_payload(e), e->payload.len, &v[M_MESSAGE]);
    if (n < 0) {
        cli_event_free(e);
        return NULL;
    }
    e->payload.len = (size_t)n;
    e->at_ns = now_ns;
    label(e->id, sizeof(e->id), &v[M_ID]);
    label(e->source, sizeof(e->source), &v[M_SOURCE]);
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
