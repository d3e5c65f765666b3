#include "pubsub/attack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "pubsub/raw.h"

#define TOPIC        "demo"
#define V12          PUBSUB_MESHSUB_12
#define STEP_NS      (NETSIM_S / 10)
#define IDS_KEPT     32
#define PAYLOAD      1000 /* below the size that IDONTWANT spares: P3 sees every copy */
#define VICTIM       0    /* of the eclipse */
#define VICTIM_LINKS 4
#define SETTLE_S     12
#define STEPS_PER_MESSAGE 2

const char *const attack_names[ATTACK_COUNT] = {
    [ATTACK_NONE] = "none",           [ATTACK_DROP] = "graft and drop",   [ATTACK_SPAM] = "forged messages",
    [ATTACK_GOSSIP] = "IHAVE, IWANT flood", [ATTACK_GRAFTS] = "GRAFT flood", [ATTACK_BACKOFF] = "backoff violation",
    [ATTACK_ECLIPSE] = "eclipse of one",    [ATTACK_COLD_BOOT] = "cold boot",   [ATTACK_FLASH] = "covert flash",
};
const char *const attack_scorings[ATTACK_SCORINGS] = {"off", "default", "default+P3"};

struct world;

struct target {
    unsigned node;
    uint64_t graft_at; /* when a GRAFT may go; UINT64_MAX: it is in the mesh, or nothing is wanted */
};

struct sybil {
    struct world *w;
    unsigned node;
    struct target *targets;
    unsigned ntargets;
    struct buf *forged;
    uint8_t ids[IDS_KEPT][MESSAGE_ID_MAX]; /* heard lately */
    uint8_t id_len[IDS_KEPT];
    unsigned nids;
    uint64_t made_up;
};

struct sent {
    uint64_t hash, at_ns;
    unsigned by;
    bool is_measured;
};

/* Of honest nodes' peers, summed over every second of the measured time. */
struct census {
    unsigned mesh, mesh_sybils, sybils, shut_out;
};

struct world {
    struct netsim *s;
    enum attack_kind kind;
    struct attack_size size;
    struct rng rng;
    struct score_params score;
    struct sybil *sybils;
    struct sent *sent;
    unsigned nsent, steps;
    bool is_on, is_talking, is_measured;
    struct census census;
};

static uint64_t below(struct world *w, uint64_t n)
{
    return rng_below(&w->rng, n);
}

static bool is_honest(const struct world *w, unsigned node)
{
    return node < w->size.honest;
}

/* ---- what sybils do ---- */

static void send_control(struct sybil *y, unsigned to, const struct wr *control)
{
    struct buf *b = buf_new((uint32_t)control->len + 16);
    struct wr w = wr_of(b->data, b->cap);

    pb_put_bytes(&w, RPC_F_CONTROL, slice_of(control->p, control->len));
    assert(!w.bad && !control->bad);
    netsim_send(y->w->s, y->node, to, slice_of(w.p, w.len));
    buf_unref(b);
}

static void send_graft(struct sybil *y, unsigned to)
{
    uint8_t out[32];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_graft(&w, slice_str(TOPIC));
    send_control(y, to, &w);
}

static void send_ids(struct sybil *y, unsigned to, enum control_field field, const struct slice *ids, unsigned n)
{
    uint8_t out[IDS_KEPT * (MESSAGE_ID_MAX + 4) + 64], inner[sizeof(out)];
    struct wr w = wr_of(out, sizeof(out)), in = wr_of(inner, sizeof(inner));

    if (field == CONTROL_F_IHAVE)
        pb_put_bytes(&in, IHAVE_F_TOPIC, slice_str(TOPIC));
    for (unsigned i = 0; i < n; i++)
        pb_put_bytes(&in, field == CONTROL_F_IHAVE ? (uint32_t)IHAVE_F_IDS : (uint32_t)IDS_F_IDS, ids[i]);
    pb_put_bytes(&w, field, slice_of(inner, in.len));
    send_control(y, to, &w);
}

static void flood_gossip(struct sybil *y, unsigned to)
{
    struct slice ids[IDS_KEPT];
    uint8_t space[IDS_KEPT][46];
    unsigned n = y->nids < IDS_KEPT ? y->nids : IDS_KEPT;

    for (unsigned i = 0; i < IDS_KEPT; i++)
        ids[i] = raw_id(space[i], ++y->made_up << 8 | y->node);
    for (int i = 0; i < 2; i++)
        send_ids(y, to, CONTROL_F_IHAVE, ids + i * IDS_KEPT / 2, IDS_KEPT / 2);
    for (unsigned i = 0; i < n; i++)
        ids[i] = slice_of(y->ids[i], y->id_len[i]);
    for (int i = 0; i < 2 && n; i++)
        send_ids(y, to, CONTROL_F_IWANT, ids, n);
}

