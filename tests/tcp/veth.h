/* veth.h: a veth pair between this process and a namespace with the kernel's TCP
 * Shape:   this process moves into a namespace of its own, where the stack under test owns veth end "va" by AF_PACKET;
 *          a helper process holds the namespace of "vb", addresses 10.77.0.2 and fd77::2, MTU 1500. Both go when we exit
 */
#ifndef TESTS_TCP_VETH_H
#define TESTS_TCP_VETH_H

#include <sys/types.h>

#include "base/rng.h"
#include "tcp/tcp.h"

struct veth {
    pid_t holder;
    int kernel_ns; /* descriptor */
    int fd;        /* AF_PACKET on va, with vnet headers */
    uint8_t mac[6];
};

struct veth_wire {
    struct veth *veth;
    struct tcp_stack *stack;
    struct rng rng;
    uint32_t loss_ppm, reorder_ppm; /* both ways, above the socket */
    uint8_t *held;                  /* a frame kept back, to arrive late */
    uint32_t held_len;
    uint64_t frames_in, frames_out;
};

/* 0; -1: no rights or no `ip` program: skip. */
int veth_init(struct veth *v);
void veth_fini(struct veth *v);
/* The kernel's side stops leaving checksums and segmentation to us, or begins again. */
void veth_kernel_offloads(struct veth *v, int on);
/* Forks; the child runs fn(arg) in the kernel's namespace and exits with what it returns. */
pid_t veth_run_kernel(struct veth *v, int (*fn)(void *), void *arg);

uint64_t veth_now(void);
/* One turn: frames in (waiting at most wait_ms), deadlines, on_event for each event, frames out. */
void veth_turn(struct veth_wire *w, int wait_ms, void (*on_event)(const struct tcp_event *ev, void *arg),
               void *arg);

#endif
