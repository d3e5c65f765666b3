/* heartbeat.c: once a second: budgets, scores, meshes, fanouts, gossip, expiry */
#include "pubsub/core.h"

static void renew_budgets(struct pubsub *ps)
{
    ps->px_dials = 0;
    LIST_EACH(it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);
        limits_renew(&p->limits);
        p->doubt *= DOUBT_DECAY;
        p->has_promised = false;
        unwanted_expire(&p->unwanted, ps->tick);
    }
}

static void give_up_late_verdicts(struct pubsub *ps)
{
    struct pending_message *pm;

    while ((pm = pending_late(&ps->pending, VALIDATION_NS, ps->now))) {
        ps->c.validation_expired++;
        relay_judged(ps, pm, PUBSUB_IGNORE);
    }
}

static void note_slow_peers(struct pubsub *ps)
{
    LIST_EACH(it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);
        p->slow_beats = peer_is_slow(ps, p) ? p->slow_beats + 1 : 0;
    }
}

static void punish_broken_promises(struct pubsub *ps)
{
    pubsub_peer handle;

    while ((handle = promises_broken(&ps->promises, ps->now))) {
        struct peer *p = peer_find(ps, handle);
        ps->c.promises_broken++;
        if (p) {
            p->doubt += 1;
            peer_penalize(ps, p, 1);
        }
    }
}

/* Asked after the others from now on: not a punishment, it may just be slow. */
static void doubt(struct pubsub *ps, pubsub_peer handle, double how_much)
{
    struct peer *p = peer_find(ps, handle);

    if (p)
        p->doubt += how_much;
}

static void ask_again(struct pubsub *ps)
{
    const struct want *w;
    pubsub_peer handle;

    while ((w = want_retry(&ps->wants, ps->tick, &handle))) {
        struct peer *p = peer_find(ps, handle);
        struct slice id = slice_of(w->id, w->id_len);
        for (unsigned i = 0; i < w->nfailed; i++)
            doubt(ps, w->sources[w->failed_at + i], DOUBT_LATE);
        if (!p || peer_score(ps, p) < ps->thresholds.gossip)
            continue; /* its turn is over; the next source comes at the next retry */
        if (p->limits.used[LIMIT_IHAVE_IDS] >= limit_max(LIMIT_IHAVE_IDS)) {
            ps->c.limits[LIMIT_IHAVE_IDS]++;
            continue;
        }
        peer_take(ps, p, LIMIT_IHAVE_IDS, 1);
        /* One in doubt, whose offer is fresh: its word counts like anybody's, or it could lie on for nothing. */
        if (w->asked == 1 && !w->rounds && !p->has_promised) {
            p->has_promised = true;
            promises_add(&ps->promises, handle, w->key, ps->now);
        }
        peer_send_ids(ps, p, CONTROL_F_IWANT, (struct slice){0}, &id, 1);
        ps->c.iwant_out++;
    }
}

static void fanout_upkeep(struct pubsub *ps, struct topic *tp)
{
    bool is_crowded = ps->topics.npublished > TOPICS_PUBLISHED_MAX / 2;
    bool is_over = ps->now - tp->published_ns >= (is_crowded ? FANOUT_CROWDED_NS : FANOUT_TTL_NS);

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (is_over || peer_score(ps, l->peer) < ps->thresholds.publish)
            link_mesh_del(l);
    }
    if (is_over)
        topic_set_published(&ps->topics, tp, 0);
    else
        fanout_fill(ps, tp);
}

/* Those who do not get the messages themselves, and those who missed some. */
static bool is_gossip_target(const struct pubsub *ps, const struct link *l)
{
    return ((!link_is_mesh(l) && !l->peer->is_direct) || l->peer->has_lost) && !l->peer->is_closing && peer_score(ps, l->peer) >= ps->thresholds.gossip;
}

static unsigned gossip_ids(const struct pubsub *ps, const struct topic *tp, struct slice *ids, unsigned cap)
{
    unsigned n = 0;

    for (struct message *m = NULL; n < cap && (m = kept_older(tp, m)) && mcache_is_gossiped(&ps->mcache, m);)
        ids[n++] = slice_of(m->id, m->id_len);
    return n;
}

static void emit_gossip(struct pubsub *ps, struct topic *tp)
{
    struct slice ids[IHAVE_TOLD_MAX];
    unsigned n = gossip_ids(ps, tp, ids, IHAVE_TOLD_MAX), targets;

    if (!n)
        return;
    targets = topic_candidates(ps, tp, is_gossip_target);
    targets = mesh_pick(ps->cand, targets, mesh_gossip_targets(&ps->mesh, targets), ps->rng);
    for (unsigned i = 0; i < targets; i++) {
        struct peer *p = ((struct link *)ps->cand[i].link)->peer;
        if (peer_is_slow(ps, p))
            continue;
        for (unsigned at = 0; at < n; at += IHAVE_CHUNK) {
            peer_send_ids(ps, p, CONTROL_F_IHAVE, topic_slice(tp), ids + at, n - at < IHAVE_CHUNK ? n - at : IHAVE_CHUNK);
            ps->c.ihave_out++;
        }
    }
}

static void each_topic(struct pubsub *ps)
{
    LIST_EACH(it, &ps->topics.all) {
        struct topic *tp = CONTAINER_OF(it, struct topic, node);
        if (tp->is_subscribed && !ps->is_leaving)
            mesh_upkeep(ps, tp);
        else if (tp->published_ns)
            fanout_upkeep(ps, tp);
        if (!ps->is_leaving)
            emit_gossip(ps, tp);
        topic_release(&ps->topics, tp);
    }
}

/* Gossip of all topics has told it for as long as it tells anyone of a message. */
static void forget_losses(struct pubsub *ps)
{
    LIST_EACH(it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);
        if (p->has_lost && !peer_is_slow(ps, p) && ++p->told_beats >= MCACHE_GOSSIP_TICKS)
            p->has_lost = false;
    }
}

void heartbeat_run(struct pubsub *ps)
{
    ps->tick++;
    renew_budgets(ps);
    wishes_heartbeat(ps);
    scores_tick(&ps->scores, ps->now);
    backoff_expire(&ps->backoff, ps->now);
    punish_broken_promises(ps);
    backlog_heartbeat(ps);
    note_slow_peers(ps);
    give_up_late_verdicts(ps);
    ask_again(ps);
    each_topic(ps);
    forget_losses(ps);
    mcache_shift(&ps->mcache);
    relay_evict(ps);
    seen_expire(&ps->seen, ps->now);
    seen_expire(&ps->published, ps->now);
    if (ps->coded)
        coded_heartbeat(ps->coded, ps->now);
}
