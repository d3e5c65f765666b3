/* path_seeds: the paths of figure 2 in the simulator, a line a seed and their median: what is chance and what is not
 *     path_seeds CASE cubic|bbr [FIRST [LAST [SECONDS [STALL_MS]]]]
 * CASE: 0 to 4, in figure 2's order. The clock begins when every flow is open. A line: MB/s of all flows in all and in each quarter of the time, the slowest
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
};

#define GBIT_20_MS .bytes_per_s = 1000 * MBIT, .queue_bytes = 2500000, .delay_ns = 10 * MS, .gso = 65535

static const struct named_path cases[] = {
    {"20 ms, 0 %", {GBIT_20_MS}, 1, 2},
    {"20 ms, 1 %", {GBIT_20_MS, .loss_ppm = 10000}, 1, 2},
    {"20 ms, 5 %", {GBIT_20_MS, .loss_ppm = 50000}, 1, 2},
    {"20 ms, 1 %, 8 flows", {GBIT_20_MS, .loss_ppm = 10000}, 8, 2},
    {"100 ms, 0.1 %", {.bytes_per_s = 1000 * MBIT, .queue_bytes = 2500000, .delay_ns = 50 * MS, .gso = 65535, .loss_ppm = 1000}, 1, 4},
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
        sum += rates[n++] = one_seed(&cases[which], cc, seed, (uint64_t)(seconds * 1e9), stall_ns);
    qsort(rates, n, sizeof(rates[0]), compare);
    printf("%s, %s, %u seeds: least %.2f, tenth %.2f, quarter %.2f, median %.2f, three quarters %.2f, most %.2f, mean %.3f MB/s\n", cases[which].name, argv[2], n,
           rates[0], rates[n / 10], rates[n / 4], rates[n / 2], rates[n * 3 / 4], rates[n - 1], sum / n);
    return 0;
}
