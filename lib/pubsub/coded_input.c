/* coded_input.c: headers and shards as they arrive */
#include <math.h>
#include <stdlib.h>

#include "pubsub/coded_int.h"
#include "pubsub/generation_ahead.h"
#include "pubsub/generation_doubt.h"
#include "pubsub/generation_header.h"
#include "pubsub/jobs.h"

#define HASH_ELSEWHERE_BYTES 8192 /* what is shorter is hashed sooner than handed over */

static void breach(struct coded *c, pubsub_peer p, const char *rule)
{
    if (!coded_peer_find(c, p))
        return; /* named before in the same breath */
    c->host.penalize(c->host.core, p, INFINITY, rule);
}

/* Provably not what its header says: P4 in the topic, and cut off. */
static void forgery(struct coded *c, pubsub_peer p, struct slice topic, const char *rule)
{
    if (!coded_peer_find(c, p))
        return;
    c->host.forged(c->host.core, p, topic, rule);
}

void coded_trace(struct coded *c, enum pubsub_trace_type type, const struct generation *g, pubsub_peer p, struct slice coefs)
{
    struct pubsub_trace *t = &c->trace;
    const struct peer_id *id;

    if (!c->cfg.has_trace)
        return;
    id = c->host.peer_id(c->host.core, p);
    t->type = type;
    t->peer = p;
    t->peer_id = id ? *id : (struct peer_id){0};
    memcpy(t->msg_id, g->id, CODED_ID_BYTES);
    t->msg_id_len = CODED_ID_BYTES;
    t->coefs_len = g->shape.k;
    if (coefs.len == 1) {
        memset(t->coefs, 0, g->shape.k);
        t->coefs[coefs.p[0]] = 1;
    } else {
        memcpy(t->coefs, coefs.p, g->shape.k);
    }
    memcpy(t->topic, g->topic.p, g->topic.len);
    t->topic[g->topic.len] = 0;
    t->reason = NULL;
    t->length = g->shape.shard_bytes;
    c->host.trace(c->host.core, t);
}

void coded_trace_enable(struct coded *c, bool is_on)
{
    c->cfg.has_trace = is_on;
}

static bool is_wanted(struct coded *c, const struct coded_header *h)
{
    if (!c->host.is_subscribed(c->host.core, h->topic) || slice_is_equal(h->from, peer_id_slice(&c->self))) {
        c->host.counters->control_ignored++;
        return false;
    }
    if (h->shape.size_bytes > c->cfg.max_msg_bytes) {
        c->host.counters->oversize++;
        return false;
    }
    return true;
}

static struct generation *header_accept(struct coded *c, struct coded_peer *peer, const struct coded_header *h,
                                        const uint8_t *id, uint64_t now)
{
    struct generation *g = NULL;
    struct buf *field;
    struct wr w;

    field = buf_new(CODED_HEADER_MAX);
    if (!field)
        return NULL;
    w = wr_of(field->data, field->cap);
    coded_header_put(&w, h->core, h->signature);
    field->len = (uint32_t)w.len;
    if (!w.bad)
        g = generation_new(h, field, c->cfg.elide_bytes);
    buf_unref(field);
    if (!g)
        return NULL;
    memcpy(g->id, id, CODED_ID_BYTES);
    return coded_add(c, g, peer, now) ? NULL : g;
}

static void on_header(struct coded *c, struct coded_peer *peer, struct slice content, uint64_t now)
{
    struct generation_link *l;
    struct generation *g;
    struct coded_header h;
    uint8_t id[CODED_ID_BYTES];
    int err = coded_header_read(content, &h);

    c->host.counters->headers_in++;
    if (err) {
        c->host.counters->headers_bad++;
        breach(c, peer->p, coded_err_name(err));
        return;
    }
    generation_header_id(&h, id);
    g = coded_find(c, id);
    if (!g) {
        if (coded_is_done(c, id, now) || !is_wanted(c, &h) || !coded_may_add(c, peer, &h.shape, now))
            return;
        err = generation_header_verify(&h);
        if (err) {
            c->host.counters->headers_bad++;
            forgery(c, peer->p, h.topic, coded_err_name(err));
            return;
        }
        g = header_accept(c, peer, &h, id, now);
        if (!g) {
            c->host.counters->no_memory++;
            return;
        }
        coded_near_topic(c, g->topic, now);
    }
    l = generation_link(g, peer->p, true);
    if (l)
        l->has_header = true;
    coded_repair_arm(c, g, now);
}

