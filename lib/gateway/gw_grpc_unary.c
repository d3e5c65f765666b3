/* gw_grpc_unary.c: Publish, Subscribe, ExposeNodes, CreateSession */
#include <stdio.h>
#include <stdlib.h>

#include "base/pb.h"
#include "gateway/gw_grpc_impl.h"

#define TOPICS_MAX 1000 /* in one SubscribeRequest */

static void reply(struct rpc_call *c, struct rpc_msg *m)
{
    if (m)
        rpc_call_reply(c, m);
    else
        rpc_call_finish(c, RPC_CODE_INTERNAL, "out of memory");
    rpc_msg_unref(m);
}

/* ---- Publish ---- */

struct unary_publish {
    struct gateway *gw;
    struct rpc_call *call;
    struct gw_name client;
};

static void on_unary_published(void *user, const struct gw_result *r)
{
    struct unary_publish *p = user;
    const struct text_field f[] = {{1, SLICE_LIT("published")},
                                   {2, r->topic},
                                   {3, gw_name_slice(&p->client)},
                                   {4, slice_str(r->id_hex)}};
    char text[256];

    if (r->outcome.err) {
        gw_result_text(p->gw, r, text, sizeof(text));
        rpc_call_finish(p->call,
                        r->outcome.http == 429 ? RPC_CODE_RESOURCE_EXHAUSTED
                                               : (enum rpc_code)gw_err_rpc(r->outcome.err),
                        text);
    } else {
        reply(p->call, gw_grpc_texts(f, 4));
    }
    rpc_call_unref(p->call);
    free(p);
}

/* PublishRequest {client_id 1, topic 2, message 3} */
static bool read_publish(struct rpc_msg *m, struct slice f[4])
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field x;
    int rc;

    memset(f, 0, 4 * sizeof(*f));
    while ((rc = pb_next(&r, &x)) > 0)
        if (x.type == PB_BYTES && x.number >= 1 && x.number <= 3)
            f[x.number] = x.bytes;
    return rc == 0;
}

void gw_grpc_publish(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct unary_publish *p = calloc(1, sizeof(*p));
    const struct auth_grant *g = rpc_call_data(c);
    struct gw_name topic = {.len = 0}, key;
    struct gw_refusal refused = {.err = 0};
    struct rpc_msg *payload = NULL;
    struct slice f[4];
    int rc = p ? 0 : -GW_E_NOMEM;

    if (!rc && !read_publish(m, f))
        rc = -GW_E_JSON;
    if (!rc)
        rc = gw_name_set(&p->client, f[1], GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);
    if (!rc)
        rc = gw_name_set(&topic, f[2], GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);
    if (!rc && !topic.len)
        rc = -GW_E_TOPIC;
    if (!rc && !f[3].len)
        rc = -GW_E_EMPTY;
    if (!rc && !(payload = gw_grpc_payload(m, f[3])))
        rc = -GW_E_NOMEM;
    if (!rc && gw_auth_publish(gw, g, gw_name_slice(&p->client), rpc_call_peer(c), f[3].len, &refused) < 0)
        rc = refused.err;
    if (rc) {
        free(p);
        if (rc == -GW_E_JSON)
            rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
        else if (rc == refused.err)
            rpc_call_finish(c, (enum rpc_code)gw_err_rpc(rc), refused.text);
        else
            gw_grpc_error(gw, c, rc);
        rpc_msg_unref(payload);
        return;
    }
    p->gw = gw;
    p->call = rpc_call_ref(c);
    if (gw_auth_name(g, &p->client, &key) == 0 && key.len)
        gw_registry_published(&gw->registry, gw_name_slice(&key), gw_now_ns());
    gw_publish_start(gw, gw_name_slice(&topic), payload, on_unary_published, p);
    rpc_msg_unref(payload);
}

/* ---- Subscribe ---- */

/* SubscribeRequest {client_id 1, topic 2, float threshold 3, repeated topics 4} */
struct subscribe_request {
    struct slice client, topic, topics[TOPICS_MAX];
    unsigned n_topics;
    float threshold;
};

static bool read_subscribe(struct rpc_msg *m, struct subscribe_request *out)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    int rc;

    memset(out, 0, sizeof(*out));
    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, 1, PB_BYTES)) {
            out->client = f.bytes;
        } else if (pb_is(&f, 2, PB_BYTES)) {
            out->topic = f.bytes;
        } else if (pb_is(&f, 3, PB_FIXED32)) {
            uint32_t bits = (uint32_t)f.u;

            memcpy(&out->threshold, &bits, sizeof(bits));
        } else if (pb_is(&f, 4, PB_BYTES)) {
            if (out->n_topics == TOPICS_MAX)
                return false;
            out->topics[out->n_topics++] = f.bytes;
        }
    }
    return rc == 0;
}

static int subscribe_topic(struct gateway *gw, const struct gw_name *client, struct slice topic,
                           double threshold)
{
    struct gw_name name = {.len = 0};
    int rc = gw_name_set(&name, topic, GW_E_TOPIC_LONG, GW_E_TOPIC_TEXT);

    if (rc)
        return rc;
    if (!name.len)
        return -GW_E_TOPIC;
    return gw_registry_subscribe(&gw->registry, gw_name_slice(client), gw_name_slice(&name), threshold,
                                 gw_now_ns());
}

