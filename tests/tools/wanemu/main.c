/* wanemu: a wide area network on one machine: a switch between interfaces in namespaces, with delay, jitter, rate, queue and loss
 * for each pair of them
 *     wanemu --ns NAME,NAME,.. [--net 10.55.0.0/24] [--iface eth0] [--seed N] [--config FILE] [--set LINE].. [--tick US] [--spin US]
 *            [--plain] [--no-rt] [--awake]
 * Makes an interface in each namespace (2 to 32, end 0 first; address .1 and up of the net) and forwards between them as the lines
 * say (config.h has their form). Prints "ready", then takes more lines on stdin, and answers each with "ok" or "error ..":
 *     a line of the configuration: from now on
 *     counters: one line of JSON instead; also printed at the end
 * Ends at the end of stdin or by SIGTERM; the interfaces go with it. tests/tools/wan makes the namespaces, too.
 *
 * Time: packets leave at the first turn after they are due; a turn comes at the latest 1 tick (50 us) after it is needed, so packets of one
 * tick leave together. --tick 0 --spin 50: wakes for each and spins the last 50 us. Runs as a real-time process where it may.
 * --awake: no CPU of the machine sleeps while it runs; in a virtual machine an idle one is given away and comes back some 50 us late, and
 * a packet waits for that twice
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "config.h"
#include "switch.h"
#include "tap.h"
#include "wan.h"

#define READ_BURST 64
#define LATE_SLOTS 32
#define HELD_MAX   (1ull << 30)

struct port {
    struct tap tap;
    uint64_t in, in_super, in_bad, out, out_super, out_failed;
    struct wan_packet run; /* neighbours that wait to leave as one frame */
    uint32_t run_count;
};

