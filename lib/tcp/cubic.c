#include "tcp/cubic.h"

#include <math.h>

/* 4.3: makes the Reno-friendly region's mean window equal to Reno's with halving. */
static const double alpha_friendly = 3.0 * (1.0 - CUBIC_BETA) / (1.0 + CUBIC_BETA);

void cubic_init(struct cubic *c)
{
    *c = (struct cubic){0};
}

double cubic_reduce(struct cubic *c, double cwnd, double beta)
{
    /* 4.7, fast convergence: a flow that is losing share gives some up to the newcomer at once. */
    c->w_max = cwnd < c->w_max ? cwnd * (1.0 + beta) / 2.0 : cwnd;
    c->cwnd_prior = cwnd;
    c->has_epoch = false;
    double reduced = cwnd * beta;
    return reduced > 2.0 ? reduced : 2.0;
}

static void epoch_begin(struct cubic *c, double cwnd, uint64_t now)
{
    c->has_epoch = true;
    c->epoch_ns = now;
    c->w_est = cwnd;
    if (cwnd < c->w_max) {
        c->k_s = cbrt((c->w_max - cwnd) / CUBIC_C);
        c->origin = c->w_max;
    } else {
        /* After a timeout, or slow start without loss: convex from here. */
        c->k_s = 0;
        c->origin = cwnd;
    }
}

static double curve(const struct cubic *c, double t_s)
{
    double d = t_s - c->k_s;

    return CUBIC_C * d * d * d + c->origin;
}

double cubic_grow(struct cubic *c, double cwnd, double acked, uint64_t rtt_ns, uint64_t now)
{
    if (!c->has_epoch)
        epoch_begin(c, cwnd, now);
    double t = (double)(now - c->epoch_ns) / 1e9;
    /* 4.3 */
    c->w_est += (c->w_est < c->cwnd_prior ? alpha_friendly : 1.0) * acked / cwnd;
    if (curve(c, t) < c->w_est)
        return c->w_est > cwnd ? c->w_est : cwnd;
    /* 4.4, 4.5 */
    double target = curve(c, t + (double)rtt_ns / 1e9);
    if (target < cwnd)
        target = cwnd;
    else if (target > 1.5 * cwnd)
        target = 1.5 * cwnd;
    return cwnd + (target - cwnd) / cwnd * acked;
}

void cubic_end_epoch(struct cubic *c)
{
    c->has_epoch = false;
}

void cubic_shift(struct cubic *c, uint64_t idle_ns)
{
    c->epoch_ns += idle_ns;
}
