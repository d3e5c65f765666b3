/* members.c: who is in the mesh of a topic, as it changes by our own doing */
#include "pubsub/core.h"

#include <stdlib.h>

bool mesh_is_candidate(const struct pubsub *ps, const struct link *l)
{
    return !link_is_mesh(l) && !l->peer->is_closing && !l->peer->is_direct && peer_score(ps, l->peer) >= 0 &&
           !backoff_has(&ps->backoff, topic_slice(l->topic), &l->peer->id, ps->now);
}

unsigned topic_candidates(struct pubsub *ps, const struct topic *tp,
                          bool (*want)(const struct pubsub *ps, const struct link *l))
{
    unsigned n = 0;

    if (tp->npeers > ps->cand_cap) {
        struct mesh_candidate *c = realloc(ps->cand, tp->npeers * 2 * sizeof(*c));
        if (!c) {
            ps->c.no_memory++;
            return 0;
        }
        ps->cand = c;
        ps->cand_cap = tp->npeers * 2;
    }
    LIST_EACH(it, &tp->links) {
        struct link *l = CONTAINER_OF(it, struct link, by_topic);
        if (want(ps, l))
            ps->cand[n++] = (struct mesh_candidate){l, peer_score(ps, l->peer), l->peer->is_outbound};
    }
    return n;
}

void mesh_graft(struct pubsub *ps, struct link *l, bool is_asked)
{
    struct slice topic = topic_slice(l->topic);

    link_mesh_add(l);
    score_graft(&ps->scores, l->peer->score, l->topic->subject, ps->now);
    trace_peer(ps, TRACE_GRAFT, l->peer, topic);
    if (!is_asked)
        peer_send_graft(ps, l->peer, topic);
    relay_offer(ps, l, false);
    if (ps->coded && l->peer->proto == PUBSUB_CODED_1)
        coded_grafted(ps->coded, l->peer->handle, topic, ps->now);
}

bool mesh_lost(struct pubsub *ps, struct link *l)
{
    bool is_member = link_is_mesh(l) && l->topic->is_subscribed; /* else it is the fanout's */

    link_mesh_del(l);
    if (!is_member)
        return false;
    score_prune(&ps->scores, l->peer->score, l->topic->subject);
    trace_peer(ps, TRACE_PRUNE, l->peer, topic_slice(l->topic));
    return true;
}

void mesh_prune(struct pubsub *ps, struct link *l, uint64_t backoff_s, bool has_px)
{
    struct slice topic = topic_slice(l->topic);

    mesh_lost(ps, l);
    backoff_add(&ps->backoff, topic, &l->peer->id, backoff_s * SECOND_NS, ps->now);
    peer_send_prune(ps, l->peer, topic, backoff_s, has_px);
}

/* Of the mesh, or of the fanout. */
static bool is_member(const struct pubsub *ps, const struct link *l)
{
    return link_is_mesh(l);
}

static bool is_exchangeable(const struct pubsub *ps, const struct link *l)
{
    return link_is_mesh(l) && !l->is_needy;
}

static bool is_outbound_candidate(const struct pubsub *ps, const struct link *l)
{
    return l->peer->is_outbound && mesh_is_candidate(ps, l);
}

