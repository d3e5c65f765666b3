/* coding_self.c: what we announce of ourselves while we run: addresses that peers have confirmed (coding_int.h)
 * Note:    what identify says lives with the net role, whose sessions read it; here is decided, there it is swapped and pushed
 */
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "node/coding_int.h"

static uint64_t wall_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void coding_self_init(struct coding_role *r)
{
    observed_init(&r->observed, r->cfg.listen_port);
    for (; r->nown < r->cfg.naddrs && r->nown < XSELF_ADDRS; r->nown++)
        r->own[r->nown] = r->cfg.addrs[r->nown];
    r->nfixed = r->nown;
    r->record_seq = r->cfg.record_seq;
    r->cfg.addrs = r->own;
    r->cfg.naddrs = r->nown;
}

void coding_self_identified(struct coding_role *r, const struct peer_conn *c, const struct net_identity *id, uint64_t now)
{
    if (r->cfg.finds_addrs)
        observed_said(&r->observed, &c->peer->id, &c->addr, c->is_dialer, &id->observed, now);
}

void coding_self_peer_gone(struct coding_role *r, const struct peer_id *id, uint64_t now)
{
    observed_gone(&r->observed, id, now);
}

static bool is_own(const struct coding_role *r, const struct multiaddr *a)
{
    for (unsigned i = 0; i < r->nown; i++)
        if (slice_is_equal(multiaddr_slice(&r->own[i]), multiaddr_slice(a)))
            return true;
    return false;
}

/* The fixed ones first, then those that are believed. True: they are others than before. */
static bool gather(struct coding_role *r)
{
    struct multiaddr before[XSELF_ADDRS];
    unsigned nbefore = r->nown;

    memcpy(before, r->own, sizeof(before));
    r->nown = r->nfixed;
    for (unsigned i = 0; i < r->observed.nbelieved && r->nown < XSELF_ADDRS; i++) {
        struct multiaddr a;
        observed_format(&r->observed, i, &a);
        if (!is_own(r, &a))
            r->own[r->nown++] = a;
    }
    r->cfg.naddrs = r->nown;
    for (unsigned i = 0; i < r->nown && r->nown == nbefore; i++)
        if (!slice_is_equal(multiaddr_slice(&r->own[i]), multiaddr_slice(&before[i])))
            return true;
    return r->nown != nbefore;
}

static void tell(struct coding_role *r)
{
    char text[MULTIADDR_TEXT_MAX] = "none";

    if (r->nown > r->nfixed)
        multiaddr_format(multiaddr_slice(&r->own[r->nown - 1]), text, sizeof(text));
    coding_note(r, LOG_INFO_L, "\"addresses that peers have confirmed are announced from now on\" count=%u last=%s",
                r->nown - r->nfixed, text);
}

/* A copy to each net role, x itself to role 0. False: not all of them got it; who did hears the same again. */
static bool send_to_all(struct coding_role *r, struct xself *x)
{
    bool is_told = true;

    for (unsigned i = r->nnets; i-- > 0;) {
        struct xmsg m = {.type = X_SELF, .conn = net_role_id(i), .self = i ? malloc(sizeof(*x)) : x};
        if (i && m.self)
            *m.self = *x;
        if (m.self && coding_to_net(r, &m))
            continue;
        free(m.self);
        is_told = false;
    }
    return is_told;
}

void coding_self_upkeep(struct coding_role *r, uint64_t now)
{
    struct xself *x;
    struct session_local l;
    uint64_t seq;

    if (!r->cfg.finds_addrs || !coding_has_room(r) || (!observed_update(&r->observed, now) && !r->owes_self))
        return;
    if (!gather(r) && !r->owes_self)
        return;
    r->owes_self = true;
    x = calloc(1, sizeof(*x));
    if (!x)
        return; /* in a second again */
    x->naddrs = r->nown;
    memcpy(x->addrs, r->own, sizeof(x->addrs));
    l = (struct session_local){.addrs = x->addrs, .naddrs = x->naddrs};
    seq = wall_now_ns();
    r->record_seq = seq > r->record_seq ? seq : r->record_seq + 1;
    if (self_record_make(&l, r->cfg.pubsub.key, r->record_seq, x->record) == 0)
        x->record_len = (uint32_t)l.record.len;
    r->owes_self = !send_to_all(r, x);
    if (!r->owes_self)
        tell(r);
}
