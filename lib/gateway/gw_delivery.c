/* gw_delivery.c: one message on its way to clients */
#include "gateway/gw_delivery.h"

#include <stdio.h>

#include "base/pb.h"
#include "base/text.h"
#include "http/http_flat.h"
#include "http/http_json.h"

/* Below, a copy is cheap, and what it would be shared with may be a read buffer of core's that is many times as large. */
#define SHARE_BYTES 65536

#define WS_HEAD_MAX (2 * HTTP_JSON_STR_MAX(128) + HTTP_JSON_STR_MAX(GW_NAME_MAX) + 256)

enum { M_TOPIC, M_ID, M_MESSAGE, M_SOURCE, M_UPSTREAM, M_COUNT };

static const char *const snake[M_COUNT] = {"topic", "message_id", "message", "source_node_id",
                                           "upstream_peer_id"};
static const char *const camel[M_COUNT] = {"Topic", "MessageID", "Message", "SourceNodeID", "UpstreamPeerID"};

static bool read_text(char *out, size_t cap, const struct flat_value *v, size_t *len)
{
    uint8_t text[1024];
    ssize_t n;

    if (v->type != FLAT_STRING || v->raw.len > sizeof(text))
        return false;
    n = http_flat_text(text, v);
    if (n < 0 || (size_t)n > cap)
        return false;
    memcpy(out, text, (size_t)n);
    *len = (size_t)n;
    return true;
}

/* A short text that may be absent or nonsense: then it is empty. */
static void read_label(char out[128], const struct flat_value *v)
{
    size_t n = 0;

    if (!read_text(out, 127, v, &n))
        n = 0;
    out[n] = 0;
}

static size_t decoded_len(struct slice b64)
{
    size_t pad =
        b64.len && b64.p[b64.len - 1] == '=' ? (b64.len > 1 && b64.p[b64.len - 2] == '=' ? 2 : 1) : 0;

    return b64.len / 4 * 3 - (b64.len ? pad : 0);
}

/* All but the payload. */
static int parse_head(struct gw_delivery *d, struct slice data, struct flat_value v[M_COUNT])
{
    size_t n = 0;

    memset(d, 0, sizeof(*d));
    if (http_flat_find(data, snake, M_COUNT, v) < 0)
        return -GW_E_JSON;
    if (v[M_ID].type == FLAT_ABSENT && http_flat_find(data, camel, M_COUNT, v) < 0)
        return -GW_E_JSON;
    if (!read_text(d->topic_text, sizeof(d->topic_text), &v[M_TOPIC], &n))
        return -GW_E_JSON;
    d->topic = slice_of(d->topic_text, n);
    if (v[M_ID].type != FLAT_STRING || v[M_ID].raw.len != 2 * GW_ID_BYTES ||
        hex_decode(d->id, sizeof(d->id), v[M_ID].raw) < 0)
        return -GW_E_JSON;
    hex_encode(d->id_hex, slice_of(d->id, sizeof(d->id)));
    read_label(d->source, &v[M_SOURCE]);
    read_label(d->upstream, &v[M_UPSTREAM]);
    return 0;
}

int gw_delivery_parse(struct gw_delivery *d, struct slice data)
{
    struct flat_value v[M_COUNT];
    int rc = parse_head(d, data, v);

    if (rc)
        return rc;
    if (v[M_MESSAGE].type != FLAT_STRING || v[M_MESSAGE].is_escaped || v[M_MESSAGE].raw.len % 4)
        return -GW_E_JSON;
    d->base64 = v[M_MESSAGE].raw;
    d->payload_len = decoded_len(d->base64);
    return 0;
}

int gw_delivery_parse_raw(struct gw_delivery *d, struct slice data, struct slice raw, struct rpc_msg *whole)
{
    struct flat_value v[M_COUNT];
    int rc = parse_head(d, data, v);

    d->raw = raw;
    d->payload_len = raw.len;
    d->whole = whole;
    return rc;
}

void gw_delivery_init(struct gw_delivery *d, struct slice topic, const uint8_t id[GW_ID_BYTES],
                      const char *source, const char *upstream, struct slice raw)
{
    memset(d, 0, sizeof(*d));
    d->topic = slice_of(d->topic_text, topic.len < GW_NAME_MAX ? topic.len : GW_NAME_MAX);
    memcpy(d->topic_text, topic.p, d->topic.len);
    memcpy(d->id, id, GW_ID_BYTES);
    hex_encode(d->id_hex, slice_of(d->id, sizeof(d->id)));
    snprintf(d->source, sizeof(d->source), "%s", source);
    snprintf(d->upstream, sizeof(d->upstream), "%s", upstream);
    d->raw = raw;
    d->payload_len = raw.len;
}

