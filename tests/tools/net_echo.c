/* net_echo: one network role in a program of its own, for tests in namespaces
 * Listens and sends every RPC back to where it came from; with --dial it is the other side: sends --count RPCs of --size
 * bytes, wants them back equal and in order, prints what it took and ends (0: all came back).
 *     net_echo --driver af_packet [--iface eth0] [--addr 10.0.0.1/24] [--gateway IP] [--addr6 fd00::1/64] [--port 7070] [--seed N] [--seconds S]
 *              [--dial /ip4/10.0.0.2/tcp/7070 --count 1000 --size 1024 [--gap MS between two; then each tenth echo is told]]
 *     memif: --memif SOCKET --id N [--server]; vfio: --pci ADDRESS [--vlan N]
 * The first line on stdout says what was opened. tap: EAL is started here, without hugepages.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>

#include "crypto/sha256.h"
#include "net/net.h"

#define FDS 8

struct echo {
    struct net *net;
    struct multiaddr dial;
    bool is_client, is_done;
    uint64_t count, sent, back, bad, size;
    uint64_t begun_ns, ended_ns, gap_ns, next_ns;
    net_conn_id conn, gone; /* gone: the last connection that ended */
    struct buf *waiting[4096]; /* echoes that the queue did not take yet */
    net_conn_id waiting_conn[4096];
    unsigned first, nwaiting;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void fill(uint8_t *p, uint64_t size, uint64_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull;

    for (uint64_t k = 0; k < size; k += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(p + k, &x, size - k < 8 ? size - k : 8);
    }
}

static bool is_equal(const struct buf *b, uint64_t size, uint64_t i)
{
    uint8_t *want = malloc(size ? size : 1), a[32], c[32];

    fill(want, size, i);
    sha256_of(slice_of(want, size), a);
    sha256_of(buf_slice(b), c);
    free(want);
    return b->len == size && memcmp(a, c, 32) == 0;
}

static void send_more(struct echo *e, uint64_t now)
{
    while (e->conn && e->sent < e->count && (!e->gap_ns || now >= e->next_ns)) {
        struct buf *b = buf_new((uint32_t)e->size);
        struct net_piece p = {b, 0, (uint32_t)e->size};

        if (!b)
            return;
        b->len = (uint32_t)e->size;
        fill(b->data, e->size, e->sent);
        if (net_send(e->net, e->conn, &p, 1, now) < 0) {
            buf_unref(b);
            return;
        }
        e->sent++;
        e->next_ns = now + e->gap_ns;
    }
}

/* Sends echoes back in order. Those of a connection whose stream is not ready yet (or full) wait. */
static void echo_waiting(struct echo *e, uint64_t now)
{
    while (e->nwaiting > 0) {
        struct buf *b = e->waiting[e->first];
        struct net_piece p = {b, 0, b->len};
        bool is_gone = e->waiting_conn[e->first] == e->gone;

        if (!is_gone && net_send(e->net, e->waiting_conn[e->first], &p, 1, now) < 0)
            return;
        if (is_gone)
            buf_unref(b);
        e->first = (e->first + 1) % 4096;
        e->nwaiting--;
    }
}

static void on_rpc(struct echo *e, struct net_event *ev, uint64_t now)
{
    if (e->is_client) {
        e->bad += !is_equal(ev->frame, e->size, e->back);
        buf_unref(ev->frame);
        e->back++;
        if (e->gap_ns && e->back % 10 == 0)
            printf("back %lu\n", (unsigned long)e->back);
        if (e->back == e->count) {
            e->ended_ns = now_ns();
            net_conn_close(e->net, ev->conn, true, now);
        }
        return;
    }
    if (e->nwaiting == 4096) {
        buf_unref(ev->frame);
        return;
    }
    e->waiting[(e->first + e->nwaiting) % 4096] = ev->frame;
    e->waiting_conn[(e->first + e->nwaiting++) % 4096] = ev->conn;
}