static bool is_among(const pubsub_peer *list, unsigned n, pubsub_peer p)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] == p)
            return true;
    return false;
}

/* Rows that did not decode: who sent what they should not have? Collected first, for penalize may drop peers. */
static void name_liars(struct coded *c, struct generation *g)
{
    struct buf *scratch = g->dropped_count ? buf_new(g->shape.shard_bytes) : NULL;
    pubsub_peer liars[GENERATION_DOUBT_ROWS * RLNC_K_MAX];
    unsigned nliars = 0;

    for (unsigned i = 0; scratch && i < g->dropped_count; i++) {
        const struct generation_row *r = &g->dropped[i];

        if (is_among(liars, nliars, r->from) || generation_dropped_is_genuine(g, i, scratch->data))
            continue;
        c->host.counters->shards_forged++;
        if (r->from && !r->is_second_hand) /* who passes on what it was asked for cannot know, and vouches for nothing */
            liars[nliars++] = r->from;
    }
    buf_unref(scratch);
    generation_release_dropped(g);
    for (unsigned i = 0; i < nliars; i++)
        forgery(c, liars[i], g->topic, "coded: forged coded shard");
}

void coded_take(struct coded *c, struct generation *g, uint64_t now)
{
    pubsub_peer upstream = g->last_from, first = g->charged;

    c->host.counters->decoded++;
    g->is_gate_open = true;
    coded_decoded(c, g, now);
    coded_push_done(c, g);
    coded_reschedule(c, g);
    c->host.deliver(c->host.core, g->topic, &g->from, g->seqno, g->payload ? buf_ref(g->payload) : NULL, g->shape.size_bytes, upstream,
                    (uint8_t)g->shape.k, g->born_ns);
    if (first && c->host.first_told && !coded_is_publisher(c, g, first))
        c->host.first_told(c->host.core, first, g->topic);
    if (g->dropped_count)
        name_liars(c, g);
}

/* As generation_decode; -GENERATION_E_STALE: no memory. */
static int decode(struct coded *c, struct generation *g)
{
    struct buf *payload;
    int err;

    if (c->host.has_reader && !c->host.has_reader(c->host.core, g->topic) && generation_keep_rows(g))
        return 0;
    err = g->ahead ? generation_ahead_finish(g) : -GENERATION_E_STALE;
    c->host.counters->decoded_ahead += !err;
    if (err != -GENERATION_E_STALE)
        return err;
    payload = coded_alloc(c, g->shape.size_bytes);
    if (!payload)
        return -GENERATION_E_STALE;
    err = generation_decode(g, payload, c->scratch);
    if (err)
        buf_unref(payload);
    return err;
}

void coded_try_decode(struct coded *c, struct generation *g, uint64_t now)
{
    uint32_t before = g->bytes;
    int err = decode(c, g);

    coded_charge(c, g, before);
    if (!err) {
        coded_take(c, g, now);
        return;
    }
    c->host.counters->decode_failed++;
    if (err == -GENERATION_E_FORGED) {
        coded_repair_forged(c, g, now);
        return;
    }
    g->repair_at_ns = now + 100 * CODED_MS; /* the timer tries again */
    coded_reschedule(c, g);
}

/* A peer sends in the order in which it was asked, or promised. So when what was last comes, and something before it is still open,
 * that was lost, or is so late that it is as good as lost: others may be asked for it. */
