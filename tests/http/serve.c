/* serve.c: a server with small limits for the Python tests
 * Use:     serve [key=value ...]; prints "port N" and runs until stdin ends, then stops cleanly and prints its counters
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/http_json.h"
#include "http/http_loglevel.h"
#include "http/http_metrics.h"
#include "http/http_pages.h"
#include "http/http_req.h"
#include "http/http_server.h"
#include "http/ws_conn.h"

#define CONNS_MAX 1024

static struct ws_config ws_cfg;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ws_conn *conns[CONNS_MAX];
static uint64_t ws_closed, ws_dropped;
static uint16_t last_code;

static long arg(int argc, char **argv, const char *key, long otherwise)
{
    size_t n = strlen(key);

    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], key, n) == 0 && argv[i][n] == '=')
            return strtol(argv[i] + n + 1, NULL, 10);
    return otherwise;
}

static long query_long(struct http_req *q, const char *name, long otherwise)
{
    struct slice s;

    return http_req_query(q, name, &s) ? strtol((const char *)s.p, NULL, 10) : otherwise;
}

static void get_hello(struct http_req *q, void *user)
{
    struct slice name = SLICE_LIT("world");
    char peer[64];

    http_req_query(q, "name", &name);
    http_req_peer(q, peer, sizeof(peer));
    http_req_reply(q, http_reply_json(200, json_pack("{s:s%,s:s}", "hello", name.p, name.len, "peer", peer)));
}

static void post_echo(struct http_req *q, void *user)
{
    http_req_reply(q, http_reply_new(200, "application/octet-stream", http_req_body(q)));
}

static void get_big(struct http_req *q, void *user)
{
    size_t n = (size_t)query_long(q, "bytes", 1);

    http_req_reply(q, http_reply_take(200, "application/octet-stream", calloc(1, n), n));
}

struct sleeper {
    struct http_later *later;
    long ms;
};

static void *sleep_then_answer(void *arg_)
{
    struct sleeper *s = arg_;

    usleep((useconds_t)s->ms * 1000);
    http_later_send(s->later, http_reply_json(200, json_pack("{s:i}", "slept", (int)s->ms)));
    free(s);
    return NULL;
}

static void get_later(struct http_req *q, void *user)
{
    struct sleeper *s = calloc(1, sizeof(*s));
    pthread_t t;

    s->ms = query_long(q, "ms", 10);
    s->later = http_req_defer(q);
    pthread_create(&t, NULL, sleep_then_answer, s);
    pthread_detach(t);
}

static void on_open(struct ws_conn *c, void *user)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CONNS_MAX; i++)
        if (!conns[i]) {
            conns[i] = ws_conn_ref(c);
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void on_message(struct ws_conn *c, void *user, enum ws_opcode op, struct slice msg)
{
    struct ws_msg *m = ws_msg_copy(op, msg);

    if (slice_is_equal(msg, SLICE_LIT("close me")))
        ws_conn_close(c, 4001, "as you wish");
    else
        ws_conn_send(c, WS_REPLY, m);
    ws_msg_unref(m);
}

static void on_close(struct ws_conn *c, void *user, uint16_t code)
{
    struct ws_stats st;

    ws_conn_stats(c, &st);
    pthread_mutex_lock(&lock);
    ws_closed++;
    ws_dropped += st.dropped_msgs;
    last_code = code;
    for (int i = 0; i < CONNS_MAX; i++)
        if (conns[i] == c) {
            conns[i] = NULL;
            ws_conn_unref(c);
        }
    pthread_mutex_unlock(&lock);
}

static void get_ws(struct http_req *q, void *user)
{
    ws_conn_unref(ws_upgrade(q, &ws_cfg, NULL, NULL));
}

/* Sends n messages of `bytes` to every socket, from this very thread, whoever's the sockets are. */
static void get_broadcast(struct http_req *q, void *user)
{
    size_t bytes = (size_t)query_long(q, "bytes", 10);
    long n = query_long(q, "n", 1);
    struct ws_msg *m = ws_msg_new(bytes);
    struct ws_wakes wakes = {.n = 0};
    unsigned sent = 0;

    memset(ws_msg_data(m), 'b', bytes);
    ws_msg_seal(m, WS_TEXT, bytes);
    pthread_mutex_lock(&lock);
    for (long k = 0; k < n; k++) {
        for (int i = 0; i < CONNS_MAX; i++)
            if (conns[i] && ws_conn_deliver(conns[i], m, &wakes) == 0)
                sent++;
        ws_wakes_post(&wakes);
    }
    pthread_mutex_unlock(&lock);
    ws_msg_unref(m);
    http_req_reply(q, http_reply_json(200, json_pack("{s:i}", "sent", (int)sent)));
}

