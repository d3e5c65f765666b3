#include "gateway/gw_link_grpc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/pb.h"
#include "base/text.h"
#include "gateway/gw_impl.h"
#include "gateway/gw_lane.h"
#include "http/http_flat.h"
#include "rpc/rpc_client.h"
#include "sidecar.pb-c.h"

#define REOPEN_NS         300000000ull
#define COMMANDS_BYTES    (64ull << 20) /* room for subscriptions behind a full queue of publishes */
#define STREAM_MSGS_MAX   300000
#define HEALTH_TIMEOUT_MS 3000
#define TOPICS_TIMEOUT_MS 1000
#define TOKEN_MAX         8192

enum { COMMAND_PUBLISH = 1, COMMAND_SUBSCRIBE = 2, COMMAND_UNSUBSCRIBE = 3 };
enum { RESPONSE_UNKNOWN = 0, RESPONSE_MESSAGE = 1 };

struct grpc_link {
    struct gw_link link; /* first */
    struct rpc_loop *loop;
    uint32_t max_recv_bytes;
    uint64_t queue_bytes;
    const char *token_file; /* "": none */
    struct gw_lanes *lanes;

    /* under the node's lock */
    struct rpc_client *client;
    bool is_ready;           /* the channel's state */
    struct rpc_call *stream; /* NULL: none, reopened at retry_ns */
    bool is_ending;          /* the stream, by us */
    uint64_t retry_ns;
};

static struct grpc_link *of(struct gw_link *l)
{
    return CONTAINER_OF(l, struct grpc_link, link);
}

/* ---- answers to publishes ---- */

enum { A_STATUS, A_TOPIC, A_ID, A_ERROR, A_CODE, A_MESSAGES, A_PORT, A_SECRET, A_COUNT };

struct node_answer {
    struct gw_outcome outcome;
    char topic[GW_NAME_MAX];
    size_t topic_len;
    uint8_t id[GW_ID_BYTES];
    char text[200];
    bool is_our_token; /* the node wants another one */
    bool is_topic;     /* of a subscription: refused */
    /* Not of a publish: */
    uint64_t lost;         /* messages that the node dropped because we read too slowly */
    bool is_offer;         /* of lanes */
    uint16_t lane_port;
    uint8_t lane_secret[LANE_SECRET_BYTES];
};

static bool read_topic(struct node_answer *a, const struct flat_value *v)
{
    uint8_t text[6 * GW_NAME_MAX];
    ssize_t n;

    if (v->type != FLAT_STRING || v->raw.len > sizeof(text))
        return false;
    n = http_flat_text(text, v);
    if (n < 0 || n > GW_NAME_MAX)
        return false;
    memcpy(a->topic, text, (size_t)n);
    a->topic_len = (size_t)n;
    return true;
}

static void read_error(struct node_answer *a, const struct flat_value *v)
{
    uint8_t text[sizeof(a->text)];
    double code = 0;
    ssize_t n;

    http_flat_number(&v[A_CODE], &code);
    n = v[A_ERROR].type == FLAT_STRING && v[A_ERROR].raw.len < sizeof(text)
            ? http_flat_text(text, &v[A_ERROR])
            : -1;
    snprintf(a->text, sizeof(a->text), "%.*s", n > 0 ? (int)n : 0, (char *)text);
    a->outcome = gw_outcome_refused(code >= 400 && code < 600 ? (int)code : 0, a->text);
    a->is_our_token = code == 401;
}

