#include "pubsub/netsim.h"

#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/pb.h"
#include "base/timerq.h"
#include "libp2p/peer_record.h"
#include "pubsub/pubsub_wire.h"

enum { TIMER_CORE, TIMER_DEPART, TIMER_ARRIVE, TIMER_VERDICT };

struct direction {
    uint64_t free_at, last_arrival, queued;
};

struct edge {
    struct netsim_link link;
    struct direction dir[2]; /* from the lower number; from the higher */
    uint64_t epoch;          /* 0: not connected */
};

struct frame {
    struct timer timer;
    struct list node;
    unsigned from, to;
    uint64_t epoch;
    struct buf *buf;
};

struct verdict {
    struct timer timer;
    struct list node;
    unsigned at;
    uint64_t token;
    enum pubsub_verdict verdict;
    struct pubsub_job *job; /* not NULL: it is done */
};

struct node {
    struct timer timer;
    struct pubsub *core; /* NULL: raw */
    struct key_pair key;
    struct peer_id id;
    bool is_killed, is_mute;
    void (*on_frame)(void *user, struct netsim *s, unsigned from, struct slice frame);
    void *user;
    struct netsim_delivery *deliveries;
    unsigned ndeliveries, cap, disconnects, dials;
    uint32_t ip; /* 0: made of its number */
    enum pubsub_verdict (*judge)(void *user, struct slice payload);
    void *judge_user;
    uint64_t judge_ns, work_ns;
    uint64_t traces[32];
};

struct netsim {
    struct rng rng;
    uint64_t now, epochs, wire_bytes, wire_frames;
    struct netsim_link defaults;
    struct timerq timers;
    struct list frames, verdicts;
    struct pubsub_helper *helper;
    bool has_records, has_dials;
    enum pubsub_proto dial_proto; /* of the last connection made: all of a test speak the same */
    struct node **nodes;
    struct edge *edges; /* nnodes_cap squared, upper triangle */
    unsigned nnodes;
};

#define NODES_MAX 256

struct netsim *netsim_new(uint64_t seed, const struct netsim_link *link_defaults)
{
    struct netsim *s = calloc(1, sizeof(*s));

    assert(s);
    rng_init_seeded(&s->rng, seed);
    s->now = NETSIM_START;
    s->defaults = link_defaults ? *link_defaults : (struct netsim_link){.delay_ns = NETSIM_MS};
    timerq_init(&s->timers);
    list_init(&s->frames);
    list_init(&s->verdicts);
    s->helper = pubsub_helper_new();
    assert(s->helper);
    s->nodes = calloc(NODES_MAX, sizeof(*s->nodes));
    s->edges = calloc((size_t)NODES_MAX * NODES_MAX, sizeof(*s->edges));
    assert(s->nodes && s->edges);
    return s;
}

static void frame_free(struct netsim *s, struct frame *f)
{
    timerq_cancel(&s->timers, &f->timer);
    list_del(&f->node);
    buf_unref(f->buf);
    free(f);
}

static void verdict_free(struct netsim *s, struct verdict *v)
{
    timerq_cancel(&s->timers, &v->timer);
    list_del(&v->node);
    free(v);
}

void netsim_free(struct netsim *s)
{
    LIST_EACH(it, &s->frames)
        frame_free(s, CONTAINER_OF(it, struct frame, node));
    LIST_EACH(it, &s->verdicts)
        verdict_free(s, CONTAINER_OF(it, struct verdict, node));
    pubsub_helper_free(s->helper);
    for (unsigned i = 0; i < s->nnodes; i++) {
        pubsub_free(s->nodes[i]->core);
        free(s->nodes[i]->deliveries);
        free(s->nodes[i]);
    }
    timerq_fini(&s->timers);
    free(s->nodes);
    free(s->edges);
    free(s);
}