static void get_stats(struct http_req *q, void *user)
{
    struct http_server_stats st;
    uint64_t queued = 0, dropped;

    http_server_stats(*(struct http_server **)user, &st);
    pthread_mutex_lock(&lock);
    dropped = ws_dropped;
    for (int i = 0; i < CONNS_MAX; i++)
        if (conns[i]) {
            struct ws_stats w;

            ws_conn_stats(conns[i], &w);
            queued += w.queued_bytes;
            dropped += w.dropped_msgs;
        }
    http_req_reply(q, http_reply_json(200,
                                      json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i}", "conns",
                                                st.conns, "ws", st.ws_conns, "moved", st.ws_moved, "refused", st.refused_conns,
                                                "vanished", st.deferred_vanished, "cut", st.slow_answers_cut,
                                                "closed", ws_closed, "dropped", dropped, "queued", queued,
                                                "requests", st.requests, "code", (int)last_code)));
    pthread_mutex_unlock(&lock);
}

static void get_metrics(struct http_req *q, void *user)
{
    struct metrics_label constant[] = {{"cluster_id", "t\"es\\t"}};
    struct metrics m;

    metrics_init(&m, constant, 1);
    metrics_process(&m);
    http_req_reply(q, metrics_reply(&m));
}

static void wait_for_eof(void)
{
    char c;

    while (read(0, &c, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    static const char *const prefixes[] = {"", "/api", "/api/v1", NULL};
    static const uint8_t seed[16];
    struct http_server *s = NULL;
    struct http_route routes[] = {
        {"GET", "/hello", get_hello, NULL, false}, {"POST", "/echo", post_echo, NULL, false},
        {"GET", "/big", get_big, NULL, true},      {"GET", "/later", get_later, NULL, true},
        {"GET", "/ws", get_ws, NULL, false},       {"GET", "/broadcast", get_broadcast, NULL, true},
        {"GET", "/stats", get_stats, &s, true},    {"GET", "/metrics", get_metrics, NULL, true}};
    struct http_routes table;
    struct http_server_config cfg = {.bind = arg(argc, argv, "any", 0) ? "0.0.0.0" : "127.0.0.1",
                                     .routes = &table,
                                     .port = (uint16_t)arg(argc, argv, "port", 0),
                                     .threads = (unsigned)arg(argc, argv, "threads", 2),
                                     .max_body_bytes = (size_t)arg(argc, argv, "body", 1 << 20),
                                     .max_conns = (uint32_t)arg(argc, argv, "conns", 0),
                                     .request_timeout_ms = (uint32_t)arg(argc, argv, "request_ms", 0),
                                     .answer_timeout_ms = (uint32_t)arg(argc, argv, "answer_ms", 0),
                                     .drain_ms = (uint32_t)arg(argc, argv, "drain_ms", 500),
                                     .cors_origins = "https://a.example, https://b.example"};
    cpu_set_t own;
    int rc;

    sched_getaffinity(0, sizeof(own), &own);
    for (int i = 0, n = 0; i < CPU_SETSIZE; i++) /* where CPUs are few */
        if (CPU_ISSET(i, &own) && ++n > arg(argc, argv, "cpus", CPU_SETSIZE))
            CPU_CLR(i, &own);
    cfg.cpus = &own;
    ws_cfg = (struct ws_config){.max_message_bytes = (size_t)arg(argc, argv, "ws_message", 0),
                                .out_max_bytes = (size_t)arg(argc, argv, "ws_out", 0),
                                .policy = (enum ws_policy)arg(argc, argv, "ws_policy", WS_DROP_OLDEST),
                                .ping_ms = (uint32_t)arg(argc, argv, "ping_ms", 0),
                                .idle_ms = (uint32_t)arg(argc, argv, "idle_ms", 0),
                                .on_open = on_open,
                                .on_message = on_message,
                                .on_close = on_close};
    http_routes_init(&table, seed);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        http_routes_add(&table, &routes[i], prefixes);
    http_pages_add(&table, "node.html");
    http_loglevel_add(&table);
    rc = http_server_start(&s, &cfg);
    if (rc < 0) {
        fprintf(stderr, "%s\n", http_err_name(rc));
        http_routes_fini(&table);
        return 1;
    }
    printf("port %u\n", http_server_port(s));
    fflush(stdout);
    wait_for_eof();
    http_server_stop(s);
    printf("stopped\n");
    http_server_free(s);
    http_routes_fini(&table);
    return 0;
}
