/* link.c: frames under way
 * Model:   a node's uplink is shared equally by its connections that have something to send, as flows of TCP would; each
 *          connection is a queue in order. The frame then takes the link's delay and jitter. The downlink is a queue: a frame
 *          is there when its last bit is, and not before the downlink has worked off what came with it. Losses are of whole
 *          frames. Not modelled: congestion windows, slow start, losses that TCP repairs, the CPU
 */
#include <math.h>
#include <stdlib.h>

#include "sim/sim_int.h"

static struct sim_frame *frame_new(struct sim *s)
{
    struct sim_frame *f = s->idle;

    if (f)
        s->idle = f->next;
    else if (!(f = malloc(sizeof(*f))))
        abort(); /* a simulation without memory has no meaning */
    *f = (struct sim_frame){0};
    list_push_back(&s->under_way, &f->under_way);
    return f;
}

void sim_link_frame_free(struct sim *s, struct sim_frame *f)
{
    timerq_cancel(&s->timers, &f->timer);
    list_del(&f->under_way);
    buf_unref(f->buf);
    f->next = s->idle;
    s->idle = f;
}

/* Service given since the last look. */
static void advance(struct sim *s, struct sim_node *n)
{
    if (n->nactive)
        n->service += (double)(s->now - n->serviced_ns) * s->up_bytes_per_ns / n->nactive;
    else
        n->service = 0;
    n->serviced_ns = s->now;
}

static void rearm(struct sim *s, struct sim_node *n)
{
    double first = INFINITY;

    LIST_EACH(it, &n->active) {
        const struct sim_end *e = CONTAINER_OF(it, struct sim_end, active);
        if (e->finish < first)
            first = e->finish;
    }
    if (!n->nactive)
        timerq_cancel(&s->timers, &n->uplink_timer);
    else if (first <= n->service)
        timerq_set(&s->timers, &n->uplink_timer, s->now);
    else
        timerq_set(&s->timers, &n->uplink_timer,
                   s->now + (uint64_t)ceil((first - n->service) * n->nactive / s->up_bytes_per_ns));
}

static bool is_lost(struct sim *s, const struct sim_frame *f)
{
    if (s->cfg->loss_percent <= 0 || !s->is_counting)
        return false;
    if (s->cfg->loss == SIM_LOSE_SHARDS && s->cfg->mode != SIM_REFERENCE && !sim_liar_has_payload(buf_slice(f->buf)))
        return false;
    return (double)rng_below(&s->rng, 1000000) < s->cfg->loss_percent * 1e4;
}

/* The last bit has left. */
static void depart(struct sim *s, struct sim_frame *f)
{
    struct sim_node *n = &s->nodes[f->from];
    struct sim_end *e = &n->ends[f->end];
    struct sim_node *to = &s->nodes[e->peer];
    uint64_t at = s->now + e->delay_ns;

    if (s->is_counting) {
        n->r.out_bytes += f->bytes;
        n->r.out_frames++;
    }
    if (is_lost(s, f)) {
        s->lost_frames++;
        sim_link_frame_free(s, f);
        return;
    }
    if (s->cfg->jitter_ms > 0)
        at += rng_below(&s->rng, (uint64_t)(s->cfg->jitter_ms * 1e6) + 1);
    if (s->down_bytes_per_ns > 0) {
        uint64_t first = f->begun_ns + e->delay_ns;

        if (to->down_free_ns < first)
            to->down_free_ns = first;
        to->down_free_ns += (uint64_t)((double)f->bytes / s->down_bytes_per_ns);
        if (at < to->down_free_ns)
            at = to->down_free_ns;
    }
    if (at <= e->last_arrival_ns)
        at = e->last_arrival_ns + 1; /* a stream: in order */
    e->last_arrival_ns = at;
    f->timer.kind = SIM_TIMER_ARRIVE;
    timerq_set(&s->timers, &f->timer, at);
}

void sim_link_send(struct sim *s, uint32_t from, uint32_t end, struct buf *buf, uint64_t bytes)
{
    struct sim_node *n = &s->nodes[from];
    struct sim_end *e = &n->ends[end];
    struct sim_frame *f;

    if (!e->epoch) {
        buf_unref(buf);
        return;
    }
    f = frame_new(s);
    f->from = from;
    f->end = end;
    f->epoch = e->epoch;
    f->buf = buf;
    f->bytes = bytes;
    f->begun_ns = s->now;
    if (s->up_bytes_per_ns <= 0) {
        depart(s, f);
        return;
    }
    e->queued_bytes += bytes;
    if (e->head) {
        e->tail->next = f;
        e->tail = f;
        return;
    }
    advance(s, n);
    e->head = e->tail = f;
    e->finish = n->service + (double)bytes;
    list_push_back(&n->active, &e->active);
    n->nactive++;
    rearm(s, n);
}

/* The end's next frame, or none. */
static void next_frame(struct sim *s, struct sim_node *n, struct sim_end *e)
{
    e->head = e->head->next;
    if (!e->head) {
        list_del(&e->active);
        n->nactive--;
        return;
    }
    e->head->begun_ns = s->now;
    e->finish += (double)e->head->bytes;
}

void sim_link_departed(struct sim *s, uint32_t node)
{
    struct sim_node *n = &s->nodes[node];

    advance(s, n);
    LIST_EACH(it, &n->active) {
        struct sim_end *e = CONTAINER_OF(it, struct sim_end, active);

        while (e->head && e->finish <= n->service + 1e-3) {
            struct sim_frame *f = e->head;

            next_frame(s, n, e);
            e->queued_bytes -= f->bytes;
            depart(s, f);
            sim_node_queue(s, node, e);
        }
    }
    rearm(s, n);
}

void sim_link_drop(struct sim *s, uint32_t node, struct sim_end *e)
{
    struct sim_node *n = &s->nodes[node];

    if (e->head) {
        advance(s, n);
        list_del(&e->active);
        n->nactive--;
        rearm(s, n);
    }
    while (e->head) {
        struct sim_frame *f = e->head;
        e->head = f->next;
        sim_link_frame_free(s, f);
    }
    e->queued_bytes = 0;
}
