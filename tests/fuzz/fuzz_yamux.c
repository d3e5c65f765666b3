/* fuzz_yamux.c: the muxer under a script
 * Input: first byte: 1 client; then commands: a byte, an argument byte, and for "input" as many bytes as it says
 */
#include <assert.h>
#include <stdlib.h>

#include "libp2p/yamux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint64_t now;

static void input(struct yamux *y, struct slice in)
{
    struct yamux_event ev;
    int n;

    while ((n = yamux_next(y, &in, &ev, now)) == 1) {
        if (ev.type == YAMUX_BODY)
            assert(ev.data.len > 0);
        if (ev.type == YAMUX_RESET || (ev.type == YAMUX_EOF && yamux_stream_is_over(ev.stream)))
            yamux_stream_drop(y, ev.stream);
    }
    assert(n < 0 || in.len == 0);
}

static void output(struct yamux *y, size_t max)
{
    static struct yamux_gather g;
    struct yamux_stream *st;
    size_t n = 0;

    yamux_gather_begin(&g, max);
    yamux_gather(y, &g, now);
    for (uint32_t i = 0; i < g.npieces; i++) {
        volatile uint8_t last = g.pieces[i].len ? g.pieces[i].p[g.pieces[i].len - 1] : 0;
        (void)last;
        n += g.pieces[i].len;
    }
    assert(n == g.bytes && n <= max);
    yamux_gather_end(&g);
    while ((st = yamux_next_over(y)))
        yamux_stream_drop(y, st);
}

/* The arg'th stream in the order of their opening. */
static struct yamux_stream *pick(struct yamux *y, uint8_t arg)
{
    struct yamux_stream *st = yamux_walk(y, NULL);

    for (unsigned i = arg % 8u; st && i; i--)
        st = yamux_walk(y, st);
    return st;
}

static void send(struct yamux *y, struct yamux_stream *st, uint8_t arg)
{
    struct buf *b = buf_new(arg * 16u + 1);

    b->len = b->cap;
    memset(b->data, arg, b->len);
    if (yamux_stream_send(y, st, b, 0, b->len) < 0)
        buf_unref(b);
}

static void act(struct yamux *y, uint8_t op, uint8_t arg)
{
    struct yamux_stream *st = pick(y, op >> 4);

    switch (op % 16) {
    case 4: output(y, 1 + arg * 256u); break;
    case 5: yamux_stream_open(y, NULL, NULL, now); break;
    case 6: if (st) send(y, st, arg); break;
    case 7: if (st) yamux_stream_copy(y, st, slice_of("abcdefgh", arg % 9)); break;
    case 8: if (st) yamux_stream_close(y, st); break;
    case 9: if (st) yamux_stream_reset(y, st); break;
    case 10: yamux_ping(y, arg); break;
    case 11: yamux_goaway(y, YAMUX_CODE_NORMAL, arg % 2); break;
    default: now += arg * 1000u; break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct yamux_config cfg = {.is_client = len && (data[0] & 1), .streams_in = 8, .streams_out = 8,
                               .window_cap_bytes = YAMUX_WINDOW_CAP};
    struct yamux y;

    now = 1;
    yamux_init(&y, &cfg);
    for (size_t at = 1; at + 2 <= len;) {
        uint8_t op = data[at], arg = data[at + 1];
        at += 2;
        if (op % 16 < 4) {
            size_t n = arg < len - at ? arg : len - at;
            input(&y, slice_of(data + at, n));
            at += n;
        } else {
            act(&y, op, arg);
        }
    }
    output(&y, 65408);
    yamux_fini(&y);
    return 0;
}
