/* bench_net: RPC frames between two network roles: rate one way, and a 64-byte ping-pong, per driver in one run
 * kernel, af_packet and af_xdp run over a veth between two namespaces, each role on a thread of its own (needs root; else kernel
 * sockets on loopback alone); mempair runs both roles and our TCP twice on one thread.
 *     bench_net [seconds per figure [part of a driver's name]]
 * cpu: CPU seconds of sender + receiver per second of the run. Prints; judges nothing.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bufpool.h"
#include "drivers/mempair.h"
#include "net/net.h"

#define PINGS_MAX 200000
#define SPIN_NS   50000

static const char *const protocols[] = {"/bench/1.0.0"};

struct role {
    struct net *net;
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    struct rng rng;
    struct bufpool frames_pool;
    net_conn_id conn;
    bool is_ready, is_up;
    bool is_echo;
    uint64_t frames, bytes, idle_since;
};

struct bench {
    struct role a, b;
    enum net_driver driver;
    bool has_veth;
    uint32_t size;
    bool is_ping;
    uint64_t run_ns;
    _Atomic int b_tid, b_go, stop;
    uint64_t cpu_b_ns;
    const char *b_ip;
};

static uint64_t clock_of(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void run(const char *command)
{
    if (system(command) != 0)
        die(command);
}

static void role_open(struct role *r, uint8_t seed_byte, enum net_driver driver, const char *ip,
                      const char *iface, struct pktio *port)
{
    struct net_config cfg = {.driver = driver,
                             .listen_port = 7070,
                             .protocols = {protocols[0]},
                             .max_queue_bytes = 4u << 20};
    uint8_t seed[32] = {seed_byte};
    char err[256] = "";

    memset(r, 0, sizeof(*r));
    rng_init_system(&r->rng);
    key_pair_from_seed(&r->key, seed);
    noise_identity_init(&r->noise, &r->key, &r->rng);
    r->local =
        (struct session_local){.version = 1, .agent = "bench", .protocols = protocols, .nprotocols = 1};
    cfg.listen_ip = driver == NET_KERNEL ? ip : NULL;
    cfg.addr = driver == NET_MEMPAIR ? ip : NULL;
    cfg.iface = iface;
    cfg.port = port;
    cfg.identity = &r->noise;
    cfg.local = &r->local;
    cfg.rng = &r->rng;
    bufpool_init(&r->frames_pool, 1ull << 30, 64u << 20);
    cfg.frame_alloc = bufpool_alloc;
    cfg.frame_ctx = &r->frames_pool;
    r->net = net_new(&cfg, now_ns(), err, NULL);
    if (!r->net)
        die(err);
}

static void role_close(struct role *r)
{
    net_free(r->net);
    bufpool_fini(&r->frames_pool);
    noise_identity_fini(&r->noise);
    key_pair_fini(&r->key);
}

static bool role_send(struct role *r, struct buf *b, uint64_t now)
{
    struct net_piece p = {buf_ref(b), 0, b->len};

    if (net_send(r->net, r->conn, &p, 1, now) == 0)
        return true;
    buf_unref(b);
    return false;
}

static void role_event(struct role *r, struct net_event *ev, uint64_t now)
{
    switch (ev->type) {
    case NET_EV_CONN_UP:
        r->is_up = true;
        net_pubsub_open(r->net, ev->conn, now);
        break;
    case NET_EV_PUBSUB_READY:
        r->conn = ev->conn;
        r->is_ready = true;
        break;
    case NET_EV_RPC:
        r->frames++;
        r->bytes += ev->frame->len;
        if (r->is_echo)
            role_send(r, ev->frame, now);
        buf_unref(ev->frame);
        break;
    case NET_EV_IDENTIFIED: net_identity_free(ev->identity); break;
    case NET_EV_DIAL_FAILED: die(ev->reason); break;
    case NET_EV_CONN_DOWN:
        if (ev->is_dialer)
            die(ev->reason);
        break;
    default: break;
    }
}

static unsigned role_turn(struct role *r, uint64_t now)
{
    struct net_event ev;
    unsigned work = net_poll(r->net, now);

    for (; net_next_event(r->net, &ev); work++)
        role_event(r, &ev, now);
    return work;
}

/* As a node's lcore idles: spins a while, then sleeps on the descriptors. */
static void role_idle(struct role *r, unsigned work, uint64_t now)
{
    uint64_t at = net_next_deadline(r->net);
    struct timespec ts = {0, 100000000};
    struct pollfd pfd[4];
    int fds[4];
    unsigned n;

    if (work || at <= now) {
        r->idle_since = 0;
        return;
    }
    if (!r->idle_since)
        r->idle_since = now;
    if (now - r->idle_since < SPIN_NS)
        return;
    if (at - now < 100000000)
        ts.tv_nsec = (long)(at - now);
    n = net_wait_fds(r->net, fds, 4);
    for (unsigned i = 0; i < n; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    if (n > 0)
        ppoll(pfd, n, &ts, NULL);
    r->idle_since = 0;
}

/* ---- the receiver's thread ---- */

static void *b_main(void *arg)
{
    struct bench *x = arg;

    if (x->has_veth && unshare(CLONE_NEWNET) != 0)
        die("unshare");
    x->b_tid = (int)syscall(SYS_gettid);
    while (!x->b_go)
        usleep(1000);
    if (x->has_veth)
        run("ip addr add 10.9.0.2/24 dev vb && ip link set vb up && ip link set lo up");
    role_open(&x->b, 2, x->driver, x->b_ip, "vb", NULL);
    x->b.is_echo = x->is_ping;
    x->b_go = 2;
    while (!x->stop) {
        uint64_t now = now_ns();

        role_idle(&x->b, role_turn(&x->b, now), now);
    }
    x->cpu_b_ns = clock_of(CLOCK_THREAD_CPUTIME_ID);
    role_close(&x->b);
    return NULL;
}

static void start_b(struct bench *x, pthread_t *thread)
{
    char command[200];

    pthread_create(thread, NULL, b_main, x);
    while (!x->b_tid)
        usleep(1000);
    if (x->has_veth) {
        snprintf(command, sizeof(command),
                 "ip link del va 2>/dev/null; ip link add va type veth peer name vb netns %d && "
                 "ip addr add 10.9.0.1/24 dev va && ip link set va up",
                 x->b_tid);
        run(command);
    }
    x->b_go = 1;
    while (x->b_go != 2)
        usleep(1000);
    if (x->has_veth)
        usleep(200000); /* until the carrier is noticed */
}

/* ---- one figure ---- */

static void turn(struct bench *x, uint64_t now)
{
    unsigned work = role_turn(&x->a, now);

    if (x->driver == NET_MEMPAIR)
        role_turn(&x->b, now);
    else
        role_idle(&x->a, work, now);
}

static void meet(struct bench *x)
{
    uint64_t end = now_ns() + 5000000000ull;
    struct multiaddr addr;
    char text[64];

    snprintf(text, sizeof(text), "/ip4/%.*s/tcp/7070", (int)strcspn(x->b_ip, "/"), x->b_ip);
    if (multiaddr_parse(&addr, slice_str(text)) < 0 || net_dial(x->a.net, &addr, NULL, 1, now_ns()) < 0)
        die("dial");
    while (!x->a.is_ready) {
        if (now_ns() > end)
            die("the roles did not meet");
        turn(x, now_ns());
    }
    end = now_ns() + 100000000ull;
    while (now_ns() < end)
        turn(x, now_ns());
}

static void measure_rate(struct bench *x, const char *name)
{
    struct buf *b = buf_new(x->size);
    uint64_t begun, now, cpu, sent_frames, got = x->b.bytes, first_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    struct net_counters k;

    memset(b->data, 7, x->size);
    b->len = x->size;
    begun = now = now_ns();
    for (sent_frames = 0; now - begun < x->run_ns; now = now_ns()) {
        while (role_send(&x->a, b, now))
            sent_frames++;
        turn(x, now);
    }
    got = __atomic_load_n(&x->b.bytes, __ATOMIC_RELAXED) - got;
    cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID) - first_cpu;
    net_counters_get(x->a.net, &k);
    printf("%-18s %8u B  %8.1f MB/s  %9.0f frames/s  cpu %.2f  retransmits %lu\n", name, x->size,
           (double)got * 1e3 / (double)(now - begun), (double)got / x->size * 1e9 / (double)(now - begun),
           (double)cpu / (double)(now - begun), (unsigned long)k.tcp_retransmits);
    fflush(stdout);
    for (unsigned i = 0; i < 100000 && net_conn_queue_bytes(x->a.net, x->a.conn) > 0; i++)
        turn(x, now_ns());
    buf_unref(b);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void measure_ping(struct bench *x, const char *name)
{
    static uint32_t ns[PINGS_MAX];
    struct buf *b = buf_new(64);
    uint64_t begun = now_ns();
    unsigned n = 0;

    memset(b->data, 7, 64);
    b->len = 64;
    while (n < PINGS_MAX && now_ns() - begun < x->run_ns) {
        uint64_t t = now_ns(), frames = x->a.frames;

        role_send(&x->a, b, t);
        while (x->a.frames == frames)
            turn(x, now_ns());
        ns[n++] = (uint32_t)(now_ns() - t);
    }
    qsort(ns, n, sizeof(ns[0]), compare);
    printf("%-18s       64 B  ping-pong p50 %.1f us  p99 %.1f us  (%u)\n", name, ns[n / 2] / 1e3,
           ns[n * 99 / 100] / 1e3, n);
    fflush(stdout);
    buf_unref(b);
}

static void figure(enum net_driver driver, bool has_veth, const char *name, uint32_t size, double seconds)
{
    struct bench x = {.driver = driver,
                      .has_veth = has_veth,
                      .size = size,
                      .is_ping = size == 64,
                      .run_ns = (uint64_t)(seconds * 1e9)};
    struct mempair *cable = NULL;
    pthread_t thread;

    if (driver == NET_MEMPAIR) {
        cable = mempair_new(&(struct mempair_config){.has_csum = true, .gso_max_bytes = 64300});
        x.b_ip = "10.9.0.2/24";
        role_open(&x.b, 2, driver, x.b_ip, NULL, mempair_port(cable, 1));
        x.b.is_echo = x.is_ping;
    } else {
        x.b_ip = has_veth ? "10.9.0.2" : "127.0.0.42";
        start_b(&x, &thread);
    }
    role_open(&x.a, 1, driver,
              driver == NET_MEMPAIR ? "10.9.0.1/24"
              : has_veth            ? "10.9.0.1"
                                    : "127.0.0.41",
              "va", cable ? mempair_port(cable, 0) : NULL);
    meet(&x);
    if (x.is_ping)
        measure_ping(&x, name);
    else
        measure_rate(&x, name);
    role_close(&x.a);
    if (driver == NET_MEMPAIR) {
        role_close(&x.b);
    } else {
        x.stop = 1;
        pthread_join(thread, NULL);
    }
    mempair_free(cable);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {64, 1024, 65536, 1u << 20};
    static const struct {
        enum net_driver driver;
        bool has_veth;
        const char *name;
    } rows[] = {{NET_KERNEL, false, "kernel loopback"},
                {NET_KERNEL, true, "kernel veth"},
                {NET_AF_PACKET, true, "af_packet veth"},
                {NET_AF_XDP, true, "af_xdp veth"},
                {NET_MEMPAIR, false, "mempair, 1 thread"}};
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    const char *only = argc > 2 ? argv[2] : NULL;
    bool is_root = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;

    if (is_root)
        run("ip link set lo up");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
            if ((is_root || !rows[k].has_veth) && (!only || strstr(rows[k].name, only)))
                figure(rows[k].driver, rows[k].has_veth, rows[k].name, sizes[i], seconds);
    }
    return 0;
}
