/* codecast-switch: joins nodes of one host by shared memory, without the kernel: a learning Ethernet switch between memif ports
 * Shape:   one thread: each port's frames in, to the port of the address they are for, or to all; statistics at the end and at SIGUSR1
 * Errors:  exit 1 with one line; a port's other end may come and go
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/rng.h"
#include "drivers/mactable.h"
#include "drivers/memif.h"
#include "drivers/memif_listen.h"

#define PORTS_MAX    32
#define PORTS_USUAL  8
#define SOCKET_USUAL "/run/codecast/memif.sock"
#define MTU          9600 /* no node's is larger */
#define ETH_HEAD     14
#define SPIN_NS      50000ull
#define LOOK_NS      100000000ull

static const char usage[] =
    "codecast-switch " CODECAST_VERSION ": joins nodes of one host by shared memory\n"
    "\n"
    "Usage: codecast-switch [--socket PATH] [--ports N] [--spin]\n"
    "  --socket  where nodes call (NET_MEMIF) [" SOCKET_USUAL "]; its directory is made if need be\n"
    "  --ports   how many nodes: NET_MEMIF_ID 0 to N-1, at most 32 [8]\n"
    "  --spin    never sleeps; without it nodes wake it\n"
    "\n"
    "A node: NET_DRIVER=memif NET_MEMIF_ID=0 NET_ADDR=10.77.0.1/24 p2pnode\n"
    "SIGTERM and SIGINT end it; SIGUSR1 logs what passed.\n";

struct port {
    struct pktio *io;
    bool is_up;
    uint64_t in, sent, dropped, flooded;
};

struct hub {
    const char *socket;
    unsigned nports;
    bool is_spin;
    struct memif_listener *listener;
    struct mactable table;
    struct port ports[PORTS_MAX];
    struct pktio_seg seg; /* the frame that is on its way */
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

static void give(struct hub *h, struct port *p)
{
    bool is_sent = pktio_send(p->io, &h->seg, 1) == 1; /* where nobody is, the port drops it */

    p->sent += is_sent;
    p->dropped += !is_sent;
}

static void flood(struct hub *h, unsigned from)
{
    for (unsigned i = 0; i < h->nports; i++)
        if (i != from)
            give(h, &h->ports[i]);
    h->ports[from].flooded++;
}

/* The addresses are read once, here: the sender can change them at any time. The rest is copied and not looked at. */
static void forward(struct hub *h, unsigned from, const struct pktio_frame *f, uint64_t now)
{
    const uint8_t *head = h->seg.head;
    uint16_t to;

    memcpy(h->seg.head, f->data, ETH_HEAD);
    h->seg.pieces[0] = (struct pktio_piece){f->data + ETH_HEAD, f->len - ETH_HEAD, NULL};
    mactable_learn(&h->table, head + 6, (uint16_t)from, now);
    to = head[0] & 1 ? MACTABLE_NONE : mactable_find(&h->table, head, now);
    if (to == MACTABLE_NONE)
        flood(h, from);
    else if (to != from) /* else its neighbour at the same port has it already */
        give(h, &h->ports[to]);
}

static unsigned turn(struct hub *h, uint64_t now)
{
    struct pktio_frame frames[PKTIO_BURST];
    unsigned work = 0;

    for (unsigned i = 0; i < h->nports; i++) {
        unsigned n = pktio_recv(h->ports[i].io, frames, PKTIO_BURST);

        h->ports[i].in += n;
        work += n;
        for (unsigned k = 0; k < n; k++)
            forward(h, i, &frames[k], now);
        pktio_recv_done(h->ports[i].io);
    }
    return work;
}

/* Nodes come and go. */
static void look(struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++) {
        struct port *p = &h->ports[i];

        pktio_refresh(p->io);
        if (p->io->link.is_up == p->is_up)
            continue;
        p->is_up = p->io->link.is_up;
        log_info("\"%s\" port=%u", p->is_up ? "a node is here" : "a node has gone", i);
        mactable_forget_port(&h->table, (uint16_t)i);
    }
}

static void report(const struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++) {
        const struct port *p = &h->ports[i];
        struct pktio_counters c;

        pktio_counters_get(p->io, &c);
        if (p->in || p->sent)
            log_info("\"port\" port=%u is_up=%d frames_in=%lu frames_out=%lu flooded=%lu dropped=%lu lost=%lu resets=%lu", i, p->is_up, (unsigned long)p->in,
                     (unsigned long)p->sent, (unsigned long)p->flooded, (unsigned long)(p->dropped + c.rx_truncated), (unsigned long)c.lost,
                     (unsigned long)c.resets);
    }
}

/* Each port's other end rings from here on. */
static void sleep_until(struct hub *h, uint64_t at, uint64_t now)
{
    struct timespec ts = {0, (long)(at > now ? at - now : 0)};
    struct pollfd p[PORTS_MAX];

    for (unsigned i = 0; i < h->nports; i++)
        p[i] = (struct pollfd){.fd = pktio_wait_fd(h->ports[i].io, false), .events = POLLIN};
    ppoll(p, h->nports, &ts, NULL);
}

static void loop(struct hub *h)
{
    uint64_t next_look = 0, busy = 0;

    while (!stop) {
        uint64_t now = now_ns();

        if (now >= next_look) {
            look(h);
            next_look = now + LOOK_NS;
        }
        if (tell) {
            tell = 0;
            report(h);
        }
        if (turn(h, now))
            busy = now;
        else if (!h->is_spin && now - busy > SPIN_NS)
            sleep_until(h, next_look, now);
    }
}

/* ---- opening ---- */

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

static int open_all(struct hub *h, char err[256])
{
    struct rng rng;
    uint64_t seed[2];

    rng_init_system(&rng);
    rng_fill(&rng, (uint8_t *)seed, sizeof(seed));
    mactable_init(&h->table, seed);
    h->seg.head_len = ETH_HEAD;
    h->seg.npieces = 1;
    make_directory(h->socket);
    h->listener = memif_listener_new(h->socket, err);
    for (unsigned i = 0; h->listener && i < h->nports; i++) {
        struct memif_config m = {.socket = h->socket, .listener = h->listener, .id = i, .is_server = true, .is_raw = true, .mtu = MTU};

        h->ports[i].io = memif_open(&m, err);
        if (!h->ports[i].io)
            return -1;
    }
    return h->listener ? 0 : -1;
}

static void close_all(struct hub *h)
{
    for (unsigned i = 0; i < h->nports; i++)
        pktio_close(h->ports[i].io);
    memif_listener_free(h->listener);
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
