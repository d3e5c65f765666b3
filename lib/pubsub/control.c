/* control.c: what peers say of topics, meshes and messages, and what that changes */
#include "pubsub/core.h"

#include <math.h>

/* The shorter of the two lists that meet in the link. */
struct link *link_find(const struct peer *p, const struct topic *tp)
{
    if (p->nlinks <= tp->npeers) {
        LIST_EACH(it, &p->links)
            if (CONTAINER_OF(it, struct link, by_peer)->topic == tp)
                return CONTAINER_OF(it, struct link, by_peer);
    } else {
        LIST_EACH(it, &tp->links)
            if (CONTAINER_OF(it, struct link, by_topic)->peer == p)
                return CONTAINER_OF(it, struct link, by_topic);
    }
    return NULL;
}

static bool is_topic_name(struct slice topic)
{
    return topic.len && topic.len <= PUBSUB_TOPIC_MAX;
}

/* The link, made when it is new. NULL: over a limit or no memory. */
static struct link *link_get(struct pubsub *ps, struct peer *p, struct slice name)
{
    struct topic *tp = topic_find(&ps->topics, name);
    struct link *l = tp ? link_find(p, tp) : NULL;

    if (l)
        return l;
    if (p->nlinks >= limit_max(LIMIT_TOPICS)) {
        ps->c.limits[LIMIT_TOPICS]++;
        ps->c.lists_cut++;
        return NULL;
    }
    if (!tp && !(tp = topic_get(&ps->topics, name, TOPICS_OF_PEERS_MAX))) {
        ps->c.lists_cut++;
        return NULL;
    }
    l = link_add(tp, p, &p->links);
    if (!l) {
        ps->c.no_memory++;
        topic_release(&ps->topics, tp);
        return NULL;
    }
    p->nlinks++;
    l->is_new = p->has_new = true;
    return l;
}

static void subscription(struct pubsub *ps, struct peer *p, const struct rpc_item *it)
{
    if (!is_topic_name(it->topic)) {
        ps->c.control_ignored++;
        return;
    }
    /* It is in as many topics as it may be: a peer with more says so once, when it comes, which is no change of anything. */
    if (it->type == RPC_SUBSCRIBE && p->nlinks >= limit_max(LIMIT_TOPICS)) {
        ps->c.limits[LIMIT_TOPICS]++;
        ps->c.lists_cut++;
        return;
    }
    /* Nobody tells a change twice: what is past the limit is made all the same, and a flood ends the connection. On the next one all is
     * told anew. */
    if (!peer_take(ps, p, LIMIT_SUBSCRIPTIONS, 1) && limits_is_flood(&p->limits, LIMIT_SUBSCRIPTIONS)) {
        peer_cut(ps, p, "its subscriptions change too often");
        return;
    }
    if (it->type == RPC_SUBSCRIBE) {
        link_get(ps, p, it->topic);
        return;
    }
    struct topic *tp = topic_find(&ps->topics, it->topic);
    struct link *l = tp ? link_find(p, tp) : NULL;
    bool was_member;
    if (!l)
        return;
    was_member = mesh_lost(ps, l);
    link_free(l);
    p->nlinks--;
    if (was_member)
        mesh_refill(ps, tp);
    topic_release(&ps->topics, tp);
}

void control_announced(struct pubsub *ps, struct peer *p)
{
    if (!p->has_new)
        return;
    p->has_new = false;
    LIST_EACH(it, &p->links) {
        struct link *l = CONTAINER_OF(it, struct link, by_peer);
        struct topic *tp = l->topic;
        if (!l->is_new)
            continue;
        l->is_new = false;
        if (ps->is_leaving || p->is_closing || link_is_mesh(l))
            continue;
        if (tp->is_subscribed && tp->nmesh < ps->mesh.lo && mesh_is_candidate(ps, l)) {
            mesh_graft(ps, l, false); /* not at the next heartbeat: a first message may come before it */
            continue;
        }
        if (!tp->is_subscribed && tp->published_ns && tp->nmesh < ps->mesh.d && fanout_is_candidate(ps, l)) {
            link_mesh_add(l);
            if (ps->coded && p->proto == PUBSUB_CODED_1)
                coded_grafted(ps->coded, p->handle, topic_slice(tp), ps->now);
        }
        relay_offer(ps, l, true);
    }
}

static void refuse_graft(struct pubsub *ps, struct peer *p, struct slice topic, bool has_px)
{
    backoff_add(&ps->backoff, topic, &p->id, BACKOFF_PRUNE_S * SECOND_NS, ps->now);
    peer_send_prune(ps, p, topic, BACKOFF_PRUNE_S, has_px);
}