struct pubsub_config netsim_config(enum pubsub_mode mode)
{
    return (struct pubsub_config){
        .mode = mode,
        .mesh_target = 6,
        .mesh_min = 4,
        .mesh_max = 12,
        .mesh_out = 2,
        .max_msg_bytes = 1u << 20,
        .k = 4,
        .mult = 1.5,
        .threshold = 0.75,
        .seen_max = 1u << 14,
        .has_trace = true,
    };
}

static unsigned add_node(struct netsim *s)
{
    struct node *n = calloc(1, sizeof(*n));
    uint8_t seed[ED25519_SEED_BYTES];

    assert(n && s->nnodes < NODES_MAX);
    rng_fill(&s->rng, seed, sizeof(seed));
    key_pair_from_seed(&n->key, seed);
    key_pair_peer_id(&n->key, &n->id);
    s->nodes[s->nnodes] = n;
    return s->nnodes++;
}

unsigned netsim_add(struct netsim *s, const struct pubsub_config *cfg)
{
    unsigned i = add_node(s);
    struct pubsub_config c = *cfg;

    c.key = &s->nodes[i]->key;
    s->nodes[i]->core = pubsub_new(&c, &s->rng, s->now, NETSIM_UNIX + s->now - NETSIM_START);
    assert(s->nodes[i]->core);
    netsim_drain(s, i);
    return i;
}

unsigned netsim_add_raw(struct netsim *s, void (*on_frame)(void *user, struct netsim *s, unsigned from,
                                                           struct slice frame), void *user)
{
    unsigned i = add_node(s);

    s->nodes[i]->on_frame = on_frame;
    s->nodes[i]->user = user;
    return i;
}

unsigned netsim_nodes(const struct netsim *s)
{
    return s->nnodes;
}

static struct edge *edge_of(const struct netsim *s, unsigned a, unsigned b)
{
    return a < b ? &s->edges[(size_t)a * NODES_MAX + b] : &s->edges[(size_t)b * NODES_MAX + a];
}

bool netsim_is_connected(const struct netsim *s, unsigned a, unsigned b)
{
    return edge_of(s, a, b)->epoch != 0;
}

void netsim_set_ip(struct netsim *s, unsigned n, uint32_t ip)
{
    s->nodes[n]->ip = ip;
}

void netsim_with_records(struct netsim *s)
{
    s->has_records = true;
}

void netsim_with_dials(struct netsim *s)
{
    s->has_dials = true;
}

unsigned netsim_dials(const struct netsim *s, unsigned n)
{
    return s->nodes[n]->dials;
}

void netsim_work(struct netsim *s, unsigned n, uint64_t delay_ns)
{
    s->nodes[n]->work_ns = delay_ns;
}

void netsim_validator(struct netsim *s, unsigned n, enum pubsub_verdict (*judge)(void *user, struct slice payload),
                      void *user, uint64_t delay_ns)
{
    s->nodes[n]->judge = judge;
    s->nodes[n]->judge_user = user;
    s->nodes[n]->judge_ns = delay_ns;
}

static void tell_record(struct netsim *s, unsigned at, unsigned peer)
{
    static const uint8_t addr[] = {4, 10, 0, 0, 1, 6, 0x1b, 0x9e}; /* /ip4/10.0.0.1/tcp/7070 */
    struct slice addrs = slice_of(addr, sizeof(addr));
    uint8_t out[512];
    ssize_t n = peer_record_seal(&s->nodes[peer]->key, s->now, &addrs, 1, out, sizeof(out));

    assert(n > 0);
    int rc = pubsub_peer_record(s->nodes[at]->core, peer + 1, slice_of(out, (size_t)n), s->now);
    assert(rc == 0);
}

static void up(struct netsim *s, unsigned at, unsigned peer, enum pubsub_proto proto, bool is_outbound)
{
    struct node *n = s->nodes[at];
    uint32_t ip = s->nodes[peer]->ip ? s->nodes[peer]->ip : 10u << 24 | peer;
    uint8_t addr[4] = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip};

    if (!n->core)
        return;
    int rc = pubsub_peer_up(n->core, peer + 1, &s->nodes[peer]->id, proto, is_outbound, slice_of(addr, 4), s->now);
    assert(rc == 0);
    if (s->has_records)
        tell_record(s, at, peer);
}

