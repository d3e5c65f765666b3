#include "node/names.h"

#include "base/timerq.h"

void names_init(struct names *s, const struct multiaddr *addrs, unsigned count, const struct peer_id *self, struct rng *rng, uint64_t now)
{
    *s = (struct names){.rng = rng};
    for (unsigned i = 0; i < count && s->count < NAMES_MAX; i++) {
        struct multiaddr_target t;
        if (multiaddr_target(multiaddr_slice(&addrs[i]), &t) || t.kind == MULTIADDR_IP4 || t.kind == MULTIADDR_IP6 ||
            peer_id_is_equal(&t.peer, self))
            continue;
        s->n[s->count++] = (struct name){.addr = addrs[i], .peer = t.peer, .next_ns = now};
    }
}

static uint64_t backoff(struct names *s, unsigned asked)
{
    unsigned doublings = asked > 10 ? 10 : asked;
    uint64_t ns = NAMES_FIRST_NS << doublings;

    if (ns > NAMES_MAX_NS)
        ns = NAMES_MAX_NS;
    return ns - rng_below(s->rng, ns / 4 + 1);
}

int names_take(struct names *s, bool (*is_connected)(void *user, const struct peer_id *peer), void *user, uint64_t now)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct name *n = &s->n[i];
        if (now < n->next_ns)
            continue;
        if (is_connected(user, n->peer.len ? &n->peer : NULL)) {
            n->asked = 0; /* it helped; asked again soon after it is gone */
            n->next_ns = now + NAMES_FIRST_NS;
            continue;
        }
        n->is_asking = true;
        n->next_ns = now + NAMES_ASKED_NS;
        return (int)i;
    }
    return -1;
}

void names_done(struct names *s, unsigned i, uint64_t now)
{
    if (i >= s->count || !s->n[i].is_asking)
        return;
    s->n[i].is_asking = false;
    s->n[i].next_ns = now + backoff(s, s->n[i].asked);
    s->n[i].asked++;
}

uint64_t names_next_deadline(const struct names *s)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < s->count; i++)
        if (s->n[i].next_ns < at)
            at = s->n[i].next_ns;
    return at;
}
