/* peers.c: peers that come and go, and what is queued for each */
#include "pubsub/core.h"

#include <math.h>
#include <stdlib.h>

static struct slice handle_key(const pubsub_peer *p)
{
    return slice_of(p, sizeof(*p));
}

struct peer *peer_find(const struct pubsub *ps, pubsub_peer p)
{
    return map_get(&ps->peers, handle_key(&p));
}

double peer_score(const struct pubsub *ps, const struct peer *p)
{
    return score_value(&ps->scores, p->score);
}

bool peer_is_graylisted(const struct pubsub *ps, const struct peer *p)
{
    return !p->is_direct && peer_score(ps, p) < ps->thresholds.graylist;
}

bool peer_take(struct pubsub *ps, struct peer *p, enum pubsub_limit limit, uint32_t n)
{
    enum limit_verdict v = limits_take(&p->limits, limit, n);

    if (v == LIMIT_WITHIN)
        return true;
    ps->c.limits[limit]++;
    if (v == LIMIT_FLOOD) {
        ps->c.floods++;
        peer_penalize(ps, p, FLOOD_SEVERITY);
    }
    return false;
}

void peer_mark_dirty(struct pubsub *ps, struct peer *p)
{
    if (!list_is_linked(&p->out.node) && !outq_is_empty(&p->out))
        list_push_back(&ps->dirty, &p->out.node);
}

void peer_cut(struct pubsub *ps, struct peer *p, const char *reason)
{
    struct event *ev = p->is_closing ? NULL : events_push(&ps->events, PUBSUB_DISCONNECT);

    if (!ev)
        return;
    p->is_closing = true;
    ev->out.peer = p->handle;
    ev->out.reason = reason;
}

void peer_penalize(struct pubsub *ps, struct peer *p, double severity)
{
    score_behaviour(p->score, severity);
    if (isinf(severity))
        peer_cut(ps, p, "broke the protocol");
}

static bool is_known(const struct pubsub *ps, pubsub_peer handle, const struct peer_id *id)
{
    if (peer_find(ps, handle))
        return true;
    LIST_EACH(it, &ps->peer_list)
        if (peer_id_is_equal(&CONTAINER_OF(it, struct peer, node)->id, id))
            return true;
    return false;
}

/* v1.3: what we can do goes in the first RPC, or it does not count. Alone: that message may be long, and a decoder that
 * keeps the last of two control fields must not lose a GRAFT or this. */
static void send_extensions(struct pubsub *ps, struct peer *p)
{
    struct wr w = outq_subs(&p->out, 32);

    rpc_put_extensions(&w, true);
    outq_subs_commit(&p->out, &w);
    outq_subs_lead(&p->out);
    ps->c.no_memory += w.bad;
    peer_mark_dirty(ps, p);
}

/* The hello packet: all that we are subscribed to. */
static void send_hello(struct pubsub *ps, struct peer *p)
{
    if (p->proto == PUBSUB_MESHSUB_13 && ps->cfg.has_test_extension)
        send_extensions(ps, p);
    LIST_EACH(it, &ps->topics.all) {
        struct topic *tp = CONTAINER_OF(it, struct topic, node);
        if (tp->is_subscribed)
            peer_send_subscription(ps, p, topic_slice(tp), true);
    }
}

int pubsub_peer_up(struct pubsub *ps, pubsub_peer handle, const struct peer_id *id, enum pubsub_proto proto,
                   bool is_outbound, struct slice addr, uint64_t now)
{
    struct peer *p;

    ps->now = now;
    if (!handle || !id->len)
        return -PUBSUB_ENOPEER;
    if (is_known(ps, handle, id) || peer_id_is_equal(id, &ps->self))
        return -PUBSUB_EDUP;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -PUBSUB_EMEM;
    p->handle = handle;
    p->id = *id;
    p->proto = proto;
    p->is_outbound = is_outbound;
    list_init(&p->links);
    outq_init(&p->out);
    p->out.is_iwant_apart = proto != PUBSUB_CODED_1;
    p->score = score_enter(&ps->scores, id, addr);
    if (!p->score || map_put(&ps->peers, handle_key(&p->handle), p)) {
        if (p->score)
            score_leave(&ps->scores, p->score, now);
        free(p);
        return -PUBSUB_EMEM;
    }
    list_push_back(&ps->peer_list, &p->node);
    trace_peer(ps, TRACE_ADD_PEER, p, slice_str(pubsub_proto_ids[proto]));
    if (!ps->is_leaving)
        send_hello(ps, p);
    if (ps->coded && proto == PUBSUB_CODED_1)
        coded_peer_up(ps->coded, handle, now);
    return 0;
}

