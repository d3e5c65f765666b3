/* codecast-switch: joins nodes of one host by shared memory, without the kernel: a learning Ethernet switch between memif ports
 * Shape:   one thread: each port's frames in, to the port of the address they are for, or to all; statistics at the end and at SIGUSR1
 * Errors:  exit 1 with one line; a port's other end may come and go
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include "base/log.h"
#include "base/rng.h"
#include "drivers/ethdev.h"
#include "drivers/mactable.h"

#define PORTS_MAX    32
#define PORTS_USUAL  8
#define SOCKET_USUAL "/run/codecast/memif.sock"
#define BURST        32
#define DESCS        2048
#define MBUFS_EACH   6144
#define BYTES_EACH   24 /* MiB of EAL's memory for each port's mbufs */
#define SPIN_TURNS   2000
#define NAP_NS       100000 /* net_memif has nothing to wait on */
#define LOOK_NS      1000000000ull

static const char usage[] =
    "codecast-switch " CODECAST_VERSION ": joins nodes of one host by shared memory\n"
    "\n"
    "Usage: codecast-switch [--socket PATH] [--ports N] [--spin]\n"
    "  --socket  where nodes call (NET_MEMIF) [" SOCKET_USUAL "]; its directory is made if need be\n"
    "  --ports   how many nodes: NET_MEMIF_ID 0 to N-1, at most 32 [8]\n"
    "  --spin    never sleeps; without it naps of 0.1 ms when there is nothing to do\n"
    "\n"
    "A node: NET_DRIVER=memif NET_MEMIF_ID=0 NET_ADDR=10.77.0.1/24 p2pnode\n"
    "SIGTERM and SIGINT end it; SIGUSR1 logs what passed.\n";

struct port {
    uint16_t id; /* DPDK's */
    bool is_up;
    struct rte_mbuf *out[BURST];
    uint16_t nout;
    uint64_t in, sent, dropped, flooded;
};

struct hub {
    const char *socket;
    unsigned nports;
    bool is_spin;
    struct rte_mempool *pool;
    struct mactable table;
    struct port ports[PORTS_MAX];
};

static volatile sig_atomic_t stop, tell;

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        tell = 1;
    else
        stop = 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- forwarding ---- */

static void push(struct port *p)
{
    uint16_t n = rte_eth_tx_burst(p->id, 0, p->out, p->nout);

    p->sent += n;
    p->dropped += (uint64_t)(p->nout - n);
    for (; n < p->nout; n++)
        rte_pktmbuf_free(p->out[n]);
    p->nout = 0;
}

static void give(struct port *p, struct rte_mbuf *m)
{
    if (!p->is_up) {
        rte_pktmbuf_free(m);
        return;
    }
    p->out[p->nout++] = m;
    if (p->nout == BURST)
        push(p);
}

static void flood(struct hub *h, unsigned from, struct rte_mbuf *m)
{
    for (unsigned i = 0; i < h->nports; i++) {
        if (i == from || !h->ports[i].is_up)
            continue;
        rte_mbuf_refcnt_update(m, 1); /* net_memif copies what it sends */
        give(&h->ports[i], m);
    }
    rte_pktmbuf_free(m);
    h->ports[from].flooded++;
}

static void forward(struct hub *h, unsigned from, struct rte_mbuf *m, uint64_t now)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint16_t to;

    if (m->data_len < 14) {
        rte_pktmbuf_free(m);
        h->ports[from].dropped++;
        return;
    }
    mactable_learn(&h->table, p + 6, (uint16_t)from, now);
    to = p[0] & 1 ? MACTABLE_NONE : mactable_find(&h->table, p, now);
    if (to == MACTABLE_NONE)
        flood(h, from, m);
    else if (to == from)
        rte_pktmbuf_free(m); /* its neighbour at the same port has it already */
    else
        give(&h->ports[to], m);
}

static unsigned turn(struct hub *h, uint64_t now)
{
    struct rte_mbuf *got[BURST];
    unsigned work = 0;

    for (unsigned i = 0; i < h->nports; i++) {
        uint16_t n = h->ports[i].is_up ? rte_eth_rx_burst(h->ports[i].id, 0, got, BURST) : 0;

        h->ports[i].in += n;
        work += n;
        for (uint16_t k = 0; k < n; k++)
            forward(h, i, got[k], now);
    }
    for (unsigned i = 0; i < h->nports; i++)
        if (h->ports[i].nout)
            push(&h->ports[i]);
    return work;
}

/* Nodes come and go. */
static void look(struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++) {
        struct port *p = &h->ports[i];
        struct rte_eth_link link;
        bool is_up = rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;

        if (is_up == p->is_up)
            continue;
        p->is_up = is_up;
        log_info("\"%s\" port=%u", is_up ? "a node is here" : "a node has gone", i);
        mactable_forget_port(&h->table, (uint16_t)i);
    }
}

static void report(const struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++)
        if (h->ports[i].in || h->ports[i].sent)
            log_info("\"port\" port=%u is_up=%d frames_in=%lu frames_out=%lu flooded=%lu dropped=%lu", i, h->ports[i].is_up,
                     (unsigned long)h->ports[i].in, (unsigned long)h->ports[i].sent, (unsigned long)h->ports[i].flooded,
                     (unsigned long)h->ports[i].dropped);
}

