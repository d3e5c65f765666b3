/* pace.h: when the next burst may leave
 * Shape:   rate, bytes sent, now -> open or not, and until when
 * Owner:   the connection
 * Units:   ns, bytes, bytes per second; rate 0: unpaced
 * Note:    a loop that comes late finds what it missed open at once, within a bound, and waits shorter than a turn of the
 *          loop are none: where the rate is beyond what is asked of it, pacing sets no timers
 */
#ifndef TCP_PACE_H
#define TCP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_SLACK_NS 20000ull
#define PACE_LATE_NS  1000000ull /* a late loop makes up for at least this */
#define PACE_LATE_MOST_NS 40000000ull

struct pace {
    uint64_t next_ns;
    uint32_t burst_bytes; /* what is left of the burst that is leaving */
    uint32_t free_bytes;  /* may go unpaced: the first window after silence */
    bool is_holding;      /* there is something to send, and nothing but the clock holds it */
};

static inline bool pace_is_due(const struct pace *p, uint64_t now)
{
    return p->next_ns <= now + PACE_SLACK_NS;
}

static inline bool pace_is_open(const struct pace *p, uint64_t bytes_per_s, uint64_t now)
{
    return !bytes_per_s || p->free_bytes || p->burst_bytes || pace_is_due(p, now);
}

static inline uint32_t pace_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Whoever should have sent earlier, had its loop come in time, and cannot make up for it. */
static inline bool pace_is_too_late(const struct pace *p, uint64_t late_ns, uint64_t now)
{
    return p->is_holding && p->next_ns + late_ns < now;
}

/* burst_bytes: what may leave at once at this rate; late_ns: what a loop that comes late may make up for. */
static inline void pace_sent(struct pace *p, uint64_t bytes_per_s, uint32_t burst_bytes, uint32_t bytes,
                             uint64_t late_ns, uint64_t now)
{
    uint32_t free = pace_min(bytes, p->free_bytes);

    p->free_bytes -= free;
    bytes -= free;
    if (!bytes_per_s || !bytes)
        return;
    if (pace_is_due(p, now))
        p->burst_bytes = burst_bytes;
    p->burst_bytes -= pace_min(bytes, p->burst_bytes);
    if (p->next_ns + late_ns < now)
        p->next_ns = now - late_ns;
    p->next_ns += bytes * 1000000000ull / bytes_per_s;
}

#endif