void gw_delivery_fini(struct gw_delivery *d)
{
    ws_msg_unref(d->ws);
    rpc_msg_unref(d->grpc);
    d->ws = NULL;
    d->grpc = NULL;
}

static size_t put_lit(char *out, const char *s)
{
    size_t n = strlen(s);

    memcpy(out, s, n);
    return n;
}

/* The JSON up to the payload. */
static size_t put_ws_head(char p[WS_HEAD_MAX], const struct gw_delivery *d)
{
    size_t n = put_lit(p, "{\"source_node_id\":");

    n += http_json_quote(p + n, slice_str(d->source));
    if (d->upstream[0]) {
        n += put_lit(p + n, ",\"upstream_peer_id\":");
        n += http_json_quote(p + n, slice_str(d->upstream));
    }
    n += put_lit(p + n, ",\"topic\":");
    n += http_json_quote(p + n, d->topic);
    n += put_lit(p + n, ",\"message_id\":\"");
    n += put_lit(p + n, d->id_hex);
    return n + put_lit(p + n, "\",\"message\":\"");
}

static size_t put_payload(char *out, const struct gw_delivery *d)
{
    if (!d->base64.p)
        return base64_encode(out, d->raw);
    memcpy(out, d->base64.p, d->base64.len);
    return d->base64.len;
}

struct ws_msg *gw_delivery_ws(struct gw_delivery *d)
{
    char head[WS_HEAD_MAX], *p;
    size_t n;

    if (d->ws)
        return d->ws;
    n = put_ws_head(head, d);
    d->ws = ws_msg_new(n + (d->base64.p ? d->base64.len : BASE64_SIZE(d->raw.len)) + 2); /* no more: it may wait in queues, and is charged so */
    if (!d->ws)
        return NULL;
    p = (char *)ws_msg_data(d->ws);
    memcpy(p, head, n);
    n += put_payload(p + n, d);
    n += put_lit(p + n, "\"}");
    ws_msg_seal(d->ws, WS_TEXT, n);
    ws_msg_charge(d->ws, d->budget);
    return d->ws;
}

/* proto/gateway.proto, ProxyMessage: message 2, topic 3, message_id 4. The payload goes last, behind its length. */
static void put_head(struct wr *w, const struct gw_delivery *d)
{
    pb_put_bytes(w, 3, d->topic);
    pb_put_bytes(w, 4, slice_str(d->id_hex));
    pb_put_head(w, 2, d->payload_len);
}

/* A large payload stays where it came in: the clients' queues share the node's message, which is hardly larger. */
static struct rpc_msg *share_payload(const struct gw_delivery *d)
{
    uint8_t buf[3 * GW_NAME_MAX];
    struct wr w = wr_of(buf, sizeof(buf));
    struct rpc_msg *head, *part, *m = NULL;

    put_head(&w, d);
    head = w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len));
    part = head ? rpc_msg_part(d->whole, d->raw) : NULL;
    if (part)
        m = rpc_msg_join(head, part);
    rpc_msg_unref(head);
    rpc_msg_unref(part);
    return m;
}

struct rpc_msg *gw_delivery_grpc(struct gw_delivery *d)
{
    struct wr count = wr_counter(), w;
    struct rpc_msg *m;

    if (d->grpc)
        return d->grpc;
    if (d->whole && d->raw.len >= SHARE_BYTES) {
        d->grpc = share_payload(d);
        if (d->grpc)
            rpc_msg_charge(d->grpc, d->budget);
        return d->grpc;
    }
    put_head(&count, d);
    m = rpc_msg_new(count.len + d->payload_len);
    if (!m)
        return NULL;
    w = wr_of(rpc_msg_bytes(m), count.len);
    put_head(&w, d);
    if (!d->base64.p) {
        if (d->raw.len)
            memcpy(rpc_msg_bytes(m) + w.len, d->raw.p, d->raw.len);
    } else if (base64_decode(rpc_msg_bytes(m) + w.len, d->payload_len, d->base64) !=
               (ssize_t)d->payload_len) {
        rpc_msg_unref(m);
        return NULL;
    }
    rpc_msg_charge(m, d->budget);
    d->grpc = m;
    return m;
}
