/* px.c: peer exchange: whom a PRUNE recommends, and whom we believe
 * Source:  gossipsub v1.1, Peer Exchange on PRUNE; records are libp2p RFC 0003's, passed on as they were signed
 */
#include "pubsub/core.h"

#include <stdlib.h>

#include "libp2p/peer_record.h"

int pubsub_peer_record(struct pubsub *ps, pubsub_peer handle, struct slice envelope, uint64_t now)
{
    struct peer *p = peer_find(ps, handle);
    struct peer_record rec;

    ps->now = now;
    if (!p)
        return -PUBSUB_ENOPEER;
    if (p->record && slice_is_equal(buf_slice(p->record), envelope)) /* each identify push repeats it: verified once */
        return 0;
    if (envelope.len > PX_RECORD_MAX || peer_record_open(envelope, &rec) || !peer_id_is_equal(&rec.id, &p->id)) {
        ps->c.px_bad_records++;
        return -PUBSUB_ERECORD;
    }
    if (p->record && rec.seq <= p->record_seq)
        return 0;
    struct buf *b = buf_copy(envelope);
    if (!b)
        return -PUBSUB_EMEM;
    buf_unref(p->record);
    p->record = b;
    p->record_seq = rec.seq;
    return 0;
}

/* A random few of the topic's peers that may be recommended; those with a record first, for only they can be dialed by
 * somebody who never heard of them. Not by way of ps->cand: callers are walking that. */
static unsigned choose(struct pubsub *ps, const struct peer *p, const struct topic *tp, const struct peer **out)
{
    unsigned n = 0;

    for (int with_record = 1; with_record >= 0; with_record--) {
        unsigned first = n, met = 0, room = PX_PEERS - first;
        LIST_EACH(it, &tp->links) {
            const struct peer *q = CONTAINER_OF(it, struct link, by_topic)->peer;
            if (q == p || q->is_closing || (q->record != NULL) != with_record || peer_score(ps, q) < 0)
                continue;
            unsigned at = met++ < room ? met - 1 : (unsigned)rng_below(ps->rng, met);
            if (at >= room)
                continue;
            out[first + at] = q;
            n = first + (met < room ? met : room);
        }
    }
    return n;
}

void px_put(struct pubsub *ps, const struct peer *p, const struct topic *tp, struct wr *prune)
{
    const struct peer *chosen[PX_PEERS];
    unsigned n = tp ? choose(ps, p, tp, chosen) : 0;

    for (unsigned i = 0; i < n; i++) {
        struct rpc_px px = {.peer_id = peer_id_slice(&chosen[i]->id)};
        if (chosen[i]->record)
            px.record = buf_slice(chosen[i]->record);
        if (prune->len + px.peer_id.len + px.record.len + 16 > PX_BYTES_MAX)
            break;
        rpc_put_px(prune, &px);
        ps->c.px_out++;
    }
}

static bool is_connected(const struct pubsub *ps, const struct peer_id *id)
{
    LIST_EACH(it, &ps->peer_list)
        if (peer_id_is_equal(&CONTAINER_OF(it, struct peer, node)->id, id))
            return true;
    return false;
}

/* One recommended peer. A record must be signed by whom it is about; without one the dialer may know addresses. */
static void follow(struct pubsub *ps, const struct peer *teller, const struct rpc_px *px)
{
    struct peer_record rec;
    struct peer_id id;
    struct event *ev;

    if (peer_id_from_bytes(&id, px->peer_id) || peer_id_is_equal(&id, &ps->self) || is_connected(ps, &id))
        return;
    if (px->record.len && (px->record.len > PX_RECORD_MAX || peer_record_open(px->record, &rec) ||
                           !peer_id_is_equal(&rec.id, &id))) {
        ps->c.px_bad_records++;
        return;
    }
    ps->px_dials++;
    ev = events_push(&ps->events, PUBSUB_DIAL);
    if (!ev) {
        ps->c.no_memory++;
        return;
    }
    ps->c.px_dials++;
    ev->out.from = id;
    ev->out.peer = teller->handle;
    ev->out.upstream = teller->id;
    ev->out.record = px->record.len ? buf_copy(px->record) : NULL;
}

void px_input(struct pubsub *ps, struct peer *p, struct slice prune)
{
    bool is_believed = peer_score(ps, p) >= ps->thresholds.accept_px;
    struct rd rd = rd_of(prune);
    struct rpc_px px;

    while (rpc_px_next(&rd, &px)) {
        ps->c.px_in++;
        if (!peer_take(ps, p, LIMIT_PX_PEERS, 1) || !is_believed || ps->px_dials >= PX_DIALS_MAX) {
            ps->c.px_ignored++;
            continue;
        }
        follow(ps, p, &px);
    }
}