static int subscribe_all(struct gateway *gw, const struct auth_grant *g, const struct subscribe_request *req,
                         struct gw_name *client)
{
    struct gw_name key = {.len = 0};
    double threshold = req->threshold != 0 ? (double)req->threshold : gw->cfg.threshold;
    int rc = gw_name_set(client, req->client, GW_E_CLIENT_LONG, GW_E_CLIENT_TEXT);

    if (!rc && !client->len)
        rc = -GW_E_CLIENT;
    if (!rc)
        rc = gw_auth_name(g, client, &key);
    if (!rc && !(threshold > 0 && threshold <= 1))
        rc = -GW_E_THRESHOLD;
    if (!rc && !req->topic.len && !req->n_topics)
        rc = -GW_E_TOPIC;
    if (!rc && req->topic.len)
        rc = subscribe_topic(gw, &key, req->topic, threshold);
    for (unsigned i = 0; !rc && i < req->n_topics; i++)
        rc = subscribe_topic(gw, &key, req->topics[i], threshold);
    return rc;
}

void gw_grpc_subscribe(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct subscribe_request *req = malloc(sizeof(*req));
    struct gw_name client = {.len = 0};
    int rc;

    if (!req) {
        gw_grpc_error(gw, c, GW_E_NOMEM);
        return;
    }
    if (!read_subscribe(m, req)) {
        rpc_call_finish(c, RPC_CODE_INVALID_ARGUMENT, "malformed message");
    } else if ((rc = subscribe_all(gw, rpc_call_data(c), req, &client)) != 0) {
        gw_grpc_error(gw, c, rc);
    } else {
        const struct text_field f[] = {{1, SLICE_LIT("subscribed")},
                                       {2, req->topic.len ? req->topic : req->topics[0]},
                                       {3, gw_name_slice(&client)}};

        reply(c, gw_grpc_texts(f, 3));
    }
    free(req);
}

/* ---- ExposeNodes, CreateSession ---- */

/* Field 1 of either request. False: there is none. */
static bool has_client(struct rpc_msg *m)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    bool has = false;

    while (pb_next(&r, &f) > 0)
        if (pb_is(&f, 1, PB_BYTES))
            has = f.bytes.len > 0;
    return has;
}

static unsigned amount_of(struct rpc_msg *m, uint32_t field)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct pb_field f;
    unsigned amount = 0;

    while (pb_next(&r, &f) > 0)
        if (pb_is(&f, field, PB_VARINT))
            amount = f.u > GW_NODES_MAX ? GW_NODES_MAX : (unsigned)f.u;
    return amount;
}

void gw_grpc_expose(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    struct text_field f[2 * GW_NODES_MAX];
    char id[33];
    unsigned n = 0, k = 0;

    if (!nodes) {
        gw_grpc_error(gw, c, GW_E_NOMEM);
        return;
    }
    gw_session_create(gw, amount_of(m, 2), id, nodes, &n);
    for (unsigned i = 0; i < n; i++)
        f[k++] = (struct text_field){1, slice_str(nodes[i].target)};
    for (unsigned i = 0; i < n; i++)
        f[k++] = (struct text_field){2, slice_str(nodes[i].p2p_address)};
    reply(c, gw_grpc_texts(f, k));
    free(nodes);
}

/* SessionNode {id 1, address 2, transport 3, region 4, ticket 5, score 6} */
static void put_session_node(struct wr *w, const struct gw_node_info *n, const char *ticket)
{
    const struct text_field f[] = {{1, slice_str(gw_node_id(n))},
                                   {2, slice_str(n->target)},
                                   {3, SLICE_LIT("grpc")},
                                   {4, slice_str(n->country_iso)},
                                   {5, slice_str(ticket)}};
    struct rpc_msg *m = gw_grpc_texts(f, 5);
    float score = 1; /* as in the JSON: the list's order is all we say of them */
    uint32_t bits;

    if (!m)
        return;
    memcpy(&bits, &score, sizeof(bits));
    pb_put_head(w, 2, rpc_msg_len(m) + 5);
    wr_slice(w, rpc_msg_slice(m));
    pb_put_fixed32(w, 6, bits);
    rpc_msg_unref(m);
}

void gw_grpc_session(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct gateway *gw = user;
    struct gw_node_info *nodes = calloc(GW_NODES_MAX, sizeof(*nodes));
    uint8_t *buf = malloc(GW_NODES_MAX * 512 + 256);
    char id[33] = "", expires[32], refresh[32];
    unsigned n = 0;
    struct wr w;

    if (!has_client(m)) {
        gw_grpc_error(gw, c, GW_E_CLIENT);
    } else if (!nodes || !buf) {
        gw_grpc_error(gw, c, GW_E_NOMEM);
    } else {
        gw_session_create(gw, amount_of(m, 5), id, nodes, &n);
        gw_session_times(expires, refresh);
        w = wr_of(buf, GW_NODES_MAX * 512 + 256);
        pb_put_bytes(&w, 1, slice_str(id));
        for (unsigned i = 0; i < n; i++)
            put_session_node(&w, &nodes[i], id);
        pb_put_bytes(&w, 3, slice_str(expires));
        pb_put_bytes(&w, 4, slice_str(refresh));
        if (n == 0)
            pb_put_bytes(&w, 5, slice_str(gw_err_text(GW_E_NO_NODE)));
        reply(c, w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len)));
    }
    free(nodes);
    free(buf);
}
