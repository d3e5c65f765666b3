/* relay.c: messages: published, received, passed on, delivered, kept and offered */
#include "pubsub/core.h"

struct msgkey key_of_id(const struct pubsub *ps, struct slice id)
{
    return msgkey_of(&ps->seed, id);
}

static struct slice id_of(const struct message *m)
{
    return slice_of(m->id, m->id_len);
}

void relay_evict(struct pubsub *ps)
{
    struct message *m;

    while ((m = mcache_pop(&ps->mcache, ps->now))) {
        struct topic *tp = m->topic;
        m->topic = NULL;
        list_del(&m->by_topic);
        topic_release(&ps->topics, tp);
        message_unref(m);
    }
}

static void keep(struct pubsub *ps, struct topic *tp, struct message *m)
{
    m->topic = tp;
    list_push_back(&tp->kept, &m->by_topic);
    mcache_put(&ps->mcache, m, ps->now);
}

void relay_deliver(struct pubsub *ps, struct slice topic, const struct peer_id *from, const struct peer_id *upstream,
                   struct buf *payload, uint8_t k)
{
    struct event *ev = events_push(&ps->events, PUBSUB_DELIVER);

    if (!ev) {
        ps->c.no_memory++;
        buf_unref(payload);
        return;
    }
    ps->c.delivered++;
    ps->c.delivered_bytes += payload->len;
    ps->c.delivered_shards += k;
    ev->out.payload = payload;
    ev->out.from = *from;
    ev->out.k = k;
    if (upstream)
        ev->out.upstream = *upstream;
    memcpy(ev->out.topic, topic.p, topic.len);
}

static void forward(struct pubsub *ps, struct topic *tp, struct message *m)
{
    LIST_EACH(it, &tp->mesh) {
        struct peer *p = CONTAINER_OF(it, struct link, by_mesh)->peer;
        if (!peer_may_have(ps, p, m) && !p->is_closing)
            peer_send_message(ps, p, m);
    }
    LIST_EACH(it, &ps->peer_list) {
        struct peer *p = CONTAINER_OF(it, struct peer, node);
        if (!ps->ndirect)
            break;
        if (p->is_direct && !peer_may_have(ps, p, m) && !p->is_closing && link_find(p, tp))
            peer_send_message(ps, p, m);
    }
}

/* Before the message itself is passed on; not before its signature is checked, or a forger could make our mesh hold back
 * the true message. */
static void send_idontwant(struct pubsub *ps, struct topic *tp, const struct message *m)
{
    struct slice id = id_of(m);

    if (m->payload.len < IDONTWANT_MIN_BYTES)
        return;
    LIST_EACH(it, &tp->mesh) {
        struct peer *p = CONTAINER_OF(it, struct link, by_mesh)->peer;
        if (p->proto == PUBSUB_MESHSUB_11 || peer_may_have(ps, p, m) || peer_is_slow(ps, p))
            continue;
        peer_send_ids(ps, p, CONTROL_F_IDONTWANT, (struct slice){0}, &id, 1);
        ps->c.idontwant_out++;
    }
}

/* The topic's if we are in it: P4 of that topic, else of the peer as a whole. */
static struct score_subject subject_of_name(const struct pubsub *ps, struct slice topic)
{
    const struct topic *tp = topic.len ? topic_find(&ps->topics, topic) : NULL;

    return tp && tp->is_subscribed ? tp->subject : (struct score_subject){0};
}

void relay_reject(struct pubsub *ps, struct peer *p, const struct message_fields *f, int err)
{
    ps->c.rejected++;
    ps->c.bad_signatures += err == -MESSAGE_ESIGNATURE;
    score_invalid(&ps->scores, p->score, subject_of_name(ps, f->topic));
    trace_message(ps, TRACE_REJECT_MESSAGE, p, f->topic, (struct slice){0}, message_err_name(err), f->data.len);
}

/* A copy of what we have. Within the window it counts for its bringer (P3), once. */
static void note_copy(struct pubsub *ps, struct peer *p, const struct incoming *in)
{
    const struct score_topic_params *params = in->topic->subject.params;
    struct pending_message *pm = pending_find(&ps->pending, in->key);
    struct message *m;

    ps->c.duplicates++;
    promises_kept(&ps->promises, in->key);
    if (p->later.count)
        unwanted_add(&p->unwanted, in->key, ps->tick); /* if it waits for p, it need not be sent */
    trace_message(ps, TRACE_DUPLICATE_MESSAGE, p, in->f.topic, in->ids, NULL, in->f.data.len);
    if (pm) {
        pending_also(pm, p->handle);
        return;
    }
    m = params->mesh_weight != 0 ? mcache_get(&ps->mcache, in->key) : NULL;
    if (m && m->source != p->handle && ps->now - m->at_ns <= params->mesh_window_ns && mcache_brought(m, p->handle))
        score_again(&ps->scores, p->score, in->topic->subject);
}

