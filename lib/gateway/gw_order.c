/* gw_order.c: a request to publish or subscribe, as JSON says it */
#include "gateway/gw_order.h"

#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "gateway/gw_impl.h"
#include "http/http_json.h"

static const char *const names[O_COUNT] = {"type",           "client_id", "topic",    "topics",    "message",
                                           "message_length", "data",      "encoding", "threshold", "id",
                                           "expose_amount"};

int gw_name_set(struct gw_name *n, struct slice s, int err_long, int err_text)
{
    if (s.len > sizeof(n->text))
        return -err_long;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return -err_text;
    if (!http_utf8_is_valid(s)) /* a node's JSON could not give it back to us: nothing would ever match it */
        return -err_text;
    if (s.len)
        memcpy(n->text, s.p, s.len);
    n->len = s.len;
    return 0;
}

static bool is_absent(const struct flat_value *v)
{
    return v->type == FLAT_ABSENT || v->type == FLAT_NULL;
}

static int read_name(struct gw_name *n, const struct flat_value *v, int err_type, int err_long, int err_text)
{
    uint8_t text[6 * GW_NAME_MAX];
    ssize_t len;

    if (is_absent(v))
        return 0;
    if (v->type != FLAT_STRING)
        return -err_type;
    if (v->raw.len > sizeof(text))
        return -err_long;
    len = http_flat_text(text, v);
    return len < 0 ? -GW_E_JSON : gw_name_set(n, slice_of(text, (size_t)len), err_long, err_text);
}

int gw_order_read(struct gw_order *o, struct slice json)
{
    int rc;

    o->client.len = o->topic.len = 0;
    o->payload = NULL;
    if (http_flat_find(json, names, O_COUNT, o->v) < 0) {
        memset(o->v, 0, sizeof(o->v));
        return -GW_E_JSON;
    }
    rc = read_name(&o->client, &o->v[O_CLIENT], GW_E_CLIENT_TYPE, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);
    return rc ? rc : read_name(&o->topic, &o->v[O_TOPIC], GW_E_TOPIC_TYPE, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);
}

void gw_order_fini(struct gw_order *o)
{
    rpc_msg_unref(o->payload);
    o->payload = NULL;
}

/* Random bytes of the length asked for; 0 asks for none, as in servers that know no absent numbers. */
static int make_random(struct gw_order *o, struct gateway *gw)
{
    double n = 0;
    uint64_t seed;
    struct rng r;

    if (!http_flat_number(&o->v[O_LENGTH], &n) || n != floor(n))
        return -GW_E_LENGTH_TYPE;
    if (n < 1)
        return n < 0 ? -GW_E_LENGTH : -GW_E_MESSAGE;
    if (n > (double)gw_max_message_bytes(gw))
        return -GW_E_TOO_LARGE;
    o->payload = rpc_msg_new((size_t)n);
    if (!o->payload)
        return -GW_E_NOMEM;
    gw_random(gw, &seed, sizeof(seed));
    rng_init_seeded(&r, seed);
    rng_fill(&r, rpc_msg_bytes(o->payload), (size_t)n);
    return 0;
}

static int is_base64(const struct gw_order *o, bool *out)
{
    const struct flat_value *e = &o->v[O_ENCODING];

    *out = false;
    if (is_absent(e))
        return 0;
    if (e->type != FLAT_STRING)
        return -GW_E_ENCODING;
    *out = slice_is_equal(e->raw, SLICE_LIT("base64"));
    return *out || slice_is_equal(e->raw, SLICE_LIT("text")) || slice_is_equal(e->raw, SLICE_LIT("utf-8"))
               ? 0
               : -GW_E_ENCODING;
}

