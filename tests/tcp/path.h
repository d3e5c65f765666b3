/* path.h: flows over one bottleneck in the simulator: what long transfers do, whatever the machine's load
 * Shape:   path_open, path_add for each flow, path_run; then what each has got
 * Note:    side 0 sends, side 1 receives; everything follows from the seed
 */
#ifndef TESTS_TCP_PATH_H
#define TESTS_TCP_PATH_H

#include "sim.h"
#include "tcp/conn.h"

#define PATH_FLOWS_MAX 8
#define MBIT           125000ull

struct path {
    uint64_t bytes_per_s, queue_bytes, delay_ns; /* one way; the queue counts the bottleneck only */
    uint32_t loss_ppm, reorder_ppm;
    uint64_t reorder_ns;
    uint64_t mark_bytes, stall_ns;
    uint32_t gso;
};

struct flows {
    struct sim sim;
    struct buf *data;
    struct tcp_conn *out[PATH_FLOWS_MAX], *in[PATH_FLOWS_MAX];
    uint64_t received[PATH_FLOWS_MAX], at_mark[PATH_FLOWS_MAX];
    uint64_t opened_ns[PATH_FLOWS_MAX]; /* when the sender's handshake was over; 0: not yet */
    unsigned count;
    uint64_t most_bytes; /* what each flow may send */
    uint64_t queued[PATH_FLOWS_MAX];
};

void path_open(struct flows *f, const struct path *p, enum tcp_cc cc, uint64_t seed);
void path_close(struct flows *f);
/* One more flow, with congestion control of its own if ops says so. Its number. */
unsigned path_add(struct flows *f, const struct cc_ops *ops);
/* Queues what the connection may send. */
void path_fill(struct flows *f, struct tcp_conn *c);
void path_on_event(struct sim *sim, int side, const struct tcp_event *ev, void *arg);
/* Marks what has been received, and moves the clock. */
void path_run(struct flows *f, uint64_t ns);
/* Bytes since the last path_run began. */
uint64_t path_got(const struct flows *f, unsigned i);
const struct tcp_counters *path_sender(const struct flows *f);
/* Jain's index: 1 for equal shares, 1/n when one has all. */
double path_jain(const uint64_t *x, unsigned n);

#endif
