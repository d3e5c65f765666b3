#include "tcp/rcvtune.h"

void rcvtune_rtt(struct rcvtune *t, uint64_t rtt_ns)
{
    if (t->rtt_ns == 0 || rtt_ns < t->rtt_ns)
        t->rtt_ns = rtt_ns;
    else
        t->rtt_ns += (rtt_ns - t->rtt_ns) / 8;
}

uint32_t rcvtune_read(struct rcvtune *t, uint32_t n, uint64_t rtt_ns, uint32_t size, uint32_t max, uint64_t now)
{
    t->round_bytes += n;
    if (t->round_ns == 0)
        t->round_ns = now;
    if (now - t->round_ns < rtt_ns)
        return size;
    uint64_t got = t->round_bytes, grown = got > t->last_bytes ? got - t->last_bytes : 0;
    uint64_t want = 2 * (got + grown);
    t->last_bytes = got;
    t->round_bytes = 0;
    t->round_ns = now;
    if (want > max)
        want = max;
    return want > size ? (uint32_t)want : size;
}
