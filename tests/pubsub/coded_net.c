/* coded_net.c: coded routers joined by a virtual network */
#include "pubsub/coded_net.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/pb.h"
#include "base/timerq.h"
#include "pubsub/coded_wire.h"

static const char topic_name[] = "demo";

static struct slice topic(void)
{
    return slice_of(topic_name, sizeof(topic_name) - 1);
}

/* Peer numbers are the node's index + 1. */
static unsigned pick(const struct net_node *me, const bool *row, pubsub_peer *out, unsigned cap)
{
    unsigned n = 0;

    for (unsigned i = 0; i < me->net->count && n < cap; i++)
        if (row[i] && !me->net->nodes[i].is_dead)
            out[n++] = i + 1;
    return n;
}

static unsigned host_mesh(void *core, struct slice t, pubsub_peer *out, unsigned cap)
{
    struct net_node *me = core;

    assert(slice_is_equal(t, topic()));
    return pick(me, me->net->mesh[me->index], out, cap);
}

static unsigned host_subscribers(void *core, struct slice t, pubsub_peer *out, unsigned cap)
{
    struct net_node *me = core;

    return pick(me, me->net->linked[me->index], out, cap);
}

static const struct peer_id *host_peer_id(void *core, pubsub_peer p)
{
    struct net_node *me = core;

    return p && p <= me->net->count ? &me->net->nodes[p - 1].id : NULL;
}

static uint64_t host_queued(void *core, pubsub_peer p)
{
    struct net_node *me = core;
    struct net *n = me->net;

    return me->busy_until > n->now ? (uint64_t)((double)(me->busy_until - n->now) * n->bytes_per_ns) : 0;
}

static bool host_is_subscribed(void *core, struct slice t)
{
    return slice_is_equal(t, topic()) && ((struct net_node *)core)->is_subscribed;
}

static bool is_earlier(const struct net_event *a, const struct net_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void push_event(struct net *n, struct net_event e)
{
    size_t i;

    if (n->events == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 256;
        n->heap = realloc(n->heap, n->cap * sizeof(*n->heap));
    }
    e.order = n->order++;
    for (i = n->events++; i && is_earlier(&e, &n->heap[(i - 1) / 2]); i = (i - 1) / 2)
        n->heap[i] = n->heap[(i - 1) / 2];
    n->heap[i] = e;
}

static struct net_event pop_event(struct net *n)
{
    struct net_event top = n->heap[0], last = n->heap[--n->events];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= n->events)
            break;
        if (child + 1 < n->events && is_earlier(&n->heap[child + 1], &n->heap[child]))
            child++;
        if (!is_earlier(&n->heap[child], &last))
            break;
        n->heap[i] = n->heap[child];
        i = child;
    }
    n->heap[i] = last;
    return top;
}

static void transmit(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct net_node *me = &n->nodes[from];
    uint64_t start = me->busy_until > n->now ? me->busy_until : n->now, at;

    me->out_bytes += frame->len;
    me->out_rpcs++;
    me->busy_until = start + (uint64_t)((double)frame->len / n->bytes_per_ns);
    at = me->busy_until + n->latency_ns + (n->jitter_ns ? rng_below(&n->rng, n->jitter_ns) : 0);
    if (at < n->last_arrival[from][to])
        at = n->last_arrival[from][to];
    n->last_arrival[from][to] = at;
    if ((n->loss > 0 && (double)rng_below(&n->rng, 1000000) < n->loss * 1e6) || (n->tap && !n->tap(n, from, to, frame))) {
        buf_unref(frame);
        return;
    }
    push_event(n, (struct net_event){at, 0, from, to, frame});
}

static void host_send(void *core, pubsub_peer p, struct slice body, struct buf *shard, uint32_t off, uint32_t len)
{
    struct net_node *me = core;
    struct buf *frame = buf_new((uint32_t)body.len + (shard ? len : 0));

    memcpy(frame->data, body.p, body.len);
    if (shard)
        memcpy(frame->data + body.len, shard->data + off, len);
    frame->len = (uint32_t)body.len + (shard ? len : 0);
    if (me->net->nodes[p - 1].is_dead || !me->net->linked[me->index][p - 1])
        buf_unref(frame);
    else
        transmit(me->net, me->index, p - 1, frame);
}