static void on_event(struct echo *e, struct net_event *ev, uint64_t now)
{
    char id[PEER_ID_TEXT_MAX];

    switch (ev->type) {
    case NET_EV_CONN_UP:
        peer_id_format(&ev->peer, id);
        printf("up peer=%s dialer=%d\n", id, ev->is_dialer);
        net_pubsub_open(e->net, ev->conn, now);
        break;
    case NET_EV_DIAL_FAILED:
        printf("dial failed: %s\n", ev->reason);
        net_dial(e->net, &e->dial, NULL, 1, now); /* the other side may still be starting */
        usleep(50000);
        break;
    case NET_EV_PUBSUB_READY:
        if (e->is_client) {
            e->conn = ev->conn;
            e->begun_ns = now_ns();
        }
        break;
    case NET_EV_RPC: on_rpc(e, ev, now); break;
    case NET_EV_LINK: printf("port: %s\n", ev->reason); break;
    case NET_EV_IDENTIFIED: net_identity_free(ev->identity); break;
    case NET_EV_CONN_DOWN:
        printf("down: %s\n", ev->reason);
        e->gone = ev->conn;
        e->is_done = e->is_client;
        break;
    default: break;
    }
    fflush(stdout);
}

static void wait_for_work(struct echo *e, uint64_t now)
{
    uint64_t at = net_next_deadline(e->net), ns = at > now ? at - now : 0;
    struct timespec ts = {0, 0};
    struct pollfd pfd[FDS];
    int fds[FDS];
    unsigned n;

    if (ns == 0)
        return;
    if (ns > (e->gap_ns ? 10000000ull : 200000000ull))
        ns = e->gap_ns ? 10000000ull : 200000000ull;
    ts.tv_nsec = (long)ns;
    n = net_wait_fds(e->net, fds, FDS);
    for (unsigned i = 0; i < n; i++)
        pfd[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    ppoll(pfd, n, &ts, NULL);
}

static void loop(struct echo *e, uint64_t end_ns)
{
    while (!stop && !e->is_done) {
        uint64_t now = now_ns();
        unsigned work = net_poll(e->net, now);
        struct net_event ev;

        if (now > end_ns)
            break;
        while (net_next_event(e->net, &ev))
            on_event(e, &ev, now);
        if (e->is_client)
            send_more(e, now);
        else
            echo_waiting(e, now);
        if (!work)
            wait_for_work(e, now);
    }
}

static enum net_driver driver_of(const char *name)
{
    static const char *const names[] = {"auto", "kernel", "af_packet", "tap", "af_xdp", "vfio", "memif"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum net_driver)i;
    fprintf(stderr, "no such driver: %s\n", name);
    exit(2);
}

static void start_eal(const char *pci)
{
    const char *argv[] = {"net_echo", "-l", "0", "--no-huge", "-m", "64", "--no-shconf", "--no-telemetry", "--log-level=*:error",
                          pci ? "-a" : "--no-pci", pci};

    if (rte_eal_init(pci ? 11 : 10, (char **)(uintptr_t)argv) < 0) {
        fprintf(stderr, "EAL did not start\n");
        exit(1);
    }
}

static void report(const struct echo *e)
{
    struct net_counters k;
    double s = e->ended_ns > e->begun_ns ? (double)(e->ended_ns - e->begun_ns) / 1e9 : 0.0; /* 0: stopped before the end */

    net_counters_get(e->net, &k);
    printf("sent=%lu back=%lu bad=%lu seconds=%.3f MB/s=%.1f retransmits=%lu dropped_in=%lu dropped_out=%lu "
           "checksum=%lu lost=%lu found=%lu down=%lu moved=%lu\n",
           (unsigned long)e->sent, (unsigned long)e->back, (unsigned long)e->bad, s,
           s > 0 ? (double)(e->back * e->size) / s / 1e6 : 0.0, (unsigned long)k.tcp_retransmits,
           (unsigned long)k.packets_dropped_in, (unsigned long)k.packets_dropped_out,
           (unsigned long)k.tcp_checksum_errors, (unsigned long)k.port.lost, (unsigned long)k.port.found,
           (unsigned long)k.port.links_down, (unsigned long)k.tcp.neigh_moved);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"driver", 1, NULL, 'd'},
                                            {"iface", 1, NULL, 'i'},
                                            {"addr", 1, NULL, 'a'},
                                            {"gateway", 1, NULL, 'g'},
                                            {"addr6", 1, NULL, 'A'},
                                            {"memif", 1, NULL, 'm'},
                                            {"id", 1, NULL, 'n'},
                                            {"server", 0, NULL, 'M'},
                                            {"pci", 1, NULL, 'P'},
                                            {"vlan", 1, NULL, 'v'},
                                            {"port", 1, NULL, 'p'},
                                            {"dial", 1, NULL, 'D'},
                                            {"count", 1, NULL, 'c'},
                                            {"gap", 1, NULL, 'G'},
                                            {"size", 1, NULL, 's'},
                                            {"seed", 1, NULL, 'S'},
                                            {"seconds", 1, NULL, 't'},
                                            {0}};
    static const char *const protocols[] = {"/echo/1.0.0"};
    static struct echo e = {.count = 1000, .size = 1024};
    struct net_config cfg = {.driver = NET_AUTO,
                             .listen_port = 7070,
                             .protocols = {protocols[0]},
                             .max_queue_bytes = 8u << 20};
    struct session_local local = {.version = 1, .agent = "net_echo", .protocols = protocols, .nprotocols = 1};
    struct key_pair key;
    struct noise_identity noise;
    struct rng rng;
    uint8_t seed[32] = {1};
    char err[256] = "", why[512] = "";
    const char *dial = NULL;
    uint64_t seconds = 30;
    bool ok = true;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'd': cfg.driver = driver_of(optarg); break;
        case 'i': cfg.iface = optarg; break;
        case 'a': cfg.addr = cfg.listen_ip = optarg; break;
        case 'g': cfg.gateway = optarg; break;
        case 'A': cfg.addr6 = optarg; break;
        case 'm': cfg.memif = optarg; break;
        case 'n': cfg.memif_id = (unsigned)atoi(optarg); break;
        case 'M': cfg.is_memif_server = true; break;
        case 'P': cfg.pci = optarg; break;
        case 'v': cfg.vlan = (uint16_t)atoi(optarg); break;
        case 'p': cfg.listen_port = (uint16_t)atoi(optarg); break;
        case 'D': dial = optarg; break;
        case 'c': e.count = strtoull(optarg, NULL, 10); break;
        case 'G': e.gap_ns = strtoull(optarg, NULL, 10) * 1000000ull; break;
        case 's': e.size = strtoull(optarg, NULL, 10); break;
        case 'S': seed[0] = (uint8_t)atoi(optarg); break;
        case 't': seconds = strtoull(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    if (cfg.driver == NET_TAP || cfg.driver == NET_VFIO)
        start_eal(cfg.pci);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    rng_init_system(&rng);
    key_pair_from_seed(&key, seed);
    noise_identity_init(&noise, &key, &rng);
    cfg.identity = &noise;
    cfg.local = &local;
    cfg.rng = &rng;
    e.net = net_new(&cfg, now_ns(), err, why);
    if (!e.net) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    printf("%s; %s\n", net_driver_text(e.net), why);
    fflush(stdout);
    e.is_client = dial != NULL;
    if (dial &&
        (multiaddr_parse(&e.dial, slice_str(dial)) < 0 || net_dial(e.net, &e.dial, NULL, 1, now_ns()) < 0)) {
        fprintf(stderr, "cannot dial %s\n", dial);
        ok = false;
    }
    if (ok)
        loop(&e, now_ns() + seconds * 1000000000ull);
    report(&e);
    if (e.is_client)
        ok = ok && e.back == e.count && e.bad == 0;
    while (e.nwaiting > 0) {
        buf_unref(e.waiting[e.first]);
        e.first = (e.first + 1) % 4096;
        e.nwaiting--;
    }
    net_free(e.net);
    noise_identity_fini(&noise);
    key_pair_fini(&key);
    return ok ? 0 : 1;
}
