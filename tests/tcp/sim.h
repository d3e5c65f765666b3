/* sim.h: two stacks, a bad network between them, and a clock that jumps
 * Shape:   sim_step moves the clock to the next thing that happens and lets it happen
 * Note:    everything follows from the seed. Checksums of what is on the wire are completed and checked here, GSO
 *          segments are cut up here or passed whole, as a port would
 */
#ifndef TESTS_TCP_SIM_H
#define TESTS_TCP_SIM_H

#include <stdbool.h>

#include "base/rng.h"
#include "tcp/segment.h"
#include "tcp/tcp.h"

#define MS  1000000ull
#define SEC 1000000000ull
#define PPM 1000000u

struct sim_net {
    uint64_t delay_ns, jitter_ns; /* one way; jitter keeps order */
    uint64_t bytes_per_s;         /* 0: no limit */
    uint64_t mark_bytes;          /* with a limit: what waits beyond it is marked, if it may be; 0: never */
    uint64_t queue_bytes;         /* with a limit: what waits beyond it is dropped; 0: no bound */
    uint32_t loss_ppm, dup_ppm, reorder_ppm;
    uint64_t reorder_ns; /* at most this much later than in turn */
    uint32_t full_ppm;   /* the port now and then refuses a segment */
    uint64_t stall_ns;   /* side 0's machine is busy: after each turn its loop sleeps for up to this long, whatever comes */
    bool keep_gso;       /* super-frames arrive whole, as on a veth */
    bool lend;           /* frames are lent as buffers */
    bool lasts;          /* those that are not lent last until what came with them has been read or could have been */
};

struct sim_frame;

struct sim {
    struct tcp_stack *stack[2];
    struct tcp_config cfg[2];
    struct sim_net net;
    struct rng rng;
    uint64_t now;
    struct sim_frame **heap; /* in flight, by arrival */
    uint32_t count, cap;
    uint64_t order; /* ties: first sent first */
    struct sim_frame **inbox; /* came while side 0 slept */
    uint32_t inbox_count, inbox_cap;
    uint64_t asleep_until;
    uint64_t busy_until[2], last_arrival[2];
    uint64_t marked;
    struct sim_frame *lasting;
    uint64_t sent, lost, duplicated, reordered;
    bool *in_stack; /* set while a stack runs: tests of failing memory look at it. NULL: nobody does */
    /* Sees every packet leaving side; true: it is lost. */
    bool (*filter)(struct sim *sim, int side, struct slice frame, void *arg);
    void *filter_arg;
    /* Is told every event. NULL: they are thrown away. */
    void (*on_event)(struct sim *sim, int side, const struct tcp_event *ev, void *arg);
    void *event_arg;
};

void sim_config(struct tcp_config *c, int side);
/* Defaults, 10 ms one way; then the caller may change cfg and net before sim_start. */
void sim_init(struct sim *sim, uint64_t seed);
void sim_start(struct sim *sim);
void sim_fini(struct sim *sim);
struct ip_endpoint sim_endpoint(int side, uint16_t port);

/* Sends what the stacks have to send, tells events: until neither has anything more at this time. */
void sim_settle(struct sim *sim);
/* The time of the next arrival or deadline; UINT64_MAX: none. */
uint64_t sim_next(const struct sim *sim);
/* Moves to it and handles it. False: nothing will ever happen. */
bool sim_step(struct sim *sim);
/* Steps until `until`, then the clock is there. */
void sim_run(struct sim *sim, uint64_t until);
/* Puts a frame on the wire towards side's peer, as if side had sent it. */
void sim_inject(struct sim *sim, int side, struct slice frame);

static inline void sim_in_stack(struct sim *sim, bool is_in)
{
    if (sim->in_stack)
        *sim->in_stack = is_in;
}

/* TCP fields of a frame for filters: false if it is not TCP. */
bool sim_parse(struct slice frame, struct tcp_in *in);

#endif
