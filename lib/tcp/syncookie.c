#include "tcp/syncookie.h"

#include "base/map.h"
#include "tcp/tcp_wire.h"

#define PERIOD_NS   64000000000ull
#define MSS_MASK    7u
#define PARITY_BIT  8u /* which secret */
#define OPT_MASK    63u
#define OPT_ECN     32u
#define OPT_SACK    16u
#define NO_SCALE    15u
#define FLOW_MASK   0xfffc0000u /* hashed without the peer's sequence number, the rest with it */
#define SYN_MASK    (~FLOW_MASK & ~(uint32_t)(MSS_MASK | PARITY_BIT))

static const uint16_t mss_table[MSS_MASK + 1] = {TCP_MSS_MIN, 536, 1160, 1220, 1360, 1440, 1460, 8940};

static void renew(struct syncookie *c, struct rng *rng, uint64_t now)
{
    uint64_t period = now / PERIOD_NS + 1;

    if (period == c->period)
        return;
    rng_fill(rng, c->secret[period & 1], sizeof(c->secret[0]));
    if (period != c->period + 1) /* the other one is too old as well */
        rng_fill(rng, c->secret[~period & 1], sizeof(c->secret[0]));
    c->period = period;
}

static uint32_t option_bits(const struct syncookie_facts *f)
{
    return (f->has_ecn ? OPT_ECN : 0) | (f->has_sack ? OPT_SACK : 0) | (f->has_wscale ? f->wscale : NO_SCALE);
}

/* low: the bits of the cookie that are no hash. 14 bits say that we gave one to this peer, 14 more that it was for this SYN. */
static uint32_t hash(const struct syncookie *c, const struct syncookie_facts *f, uint32_t low)
{
    const uint64_t *secret = c->secret[low & PARITY_BIT ? 1 : 0];
    uint8_t k[16 + 2 + 2 + 2 + 4];
    uint8_t *p = k + 16;

    memcpy(k, f->remote.ip.bytes, 16);
    put_be16(p, f->remote.port);
    put_be16(p + 2, f->local_port);
    p[4] = (uint8_t)low;
    p[5] = (uint8_t)(f->has_ts ? 0x80 | option_bits(f) : 0);
    put_be32(p + 6, f->irs);
    return ((uint32_t)siphash13(secret, slice_of(k, sizeof(k) - 4)) & FLOW_MASK) |
           ((uint32_t)siphash13(secret, slice_of(k, sizeof(k))) & SYN_MASK);
}

uint32_t syncookie_make(struct syncookie *c, struct syncookie_facts *f, struct rng *rng, uint64_t now)
{
    uint32_t i = MSS_MASK;

    renew(c, rng, now);
    c->last_ns = now;
    while (i && mss_table[i] > f->mss)
        i--;
    f->mss = mss_table[i];
    f->has_ecn &= f->has_ts;
    f->has_sack &= f->has_ts;
    f->has_wscale &= f->has_ts;
    uint32_t low = i | (c->period & 1 ? PARITY_BIT : 0);
    return hash(c, f, low) | low;
}

uint32_t syncookie_timestamp(const struct syncookie_facts *f, uint32_t ts)
{
    uint32_t v = (ts & ~OPT_MASK) | option_bits(f);

    return v > ts ? v - (OPT_MASK + 1) : v;
}

enum syncookie_verdict syncookie_check(struct syncookie *c, struct syncookie_facts *f, uint32_t cookie, uint32_t ts_ecr,
                                       struct rng *rng, uint64_t now)
{
    uint32_t differ;

    renew(c, rng, now);
    f->mss = mss_table[cookie & MSS_MASK];
    f->has_ecn = f->has_ts && (ts_ecr & OPT_ECN);
    f->has_sack = f->has_ts && (ts_ecr & OPT_SACK);
    f->has_wscale = f->has_ts && (ts_ecr & NO_SCALE) != NO_SCALE;
    f->wscale = f->has_wscale ? ts_ecr & NO_SCALE : 0;
    differ = hash(c, f, cookie & (MSS_MASK | PARITY_BIT)) ^ cookie;
    if (differ & FLOW_MASK)
        return SYNCOOKIE_FORGED;
    return differ & SYN_MASK ? SYNCOOKIE_EARLY : SYNCOOKIE_OURS;
}

bool syncookie_is_active(const struct syncookie *c, uint64_t now)
{
    return c->period && now - c->last_ns < 2 * PERIOD_NS;
}
