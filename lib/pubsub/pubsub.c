#include "pubsub/pubsub.h"

#include <stdlib.h>

#include "pubsub/core.h"

#define SEEN_MAX      (1u << 20)
#define PUBLISHED_MAX (1u << 16)
#define MCACHE_MAX    (1u << 15)
#define KEEP_NS       (30 * SECOND_NS)
#define KEEP_BYTES    (64ull << 20)
#define QUEUE_BYTES   (8ull << 20)
#define MSG_BYTES     (1u << 20)
#define BACKOFFS_MAX  65536
#define SCORES_MAX    16384
#define AUTHORS_MAX   16384
#define FIRST_BEAT_NS (SECOND_NS / 10) /* go's HeartbeatInitialDelay */

const char *const pubsub_proto_ids[PUBSUB_PROTO_COUNT] = {
    [PUBSUB_CODED_1] = "/codecast/rlnc/1.0.0",
    [PUBSUB_MESHSUB_13] = "/meshsub/1.3.0",
    [PUBSUB_MESHSUB_12] = "/meshsub/1.2.0",
    [PUBSUB_MESHSUB_11] = "/meshsub/1.1.0",
};

const char *pubsub_err_name(int err)
{
    switch (err < 0 ? -err : err) {
    case 0: return "ok";
    case PUBSUB_ETOPIC: return "topic is empty or too long, or there are too many topics";
    case PUBSUB_ESIZE: return "message too large";
    case PUBSUB_EDUP: return "already there";
    case PUBSUB_EFULL: return "full";
    case PUBSUB_EMEM: return "no memory";
    case PUBSUB_ENOPEER: return "no such peer";
    case PUBSUB_ERECORD: return "not a good signed record of that peer";
    case PUBSUB_ETOKEN: return "no message waits by that token";
    default: return "unknown";
    }
}

