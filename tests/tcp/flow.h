/* flow.h: an application for the simulator: sends so many known bytes each way, checks what arrives, closes
 * Note:    bytes are a function of their place in the stream; a wrong, missing or doubled byte fails the test at once
 */
#ifndef TESTS_TCP_FLOW_H
#define TESTS_TCP_FLOW_H

#include "sim.h"

#define FLOW_PERIOD 1000003u

struct flow_end {
    struct tcp_conn *conn;
    uint64_t to_send, sent, received;
    bool close_when_sent, connected, peer_closed, closed;
    enum tcp_reason reason;
    uint32_t max_chunk;      /* sends come in pieces of 1..max_chunk bytes */
    uint32_t read_pause_ppm; /* READABLE now and then left for later */
    bool stop_reading;
    uint32_t writable_events, readable_events;
};

struct flow_app {
    struct sim *sim;
    struct flow_end end[2];
    struct buf *pattern;
    uint64_t progress_ns; /* when bytes last arrived or something opened or closed */
};

void flow_app_init(struct flow_app *a, struct sim *sim);
void flow_app_fini(struct flow_app *a);
/* Side 1 listens on port 7070, side 0 connects. */
void flow_app_open(struct flow_app *a);
/* Queues and reads what is possible now on both sides. */
void flow_app_pump(struct flow_app *a);
bool flow_app_is_done(const struct flow_app *a);
/* Runs to the end. Fails when nothing progresses for stall_ns, or after limit_ns. */
void flow_app_run(struct flow_app *a, uint64_t stall_ns, uint64_t limit_ns);

#endif
