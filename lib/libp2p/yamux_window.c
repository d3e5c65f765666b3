#include "libp2p/yamux_window.h"

#include "libp2p/yamux_wire.h"

#define GROW_ROUND_TRIPS 4

void yamux_window_init(struct yamux_window *w, uint64_t now)
{
    *w = (struct yamux_window){.left = YAMUX_WINDOW_INITIAL, .max = YAMUX_WINDOW_INITIAL, .granted_ns = now};
}

bool yamux_window_receive(struct yamux_window *w, uint32_t n)
{
    if (n > w->left)
        return false;
    w->left -= n;
    return true;
}

bool yamux_window_consume(struct yamux_window *w, uint32_t n)
{
    w->consumed += n;
    return w->consumed >= w->max / 2;
}

uint32_t yamux_window_grant(struct yamux_window *w, uint32_t cap, uint64_t rtt_ns, uint64_t now)
{
    uint32_t delta = w->consumed;
    bool is_fast = rtt_ns && now - w->granted_ns < GROW_ROUND_TRIPS * rtt_ns;

    if (delta >= w->max / 2 && is_fast && w->max < cap) {
        uint32_t grow = w->max < cap - w->max ? w->max : cap - w->max;
        w->max += grow;
        delta += grow;
    }
    if (delta)
        w->granted_ns = now;
    w->left += delta;
    w->consumed = 0;
    return delta;
}