/* What can be told without a signature check. 0 go on, 1 done with it (counted), or -MESSAGE_E... */
static int sift(struct pubsub *ps, struct peer *p, struct incoming *in)
{
    const struct message_fields *f = &in->f;
    int rc = message_check(f, ps->cfg.signing, &in->from);

    if (rc)
        return rc;
    in->topic = topic_find(&ps->topics, f->topic);
    if (!in->topic || !in->topic->is_subscribed) {
        ps->c.unsubscribed++;
        return 1;
    }
    if (f->data.len > ps->cfg.max_msg_bytes) {
        ps->c.oversize++;
        peer_take(ps, p, LIMIT_OVERSIZE, 1);
        peer_penalize(ps, p, 1);
        trace_message(ps, TRACE_REJECT_MESSAGE, p, f->topic, (struct slice){0}, "too large", f->data.len);
        return 1;
    }
    in->ids = slice_of(in->id, message_fields_id(in->id, f, &ps->ids));
    if (!in->ids.len)
        return -MESSAGE_EID;
    in->key = key_of_id(ps, in->ids);
    if (seen_has(&ps->seen, in->key, ps->now)) {
        note_copy(ps, p, in);
        return 1;
    }
    if (peer_id_is_equal(&in->from, &ps->self)) { /* ours from before a restart, or a lie: not passed on, not punished */
        ps->c.rejected++;
        return 1;
    }
    return 0;
}

/* Good, new, and wanted by the application. p: who brought it first; NULL when it left since. since_ns: when it came. */
static void accept(struct pubsub *ps, struct topic *tp, struct peer *p, const struct peer_id *upstream, struct message *m,
                   uint64_t since_ns)
{
    if (p) {
        score_first(&ps->scores, p->score, tp->subject, 1);
        p->doubt /= 2;
        if (m->from.len && !peer_id_is_equal(&p->id, &m->from))
            mesh_missed(ps, tp, p);
    }
    trace_message(ps, TRACE_DELIVER_MESSAGE, p, topic_slice(tp), id_of(m), NULL, m->payload.len);
    forward(ps, tp, m);
    durations_add(&ps->c.delays, ps->now - since_ns);
    if (tp->has_reader)
        relay_deliver(ps, topic_slice(tp), &m->from, upstream, message_payload(m), 1);
    keep(ps, tp, m);
    relay_evict(ps);
}

/* Asks the application. False: too much waits already; another copy may come later. */
static bool hold(struct pubsub *ps, struct topic *tp, struct peer *p, struct message *m)
{
    struct pending_message *pm = NULL;
    struct event *ev = NULL;

    if (p->npending < limit_max(LIMIT_VALIDATIONS))
        pm = pending_add(&ps->pending, m, m->key, p->handle, ps->now);
    else
        ps->c.limits[LIMIT_VALIDATIONS]++;
    if (pm && !(ev = events_push(&ps->events, PUBSUB_VALIDATE)))
        pending_release(pending_take(&ps->pending, pm->token));
    if (!ev) {
        ps->c.validation_throttled++;
        return false;
    }
    pm->topic = tp;
    pm->upstream = p->id;
    tp->npending++;
    p->npending++;
    ev->out.token = pm->token;
    ev->out.payload = message_payload(m);
    ev->out.from = m->from;
    ev->out.upstream = p->id;
    ev->out.peer = p->handle;
    memcpy(ev->out.topic, tp->name, tp->len);
    return true;
}

void relay_arrived(struct pubsub *ps, struct peer *p, const struct peer_id *upstream, const struct incoming *in, struct message *m,
                   uint64_t since_ns)
{
    m->key = in->key;
    m->source = p ? p->handle : 0;
    ps->c.validation_throttled += ps->cfg.has_validation && !p;
    if (ps->cfg.has_validation && (!p || !hold(ps, in->topic, p, m)))
        return;
    seen_add(&ps->seen, m->key, ps->now);
    promises_kept(&ps->promises, m->key);
    want_met(&ps->wants, m->key);
    send_idontwant(ps, in->topic, m);
    if (!ps->cfg.has_validation)
        accept(ps, in->topic, p, upstream, m, since_ns);
}