/* The usual answer as our nodes write it, without reading it as JSON: {"status":"published","topic":"...","message_id":"..."} */
static bool is_usual_answer(struct node_answer *a, struct slice data)
{
    const struct slice head = SLICE_LIT("{\"status\":\"published\",\"topic\":\""), mid = SLICE_LIT("\",\"message_id\":\""),
                       end = SLICE_LIT("\"}");
    size_t around = head.len + mid.len + 2 * GW_ID_BYTES + end.len;
    struct slice topic;
    const uint8_t *p;

    if (data.len <= around || data.len - around > GW_NAME_MAX || memcmp(data.p, head.p, head.len) != 0)
        return false;
    topic = slice_of(data.p + head.len, data.len - around);
    p = topic.p + topic.len;
    if (memcmp(p, mid.p, mid.len) != 0 || memcmp(data.p + data.len - end.len, end.p, end.len) != 0 ||
        memchr(topic.p, '\\', topic.len) || memchr(topic.p, '"', topic.len) ||
        hex_decode(a->id, sizeof(a->id), slice_of(p + mid.len, 2 * GW_ID_BYTES)) != GW_ID_BYTES)
        return false;
    memcpy(a->topic, topic.p, topic.len);
    a->topic_len = topic.len;
    return true;
}

static bool read_offer(struct node_answer *a, const struct flat_value *v)
{
    double port;

    a->is_offer = http_flat_number(&v[A_PORT], &port) && port >= 1 && port <= 65535 && v[A_SECRET].type == FLAT_STRING &&
                  hex_decode(a->lane_secret, sizeof(a->lane_secret), v[A_SECRET].raw) == LANE_SECRET_BYTES;
    a->lane_port = a->is_offer ? (uint16_t)port : 0;
    return a->is_offer;
}

static bool parse_answer(struct node_answer *a, struct slice data)
{
    static const char *const names[A_COUNT] = {"status", "topic", "message_id", "error", "code", "messages", "port", "secret"};
    struct flat_value v[A_COUNT];
    double lost;

    memset(a, 0, sizeof(*a));
    if (is_usual_answer(a, data))
        return true;
    if (http_flat_find(data, names, A_COUNT, v) < 0)
        return false;
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("dropped"))) {
        a->lost = http_flat_number(&v[A_MESSAGES], &lost) && lost >= 0 && lost < 1e15 ? (uint64_t)lost : 0;
        return true;
    }
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("lane")))
        return read_offer(a, v);
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("refused"))) {
        a->is_topic = read_topic(a, &v[A_TOPIC]);
        read_error(a, v);
        return a->is_topic;
    }
    if (!read_topic(a, &v[A_TOPIC]) || v[A_ID].type != FLAT_STRING ||
        hex_decode(a->id, sizeof(a->id), v[A_ID].raw) != GW_ID_BYTES || v[A_STATUS].type != FLAT_STRING)
        return false;
    if (slice_is_equal(v[A_STATUS].raw, SLICE_LIT("deduplicated")))
        a->outcome.is_duplicate = true;
    else if (!slice_is_equal(v[A_STATUS].raw, SLICE_LIT("published")))
        read_error(a, v);
    return true;
}

/* The address in "ipv4:127.0.0.1:1234" or "ipv6:[::1]:1234" (also as "ipv6:%5B::1%5D:1234"). */
static bool read_address(char out[64], const char *peer)
{
    const char *s = strchr(peer, ':'), *end = strrchr(peer, ':');

    if (strncmp(peer, "ipv4:", 5) != 0 && strncmp(peer, "ipv6:", 5) != 0)
        return false;
    s++;
    if (strncmp(s, "%5B", 3) == 0 && end - s > 6)
        s += 3, end -= 3;
    else if (*s == '[' && end - s > 2)
        s++, end--;
    if (end <= s || end - s >= 64)
        return false;
    snprintf(out, 64, "%.*s", (int)(end - s), s);
    return true;
}

static void on_offer(struct grpc_link *g, struct rpc_call *c, const struct node_answer *a)
{
    struct gw_lane_offer offer = {.port = a->lane_port};
    char peer[128];

    rpc_call_remote(c, peer, sizeof(peer));
    if (!read_address(offer.address, peer))
        return;
    memcpy(offer.secret, a->lane_secret, sizeof(offer.secret));
    gw_node_lock(g->link.node);
    gw_lanes_offer(g->lanes, &offer);
    gw_node_unlock(g->link.node);
}

