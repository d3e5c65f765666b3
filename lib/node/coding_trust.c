/* coding_trust.c: what the core is told of a peer beside its frames: its signed record, and what we think of it */
#include "node/coding_int.h"

#define BOOTSTRAP_SCORE 20 /* P5 of peers that the operator named: enough for their peer exchange to be believed */

static bool is_bootstrap(const struct coding_role *r, const struct peer_id *id)
{
    const struct stored_peer *p = peerstore_find(&r->store, id);

    return p && p->is_protected;
}

void coding_trust_up(struct coding_role *r, const struct peer *p, uint64_t now)
{
    if (is_bootstrap(r, &p->id))
        pubsub_peer_app_score(r->ps, p->handle, BOOTSTRAP_SCORE);
    for (unsigned i = 0; i < r->cfg.ndirect; i++)
        if (peer_id_is_equal(&r->cfg.direct[i], &p->id))
            pubsub_peer_direct(r->ps, p->handle, true);
    if (p->record)
        pubsub_peer_record(r->ps, p->handle, buf_slice(p->record), now);
}

void coding_trust_record(struct coding_role *r, struct peer *p, struct buf *record, uint64_t now)
{
    if (!record)
        return; /* a push without it changes nothing */
    buf_unref(p->record);
    p->record = buf_ref(record);
    if (p->is_known)
        pubsub_peer_record(r->ps, p->handle, buf_slice(record), now);
}
