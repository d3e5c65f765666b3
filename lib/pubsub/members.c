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

void mesh_graft(struct pubsub *ps, struct link *l, enum mesh_reason why)
{
    struct slice topic = topic_slice(l->topic);

    link_mesh_add(l);
    score_graft(&ps->scores, l->peer->score, l->topic->subject, ps->now);
    trace_peer(ps, TRACE_GRAFT, l->peer, topic);
    if (why != MESH_ASKED)
        peer_send_graft(ps, l->peer, topic, why == MESH_IN_NEED);
    relay_offer(ps, l, false);
    if (ps->coded && l->peer->proto == PUBSUB_CODED_1)
        coded_grafted(ps->coded, l->peer->handle, topic, ps->now);
}

void mesh_lost(struct pubsub *ps, struct link *l)
{
    bool is_member = link_is_mesh(l) && l->topic->is_subscribed; /* else it is the fanout's */

    link_mesh_del(l);
    if (!is_member)
        return;
    score_prune(&ps->scores, l->peer->score, l->topic->subject);
    trace_peer(ps, TRACE_PRUNE, l->peer, topic_slice(l->topic));
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
        mesh_graft(ps, ps->cand[i].link, MESH_OURS);
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
        mesh_graft(ps, ps->cand[i].link, MESH_OURS);
        ps->c.opportunistic_grafts++;
    }
}

static bool may_need(const struct pubsub *ps, const struct link *l)
{
    return !link_is_mesh(l) && l->peer->proto == PUBSUB_CODED_1 && !l->peer->is_closing && !l->peer->is_direct && peer_score(ps, l->peer) >= 0;
}

/* Too few, and nobody whom we may graft: all have refused or pruned us within their backoff, as it comes to pass where Dhi is near D and
 * peers are few. Such a mesh may be in pieces, over which messages come by gossip alone. Peers of ours have a place for this. */
static void graft_in_need(struct pubsub *ps, struct topic *tp)
{
    if (ps->tick - tp->need_tick < tp->need_pause || !mesh_pick(ps->cand, topic_candidates(ps, tp, may_need), 1, ps->rng))
        return;
    tp->need_tick = ps->tick;
    tp->need_pause = tp->need_pause ? tp->need_pause * 2 : 1;
    if (tp->need_pause > NEED_PAUSE_TICKS)
        tp->need_pause = NEED_PAUSE_TICKS;
    ps->c.needy_out++;
    mesh_graft(ps, ps->cand[0].link, MESH_IN_NEED);
}

/* What was done for this mesh since the last heartbeat. */
static struct topic_beat *beat_of(const struct pubsub *ps, struct topic *tp)
{
    if (tp->beat.tick != ps->tick)
        tp->beat = (struct topic_beat){.tick = ps->tick};
    return &tp->beat;
}

void mesh_refill(struct pubsub *ps, struct topic *tp)
{
    struct topic_beat *b = beat_of(ps, tp);

    if (!tp->is_subscribed || ps->is_leaving || tp->nmesh >= ps->mesh.lo || b->refills >= ps->mesh.hi)
        return;
    b->refills++;
    ps->c.refills++;
    if (!graft_some(ps, tp, 1, mesh_is_candidate))
        graft_in_need(ps, tp);
}

void mesh_upkeep(struct pubsub *ps, struct topic *tp)
{
    const struct mesh_params *mp = &ps->mesh;

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (l->is_needy && ps->tick - l->needy_tick >= NEEDY_TICKS)
            link_set_needy(l, false);
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
        graft_in_need(ps, tp);
    else
        tp->need_pause = 0;
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

/* The member with the lowest score, of equals the one that came last, so that those who come do not drive out those who are there. Outbound
 * ones only beyond Dout; NULL: there is none. */
static struct link *least_member(struct pubsub *ps, struct topic *tp)
{
    bool has_spare_outbound = count_outbound(tp) > ps->mesh.out;
    struct link *least = NULL;
    double score = 0;

    LIST_EACH(it, &tp->mesh) {
        struct link *l = CONTAINER_OF(it, struct link, by_mesh);
        if (l->is_needy || (l->peer->is_outbound && !has_spare_outbound))
            continue;
        if (!least || peer_score(ps, l->peer) <= score) {
            least = l;
            score = peer_score(ps, l->peer);
        }
    }
    return least;
}

bool mesh_has_place(const struct pubsub *ps, const struct topic *tp, const struct peer *p)
{
    return mesh_has_room(&ps->mesh, tp->nmesh - tp->nneedy, p->is_outbound);
}

bool mesh_make_room(struct pubsub *ps, struct topic *tp, const struct peer *p)
{
    struct topic_beat *b = beat_of(ps, tp);
    struct link *least;

    if (mesh_has_place(ps, tp, p))
        return true;
    if (tp->nmesh - tp->nneedy <= ps->mesh.d || b->has_made_room)
        return false;
    least = least_member(ps, tp);
    if (!least)
        return false;
    b->has_made_room = true;
    ps->c.made_room++;
    mesh_prune(ps, least, BACKOFF_PRUNE_S, true);
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
    topic_set_published(&ps->topics, tp, 0);
    /* The fanout's good peers become mesh members first. */
    unsigned n = topic_candidates(ps, tp, is_member);
    LIST_EACH(it, &tp->mesh)
        link_mesh_del(CONTAINER_OF(it, struct link, by_mesh));
    for (unsigned i = 0; i < n; i++)
        if (mesh_is_candidate(ps, ps->cand[i].link))
            mesh_graft(ps, ps->cand[i].link, MESH_OURS);
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
