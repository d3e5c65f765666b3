/* pktio.h: one packet port queue: bursts of Ethernet frames in, bursts of segments out
 * Shape:   recv burst -> frames (borrowed, or kept by a reference); segments (inline headers + payload pieces) -> send burst
 * Backends: af_packet, af_xdp, ethdev (any DPDK port), memif (memory of two processes), mempair (tests); capture stands in front of any of them
 * Owner:   one net lcore; every call on that lcore
 * Memory:  see struct pktio_frame and pktio_send
 * Units:   bytes; frame lengths include the Ethernet header, never the FCS
 * Errors:  no error is fatal here: what the port cannot take is counted, and link state is a fact to ask for
 * Limits:  frames kept by reference are bounded by pktio_link.keep_max: past it frames come without a buf and must be
 *          copied to be kept, so a peer that makes us hold frames cannot stop the port
 */
#ifndef DRIVERS_PKTIO_H
#define DRIVERS_PKTIO_H

#include "base/buf.h"

#define PKTIO_HEAD_MAX   128 /* Ethernet + IP + TCP headers with every option fit */
#define PKTIO_PIECES_MAX 32
#define PKTIO_BURST      64
#define PKTIO_LATE_HERE  512

/* One received frame. `data` and `rest` are valid until pktio_recv_done. With buf != NULL it may be kept longer: take buf_ref(buf);
 * the bytes at `data` then live as long as the reference (buf->data and buf->len are the whole frame). */
struct pktio_frame {
    const uint8_t *data;
    uint32_t len;    /* may be up to 64 KiB: the port or the sender's kernel joined segments */
    bool is_csum_ok; /* the transport checksum was verified, or never left this machine */
    struct buf *buf;
    /* NULL, or what follows data[0 .. len): the payload of a TCP segment, whose headers are all in data. Another process may write
     * there at any time: each byte is to be read once at most. */
    const uint8_t *rest;
    uint32_t rest_len;
    /* Its first PKTIO_LATE_HERE bytes are there, the others only after pktio_fill. Such a frame has a buf and is_csum_ok; it comes
     * to a caller alone that asked for such (takes_late). */
    bool is_late;
};

/* Payload bytes of an outgoing segment. buf (may be NULL): who owns the bytes; a port that sends without copying takes
 * its own reference of it, a port that copies does not look at it. */
struct pktio_piece {
    const uint8_t *data;
    uint32_t len;
    struct buf *buf;
};

/* One outgoing segment. */
struct pktio_seg {
    uint8_t head[PKTIO_HEAD_MAX]; /* from the Ethernet header to the end of the transport header */
    uint16_t head_len;
    uint16_t npieces;
    uint16_t csum_start;  /* offset of the transport header when the port is to finish the checksum (the field holds the
                           * folded pseudo-header sum); 0: the checksum is complete */
    uint16_t csum_offset; /* offset of the field from csum_start: 16 for TCP */
    uint16_t gso_bytes;   /* payload bytes per packet when the port is to segment; 0: one packet */
    bool is_ip6;
    struct pktio_piece pieces[PKTIO_PIECES_MAX];
};

/* A connection as this end sees it. */
struct pktio_flow {
    uint8_t local[16], remote[16]; /* the first four bytes, or all with is_ip6 */
    uint16_t local_port, remote_port;
    bool is_ip6;
};

/* Facts of the port. Fixed after opening, but for is_up; after the port was lost and found (lost in the counters) they
 * may all have changed. */
struct pktio_link {
    uint8_t mac[6];
    bool is_up;
    bool has_tx_csum;       /* csum_start may be used */
    bool has_rx_csum;       /* is_csum_ok is meaningful; without it the stack verifies every checksum */
    bool has_tx_wait;       /* pktio_wait_fd tells of room to send; without it a full port is to be tried again */
    bool is_shared;         /* the kernel uses the same address: it answers ARP and ping */
    uint16_t mtu;           /* IP packet bytes */
    uint32_t gso_max_bytes; /* largest IP packet of a segment with gso_bytes; 0: the port does not segment */
    uint32_t keep_max;      /* frames that may be held by reference at one time */
    uint16_t queue, queues; /* which of the port's receive queues this is; queues 0 or 1: there is no other */
};

