/* packet_queue.c: readv behind PACKET_COPY_THRESH (packet_queue.h) */
#include "drivers/packet_queue.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BURST_BYTES ((uint64_t)PKTIO_BURST << 17) /* of a burst that may not be kept: always to be had beside what is */
#define IDLE_BYTES  (8u << 20)                    /* of buffers kept for the next frames */
#define TRIES       4
#define LATE_TRIES  1000 /* of what is acknowledged */

static uint32_t room_of(int fd)
{
    int bytes = 0;
    socklen_t len = sizeof(bytes);

    return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) == 0 && bytes > 0 ? (uint32_t)bytes : 0;
}

bool packet_queue_open(struct packet_queue *q, int fd, uint32_t wanted_bytes, uint32_t least_bytes)
{
    int half = (int)(wanted_bytes / 2), one = 1; /* the kernel doubles it */

    *q = (struct packet_queue){.fd = -1};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half));
    q->bytes = room_of(fd);
    if (q->bytes < least_bytes || setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &one, sizeof(one)) < 0)
        return false;
    q->fd = fd;
    bufpool_init(&q->pool, PACKET_QUEUE_KEEP_BYTES + BURST_BYTES, IDLE_BYTES);
    return true;
}

void packet_queue_close(struct packet_queue *q)
{
    packet_queue_give_back(q);
    if (q->fd >= 0)
        bufpool_fini(&q->pool);
    q->fd = -1;
}

/* An error of the device, as when it went down, stands in front of the queue once, and says nothing of the frame behind it. Any
 * other error is the frame's, which is gone then. */
static bool is_of_device(int error)
{
    return error == ENETDOWN || error == EINTR;
}

/* Bytes read, -1: nothing. What could not be reached for errors is owed, for the next slot's frame comes behind it. */
static ssize_t read_frame(struct packet_queue *q, struct virtio_net_hdr *vnet, struct buf *b, unsigned tries)
{
    struct iovec iov[2] = {{vnet, sizeof(*vnet)}, {b ? b->data : NULL, b ? b->cap : 0}};
    ssize_t n = -1;

    for (unsigned i = 0; i < tries && n < 0; i++) {
        n = readv(q->fd, iov, 2);
        if (n < 0 && !is_of_device(errno))
            return -1;
    }
    q->owed += n < 0;
    return n < (ssize_t)sizeof(*vnet) ? -1 : n - (ssize_t)sizeof(*vnet);
}

/* The frame behind those of slots that are gone. */
static ssize_t next_frame(struct packet_queue *q, struct virtio_net_hdr *vnet, struct buf *b)
{
    for (uint32_t owed = q->owed; owed > 0; owed--) {
        q->owed--;
        read_frame(q, vnet, NULL, TRIES);
    }
    if (!q->owed)
        return read_frame(q, vnet, b, TRIES);
    q->owed++;
    return -1;
}

bool packet_queue_take_late(struct packet_queue *q, uint32_t len, struct slice here, struct pktio_frame *f)
{
    struct buf *b;

    if (q->owed || q->nlent == PKTIO_BURST || q->pool.used_bytes >= PACKET_QUEUE_KEEP_BYTES || !(b = bufpool_get(&q->pool, len)))
        return false;
    memcpy(b->data, here.p, here.len);
    b->len = len;
    q->lent[q->nlent++] = b;
    q->lent_bytes += len;
    *f = (struct pktio_frame){.data = b->data, .len = len, .is_csum_ok = true, .buf = b, .is_late = true};
    return true;
}

void packet_queue_fill(struct packet_queue *q, struct pktio_counters *n)
{
    struct virtio_net_hdr vnet;

    for (; q->nread < q->nlent; q->nread++) {
        struct buf *b = q->lent[q->nread];
        if (q->owed) /* what is read next is of a frame before this one */
            q->owed++;
        else if (read_frame(q, &vnet, b, LATE_TRIES) == (ssize_t)b->len)
            continue;
        memset(b->data, 0, b->len);
        n->rx_zeroed++;
    }
}

bool packet_queue_take(struct packet_queue *q, uint32_t len, struct pktio_frame *f, struct pktio_counters *n)
{
    bool may_keep = q->pool.used_bytes < PACKET_QUEUE_KEEP_BYTES;
    struct buf *b = q->nlent < PKTIO_BURST ? bufpool_get(&q->pool, len) : NULL;
    struct virtio_net_hdr vnet;
    ssize_t got = next_frame(q, &vnet, b);

    if (!b || got != (ssize_t)len) {
        n->no_memory += !b;
        n->rx_dropped += b && got < 0;
        n->rx_truncated += b && got >= 0;
        buf_unref(b);
        return false;
    }
    b->len = len;
    q->lent[q->nlent++] = b;
    q->nread = q->nlent;
    q->lent_bytes += len;
    n->rx_unkept += !may_keep;
    *f = (struct pktio_frame){.data = b->data, .len = len,
                              .is_csum_ok = vnet.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID),
                              .buf = may_keep ? b : NULL};
    return true;
}

void packet_queue_refuse(struct packet_queue *q)
{
    struct buf *b = q->lent[--q->nlent];

    q->nread = q->nlent;
    q->lent_bytes -= b->len;
    buf_unref(b);
}

void packet_queue_give_back(struct packet_queue *q)
{
    while (q->nlent > 0)
        buf_unref(q->lent[--q->nlent]);
    q->nread = 0;
    q->lent_bytes = 0;
}
