/* path_seeds: the paths of figure 2 in the simulator, a line a seed and their median: what is chance and what is not
 *     path_seeds CASE cubic|bbr [FIRST [LAST [SECONDS [STALL_MS]]]]
 * CASE: 0 to 4, in figure 2's order. From 5 on: links without a rate, whose packets come in bursts, and messages one after another as in figure 6
 * with loss; their line: 100 messages' times at p50 and p95, packets found lost again, timeouts, bytes sent again and bytes that came twice.
 * The clock begins when every flow is open. A line: MB/s of all flows in all and in each quarter of the time, the slowest
 * flow's, timeouts, bytes sent again in percent, and how long the handshakes took. STALL_MS: the sender's loop sleeps up to so long after each turn
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

#define QUARTERS  4
#define SEEDS_MAX 10000

struct named_path {
    const char *name;
    struct path path;
    unsigned flows;
    double seconds;
    uint32_t message_bytes; /* 0: a stream */
};

#define GBIT_20_MS .bytes_per_s = 1000 * MBIT, .queue_bytes = 2500000, .delay_ns = 10 * MS, .gso = 65535

#define BURSTS     .delay_ns = MS / 10, .gso = 65535
#define MESSAGES   100
#define PAUSE_NS   (20 * MS)

static const struct named_path cases[] = {
    {"20 ms, 0 %", {GBIT_20_MS}, 1, 2, 0},
    {"20 ms, 1 %", {GBIT_20_MS, .loss_ppm = 10000}, 1, 2, 0},
    {"20 ms, 5 %", {GBIT_20_MS, .loss_ppm = 50000}, 1, 2, 0},
    {"20 ms, 1 %, 8 flows", {GBIT_20_MS, .loss_ppm = 10000}, 8, 2, 0},
    {"100 ms, 0.1 %", {.bytes_per_s = 1000 * MBIT, .queue_bytes = 2500000, .delay_ns = 50 * MS, .gso = 65535, .loss_ppm = 1000}, 1, 4, 0},
    {"0.2 ms, 5 %, 256 KB", {BURSTS, .loss_ppm = 50000}, 1, 0, 256 << 10},
    {"0.2 ms, 10 %, 256 KB", {BURSTS, .loss_ppm = 100000}, 1, 0, 256 << 10},
    {"0.2 ms, 20 %, 256 KB", {BURSTS, .loss_ppm = 200000}, 1, 0, 256 << 10},
    {"0.2 ms, 20 %, 16 KB", {BURSTS, .loss_ppm = 200000}, 1, 0, 16 << 10},
    {"20 ms, 1 %, bursts", {.delay_ns = 10 * MS, .gso = 65535, .loss_ppm = 10000}, 1, 2, 0},
    {"20 ms, 10 %, bursts", {.delay_ns = 10 * MS, .gso = 65535, .loss_ppm = 100000}, 1, 2, 0},
};

static bool are_open(const struct flows *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!f->opened_ns[i])
            return false;
    return true;
}