void netsim_connect(struct netsim *s, unsigned a, unsigned b, enum pubsub_proto proto)
{
    struct edge *e = edge_of(s, a, b);

    if (e->epoch || a == b || s->nodes[a]->is_killed || s->nodes[b]->is_killed)
        return;
    *e = (struct edge){.link = s->defaults, .epoch = ++s->epochs};
    s->dial_proto = proto;
    up(s, a, b, proto, true);
    up(s, b, a, proto, false);
    netsim_drain(s, a);
    netsim_drain(s, b);
}

void netsim_disconnect(struct netsim *s, unsigned a, unsigned b)
{
    struct edge *e = edge_of(s, a, b);

    if (!e->epoch)
        return;
    e->epoch = 0;
    if (s->nodes[a]->core)
        pubsub_peer_down(s->nodes[a]->core, b + 1, s->now);
    if (s->nodes[b]->core)
        pubsub_peer_down(s->nodes[b]->core, a + 1, s->now);
    netsim_drain(s, a);
    netsim_drain(s, b);
}

void netsim_connect_all(struct netsim *s, enum pubsub_proto proto)
{
    for (unsigned a = 0; a < s->nnodes; a++)
        for (unsigned b = a + 1; b < s->nnodes; b++)
            netsim_connect(s, a, b, proto);
}

void netsim_connect_random(struct netsim *s, unsigned degree, enum pubsub_proto proto)
{
    for (unsigned a = 0; a < s->nnodes; a++) {
        if (a)
            netsim_connect(s, a, a - 1, proto);
        for (unsigned i = 1; i < degree; i++)
            netsim_connect(s, a, (unsigned)rng_below(&s->rng, s->nnodes), proto);
    }
}

struct netsim_link *netsim_link(struct netsim *s, unsigned a, unsigned b)
{
    return &edge_of(s, a, b)->link;
}

void netsim_kill(struct netsim *s, unsigned n)
{
    s->nodes[n]->is_killed = true;
    for (unsigned i = 0; i < s->nnodes; i++)
        if (i != n)
            netsim_disconnect(s, n, i);
    timerq_cancel(&s->timers, &s->nodes[n]->timer);
}

bool netsim_is_killed(const struct netsim *s, unsigned n)
{
    return s->nodes[n]->is_killed;
}

struct pubsub *netsim_core(struct netsim *s, unsigned n)
{
    return s->nodes[n]->core;
}

const struct peer_id *netsim_peer_id(const struct netsim *s, unsigned n)
{
    return &s->nodes[n]->id;
}

const struct key_pair *netsim_key(const struct netsim *s, unsigned n)
{
    return &s->nodes[n]->key;
}

uint64_t netsim_now(const struct netsim *s)
{
    return s->now;
}

struct pubsub_counters netsim_counters(struct netsim *s, unsigned n)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, n), &c);
    return c;
}

static bool is_lost(struct netsim *s, const struct netsim_link *l)
{
    return l->loss > 0 && (double)(rng_u64(&s->rng) >> 11) / 9007199254740992.0 < l->loss;
}

static struct direction *direction_of(struct edge *e, unsigned from, unsigned to)
{
    return &e->dir[from > to];
}

static void tell_queue(struct netsim *s, unsigned from, unsigned to, uint64_t queued)
{
    if (s->nodes[from]->core && netsim_is_connected(s, from, to))
        pubsub_peer_queue(s->nodes[from]->core, to + 1, queued, s->now);
}