static void blame(struct pubsub *ps, const struct pending_message *pm)
{
    for (unsigned i = 0; i < pm->nsources; i++) {
        struct peer *p = pm->sources[i] ? peer_find(ps, pm->sources[i]) : NULL;
        if (p)
            score_invalid(&ps->scores, p->score, pm->topic->subject);
    }
}

void relay_judged(struct pubsub *ps, struct pending_message *pm, enum pubsub_verdict verdict)
{
    struct peer *first = pm->sources[0] ? peer_find(ps, pm->sources[0]) : NULL;
    struct topic *tp = pm->topic;

    if (first)
        first->npending--;
    tp->npending--;
    if (verdict == PUBSUB_ACCEPT && tp->is_subscribed) {
        for (unsigned i = 1; i < pm->nsources; i++) {
            struct peer *p = pm->sources[i] ? peer_find(ps, pm->sources[i]) : NULL;
            if (p && tp->subject.params->mesh_weight != 0 && mcache_brought(pm->message, p->handle))
                score_again(&ps->scores, p->score, tp->subject);
        }
        accept(ps, tp, first, &pm->upstream, pm->message, pm->at_ns);
    } else if (verdict == PUBSUB_REJECT) {
        ps->c.validation_rejected++;
        blame(ps, pm);
        trace_message(ps, TRACE_REJECT_MESSAGE, first, topic_slice(tp), id_of(pm->message), "rejected by the application",
                      pm->message->payload.len);
    } else {
        ps->c.validation_ignored++;
    }
    topic_release(&ps->topics, tp);
    pending_release(pm);
}

/* True: an author's message from long ago. Nobody is blamed, for whoever brings it may have got it as we did; remembered, so
 * that the next copies cost no signature check. */
bool relay_is_replay(struct pubsub *ps, struct peer *p, const struct incoming *in)
{
    struct rd r = rd_of(in->f.seqno);
    uint64_t seqno = rd_be64(&r);

    if (!ps->cfg.has_replay_guard || ps->cfg.signing != PUBSUB_STRICT_SIGN)
        return false;
    if (!replay_is_old(&ps->replay, &in->from, seqno, ps->now)) {
        replay_note(&ps->replay, &in->from, seqno, ps->now);
        return false;
    }
    ps->c.replayed++;
    seen_add(&ps->seen, in->key, ps->now);
    promises_kept(&ps->promises, in->key);
    want_met(&ps->wants, in->key);
    trace_message(ps, TRACE_REJECT_MESSAGE, p, in->f.topic, in->ids, "replayed", in->f.data.len);
    return true;
}

void relay_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, struct buf *frame)
{
    struct incoming in;
    struct message *m;
    int rc = message_parse(&in.f, it->body);

    if (!rc)
        rc = sift(ps, p, &in);
    if (!rc && ps->cfg.signing == PUBSUB_STRICT_SIGN && relay_verify_later(ps, p, &in, it, frame))
        return;
    if (!rc && ps->cfg.signing == PUBSUB_STRICT_SIGN)
        rc = message_verify(&in.f, &in.from, &ps->scratch);
    if (rc < 0 && rc != -MESSAGE_EMEM)
        relay_reject(ps, p, &in.f, rc);
    if (rc > 0 || (!rc && relay_is_replay(ps, p, &in)))
        return;
    m = rc ? NULL : message_new_received(ps->pool, &in.f, &in.from, in.ids, it->whole, frame);
    if (m)
        relay_arrived(ps, p, &p->id, &in, m, ps->now);
    else
        ps->c.no_memory += !rc || rc == -MESSAGE_EMEM; /* not marked as seen: another copy may still come */
    message_unref(m);
}

bool fanout_is_candidate(const struct pubsub *ps, const struct link *l)
{
    return !link_is_mesh(l) && !l->peer->is_closing && !l->peer->is_direct &&
           peer_score(ps, l->peer) >= ps->thresholds.publish;
}

void fanout_fill(struct pubsub *ps, struct topic *tp)
{
    if (tp->nmesh >= ps->mesh.d)
        return;
    unsigned n = topic_candidates(ps, tp, fanout_is_candidate);
    n = mesh_pick(ps->cand, n, ps->mesh.d - tp->nmesh, ps->rng);
    for (unsigned i = 0; i < n; i++)
        link_mesh_add(ps->cand[i].link);
}

/* A message of ours goes to the mesh or fanout; to more subscribers while the mesh is thin, or to all of them when
 * flood publishing is on. */