static int decode_base64(struct gw_order *o, const struct flat_value *v)
{
    struct slice s = v->raw;
    size_t pad = s.len >= 2 ? (s.p[s.len - 1] == '=') + (s.p[s.len - 2] == '=') : 0;
    size_t n = s.len / 4 * 3 - (s.len % 4 ? 0 : pad);
    uint8_t *unescaped = NULL;
    int rc = 0;

    if (v->is_escaped) { /* "\/" is a way to write a slash */
        ssize_t len;

        unescaped = malloc(s.len);
        len = unescaped ? http_flat_text(unescaped, v) : -1;
        if (len < 0) {
            free(unescaped);
            return -GW_E_BASE64;
        }
        s = slice_of(unescaped, (size_t)len);
        pad = s.len >= 2 ? (s.p[s.len - 1] == '=') + (s.p[s.len - 2] == '=') : 0;
        n = s.len / 4 * 3 - (s.len % 4 ? 0 : pad);
    }
    o->payload = rpc_msg_new(n);
    if (!o->payload)
        rc = -GW_E_NOMEM;
    else if (base64_decode(rpc_msg_bytes(o->payload), n, s) != (ssize_t)n)
        rc = -GW_E_BASE64;
    free(unescaped);
    return rc;
}

static int copy_text(struct gw_order *o, const struct flat_value *v)
{
    uint8_t *text;
    ssize_t n;

    if (!v->is_escaped) {
        o->payload = rpc_msg_copy(v->raw);
        return o->payload ? 0 : -GW_E_NOMEM;
    }
    text = malloc(v->raw.len);
    if (!text)
        return -GW_E_NOMEM;
    n = http_flat_text(text, v);
    if (n < 0) {
        free(text);
        return -GW_E_JSON;
    }
    o->payload = rpc_msg_wrap(slice_of(text, (size_t)n), free, text);
    return o->payload ? 0 : -GW_E_NOMEM;
}

static bool is_there(const struct flat_value *v)
{
    return !is_absent(v) && !(v->type == FLAT_STRING && v->raw.len == 0);
}

int gw_order_payload(struct gw_order *o, struct gateway *gw)
{
    const struct flat_value *v = is_there(&o->v[O_MESSAGE]) ? &o->v[O_MESSAGE] : &o->v[O_DATA];
    bool base64;
    int rc;

    if (!is_there(v))
        return is_there(&o->v[O_LENGTH]) ? make_random(o, gw) : -GW_E_MESSAGE;
    if (v->type != FLAT_STRING)
        return -GW_E_MESSAGE_TYPE;
    rc = is_base64(o, &base64);
    if (rc)
        return rc;
    return base64 ? decode_base64(o, v) : copy_text(o, v);
}

int gw_order_threshold(const struct gw_order *o, double *out)
{
    const struct flat_value *v = &o->v[O_THRESHOLD];
    double t;

    if (is_absent(v))
        return 0;
    if (!http_flat_number(v, &t))
        return -GW_E_THRESHOLD_TYPE;
    if (!(t > 0 && t <= 1))
        return -GW_E_THRESHOLD;
    *out = t;
    return 0;
}

int gw_order_amount(const struct gw_order *o, unsigned *out)
{
    const struct flat_value *v = &o->v[O_AMOUNT];
    double n;

    if (is_absent(v))
        return 0;
    if (!http_flat_number(v, &n) || n != floor(n) || n < 0 || n > UINT32_MAX)
        return -GW_E_AMOUNT;
    *out = (unsigned)n;
    return 0;
}

struct topics_walk {
    int (*each)(void *user, struct slice topic);
    void *user;
    unsigned n;
    int rc;
};

static bool each_topic(const struct flat_value *v, void *user)
{
    struct topics_walk *w = user;
    struct gw_name name = {.len = 0};

    w->rc = read_name(&name, v, GW_E_TOPIC_TYPE, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);
    if (!w->rc && !name.len)
        w->rc = -GW_E_TOPIC;
    if (!w->rc)
        w->rc = w->each(w->user, gw_name_slice(&name));
    w->n++;
    return w->rc == 0;
}

int gw_order_topics(const struct gw_order *o, int (*each)(void *user, struct slice topic), void *user)
{
    struct topics_walk w = {each, user, 0, 0};

    if (!is_absent(&o->v[O_TOPICS]) && o->v[O_TOPICS].type != FLAT_ARRAY)
        return -GW_E_TOPICS_TYPE;
    if (o->topic.len) {
        w.rc = each(user, gw_name_slice(&o->topic));
        w.n++;
    }
    if (!w.rc && o->v[O_TOPICS].type == FLAT_ARRAY)
        http_flat_each(&o->v[O_TOPICS], each_topic, &w);
    return w.rc ? w.rc : w.n ? 0 : -GW_E_TOPIC;
}
