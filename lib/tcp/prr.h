/* prr.h: how much may go while a loss is being repaired
 * Shape:   what arrived, what is in flight -> the window for now
 * Source:  RFC 6937, with the rule of RFC 9937 for when slow start may be that of the lower bound (SafeACK)
 * Owner:   the connection, from the start of a fast recovery to its end
 * Units:   bytes
 */
#ifndef TCP_PRR_H
#define TCP_PRR_H

#include <stdbool.h>
#include <stdint.h>

struct prr {
    uint64_t flight_bytes; /* when recovery began */
    uint64_t delivered_bytes, sent_bytes;
    uint64_t cwnd_bytes;
};

static inline void prr_begin(struct prr *p, uint64_t flight_bytes)
{
    *p = (struct prr){.flight_bytes = flight_bytes ? flight_bytes : 1, .cwnd_bytes = 0};
}

/* One ACK during recovery: delivered_bytes are new; is_safe: the ACK moved on and found no more loss. */
static inline void prr_ack(struct prr *p, uint64_t delivered_bytes, uint64_t pipe, uint64_t ssthresh,
                           uint32_t mss, bool is_safe)
{
    uint64_t send;

    p->delivered_bytes += delivered_bytes;
    uint64_t more = p->delivered_bytes > p->sent_bytes ? p->delivered_bytes - p->sent_bytes : 0;
    if (pipe > ssthresh) {
        uint64_t may = (p->delivered_bytes * ssthresh + p->flight_bytes - 1) / p->flight_bytes;
        send = may > p->sent_bytes ? may - p->sent_bytes : 0;
    } else {
        send = more > delivered_bytes ? more : delivered_bytes;
        if (is_safe)
            send += mss;
        if (send > ssthresh - pipe)
            send = ssthresh - pipe;
    }
    p->cwnd_bytes = pipe + send;
}

static inline void prr_sent(struct prr *p, uint64_t bytes)
{
    p->sent_bytes += bytes;
}

#endif
