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
        tp->holds--;
        topic_release(&ps->topics, tp);
        message_unref(m);
    }
}

static void keep(struct pubsub *ps, struct topic *tp, struct message *m)
{
    m->topic = tp;
    tp->holds++;
    mcache_put(&ps->mcache, m, ps->now);
}

void relay_deliver(struct pubsub *ps, struct slice topic, const struct peer_id *from, const struct peer *upstream,
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
    ev->out.payload = payload;
    ev->out.from = *from;
    ev->out.k = k;
    if (upstream) {
        ev->out.upstream = upstream->id;
        ev->out.peer = upstream->handle;
    }
    memcpy(ev->out.topic, topic.p, topic.len);
}

static bool may_have(const struct pubsub *ps, const struct peer *p, const struct message *m)
{
    return p->handle == m->source || peer_id_is_equal(&p->id, &m->from) || unwanted_has(&p->unwanted, m->key, ps->tick);
}

static void forward(struct pubsub *ps, struct topic *tp, struct message *m)
{
    LIST_EACH(it, &tp->mesh) {
        struct peer *p = CONTAINER_OF(it, struct link, by_mesh)->peer;
        if (!may_have(ps, p, m) && !p->is_closing)
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
        if (p->proto == PUBSUB_MESHSUB_11 || may_have(ps, p, m))
            continue;
        peer_send_ids(ps, p, CONTROL_F_IDONTWANT, (struct slice){0}, &id, 1);
        ps->c.idontwant_out++;
    }
}

static void reject(struct pubsub *ps, struct peer *p, const struct message_fields *f, int err)
{
    ps->c.rejected++;
    ps->c.bad_signatures += err == -MESSAGE_ESIGNATURE;
    score_invalid(p->score);
    trace_message(ps, TRACE_REJECT_MESSAGE, p, f->topic, (struct slice){0}, message_err_name(err), f->data.len);
}

/* What can be told without a signature check. 0 go on, 1 done with it (counted), or -MESSAGE_E... */
static int sift(struct pubsub *ps, struct peer *p, const struct message_fields *f, struct topic **tp,
                struct peer_id *from, struct msgkey *key)
{
    struct rd seqno = rd_of(f->seqno);
    uint8_t id[MESSAGE_ID_MAX];
    int rc = message_check(f, from);

    if (rc)
        return rc;
    *tp = topic_find(&ps->topics, f->topic);
    if (!*tp || !(*tp)->is_subscribed) {
        ps->c.unsubscribed++;
        return 1;
    }
    struct slice ids = slice_of(id, message_id(id, f->from, rd_be64(&seqno)));
    *key = key_of_id(ps, ids);
    if (seen_has(&ps->seen, *key, ps->now)) {
        ps->c.duplicates++;
        promises_kept(&ps->promises, *key);
        trace_message(ps, TRACE_DUPLICATE_MESSAGE, p, f->topic, ids, NULL, f->data.len);
        return 1;
    }
    if (peer_id_is_equal(from, &ps->self)) { /* ours from before a restart, or a lie: not passed on, not punished */
        ps->c.rejected++;
        return 1;
    }
    if (f->data.len > ps->cfg.max_msg_bytes) {
        ps->c.oversize++;
        trace_message(ps, TRACE_REJECT_MESSAGE, p, f->topic, ids, "too large", f->data.len);
        return 1;
    }
    return 0;
}

void relay_input(struct pubsub *ps, struct peer *p, const struct rpc_item *it, struct buf *frame)
{
    struct message_fields f;
    struct topic *tp = NULL;
    struct peer_id from;
    struct msgkey key = {0};
    int rc = message_parse(&f, it->body);

    if (!rc)
        rc = sift(ps, p, &f, &tp, &from, &key);
    if (!rc)
        rc = message_verify(&f, &from, &ps->scratch);
    if (rc == -MESSAGE_EMEM)
        ps->c.no_memory++;
    else if (rc < 0)
        reject(ps, p, &f, rc);
    if (rc)
        return;
    struct message *m = message_new_received(ps->pool, &f, &from, it->whole, frame);
    if (!m) {
        ps->c.no_memory++; /* not marked as seen: another copy may still come */
        return;
    }
    m->key = key;
    m->source = p->handle;
    seen_add(&ps->seen, key, ps->now);
    promises_kept(&ps->promises, key);
    want_met(&ps->wants, key);
    trace_message(ps, TRACE_DELIVER_MESSAGE, p, f.topic, id_of(m), NULL, f.data.len);
    send_idontwant(ps, tp, m);
    forward(ps, tp, m);
    relay_deliver(ps, f.topic, &from, p, message_payload(m), 1);
    keep(ps, tp, m);
    relay_evict(ps);
    message_unref(m);
}

bool fanout_is_candidate(const struct pubsub *ps, const struct link *l)
{
    return !link_is_mesh(l) && !l->peer->is_closing && peer_score(ps, l->peer) >= SCORE_PUBLISH;
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
        tp->published_ns = ps->now;
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
    struct message *m = message_new_signed(ps->pool, ps->cfg.key, &ps->self, seqno_next(&ps->seqno, ps->now), topic,
                                           payload, &ps->scratch);

    if (!m)
        return -PUBSUB_EMEM;
    m->key = key_of_id(ps, id_of(m));
    seen_add(&ps->seen, m->key, ps->now);
    trace_message(ps, TRACE_PUBLISH_MESSAGE, NULL, topic, id_of(m), NULL, payload->len);
    send_ours(ps, tp, m);
    if (tp->is_subscribed)
        relay_deliver(ps, topic, &ps->self, NULL, message_payload(m), 1);
    keep(ps, tp, m);
    relay_evict(ps);
    message_unref(m);
    buf_unref(payload); /* the message holds its own */
    return 0;
}

static bool is_offered(const struct pubsub *ps, const struct link *l, const struct message *m, bool only_ours)
{
    return m->topic == l->topic && (m->is_ours || !only_ours) && !may_have(ps, l->peer, m);
}

/* The oldest of the newest messages to offer: OFFER_IDS_MAX of them, relayed ones up to OFFER_RELAYED_BYTES. */
static struct message *first_offer(const struct pubsub *ps, const struct link *l, bool only_ours)
{
    struct message *first = NULL;
    uint64_t relayed_bytes = 0;
    unsigned n = 0;

    for (struct message *m = NULL; n < OFFER_IDS_MAX && (m = mcache_older(&ps->mcache, m));) {
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

    if (!l->topic->holds || peer_score(ps, l->peer) < SCORE_GOSSIP)
        return;
    for (struct message *m = first_offer(ps, l, only_ours); m; m = mcache_newer(&ps->mcache, m)) {
        if (!is_offered(ps, l, m, only_ours))
            continue;
        if (!m->sent && m->is_ours && peer_send_message(ps, l->peer, m))
            continue;
        batch[n++] = id_of(m);
    }
    peer_send_ids(ps, l->peer, CONTROL_F_IHAVE, topic, batch, n);
    ps->c.ihave_out += n != 0;
}