static void on_answer(struct grpc_link *g, struct rpc_call *c, struct slice data)
{
    struct gw_node *n = g->link.node;
    struct node_answer a;

    if (!parse_answer(&a, data))
        return; /* something newer than we are */
    if (a.is_offer)
        on_offer(g, c, &a);
    else if (a.is_topic)
        gw_node_refused_topic(n, slice_of(a.topic, a.topic_len), a.text);
    else if (a.lost)
        gw_node_lost(n, a.lost);
    else
        gw_node_answered(n, slice_of(a.topic, a.topic_len), a.id, &a.outcome);
    if (a.is_our_token) /* the next stream reads its file again */
        rpc_call_abort(c, RPC_CODE_CANCELLED, "another token is needed");
}

/* ---- the stream ---- */

/* payload: as the node sent it beside the JSON; p NULL: the JSON has it. */
static void on_delivery(struct gw_node *n, struct slice data, struct slice payload, struct rpc_msg *m)
{
    struct gw_delivery d;

    if ((payload.p ? gw_delivery_parse_raw(&d, data, payload, m) : gw_delivery_parse(&d, data)) < 0) {
        gw_node_bad(n);
        return;
    }
    gw_node_incoming(n, &d);
    gw_delivery_fini(&d);
}

static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct grpc_link *g = user;
    struct rd r = rd_of(rpc_msg_slice(m));
    struct slice data = {0}, payload = {0};
    uint64_t command = 0;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f)) > 0) {
        if (pb_is(&f, 1, PB_VARINT))
            command = f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            data = f.bytes;
        else if (pb_is(&f, 4, PB_BYTES))
            payload = f.bytes;
    }
    if (rc < 0)
        gw_node_bad(g->link.node);
    else if (command == RESPONSE_MESSAGE)
        on_delivery(g->link.node, data, payload, m);
    else if (command == RESPONSE_UNKNOWN && data.len)
        on_answer(g, c, data);
    /* the rest are traces, for others */
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct grpc_link *g = user;
    struct gw_node *n = g->link.node;

    gw_node_down(n); /* before another stream can be opened */
    gw_node_lock(n);
    gw_lanes_end(g->lanes);
    g->stream = NULL;
    g->retry_ns = gw_now_ns() + REOPEN_NS;
    gw_node_unlock(n);
    rpc_call_unref(c);
    if (!gw_node_is_stopping(n))
        log_warn("\"node lost\" node=%s status=%s reason=\"%s\"", g->link.target, rpc_code_name(st->code), st->message);
}

static const struct rpc_handlers stream_handlers = {.on_message = on_message, .on_close = on_close};

static bool is_header_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] >= 0x7f)
            return false;
    return n > 0;
}

/* The header with our token, when there is one; 0 or 1. A file that is away or holds something else is as good as none: the node says
 * what it thinks of that. */
static unsigned token_header(const struct grpc_link *g, char text[TOKEN_MAX + 8], struct rpc_header *h)
{
    FILE *f = g->token_file[0] ? fopen(g->token_file, "re") : NULL;
    size_t n;

    if (!f)
        return 0;
    memcpy(text, "Bearer ", 7);
    n = fread(text + 7, 1, TOKEN_MAX + 1, f);
    fclose(f);
    while (n && strchr(" \t\r\n", text[7 + n - 1]))
        n--;
    *h = (struct rpc_header){"authorization", slice_of(text, 7 + n)};
    return n <= TOKEN_MAX && is_header_text(text + 7, n) ? 1 : 0;
}

/* Under the lock. */
static bool open_stream(struct grpc_link *g, uint64_t now)
{
    /* proto/sidecar.proto: a refused publish must not end a stream that many clients share, and traces are made for those
     * who read them */
    struct rpc_header headers[5] = {{"codecast-errors", SLICE_LIT("answer")},
                                    {"codecast-traces", SLICE_LIT("off")},
                                    {"codecast-payloads", SLICE_LIT("raw")},
                                    {"codecast-lane", SLICE_LIT("1")}};
    char token[TOKEN_MAX + 8];
    struct rpc_call_options opt = {.headers = headers,
                                   .header_count = 4 + token_header(g, token, &headers[4]),
                                   .queue = {.max_messages = STREAM_MSGS_MAX,
                                             .max_bytes = g->queue_bytes + COMMANDS_BYTES,
                                             .policy = RPC_REFUSE},
                                   .offers_bundles = true};

    if (g->stream || !g->is_ready)
        return false;
    g->is_ending = false;
    if (rpc_client_open(g->client, "/proto.CommandStream/ListenCommands", &stream_handlers, g, &opt, &g->stream) < 0) {
        g->stream = NULL;
        g->retry_ns = now + REOPEN_NS;
        return false;
    }
    gw_node_up(g->link.node, now);
    return true;
}