static void act_on(struct sybil *y, struct target *t)
{
    bool is_due = t->graft_at <= netsim_now(y->w->s);

    switch (y->w->kind) {
    case ATTACK_DROP:
    case ATTACK_ECLIPSE:
    case ATTACK_COLD_BOOT:
    case ATTACK_BACKOFF:
    case ATTACK_SPAM:
        if (is_due) {
            send_graft(y, t->node);
            t->graft_at = y->w->kind == ATTACK_BACKOFF ? netsim_now(y->w->s) + NETSIM_S : UINT64_MAX;
        }
        if (y->w->kind == ATTACK_SPAM && y->w->steps % 4 == 0)
            netsim_send(y->w->s, y->node, t->node, buf_slice(y->forged));
        break;
    case ATTACK_GOSSIP: flood_gossip(y, t->node); break;
    case ATTACK_GRAFTS:
        for (int i = 0; i < 4; i++)
            send_graft(y, t->node);
        break;
    case ATTACK_NONE:
    case ATTACK_FLASH:
    case ATTACK_COUNT: break;
    }
}

static struct target *target_of(struct sybil *y, unsigned node)
{
    for (unsigned i = 0; i < y->ntargets; i++)
        if (y->targets[i].node == node)
            return &y->targets[i];
    return NULL;
}

static void remember(struct sybil *y, struct slice id)
{
    unsigned at = y->nids++ % IDS_KEPT;

    if (!id.len || id.len > MESSAGE_ID_MAX)
        return;
    memcpy(y->ids[at], id.p, id.len);
    y->id_len[at] = (uint8_t)id.len;
}

static void on_frame(void *user, struct netsim *s, unsigned from, struct slice frame)
{
    struct sybil *y = user;
    struct target *t = target_of(y, from);
    struct rpc_reader rd = rpc_reader_of(frame);
    struct rpc_item it;
    struct slice id;

    while (t && rpc_next(&rd, &it)) {
        if (it.type == RPC_PRUNE) /* the patient ones wait until they may */
            t->graft_at = netsim_now(s) + (y->w->kind == ATTACK_BACKOFF ? 0 : (it.backoff_s + 1) * NETSIM_S);
        while (it.type == RPC_IHAVE && rpc_ids_next(&it.ids, &id))
            remember(y, id);
        struct message_fields f;
        if (it.type == RPC_MESSAGE && !message_parse(&f, it.body)) {
            uint8_t mid[MESSAGE_ID_MAX];
            struct rd seqno = rd_of(f.seqno);
            remember(y, slice_of(mid, message_id(mid, f.from, rd_be64(&seqno))));
        }
    }
    if (t && y->w->is_on && y->w->kind == ATTACK_BACKOFF)
        act_on(y, t);
}

static void say_subscribed(struct sybil *y, unsigned to)
{
    uint8_t out[32];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_subscription(&w, slice_str(TOPIC), true);
    netsim_send(y->w->s, y->node, to, slice_of(out, w.len));
}

/* The sybil dials, or the honest node does. */
static void attach(struct sybil *y, unsigned to, bool is_dialed)
{
    if (netsim_is_connected(y->w->s, y->node, to))
        return;
    y->targets[y->ntargets++] = (struct target){.node = to};
    if (is_dialed)
        netsim_connect(y->w->s, to, y->node, V12);
    else
        netsim_connect(y->w->s, y->node, to, V12);
    say_subscribed(y, to);
}

/* ---- the network ---- */

static struct pubsub_config honest_config(struct world *w, enum attack_scoring scoring)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.has_trace = false;
    cfg.max_msg_bytes = 1u << 16;
    w->score = scoring == ATTACK_UNSCORED ? score_off : score_defaults;
    if (scoring == ATTACK_SCORED_P3) { /* five messages a second: a mesh peer brings several of ten seconds' fifty */
        w->score.topic.mesh_weight = -1;
        w->score.topic.mesh_threshold = 5;
        w->score.topic.mesh_window_ns = NETSIM_S / 2;
        w->score.topic.mesh_activation_ns = 10 * NETSIM_S;
        w->score.topic.failure_weight = -1;
    }
    cfg.score = &w->score;
    return cfg;
}

static void add_honest(struct world *w, enum attack_scoring scoring)
{
    struct pubsub_config cfg = honest_config(w, scoring);

    for (unsigned i = 0; i < w->size.honest; i++)
        netsim_subscribe(w->s, netsim_add(w->s, &cfg), TOPIC);
}

