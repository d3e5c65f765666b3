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
#include "tcp/hystart.h"
#include "tcp/rate_sample.h"

struct cc;

enum cc_recovery { CC_OPEN, CC_RECOVERY, CC_LOSS };

/* One acknowledgement that brought something new. */
struct cc_ack {
    uint32_t delivered_bytes; /* newly acknowledged or SACKed: each byte counts once */
    uint64_t unanswered_bytes; /* delivered since we last had a chance to send, these included: ACKs come in lumps to a loop that was late */
    bool is_progress; /* the cumulative acknowledgement moved: a bare SACK grows nothing (RFC 5681 3.2) */
    uint64_t rtt_ns;  /* this ACK's sample, 0: none */
    uint64_t srtt_ns, min_rtt_ns;
    bool is_limited;  /* the window, not the application or the peer, held us back */
    bool in_recovery; /* fast recovery when the ACK came: cwnd stays at ssthresh */
    enum cc_recovery recovery; /* after it */
    uint32_t lost_bytes;      /* newly believed lost */
    uint32_t in_flight_bytes, prior_in_flight_bytes; /* after this ACK, before it */
    uint64_t total_delivered_bytes;
    struct rate_sample rate;
    uint64_t now;
};

struct cc_ops {
    const char *name;
    /* It sets the pacing rate, and the window during recovery too. Else the connection paces by the window and reduces
     * it in proportion (prr.h). */
    bool is_model;
    void (*init)(struct cc *cc);
    void (*ack)(struct cc *cc, const struct cc_ack *a);
    /* Loss seen by SACK or duplicate ACKs, once a window: fast recovery begins. */
    void (*congestion)(struct cc *cc, uint32_t in_flight_bytes, uint64_t now);
    /* The peer echoes congestion marks, once a window. NULL: takes no notice. */
    void (*marked)(struct cc *cc, uint64_t now);
    /* Retransmission timeout; is_first: not a repeated one of the same data. */
    void (*timeout)(struct cc *cc, uint32_t in_flight_bytes, bool is_first, uint64_t now);
    /* The last congestion or first timeout was spurious. */
    void (*undo)(struct cc *cc, uint64_t now);
    /* Nothing was in flight for idle_ns, a multiple of the timeout or more. May be NULL. */
    void (*idle)(struct cc *cc, uint64_t idle_ns, uint64_t rto_ns, uint64_t now);
    /* Nothing is in flight, something goes now: the application was the limit, or the peer's window. May be NULL. */
    void (*start)(struct cc *cc, uint64_t now);
};

struct cc_cubic {
    struct cubic curve, curve_prior;
    uint64_t cwnd_prior_bytes, ssthresh_prior_bytes; /* for undo; 0: nothing to undo */
    double fraction_bytes;                           /* growth not yet worth a byte */
    uint64_t limited_since_ns;                       /* application-limited since; 0: not */
    struct hystart start;
};

enum bbr_mode { BBR_STARTUP, BBR_DRAIN, BBR_PROBE_BW, BBR_PROBE_RTT };

struct bbr_max_entry {
    uint64_t v;
    uint32_t round;
};

struct bbr_max {
    struct bbr_max_entry best[3];
};

struct cc_bbr {
    enum bbr_mode mode;
    struct bbr_max max;                 /* bottleneck bandwidth, bytes per second */
    uint64_t min_rtt_ns, min_rtt_at_ns; /* and when it was seen */
    uint64_t probe_rtt_done_ns;         /* 0: not yet that small */
    uint64_t next_round_delivered;
    uint64_t cycle_ns, prior_cwnd_bytes, full_bps, lost_bytes;
    uint32_t round, cycle, full_rounds;
    uint32_t lumpy_rounds; /* of start-up: ACKs may have waited for us, a third of the window at once */
    bool is_lumpy;
    bool is_round_start, is_full, is_conserving, is_probe_round_done, is_restart, has_rtt;
    enum cc_recovery was; /* at the last ACK */
    /* lumps of ACKs */
    uint64_t lump_ns, lump_acked, lump_bytes[2];
    uint32_t lump_rounds, lump_now;
    /* policers */
    uint64_t policed_bps, policer_ns, policer_delivered, policer_lost;
    uint32_t policer_rounds;
    bool uses_policed, is_policer_sampled;
};

struct cc {
    const struct cc_ops *ops;
    uint64_t cwnd_bytes, ssthresh_bytes;
    uint64_t pacing_bytes_per_s; /* 0: unpaced */
    uint32_t mss_bytes, seed;
    union {
        struct cc_cubic cubic;
        struct cc_bbr bbr;
    } u;
};

#define CC_INITIAL_SEGMENTS 10 /* RFC 6928 */
#define CC_SSTHRESH_NONE    UINT64_MAX
#define CC_BURST_MAX        65536u

extern const struct cc_ops cc_cubic_ops, cc_bbr_ops;

/* seed: of the little randomness an algorithm needs. */
void cc_init(struct cc *cc, const struct cc_ops *ops, uint32_t mss_bytes, uint32_t seed);
/* The path's segment size became known or changed; before data flow the initial window follows it. */
void cc_set_mss(struct cc *cc, uint32_t mss_bytes, bool is_initial);

/* For algorithms that do not set it: 200 % of the window in a round trip at the start, 120 % afterwards. */
void cc_pace_by_window(struct cc *cc, uint64_t srtt_ns);
/* What may leave at once: a millisecond's worth, two segments at least. */
uint64_t cc_burst_bytes(const struct cc *cc);

static inline bool cc_in_slow_start(const struct cc *cc)
{
    return cc->cwnd_bytes < cc->ssthresh_bytes;
}

#endif