struct emu {
    struct wan wan;
    struct mac_switch macs;
    struct port port[WAN_NODES_MAX];
    unsigned nodes;
    uint64_t tick_ns, spin_ns;
    uint64_t late[LATE_SLOTS]; /* packets out, by the logarithm of how late, in 1/8 us */
    uint64_t late_max_ns;
    char line[600];
    size_t line_len;
    bool is_ended;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- out ---- */

static void flush(struct port *p)
{
    struct virtio_net_hdr virtio;
    uint8_t head[WAN_HEAD_MAX];
    struct slice rest;
    struct iovec iov[3] = {{&virtio, sizeof(virtio)}, {head, 0}, {NULL, 0}};

    if (!p->run_count)
        return;
    iov[1].iov_len = wan_frame_run(p->run.frame, p->run.index, p->run_count, p->run.is_ce, &virtio, head, &rest);
    iov[2] = (struct iovec){(void *)(uintptr_t)rest.p, rest.len};
    if (writev(p->tap.fd, iov, 3) < 0)
        p->out_failed++;
    p->out += p->run_count;
    p->out_super += p->run_count > 1;
    p->run_count = 0;
    wan_frame_unref(p->run.frame);
}

static void count_late(struct emu *e, uint64_t late_ns)
{
    uint64_t eighths = late_ns / 125;
    unsigned slot = eighths ? 64 - (unsigned)__builtin_clzll(eighths) : 0;

    e->late[slot < LATE_SLOTS ? slot : LATE_SLOTS - 1]++;
    if (late_ns > e->late_max_ns)
        e->late_max_ns = late_ns;
}

static void deliver(struct emu *e, uint64_t now)
{
    struct wan_packet q;

    while (wan_output(&e->wan, &q, now)) {
        struct port *p = &e->port[q.to];

        count_late(e, now - q.due_ns);
        if (p->run_count && p->run.frame == q.frame && p->run.index + p->run_count == q.index && p->run.is_ce == q.is_ce) {
            p->run_count++;
            wan_frame_unref(q.frame);
            continue;
        }
        flush(p);
        p->run = q;
        p->run_count = 1;
    }
    for (unsigned i = 0; i < e->nodes; i++)
        flush(&e->port[i]);
}

/* ---- in ---- */

static void forward(struct emu *e, unsigned from, struct wan_frame *f, uint64_t now)
{
    uint32_t to = switch_frame(&e->macs, from, f->data);

    for (unsigned i = 0; i < e->nodes; i++)
        if (i != from && (to == i || to == SWITCH_ALL))
            wan_input(&e->wan, from, i, f, now);
}

static unsigned read_port(struct emu *e, unsigned i, uint64_t now)
{
    static uint8_t bytes[WAN_FRAME_MAX];
    struct port *p = &e->port[i];
    unsigned n;

    for (n = 0; n < READ_BURST; n++) {
        ssize_t got = read(p->tap.fd, bytes, sizeof(bytes));
        struct wan_frame *f;

        if (got <= 0)
            break;
        f = wan_frame_new(bytes, (uint32_t)got);
        if (!f) {
            p->in_bad++;
            continue;
        }
        p->in += f->packets;
        p->in_super += f->packets > 1;
        forward(e, i, f, now);
        wan_frame_unref(f);
    }
    return n;
}

/* ---- counters ---- */

static uint64_t late_share_ns(const struct emu *e, double share)
{
    uint64_t all = 0, sum = 0;

    for (unsigned i = 0; i < LATE_SLOTS; i++)
        all += e->late[i];
    for (unsigned i = 0; i < LATE_SLOTS && all; i++) {
        sum += e->late[i];
        if ((double)sum >= share * (double)all)
            return 125ull << i; /* the slot's upper end */
    }
    return 0;
}

static void print_counters(const struct emu *e)
{
    const char *comma = "";

    printf("{\"paths\": [");
    for (unsigned i = 0; i < e->nodes; i++)
        for (unsigned j = 0; j < e->nodes; j++) {
            const struct wan_path *p = &e->wan.path[i][j];
            if (!p->packets)
                continue;
            printf("%s{\"from\": %u, \"to\": %u, \"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"lost\": %" PRIu64
                   ", \"queue_full\": %" PRIu64 ", \"marked\": %" PRIu64 "}",
                   comma, i, j, p->packets, p->bytes, p->lost, p->link.dropped, p->link.marked);
            comma = ", ";
        }
    printf("], \"nodes\": [");
    for (unsigned i = 0; i < e->nodes; i++) {
        const struct port *p = &e->port[i];
        printf("%s{\"in\": %" PRIu64 ", \"in_super\": %" PRIu64 ", \"in_bad\": %" PRIu64 ", \"out\": %" PRIu64 ", \"out_super\": %" PRIu64
               ", \"out_failed\": %" PRIu64 ", \"up_full\": %" PRIu64 ", \"down_full\": %" PRIu64 ", \"up_marked\": %" PRIu64
               ", \"down_marked\": %" PRIu64 ", \"not_read\": %" PRIu64 "}",
               i ? ", " : "", p->in, p->in_super, p->in_bad, p->out, p->out_super, p->out_failed, e->wan.up[i].dropped,
               e->wan.down[i].dropped, e->wan.up[i].marked, e->wan.down[i].marked, tap_dropped(&p->tap));
    }
    printf("], \"overrun\": %" PRIu64 ", \"late_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}}\n", e->wan.overrun,
           (double)late_share_ns(e, 0.5) / 1e3, (double)late_share_ns(e, 0.99) / 1e3, (double)e->late_max_ns / 1e3);
    fflush(stdout);
}

/* ---- control ---- */

static void on_line(struct emu *e, const char *line)
{
    char err[128];

    if (strcmp(line, "counters") == 0) {
        print_counters(e);
        return;
    }
    if (wan_config_line(&e->wan, line, err))
        printf("error %s\n", err);
    else
        printf("ok\n");
    fflush(stdout);
}

static void read_control(struct emu *e)
{
    ssize_t got = read(STDIN_FILENO, e->line + e->line_len, sizeof(e->line) - 1 - e->line_len);
    char *end;

    if (got <= 0) {
        e->is_ended = got == 0 || errno != EAGAIN;
        return;
    }
    e->line_len += (size_t)got;
    e->line[e->line_len] = 0;
    while ((end = strchr(e->line, '\n'))) {
        *end = 0;
        on_line(e, e->line);
        e->line_len -= (size_t)(end + 1 - e->line);
        memmove(e->line, end + 1, e->line_len + 1);
    }
    if (e->line_len == sizeof(e->line) - 1)
        e->is_ended = true; /* no line is so long: whoever writes there is none of ours */
}

/* ---- the loop ---- */

static void wait_turn(struct emu *e, int epoll, uint64_t last_ns)
{
    struct epoll_event ev[WAN_NODES_MAX + 1];
    uint64_t due = wan_next_deadline(&e->wan), now = now_ns();
    struct timespec ts;
    uint64_t ns;

    if (due < last_ns + e->tick_ns)
        due = last_ns + e->tick_ns;
    if (due <= now + e->spin_ns) {
        while (due != UINT64_MAX && now < due && epoll_wait(epoll, ev, 1, 0) == 0)
            now = now_ns();
        return;
    }
    ns = due == UINT64_MAX ? 100000000 : due - now - e->spin_ns;
    if (ns > 100000000)
        ns = 100000000;
    ts = (struct timespec){0, (long)ns};
    epoll_pwait2(epoll, ev, WAN_NODES_MAX + 1, &ts, NULL);
}

static void loop(struct emu *e)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
    for (unsigned i = 0; i < e->nodes; i++)
        epoll_ctl(epoll, EPOLL_CTL_ADD, e->port[i].tap.fd, &ev);
    while (!stop && !e->is_ended) {
        uint64_t now = now_ns();
        unsigned work = 0;

        for (unsigned i = 0; i < e->nodes; i++)
            work += read_port(e, i, now);
        deliver(e, now_ns());
        read_control(e);
        if (!work)
            wait_turn(e, epoll, now);
    }
    close(epoll);
}

