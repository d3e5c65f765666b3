#include "libp2p/ping.h"

bool ping_echo_input(struct ping_echo *e, struct slice *in)
{
    size_t n = PING_BLOCK_BYTES - e->have;

    if (n > in->len)
        n = in->len;
    if (n)
        memcpy(e->block + e->have, in->p, n);
    e->have = (uint8_t)(e->have + n);
    *in = slice_of(in->p + n, in->len - n);
    if (e->have < PING_BLOCK_BYTES)
        return false;
    e->have = 0;
    return true;
}

void ping_probe_init(struct ping_probe *p, struct rng *rng, uint64_t now)
{
    p->sent_ns = now;
    p->have = 0;
    rng_fill(rng, p->block, sizeof(p->block));
}

int ping_probe_input(struct ping_probe *p, struct slice in, uint64_t *rtt_ns, uint64_t now)
{
    if (in.len > (size_t)(PING_BLOCK_BYTES - p->have))
        return -1;
    if (in.len && memcmp(p->block + p->have, in.p, in.len) != 0)
        return -1;
    p->have = (uint8_t)(p->have + in.len);
    if (p->have < PING_BLOCK_BYTES || in.len == 0)
        return 0;
    *rtt_ns = now > p->sent_ns ? now - p->sent_ns : 1;
    return 1;
}
