/* host.c: what the coded router asks of the core (struct coded_host) */
#include "pubsub/core.h"

#include <math.h>

static unsigned coded_links(const struct topic *tp, bool only_mesh, pubsub_peer *out, unsigned cap)
{
    unsigned n = 0;

    LIST_EACH(it, &tp->links) {
        const struct link *l = CONTAINER_OF(it, struct link, by_topic);
        if (n == cap)
            break;
        if (l->peer->proto == PUBSUB_CODED_1 && !l->peer->is_closing && (!only_mesh || link_is_mesh(l) || l->peer->is_direct))
            out[n++] = l->peer->handle;
    }
    return n;
}

/* While we may graft nobody (all our peers left the topic, or we did, a moment ago) there is no mesh; then some subscribers, always the
 * same, stand in for it, as they do for plain messages. Shards would else wait until they are asked for. */
static unsigned stand_ins(const struct pubsub *ps, const struct topic *tp, pubsub_peer *out, unsigned cap)
{
    unsigned n = 0;

    LIST_EACH(it, &tp->links) {
        const struct link *l = CONTAINER_OF(it, struct link, by_topic);
        if (n == cap || n == ps->mesh.d)
            break;
        if (l->peer->proto == PUBSUB_CODED_1 && (l->peer->is_direct || fanout_is_candidate(ps, l)))
            out[n++] = l->peer->handle;
    }
    return n;
}

static unsigned host_mesh(void *core, struct slice topic, pubsub_peer *out, unsigned cap)
{
    struct pubsub *ps = core;
    struct topic *tp = topic_find(&ps->topics, topic);

    if (!tp)
        return 0;
    if (!tp->is_subscribed && tp->published_ns)
        fanout_fill(ps, tp);
    if (tp->is_subscribed && tp->nmesh == 0)
        return stand_ins(ps, tp, out, cap);
    return coded_links(tp, true, out, cap);
}

static unsigned host_subscribers(void *core, struct slice topic, pubsub_peer *out, unsigned cap)
{
    struct pubsub *ps = core;
    const struct topic *tp = topic_find(&ps->topics, topic);

    return tp ? coded_links(tp, false, out, cap) : 0;
}

static const struct peer_id *host_peer_id(void *core, pubsub_peer handle)
{
    const struct peer *p = peer_find(core, handle);

    return p ? &p->id : NULL;
}

static uint64_t host_queued_bytes(void *core, pubsub_peer handle)
{
    const struct peer *p = peer_find(core, handle);

    return p ? p->queued_bytes + outq_pending_bytes(&p->out) : UINT64_MAX;
}

static bool host_is_subscribed(void *core, struct slice topic)
{
    struct pubsub *ps = core;
    const struct topic *tp = topic_find(&ps->topics, topic);

    return tp && tp->is_subscribed;
}

static void host_send(void *core, pubsub_peer handle, struct slice body, struct buf *shard, uint32_t off, uint32_t len)
{
    struct pubsub *ps = core;
    struct peer *p = peer_find(ps, handle);

    if (!p)
        return;
    /* Twice the bound of plain messages: the router looks at queued_bytes itself, this is the last line. */
    if (shard && host_queued_bytes(core, handle) > 2 * ps->cfg.queue_bytes) {
        ps->c.slow_drops++;
        ps->c.rpc_dropped++;
        return;
    }
    if (outq_push_bytes(&p->out, body, shard, off, len)) {
        ps->c.no_memory++;
        return;
    }
    peer_mark_dirty(ps, p);
}

static bool host_has_reader(void *core, struct slice topic)
{
    struct pubsub *ps = core;
    const struct topic *tp = topic_find(&ps->topics, topic);

    return tp && tp->has_reader;
}

static void host_first_told(void *core, pubsub_peer handle, struct slice topic)
{
    struct pubsub *ps = core;
    struct topic *tp = topic_find(&ps->topics, topic);
    struct peer *p = peer_find(ps, handle);

    if (tp && p)
        mesh_missed(ps, tp, p);
}