static void graft(struct pubsub *ps, struct peer *p, struct slice topic)
{
    struct topic *tp = is_topic_name(topic) ? topic_find(&ps->topics, topic) : NULL;
    struct link *l;
    bool is_answer;
    uint64_t until;

    ps->c.graft_in++;
    /* No PRUNE: an unknown topic must not buy an answer. */
    if (!peer_take(ps, p, LIMIT_GRAFTS, 1) || !tp || !tp->is_subscribed || ps->is_leaving) {
        ps->c.control_ignored++;
        return;
    }
    l = link_get(ps, p, topic); /* a GRAFT says that it is subscribed, even if the announcement got lost */
    if (!l)
        return;
    is_answer = mesh_has_asked(ps, l);
    l->has_asked = false;
    if (link_is_mesh(l))
        return;
    until = backoff_until(&ps->backoff, topic, &p->id, ps->now);
    if (until && !is_answer) {
        bool is_flood = until > ps->now + BACKOFF_PRUNE_S * SECOND_NS - GRAFT_FLOOD_NS;
        ps->c.backoff_violations++;
        peer_penalize(ps, p, is_flood ? 2 : 1);
        refuse_graft(ps, p, topic, false);
        return;
    }
    if (p->is_direct || peer_score(ps, p) < 0) {
        refuse_graft(ps, p, topic, false);
        return;
    }
    if (!is_answer && !mesh_make_room(ps, tp, p)) {
        refuse_graft(ps, p, topic, true);
        return;
    }
    l->is_new = false;
    mesh_graft(ps, l, true);
    if (is_answer)
        mesh_got_place(ps, l);
}

void control_need(struct pubsub *ps, struct peer *p, struct slice body)
{
    struct slice topic;
    struct topic *tp;
    struct link *l;

    ps->c.needy_in++;
    if (!rpc_need_read(body, &topic) || !is_topic_name(topic)) {
        trace_message(ps, TRACE_REJECT_MESSAGE, p, (struct slice){0}, (struct slice){0}, "coded: bad topic", 0);
        peer_penalize(ps, p, INFINITY);
        return;
    }
    tp = topic_find(&ps->topics, topic);
    l = tp ? link_find(p, tp) : NULL;
    if (!peer_take(ps, p, LIMIT_GRAFTS, 1) || !l || !tp->is_subscribed || ps->is_leaving) {
        ps->c.control_ignored++;
        return;
    }
    mesh_give_place(ps, l);
}

static void prune(struct pubsub *ps, struct peer *p, const struct rpc_item *it)
{
    struct topic *tp = is_topic_name(it->topic) ? topic_find(&ps->topics, it->topic) : NULL;
    struct link *l = tp ? link_find(p, tp) : NULL;
    uint64_t backoff_s = it->backoff_s ? it->backoff_s : BACKOFF_PRUNE_S;
    bool was_member;

    ps->c.prune_in++;
    if (!peer_take(ps, p, LIMIT_GRAFTS, 1) || !tp || !tp->is_subscribed) {
        ps->c.control_ignored++;
        return;
    }
    was_member = l && mesh_lost(ps, l); /* no link: it unsubscribed in the same RPC */
    if (backoff_s > BACKOFF_MAX_S)
        backoff_s = BACKOFF_MAX_S;
    backoff_add(&ps->backoff, it->topic, &p->id, backoff_s * SECOND_NS, ps->now);
    if (was_member)
        mesh_refill(ps, tp);
    px_input(ps, p, it->body);
}

#define IDS_BATCH 256

/* IWANTs for those ids: as many in one as may be answered in one RPC (peers of ours answer in many). */
static void ask_for(struct pubsub *ps, struct peer *p, const struct slice *ids, unsigned n)
{
    unsigned most = p->proto == PUBSUB_CODED_1 ? IDS_BATCH : IWANT_ANSWER_BYTES / ps->cfg.max_msg_bytes;

    most = most ? most : 1;
    for (unsigned i = 0; i < n; i += most)
        peer_send_ids(ps, p, CONTROL_F_IWANT, (struct slice){0}, ids + i, n - i < most ? n - i : most);
    ps->c.iwant_out += n;
}

