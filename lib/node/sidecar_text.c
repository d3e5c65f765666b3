#include "node/sidecar_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/pb.h"
#include "base/text.h"
#include "http/http_json.h"

#define NAME_MAX_BYTES 512 /* of a topic or peer id, before quoting */

/* Response's fields, and Response.command's values. */
enum { RESPONSE_COMMAND = 1, RESPONSE_DATA = 2, RESPONSE_PAYLOAD = 4 };
enum { TYPE_UNKNOWN = 0, TYPE_MESSAGE = 1 };

bool sidecar_command_read(struct sidecar_command *c, struct slice request)
{
    struct rd r = rd_of(request);
    struct pb_field f;
    int got;

    *c = (struct sidecar_command){0};
    while ((got = pb_next(&r, &f)) == 1) {
        if (pb_is(&f, 1, PB_VARINT))
            c->verb = (int32_t)f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            c->data = f.bytes;
        else if (pb_is(&f, 3, PB_BYTES))
            c->topic = f.bytes;
        else if (pb_is(&f, 4, PB_BYTES))
            c->token = f.bytes;
    }
    return got == 0;
}

static void put_head(struct wr *w, int type, size_t data_bytes)
{
    if (type)
        pb_put_varint(w, RESPONSE_COMMAND, (uint64_t)type);
    pb_put_head(w, RESPONSE_DATA, data_bytes);
}

/* A Response of data_bytes, with *w standing where the data goes. */
static struct rpc_msg *response(int type, size_t data_bytes, struct wr *w)
{
    struct wr head = wr_counter();
    struct rpc_msg *m;

    put_head(&head, type, data_bytes);
    m = rpc_msg_new(head.len + data_bytes);
    if (!m)
        return NULL;
    *w = wr_of(rpc_msg_bytes(m), head.len + data_bytes);
    put_head(w, type, data_bytes);
    return m;
}

static struct rpc_msg *response_of(int type, struct slice data)
{
    struct wr w;
    struct rpc_msg *m = response(type, data.len, &w);

    if (m)
        wr_slice(&w, data);
    return m;
}

/* `"key":"value",` with value quoted; one that is unreasonably long is cut. */
static void put_member(struct wr *w, const char *key, struct slice value)
{
    char quoted[HTTP_JSON_STR_MAX(NAME_MAX_BYTES)];

    if (value.len > NAME_MAX_BYTES)
        value.len = NAME_MAX_BYTES;
    wr_u8(w, '"');
    wr_bytes(w, key, strlen(key));
    wr_bytes(w, "\":", 2);
    wr_bytes(w, quoted, http_json_quote(quoted, value));
    wr_u8(w, ',');
}

#define HEAD_MAX_BYTES (4 * HTTP_JSON_STR_MAX(NAME_MAX_BYTES) + 128)

/* What a message's JSON begins with, up to and with the comma before its payload. */
static struct wr message_head(char head[HEAD_MAX_BYTES], const struct hub_message *m)
{
    struct wr h = wr_of(head, HEAD_MAX_BYTES);

    wr_u8(&h, '{');
    put_member(&h, "source_node_id", slice_str(m->source_node_id));
    if (m->upstream_peer_id[0])
        put_member(&h, "upstream_peer_id", slice_str(m->upstream_peer_id));
    put_member(&h, "topic", slice_str(m->topic));
    put_member(&h, "message_id", slice_str(m->message_id));
    return h;
}

struct rpc_msg *sidecar_message_raw(const struct hub_message *m)
{
    char head[HEAD_MAX_BYTES];
    struct wr h = message_head(head, m), w = wr_counter();
    struct rpc_msg *out = NULL;

    head[h.len - 1] = '}'; /* in place of the last comma */
    for (unsigned pass = 0; pass < 2; pass++) {
        put_head(&w, TYPE_MESSAGE, h.len);
        wr_bytes(&w, head, h.len);
        pb_put_bytes(&w, RESPONSE_PAYLOAD, m->payload);
        if (pass == 0) {
            out = rpc_msg_new(w.len);
            if (!out)
                return NULL;
            w = wr_of(rpc_msg_bytes(out), w.len);
        }
    }
    return out;
}