static void on_state(struct rpc_client *c, enum rpc_state state, void *user)
{
    struct grpc_link *g = user;
    struct gw_node *n = g->link.node;
    uint64_t now = gw_now_ns();
    bool opened = false;

    (void)c;
    gw_node_lock(n);
    g->is_ready = state == RPC_READY;
    if (g->stream)
        gw_node_set_ready(n, g->is_ready);
    else if (g->client) /* else rpc_client_new has not returned yet: the tick opens */
        opened = open_stream(g, now);
    gw_node_unlock(n);
    log_debug("\"node channel\" node=%s state=%s", g->link.target, rpc_state_name(state));
    if (opened)
        gw_node_retry(n, now);
}

/* ---- operations ---- */

static bool start(struct gw_link *l)
{
    struct grpc_link *g = of(l);
    struct rpc_client *client = NULL;
    struct rpc_client_config cc = {.target = l->target,
                                   .loop = g->loop,
                                   .max_recv_bytes = g->max_recv_bytes,
                                   .keepalive_ms = 2000,
                                   .keepalive_timeout_ms = 2000,
                                   .on_state = on_state,
                                   .user = g};
    int rc = rpc_client_new(&client, &cc);

    gw_node_lock(l->node);
    g->client = client;
    gw_node_unlock(l->node);
    return rc >= 0;
}

/* Command and topic, then the payload's tag and length, then the payload itself, shared and not copied. */
static struct rpc_msg *build_publish(const struct gw_publish *p)
{
    uint8_t buf[48 + GW_NAME_MAX];
    struct wr w = wr_of(buf, sizeof(buf));
    struct rpc_msg *head, *m;

    pb_put_varint(&w, 1, COMMAND_PUBLISH);
    pb_put_bytes(&w, 3, p->topic);
    pb_put_head(&w, 2, rpc_msg_len(p->payload));
    head = w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len));
    m = head ? rpc_msg_join(head, p->payload) : NULL;
    rpc_msg_unref(head);
    return m;
}

static bool publish(struct gw_link *l, struct gw_publish *p)
{
    if (gw_lanes_publish(of(l)->lanes, p))
        return true;
    if (!p->request)
        p->request = build_publish(p);
    return p->request && rpc_call_send(of(l)->stream, p->request, RPC_MUST) == 0;
}

static void want_topic(struct gw_link *l, struct slice topic, bool wanted)
{
    uint8_t buf[16 + GW_NAME_MAX];
    struct wr w = wr_of(buf, sizeof(buf));
    struct rpc_msg *m;

    pb_put_varint(&w, 1, wanted ? COMMAND_SUBSCRIBE : COMMAND_UNSUBSCRIBE);
    pb_put_bytes(&w, 3, topic);
    m = w.bad ? NULL : rpc_msg_copy(slice_of(buf, w.len));
    if ((!m || rpc_call_send(of(l)->stream, m, RPC_MUST) < 0) && !of(l)->is_ending) {
        of(l)->is_ending = true;
        log_warn("\"node did not take a subscription, its stream begins anew\" node=%s topic=%.*s", l->target, (int)topic.len,
                 (const char *)topic.p);
        rpc_call_abort(of(l)->stream, RPC_CODE_CANCELLED, "a subscription found no room");
    }
    rpc_msg_unref(m);
}

static double percent(float v)
{
    return isfinite(v) && v >= 0 && v <= 1e6f ? v : 0;
}