static void host_deliver(void *core, struct slice t, const struct peer_id *from, uint64_t seqno, struct buf *payload, uint32_t size,
                         pubsub_peer upstream, uint8_t k, uint64_t since_ns)
{
    struct net_node *me = core;
    struct net *n = me->net;

    me->deliveries++;
    me->upstream_zero += upstream == 0;
    for (unsigned i = 0; i < n->message_count; i++)
        if (slice_is_equal(buf_slice(payload), buf_slice(n->messages[i]))) {
            me->wrong += me->delivered_at[i] != 0;
            me->delivered_at[i] = n->now ? n->now : 1;
            buf_unref(payload);
            return;
        }
    me->wrong++;
    buf_unref(payload);
}

static void host_penalize(void *core, pubsub_peer p, double severity, const char *rule)
{
    struct net_node *me = core;

    me->penalties++;
    me->penalized[p - 1]++;
    me->rule = rule;
    if (severity > me->worst_penalty)
        me->worst_penalty = severity;
    if (isinf(severity)) {
        me->net->mesh[me->index][p - 1] = me->net->linked[me->index][p - 1] = false;
        coded_peer_down(me->c, p, me->net->now);
    }
}

static void host_useful(void *core, pubsub_peer p, struct slice topic, double share)
{
    struct net_node *me = core;

    me->useful[p - 1] += share;
}

static void host_forged(void *core, pubsub_peer p, struct slice topic, const char *rule)
{
    struct net_node *me = core;

    me->forged[p - 1]++;
    host_penalize(core, p, INFINITY, rule);
}

static void host_trace(void *core, const struct pubsub_trace *t)
{
    struct net_node *me = core;
    unsigned nonzero = 0;

    me->traces[t->type]++;
    for (unsigned i = 0; i < t->coefs_len; i++)
        nonzero += t->coefs[i] != 0;
    me->dense_traces += t->type == TRACE_NEW_SHARD && nonzero > 1;
}

static uint64_t host_seqno(void *core)
{
    return ++((struct net_node *)core)->seqno;
}

static void node_open(struct net *n, unsigned i, const struct net_config *cfg)
{
    struct net_node *me = &n->nodes[i];
    uint8_t seed[32] = {0};
    struct coded_host host = {
        .core = me, .mesh = host_mesh, .subscribers = host_subscribers, .peer_id = host_peer_id,
        .queued_bytes = host_queued, .is_subscribed = host_is_subscribed, .send = host_send,
        .deliver = host_deliver, .penalize = host_penalize, .useful = host_useful, .forged = host_forged, .trace = host_trace, .next_seqno = host_seqno,
        .counters = &me->n, .rng = &me->rng,
    };

    me->net = n;
    me->index = i;
    me->is_subscribed = true;
    seed[0] = (uint8_t)i;
    seed[1] = 1;
    seed[2] = (uint8_t)(i >> 8);
    key_pair_from_seed(&me->key, seed);
    key_pair_peer_id(&me->key, &me->id);
    rng_init_seeded(&me->rng, cfg->seed * 1000 + i + 1);
    me->cfg = (struct pubsub_config){
        .mode = PUBSUB_CODED, .key = &me->key, .mesh_target = 6, .mesh_min = 4, .mesh_max = 12,
        .max_msg_bytes = 16 << 20, .k = cfg->k, .mult = cfg->mult, .threshold = cfg->threshold,
        .small_bytes = cfg->small_bytes, .has_trace = true,
    };
    me->c = coded_new(&me->cfg, &host, 1);
    me->heartbeat_at = n->now + rng_below(&n->rng, 1000000000);
}

static void net_link(struct net *n, unsigned a, unsigned b)
{
    coded_peer_up(n->nodes[a].c, b + 1, n->now);
    coded_peer_up(n->nodes[b].c, a + 1, n->now);
    n->linked[a][b] = n->linked[b][a] = true;
}