static unsigned graft_some(struct pubsub *ps, struct topic *tp, unsigned want,
                           bool (*may)(const struct pubsub *ps, const struct link *l))
{
    unsigned n = topic_candidates(ps, tp, may);

    n = mesh_pick(ps->cand, n, want, ps->rng);
    for (unsigned i = 0; i < n; i++)
        mesh_graft(ps, ps->cand[i].link, false);
    return n;
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
    unsigned n = tp->nmesh > 1 ? topic_candidates(ps, tp, is_member) : 0, better = 0;
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

/* What was done for this mesh since the last heartbeat. */
static struct topic_beat *beat_of(const struct pubsub *ps, struct topic *tp)
{
    if (tp->beat.tick != ps->tick)
        tp->beat = (struct topic_beat){.tick = ps->tick};
    return &tp->beat;
}

/* For one more, who takes no place kept for those in need. */
static bool has_room(const struct pubsub *ps, const struct topic *tp)
{
    return tp->nmesh - tp->nneedy < ps->mesh.hi;
}

static void retry_later(struct topic_retry *r, uint32_t tick)
{
    r->tick = tick;
    r->pause = r->pause ? 2 * r->pause : 1;
    if (r->pause > RETRY_TICKS_MAX)
        r->pause = RETRY_TICKS_MAX;
}

/* May it be asked for a place? Only peers of ours know the question. */
static bool may_give(const struct pubsub *ps, const struct link *l)
{
    return !link_is_mesh(l) && l->peer->proto == PUBSUB_CODED_1 && !l->peer->is_closing && !l->peer->is_direct && peer_score(ps, l->peer) >= 0;
}

static void ask_for_place(struct pubsub *ps, struct link *l)
{
    l->has_asked = true;
    l->asked_tick = ps->tick;
    ps->c.needy_out++;
    peer_send_need(ps, l->peer, topic_slice(l->topic));
}

/* Too few, and nobody whom we may graft: all have refused or pruned us within their backoff, as it comes to pass where Dhi is near D and
 * peers are few. Such a mesh may be in pieces, over which messages come by gossip alone. */
static void ask_in_need(struct pubsub *ps, struct topic *tp)
{
    struct topic_beat *b = beat_of(ps, tp);
    unsigned n;

    if (b->has_needed || ps->tick - tp->need.tick < tp->need.pause)
        return;
    n = topic_candidates(ps, tp, may_give);
    if (!mesh_pick(ps->cand, n, 1, ps->rng))
        return;
    b->has_needed = true;
    retry_later(&tp->need, ps->tick);
    ask_for_place(ps, ps->cand[0].link);
}

static void keep_needy(struct pubsub *ps, struct link *l)
{
    link_set_needy(l, true);
    l->was_needy = true;
    l->needy_tick = ps->tick;
}

bool mesh_has_asked(const struct pubsub *ps, const struct link *l)
{
    return l->has_asked && ps->tick - l->asked_tick <= ASKED_TICKS;
}

void mesh_got_place(struct pubsub *ps, struct link *l)
{
    struct topic *tp = l->topic;

    tp->need.pause = 0;
    if (tp->nneedy < NEEDY_MAX)
        keep_needy(ps, l);
}

void mesh_give_place(struct pubsub *ps, struct link *l)
{
    const struct topic *tp = l->topic;
    bool is_rested = !l->was_needy || ps->tick - l->needy_tick >= 2 * NEEDY_TICKS;

    if (!may_give(ps, l))
        return;
    if (tp->nmesh < ps->mesh.lo || (mesh_is_candidate(ps, l) && has_room(ps, tp))) {
        mesh_graft(ps, l, false);
    } else if (tp->nneedy < NEEDY_MAX && is_rested) {
        ps->c.needy_taken++;
        mesh_graft(ps, l, false);
        keep_needy(ps, l);
    } else {
        ps->c.needy_refused++;
    }
}

/* It was pruned or refused a moment ago: what it sent before it knew says nothing. */
static bool is_backoff_fresh(const struct pubsub *ps, const struct link *l)
{
    uint64_t until = backoff_until(&ps->backoff, topic_slice(l->topic), &l->peer->id, ps->now);

    return until > ps->now + (BACKOFF_PRUNE_S - FRESH_S) * SECOND_NS;
}

void mesh_missed(struct pubsub *ps, struct topic *tp, struct peer *p)
{
    struct topic_retry *r = &tp->missed;
    bool may_ask = !beat_of(ps, tp)->has_needed, is_full = !has_room(ps, tp);
    struct link *l = NULL;

    if (tp->is_subscribed && !ps->is_leaving && tp->nmesh <= MAY_SPLIT_MAX && (!is_full || tp->nneedy < NEEDY_MAX) && ps->tick - r->tick >= r->pause)
        l = link_find(p, tp);
    if (!l || link_is_mesh(l) || is_backoff_fresh(ps, l) || !(mesh_is_candidate(ps, l) || (may_ask && may_give(ps, l))))
        return;
    if (ps->tick - r->tick > 4 * r->pause)
        r->pause = 0; /* long ago */
    retry_later(r, ps->tick);
    ps->c.missed_grafts++;
    if (!mesh_is_candidate(ps, l)) {
        beat_of(ps, tp)->has_needed = true;
        ask_for_place(ps, l);
        return;
    }
    mesh_graft(ps, l, false);
    if (is_full)
        keep_needy(ps, l);
}

void mesh_refill(struct pubsub *ps, struct topic *tp)
{
    struct topic_beat *b = beat_of(ps, tp);

    if (!tp->is_subscribed || ps->is_leaving || tp->nmesh >= ps->mesh.lo || b->refills >= ps->mesh.hi)
        return;
    b->refills++;
    if (graft_some(ps, tp, 1, mesh_is_candidate))
        ps->c.refills++;
    else
        ask_in_need(ps, tp);
}

/* Its time is over: a member like the others now, if there is room. False: it left. */
static bool end_place(struct pubsub *ps, struct link *l)
{
    bool may_stay = has_room(ps, l->topic);

    link_set_needy(l, false);
    if (!may_stay)
        mesh_prune(ps, l, BACKOFF_PRUNE_S, true);
    return may_stay;
}

void mesh_upkeep(struct pubsub *ps, struct topic *tp)
{
    const struct mesh_params *mp = &ps->mesh;

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (l->is_needy && ps->tick - l->needy_tick >= NEEDY_TICKS && !end_place(ps, l))
            continue;
        if (peer_score(ps, l->peer) < 0) {
            mesh_prune(ps, l, BACKOFF_PRUNE_S, false);
        } else if (l->peer->slow_beats >= SLOW_BEATS_MAX && tp->nmesh > mp->lo) { /* when all are slow it is us */
            ps->c.slow_pruned++;
            mesh_prune(ps, l, BACKOFF_PRUNE_S, true);
        }
    }
    if (tp->nmesh < mp->lo)
        graft_some(ps, tp, mp->d - tp->nmesh, mesh_is_candidate);
    if (tp->nmesh < mp->lo)
        ask_in_need(ps, tp);
    else
        tp->need.pause = 0;
    if (tp->nmesh - tp->nneedy > mp->hi) {
        unsigned n = topic_candidates(ps, tp, is_exchangeable);
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

/* The member that came last, whatever the scores: those who come do not drive out those who are there. Outbound ones only beyond Dout; NULL: there
 * is none. */
static struct link *newest_member(const struct pubsub *ps, const struct topic *tp)
{
    bool has_spare_outbound = count_outbound(tp) > ps->mesh.out;
    struct link *newest = NULL;

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (!l->is_needy && (has_spare_outbound || !l->peer->is_outbound))
            newest = l;
    }
    return newest;
}

bool mesh_make_room(struct pubsub *ps, struct topic *tp, const struct peer *p)
{
    struct topic_beat *b = beat_of(ps, tp);
    struct link *newest;

    if (mesh_has_room(&ps->mesh, tp->nmesh - tp->nneedy, p->is_outbound))
        return true;
    if (tp->nmesh - tp->nneedy <= ps->mesh.d || b->has_made_room)
        return false;
    newest = newest_member(ps, tp);
    if (!newest)
        return false;
    b->has_made_room = true;
    ps->c.made_room++;
    mesh_prune(ps, newest, BACKOFF_PRUNE_S, true);
    return true;
}

static struct score_subject subject_of(const struct pubsub *ps, const struct topic *tp)
{
    struct score_subject t = {siphash13(ps->topics.map.seed, topic_slice(tp)), &ps->scores.params.topic};

    for (unsigned i = 0; i < ps->cfg.ntopic_scores; i++)
        if (slice_is_equal(slice_str(ps->cfg.topic_scores[i].topic), topic_slice(tp)))
            t.params = &ps->cfg.topic_scores[i].params;
    return t;
}

void topic_join(struct pubsub *ps, struct topic *tp)
{
    trace_peer(ps, TRACE_JOIN, NULL, topic_slice(tp));
    tp->is_subscribed = true;
    tp->subject = subject_of(ps, tp);
    tp->need = tp->missed = (struct topic_retry){0};
    topic_set_published(&ps->topics, tp, 0);
    /* The fanout's good peers become mesh members first. */
    unsigned n = topic_candidates(ps, tp, is_member);
    LIST_EACH(it, &tp->mesh)
        link_mesh_del(CONTAINER_OF(it, struct link, by_mesh));
    for (unsigned i = 0; i < n; i++)
        if (mesh_is_candidate(ps, ps->cand[i].link))
            mesh_graft(ps, ps->cand[i].link, false);
    if (tp->nmesh < ps->mesh.d)
        graft_some(ps, tp, ps->mesh.d - tp->nmesh, mesh_is_candidate);
}

void topic_leave(struct pubsub *ps, struct topic *tp)
{
    trace_peer(ps, TRACE_LEAVE, NULL, topic_slice(tp));
    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        /* Leaving for good: the connection closes behind it, which takes us out of the peer's mesh. A PRUNE's backoff
         * would outlive us there: started again within it, our first GRAFT would be a violation, with its penalty and
         * a minute more. */
        if (ps->is_leaving)
            mesh_lost(ps, l);
        else
            mesh_prune(ps, l, BACKOFF_UNSUBSCRIBE_S, true);
    }
    tp->is_subscribed = false;
}