static double one_seed(const struct named_path *c, enum tcp_cc cc, uint64_t seed, uint64_t ns, uint64_t stall_ns)
{
    uint64_t sum[PATH_FLOWS_MAX] = {0}, all = 0, least = UINT64_MAX;
    struct flows f;
    struct path p = c->path;

    p.stall_ns = stall_ns;
    path_open(&f, &p, cc, seed);
    for (unsigned i = 0; i < c->flows; i++)
        path_add(&f, NULL);
    uint64_t began = f.sim.now;
    while (!are_open(&f))
        sim_step(&f.sim);
    double open_ms = (double)(f.sim.now - began) / 1e6;
    printf("%5lu ", (unsigned long)seed);
    for (unsigned q = 0; q < QUARTERS; q++) {
        uint64_t quarter = 0;
        path_run(&f, ns / QUARTERS);
        for (unsigned i = 0; i < f.count; i++) {
            sum[i] += path_got(&f, i);
            quarter += path_got(&f, i);
        }
        printf(" %7.2f", (double)quarter * QUARTERS * 1e3 / (double)ns);
        all += quarter;
    }
    for (unsigned i = 0; i < f.count; i++)
        least = sum[i] < least ? sum[i] : least;
    const struct tcp_counters *n = path_sender(&f);
    double rate = (double)all * 1e3 / (double)ns;
    printf("  all %7.2f least %7.2f rto %lu again %.2f %% open %.0f ms\n", rate, (double)least * 1e3 / (double)ns, (unsigned long)n->rto_fired,
           100.0 * (double)n->tx_rtx_bytes / (double)(n->tx_data_bytes ? n->tx_data_bytes : 1), open_ms);
    fflush(stdout);
    path_close(&f);
    return rate;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Milliseconds at p50, of the messages of one connection. */
static double one_seed_of_messages(const struct named_path *c, enum tcp_cc cc, uint64_t seed, uint64_t stall_ns)
{
    struct path p = c->path;
    struct flows f;
    double ms[MESSAGES];

    p.stall_ns = stall_ns;
    path_open(&f, &p, cc, seed);
    f.most_bytes = 0;
    path_add(&f, NULL);
    while (!are_open(&f))
        sim_step(&f.sim);
    for (unsigned i = 0; i < MESSAGES; i++) {
        uint64_t began = f.sim.now;
        f.most_bytes += c->message_bytes;
        path_fill(&f, f.out[0]);
        while (f.received[0] < f.most_bytes)
            sim_step(&f.sim);
        ms[i] = (double)(f.sim.now - began) / 1e6;
        sim_run(&f.sim, f.sim.now + PAUSE_NS);
    }
    qsort(ms, MESSAGES, sizeof(ms[0]), compare);
    const struct tcp_counters *n = path_sender(&f);
    printf("%5lu  p50 %7.2f p95 %7.2f ms  lost again %lu rto %lu again %.2f %% twice %.2f %%\n", (unsigned long)seed, ms[MESSAGES / 2], ms[MESSAGES * 95 / 100],
           (unsigned long)n->rtx_lost_again, (unsigned long)n->rto_fired, 100.0 * (double)n->tx_rtx_bytes / (double)n->tx_data_bytes,
           100.0 * (double)tcp_stack_counters(f.sim.stack[1])->drop_duplicate / (double)f.most_bytes);
    fflush(stdout);
    path_close(&f);
    return ms[MESSAGES / 2];
}

int main(int argc, char **argv)
{
    static double rates[SEEDS_MAX];
    unsigned which = argc > 2 ? (unsigned)atoi(argv[1]) : 9, n = 0;
    uint64_t first = argc > 3 ? (uint64_t)atoll(argv[3]) : 1, last = argc > 4 ? (uint64_t)atoll(argv[4]) : 20;

    if (which >= sizeof(cases) / sizeof(cases[0]) || last < first || last - first >= SEEDS_MAX) {
        fprintf(stderr, "path_seeds CASE cubic|bbr [FIRST [LAST [SECONDS]]], see the top of path_seeds.c\n");
        return 2;
    }
    enum tcp_cc cc = strcmp(argv[2], "bbr") == 0 ? TCP_CC_BBR : TCP_CC_CUBIC;
    uint64_t stall_ns = argc > 6 ? (uint64_t)(atof(argv[6]) * 1e6) : 0;
    double seconds = argc > 5 ? atof(argv[5]) : cases[which].seconds, sum = 0;
    for (uint64_t seed = first; seed <= last; seed++)
        sum += rates[n++] = cases[which].message_bytes ? one_seed_of_messages(&cases[which], cc, seed, stall_ns)
                                                       : one_seed(&cases[which], cc, seed, (uint64_t)(seconds * 1e9), stall_ns);
    qsort(rates, n, sizeof(rates[0]), compare);
    printf("%s, %s, %u seeds: least %.2f, tenth %.2f, quarter %.2f, median %.2f, three quarters %.2f, most %.2f, mean %.3f %s\n", cases[which].name, argv[2], n,
           rates[0], rates[n / 10], rates[n / 4], rates[n / 2], rates[n * 3 / 4], rates[n - 1], sum / n, cases[which].message_bytes ? "ms" : "MB/s");
    return 0;
}
