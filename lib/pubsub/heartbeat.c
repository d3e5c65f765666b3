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

static bool is_mesh_member(const struct pubsub *ps, const struct link *l)
{
    return link_is_mesh(l);
}

static bool is_outbound_candidate(const struct pubsub *ps, const struct link *l)
{
    return l->peer->is_outbound && mesh_is_candidate(ps, l);
}

static void graft_some(struct pubsub *ps, struct topic *tp, unsigned want,
                       bool (*may)(const struct pubsub *ps, const struct link *l))
{
    unsigned n = topic_candidates(ps, tp, may);

    n = mesh_pick(ps->cand, n, want, ps->rng);
    for (unsigned i = 0; i < n; i++)
        mesh_graft(ps, ps->cand[i].link, false);
}

static unsigned count_outbound(const struct topic *tp)
{
    unsigned n = 0;

    LIST_EACH(it, &tp->mesh)
        n += CONTAINER_OF(it, struct link, by_mesh)->peer->is_outbound;
    return n;
}

/* A mesh may fill with peers that do nothing and break no rule. Peers outside it that did better, by what they brought
 * on being asked, are let in. */
static void graft_opportunistically(struct pubsub *ps, struct topic *tp)
{
    unsigned n = tp->nmesh > 1 ? topic_candidates(ps, tp, is_mesh_member) : 0, better = 0;
    double median;

    if (!n)
        return;
    median = mesh_median(ps->cand, n);
    if (median >= ps->thresholds.opportunistic_graft)
        return;
    n = topic_candidates(ps, tp, mesh_is_candidate);
    for (unsigned i = 0; i < n; i++)
        if (ps->cand[i].score > median)
            ps->cand[better++] = ps->cand[i];
    n = mesh_pick(ps->cand, better, OPPORTUNISTIC_PEERS, ps->rng);
    for (unsigned i = 0; i < n; i++) {
        mesh_graft(ps, ps->cand[i].link, false);
        ps->c.opportunistic_grafts++;
    }
}

static void mesh_upkeep(struct pubsub *ps, struct topic *tp)
{
    const struct mesh_params *mp = &ps->mesh;

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (peer_score(ps, l->peer) < 0) {
            mesh_prune(ps, l, BACKOFF_PRUNE_S, false);
        } else if (l->peer->slow_beats >= SLOW_BEATS_MAX && tp->nmesh > mp->lo) { /* when all are slow it is us */
            ps->c.slow_pruned++;
            mesh_prune(ps, l, BACKOFF_PRUNE_S, true);
        }
    }
    if (tp->nmesh < mp->lo)
        graft_some(ps, tp, mp->d - tp->nmesh, mesh_is_candidate);
    if (tp->nmesh > mp->hi) {
        unsigned n = topic_candidates(ps, tp, is_mesh_member);
        mesh_order_kept(ps->cand, n, mp, ps->rng);
        for (unsigned i = mp->d; i < n; i++)
            mesh_prune(ps, ps->cand[i].link, BACKOFF_PRUNE_S, true);
    }
    if (tp->nmesh >= mp->lo) {
        unsigned outbound = count_outbound(tp);
        if (outbound < mp->out)
            graft_some(ps, tp, mp->out - outbound, is_outbound_candidate);
    }
    if (ps->tick % OPPORTUNISTIC_TICKS == 0)
        graft_opportunistically(ps, tp);
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