static void host_deliver(void *core, struct slice topic, const struct peer_id *from, uint64_t seqno, struct buf *payload, uint32_t size,
                         pubsub_peer upstream, uint8_t k, uint64_t since_ns)
{
    struct pubsub *ps = core;
    const struct topic *tp = topic_find(&ps->topics, topic);
    const struct peer *p = upstream ? peer_find(ps, upstream) : NULL;
    uint8_t id[MESSAGE_ID_MAX];
    struct slice ids = slice_of(id, message_id(id, peer_id_slice(from), seqno));

    if (!seen_add(&ps->seen, key_of_id(ps, ids), ps->now)) {
        ps->c.duplicates++;
        buf_unref(payload);
        return;
    }
    if (!tp || (!tp->is_subscribed && !tp->has_reader)) {
        buf_unref(payload);
        return;
    }
    trace_message(ps, upstream ? TRACE_DELIVER_MESSAGE : TRACE_PUBLISH_MESSAGE, p, topic, ids, NULL, size);
    if (upstream)
        durations_add(&ps->c.delays, ps->now - since_ns);
    if (tp->has_reader && payload)
        relay_deliver(ps, topic, from, p ? &p->id : NULL, payload, k);
    else
        buf_unref(payload);
}

static void host_penalize(void *core, pubsub_peer handle, double severity, const char *rule)
{
    struct pubsub *ps = core;
    struct peer *p = peer_find(ps, handle);

    if (!p)
        return;
    trace_message(ps, TRACE_REJECT_MESSAGE, p, (struct slice){0}, (struct slice){0}, rule, 0);
    peer_penalize(ps, p, severity);
}

static void host_useful(void *core, pubsub_peer handle, struct slice topic, double share)
{
    struct pubsub *ps = core;
    struct peer *p = peer_find(ps, handle);
    const struct topic *tp = p ? topic_find(&ps->topics, topic) : NULL;

    if (tp && tp->is_subscribed)
        score_first(&ps->scores, p->score, tp->subject, share);
}

static void host_forged(void *core, pubsub_peer handle, struct slice topic, const char *rule)
{
    struct pubsub *ps = core;
    struct peer *p = peer_find(ps, handle);
    const struct topic *tp = p ? topic_find(&ps->topics, topic) : NULL;

    if (!p)
        return;
    score_invalid(&ps->scores, p->score, tp && tp->is_subscribed ? tp->subject : (struct score_subject){0});
    host_penalize(core, handle, INFINITY, rule);
}

static void host_trace(void *core, const struct pubsub_trace *t)
{
    trace_push(core, t);
}

static uint64_t host_next_seqno(void *core)
{
    struct pubsub *ps = core;

    return seqno_next(&ps->seqno, ps->now);
}

static struct pubsub_job *host_job_new(void *core, struct buf *frame, pubsub_peer handle)
{
    struct pubsub *ps = core;

    return job_new(&ps->jobs, JOB_HASH, frame, handle, ps->now);
}

static bool host_job_send(void *core, struct pubsub_job *job)
{
    struct pubsub *ps = core;

    if (jobs_send(ps, job))
        return true;
    job_take(&ps->jobs, job);
    job_free(&ps->jobs, job);
    return false;
}

struct coded_host coded_host_of(struct pubsub *ps)
{
    return (struct coded_host){
        .core = ps,
        .mesh = host_mesh,
        .subscribers = host_subscribers,
        .peer_id = host_peer_id,
        .queued_bytes = host_queued_bytes,
        .is_subscribed = host_is_subscribed,
        .send = host_send,
        .has_reader = host_has_reader,
        .first_told = host_first_told,
        .deliver = host_deliver,
        .penalize = host_penalize,
        .useful = host_useful,
        .forged = host_forged,
        .trace = host_trace,
        .next_seqno = host_next_seqno,
        .job_new = ps->cfg.jobs ? host_job_new : NULL,
        .job_send = host_job_send,
        .counters = &ps->c,
        .rng = ps->rng,
    };
}