static void note_lost_answers(struct coded *c, struct generation_link *l, unsigned index)
{
    struct coded_bits lost = coded_bits_and(l->asked, l->asked_before);

    if (!coded_bits_has(&l->asked, index) || coded_bits_has(&l->asked_before, index))
        return;
    coded_share_note(&c->loss, coded_bits_count(&lost));
    l->asked = coded_bits_minus(l->asked, l->asked_before);
    l->asked_before = (struct coded_bits){{0}};
}

/* What is promised together comes in the order of its indices. */
static void note_lost_pushes(struct coded *c, struct generation_link *l, unsigned index, uint64_t now)
{
    struct coded_bits lost = coded_bits_or(l->promised_before, coded_bits_all(index));

    if (!coded_bits_has(&l->promised, index))
        return;
    l->has_kept = true;
    l->promised_ns = now; /* it is at it */
    if (!coded_bits_has(&l->promised_before, index)) {
        lost = coded_bits_and(l->promised, lost);
        coded_share_note(&c->loss, coded_bits_count(&lost));
        l->lost = coded_bits_or(l->lost, lost);
        l->promised = coded_bits_minus(l->promised, lost);
        l->promised_before = (struct coded_bits){{0}};
    }
    coded_bits_del(&l->promised, index);
}

/* What comes from a peer shows that it is at work; what was asked for, how long answers take. */
static void take_answer(struct coded *c, struct generation_link *l, const struct coded_shard *s, uint64_t now)
{
    bool is_coded = s->coefs.len > 1;

    if (!is_coded && s->hops)
        note_lost_pushes(c, l, s->coefs.p[0], now);
    if (!is_coded && !s->hops)
        note_lost_answers(c, l, s->coefs.p[0]);
    if (!l->asked_ns)
        return;
    if (!s->hops && (is_coded || coded_bits_has(&l->asked, s->coefs.p[0]))) {
        coded_pace_sample(l->is_answering ? &c->gaps : &c->answers, now - l->asked_ns);
        l->is_answering = true;
    }
    if (!is_coded)
        coded_bits_del(&l->asked, s->coefs.p[0]);
    l->asked_ns = coded_bits_is_empty(&l->asked) ? 0 : now; /* it is at it: the others have their time from now */
    l->failed = 0;
}

/* Form against header; NULL: fits, else the rule broken. */
static const char *shard_misfit(const struct generation *g, const struct coded_shard *s)
{
    unsigned k = g->shape.k, nonzero = 0;

    if (s->rank > k)
        return "coded: rank does not fit the generation";
    if (s->coefs.len == 1) {
        if (s->coefs.p[0] >= k)
            return "coded: shard index out of range";
        return s->payload.len == rlnc_shape_length(&g->shape, s->coefs.p[0]) ? NULL : "coded: wrong shard length";
    }
    if (s->coefs.len != k)
        return "coded: wrong number of coefficients";
    for (unsigned i = 0; i < k; i++)
        nonzero |= s->coefs.p[i];
    if (!nonzero)
        return "coded: all coefficients are zero";
    return s->payload.len == g->shape.shard_bytes ? NULL : "coded: wrong shard length";
}

static enum generation_verdict add(struct coded *c, struct generation *g, const struct coded_shard *s, struct buf *frame,
                                   const struct coded_peer *peer, const uint8_t *digest)
{
    uint32_t before = g->bytes;
    enum generation_verdict v;

    if (s->coefs.len == 1)
        v = generation_add_hashed(g, s->coefs.p[0], s->payload, digest, frame, peer ? peer->p : 0);
    else
        v = coded_add_row(c, g, peer, s, frame);
    coded_charge(c, g, before);
    return v;
}

static void count_verdict(struct coded *c, const struct generation *g, enum generation_verdict v, pubsub_peer p,
                          struct slice coefs)
{
    struct pubsub_counters *n = c->host.counters;