/* Takes the frame's one reference. */
static void transmit(struct netsim *s, unsigned from, unsigned to, struct buf *buf)
{
    struct edge *e = edge_of(s, from, to);
    struct direction *d = direction_of(e, from, to);
    struct frame *f = e->epoch ? calloc(1, sizeof(*f)) : NULL;

    if (!f) {
        buf_unref(buf);
        return;
    }
    s->wire_bytes += buf->len;
    s->wire_frames++;
    *f = (struct frame){.from = from, .to = to, .epoch = e->epoch, .buf = buf};
    f->timer.kind = TIMER_DEPART;
    if (d->free_at < s->now)
        d->free_at = s->now;
    if (e->link.bytes_per_s) {
        d->free_at += buf->len * NETSIM_S / e->link.bytes_per_s + 1;
        d->queued += buf->len;
        tell_queue(s, from, to, d->queued);
    }
    list_push_back(&s->frames, &f->node);
    timerq_set(&s->timers, &f->timer, d->free_at);
}

static void depart(struct netsim *s, struct frame *f)
{
    struct edge *e = edge_of(s, f->from, f->to);
    struct direction *d = direction_of(e, f->from, f->to);
    uint64_t at = s->now + e->link.delay_ns;

    if (e->epoch != f->epoch) {
        frame_free(s, f);
        return;
    }
    if (e->link.bytes_per_s) {
        d->queued -= f->buf->len < d->queued ? f->buf->len : d->queued;
        tell_queue(s, f->from, f->to, d->queued);
    }
    if (is_lost(s, &e->link)) {
        frame_free(s, f);
        return;
    }
    if (e->link.jitter_ns)
        at += rng_below(&s->rng, e->link.jitter_ns);
    if (!e->link.is_reordering && at <= d->last_arrival)
        at = d->last_arrival + 1; /* a stream: in order */
    d->last_arrival = at;
    f->timer.kind = TIMER_ARRIVE;
    timerq_set(&s->timers, &f->timer, at);
}

static void arrive(struct netsim *s, struct frame *f)
{
    struct node *n = s->nodes[f->to];
    bool is_live = edge_of(s, f->from, f->to)->epoch == f->epoch;

    if (is_live && n->core) {
        pubsub_rpc(n->core, f->from + 1, buf_ref(f->buf), s->now);
        netsim_drain(s, f->to);
    } else if (is_live && n->on_frame) {
        n->on_frame(n->user, s, f->from, buf_slice(f->buf));
    }
    frame_free(s, f);
}

void netsim_send(struct netsim *s, unsigned from, unsigned to, struct slice frame)
{
    transmit(s, from, to, buf_copy(frame));
}

void netsim_mute(struct netsim *s, unsigned n)
{
    s->nodes[n]->is_mute = true;
}

/* Takes the publish fields out of a frame. */
static void strip_messages(struct buf *b)
{
    struct rd rd = rd_of(buf_slice(b));
    struct pb_field f;
    uint32_t kept = 0;

    for (const uint8_t *at = rd.p; pb_next(&rd, &f) > 0; at = rd.p) {
        uint32_t n = (uint32_t)(rd.p - at);
        if (f.number == RPC_F_PUBLISH)
            continue;
        memmove(b->data + kept, at, n);
        kept += n;
    }
    b->len = kept;
}

static void carry_send(struct netsim *s, unsigned from, struct pubsub_output *out)
{
    uint32_t len = 0, at = 0;

    for (unsigned i = 0; i < out->npieces; i++)
        len += out->pieces[i].len;
    struct buf *b = buf_new(len);
    assert(b && out->npieces <= PUBSUB_MAX_PIECES);
    for (unsigned i = 0; i < out->npieces; i++) {
        struct pubsub_piece *p = &out->pieces[i];
        assert((uint64_t)p->off + p->len <= p->buf->len);
        memcpy(b->data + at, p->buf->data + p->off, p->len);
        at += p->len;
        buf_unref(p->buf);
    }
    b->len = len;
    if (s->nodes[from]->is_mute)
        strip_messages(b);
    if (b->len)
        transmit(s, from, out->peer - 1, b);
    else
        buf_unref(b);
}

