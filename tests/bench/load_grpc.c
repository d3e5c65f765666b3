/* load_grpc.c: one gRPC stream of a gateway (proto.ProxyStream/ClientStream) that publishes and receives on one topic
 * Usage: load_grpc ADDRESS:PORT BYTES WINDOW SECONDS
 * Says "ready" when a first message came back; a line on stdin begins the run; then the report as JSON. WINDOW bounds what is sent and
 * has not come back.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/pb.h"
#include "load_times.h"
#include "rpc/rpc_client.h"

#define FIRST_TRIES 100

enum { F_CLIENT = 1, F_MESSAGE = 2, F_TOPIC = 3, F_TYPE = 5 }; /* ProxyMessage */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static struct load_times times; /* under lock */
static struct rpc_call *call;
static size_t bytes;
static uint8_t *payload;

static void put(struct wr *w, const char *type, struct slice message)
{
    pb_put_bytes(w, F_CLIENT, SLICE_LIT("load"));
    if (message.len)
        pb_put_bytes(w, F_MESSAGE, message);
    pb_put_bytes(w, F_TOPIC, SLICE_LIT("bench-grpc"));
    pb_put_bytes(w, F_TYPE, slice_str(type));
}

static int say(const char *type, struct slice message)
{
    struct wr size = wr_counter(), w;
    struct rpc_msg *m;
    int rc;

    put(&size, type, message);
    m = rpc_msg_new(size.len);
    if (!m)
        return -RPC_ENOMEM;
    w = wr_of(rpc_msg_bytes(m), size.len);
    put(&w, type, message);
    rc = rpc_call_send(call, m, RPC_MUST);
    rpc_msg_unref(m);
    return rc;
}

static int publish(uint64_t n)
{
    char head[LOAD_HEAD + 1];

    load_head(head, n);
    memcpy(payload, head, LOAD_HEAD);
    return say("publish", slice_of(payload, bytes));
}

static void on_message(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct slice message = {0}, type = {0};
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        if (pb_is(&f, F_MESSAGE, PB_BYTES))
            message = f.bytes;
        else if (pb_is(&f, F_TYPE, PB_BYTES))
            type = f.bytes;
    }
    pthread_mutex_lock(&lock);
    if (slice_is_equal(type, SLICE_LIT("error"))) {
        if (!times.refused++)
            fprintf(stderr, "load_grpc: %.*s\n", (int)(message.len < 200 ? message.len : 200), (const char *)message.p);
    } else if (message.len >= LOAD_HEAD) {
        load_arrived(&times, (const char *)message.p);
    }
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static void on_close(struct rpc_call *c, const struct rpc_status *st, void *user)
{
    if (st->code == RPC_CODE_CANCELLED)
        return; /* by ourselves */
    fprintf(stderr, "load_grpc: the stream ended: %s\n", st->message);
    _exit(1);
}

static void warm_up(void)
{
    bool is_there = false;

    for (unsigned i = 0; i < FIRST_TRIES && !is_there; i++) {
        if (publish(1ull << 63 | i) < 0)
            exit(1);
        usleep(100000);
        pthread_mutex_lock(&lock);
        is_there = times.delivered > 0;
        pthread_mutex_unlock(&lock);
    }
    if (!is_there) {
        fprintf(stderr, "load_grpc: nothing came back\n");
        exit(1);
    }
    usleep(300000); /* the other first ones */
}

/* Under lock: waits up to 100 ms for one to come back. */
static void wait_moved(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 100000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&moved, &lock, &t);
}

static void run(unsigned window, double seconds)
{
    uint64_t end, n = 0;

    pthread_mutex_lock(&lock);
    times.n = 0;
    times.delivered = times.refused = 0;
    times.began_ns = bench_now_ns();
    end = times.began_ns + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        if (n - times.delivered - times.refused >= window) {
            wait_moved();
            continue;
        }
        pthread_mutex_unlock(&lock);
        if (publish(n) == 0)
            n++;
        pthread_mutex_lock(&lock);
    }
    end += 3000000000u;
    while (times.delivered + times.refused < n && bench_now_ns() < end)
        wait_moved();
    times.sent = n;
    load_report(&times);
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
    static const struct rpc_handlers on = {.on_message = on_message, .on_close = on_close};
    struct rpc_client_config cfg = {.max_recv_bytes = 64 << 20};
    struct rpc_call_options opt = {.wait_for_ready = true, .queue = {.max_messages = 65536, .max_bytes = 256 << 20}};
    struct rpc_client *client;
    char line[16];

    if (argc != 5) {
        fprintf(stderr, "usage: load_grpc ADDRESS:PORT BYTES WINDOW SECONDS\n");
        return 2;
    }
    cfg.target = argv[1];
    bytes = (size_t)atol(argv[2]);
    bytes = bytes < LOAD_HEAD ? LOAD_HEAD : bytes;
    payload = malloc(bytes);
    times.us = malloc(LOAD_TIMES_N * sizeof(*times.us));
    if (!payload || !times.us || !(cfg.loop = rpc_loop_new("load", NULL)) || rpc_client_new(&client, &cfg) < 0 ||
        rpc_client_open(client, "/proto.ProxyStream/ClientStream", &on, NULL, &opt, &call) < 0 || say("subscribe", (struct slice){0}) < 0)
        return 1;
    memset(payload, 'x', bytes);
    warm_up();
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin))
        run((unsigned)atoi(argv[3]), atof(argv[4]));
    rpc_call_abort(call, RPC_CODE_CANCELLED, NULL);
    rpc_call_unref(call);
    rpc_client_free(client);
    rpc_loop_free(cfg.loop);
    return 0;
}
