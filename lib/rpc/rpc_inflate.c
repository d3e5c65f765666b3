#include "rpc/rpc_inflate.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "rpc/rpc_err.h"
#include "rpc/rpc_slice.h"

#define FIRST_BYTES  4096
#define WINDOW_BITS  15
#define AS_GZIP      16

/* What has come out so far; grows by doubling, so that all copying together costs no more than the result. */
struct output {
    uint8_t *p;
    size_t len, cap, max;
};

static int make_room(struct output *o)
{
    size_t cap = o->cap ? o->cap * 2 : FIRST_BYTES;
    uint8_t *p;

    if (o->cap > o->max)
        return -RPC_ETOOBIG;
    if (cap > o->max + 1)
        cap = o->max + 1; /* the one byte more tells "too big" from "just fits" */
    p = realloc(o->p, cap);
    if (!p)
        return -RPC_ENOMEM;
    o->p = p;
    o->cap = cap;
    return 0;
}

/* All that z has to read, into o. Z_STREAM_END when the stream is complete, Z_OK when it wants more, or -RPC_E... */
static int drain(z_stream *z, struct output *o)
{
    int got, err;

    do {
        if (o->len == o->cap && (err = make_room(o)) < 0)
            return err;
        z->next_out = o->p + o->len;
        z->avail_out = (uInt)(o->cap - o->len);
        got = inflate(z, Z_NO_FLUSH);
        o->len = o->cap - z->avail_out;
        if (o->len > o->max)
            return -RPC_ETOOBIG;
    } while (got == Z_OK && (z->avail_in || !z->avail_out));
    if (got == Z_BUF_ERROR)
        return Z_OK; /* nothing left to read: the next slice goes on */
    return got == Z_OK || got == Z_STREAM_END ? got : -RPC_EARG;
}

static int inflate_all(z_stream *z, struct output *o, const grpc_slice_buffer *in)
{
    int got = Z_OK;

    for (size_t i = 0; i < in->count && got == Z_OK; i++) {
        struct slice s = rpc_slice_view(&in->slices[i]);

        z->next_in = (Bytef *)(uintptr_t)s.p;
        z->avail_in = (uInt)s.len;
        got = drain(z, o);
    }
    if (got < 0)
        return got;
    return got == Z_STREAM_END ? 0 : -RPC_EARG;
}

int rpc_inflate(struct rpc_msg **out, grpc_byte_buffer *bb, size_t max_bytes)
{
    bool is_gzip = bb->data.raw.compression == GRPC_COMPRESS_GZIP;
    struct output o = {.max = max_bytes};
    z_stream z = {0};
    int err;

    *out = NULL;
    if (inflateInit2(&z, WINDOW_BITS + (is_gzip ? AS_GZIP : 0)) != Z_OK)
        return -RPC_ENOMEM;
    err = inflate_all(&z, &o, &bb->data.raw.slice_buffer);
    inflateEnd(&z);
    if (!err) {
        *out = rpc_msg_wrap(slice_of(o.p, o.len), free, o.p);
        if (*out)
            return 0;
        err = -RPC_ENOMEM;
    }
    free(o.p);
    return err;
}