static void note_delivery(struct netsim *s, struct node *n, struct pubsub_output *out)
{
    if (n->ndeliveries == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 64;
        n->deliveries = realloc(n->deliveries, n->cap * sizeof(*n->deliveries));
        assert(n->deliveries);
    }
    struct netsim_delivery *d = &n->deliveries[n->ndeliveries++];
    *d = (struct netsim_delivery){.hash = netsim_hash(buf_slice(out->payload)), .at_ns = s->now, .k = out->k,
                                  .len = out->payload->len, .is_own = out->upstream.len == 0, .from = out->from,
                                  .upstream = out->upstream};
    memcpy(d->topic, out->topic, sizeof(d->topic));
    buf_unref(out->payload);
}

static void carry_dial(struct netsim *s, unsigned from, struct pubsub_output *out)
{
    s->nodes[from]->dials++;
    for (unsigned i = 0; s->has_dials && out->record && i < s->nnodes; i++)
        if (peer_id_is_equal(&s->nodes[i]->id, &out->from) && !netsim_is_connected(s, from, i))
            netsim_connect(s, from, i, s->dial_proto);
    buf_unref(out->record);
}

static void ask_application(struct netsim *s, unsigned at, struct pubsub_output *out)
{
    struct node *n = s->nodes[at];
    struct verdict *v = calloc(1, sizeof(*v));

    assert(v && n->judge);
    *v = (struct verdict){.at = at, .token = out->token, .verdict = n->judge(n->judge_user, buf_slice(out->payload))};
    buf_unref(out->payload);
    v->timer.kind = TIMER_VERDICT;
    list_push_back(&s->verdicts, &v->node);
    timerq_set(&s->timers, &v->timer, s->now + n->judge_ns);
}

static void give_work(struct netsim *s, unsigned at, struct pubsub_job *job)
{
    struct node *n = s->nodes[at];
    struct verdict *v;

    pubsub_job_run(s->helper, job);
    if (!n->work_ns) {
        pubsub_job_done(n->core, job, s->now);
        return;
    }
    v = calloc(1, sizeof(*v));
    assert(v);
    *v = (struct verdict){.at = at, .job = job};
    v->timer.kind = TIMER_VERDICT;
    list_push_back(&s->verdicts, &v->node);
    timerq_set(&s->timers, &v->timer, s->now + rng_below(&s->rng, n->work_ns));
}

static void give_verdict(struct netsim *s, struct verdict *v)
{
    unsigned at = v->at;

    if (!s->nodes[at]->is_killed) {
        if (v->job)
            pubsub_job_done(s->nodes[at]->core, v->job, s->now);
        else
            pubsub_validated(s->nodes[at]->core, v->token, v->verdict, s->now);
        netsim_drain(s, at);
    }
    verdict_free(s, v);
}

void netsim_drain(struct netsim *s, unsigned i)
{
    struct node *n = s->nodes[i];
    struct pubsub_output out;

    while (n->core && pubsub_next_output(n->core, &out)) {
        switch (out.type) {
        case PUBSUB_SEND: carry_send(s, i, &out); break;
        case PUBSUB_DELIVER: note_delivery(s, n, &out); break;
        case PUBSUB_TRACE: n->traces[out.trace->type]++; break;
        case PUBSUB_DIAL: carry_dial(s, i, &out); break;
        case PUBSUB_VALIDATE: ask_application(s, i, &out); break;
        case PUBSUB_WORK: give_work(s, i, out.job); break;
        case PUBSUB_DISCONNECT:
            n->disconnects++;
            netsim_disconnect(s, i, out.peer - 1);
            break;
        }
    }
    if (n->core && !n->is_killed)
        timerq_set(&s->timers, &n->timer, pubsub_next_deadline(n->core));
}

static struct slice str(const char *topic)
{
    return slice_str(topic);
}

