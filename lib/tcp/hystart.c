#include "tcp/hystart.h"

#define MIN_THRESH_NS  4000000ull
#define MAX_THRESH_NS  16000000ull
#define THRESH_DIVISOR 8
#define BLOCK_SAMPLES  8
#define CAREFUL_ROUNDS 5

void hystart_init(struct hystart *h)
{
    *h = (struct hystart){.shortest_ns = UINT64_MAX, .block_ns = UINT64_MAX};
}

static uint64_t threshold(uint64_t rtt_ns)
{
    uint64_t t = rtt_ns / THRESH_DIVISOR;

    return t < MIN_THRESH_NS ? MIN_THRESH_NS : t > MAX_THRESH_NS ? MAX_THRESH_NS : t;
}

/* Eight samples in a row. True: over. */
static bool judge(struct hystart *h)
{
    uint64_t late = h->shortest_ns + threshold(h->shortest_ns);

    if (!h->is_careful) {
        h->is_careful = h->block_ns >= late;
        h->baseline_ns = h->block_ns;
        h->careful_rounds = 0;
    } else if (h->block_ns < h->baseline_ns && h->block_ns < late)
        h->is_careful = false; /* it was jitter: full speed again */
    return h->is_careful && h->block_ns >= late + h->shortest_ns / 2;
}

static bool end_block(struct hystart *h)
{
    bool is_over = h->shortest_ns != UINT64_MAX && judge(h);

    if (h->block_ns < h->shortest_ns)
        h->shortest_ns = h->block_ns;
    h->block_ns = UINT64_MAX;
    h->samples = 0;
    return is_over;
}

bool hystart_ack(struct hystart *h, uint64_t rtt_ns, uint64_t prior_delivered, uint64_t total_delivered, uint64_t now)
{
    bool is_over = false;

    if (prior_delivered >= h->round_ends_at) {
        h->round_ends_at = total_delivered;
        if (h->is_careful && ++h->careful_rounds >= CAREFUL_ROUNDS)
            return true;
    }
    if (!rtt_ns)
        return false;
    if (now != h->sampled_ns) { /* the turns before are complete */
        h->sampled_ns = now;
        if (h->samples == BLOCK_SAMPLES)
            is_over = end_block(h);
        h->samples++;
    }
    if (rtt_ns < h->block_ns)
        h->block_ns = rtt_ns;
    return is_over;
}
