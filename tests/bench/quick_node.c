/* quick_node.c: a sidecar without a node: confirms publishes at once and hands them back to who subscribed on the same stream
 * It shows what a gateway costs without the node's signing and mesh beside it.
 * Usage: quick_node ADDRESS:PORT [nolane]; until it is killed
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pb.h"
#include "base/text.h"
#include "crypto/sha256.h"
#include "lane/lane_server.h"
#include "rpc/rpc_server.h"

#define TOPICS_MAX 16
#define TOPIC_MAX  64

enum { PUBLISH = 1, SUBSCRIBE = 2 };

static struct lane_server *lanes; /* NULL: none are offered */

struct stream {
    struct rpc_call *call;
    struct lane_session *session;
    pthread_mutex_t lock; /* guards what follows, but for is_raw */
    char topics[TOPICS_MAX][TOPIC_MAX];
    unsigned n_topics;
    bool is_raw;
};

static void respond(struct rpc_call *c, unsigned command, const char *json, size_t len);

static void offer_lanes(struct stream *s)
{
    char hex[2 * LANE_SECRET_BYTES + 1], json[160];
    uint8_t secret[LANE_SECRET_BYTES];

    if (!lanes || !slice_is_equal(rpc_call_metadata(s->call, "codecast-lane"), SLICE_LIT("1")))
        return;
    s->session = lane_session_new(lanes, s, secret);
    hex_encode(hex, slice_of(secret, sizeof(secret)));
    respond(s->call, 0, json, (size_t)snprintf(json, sizeof(json), "{\"status\":\"lane\",\"port\":%u,\"secret\":\"%s\"}", lane_server_port(lanes), hex));
}

static void on_open(struct rpc_call *c, void *user)
{
    struct stream *s = calloc(1, sizeof(*s));

    rpc_call_set_data(c, s);
    if (!s)
        return;
    s->call = c;
    pthread_mutex_init(&s->lock, NULL);
    s->is_raw = slice_is_equal(rpc_call_metadata(c, "codecast-payloads"), SLICE_LIT("raw"));
    offer_lanes(s);
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    struct stream *s = rpc_call_data(c);

    if (s)
        lane_session_free(s->session);
    free(s);
    rpc_call_set_data(c, NULL);
}

static bool wants(struct stream *s, struct slice topic)
{
    bool is = false;

    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_topics && !is; i++)
        is = slice_is_equal(slice_str(s->topics[i]), topic);
    pthread_mutex_unlock(&s->lock);
    return is;
}

static void subscribe(struct stream *s, struct slice topic)
{
    if (wants(s, topic))
        return;
    pthread_mutex_lock(&s->lock);
    if (s->n_topics < TOPICS_MAX)
        memcpy(s->topics[s->n_topics++], topic.p, topic.len);
    pthread_mutex_unlock(&s->lock);
}

static void respond(struct rpc_call *c, unsigned command, const char *json, size_t len)
{
    uint8_t head[16];
    struct wr w = wr_of(head, sizeof(head));
    struct rpc_msg *m;

    if (command)
        pb_put_varint(&w, 1, command);
    pb_put_head(&w, 2, len);
    m = rpc_msg_new(w.len + len);
    if (!m)
        return;
    memcpy(rpc_msg_bytes(m), head, w.len);
    memcpy(rpc_msg_bytes(m) + w.len, json, len);
    rpc_call_send(c, m, RPC_MUST);
    rpc_msg_unref(m);
}

/* As a node answers those who ask for raw payloads. */
static void deliver_raw(struct rpc_call *c, struct slice topic, const char *id, struct slice data)
{
    char json[512];
    int n = snprintf(json, sizeof(json), "{\"source_node_id\":\"quick\",\"topic\":\"%.*s\",\"message_id\":\"%s\"}", (int)topic.len,
                     (const char *)topic.p, id);
    struct wr w = wr_counter();
    struct rpc_msg *m = NULL;

    for (unsigned pass = 0; pass < 2; pass++) {
        pb_put_varint(&w, 1, 1);
        pb_put_bytes(&w, 2, slice_of(json, (size_t)n));
        pb_put_bytes(&w, 4, data);
        if (pass == 0) {
            m = rpc_msg_new(w.len);
            if (!m)
                return;
            w = wr_of(rpc_msg_bytes(m), w.len);
        }
    }
    rpc_call_send(c, m, RPC_MUST);
    rpc_msg_unref(m);
}

