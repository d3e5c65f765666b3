/* flow.h: TCP alone, measured: one program at either end, over Linux's sockets or over our stack on any driver
 * Shape:   a server answers each connection by its first byte: 'G' sends as much as it can until the client goes; 'S' swallows all up
 *          to the end and then tells how much came in how long; 'E' echoes. Clients ask for one of these and measure
 * Owner:   a thread for each end
 * Units:   ns, bytes
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../clock.h"
#include "net/net.h"

#define FLOW_CONNS_MAX 256
#define FLOW_CHUNK     (256u << 10) /* what a sender gives at once: one hot buffer, so the stacks are measured and not the memory */
#define FLOW_PINGS_MAX 400000
#define FLOW_DIAL_NS   15000000000ull

enum flow_mode { FLOW_SERVE, FLOW_RECV, FLOW_SEND, FLOW_PING, FLOW_CONNECT };

struct flow_config {
    enum flow_mode mode;
    bool is_linux;
    struct net_config net; /* of our stack: driver, iface, addr, listen_port, ... */
    struct pktio *port;    /* our stack: a port that is open already; NULL: as net says */
    const char *ip;        /* server: where to listen; client: whom to call */
    uint16_t tcp_port;
    unsigned flows;
    double seconds, warm_seconds; /* recv: the time that counts, and before it, when all flows are open, what does not */
    uint32_t size; /* of a ping */
    const char *cc;
};

/* What the server says at the end of an 'S'. */
struct flow_swallowed {
    uint64_t bytes, ns; /* from the first to the last */
};

_Noreturn void flow_die(const char *what);
extern volatile bool flow_stop;

/* Reports: one line of JSON each. */
void flow_report_rate(const uint64_t *bytes, const uint64_t *ns, unsigned flows);
void flow_report_ping(uint32_t *ns, unsigned n);
void flow_report_connects(uint64_t n, uint64_t ns, uint64_t failed);

/* Run until the client is done or the server is told to stop. 0, or 1. */
int flow_linux_serve(const struct flow_config *c);
int flow_linux_client(const struct flow_config *c);
int flow_ours_serve(const struct flow_config *c);
int flow_ours_client(const struct flow_config *c);
/* DPDK without hugepages or NICs, on so many of the CPUs that this process may use. */
void flow_start_eal(unsigned lcores);
/* Both ends of our stack in this process, on two threads, over a DPDK port pair in memory. */
int flow_pair(const struct flow_config *c, const char *kind);

#endif
