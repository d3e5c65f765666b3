/* tcp_flow: TCP alone, measured (flow.h)
 *     tcp_flow serve  --stack linux|af_packet|af_xdp|tap|memif [--port 7070] [--ip IP] [--iface eth0] [--addr A/LEN] [--cc NAME]
 *     tcp_flow recv   --stack .. --ip IP [--port] [--flows 1] [--seconds 3] [--warm 0]   what the server can send
 *     tcp_flow send   --stack linux --ip IP ..                                   what it can receive
 *     tcp_flow ping   --stack .. --ip IP [--size 64]                             there and back, one at a time
 *     tcp_flow connect --stack linux --ip IP [--flows 16]                        connect, a byte there and back, reset
 *     memif: --memif SOCKET --addr A/LEN [--server] at either end; --ip is then the address of the other
 *     tcp_flow recv|ping --pair ring                                             both ends are ours, on lcores of this process
 * A server prints "ready" and ends by SIGTERM. A client prints one line of JSON.
 */
#include "flow.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

volatile bool flow_stop;

static void on_signal(int sig)
{
    (void)sig;
    flow_stop = true;
}

void flow_die(const char *what)
{
    fprintf(stderr, "tcp_flow: %s\n", what);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void flow_report_rate(const uint64_t *bytes, const uint64_t *ns, unsigned flows)
{
    double sum = 0;

    printf("{\"flows\": [");
    for (unsigned i = 0; i < flows; i++) {
        double rate = (double)bytes[i] * 1e3 / (double)ns[i];
        printf("%s%.4f", i ? ", " : "", rate);
        sum += rate;
    }
    printf("], \"MB_s\": %.4f, \"cpu_s\": %.3f}\n", sum, cpu_s());
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void flow_report_ping(uint32_t *ns, unsigned n)
{
    if (n == 0)
        flow_die("no ping came back");
    qsort(ns, n, sizeof(*ns), compare);
    printf("{\"pings\": %u, \"p50_us\": %.2f, \"p99_us\": %.2f}\n", n, ns[n / 2] / 1e3, ns[(size_t)n * 99 / 100] / 1e3);
}

void flow_report_connects(uint64_t n, uint64_t ns, uint64_t failed)
{
    printf("{\"connects\": %lu, \"per_s\": %.1f, \"failed\": %lu}\n", (unsigned long)n, (double)n * 1e9 / (double)ns, (unsigned long)failed);
}

static enum flow_mode mode_of(const char *name)
{
    static const char *const names[] = {"serve", "recv", "send", "ping", "connect"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum flow_mode)i;
    flow_die("the first argument is serve, recv, send, ping or connect");
}

static void set_stack(struct flow_config *c, const char *name)
{
    static const char *const names[] = {"auto", "kernel", "af_packet", "tap", "af_xdp", "vfio", "memif"};

    c->is_linux = strcmp(name, "linux") == 0;
    if (c->is_linux)
        return;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            c->net.driver = (enum net_driver)i;
            return;
        }
    flow_die("no such stack");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"stack", 1, NULL, 's'}, {"port", 1, NULL, 'p'},    {"ip", 1, NULL, 'i'},
                                            {"iface", 1, NULL, 'I'}, {"addr", 1, NULL, 'a'},    {"cc", 1, NULL, 'c'},
                                            {"flows", 1, NULL, 'f'}, {"seconds", 1, NULL, 't'}, {"size", 1, NULL, 'z'},
                                            {"warm", 1, NULL, 'w'},  {"pair", 1, NULL, 'P'},  {"memif", 1, NULL, 'm'},   {"server", 0, NULL, 'M'},
                                            {0}};
    struct flow_config c = {.tcp_port = 7070, .flows = 1, .seconds = 3, .size = 64, .is_linux = true};
    const char *pair = NULL;
    struct sigaction sa = {.sa_handler = on_signal};

    if (argc < 2)
        flow_die("see the top of flow_main.c");
    c.mode = mode_of(argv[1]);
    for (int o; (o = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1;) {
        switch (o) {
        case 's': set_stack(&c, optarg); break;
        case 'p': c.tcp_port = (uint16_t)atoi(optarg); break;
        case 'i': c.ip = optarg; break;
        case 'I': c.net.iface = optarg; break;
        case 'a': c.net.addr = optarg; break;
        case 'c': c.cc = optarg; break;
        case 'f': c.flows = (unsigned)atoi(optarg); break;
        case 't': c.seconds = atof(optarg); break;
        case 'w': c.warm_seconds = atof(optarg); break;
        case 'z': c.size = (uint32_t)atoi(optarg); break;
        case 'P': pair = optarg; break;
        case 'm': c.net.memif = optarg; break;
        case 'M': c.net.is_memif_server = true; break;
        default: return 2;
        }
    }
    if (c.flows < 1 || c.flows > FLOW_CONNS_MAX || c.size < 1 || c.size > FLOW_CHUNK)
        flow_die("--flows or --size");
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (pair)
        return flow_pair(&c, pair);
    if (c.net.driver == NET_TAP)
        flow_start_eal(1);
    if (c.mode == FLOW_SERVE)
        return c.is_linux ? flow_linux_serve(&c) : flow_ours_serve(&c);
    if (!c.ip)
        flow_die("--ip: whom to call?");
    return c.is_linux ? flow_linux_client(&c) : flow_ours_client(&c);
}
