#include "tcp/rate_sample.h"

void rate_take_sample(struct rate_meter *m, const struct rate_then *then, uint32_t delivered_bytes,
                      struct rate_sample *out, uint64_t now)
{
    *out = (struct rate_sample){.prior_delivered_bytes = m->delivered_bytes};
    if (delivered_bytes) {
        m->delivered_bytes += delivered_bytes;
        m->delivered_ns = now;
    }
    if (m->idle_until && m->delivered_bytes > m->idle_until)
        m->idle_until = 0;
    if (!then)
        return;
    uint32_t delivered = (uint32_t)m->delivered_bytes - then->delivered;
    uint64_t ack_elapsed = now - (then->sent_ns - then->since_delivered_ns);
    uint64_t send_elapsed = then->since_first_ns;
    out->delivered_bytes = delivered;
    out->prior_delivered_bytes = m->delivered_bytes - delivered;
    out->interval_ns = send_elapsed > ack_elapsed ? send_elapsed : ack_elapsed;
    out->is_idle = then->is_idle;
    m->first_sent_ns = then->sent_ns;
}