static void send_ours(struct pubsub *ps, struct topic *tp, struct message *m)
{
    unsigned n;

    if (!tp->is_subscribed) {
        topic_set_published(&ps->topics, tp, ps->now);
        fanout_fill(ps, tp);
    }
    forward(ps, tp, m);
    if (!ps->cfg.is_flood_publish && tp->nmesh >= ps->mesh.d)
        return;
    n = topic_candidates(ps, tp, fanout_is_candidate);
    if (!ps->cfg.is_flood_publish)
        n = mesh_pick(ps->cand, n, ps->mesh.d - tp->nmesh, ps->rng);
    for (unsigned i = 0; i < n; i++)
        peer_send_message(ps, ((struct link *)ps->cand[i].link)->peer, m);
}

int relay_publish(struct pubsub *ps, struct topic *tp, struct buf *payload)
{
    struct slice topic = topic_slice(tp);
    struct message *m = ps->cfg.signing == PUBSUB_STRICT_NO_SIGN
                            ? message_new_unsigned(ps->pool, topic, payload)
                            : message_new_signed(ps->pool, ps->cfg.key, &ps->self, seqno_next(&ps->seqno, ps->now),
                                                 topic, payload, &ps->scratch);

    if (!m)
        return -PUBSUB_EMEM;
    m->key = key_of_id(ps, id_of(m));
    if (!seen_add(&ps->seen, m->key, ps->now)) { /* ids by content: somebody else published the same */
        message_unref(m);
        return -PUBSUB_EDUP;
    }
    trace_message(ps, TRACE_PUBLISH_MESSAGE, NULL, topic, id_of(m), NULL, payload->len);
    send_ours(ps, tp, m);
    if (tp->has_reader)
        relay_deliver(ps, topic, &ps->self, NULL, message_payload(m), 1);
    keep(ps, tp, m);
    relay_evict(ps);
    message_unref(m);
    buf_unref(payload); /* the message holds its own */
    return 0;
}

struct message *kept_older(const struct topic *tp, const struct message *m)
{
    const struct list *at = m ? m->by_topic.prev : tp->kept.prev;

    return at == &tp->kept ? NULL : CONTAINER_OF(at, struct message, by_topic);
}

static struct message *kept_newer(const struct topic *tp, const struct message *m)
{
    return m->by_topic.next == &tp->kept ? NULL : CONTAINER_OF(m->by_topic.next, struct message, by_topic);
}

static bool is_offered(const struct pubsub *ps, const struct link *l, const struct message *m, bool only_ours)
{
    return (m->is_ours || !only_ours) && !peer_may_have(ps, l->peer, m);
}

/* The oldest of the newest messages to offer: OFFER_IDS_MAX of them, relayed ones up to OFFER_RELAYED_BYTES. */
static struct message *first_offer(const struct pubsub *ps, const struct link *l, bool only_ours)
{
    struct message *first = NULL;
    uint64_t relayed_bytes = 0;
    unsigned n = 0, looked = 0;

    for (struct message *m = NULL; n < OFFER_IDS_MAX && (m = kept_older(l->topic, m)) && looked++ < OFFER_LOOKS_MAX;) {
        if (!is_offered(ps, l, m, only_ours))
            continue;
        if (!m->is_ours)
            relayed_bytes += m->bytes;
        if (relayed_bytes > OFFER_RELAYED_BYTES)
            break;
        first = m;
        n++;
    }
    return first;
}

/* A message of ours that went to nobody yet is sent at once; of the others the peer hears by IHAVE, and asks. */
void relay_offer(struct pubsub *ps, struct link *l, bool only_ours)
{
    struct slice batch[IHAVE_CHUNK], topic = topic_slice(l->topic);
    unsigned n = 0;

    if (list_is_empty(&l->topic->kept) || peer_score(ps, l->peer) < ps->thresholds.gossip)
        return;
    if (!peer_take(ps, l->peer, LIMIT_OFFERS, 1)) {
        ps->c.lists_cut++;
        return;
    }
    for (struct message *m = first_offer(ps, l, only_ours); m; m = kept_newer(l->topic, m)) {
        if (!is_offered(ps, l, m, only_ours))
            continue;
        if (!m->sent && m->is_ours && peer_send_message(ps, l->peer, m))
            continue;
        batch[n++] = id_of(m);
    }
    peer_send_ids(ps, l->peer, CONTROL_F_IHAVE, topic, batch, n);
    ps->c.ihave_out += n != 0;
}
