/* Requests of CommandStream, and the JSON that goes back: whatever topic and payload came, it must parse and say the same. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/pb.h"
#include "base/text.h"
#include "node/sidecar_text.h"

static bool see_topic(void *user, struct slice topic)
{
    size_t *left = user;

    assert(topic.len == 0 || topic.p);
    return --*left > 0;
}

/* The JSON in a Response's data. */
static json_t *open_response(struct rpc_msg *m, uint64_t want_type)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    uint64_t type = 0;
    json_t *v = NULL;
    int got;

    while ((got = pb_next(&r, &f)) == 1) {
        if (pb_is(&f, 1, PB_VARINT))
            type = f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            v = json_loadb((const char *)f.bytes.p, f.bytes.len, JSON_ALLOW_NUL, NULL);
    }
    assert(got == 0 && type == want_type && v);
    return v;
}

static void check_message(const char *topic, struct slice payload)
{
    struct hub_message h = {.topic = topic, .payload = payload, .message_id = "00", .source_node_id = topic,
                            .upstream_peer_id = payload.len & 1 ? topic : ""};
    struct rpc_msg *m = sidecar_message(&h);
    json_t *v = open_response(m, 1), *text = json_object_get(v, "message");
    uint8_t *back = malloc(payload.len + 1);

    assert(json_string_length(text) == BASE64_SIZE(payload.len) - 1);
    assert(base64_decode(back, payload.len, slice_of(json_string_value(text), json_string_length(text))) ==
           (ssize_t)payload.len);
    assert(payload.len == 0 || memcmp(back, payload.p, payload.len) == 0);
    assert(json_is_string(json_object_get(v, "topic")) && json_object_size(v) == (h.upstream_peer_id[0] ? 5u : 4u));
    free(back);
    json_decref(v);
    rpc_msg_unref(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sidecar_answer a = {.message_id = "00", .status = "error", .error = "why", .code = 413};
    struct sidecar_command c;
    size_t left = 100;
    struct rpc_msg *m;
    char topic[257];

    if (!sidecar_command_read(&c, slice_of(data, size)))
        return 0;
    sidecar_each_topic(&c, see_topic, &left);
    snprintf(topic, sizeof(topic), "%.*s", (int)(c.topic.len > 256 ? 256 : c.topic.len),
             c.topic.len ? (const char *)c.topic.p : "");
    check_message(topic, c.data);
    a.topic = c.topic;
    m = sidecar_answer(&a);
    json_decref(open_response(m, 0));
    rpc_msg_unref(m);
    return 0;
}
