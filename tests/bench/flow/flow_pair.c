/* flow_pair.c: both ends of our stack on two lcores of one process, joined by rings: net_ring (flow.h) */
#include "flow.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#include "drivers/ethdev.h"

#define RING_SLOTS 1024
#define MBUFS      4096 /* more than the shared cache holds would be three times slower */

static struct flow_config server;

static int serve(void *arg)
{
    (void)arg;
    return flow_ours_serve(&server);
}

void flow_start_eal(unsigned lcores)
{
    char prefix[64], cpus[64];
    const char *argv[] = {"tcp_flow", "-l", cpus, "--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=*:error", prefix};
    cpu_set_t set;
    size_t len = 0;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set))
        flow_die("sched_getaffinity");
    for (unsigned i = 0, n = 0; i < CPU_SETSIZE && n < lcores; i++)
        if (CPU_ISSET(i, &set)) {
            len += (size_t)snprintf(cpus + len, sizeof(cpus) - len, "%s%u", n ? "," : "", i);
            n++;
        }
    snprintf(prefix, sizeof(prefix), "--file-prefix=flow%d", (int)getpid());
    if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), (char **)(uintptr_t)argv) < 0)
        flow_die("EAL did not start");
}

static void make_rings(uint16_t port[2])
{
    struct rte_ring *ab = rte_ring_create("ab", RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    struct rte_ring *ba = rte_ring_create("ba", RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    int a = ab && ba ? rte_eth_from_rings("a", &ba, 1, &ab, 1, 0) : -1, b = ab && ba ? rte_eth_from_rings("b", &ab, 1, &ba, 1, 0) : -1;

    if (a < 0 || b < 0)
        flow_die("net_ring");
    port[0] = (uint16_t)a;
    port[1] = (uint16_t)b;
}

int flow_pair(const struct flow_config *c, const char *kind)
{
    struct flow_config client = *c;
    uint16_t port[2];
    char err[256] = "";
    unsigned worker;
    int rc;

    if (strcmp(kind, "ring") != 0)
        flow_die("--pair takes ring");
    flow_start_eal(2);
    make_rings(port);
    server = *c;
    for (unsigned i = 0; i < 2; i++) {
        struct ethdev_config e = {.port_id = port[i], .mbufs = MBUFS, .has_no_wait = true, .has_own_mac = true, .mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)}};
        struct pktio *io = ethdev_open(&e, err);
        if (!io)
            flow_die(err);
        (i ? &server : &client)->port = io;
    }
    server.net.addr = "10.9.0.2/24";
    client.net.addr = "10.9.0.1/24";
    client.ip = "10.9.0.2";
    worker = rte_get_next_lcore((unsigned)-1, 1, 0);
    if (worker >= RTE_MAX_LCORE)
        flow_die("two CPUs are needed");
    rte_eal_remote_launch(serve, NULL, worker);
    usleep(200000);
    rc = flow_ours_client(&client);
    flow_stop = true;
    rte_eal_wait_lcore(worker);
    return rc;
}