static void deliver(struct rpc_call *c, struct slice topic, const char *id, struct slice data)
{
    size_t cap = BASE64_SIZE(data.len) + 512;
    char *json = malloc(cap);
    int n;

    if (!json)
        return;
    n = snprintf(json, 512, "{\"source_node_id\":\"quick\",\"topic\":\"%.*s\",\"message_id\":\"%s\",\"message\":\"", (int)topic.len,
                 (const char *)topic.p, id);
    n += (int)base64_encode(json + n, data);
    memcpy(json + n, "\"}", 2);
    respond(c, 1, json, (size_t)n + 2);
    free(json);
}

static void take(struct rpc_call *c, struct stream *s, struct slice topic, struct slice data)
{
    char id[2 * SHA256_BYTES + 1], json[512];
    uint8_t sum[SHA256_BYTES];

    sha256_of(data, sum);
    hex_encode(id, slice_of(sum, sizeof(sum)));
    respond(c, 0, json,
            (size_t)snprintf(json, sizeof(json), "{\"status\":\"published\",\"topic\":\"%.*s\",\"message_id\":\"%s\"}", (int)topic.len,
                             (const char *)topic.p, id));
    if (wants(s, topic))
        (s->is_raw ? deliver_raw : deliver)(c, topic, id, data);
}

static bool take_from_lane(void *user, struct slice topic, struct slice data, bool *is_charged, struct lane_answer *a)
{
    char id[2 * SHA256_BYTES + 1];
    uint8_t sum[SHA256_BYTES];
    struct stream *s = user;

    sha256_of(data, sum);
    hex_encode(id, slice_of(sum, sizeof(sum)));
    a->outcome = LANE_PUBLISHED;
    if (wants(s, topic))
        (s->is_raw ? deliver_raw : deliver)(s->call, topic, id, data);
    return true;
}

static bool start_lanes(const char *where)
{
    struct lane_server_config cfg = {.max_payload = LANE_PAYLOAD_MAX, .publish = take_from_lane};
    char host[64];

    snprintf(host, sizeof(host), "%.*s", (int)strcspn(where, ":"), where);
    cfg.bind = host;
    lanes = lane_server_new(&cfg);
    return lanes != NULL;
}

static void on_request(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct stream *s = rpc_call_data(c);
    struct slice data = {0}, topic = {0};
    uint64_t command = 0;
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        if (pb_is(&f, 1, PB_VARINT))
            command = f.u;
        else if (pb_is(&f, 2, PB_BYTES))
            data = f.bytes;
        else if (pb_is(&f, 3, PB_BYTES))
            topic = f.bytes;
    }
    if (!s || topic.len >= TOPIC_MAX)
        return;
    if (command == PUBLISH)
        take(c, s, topic, data);
    else if (command == SUBSCRIBE)
        subscribe(s, topic);
}

static void reply(struct rpc_call *c, const void *p, size_t n)
{
    struct rpc_msg *m = rpc_msg_copy(slice_of(p, n));

    rpc_call_reply(c, m);
    rpc_msg_unref(m);
}

static void on_health(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    reply(c, "\x08\x01", 2); /* status: true */
}

static void on_topics(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    reply(c, "", 0);
}

int main(int argc, char **argv)
{
    static const struct rpc_method methods[] = {
        {.name = "ListenCommands", .kind = RPC_BIDI, .on = {.on_open = on_open, .on_message = on_request, .on_close = on_close},
         .queue = {.max_messages = 1 << 20, .max_bytes = 1 << 30}, .takes_bundles = true},
        {.name = "Health", .kind = RPC_UNARY, .on.on_message = on_health},
        {.name = "ListTopics", .kind = RPC_UNARY, .on.on_message = on_topics},
    };
    static const struct rpc_service service = {"proto.CommandStream", methods, 3};
    struct rpc_server_config cfg = {.bind = argc >= 2 ? argv[1] : NULL, .threads = 1, .max_recv_bytes = 64 << 20};
    struct rpc_server *s;

    if (argc < 2) {
        fprintf(stderr, "usage: quick_node ADDRESS:PORT [nolane]\n");
        return 2;
    }
    if (argc == 2 && !start_lanes(argv[1])) {
        perror("quick_node: lanes");
        return 1;
    }
    if (rpc_server_new(&s, &cfg) < 0 || rpc_server_add(s, &service, NULL) < 0 || rpc_server_start(s) < 0) {
        fprintf(stderr, "quick_node: cannot listen on %s\n", argv[1]);
        return 1;
    }
    for (;;)
        pause();
}
