/* yamux_tools.h: yamux ends in memory, frames as bytes */
#ifndef TEST_YAMUX_TOOLS_H
#define TEST_YAMUX_TOOLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libp2p/yamux.h"

static inline void end_init(struct yamux *y, bool is_client)
{
    struct yamux_config cfg = {.is_client = is_client, .streams_in = 256, .streams_out = 256,
                               .window_cap_bytes = YAMUX_WINDOW_CAP, .secret = 0x9e3779b97f4a7c15};
    yamux_init(y, &cfg);
}

/* One gather as flat bytes; returns their count. */
static inline size_t end_output(struct yamux *y, uint8_t *out, size_t max, uint64_t now)
{
    static struct yamux_gather g;
    size_t n = 0;

    yamux_gather_begin(&g, max);
    yamux_gather(y, &g, now);
    assert_true(g.bytes <= max);
    for (uint32_t i = 0; i < g.npieces; i++) {
        memcpy(out + n, g.pieces[i].p, g.pieces[i].len);
        n += g.pieces[i].len;
    }
    assert_int_equal(n, g.bytes);
    yamux_gather_end(&g);
    return n;
}

/* A frame's header; a Data frame's body follows by the caller's hand. */
static inline size_t put_frame(uint8_t *out, int type, unsigned flags, uint32_t stream, uint32_t length)
{
    yamux_head_encode(out, (enum yamux_type)type, flags, stream, length);
    return YAMUX_HEAD_BYTES;
}

/* Gives one header; wants one event or none, or an error. */
static inline int give(struct yamux *y, int type, unsigned flags, uint32_t stream, uint32_t length, struct yamux_event *ev)
{
    uint8_t f[YAMUX_HEAD_BYTES];
    struct slice in = {f, put_frame(f, type, flags, stream, length)};

    memset(ev, 0, sizeof(*ev));
    return yamux_next(y, &in, ev, 1000);
}

#endif