static void add_sybils(struct world *w, enum attack_scoring scoring)
{
    struct pubsub_config cfg = honest_config(w, scoring);

    w->sybils = calloc(w->size.sybils, sizeof(*w->sybils));
    assert(w->sybils || !w->size.sybils);
    for (unsigned i = 0; i < w->size.sybils; i++) {
        struct sybil *y = &w->sybils[i];
        y->w = w;
        y->targets = calloc(w->size.honest, sizeof(*y->targets));
        assert(y->targets);
        if (w->kind == ATTACK_FLASH)
            netsim_subscribe(w->s, y->node = netsim_add(w->s, &cfg), TOPIC);
        else
            y->node = netsim_add_raw(w->s, on_frame, y);
        if (w->kind == ATTACK_SPAM)
            y->forged = raw_field(netsim_key(w->s, y->node), TOPIC, i, SLICE_LIT("spam"), true);
    }
}

static void join_honest(struct world *w)
{
    for (unsigned i = 0; i < w->size.honest; i++) {
        if (w->kind == ATTACK_ECLIPSE && i == VICTIM)
            continue;
        if (i > 1)
            netsim_connect(w->s, i, i - 1, V12);
        for (unsigned j = 0; j < w->size.degree; j++) {
            unsigned to = (unsigned)below(w, w->size.honest);
            if (w->kind != ATTACK_ECLIPSE || to != VICTIM)
                netsim_connect(w->s, i, to, V12);
        }
    }
    if (w->kind != ATTACK_ECLIPSE)
        netsim_connect(w->s, 1, 0, V12);
    for (unsigned i = 1; i <= VICTIM_LINKS && w->kind == ATTACK_ECLIPSE; i++)
        netsim_connect(w->s, VICTIM, i * (w->size.honest - 1) / VICTIM_LINKS, V12);
}

static void join_sybils(struct world *w)
{
    for (unsigned i = 0; i < w->size.sybils; i++) {
        struct sybil *y = &w->sybils[i];
        if (w->kind == ATTACK_ECLIPSE) {
            attach(y, VICTIM, false);
            continue;
        }
        for (unsigned j = 0; j < w->size.sybil_links; j++) {
            unsigned to = (unsigned)below(w, w->size.honest);
            if (w->kind == ATTACK_FLASH)
                netsim_connect(w->s, j % 2 ? y->node : to, j % 2 ? to : y->node, V12);
            else
                attach(y, to, w->kind == ATTACK_COLD_BOOT && j % 2);
        }
    }
}

static void publish(struct world *w)
{
    bool is_by_victim = w->kind == ATTACK_ECLIPSE && w->nsent % 2;
    unsigned by = is_by_victim ? VICTIM : (unsigned)below(w, w->size.honest);
    uint8_t payload[PAYLOAD];

    rng_fill(&w->rng, payload, sizeof(payload));
    w->sent[w->nsent++] =
        (struct sent){netsim_hash(slice_of(payload, PAYLOAD)), netsim_now(w->s), by, w->is_measured};
    int rc = netsim_publish(w->s, by, TOPIC, slice_of(payload, PAYLOAD));
    assert(rc == 0);
}

static void count_peers(struct world *w, unsigned n)
{
    static struct pubsub_peer_info info[256];
    unsigned np = pubsub_peers(netsim_core(w->s, n), info, 256);
    struct census *c = &w->census;

    for (unsigned i = 0; i < np; i++) {
        bool is_mesh = pubsub_mesh_has(netsim_core(w->s, n), slice_str(TOPIC), info[i].peer);
        bool is_sybil = !is_honest(w, info[i].peer - 1);
        c->mesh += is_mesh;
        c->mesh_sybils += is_mesh && is_sybil;
        c->sybils += is_sybil;
        c->shut_out += is_sybil && info[i].score < score_threshold_defaults.graylist;
    }
}

static unsigned last_measured(const struct world *w)
{
    return w->kind == ATTACK_ECLIPSE ? VICTIM + 1 : w->size.honest;
}

static void pass(struct world *w, uint64_t for_ns)
{
    for (uint64_t t = 0; t < for_ns; t += STEP_NS) {
        if (w->is_talking && w->steps % STEPS_PER_MESSAGE == 0)
            publish(w);
        for (unsigned n = 0; w->is_measured && w->steps % 10 == 0 && n < last_measured(w); n++)
            count_peers(w, n);
        w->steps++;
        for (unsigned i = 0; w->is_on && i < w->size.sybils; i++)
            for (unsigned j = 0; j < w->sybils[i].ntargets; j++)
                if (netsim_is_connected(w->s, w->sybils[i].node, w->sybils[i].targets[j].node))
                    act_on(&w->sybils[i], &w->sybils[i].targets[j]);
        netsim_run(w->s, STEP_NS);
    }
}

