#include "node/dialer.h"

#include "base/timerq.h"

void dialer_init(struct dialer *d, const struct multiaddr *addrs, unsigned count, const struct peer_id *self,
                 struct rng *rng, uint64_t now)
{
    *d = (struct dialer){.rng = rng};
    for (unsigned i = 0; i < count && i < DIALER_MAX; i++) {
        struct multiaddr_target t;
        struct dialer_entry *e = &d->e[d->count];
        if (multiaddr_target(multiaddr_slice(&addrs[i]), &t))
            continue;
        *e = (struct dialer_entry){.addr = addrs[i], .peer = t.peer, .next_ns = now};
        e->is_self = peer_id_is_equal(&t.peer, self);
        d->count++;
    }
}

static bool is_wanted(const struct dialer_entry *e)
{
    return !e->is_self && e->conns == 0;
}

int dialer_take(struct dialer *d, uint64_t now)
{
    for (unsigned i = 0; i < d->count; i++) {
        struct dialer_entry *e = &d->e[i];
        if (!is_wanted(e) || now < e->next_ns)
            continue;
        if (e->is_dialing)
            e->failures++; /* timed out without an answer */
        e->is_dialing = true;
        e->next_ns = now + DIALER_TIMEOUT_NS;
        return (int)i;
    }
    return -1;
}

/* Doubling back-off with a quarter of jitter, so that nodes started together do not dial in step. */
static uint64_t backoff(struct dialer *d, const struct dialer_entry *e)
{
    unsigned doublings = e->failures > 5 ? 5 : e->failures - 1;
    uint64_t ns = DIALER_FIRST_NS << doublings;

    if (ns > DIALER_MAX_NS)
        ns = DIALER_MAX_NS;
    return ns - rng_below(d->rng, ns / 4 + 1);
}

void dialer_failed(struct dialer *d, int entry, uint64_t now)
{
    if (entry < 0 || (unsigned)entry >= d->count)
        return;
    struct dialer_entry *e = &d->e[entry];
    e->is_dialing = false;
    e->failures++;
    e->next_ns = now + backoff(d, e);
}

void dialer_up(struct dialer *d, const struct peer_id *peer)
{
    for (unsigned i = 0; i < d->count; i++)
        if (peer_id_is_equal(&d->e[i].peer, peer)) {
            d->e[i].conns++;
            d->e[i].is_dialing = false;
            d->e[i].failures = 0;
        }
}

void dialer_down(struct dialer *d, const struct peer_id *peer, uint64_t now)
{
    for (unsigned i = 0; i < d->count; i++) {
        struct dialer_entry *e = &d->e[i];
        if (!peer_id_is_equal(&e->peer, peer) || e->conns == 0)
            continue;
        if (--e->conns == 0) {
            e->failures = 1;
            e->next_ns = now + backoff(d, e);
        }
    }
}

uint64_t dialer_next_deadline(const struct dialer *d)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < d->count; i++)
        if (is_wanted(&d->e[i]) && d->e[i].next_ns < at)
            at = d->e[i].next_ns;
    return at;
}

unsigned dialer_waiting(const struct dialer *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->count; i++)
        n += is_wanted(&d->e[i]);
    return n;
}