static struct buf *heap_alloc(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

struct buf *core_alloc(void *core, uint32_t cap)
{
    struct pubsub *ps = core;

    /* What is written here is there in whole, whatever is elided. */
    return ps->cfg.elide_bytes ? buf_new(cap) : ps->cfg.alloc(ps->cfg.alloc_ctx, cap);
}

static void set_defaults(struct pubsub_config *c)
{
    if (!c->heartbeat_ns)
        c->heartbeat_ns = SECOND_NS;
    if (!c->max_msg_bytes)
        c->max_msg_bytes = MSG_BYTES;
    if (!c->keep_ns)
        c->keep_ns = KEEP_NS;
    if (!c->keep_bytes)
        c->keep_bytes = KEEP_BYTES;
    if (!c->queue_bytes)
        c->queue_bytes = QUEUE_BYTES + 4ull * c->max_msg_bytes;
    if (!c->seen_max)
        c->seen_max = SEEN_MAX;
    if (!c->alloc)
        c->alloc = heap_alloc;
}

static uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int init_caches(struct pubsub *ps)
{
    const struct pubsub_config *c = &ps->cfg;

    /* All are tried, so that fini finds each of them initialised. */
    return seen_init(&ps->seen, c->seen_max, SEEN_TTL_NS) |
           seen_init(&ps->published, at_most(PUBLISHED_MAX, c->seen_max), SEEN_TTL_NS) |
           mcache_init(&ps->mcache, at_most(MCACHE_MAX, c->seen_max), c->keep_bytes, c->keep_ns) | promises_init(&ps->promises) |
           wants_init(&ps->wants);
}

struct pubsub *pubsub_new(const struct pubsub_config *cfg, struct rng *rng, uint64_t now, uint64_t unix_ns)
{
    struct pubsub *ps = calloc(1, sizeof(*ps));
    uint8_t seeds[5][16];

    if (!ps)
        return NULL;
    ps->cfg = *cfg;
    set_defaults(&ps->cfg);
    ps->rng = rng;
    ps->now = now;
    key_pair_peer_id(cfg->key, &ps->self);
    rng_fill(rng, seeds, sizeof(seeds));
    rng_fill(rng, &ps->seed, sizeof(ps->seed));
    map_init(&ps->peers, 0, seeds[0]);
    list_init(&ps->peer_list);
    list_init(&ps->dirty);
    list_init(&ps->to_join);
    list_init(&ps->to_leave);
    topics_init(&ps->topics, seeds[1]);
    backoff_init(&ps->backoff, BACKOFFS_MAX, 2 * ps->cfg.heartbeat_ns, seeds[2]);
    scores_init(&ps->scores, cfg->score ? cfg->score : &score_defaults, SCORES_MAX, seeds[3], now);
    ps->thresholds = cfg->thresholds ? *cfg->thresholds : score_threshold_defaults;
    pending_init(&ps->pending, cfg->validation_max ? cfg->validation_max : VALIDATIONS_MAX, seeds[4]);
    ps->pending.max_bytes = ps->cfg.keep_bytes;
    ps->ids = (struct message_ids){cfg->id_rule, cfg->message_id, cfg->message_id_ctx};
    events_init(&ps->events);
    list_init(&ps->jobs.out);
    replay_init(&ps->replay, AUTHORS_MAX, SEEN_TTL_NS, (const uint8_t *)&ps->seed);
    seqno_init(&ps->seqno, unix_ns, now);
    ps->mesh = mesh_params_of(cfg->mesh_target, cfg->mesh_min, cfg->mesh_max, cfg->mesh_out);
    if (cfg->gossip_factor > 0)
        ps->mesh.gossip_factor = cfg->gossip_factor < 1 ? cfg->gossip_factor : 1;
    ps->heartbeat_at = now + FIRST_BEAT_NS + rng_below(rng, FIRST_BEAT_NS);
    ps->pool = message_pool_new(core_alloc, ps);
    ps->scratch.elide_bytes = ps->cfg.elide_bytes;
    if (init_caches(ps) || jobs_init(&ps->jobs, cfg->jobs) || !ps->pool)
        goto fail;
    message_pool_ids(ps->pool, &ps->ids);
    if (ps->cfg.mode == PUBSUB_CODED) {
        struct coded_host host = coded_host_of(ps);
        ps->coded = coded_new(&ps->cfg, &host, unix_ns);
        if (!ps->coded)
            goto fail;
    }
    return ps;
fail:
    pubsub_free(ps);
    return NULL;
}

void pubsub_free(struct pubsub *ps)
{
    if (!ps)
        return;
    if (ps->coded)
        coded_free(ps->coded);
    ps->coded = NULL;
    ps->cfg.has_trace = false;
    while (!list_is_empty(&ps->peer_list))
        pubsub_peer_down(ps, CONTAINER_OF(ps->peer_list.next, struct peer, node)->handle, ps->now);
    pending_fini(&ps->pending);
    jobs_fini(&ps->jobs);
    events_fini(&ps->events);
    if (ps->mcache.table)
        mcache_fini(&ps->mcache);
    topics_fini(&ps->topics);
    map_fini(&ps->peers);
    backoff_fini(&ps->backoff);
    scores_fini(&ps->scores);
    promises_fini(&ps->promises);
    wants_fini(&ps->wants);
    replay_fini(&ps->replay);
    seen_fini(&ps->seen);
    seen_fini(&ps->published);
    message_scratch_fini(&ps->scratch);
    message_pool_close(ps->pool);
    free(ps->cand);
    free(ps);
}

/* Of a graylisted peer's RPC, from this item on: what it reads is to be known when its score is back, as go and rust have it. */
static void only_subscriptions(struct pubsub *ps, struct peer *p, struct rpc_reader *r, struct rpc_item *it)
{
    ps->c.graylisted++;
    do {
        if (p->is_closing)
            return;
        if (it->type == RPC_SUBSCRIBE || it->type == RPC_UNSUBSCRIBE)
            control_input(ps, p, it, true);
    } while (rpc_next(r, it));
}

static void each_item(struct pubsub *ps, struct peer *p, struct buf *frame)
{
    struct rpc_reader r = rpc_reader_of(buf_slice(frame));
    struct rpc_item it;
    uint32_t had = 0; /* types met in this RPC */

    while (rpc_next(&r, &it)) {
        bool is_first = !(had & 1u << it.type);
        /* A frame full of forged messages must not be worked off to its end. */
        if (p->is_closing || peer_is_graylisted(ps, p)) {
            only_subscriptions(ps, p, &r, &it);
            return;
        }
        had |= 1u << it.type;
        if (it.type == RPC_MESSAGE)
            relay_input(ps, p, &it, frame);
        else if (it.type == RPC_EXTENSION && it.number == EXTENSIONS_F_TEST && p->proto == PUBSUB_MESHSUB_13)
            ps->c.test_extensions_in++;
        else if (it.type != RPC_EXTENSION)
            control_input(ps, p, &it, is_first);
        else if (it.number == RPC_F_NEED && p->proto == PUBSUB_CODED_1)
            control_need(ps, p, it.body);
        else if (ps->coded && p->proto == PUBSUB_CODED_1)
            coded_input(ps->coded, p->handle, it.number, it.body, frame, ps->now);
        else
            ps->c.control_ignored++;
    }
}

void pubsub_rpc(struct pubsub *ps, pubsub_peer handle, struct buf *frame, uint64_t now)
{
    struct peer *p = peer_find(ps, handle);

    ps->now = now;
    if (!p) /* gone meanwhile */
        goto out;
    ps->c.rpc_in++;
    ps->c.rpc_in_bytes += frame->len;
    if (p->is_closing) {
        ps->c.graylisted++;
        goto out;
    }
    trace_message(ps, TRACE_RECV_RPC, p, (struct slice){0}, (struct slice){0}, NULL, frame->len);
    if (rpc_check(buf_slice(frame))) {
        ps->c.invalid_rpc++;
        score_invalid(&ps->scores, p->score, (struct score_subject){0});
        peer_cut(ps, p, "malformed RPC");
        goto out;
    }
    each_item(ps, p, frame);
    p->has_spoken = true;
    control_announced(ps, p);
out:
    buf_unref(frame);
}

static bool is_topic_name(struct slice topic)
{
    return topic.len && topic.len <= PUBSUB_TOPIC_MAX;
}

static struct msgkey published_key(const struct pubsub *ps, struct slice topic, const uint8_t sha256[32])
{
    uint8_t key[32 + PUBSUB_TOPIC_MAX];

    memcpy(key, sha256, 32);
    memcpy(key + 32, topic.p, topic.len);
    return key_of_id(ps, slice_of(key, 32 + topic.len));
}

int pubsub_publish(struct pubsub *ps, struct slice topic, struct buf *payload, const uint8_t sha256[32], uint64_t now)
{
    return pubsub_publish_hashed(ps, topic, payload, sha256, (struct slice){0}, now);
}

int pubsub_publish_hashed(struct pubsub *ps, struct slice topic, struct buf *payload, const uint8_t sha256[32],
                          struct slice hashes, uint64_t now)
{
    struct topic *tp;
    struct msgkey key;
    int rc;

    ps->now = now;
    if (payload->len > ps->cfg.max_msg_bytes)
        return -PUBSUB_ESIZE;
    if (!is_topic_name(topic))
        return -PUBSUB_ETOPIC;
    key = published_key(ps, topic, sha256);
    if (seen_has(&ps->published, key, now))
        return -PUBSUB_EDUP;
    tp = topic_get_to_publish(&ps->topics, topic);
    if (!tp)
        return -PUBSUB_EFULL;
    if (!tp->is_subscribed)
        topic_set_published(&ps->topics, tp, now ? now : 1);
    if (ps->coded && !coded_is_small(ps->coded, payload->len))
        rc = coded_publish_hashed(ps->coded, topic, payload, hashes, now);
    else
        rc = relay_publish(ps, tp, payload);
    if (rc)
        return rc;
    ps->c.published++;
    seen_add(&ps->published, key, now);
    return 0;
}

int pubsub_validated(struct pubsub *ps, uint64_t token, enum pubsub_verdict verdict, uint64_t now)
{
    struct pending_message *pm = pending_take(&ps->pending, token);

    ps->now = now;
    if (!pm)
        return -PUBSUB_ETOKEN;
    relay_judged(ps, pm, verdict);
    return 0;
}

bool jobs_send(struct pubsub *ps, struct pubsub_job *job)
{
    struct event *ev = events_push(&ps->events, PUBSUB_WORK);

    if (!ev)
        return false;
    ev->out.job = job;
    ps->c.jobs_verify += job->kind == JOB_VERIFY;
    ps->c.jobs_hash += job->kind == JOB_HASH;
    return true;
}

/* What is done waits until all that was sent before it is. */
void pubsub_job_done(struct pubsub *ps, struct pubsub_job *job, uint64_t now)
{
    ps->now = now;
    job->is_done = true;
    while (!list_is_empty(&ps->jobs.out)) {
        job = CONTAINER_OF(ps->jobs.out.next, struct pubsub_job, node);
        if (!job->is_done)
            return;
        job_take(&ps->jobs, job);
        if (job->kind == JOB_VERIFY)
            relay_verified(ps, job);
        else if (ps->coded)
            coded_hashed(ps->coded, job, now);
        job_free(&ps->jobs, job);
    }
}

unsigned pubsub_jobs_free(const struct pubsub *ps)
{
    return ps->jobs.max - ps->jobs.nout;
}

uint64_t pubsub_next_deadline(const struct pubsub *ps)
{
    uint64_t coded = ps->coded ? coded_next_deadline(ps->coded) : UINT64_MAX;

    return coded < ps->heartbeat_at ? coded : ps->heartbeat_at;
}

void pubsub_on_deadline(struct pubsub *ps, uint64_t now)
{
    ps->now = now;
    if (ps->coded && coded_next_deadline(ps->coded) <= now)
        coded_on_deadline(ps->coded, now);
    if (now < ps->heartbeat_at)
        return;
    heartbeat_run(ps);
    ps->heartbeat_at += ps->cfg.heartbeat_ns;
    if (ps->heartbeat_at <= now) /* the loop was held up: no burst of heartbeats */
        ps->heartbeat_at = now + ps->cfg.heartbeat_ns;
}

static bool next_send(struct pubsub *ps, struct pubsub_output *out)
{
    while (!list_is_empty(&ps->dirty)) {
        struct peer *p = CONTAINER_OF(ps->dirty.next, struct peer, out.node);
        uint64_t bytes = 0;
        unsigned n = outq_next(&p->out, core_alloc, ps, out->pieces, &bytes);
        bool is_stuck = !n && !outq_is_empty(&p->out);
        if (p->later.count)
            peer_feed(ps, p);
        if (outq_is_empty(&p->out) || is_stuck)
            list_del(&p->out.node); /* without memory it waits for the next thing queued */
        ps->c.no_memory += is_stuck;
        if (!n)
            continue;
        out->type = PUBSUB_SEND;
        out->peer = p->handle;
        out->npieces = n;
        ps->c.rpc_out++;
        ps->c.rpc_out_bytes += bytes;
        trace_message(ps, TRACE_SEND_RPC, p, (struct slice){0}, (struct slice){0}, NULL, bytes);
        return true;
    }
    return false;
}

void pubsub_trace_enable(struct pubsub *ps, bool is_on)
{
    ps->cfg.has_trace = is_on;
    if (ps->coded)
        coded_trace_enable(ps->coded, is_on);
}

bool pubsub_next_output(struct pubsub *ps, struct pubsub_output *out)
{
    out->npieces = 0;
    out->payload = out->record = NULL;
    out->trace = NULL;
    out->reason = NULL;
    out->job = NULL;
    return next_send(ps, out) || events_pop(&ps->events, out);
}

unsigned pubsub_peers(const struct pubsub *ps, struct pubsub_peer_info *out, unsigned cap)
{
    unsigned n = 0;

    LIST_EACH(it, &ps->peer_list) {
        const struct peer *p = CONTAINER_OF(it, struct peer, node);
        if (n == cap)
            break;
        out[n] = (struct pubsub_peer_info){.peer = p->handle, .id = p->id, .proto = p->proto,
                                           .is_outbound = p->is_outbound, .score = peer_score(ps, p),
                                           .topics = p->nlinks};
        score_parts(&ps->scores, p->score, out[n].score_parts);
        LIST_EACH(lt, &p->links) {
            const struct link *l = CONTAINER_OF(lt, struct link, by_peer);
            out[n].meshes += l->topic->is_subscribed && link_is_mesh(l);
        }
        n++;
    }
    return n;
}

static void topic_info(const struct topic *tp, struct pubsub_topic_info *out)
{
    *out = (struct pubsub_topic_info){.is_subscribed = tp->is_wanted, .peers = tp->npeers, .mesh = tp->is_subscribed ? tp->nmesh : 0};
    memcpy(out->topic, tp->name, tp->len + 1u);
}

unsigned pubsub_topics(const struct pubsub *ps, struct pubsub_topic_info *out, unsigned cap)
{
    unsigned n = 0;

    for (unsigned is_ours = 2; is_ours-- > 0;)
        LIST_EACH(it, &ps->topics.all) {
            const struct topic *tp = CONTAINER_OF(it, struct topic, node);
            if (n == cap || (is_ours && n == ps->nwanted))
                break;
            if (tp->is_wanted == is_ours)
                topic_info(tp, &out[n++]);
        }
    return n;
}

bool pubsub_topic(const struct pubsub *ps, struct slice topic, struct pubsub_topic_info *out)
{
    const struct topic *tp = topic_find(&ps->topics, topic);

    if (tp)
        topic_info(tp, out);
    return tp != NULL;
}

bool pubsub_mesh_has(const struct pubsub *ps, struct slice topic, pubsub_peer handle)
{
    const struct topic *tp = topic_find(&ps->topics, topic);
    const struct peer *p = peer_find(ps, handle);
    const struct link *l = tp && p && tp->is_subscribed ? link_find(p, tp) : NULL;

    return l && link_is_mesh(l);
}

unsigned pubsub_generations(const struct pubsub *ps, struct coded_generation_info *out, unsigned cap)
{
    return ps->coded ? coded_generations(ps->coded, out, cap) : 0;
}

void pubsub_counters_get(const struct pubsub *ps, struct pubsub_counters *out)
{
    *out = ps->c;
    out->kept_bytes += ps->mcache.bytes;
    out->seen_now = ps->seen.count;
    out->topics_now = ps->topics.map.count;
    out->topics_ours_now = ps->nwanted;
    out->validations_now = ps->pending.count;
    out->authors_now = ps->replay.by_author.count;
    out->authors_evicted = ps->replay.evicted + ps->replay.unguarded;
    out->seen_evicted = ps->seen.evicted;
    out->mcache_evicted = ps->mcache.evicted;
    out->traces_dropped = ps->events.traces_dropped;
    if (ps->coded)
        coded_memory(ps->coded, out);
}