int netsim_subscribe(struct netsim *s, unsigned n, const char *topic)
{
    int rc = pubsub_subscribe(s->nodes[n]->core, str(topic), s->now);

    netsim_drain(s, n);
    return rc;
}

int netsim_unsubscribe(struct netsim *s, unsigned n, const char *topic)
{
    int rc = pubsub_unsubscribe(s->nodes[n]->core, str(topic), s->now);

    netsim_drain(s, n);
    return rc;
}

/* Stands in for SHA-256: the core only compares it. */
static void fake_sha256(uint8_t out[32], struct slice payload)
{
    uint64_t h = netsim_hash(payload);

    for (int i = 0; i < 4; i++)
        memcpy(out + 8 * i, &h, 8);
}

int netsim_publish(struct netsim *s, unsigned n, const char *topic, struct slice payload)
{
    uint8_t sha[32];
    struct buf *b = buf_copy(payload);
    int rc;

    assert(b);
    fake_sha256(sha, payload);
    rc = pubsub_publish(s->nodes[n]->core, str(topic), b, sha, s->now);
    if (rc)
        buf_unref(b);
    netsim_drain(s, n);
    return rc;
}

void netsim_leave(struct netsim *s, unsigned n)
{
    pubsub_leave(s->nodes[n]->core, s->now);
    netsim_drain(s, n);
}

static void on_timer(struct netsim *s, struct timer *t)
{
    struct node *n = CONTAINER_OF(t, struct node, timer);

    if (t->kind == TIMER_DEPART) {
        depart(s, CONTAINER_OF(t, struct frame, timer));
        return;
    }
    if (t->kind == TIMER_ARRIVE) {
        arrive(s, CONTAINER_OF(t, struct frame, timer));
        return;
    }
    if (t->kind == TIMER_VERDICT) {
        give_verdict(s, CONTAINER_OF(t, struct verdict, timer));
        return;
    }
    pubsub_on_deadline(n->core, s->now);
    for (unsigned i = 0; i < s->nnodes; i++)
        if (s->nodes[i] == n)
            netsim_drain(s, i);
}

void netsim_run(struct netsim *s, uint64_t for_ns)
{
    uint64_t end = s->now + for_ns;

    for (uint64_t at; (at = timerq_next(&s->timers)) <= end;) {
        if (at > s->now)
            s->now = at;
        on_timer(s, timerq_pop(&s->timers, s->now));
    }
    s->now = end;
}

const struct netsim_delivery *netsim_deliveries(const struct netsim *s, unsigned n, unsigned *count)
{
    *count = s->nodes[n]->ndeliveries;
    return s->nodes[n]->deliveries;
}

uint64_t netsim_hash(struct slice payload)
{
    uint64_t h = 0xcbf29ce484222325ull ^ payload.len;

    for (size_t i = 0; i < payload.len; i++)
        h = (h ^ payload.p[i]) * 0x100000001b3ull;
    return h;
}

unsigned netsim_count(const struct netsim *s, unsigned n, const char *topic, struct slice payload)
{
    uint64_t hash = netsim_hash(payload);
    unsigned count = 0;

    for (unsigned i = 0; i < s->nodes[n]->ndeliveries; i++) {
        const struct netsim_delivery *d = &s->nodes[n]->deliveries[i];
        count += d->hash == hash && d->len == payload.len && strcmp(d->topic, topic) == 0;
    }
    return count;
}

unsigned netsim_disconnects(const struct netsim *s, unsigned n)
{
    return s->nodes[n]->disconnects;
}

uint64_t netsim_wire_bytes(const struct netsim *s)
{
    return s->wire_bytes;
}

uint64_t netsim_wire_frames(const struct netsim *s)
{
    return s->wire_frames;
}

uint64_t netsim_traces(const struct netsim *s, unsigned n, enum pubsub_trace_type type)
{
    return s->nodes[n]->traces[type];
}
