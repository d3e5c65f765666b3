/* memif_pvt.h: what the files of the memif port share (inside drivers only)
 * Files:   memif.c its life and its troubles, memif_in.c frames received, memif_out.c segments sent, memif_link.c the
 *          conversation, memif_ctl.c its rules, memif_ring.c slots, memif_bell.c bells, memif_shm.c memory, memif_sock.c and memif_listen.c sockets
 */
#ifndef DRIVERS_MEMIF_PVT_H
#define DRIVERS_MEMIF_PVT_H

#include "base/list.h"
#include "drivers/memif.h"
#include "drivers/memif_listen.h"

#define MEMIF_HEAD_BYTES 128 /* Ethernet, tag, IP and TCP with all options fit */
#define MEMIF_ETH_HEAD   14u
#define MEMIF_TAG        4u

struct memif {
    struct pktio io;
    struct memif_config cfg;
    char path[MEMIF_PATH_MAX];
    int epfd;
    int self_fd; /* an eventfd of our own in it: by it we wake ourselves */
    struct memif_ringer ringer;
    struct memif_listener *listener; /* a server's */
    struct memif_seat seat;
    struct memif_link link;
    bool is_up, was_up;      /* now; at least once */
    bool is_lost;            /* since the last refresh */
    bool is_armed;           /* the other end is to ring when it sends */
    bool is_looked;          /* at the descriptors, since it was armed */
    bool is_begun;           /* the last recv found a frame without its end */
    uint16_t begun_until;    /* the slots told by then */
    uint64_t next_call_ns;   /* not before: a call, or a caller let in */
    uint64_t next_look_ns;   /* while it is down */
    uint64_t moved_ns;       /* server: the other end took something, or had nothing to take */
    uint16_t moved_to;       /* slots that it had given us by then, counted without end */
    uint16_t moved_next;     /* and those that we had filled */
    bool is_full;            /* the last segment found no room */
    uint32_t frame_max;
    uint16_t taken;          /* slots whose bytes are lent */
    uint32_t spare_used;     /* bytes of `spare` that are lent */
    uint8_t *spare;          /* PKTIO_BURST whole frames */
    struct pktio_counters counters;
    _Alignas(64) uint8_t heads[PKTIO_BURST][MEMIF_HEAD_BYTES];
};

static inline struct memif *memif_of(struct pktio *io)
{
    return CONTAINER_OF(io, struct memif, io);
}

/* memif.c. The other end broke a rule: the link ends, and counts as reset. */
void memif_break(struct memif *m, int rc);
/* Before each recv: true when the link carries. */
bool memif_may_run(struct memif *m);

/* memif_in.c, memif_out.c: of struct pktio_ops. */
unsigned memif_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap);
void memif_recv_done(struct pktio *io);
unsigned memif_send(struct pktio *io, const struct pktio_seg *segs, unsigned count);

#endif