/* ---- the start ---- */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "wanemu: %s: %s\n", what, why);
    exit(2);
}

static void configure(struct emu *e, const char *line)
{
    char err[128];

    if (wan_config_line(&e->wan, line, err))
        die(line, err);
}

static void configure_file(struct emu *e, const char *path)
{
    FILE *f = fopen(path, "re");
    char line[600];

    if (!f)
        die(path, strerror(errno));
    while (fgets(line, sizeof(line), f))
        configure(e, line);
    fclose(f);
}

static void open_ports(struct emu *e, char **names, const char *iface, uint32_t net, uint32_t mask, bool is_plain)
{
    char err[256];

    for (unsigned i = 0; i < e->nodes; i++) {
        struct tap_config cfg = {.ns = names[i],
                                 .iface = iface,
                                 .mac = {2, 0x55, 0, 0, 0, (uint8_t)(i + 1)},
                                 .ip4 = net + 1 + i,
                                 .mask = mask,
                                 .queue = 20000,
                                 .is_plain = is_plain};
        if (tap_open(&e->port[i].tap, &cfg, err))
            die("cannot open an end", err);
    }
}

/* The kernel's idle loop spins for as long as the file is open. */
static void keep_awake(void)
{
    int32_t latency_us = 0;
    int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, &latency_us, sizeof(latency_us)) != sizeof(latency_us))
        fprintf(stderr, "wanemu: /dev/cpu_dma_latency: %s\n", strerror(errno));
}

static void parse_net(const char *text, uint32_t *net, uint32_t *mask)
{
    char ip[64];
    struct in_addr a;
    unsigned bits;

    if (sscanf(text, "%63[0-9.]/%u", ip, &bits) != 2 || inet_pton(AF_INET, ip, &a) != 1 || bits < 8 || bits > 26)
        die(text, "not a net such as 10.55.0.0/24");
    *mask = UINT32_MAX << (32 - bits);
    *net = ntohl(a.s_addr) & *mask;
}

static unsigned split_names(char *text, char **names)
{
    char *save = NULL;
    unsigned n = 0;

    for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        if (n == WAN_NODES_MAX)
            die("--ns", "at most 32 ends");
        names[n++] = p;
    }
    if (n < 2)
        die("--ns", "at least two namespaces");
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"ns", 1, NULL, 'n'},    {"net", 1, NULL, 'N'},   {"iface", 1, NULL, 'i'},
                                            {"seed", 1, NULL, 's'},  {"config", 1, NULL, 'c'}, {"set", 1, NULL, 'l'},
                                            {"tick", 1, NULL, 't'},  {"spin", 1, NULL, 'p'},  {"plain", 0, NULL, 'P'},
                                            {"no-rt", 0, NULL, 'r'}, {"awake", 0, NULL, 'a'},  {0}};
    static struct emu e = {.tick_ns = 50000};
    struct sched_param rt = {.sched_priority = 1};
    char *names[WAN_NODES_MAX], *lines[WAN_NODES_MAX * WAN_NODES_MAX];
    const char *iface = "eth0", *config = NULL;
    uint32_t net = 10u << 24 | 55u << 16, mask = 0xffffff00;
    uint64_t seed = 1;
    unsigned nlines = 0;
    bool is_plain = false, is_rt = true;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'n': e.nodes = split_names(optarg, names); break;
        case 'N': parse_net(optarg, &net, &mask); break;
        case 'i': iface = optarg; break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 'c': config = optarg; break;
        case 'l':
            if (nlines < WAN_NODES_MAX * WAN_NODES_MAX)
                lines[nlines++] = optarg;
            break;
        case 't': e.tick_ns = strtoull(optarg, NULL, 10) * 1000; break;
        case 'p': e.spin_ns = strtoull(optarg, NULL, 10) * 1000; break;
        case 'P': is_plain = true; break;
        case 'r': is_rt = false; break;
        case 'a': keep_awake(); break;
        default: return 2;
        }
    }
    if (!e.nodes)
        die("--ns", "which namespaces?");
    wan_init(&e.wan, e.nodes, seed, HELD_MAX);
    if (config)
        configure_file(&e, config);
    for (unsigned i = 0; i < nlines; i++)
        configure(&e, lines[i]);
    open_ports(&e, names, iface, net, mask, is_plain);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    if (is_rt)
        sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &rt);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    printf("ready\n");
    fflush(stdout);
    loop(&e);
    print_counters(&e);
    wan_fini(&e.wan);
    for (unsigned i = 0; i < e.nodes; i++)
        tap_close(&e.port[i].tap);
    return 0;
}