static void take_over(struct world *w)
{
    bool is_first = w->kind == ATTACK_ECLIPSE || w->kind == ATTACK_COLD_BOOT;

    if (!is_first) {
        join_honest(w);
        w->is_talking = true;
        pass(w, 5 * NETSIM_S);
    }
    join_sybils(w);
    w->is_on = w->kind != ATTACK_FLASH;
    if (is_first) {
        pass(w, 3 * NETSIM_S);
        join_honest(w);
        w->is_talking = true;
    }
    pass(w, w->size.takeover_s * NETSIM_S);
}

/* ---- what came of it ---- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct sent *)a)->hash, y = ((const struct sent *)b)->hash;

    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool is_wanted(const struct world *w, const struct sent *m, unsigned at)
{
    if (m->by == at || !m->is_measured)
        return false;
    return w->kind != ATTACK_ECLIPSE || m->by == VICTIM || at == VICTIM;
}

static void measure_delivery(struct world *w, struct attack_result *r)
{
    double *ms = calloc((size_t)w->nsent * w->size.honest, sizeof(*ms));

    assert(ms);
    for (unsigned n = 0; n < w->size.honest; n++)
        for (unsigned i = 0; i < w->nsent; i++)
            r->wanted += is_wanted(w, &w->sent[i], n);
    qsort(w->sent, w->nsent, sizeof(*w->sent), by_hash);
    for (unsigned n = 0; n < w->size.honest; n++) {
        unsigned count;
        const struct netsim_delivery *d = netsim_deliveries(w->s, n, &count);
        for (unsigned i = 0; i < count; i++) {
            struct sent key = {.hash = d[i].hash};
            const struct sent *m = bsearch(&key, w->sent, w->nsent, sizeof(key), by_hash);
            assert(m); /* nothing forged was ever delivered */
            if (is_wanted(w, m, n))
                ms[r->delivered++] = (double)(d[i].at_ns - m->at_ns) / 1e6;
        }
    }
    qsort(ms, r->delivered, sizeof(*ms), by_value);
    if (r->delivered) {
        r->p50_ms = ms[r->delivered / 2];
        r->p99_ms = ms[(size_t)r->delivered * 99 / 100];
        r->max_ms = ms[r->delivered - 1];
    }
    free(ms);
}

static void measure_peers(const struct world *w, struct attack_result *r)
{
    static struct pubsub_peer_info info[256];
    const struct census *c = &w->census;

    for (unsigned n = 0; n < w->size.honest; n++) {
        struct pubsub_counters k;
        pubsub_counters_get(netsim_core(w->s, n), &k);
        r->signature_checks_failed += k.bad_signatures;
        unsigned np = pubsub_peers(netsim_core(w->s, n), info, 256);
        for (unsigned i = 0; i < np; i++)
            r->blamed += is_honest(w, info[i].peer - 1) && info[i].score < 0;
    }
    r->mesh_share = c->mesh ? (double)c->mesh_sybils / c->mesh : 0;
    r->shut_out = c->sybils ? (double)c->shut_out / c->sybils : 0;
}

struct attack_result attack_run(enum attack_kind kind, enum attack_scoring scoring, const struct attack_size *size,
                                uint64_t seed)
{
    struct netsim_link link = {.delay_ns = 20 * NETSIM_MS, .jitter_ns = 60 * NETSIM_MS};
    struct world w = {.kind = kind, .size = *size, .s = netsim_new(seed, &link)};
    struct attack_result r = {0};

    if (kind == ATTACK_NONE)
        w.size.sybils = 0;
    rng_init_seeded(&w.rng, seed + 1);
    w.sent = calloc(size->messages + (size->takeover_s + 10) * 10, sizeof(*w.sent));
    assert(w.sent);
    add_honest(&w, scoring);
    add_sybils(&w, scoring);
    take_over(&w);
    for (unsigned i = 0; kind == ATTACK_FLASH && i < w.size.sybils; i++)
        netsim_mute(w.s, w.sybils[i].node);
    w.is_measured = true;
    pass(&w, (uint64_t)size->messages * STEPS_PER_MESSAGE * STEP_NS);
    w.is_talking = w.is_measured = false;
    pass(&w, SETTLE_S * NETSIM_S);
    measure_delivery(&w, &r);
    measure_peers(&w, &r);
    for (unsigned i = 0; i < w.size.sybils; i++) {
        buf_unref(w.sybils[i].forged);
        free(w.sybils[i].targets);
    }
    netsim_free(w.s);
    free(w.sybils);
    free(w.sent);
    return r;
}
