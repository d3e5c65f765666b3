/* holders.c: which peers have what was sent lately, as far as they said or showed it */
#include "pubsub/core.h"

#define LATEST 64 /* messages looked at, of each kind: what a snapshot may cost the lcore */

static void mark(void *user, pubsub_peer handle, bool is_whole)
{
    struct peer *p = peer_find(user, handle);

    if (p && is_whole)
        p->has_whole = true;
    else if (p)
        p->has_part = true;
}

/* Plain messages: who brought it, made it, asked for it and got it, or does not want it. */
static void mark_plain(struct pubsub *ps, const struct message *m)
{
    for (unsigned i = 0; i < m->nserved; i++)
        mark(ps, m->served[i].peer, true);
    LIST_EACH (it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);

        if (!p->has_whole)
            p->has_whole = peer_may_have(ps, p, m);
    }
}

void pubsub_holders(struct pubsub *ps, unsigned *whole, unsigned *part)
{
    unsigned n = 0;

    LIST_EACH (it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);

        p->has_whole = p->has_part = false;
    }
    for (const struct list *it = ps->mcache.by_age.prev; it != &ps->mcache.by_age && n < LATEST; it = it->prev, n++)
        mark_plain(ps, CONTAINER_OF(it, struct message, by_age));
    if (ps->coded)
        coded_holders(ps->coded, LATEST, mark, ps);
    *whole = *part = 0;
    LIST_EACH (it, &ps->peer_list) {
        const struct peer *p = CONTAINER_OF(it, struct peer, node);

        *whole += p->has_whole;
        *part += p->has_part;
    }
}