struct rpc_msg *sidecar_message(const struct hub_message *m)
{
    static const char key[] = "\"message\":\"", end[] = "\"}";
    char head[HEAD_MAX_BYTES];
    struct wr h = message_head(head, m), w;
    size_t text_bytes = BASE64_SIZE(m->payload.len) - 1;
    struct rpc_msg *out;

    out = response(TYPE_MESSAGE, h.len + sizeof(key) - 1 + text_bytes + sizeof(end) - 1, &w);
    if (!out)
        return NULL;
    wr_bytes(&w, head, h.len);
    wr_bytes(&w, key, sizeof(key) - 1);
    /* straight into the message; the NUL that it writes behind the text is where the end goes */
    w.len += base64_encode((char *)w.p + w.len, m->payload);
    wr_bytes(&w, end, sizeof(end) - 1);
    return out;
}

struct rpc_msg *sidecar_trace(const struct hub_trace *t)
{
    return response_of(t->kind, t->bytes);
}

struct rpc_msg *sidecar_answer(const struct sidecar_answer *a)
{
    char text[3 * HTTP_JSON_STR_MAX(NAME_MAX_BYTES) + 256], number[32];
    struct wr w = wr_of(text, sizeof(text));

    wr_u8(&w, '{');
    put_member(&w, "status", slice_str(a->status));
    put_member(&w, "topic", a->topic);
    put_member(&w, "message_id", slice_str(a->message_id));
    if (a->error) {
        put_member(&w, "error", slice_str(a->error));
        wr_bytes(&w, number, (size_t)snprintf(number, sizeof(number), "\"code\":%d,", a->code));
    }
    w.p[w.len - 1] = '}'; /* in place of the last comma */
    return response_of(TYPE_UNKNOWN, slice_of(w.p, w.len));
}

struct rpc_msg *sidecar_lost(uint64_t messages)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "{\"status\":\"dropped\",\"messages\":%" PRIu64 "}", messages);

    return response_of(TYPE_UNKNOWN, slice_of(text, (size_t)n));
}

struct rpc_msg *sidecar_offer(uint16_t port, const char *secret_hex)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "{\"status\":\"lane\",\"port\":%u,\"secret\":\"%s\"}", port, secret_hex);

    return response_of(TYPE_UNKNOWN, slice_of(text, (size_t)n));
}

/* ---- lists of topics ---- */

static bool each_of_array(json_t *array, bool (*each)(void *, struct slice), void *user)
{
    json_t *v;
    size_t i;

    if (!json_is_array(array) || json_array_size(array) == 0)
        return false;
    json_array_foreach(array, i, v)
        if (!json_is_string(v))
            return false;
    json_array_foreach(array, i, v)
        if (!each(user, slice_of(json_string_value(v), json_string_length(v))))
            break;
    return true;
}

static bool each_of_json(struct slice text, bool (*each)(void *, struct slice), void *user)
{
    json_t *v = json_loadb((const char *)text.p, text.len, JSON_ALLOW_NUL, NULL);
    bool is = each_of_array(json_is_object(v) ? json_object_get(v, "topics") : v, each, user);

    json_decref(v);
    return is;
}

static bool is_separator(uint8_t c)
{
    return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool each_of_text(struct slice s, bool (*each)(void *, struct slice), void *user)
{
    bool any = false;
    size_t i = 0, from;

    while (i < s.len) {
        for (from = i; i < s.len && !is_separator(s.p[i]); i++)
            ;
        if (i > from) {
            any = true;
            if (!each(user, slice_of(s.p + from, i - from)))
                break;
        }
        i++;
    }
    return any;
}

bool sidecar_each_topic(const struct sidecar_command *c, bool (*each)(void *user, struct slice topic), void *user)
{
    struct slice s = c->data.len ? c->data : c->topic;

    if (s.len && (s.p[0] == '[' || s.p[0] == '{'))
        return each_of_json(s, each, user);
    return each_of_text(s, each, user);
}