static void on_health(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct grpc_link *g = user;
    struct slice s = reply ? rpc_msg_slice(reply) : (struct slice){0};
    Proto__HealthResponse *h =
        st->code == RPC_CODE_OK ? proto__health_response__unpack(NULL, s.len, s.p) : NULL;

    if (!h) {
        gw_node_health(g->link.node, NULL);
        return;
    }
    gw_node_health(g->link.node, &(struct gw_node_health){.country = h->country,
                                                          .country_iso = h->country_iso,
                                                          .p2p_address = h->p2paddress,
                                                          .mode = h->nodemode,
                                                          .memory_used = percent(h->memoryused),
                                                          .cpu_used = percent(h->cpuused),
                                                          .disk_used = percent(h->diskused),
                                                          .max_message_bytes = h->max_message_bytes,
                                                          .max_topics = h->max_topics,
                                                          .topics = h->topics});
    proto__health_response__free_unpacked(h, NULL);
}

static bool ask(struct grpc_link *g, const char *path, uint32_t timeout_ms, rpc_reply_fn *on_reply, void *user)
{
    char token[TOKEN_MAX + 8];
    struct rpc_header header;
    struct rpc_call_options opt = {.timeout_ms = timeout_ms, .headers = &header, .header_count = token_header(g, token, &header)};
    struct rpc_msg *empty = g->client ? rpc_msg_copy((struct slice){0}) : NULL;
    bool is_asked = empty && rpc_client_unary(g->client, path, empty, &opt, on_reply, user) == 0;

    rpc_msg_unref(empty);
    return is_asked;
}

static bool ask_health(struct gw_link *l)
{
    return ask(of(l), "/proto.CommandStream/Health", HEALTH_TIMEOUT_MS, on_health, of(l));
}

struct question {
    gw_topics_fn *answer;
    void *user;
};

static void on_topics(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct question *q = user;
    struct slice s = reply ? rpc_msg_slice(reply) : (struct slice){0};
    Proto__TopicList *list = st->code == RPC_CODE_OK ? proto__topic_list__unpack(NULL, s.len, s.p) : NULL;

    q->answer(q->user, list ? list->topics : NULL, list ? list->n_topics : 0);
    if (list)
        proto__topic_list__free_unpacked(list, NULL);
    free(q);
}

static bool ask_topics(struct gw_link *l, gw_topics_fn *answer, void *user)
{
    struct question *q = malloc(sizeof(*q));

    if (!q)
        return false;
    *q = (struct question){answer, user};
    if (ask(of(l), "/proto.CommandStream/ListTopics", TOPICS_TIMEOUT_MS, on_topics, q))
        return true;
    free(q);
    return false;
}

static void tick(struct gw_link *l, uint64_t now)
{
    struct grpc_link *g = of(l);

    if (g->client && now >= g->retry_ns)
        open_stream(g, now);
    gw_lanes_tick(g->lanes, now);
}

static void stop(struct gw_link *l)
{
    struct grpc_link *g = of(l);
    struct rpc_client *client;

    gw_node_lock(l->node);
    client = g->client;
    g->client = NULL;
    g->is_ready = false;
    gw_node_unlock(l->node);
    rpc_client_free(client);
}

static void link_free(struct gw_link *l)
{
    gw_lanes_free(of(l)->lanes);
    free(of(l));
}

static const struct gw_link_ops grpc_ops = {.start = start,
                                            .publish = publish,
                                            .want_topic = want_topic,
                                            .ask_health = ask_health,
                                            .ask_topics = ask_topics,
                                            .tick = tick,
                                            .stop = stop,
                                            .free = link_free};

struct gw_link *gw_link_grpc_new(const char *target, struct rpc_loop *loop, uint32_t max_recv_bytes, uint64_t queue_bytes,
                                 const char *token_file)
{
    struct grpc_link *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->link.ops = &grpc_ops;
    g->lanes = gw_lanes_new(&g->link);
    if (!g->lanes) {
        free(g);
        return NULL;
    }
    snprintf(g->link.target, sizeof(g->link.target), "%s", target);
    g->loop = loop;
    g->max_recv_bytes = max_recv_bytes;
    g->queue_bytes = queue_bytes;
    g->token_file = token_file;
    return &g->link;
}
