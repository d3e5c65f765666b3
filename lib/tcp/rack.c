#include "tcp/rack.h"

#define PERSIST_RECOVERIES 16
#define QUARTERS_MAX       255

void rack_init(struct rack *k)
{
    *k = (struct rack){.window_quarters = 1};
}

void rack_delivered(struct rack *k, uint64_t sent_ns, uint32_t end_seq, uint64_t now)
{
    if (rack_is_after(k, sent_ns, end_seq))
        return;
    k->sent_ns = sent_ns;
    k->end_seq = end_seq;
    k->rtt_ns = now > sent_ns ? now - sent_ns : 0;
}

void rack_duplicate(struct rack *k, uint32_t una, uint32_t nxt)
{
    if (k->has_round && seq_lt(una, k->dsack_round))
        return; /* once a round trip */
    k->has_round = true;
    k->dsack_round = nxt;
    if (k->window_quarters < QUARTERS_MAX)
        k->window_quarters++;
    k->persist = PERSIST_RECOVERIES;
}

void rack_progress(struct rack *k, uint32_t una)
{
    if (k->has_round && seq_geq(una, k->dsack_round))
        k->has_round = false;
}

void rack_recovered(struct rack *k)
{
    if (k->persist && --k->persist == 0)
        k->window_quarters = 1;
}

uint64_t rack_window_ns(const struct rack *k, bool in_recovery, uint32_t sacked_segments, uint64_t min_rtt_ns,
                        uint64_t srtt_ns)
{
    if (!k->is_reordered && (in_recovery || sacked_segments >= RACK_DUP_THRESH))
        return 0;
    uint64_t wnd = min_rtt_ns / 4 * k->window_quarters;
    return wnd < srtt_ns ? wnd : srtt_ns;
}
