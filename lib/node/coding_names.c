/* coding_names.c: bootstrap peers that are named: asked of control, dialed when the answer comes (coding_int.h) */
#include <stdlib.h>

#include "base/log.h"
#include "node/coding_int.h"
#include "node/resolver.h"

void coding_names_init(struct coding_role *r, uint64_t now)
{
    names_init(&r->names, r->cfg.bootstrap, r->cfg.nbootstrap, &r->cfg.self, r->cfg.rng, now);
    for (unsigned i = 0; i < r->names.count; i++) {
        struct stored_peer *p = peerstore_get(&r->store, &r->names.n[i].peer, PEERSTORE_BOOTSTRAP, now);
        if (p)
            p->is_protected = true; /* named by the operator, though nobody knows yet where it is */
    }
}

static bool is_connected(void *user, const struct peer_id *peer)
{
    struct coding_role *r = user;

    return peer ? peers_find(&r->peers, peer) != NULL : dialer_bootstrap_up(&r->dialer) > 0;
}

void coding_names_poll(struct coding_role *r, uint64_t now)
{
    int i;

    while (!r->is_leaving && now >= names_next_deadline(&r->names) && coding_has_room(r) &&
           (i = names_take(&r->names, is_connected, r, now)) >= 0) {
        struct xmsg m = {.type = X_RESOLVE, .name = malloc(sizeof(*m.name))};
        if (!m.name) {
            names_done(&r->names, (unsigned)i, now);
            continue;
        }
        *m.name = (struct xname){(unsigned)i, r->names.n[i].addr};
        xout_send(&r->to_control, &m);
    }
}

/* A failure is told once, until the name resolves again. */
static void tell(struct coding_role *r, struct name *n, const struct xresolved *a)
{
    char text[MULTIADDR_TEXT_MAX];

    if (n->is_told == (a->count == 0) || multiaddr_format(multiaddr_slice(&n->addr), text, sizeof(text)) < 0)
        return;
    if (a->count == 0)
        coding_note(r, LOG_WARN_L, "\"a bootstrap peer's name does not resolve, trying on\" name=\"%.200s\" reason=\"%s\"", text, a->reason);
    else
        coding_note(r, LOG_INFO_L, "\"a bootstrap peer's name resolves again\" name=\"%.200s\"", text);
    n->is_told = a->count == 0;
}

void coding_names_resolved(struct coding_role *r, struct xresolved *a, uint64_t now)
{
    if (a->index < r->names.count) {
        tell(r, &r->names.n[a->index], a);
        for (unsigned i = 0; i < a->count; i++)
            dialer_bootstrap(&r->dialer, &a->addrs[i], now);
        names_done(&r->names, a->index, now);
    }
    free(a);
}