struct pktio_counters {
    uint64_t rx_frames, rx_bytes, tx_segs, tx_bytes;
    uint64_t rx_dropped;   /* lost in front of us: ring full, as the port tells it */
    uint64_t rx_truncated; /* frames longer than a slot */
    uint64_t rx_zeroed;    /* late frames that could not be read: zeros stand in their place, and the peer will not send them again */
    uint64_t tx_dropped;   /* refused for good by the port or the kernel */
    uint64_t tx_full;      /* sends cut short because the port was full */
    uint64_t rx_unkept;    /* frames handed up without a reference because keep_max was reached */
    uint64_t rx_foreign;   /* frames of another VLAN */
    uint64_t no_memory;    /* out of mbufs, either way */
    uint64_t lost, found;  /* times that the device was gone, and there again */
    uint64_t unopened;     /* attempts to open what is there again that failed: rights that are gone, another shape */
    uint64_t resets;       /* times that it had to be started anew */
    uint64_t captured, capture_dropped; /* capture.h: frames that it saw, and those of them that are not in its file */
};

struct pktio;
struct pktio_ops {
    unsigned (*recv)(struct pktio *io, struct pktio_frame *frames, unsigned cap);
    void (*recv_done)(struct pktio *io);
    unsigned (*send)(struct pktio *io, const struct pktio_seg *segs, unsigned count);
    int (*wait_fd)(struct pktio *io, bool wants_tx);
    void (*refresh)(struct pktio *io);
    void (*counters)(struct pktio *io, struct pktio_counters *out);
    void (*close)(struct pktio *io);
    unsigned (*flow_queue)(const struct pktio *io, const struct pktio_flow *flow); /* NULL: of one queue */
    void (*fill)(struct pktio *io); /* NULL: no frame is late */
};

/* The common head of every backend's port. */
struct pktio {
    const struct pktio_ops *ops;
    struct pktio_link link;
    char text[128];  /* e.g. "af_packet eth0 mtu 1500 gso 64k" */
    bool takes_late; /* the caller's wish: frames may come before their payload is read, so that it can answer first */
};

/* Takes up to cap frames. Every recv is followed by one recv_done before the next, also when it returned 0. */
static inline unsigned pktio_recv(struct pktio *io, struct pktio_frame *frames, unsigned cap)
{
    return io->ops->recv(io, frames, cap);
}

/* Reads what is missing of the last recv's late frames; with takes_late it follows every recv, before recv_done and before
 * anybody looks at the payload. */
static inline void pktio_fill(struct pktio *io)
{
    if (io->ops->fill)
        io->ops->fill(io);
}

/* The frames of the last recv are no longer looked at (but for those kept by reference). */
static inline void pktio_recv_done(struct pktio *io)
{
    io->ops->recv_done(io);
}

/* Sends in order; returns how many segments were taken. Those not taken stay the caller's: offer them again later. Pieces
 * are only looked at during the call. A port may hold what it took back until the next pktio_recv or pktio_wait_fd, to send
 * much at once. */
static inline unsigned pktio_send(struct pktio *io, const struct pktio_seg *segs, unsigned count)
{
    return io->ops->send(io, segs, count);
}

/* A descriptor that polls readable when frames wait (with wants_tx: also writable when the port can take more); -1 when
 * the port can only be polled by calling recv. */
static inline int pktio_wait_fd(struct pktio *io, bool wants_tx)
{
    return io->ops->wait_fd(io, wants_tx);
}

/* Looks at the link again (a system call): link.is_up may change. Call it about once a second. */
static inline void pktio_refresh(struct pktio *io)
{
    io->ops->refresh(io);
}

static inline void pktio_counters_get(struct pktio *io, struct pktio_counters *out)
{
    io->ops->counters(io, out);
}

/* The queue, below link.queues, that the packets of a flow come to: a local port for which this is link.queue makes a
 * connection ours to serve. */
static inline unsigned pktio_flow_queue(const struct pktio *io, const struct pktio_flow *flow)
{
    return io->ops->flow_queue ? io->ops->flow_queue(io, flow) : 0;
}

/* Frames still kept by reference must be given back first. */
static inline void pktio_close(struct pktio *io)
{
    if (io)
        io->ops->close(io);
}

#endif