/* Asks for what is offered and new, IDS_BATCH ids at a time; a random one of each batch is a promise. */
static void ihave(struct pubsub *ps, struct peer *p, const struct rpc_item *it, bool is_first)
{
    const struct topic *tp = is_topic_name(it->topic) ? topic_find(&ps->topics, it->topic) : NULL;
    struct rpc_ids ids = it->ids;
    struct slice batch[IDS_BATCH], id;
    bool is_doubtful = p->doubt > DOUBT_MIN;
    unsigned n = 0;

    ps->c.ihave_in++;
    if (!peer_take(ps, p, LIMIT_IHAVE_RPCS, is_first) || peer_score(ps, p) < ps->thresholds.gossip || !tp ||
        !tp->is_subscribed) {
        ps->c.control_ignored++;
        return;
    }
    for (bool more = true; more;) {
        more = rpc_ids_next(&ids, &id);
        if (more && p->limits.used[LIMIT_IHAVE_IDS] >= limit_max(LIMIT_IHAVE_IDS)) {
            ps->c.limits[LIMIT_IHAVE_IDS]++;
            ps->c.lists_cut++;
            more = false;
        }
        if (more && id.len && id.len <= MESSAGE_ID_MAX) {
            struct msgkey key = key_of_id(ps, id);
            if (!seen_has(&ps->seen, key, ps->now) && want_offered(&ps->wants, key, id, p->handle, is_doubtful, ps->tick)) {
                batch[n++] = id;
                peer_take(ps, p, LIMIT_IHAVE_IDS, 1);
            }
        }
        if (n == IDS_BATCH || (!more && n)) {
            promises_add(&ps->promises, p->handle, key_of_id(ps, batch[rng_below(ps->rng, n)]), ps->now);
            ask_for(ps, p, batch, n);
            n = 0;
        }
    }
}

static void iwant(struct pubsub *ps, struct peer *p, const struct rpc_item *it)
{
    struct rpc_ids ids = it->ids;
    struct slice id;

    if (peer_score(ps, p) < ps->thresholds.gossip) {
        ps->c.control_ignored++;
        return;
    }
    while (rpc_ids_next(&ids, &id)) {
        ps->c.iwant_in++;
        if (!peer_take(ps, p, LIMIT_IWANT_IDS, 1)) {
            ps->c.lists_cut++;
            continue; /* to be counted: asking on and on is a flood */
        }
        struct msgkey key = key_of_id(ps, id);
        struct message *m = mcache_get(&ps->mcache, key);
        if (!m || unwanted_has(&p->unwanted, key, ps->tick))
            continue;
        if (!mcache_serve(m, p->handle)) {
            peer_take(ps, p, LIMIT_IWANT_REPEATS, 1);
            continue;
        }
        ps->c.iwant_served += peer_send_message(ps, p, m);
    }
}

static void idontwant(struct pubsub *ps, struct peer *p, const struct rpc_item *it, bool is_first)
{
    struct rpc_ids ids = it->ids;
    struct slice id;

    if (!peer_take(ps, p, LIMIT_IDONTWANT_RPCS, is_first)) {
        ps->c.control_ignored++;
        return;
    }
    while (rpc_ids_next(&ids, &id)) {
        ps->c.idontwant_in++;
        if (!peer_take(ps, p, LIMIT_IDONTWANT_IDS, 1) || !unwanted_add(&p->unwanted, key_of_id(ps, id), ps->tick))
            ps->c.lists_cut++;
    }
}

/* v1.3: once, in the first RPC. Later ones change nothing, and a second one breaks the rule. */
static void extensions(struct pubsub *ps, struct peer *p, struct slice body)
{
    if (p->proto != PUBSUB_MESHSUB_13)
        return; /* an unknown field to earlier versions */
    if (p->has_spoken || p->has_extensions) {
        ps->c.extensions_bad++;
        if (p->has_extensions)
            peer_penalize(ps, p, 1);
        return;
    }
    ps->c.extensions_in++;
    p->has_extensions = true;
    if (!ps->cfg.has_test_extension || !rpc_extensions_has_test(body))
        return;
    struct wr w = outq_subs(&p->out, 16);
    pb_put_head(&w, EXTENSIONS_F_TEST, 0);
    outq_subs_commit(&p->out, &w);
    ps->c.no_memory += w.bad;
    peer_mark_dirty(ps, p);
}

void control_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, bool is_first_of_type)
{
    switch (it->type) {
    case RPC_SUBSCRIBE:
    case RPC_UNSUBSCRIBE: subscription(ps, p, it); break;
    case RPC_GRAFT: graft(ps, p, it->topic); break;
    case RPC_PRUNE: prune(ps, p, it); break;
    case RPC_IHAVE: ihave(ps, p, it, is_first_of_type); break;
    case RPC_IWANT: iwant(ps, p, it); break;
    case RPC_IDONTWANT: idontwant(ps, p, it, is_first_of_type); break;
    case RPC_EXTENSIONS: extensions(ps, p, it->body); break;
    case RPC_MESSAGE:
    case RPC_EXTENSION: break; /* not control */
    }
}
