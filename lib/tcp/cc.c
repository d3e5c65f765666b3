#include "tcp/cc.h"

static uint64_t initial_window(uint32_t mss_bytes)
{
    /* RFC 6928: ten segments, but not more than 14600 bytes or two segments, whichever is larger. */
    uint64_t w = (uint64_t)CC_INITIAL_SEGMENTS * mss_bytes;
    uint64_t bound = 2ull * mss_bytes > 14600 ? 2ull * mss_bytes : 14600;

    return w < bound ? w : bound;
}

void cc_init(struct cc *cc, const struct cc_ops *ops, uint32_t mss_bytes, uint32_t seed)
{
    *cc = (struct cc){.ops = ops, .mss_bytes = mss_bytes, .seed = seed, .ssthresh_bytes = CC_SSTHRESH_NONE};
    cc->cwnd_bytes = initial_window(mss_bytes);
    ops->init(cc);
}

void cc_set_mss(struct cc *cc, uint32_t mss_bytes, bool is_initial)
{
    cc->mss_bytes = mss_bytes;
    if (is_initial)
        cc->cwnd_bytes = initial_window(mss_bytes);
    else if (cc->cwnd_bytes < mss_bytes)
        cc->cwnd_bytes = mss_bytes;
}

void cc_pace_by_window(struct cc *cc, uint64_t srtt_ns)
{
    /* Slow start doubles each round trip, so it must be paced ahead of the window; near its end already slower. */
    uint64_t ratio = cc->cwnd_bytes < cc->ssthresh_bytes / 2 ? 200 : 120;

    if (srtt_ns)
        cc->pacing_bytes_per_s = cc->cwnd_bytes * ratio / 100 * 1000000000u / srtt_ns;
}

uint64_t cc_burst_bytes(const struct cc *cc)
{
    uint64_t least = 2ull * cc->mss_bytes, ms = cc->pacing_bytes_per_s >> 10;

    return ms > least ? ms < CC_BURST_MAX ? ms : CC_BURST_MAX : least;
}
