/* rate_sample.h: how fast the network delivers
 * Shape:   what a transmission remembered, what an ACK brought -> bytes delivered in which time
 * Source:  draft-cheng-iccrg-delivery-rate-estimation: over the longer of the time the bytes took to leave and the time
 *          they took to be acknowledged, so that neither compressed ACKs nor bursts look like speed
 * Owner:   the scoreboard
 * Units:   bytes, ns
 */
#ifndef TCP_RATE_SAMPLE_H
#define TCP_RATE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct rate_meter {
    uint64_t delivered_bytes; /* all that has ever arrived, each byte once */
    uint64_t delivered_ns;    /* when the last of them was acknowledged */
    uint64_t first_sent_ns;   /* sending time of the packet acknowledged last */
    uint64_t idle_until;      /* samples are limited by the application until so much is delivered; 0: they are not */
};

/* The meter as it stood when a packet left. */
struct rate_then {
    uint64_t sent_ns;
    uint32_t delivered;
    uint64_t since_delivered_ns, since_first_ns;
    bool is_idle;
};

struct rate_sample {
    uint64_t delivered_bytes; /* within interval_ns */
    uint64_t interval_ns;     /* 0: no sample */
    uint64_t prior_delivered_bytes; /* the total when the sampled packet left: tells rounds apart */
    bool is_idle;             /* the application was the limit: true speed may be higher */
};

/* One ACK: delivered_bytes are new, `then` is of the packet sent last among them (NULL: none). */
void rate_take_sample(struct rate_meter *m, const struct rate_then *then, uint32_t delivered_bytes,
                      struct rate_sample *out, uint64_t now);

static inline uint64_t rate_bytes_per_s(const struct rate_sample *s)
{
    return s->interval_ns ? (uint64_t)((unsigned __int128)s->delivered_bytes * 1000000000u / s->interval_ns) : 0;
}

#endif
