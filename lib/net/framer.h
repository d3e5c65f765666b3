/* framer.h: RPC frames of a stream: uvarint length, body
 * Shape:   stream bytes as they come, any split -> whole bodies, each placed once
 * Source:  libp2p pubsub: every RPC is length-delimited by an unsigned varint
 * Owner:   the connection's lcore
 * Memory:  a body goes straight into a buffer from the allocator. Of one that is not all at hand at once, what comes next begins
 *          FRAMER_LEAD bytes behind a 64-byte line: so much of yamux is in front of it in its Noise frame, so the cipher, whose blocks of
 *          64 count from the frame's beginning, writes whole lines (memory not in cache takes those a quarter faster). Others END at a
 *          line: a short shard's payload is the RPC's last field, and a coding row where it lies. A whole frame passes to the caller
 * Errors:  -FRAMER_E...; after one only reset or fini
 * Limits:  one buffer of at most max_bytes, taken when the length is known; the owner bounds how many framers may hold
 *          one and for how long (framer_held_bytes)
 */
#ifndef NET_FRAMER_H
#define NET_FRAMER_H

#include "base/buf.h"

#define FRAMER_ALIGN 64
#define FRAMER_LEAD  12

enum framer_err {
    FRAMER_EOVERSIZE = 1, /* the length is over max_bytes */
    FRAMER_EVARINT,       /* the length is not a varint */
    FRAMER_EMEM,          /* the allocator refused */
};
const char *framer_err_name(int err);

struct framer {
    struct buf *(*alloc)(void *ctx, uint32_t cap); /* data aligned to 64 */
    void *ctx;
    uint32_t max_bytes;
    uint8_t head[10];
    uint8_t head_len; /* length bytes read so far */
    uint32_t want;    /* the body's length while buf is there */
    struct buf *buf;  /* the body under construction */
};

/* alloc NULL: heap. */
void framer_init(struct framer *f, uint32_t max_bytes, struct buf *(*alloc)(void *ctx, uint32_t cap), void *ctx);
/* Drops what is half read: the next byte begins a frame. */
void framer_reset(struct framer *f);
void framer_fini(struct framer *f);

/* Takes bytes from the front of *in until a body is whole or the input is used up. 1: *frame is the body and its
 * reference the caller's; call again with what is left. 0: *in is used up. Empty bodies are skipped. */
int framer_input(struct framer *f, struct slice *in, struct buf **frame);

/* Where the next bytes of the unfinished body go, and how many; 0: between frames. A caller may put them there itself, and then gives
 * them to framer_input from there. */
static inline uint32_t framer_place(const struct framer *f, uint8_t **p)
{
    *p = f->buf ? f->buf->data + f->buf->len : NULL;
    return f->buf ? f->want - f->buf->len : 0;
}

/* Bytes of memory held for an unfinished body; 0: between frames. */
static inline uint32_t framer_held_bytes(const struct framer *f)
{
    return f->buf ? f->want : 0;
}

#endif