    switch (v) {
    case GENERATION_NEW:
        n->shards_new++;
        coded_trace(c, TRACE_NEW_SHARD, g, p, coefs);
        break;
    case GENERATION_DUPLICATE:
        n->shards_duplicate++;
        coded_trace(c, TRACE_DUPLICATE_SHARD, g, p, coefs);
        break;
    case GENERATION_VERIFIED:
    case GENERATION_UNHELPFUL:
        n->shards_unhelpful++;
        coded_trace(c, TRACE_UNHELPFUL_SHARD, g, p, coefs);
        break;
    case GENERATION_ASIDE: n->shards_aside++; break;
    case GENERATION_FORGED: n->shards_forged++; break;
    }
}

static void useful(struct coded *c, struct generation *g, enum generation_verdict v, const struct coded_shard *s,
                   pubsub_peer p, uint64_t now)
{
    if (v == GENERATION_NEW && s->hops && g->rank.rank > 1)
        coded_pace_sample(&c->arrivals, now - g->progress_ns);
    coded_progress(c, g, now);
    g->last_from = p;
    if (v == GENERATION_NEW)
        c->host.useful(c->host.core, p, g->topic, 1.0 / g->shape.k);
    g->is_gate_open |= (double)g->rank.rank >= c->cfg.threshold * g->shape.k;
    if (s->coefs.len == 1 && s->hops)
        coded_push_source(c, g, s->coefs.p[0], p, s->hops, s->sent);
    if (rlnc_rank_is_full(&g->rank)) {
        coded_try_decode(c, g, now);
        return;
    }
    if (s->coefs.len == 1 && g->hint_at_ns == TIMER_NEVER)
        g->hint_at_ns = now + CODED_HINT_NS;
    coded_pull(c, g, now);
    g->repair_at_ns = TIMER_NEVER;
    coded_repair_arm(c, g, now);
    coded_ahead_arm(g, now);
    coded_reschedule(c, g);
}

/* Reasons not to look at a shard's bytes at all. */
static bool is_refused(struct coded *c, const struct generation *g, const struct generation_link *l, const struct coded_shard *s,
                       uint64_t now)
{
    struct coded_peer *payer = coded_peer_find(c, g->charged);
    bool is_over = payer && !coded_has_share(c, payer, s->payload.len);
    bool is_doubtful = s->coefs.len > 1 && g->failures && !l; /* of one that we cannot remember */
    bool is_unbidden = s->flags & CODED_SHARD_SECOND_HAND && (!l || !l->is_row_asked);

    if (!is_over && !is_doubtful && !is_unbidden && coded_make_room(c, s->payload.len, g, now))
        return false;
    c->host.counters->shards_refused++;
    return true;
}

/* A shard that fits and may be kept. peer: who sent it; NULL: gone since. digest: of a source shard, when it is known already. */
static void take_shard(struct coded *c, struct generation *g, const struct coded_peer *peer, const struct coded_shard *s,
                       struct buf *frame, const uint8_t *digest, uint64_t now)
{
    enum generation_verdict v = add(c, g, s, frame, peer, digest);
    pubsub_peer p = peer ? peer->p : 0;

    count_verdict(c, g, v, p, s->coefs);
    coded_push_note(c, g->shape.size_bytes, s->hops, v == GENERATION_NEW || v == GENERATION_VERIFIED);
    if (v == GENERATION_FORGED)
        forgery(c, p, g->topic, "coded: shard does not match its hash");
    else if (v == GENERATION_NEW || v == GENERATION_VERIFIED)
        useful(c, g, v, s, p, now);
    else if (v == GENERATION_ASIDE)
        coded_doubt_aside(c, g, now);
}

static void count_unnecessary(struct coded *c, const struct generation *g, pubsub_peer p, const struct coded_shard *s)
{
    c->host.counters->shards_unnecessary++;
    coded_push_note(c, g->shape.size_bytes, s->hops, false);
    coded_trace(c, TRACE_UNNECESSARY_SHARD, g, p, s->coefs);
}

/* True: its hash is being made elsewhere, or that of another copy is. Should that one turn out to be forged, this one is asked for
 * again; whoever sends a forged one does so once. */
