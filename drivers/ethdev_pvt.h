/* ethdev_pvt.h: what the files of the DPDK port share (inside drivers only)
 * Files:   ethdev.c the device and its troubles, ethdev_start.c what is asked of it at the start, ethdev_queue.c frames in and out of one queue, ethdev_side.c frames that
 *          concern every queue, ethdev_vdev.c devices that we make or find
 * Owner:   struct ethdev: fixed while it runs; `state` and `letgo` are how the queues' lcores agree to stop. The first
 *          queue's lcore alone stops, resets and starts the device
 */
#ifndef DRIVERS_ETHDEV_PVT_H
#define DRIVERS_ETHDEV_PVT_H

#include <net/if.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/list.h"
#include "drivers/ethdev.h"
#include "drivers/rss.h"

#define ETHDEV_SEND_MAX 32 /* mbufs that wait for the end of a turn, to go down together */
#define ETHDEV_SIDE_MAX 64 /* frames of other queues that wait for us */
#define ETHDEV_ETH_HEAD 14u
#define ETHDEV_TAG      4u

enum ethdev_state { ETHDEV_RUNS, ETHDEV_RESETS, ETHDEV_GONE };
enum { ETHDEV_EVENT_RESET = 1, ETHDEV_EVENT_REMOVED = 2 };

struct ethdev;

struct ethdev_queue {
    struct pktio io;
    struct ethdev *dev;
    uint16_t index;
    int wait_fd;     /* -1: it can only be polled; -2: not asked for yet */
    unsigned outage; /* of the device, when we last let go of it */
    uint32_t kept;
    struct rte_mempool *pool;
    struct rte_ring *side; /* NULL: the only queue */
    struct rte_mbuf *lent[PKTIO_BURST];
    unsigned nlent;
    struct rte_mbuf *waiting[ETHDEV_SEND_MAX];
    uint16_t nwaiting;
    struct pktio_counters counters;
};

struct ethdev {
    struct ethdev_config cfg;
    char name[RTE_ETH_NAME_MAX_LEN], devargs[256], iface[IF_NAMESIZE];
    uint16_t port, nqueues, nopen;
    int socket;
    uint64_t rx_offloads, tx_offloads;
    bool is_started, has_vlan_offload;
    struct rss rss;
    int state;           /* enum ethdev_state */
    unsigned outage;     /* how often it was not ETHDEV_RUNS; before state */
    unsigned letgo;      /* queues that have let go of the device in this outage */
    unsigned events;     /* EVENT_*, from EAL's interrupt thread */
    unsigned seconds, next_try; /* of looking for it again */
    bool is_closed;      /* gone: its port is no more */
    struct rte_eth_stats before; /* of devices that are no more */
    struct ethdev_queue *queues[ETHDEV_QUEUES_MAX];
};

/* In the private area of each mbuf. */
struct ethdev_frame {
    struct buf buf;
    struct ethdev_queue *queue;
};

#define ETHDEV_PRIVATE_BYTES RTE_ALIGN(sizeof(struct ethdev_frame), RTE_MBUF_PRIV_ALIGN)

static inline struct ethdev_queue *ethdev_queue_of(const struct pktio *io)
{
    return CONTAINER_OF((struct pktio *)(uintptr_t)io, struct ethdev_queue, io);
}

/* ethdev.c. What befell the device, from any thread; the first queue's refresh acts on it. */
void ethdev_tell(struct ethdev *e, unsigned event);
/* Whether this queue may touch the device now; lets go of it when not. */
bool ethdev_may_run(struct ethdev_queue *q);

/* ethdev_start.c. NULL, or the step that failed with *rc its code. */
const char *ethdev_start(struct ethdev *e, int *rc);
void ethdev_stop(struct ethdev *e);

/* ethdev_queue.c: of struct pktio_ops. */
unsigned ethdev_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap);
void ethdev_recv_done(struct pktio *io);
unsigned ethdev_send(struct pktio *io, const struct pktio_seg *segs, unsigned count);
/* Offers what waits to the device. */
void ethdev_push(struct ethdev_queue *q);
/* Frees what waits to be sent. */
void ethdev_forget(struct ethdev_queue *q);

/* ethdev_side.c. */
int ethdev_side_open(struct ethdev_queue *q);
void ethdev_side_close(struct ethdev_queue *q);
/* A frame that came to q: copies of it for the other queues, if it concerns them. */
void ethdev_side_share(struct ethdev_queue *q, const struct rte_mbuf *m);
/* What other queues have for this one. */
unsigned ethdev_side_take(struct ethdev_queue *q, struct rte_mbuf **out, unsigned cap);

#endif
