/* rack.h: which transmissions are overdue
 * Shape:   deliveries with their sending times, duplicates reported -> the wait after which what was sent earlier is lost
 * Source:  RFC 8985 6 (RACK). The records are the scoreboard's; the tail loss probe is conn_loss.c's
 * Owner:   the connection
 * Units:   ns
 */
#ifndef TCP_RACK_H
#define TCP_RACK_H

#include "tcp/seq.h"

#define RACK_DUP_THRESH 3

struct rack {
    uint64_t sent_ns; /* of the latest transmission known to have arrived; 0: none yet */
    uint64_t rtt_ns;  /* of the same */
    uint32_t end_seq; /* of the same: tells packets of one burst apart */
    bool is_reordered; /* the path has shown that it reorders */
    bool has_round;    /* a duplicate was reported: another counts only beyond dsack_round */
    uint32_t dsack_round;
    uint8_t window_quarters; /* of the shortest round trip */
    uint8_t persist;         /* recoveries until the window shrinks back */
};

void rack_init(struct rack *k);
/* A segment sent at sent_ns, ending at end_seq, has arrived. */
void rack_delivered(struct rack *k, uint64_t sent_ns, uint32_t end_seq, uint64_t now);
/* The peer reports a duplicate of what was not a probe; una and nxt of now. */
void rack_duplicate(struct rack *k, uint32_t una, uint32_t nxt);
/* una moved. */
void rack_progress(struct rack *k, uint32_t una);
/* A recovery is over. */
void rack_recovered(struct rack *k);
/* How much later than rack.rtt_ns something may be: 0 once there is enough evidence on a path that keeps order. */
uint64_t rack_window_ns(const struct rack *k, bool in_recovery, uint32_t sacked_segments, uint64_t min_rtt_ns,
                        uint64_t srtt_ns);

/* The latest arrival was sent after this. */
static inline bool rack_is_after(const struct rack *k, uint64_t sent_ns, uint32_t end_seq)
{
    return k->sent_ns > sent_ns || (k->sent_ns == sent_ns && seq_gt(k->end_seq, end_seq));
}

#endif