static void loop(struct hub *h)
{
    const struct timespec nap = {0, NAP_NS};
    uint64_t next_look = 0;
    unsigned idle = 0;

    while (!stop) {
        uint64_t now = now_ns();

        if (now >= next_look) {
            look(h);
            next_look = now + LOOK_NS / 10;
        }
        if (tell) {
            tell = 0;
            report(h);
        }
        if (turn(h, now))
            idle = 0;
        else if (h->is_spin || ++idle < SPIN_TURNS)
            rte_pause();
        else
            nanosleep(&nap, NULL);
    }
}

/* ---- opening ---- */

static int start_eal(unsigned nports)
{
    char memory[16], prefix[48];
    const char *argv[] = {"codecast-switch", "--lcores", "0", "--no-huge", "-m", memory, "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=*:error", prefix};
    cpu_set_t cpus;
    int rc;

    snprintf(memory, sizeof(memory), "%u", 16 + BYTES_EACH * nports);
    snprintf(prefix, sizeof(prefix), "--file-prefix=switch%d", (int)getpid());
    sched_getaffinity(0, sizeof(cpus), &cpus);
    argv[2] = "0@0";
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &cpus)) {
            static char lcore[16];

            snprintf(lcore, sizeof(lcore), "0@%d", i);
            argv[2] = lcore;
            break;
        }
    rc = rte_eal_init(sizeof(argv) / sizeof(argv[0]), (char **)(uintptr_t)argv);
    sched_setaffinity(0, sizeof(cpus), &cpus); /* EAL pins it to one; taskset or a cpuset says better */
    return rc;
}

/* The directory alone: its parents are the operator's. */
static void make_directory(const char *socket)
{
    char dir[108];
    char *slash;

    snprintf(dir, sizeof(dir), "%s", socket);
    slash = strrchr(dir, '/');
    if (slash && slash != dir) {
        *slash = 0;
        mkdir(dir, 0755);
    }
}

static int open_port(struct hub *h, unsigned i, struct rng *rng, char err[256])
{
    struct ethdev_memif m = {.socket = h->socket, .id = i, .is_server = true};
    struct rte_eth_conf conf = {0};
    char name[32], args[256];
    uint16_t *id = &h->ports[i].id;
    int rc;

    rng_fill(rng, m.mac, sizeof(m.mac));
    ethdev_memif_args(&m, args);
    snprintf(name, sizeof(name), "net_memif%u", i);
    if (ethdev_create_vdev(name, args, id, err) < 0)
        return -1;
    if ((rc = rte_eth_dev_configure(*id, 1, 1, &conf)) < 0 || (rc = rte_eth_rx_queue_setup(*id, 0, DESCS, SOCKET_ID_ANY, NULL, h->pool)) < 0 ||
        (rc = rte_eth_tx_queue_setup(*id, 0, DESCS, SOCKET_ID_ANY, NULL)) < 0 || (rc = rte_eth_dev_start(*id)) < 0) {
        snprintf(err, 256, "port %u at %s: %s", i, h->socket, rte_strerror(-rc));
        return -1;
    }
    return 0;
}

static int open_all(struct hub *h, char err[256])
{
    struct rng rng;
    uint64_t seed[2];

    rng_init_system(&rng);
    rng_fill(&rng, (uint8_t *)seed, sizeof(seed));
    mactable_init(&h->table, seed);
    make_directory(h->socket);
    ethdev_memif_clean(h->socket);
    h->pool = rte_pktmbuf_pool_create("switch", MBUFS_EACH * h->nports, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!h->pool) {
        snprintf(err, 256, "memory for %u ports: %s", h->nports, rte_strerror(rte_errno));
        return -1;
    }
    for (unsigned i = 0; i < h->nports; i++)
        if (open_port(h, i, &rng, err) < 0)
            return -1;
    return 0;
}

static void close_all(struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++) {
        rte_eth_dev_stop(h->ports[i].id);
        ethdev_remove_vdev(h->ports[i].id);
    }
}

/* 0, or an exit code + 1. */
static int parse(int argc, char **argv, struct hub *h)
{
    static const struct option options[] = {{"socket", 1, NULL, 's'}, {"ports", 1, NULL, 'p'}, {"spin", 0, NULL, 'S'},
                                            {"version", 0, NULL, 'v'}, {"help", 0, NULL, 'h'}, {0}};

    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 's': h->socket = optarg; break;
        case 'p': h->nports = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'S': h->is_spin = true; break;
        case 'v': printf("codecast-switch %s\n", CODECAST_VERSION); return 1;
        case 'h': fputs(usage, stdout); return 1;
        default: fputs("codecast-switch: see --help\n", stderr); return 3;
        }
    }
    if (optind == argc && h->nports >= 1 && h->nports <= PORTS_MAX && strlen(h->socket) < 108)
        return 0;
    fputs("codecast-switch: --ports is 1 to 32, the socket's path has at most 107 characters, nothing else is taken; see --help\n", stderr);
    return 3;
}

int main(int argc, char **argv)
{
    static struct hub h = {.socket = SOCKET_USUAL, .nports = PORTS_USUAL};
    char err[256] = "";
    int rc = parse(argc, argv, &h);

    if (rc)
        return rc - 1;
    log_init(LOG_INFO_L, LOG_LOGFMT, NULL);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGUSR1, on_signal);
    if (start_eal(h.nports) < 0) {
        log_error("\"fatal: DPDK's environment did not start: %s\"", rte_strerror(rte_errno));
        return 1;
    }
    if (open_all(&h, err) < 0) {
        log_error("\"fatal: %s\"", err);
        return 1;
    }
    log_info("\"switch started\" socket=%s ports=%u", h.socket, h.nports);
    loop(&h);
    report(&h);
    close_all(&h);
    log_info("\"stopped\"");
    return 0;
}
