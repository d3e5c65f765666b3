/* cubic.h: CUBIC's window curve
 * Shape:   acknowledged segments, round-trip time, now -> congestion window, in segments
 * Source:  RFC 9438; sections in the code. Knows neither packets nor recovery: cc_cubic.c does
 * Units:   windows in segments (fractions count), time in ns at the edge and in seconds inside
 */
#ifndef TCP_CUBIC_H
#define TCP_CUBIC_H

#include <stdbool.h>
#include <stdint.h>

#define CUBIC_BETA 0.7
#define CUBIC_BETA_MARKED 0.85
#define CUBIC_C    0.4

struct cubic {
    double w_max;      /* window before the last reduction; 0: no reduction yet */
    double w_est;      /* what Reno would have by now (4.3) */
    double cwnd_prior; /* window at the last reduction, where w_est's slope turns Reno's own */
    double k_s;        /* seconds from the epoch's start until the curve is back at w_max */
    double origin;     /* the curve's plateau in this epoch */
    uint64_t epoch_ns; /* when this congestion avoidance began */
    bool has_epoch;
};

void cubic_init(struct cubic *c);
/* A congestion event with a window of cwnd: the new window, beta of it (4.6, 4.7). */
double cubic_reduce(struct cubic *c, double cwnd, double beta);
/* acked segments arrived in congestion avoidance with a window of cwnd: the new window, never smaller (4.2 to 4.5). */
double cubic_grow(struct cubic *c, double cwnd, double acked, uint64_t rtt_ns, uint64_t now);
/* Congestion avoidance stopped (timeout) or stood still (nothing to send): a new epoch starts at the next growth. */
void cubic_end_epoch(struct cubic *c);
/* The sender was idle or application-limited for this long: the curve does not run on meanwhile (5.8). */
void cubic_shift(struct cubic *c, uint64_t idle_ns);

#endif
