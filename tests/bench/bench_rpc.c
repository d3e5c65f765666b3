/* bench_rpc.c: lib/rpc against itself over loopback, server and client in one process
 * Prints per size: echo with a window of messages under way, one way up, one way down; and unary calls one after another.
 * Usage: bench_rpc [seconds per figure]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "rpc/rpc_client.h"
#include "rpc/rpc_server.h"

static atomic_ulong server_got, client_got;
static atomic_bool pouring;
static struct rpc_msg *sample;

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void unary(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    rpc_call_reply(c, m);
}

static void echo(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    rpc_call_send(c, m, RPC_MUST);
}

static void sink(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    server_got++;
}

/* Keeps the queue full: called for the request and whenever something was refused and the queue then ran empty. */
static void pour(struct rpc_call *c, void *user)
{
    while (pouring && rpc_call_send(c, sample, RPC_MUST) == 0)
        ;
}

static void pour_first(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    pour(c, user);
}

static const struct rpc_queue_limits queue = {.max_messages = 256, .max_bytes = 16 << 20};
static const struct rpc_method methods[] = {
    {.name = "Unary", .kind = RPC_UNARY, .on.on_message = unary},
    {.name = "Echo", .kind = RPC_BIDI, .on.on_message = echo, .queue = {.max_messages = 100000, .max_bytes = 1 << 30}},
    {.name = "Sink", .kind = RPC_BIDI, .on.on_message = sink},
    {.name = "Pour", .kind = RPC_BIDI, .on = {.on_message = pour_first, .on_drained = pour},
     .queue = {.max_messages = 256, .max_bytes = 16 << 20}},
};
static const struct rpc_service service = {"bench.B", methods, 4};

static void got(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    client_got++;
}

static void got_echo(struct rpc_call *c, struct rpc_msg *m, void *user)
{
    client_got++;
    if (pouring)
        rpc_call_send(c, sample, RPC_MUST);
}

static void report(const char *what, size_t size, unsigned long n, double t, double cpu)
{
    printf("%-8s %9zu B %10.0f msg/s %9.1f MB/s %7.2f us CPU/msg\n", what, size, (double)n / t,
           (double)n * (double)size / t / 1e6, cpu * 1e6 / (double)(n ? n : 1));
}

static void stream(struct rpc_client *cl, const char *path, const struct rpc_handlers *on, unsigned window,
                   atomic_ulong *counter, double seconds, const char *what)
{
    struct rpc_call_options opt = {.queue = queue, .wait_for_ready = true};
    struct rpc_call *c;
    unsigned long before;
    double t, cpu;

    pouring = true;
    if (rpc_client_open(cl, path, on, NULL, &opt, &c) < 0)
        exit(1);
    for (unsigned i = 0; i < window; i++)
        rpc_call_send(c, sample, RPC_MUST);
    usleep(200000);
    before = *counter;
    t = now_s();
    cpu = cpu_s();
    usleep((useconds_t)(seconds * 1e6));
    report(what, rpc_msg_len(sample), *counter - before, now_s() - t, cpu_s() - cpu);
    pouring = false;
    rpc_call_abort(c, RPC_CODE_CANCELLED, NULL);
    rpc_call_unref(c);
    usleep(100000);
}

struct turn {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void replied(const struct rpc_status *st, struct rpc_msg *reply, void *user)
{
    struct turn *t = user;

    pthread_mutex_lock(&t->lock);
    t->is_done = true;
    pthread_cond_signal(&t->done);
    pthread_mutex_unlock(&t->lock);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void unaries(struct rpc_client *cl, double seconds)
{
    static double us[200000];
    struct turn turn = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct rpc_call_options opt = {.wait_for_ready = true};
    double end = now_s() + seconds;
    unsigned n = 0;

    while (n < 200000 && now_s() < end) {
        double t = now_s();

        turn.is_done = false;
        rpc_client_unary(cl, "/bench.B/Unary", sample, &opt, replied, &turn);
        pthread_mutex_lock(&turn.lock);
        while (!turn.is_done)
            pthread_cond_wait(&turn.done, &turn.lock);
        pthread_mutex_unlock(&turn.lock);
        us[n++] = (now_s() - t) * 1e6;
    }
    qsort(us, n, sizeof(*us), by_value);
    printf("unary    %9zu B p50 %.0f us p99 %.0f us (%u calls)\n", rpc_msg_len(sample), us[n / 2], us[n * 99 / 100], n);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {64, 1024, 65536, 1 << 20, 16 << 20};
    static const struct rpc_handlers counting = {.on_message = got, .on_drained = pour};
    static const struct rpc_handlers echoing = {.on_message = got_echo};
    double seconds = argc > 1 ? atof(argv[1]) : 2;
    struct rpc_server_config sc = {.bind = "127.0.0.1:0", .max_recv_bytes = 64 << 20};
    struct rpc_client_config cc = {.max_recv_bytes = 64 << 20};
    struct rpc_server *s;
    struct rpc_client *c;
    char target[32];

    if (rpc_server_new(&s, &sc) || rpc_server_add(s, &service, NULL) || rpc_server_start(s))
        return 1;
    snprintf(target, sizeof(target), "127.0.0.1:%d", rpc_server_port(s));
    cc.target = target;
    cc.loop = rpc_loop_new("bench-client", NULL);
    if (rpc_client_new(&c, &cc))
        return 1;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        sample = rpc_msg_new(sizes[i]);
        memset(rpc_msg_bytes(sample), 'x', sizes[i]);
        if (i < 2)
            unaries(c, seconds);
        stream(c, "/bench.B/Echo", &echoing, sizes[i] < 65536 ? 64 : 4, &client_got, seconds, "echo");
        stream(c, "/bench.B/Sink", &counting, 1000, &server_got, seconds, "up");
        stream(c, "/bench.B/Pour", &counting, 1, &client_got, seconds, "down");
        rpc_msg_unref(sample);
    }
    rpc_client_free(c);
    rpc_server_free(s);
    rpc_loop_free(cc.loop);
    return 0;
}
