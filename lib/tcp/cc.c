#include "tcp/cc.h"

static uint64_t initial_window(uint32_t mss_bytes)
{
    /* RFC 6928: ten segments, but not more than 14600 bytes or two segments, whichever is larger. */
    uint64_t w = (uint64_t)CC_INITIAL_SEGMENTS * mss_bytes;
    uint64_t bound = 2ull * mss_bytes > 14600 ? 2ull * mss_bytes : 14600;

    return w < bound ? w : bound;
}

void cc_init(struct cc *cc, const struct cc_ops *ops, uint32_t mss_bytes)
{
    *cc = (struct cc){.ops = ops, .mss_bytes = mss_bytes, .ssthresh_bytes = CC_SSTHRESH_NONE};
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