/* Hubs in a line, each leaf at one of them; who is in whose mesh is another matter. */
static void wire_stars(struct net *n, const struct net_config *cfg)
{
    for (unsigned i = 1; i < n->count; i++) {
        unsigned hub = i < cfg->hubs ? i - 1 : i % cfg->hubs;

        net_link(n, hub, i);
        if (i >= cfg->hubs && i / cfg->hubs <= cfg->hub_mesh)
            net_graft(n, hub, i);
    }
}

static void wire(struct net *n, const struct net_config *cfg)
{
    if (cfg->hubs) {
        wire_stars(n, cfg);
        return;
    }
    for (unsigned a = 0; a < n->count; a++)
        for (unsigned b = 0; b < n->count; b++)
            if (a != b)
                coded_peer_up(n->nodes[a].c, b + 1, n->now), n->linked[a][b] = true;
    if (!cfg->degree) {
        for (unsigned a = 0; a < n->count; a++)
            for (unsigned b = a + 1; b < n->count; b++)
                net_graft(n, a, b);
        return;
    }
    /* A ring keeps it in one piece; chords fill up to the degree. */
    for (unsigned a = 0; a < n->count; a++)
        net_graft(n, a, (a + 1) % n->count);
    for (unsigned tries = 0; tries < 40 * n->count; tries++) {
        unsigned a = (unsigned)rng_below(&n->rng, n->count), b = (unsigned)rng_below(&n->rng, n->count), da = 0, db = 0;

        for (unsigned i = 0; i < n->count; i++)
            da += n->mesh[a][i], db += n->mesh[b][i];
        if (a != b && !n->mesh[a][b] && da < cfg->degree && db < cfg->degree)
            net_graft(n, a, b);
    }
}

void net_open(struct net *n, const struct net_config *cfg)
{
    memset(n, 0, sizeof(*n));
    n->now = 1000000000;
    n->count = cfg->nodes;
    n->latency_ns = cfg->latency_ns;
    n->jitter_ns = cfg->latency_ns / 4;
    n->bytes_per_ns = cfg->gbit_s / 8;
    rng_init_seeded(&n->rng, cfg->seed);
    for (unsigned i = 0; i < n->count; i++)
        node_open(n, i, cfg);
    wire(n, cfg);
    n->loss = 0;
    net_run(n, n->now + 100000000);
    n->loss = cfg->loss;
}

void net_close(struct net *n)
{
    while (n->events)
        buf_unref(pop_event(n).frame);
    free(n->heap);
    for (unsigned i = 0; i < n->count; i++)
        coded_free(n->nodes[i].c);
    for (unsigned i = 0; i < n->message_count; i++)
        buf_unref(n->messages[i]);
}

void net_graft(struct net *n, unsigned a, unsigned b)
{
    if (n->mesh[a][b])
        return;
    n->mesh[a][b] = n->mesh[b][a] = true;
    if (!n->linked[a][b]) {
        n->linked[a][b] = n->linked[b][a] = true;
        coded_peer_up(n->nodes[a].c, b + 1, n->now);
        coded_peer_up(n->nodes[b].c, a + 1, n->now);
    }
    coded_grafted(n->nodes[a].c, b + 1, topic(), n->now);
    coded_grafted(n->nodes[b].c, a + 1, topic(), n->now);
}

void net_part(struct net *n, unsigned a, unsigned b)
{
    n->mesh[a][b] = n->mesh[b][a] = n->linked[a][b] = n->linked[b][a] = false;
    coded_peer_down(n->nodes[a].c, b + 1, n->now);
    coded_peer_down(n->nodes[b].c, a + 1, n->now);
}

void net_kill(struct net *n, unsigned a)
{
    n->nodes[a].is_dead = true;
    for (unsigned b = 0; b < n->count; b++)
        if (b != a)
            net_part(n, a, b);
}