void pubsub_peer_down(struct pubsub *ps, pubsub_peer handle, uint64_t now)
{
    struct peer *p = peer_find(ps, handle);

    ps->now = now;
    if (!p)
        return;
    trace_peer(ps, TRACE_REMOVE_PEER, p, (struct slice){0});
    if (ps->coded && p->proto == PUBSUB_CODED_1)
        coded_peer_down(ps->coded, handle, now);
    LIST_EACH(it, &p->links) {
        struct topic *tp = CONTAINER_OF(it, struct link, by_peer)->topic;
        bool was_member = link_is_mesh(CONTAINER_OF(it, struct link, by_peer));
        link_free(CONTAINER_OF(it, struct link, by_peer));
        if (was_member)
            mesh_refill(ps, tp);
        topic_release(&ps->topics, tp);
    }
    promises_forget(&ps->promises, handle);
    pending_forget(&ps->pending, handle);
    jobs_forget(&ps->jobs, handle);
    buf_unref(p->record);
    map_del(&ps->peers, handle_key(&handle));
    list_del(&p->node);
    ps->ndirect -= p->is_direct;
    outq_fini(&p->out);
    peer_forget_later(ps, p);
    unwanted_fini(&p->unwanted);
    score_leave(&ps->scores, p->score, now);
    free(p);
}

void pubsub_peer_direct(struct pubsub *ps, pubsub_peer handle, bool is_direct)
{
    struct peer *p = peer_find(ps, handle);

    if (!p || p->is_direct == is_direct)
        return;
    p->is_direct = is_direct;
    ps->ndirect += is_direct ? 1 : -1u;
    LIST_EACH(it, &p->links)
        if (is_direct)
            mesh_lost(ps, CONTAINER_OF(it, struct link, by_peer));
}

void pubsub_peer_app_score(struct pubsub *ps, pubsub_peer handle, double score)
{
    struct peer *p = peer_find(ps, handle);

    if (p)
        p->score->app = score;
}

void peer_send_subscription(struct pubsub *ps, struct peer *p, struct slice topic, bool is_subscribe)
{
    struct wr w = outq_subs(&p->out, topic.len + 16);

    rpc_put_subscription(&w, topic, is_subscribe);
    ps->c.no_memory += w.bad;
    outq_subs_commit(&p->out, &w);
    peer_mark_dirty(ps, p);
}

void peer_send_graft(struct pubsub *ps, struct peer *p, struct slice topic)
{
    struct wr w = outq_control(&p->out, topic.len + 16);

    rpc_put_graft(&w, topic);
    ps->c.no_memory += w.bad;
    outq_control_commit(&p->out, &w);
    ps->c.graft_out++;
    peer_mark_dirty(ps, p);
}

void peer_send_need(struct pubsub *ps, struct peer *p, struct slice topic)
{
    uint8_t space[PUBSUB_TOPIC_MAX + 16];
    struct wr w = wr_of(space, sizeof(space));

    rpc_put_need(&w, topic);
    if (w.bad || outq_push_bytes(&p->out, slice_of(space, w.len), NULL, 0, 0))
        ps->c.no_memory++;
    else
        peer_mark_dirty(ps, p);
}

void peer_send_prune(struct pubsub *ps, struct peer *p, struct slice topic, uint64_t backoff_s, bool has_px)
{
    uint8_t space[PX_BYTES_MAX];
    struct wr px = wr_of(space, sizeof(space));

    if (has_px && ps->cfg.has_px && !ps->is_leaving)
        px_put(ps, p, topic_find(&ps->topics, topic), &px);
    struct wr w = outq_control(&p->out, topic.len + px.len + 40);
    rpc_put_prune_px(&w, topic, slice_of(space, px.len), backoff_s);
    ps->c.no_memory += w.bad;
    outq_control_commit(&p->out, &w);
    ps->c.prune_out++;
    peer_mark_dirty(ps, p);
}

static void put_ids(struct wr *w, enum control_field field, struct slice topic, const struct slice *ids, unsigned n)
{
    if (field == CONTROL_F_IHAVE)
        pb_put_bytes(w, IHAVE_F_TOPIC, topic);
    for (unsigned i = 0; i < n; i++)
        pb_put_bytes(w, field == CONTROL_F_IHAVE ? (uint32_t)IHAVE_F_IDS : (uint32_t)IDS_F_IDS, ids[i]);
}

void peer_send_ids(struct pubsub *ps, struct peer *p, enum control_field field, struct slice topic,
                   const struct slice *ids, unsigned n)
{
    struct wr size = wr_counter();

    if (!n)
        return;
    put_ids(&size, field, topic, ids, n);
    struct wr w = outq_control(&p->out, size.len + 16);
    pb_put_head(&w, field, size.len);
    put_ids(&w, field, topic, ids, n);
    ps->c.no_memory += w.bad;
    outq_control_commit(&p->out, &w);
    peer_mark_dirty(ps, p);
}
