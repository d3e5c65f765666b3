/* cc.h: congestion control as the connection sees it
 * Shape:   what happened to our segments -> cwnd, ssthresh, pacing rate
 * Owner:   embedded in the connection, by value; an algorithm keeps its state in the union
 * Note:    loss detection and the counting of bytes in flight are the connection's (scoreboard.h): an algorithm only
 *          hears of acknowledgements and of congestion events. To add one: a member in the union, a struct cc_ops
 * Units:   bytes, ns
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/cubic.h"
#include "tcp/rate_sample.h"

struct cc;

/* One acknowledgement that brought something new. */
struct cc_ack {
    uint32_t delivered_bytes; /* newly acknowledged or SACKed: each byte counts once */
    bool is_progress; /* the cumulative acknowledgement moved: a bare SACK grows nothing (RFC 5681 3.2) */
    uint64_t rtt_ns;  /* this ACK's sample, 0: none */
    uint64_t srtt_ns, min_rtt_ns;
    bool is_limited;  /* the window, not the application or the peer, held us back */
    bool in_recovery; /* fast recovery: cwnd stays at ssthresh */
    uint32_t lost_bytes;      /* newly believed lost */
    uint32_t in_flight_bytes; /* after this ACK */
    uint64_t total_delivered_bytes;
    struct rate_sample rate;
    uint64_t now;
};

struct cc_ops {
    const char *name;
    void (*init)(struct cc *cc);
    void (*ack)(struct cc *cc, const struct cc_ack *a);
    /* Loss seen by SACK or duplicate ACKs, once a window: fast recovery begins. */
    void (*congestion)(struct cc *cc, uint32_t in_flight_bytes, uint64_t now);
    /* Retransmission timeout; is_first: not a repeated one of the same data. */
    void (*timeout)(struct cc *cc, uint32_t in_flight_bytes, bool is_first, uint64_t now);
    /* The last congestion or first timeout was spurious. */
    void (*undo)(struct cc *cc, uint64_t now);
    /* Nothing was in flight for idle_ns, a multiple of the timeout or more. */
    void (*idle)(struct cc *cc, uint64_t idle_ns, uint64_t rto_ns, uint64_t now);
};

struct cc_cubic {
    struct cubic curve, curve_prior;
    uint64_t cwnd_prior_bytes, ssthresh_prior_bytes; /* for undo; 0: nothing to undo */
    double fraction_bytes;                           /* growth not yet worth a byte */
    uint64_t limited_since_ns;                       /* application-limited since; 0: not */
};

struct cc {
    const struct cc_ops *ops;
    uint64_t cwnd_bytes, ssthresh_bytes;
    uint64_t pacing_bytes_per_s; /* 0: unpaced */
    uint32_t mss_bytes;
    union {
        struct cc_cubic cubic;
    } u;
};

#define CC_INITIAL_SEGMENTS 10 /* RFC 6928 */
#define CC_SSTHRESH_NONE    UINT64_MAX

extern const struct cc_ops cc_cubic_ops;

void cc_init(struct cc *cc, const struct cc_ops *ops, uint32_t mss_bytes);
/* The path's segment size became known or changed; before data flow the initial window follows it. */
void cc_set_mss(struct cc *cc, uint32_t mss_bytes, bool is_initial);

static inline bool cc_in_slow_start(const struct cc *cc)
{
    return cc->cwnd_bytes < cc->ssthresh_bytes;
}

#endif