unsigned net_publish(struct net *n, unsigned node, uint32_t size)
{
    struct net_node *me = &n->nodes[node];
    unsigned m = n->message_count++;
    struct buf *b = buf_new(size);
    uint8_t sha[32] = {0};

    assert(m < NET_MESSAGES_MAX);
    rng_fill(&n->rng, b->data, size);
    b->len = size;
    n->messages[m] = buf_ref(b);
    n->sent_at[m] = n->now;
    if (m % 2) { /* hashed beforehand, as by another thread */
        struct pubsub_config cfg = me->cfg;
        uint8_t hashes[PUBSUB_HASHES_MAX];

        cfg.mode = PUBSUB_CODED;
        if (coded_publish_hashed(me->c, topic(), b, slice_of(hashes, pubsub_hash_shards(&cfg, buf_slice(b), hashes)), n->now))
            abort();
    } else if (coded_publish(me->c, topic(), b, sha, n->now)) {
        abort();
    }
    return m;
}

static void receive(struct net *n, const struct net_event *e)
{
    struct net_node *me = &n->nodes[e->to];
    struct rd r = rd_of(buf_slice(e->frame));
    struct pb_field f;

    while (!me->is_dead && n->linked[e->to][e->from] && pb_next(&r, &f) > 0)
        if (f.type == PB_BYTES)
            coded_input(me->c, e->from + 1, f.number, f.bytes, e->frame, n->now);
    buf_unref(e->frame);
}

void net_inject(struct net *n, unsigned from, unsigned to, struct slice fields)
{
    struct buf *b = buf_copy(fields);
    struct net_event e = {n->now, 0, from, to, b};

    receive(n, &e);
}

/* The next thing to happen; false: nothing before the time. */
static bool step(struct net *n, uint64_t until)
{
    uint64_t at = until;
    unsigned who = n->count;

    for (unsigned i = 0; i < n->count; i++) {
        struct net_node *me = &n->nodes[i];
        uint64_t due = coded_next_deadline(me->c);

        due = due < me->heartbeat_at ? due : me->heartbeat_at;
        if (!me->is_dead && due < at) {
            at = due;
            who = i;
        }
    }
    if (n->events && n->heap[0].at_ns <= at && n->heap[0].at_ns < until) {
        struct net_event e = pop_event(n);
        n->now = e.at_ns > n->now ? e.at_ns : n->now;
        receive(n, &e);
        return true;
    }
    if (who == n->count)
        return false;
    n->now = at > n->now ? at : n->now;
    coded_on_deadline(n->nodes[who].c, n->now);
    if (n->nodes[who].heartbeat_at <= n->now) {
        coded_heartbeat(n->nodes[who].c, n->now);
        n->nodes[who].heartbeat_at += 1000000000;
    }
    return true;
}

void net_run(struct net *n, uint64_t until_ns)
{
    while (step(n, until_ns))
        ;
    n->now = until_ns;
}

bool net_is_complete(const struct net *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        const struct net_node *me = &n->nodes[i];

        if (me->is_dead || !me->is_subscribed)
            continue;
        if (me->wrong)
            return false;
        for (unsigned m = 0; m < n->message_count; m++)
            if (!me->delivered_at[m])
                return false;
    }
    return true;
}

bool net_run_delivered(struct net *n, uint64_t until_ns)
{
    unsigned steps = 0;

    while ((++steps % 16 || !net_is_complete(n)) && step(n, until_ns))
        ;
    return net_is_complete(n);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct net_report net_report(const struct net *n)
{
    static uint64_t times[NET_NODES_MAX * NET_MESSAGES_MAX];
    struct net_report r = {0};
    size_t count = 0;

    for (unsigned i = 0; i < n->count; i++) {
        const struct net_node *me = &n->nodes[i];

        r.out_bytes += me->out_bytes;
        r.shards_new += me->n.shards_new;
        r.shards_useless += me->n.shards_duplicate + me->n.shards_unhelpful + me->n.shards_unnecessary;
        r.asked += me->n.repairs_asked;
        for (unsigned m = 0; m < n->message_count; m++)
            if (me->delivered_at[m] > n->sent_at[m]) {
                times[count++] = me->delivered_at[m] - n->sent_at[m];
                r.needed_bytes += n->messages[m]->len;
            }
    }
    qsort(times, count, sizeof(times[0]), by_value);
    if (count) {
        r.p50_ns = times[count / 2];
        r.p95_ns = times[count * 95 / 100];
    }
    return r;
}
