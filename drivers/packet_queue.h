/* packet_queue.h: frames too long for a slot of a packet ring, read whole from the ring's socket
 * Shape:   a slot that says TP_STATUS_COPY -> one frame in a buffer of its own, which may be kept by reference
 * Source:  packet(7), PACKET_COPY_THRESH: the kernel puts such a frame's beginning into a slot and a reference to the packet
 *          into the socket's queue, in the same order and under one lock. It copies nothing but that beginning; the one copy
 *          of the frame is made when we read it
 * Owner:   an af_packet port
 * Memory:  a pool of heap buffers by size; PACKET_QUEUE_KEEP_BYTES of them may be held by reference, later frames come
 *          without a buf and are gone with packet_queue_give_back. All must be home before close
 * Rights:  the socket's queue must hold what comes while we sleep, so it has to be far above the usual bound
 *          (net.core.rmem_max): CAP_NET_ADMIN at the start, or that bound raised
 */
#ifndef DRIVERS_PACKET_QUEUE_H
#define DRIVERS_PACKET_QUEUE_H

#include "base/bufpool.h"
#include "drivers/pktio.h"

#define PACKET_QUEUE_KEEP_BYTES (64u << 20)

struct packet_queue {
    int fd;         /* borrowed; -1: not in use */
    uint32_t bytes; /* room of the queue, as the kernel counts it */
    struct bufpool pool;
    struct buf *lent[PKTIO_BURST];
    unsigned nlent, nread; /* those from nread on are still to be read */
    uint64_t lent_bytes; /* since the last give_back */
    uint32_t owed;       /* frames to be read and dropped first: their slots' turn is over */
};

/* Makes room on a socket that is not yet bound; false: less than least_bytes were allowed, and nothing is changed that
 * matters to a socket without such frames. */
bool packet_queue_open(struct packet_queue *q, int fd, uint32_t wanted_bytes, uint32_t least_bytes);
void packet_queue_close(struct packet_queue *q);
/* The frame of len bytes whose turn it is; at most PKTIO_BURST before the next give_back. False: there is none (a frame that
 * found no memory here is read and gone: *no_memory counts it). */
bool packet_queue_take(struct packet_queue *q, uint32_t len, struct pktio_frame *f, struct pktio_counters *n);
/* The same for a frame of which `here` is the beginning, without reading it yet: the kernel has it in its queue. False: nothing
 * is taken, as when no more may be kept. */
bool packet_queue_take_late(struct packet_queue *q, uint32_t len, struct slice here, struct pktio_frame *f);
/* Reads all that was taken late. What the kernel announced it has; should it not, zeros stand there and *rx_zeroed counts it
 * (the bytes are acknowledged by then: what is above TCP has to notice, and a cipher's tag does). */
void packet_queue_fill(struct packet_queue *q, struct pktio_counters *n);
/* The frame that was taken last is of no use. */
void packet_queue_refuse(struct packet_queue *q);
void packet_queue_give_back(struct packet_queue *q);

#endif
