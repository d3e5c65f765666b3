/* framer.c: length-delimited frames (framer.h) */
#include "net/framer.h"

#include "base/uvarint.h"
#include "libp2p/yamux_wire.h"

_Static_assert(FRAMER_LEAD == YAMUX_HEAD_BYTES, "what stands in front of a body in a Noise frame");

const char *framer_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case FRAMER_EOVERSIZE: return "frame over the size limit";
    case FRAMER_EVARINT: return "frame length is not a varint";
    case FRAMER_EMEM: return "no memory for a frame";
    }
    return "unknown";
}

static struct buf *heap_alloc(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

void framer_init(struct framer *f, uint32_t max_bytes, struct buf *(*alloc)(void *ctx, uint32_t cap),
                 void *ctx)
{
    memset(f, 0, sizeof(*f));
    f->alloc = alloc ? alloc : heap_alloc;
    f->ctx = ctx;
    f->max_bytes = max_bytes;
}

void framer_reset(struct framer *f)
{
    buf_unref(f->buf);
    f->buf = NULL;
    f->head_len = 0;
}

void framer_fini(struct framer *f)
{
    framer_reset(f);
}

/* The body's buffer, placed by what comes behind the `here` bytes that are at hand (framer.h). */
static int begin_body(struct framer *f, uint64_t len, size_t here)
{
    uint64_t at = here < len ? FRAMER_LEAD - (uint64_t)here : -len;
    uint32_t pad = (uint32_t)(at & (FRAMER_ALIGN - 1));

    if (len > f->max_bytes)
        return -FRAMER_EOVERSIZE;
    f->buf = f->alloc(f->ctx, (uint32_t)len + pad);
    if (!f->buf)
        return -FRAMER_EMEM;
    f->buf->data += pad;
    f->buf->cap -= pad;
    f->buf->len = 0;
    f->want = (uint32_t)len;
    return 0;
}

/* One byte of the length. The lenient rule of protobuf parsers: go and js accept lengths that are not minimal. */
static int take_head_byte(struct framer *f, struct slice *in)
{
    uint64_t len;
    int used;

    f->head[f->head_len++] = in->p[0];
    *in = slice_of(in->p + 1, in->len - 1);
    used = uvarint_get_pb(slice_of(f->head, f->head_len), &len);
    if (used == UVARINT_BAD)
        return -FRAMER_EVARINT;
    if (used == 0)
        return f->head_len < sizeof(f->head) ? 0 : -FRAMER_EVARINT;
    f->head_len = 0;
    return len == 0 ? 0 : begin_body(f, len, in->len);
}

int framer_input(struct framer *f, struct slice *in, struct buf **frame)
{
    while (in->len > 0) {
        size_t n;

        if (!f->buf) {
            int rc = take_head_byte(f, in);

            if (rc < 0)
                return rc;
            continue;
        }
        n = f->want - f->buf->len;
        if (n > in->len)
            n = in->len;
        if (in->p != f->buf->data + f->buf->len) /* else it is in its place already */
            memcpy(f->buf->data + f->buf->len, in->p, n);
        f->buf->len += (uint32_t)n;
        *in = slice_of(in->p + n, in->len - n);
        if (f->buf->len == f->want) {
            *frame = f->buf;
            f->buf = NULL;
            return 1;
        }
    }
    return 0;
}