static bool hash_elsewhere(struct coded *c, struct generation *g, pubsub_peer p, const struct coded_shard *s, struct buf *frame)
{
    struct pubsub_job *job;

    if (!c->host.job_new || s->coefs.len != 1 || s->payload.len < HASH_ELSEWHERE_BYTES || coded_bits_has(&g->have, s->coefs.p[0]))
        return false;
    if (coded_bits_has(&g->hashing, s->coefs.p[0])) {
        count_verdict(c, g, GENERATION_DUPLICATE, p, s->coefs);
        return true;
    }
    job = c->host.job_new(c->host.core, frame, p);
    if (!job)
        return false;
    job->shard = *s;
    if (!c->host.job_send(c->host.core, job))
        return false;
    coded_bits_put(&g->hashing, s->coefs.p[0]);
    return true;
}

void coded_hashed(struct coded *c, struct pubsub_job *job, uint64_t now)
{
    const struct coded_shard *s = &job->shard;
    struct generation *g = coded_find(c, s->id);
    struct coded_peer *peer = job->sources[0] ? coded_peer_find(c, job->sources[0]) : NULL;

    if (!g) { /* given up meanwhile */
        c->host.counters->shards_unnecessary++;
        return;
    }
    coded_bits_del(&g->hashing, s->coefs.p[0]);
    if (generation_is_decoded(g))
        count_unnecessary(c, g, job->sources[0], s);
    else if (!is_refused(c, g, generation_link(g, job->sources[0], false), s, now))
        take_shard(c, g, peer, s, job->frame, job->digest, now);
}

static void on_shard(struct coded *c, struct coded_peer *peer, struct slice content, struct buf *frame, uint64_t now)
{
    struct generation_link *l;
    struct generation *g;
    struct coded_shard s;
    pubsub_peer p = peer->p;
    const char *misfit;
    int err = coded_shard_read(content, &s);

    c->host.counters->shards_in++;
    c->host.counters->shards_in_bytes += s.payload.len;
    if (err) {
        breach(c, p, coded_err_name(err));
        return;
    }
    g = coded_find(c, s.id);
    if (!g) {
        if (coded_is_done(c, s.id, now)) {
            c->host.counters->shards_unnecessary++;
            return;
        }
        c->host.counters->shards_refused++;
        coded_ask_header(c, peer, s.id, now);
        return;
    }
    misfit = shard_misfit(g, &s);
    if (misfit) {
        c->host.counters->shards_forged++;
        forgery(c, p, g->topic, misfit);
        return;
    }
    l = generation_is_settled(g, p) ? NULL : generation_link(g, p, true);
    if (l) {
        l->rank = s.rank > l->rank ? s.rank : l->rank;
        l->is_done |= s.rank == g->shape.k;
        l->has_header = true;
        l->heard_ns = now;
        if (s.coefs.len == 1)
            coded_bits_put(&l->has, s.coefs.p[0]);
    }
    if (generation_is_decoded(g)) {
        count_unnecessary(c, g, p, &s);
        return;
    }
    if (l)
        take_answer(c, l, &s, now);
    if (is_refused(c, g, l, &s, now) || hash_elsewhere(c, g, p, &s, frame))
        return;
    take_shard(c, g, peer, &s, frame, NULL, now);
}

void coded_input(struct coded *c, pubsub_peer p, uint32_t field, struct slice content, struct buf *frame, uint64_t now)
{
    struct coded_peer *peer = coded_peer_find(c, p);

    if (!peer) { /* more than we have memory or places for */
        c->host.counters->control_ignored++;
        return;
    }
    switch (field) {
    case CODED_HEADER: on_header(c, peer, content, now); break;
    case CODED_SHARD: on_shard(c, peer, content, frame, now); break;
    case CODED_HAVE: coded_on_have(c, p, content, now); break;
    case CODED_WANT: coded_on_want(c, p, content, now); break;
    case CODED_NEAR: coded_on_near(c, p, content); break;
    default: c->host.counters->control_ignored++; break; /* a later version's */
    }
}
