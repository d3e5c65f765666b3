/* backlog.c: what waits for a peer: sent at once, put off, or dropped; and whether a publish of ours should wait for it
 * Why:     the queue of a connection is kept short. What is put off (later.h) holds no memory of its own, can still be spared
 *          when the peer turns out to have the message, and is sent in order as the queue drains. A publisher waits while its
 *          peers are behind, else a burst would push what is put off out of the message cache. A relay does not stop reading: two
 *          that are full towards each other would wait for ever.
 */
#include "pubsub/core.h"

static uint64_t queued_bytes(const struct peer *p)
{
    return p->queued_bytes + outq_pending_bytes(&p->out);
}

static uint64_t backlog_bytes(const struct peer *p)
{
    return queued_bytes(p) + p->later.bytes;
}

bool peer_is_slow(const struct pubsub *ps, const struct peer *p)
{
    return backlog_bytes(p) > ps->cfg.queue_bytes;
}

bool peer_may_have(const struct pubsub *ps, const struct peer *p, const struct message *m)
{
    return p->handle == m->source || peer_id_is_equal(&p->id, &m->from) || unwanted_has(&p->unwanted, m->key, ps->tick);
}

/* Room for one more message: a fourth of what makes a peer slow. */
static bool has_room(const struct pubsub *ps, const struct peer *p)
{
    return queued_bytes(p) <= ps->cfg.queue_bytes / 4;
}

static void drop(struct pubsub *ps, struct peer *p, struct slice id, uint64_t bytes)
{
    ps->c.slow_drops++;
    ps->c.rpc_dropped++;
    p->has_lost = true;
    p->told_beats = 0;
    trace_message(ps, TRACE_DROP_RPC, p, (struct slice){0}, id, "slow peer", bytes);
}

static bool queue_message(struct pubsub *ps, struct peer *p, struct message *m)
{
    if (outq_push(&p->out, m->pieces, m->npieces)) {
        ps->c.no_memory++;
        return false;
    }
    m->sent++;
    peer_mark_dirty(ps, p);
    return true;
}

bool peer_send_message(struct pubsub *ps, struct peer *p, struct message *m)
{
    if (!p->later.count && has_room(ps, p))
        return queue_message(ps, p, m);
    if (later_push(&p->later, m->key, m->bytes)) {
        m->awaited++;
        ps->c.put_off++;
        return true;
    }
    drop(ps, p, slice_of(m->id, m->id_len), m->bytes);
    return false;
}

void peer_feed(struct pubsub *ps, struct peer *p)
{
    struct later_entry e;

    while (has_room(ps, p) && later_pop(&p->later, &e)) {
        struct message *m = mcache_get(&ps->mcache, e.key);
        if (m && m->awaited)
            m->awaited--;
        if (!m)
            drop(ps, p, (struct slice){0}, e.bytes); /* it waited for longer than messages are kept */
        else if (peer_may_have(ps, p, m) || !link_find(p, m->topic))
            ps->c.spared++;
        else
            queue_message(ps, p, m);
    }
}

void peer_forget_later(struct pubsub *ps, struct peer *p)
{
    struct later_entry e;

    while (later_pop(&p->later, &e)) {
        struct message *m = mcache_get(&ps->mcache, e.key);
        if (m && m->awaited)
            m->awaited--;
    }
}

/* ---- a publish of ours ---- */

/* Those it would be sent to, and those of them that are behind. */
struct behind {
    unsigned targets, full;
    bool is_moving, has_patience; /* one of the full ones takes something; may still hold us up */
};

static void look_at(struct pubsub *ps, struct peer *p, uint64_t waited_ns, struct behind *b)
{
    b->targets++;
    if (backlog_bytes(p) <= ps->cfg.queue_bytes / 2)
        return;
    b->full++;
    b->is_moving |= ps->now - p->moved_ns < HOLD_STILL_NS;
    b->has_patience |= p->held_ns < HOLD_FEW_NS;
    p->held_ns += waited_ns;
}

static struct behind who_is_behind(struct pubsub *ps, const struct topic *tp, uint64_t waited_ns)
{
    bool is_wide = ps->cfg.is_flood_publish || tp->nmesh < ps->mesh.d;
    struct behind b = {0};

    if (!is_wide && !ps->ndirect) {
        LIST_EACH(it, &tp->mesh)
            look_at(ps, CONTAINER_OF(it, struct link, by_mesh)->peer, waited_ns, &b);
        return b;
    }
    LIST_EACH(it, &tp->links) {
        struct link *l = CONTAINER_OF(it, struct link, by_topic);
        bool is_target = link_is_mesh(l) || l->peer->is_direct || (is_wide && fanout_is_candidate(ps, l));
        if (is_target && !l->peer->is_closing)
            look_at(ps, l->peer, waited_ns, &b);
    }
    return b;
}

/* Most are behind: then it is us or our line, and waiting is right as long as anything moves. A few: each of them may hold us up for
 * a while, and then goes without. */
bool pubsub_publish_waits(struct pubsub *ps, struct slice topic, uint64_t now)
{
    const struct topic *tp = topic_find(&ps->topics, topic);
    uint64_t waited_ns = ps->held_at_ns ? now - ps->held_at_ns : 0;
    struct behind b = {0};
    bool is_few;

    ps->now = now;
    if (tp && !ps->is_leaving)
        b = who_is_behind(ps, tp, waited_ns);
    is_few = b.full * 2 <= b.targets;
    ps->held_at_ns = is_few && b.has_patience ? now : 0;
    return is_few ? b.has_patience : b.is_moving;
}

void backlog_heartbeat(struct pubsub *ps)
{
    LIST_EACH(it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);
        p->held_ns -= p->held_ns < HOLD_RENEW_NS ? p->held_ns : HOLD_RENEW_NS;
        if (p->held_ns > HOLD_FEW_NS)
            p->held_ns = HOLD_FEW_NS;
        peer_feed(ps, p);
    }
}

void pubsub_peer_queue(struct pubsub *ps, pubsub_peer handle, uint64_t queued_bytes, uint64_t now)
{
    struct peer *p = peer_find(ps, handle);

    ps->now = now;
    if (!p)
        return;
    if (queued_bytes < p->queued_bytes || has_room(ps, p))
        p->moved_ns = now;
    p->queued_bytes = queued_bytes;
    if (p->later.count)
        peer_feed(ps, p);
}
