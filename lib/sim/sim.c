/* sim.c: virtual time: what happens next, from the first node's start to the last message's arrival */
#include "sim/sim.h"

#include <math.h>
#include <stdlib.h>

#include "sim/sim_int.h"

#define START_NS (1 * SIM_S) /* nodes start at random moments of it */
#define TAIL_NS  (2 * SIM_S) /* after the last delivery: what is still said costs bytes too */

static void core_config(struct sim *s)
{
    const struct sim_config *c = s->cfg;

    s->core = (struct pubsub_config){
        .mode = c->mode == SIM_CODED ? PUBSUB_CODED : PUBSUB_GOSSIP,
        .mesh_target = c->d ? c->d : 6,
        .mesh_out = c->d_out ? c->d_out : 2,
        .max_msg_bytes = c->bytes > 1u << 20 ? c->bytes : 1u << 20,
        .k = c->k,
        .mult = c->mult,
        .threshold = c->threshold,
        .small_bytes = c->small_bytes,
        .seen_max = c->messages * 2 > 4096 ? c->messages * 2 : 4096,
        .is_flood_publish = c->is_flood,
    };
    s->core.mesh_min = c->d_lo ? c->d_lo : s->core.mesh_target > 1 ? s->core.mesh_target - 1 : 1;
    s->core.mesh_max = c->d_hi ? c->d_hi : s->core.mesh_target > 8 ? s->core.mesh_target * 3 / 2 : 12;
    if (!c->is_carried) {
        s->arena = sim_arena_new();
        s->core.elide_bytes = SIM_ELIDE_BYTES;
        s->core.alloc = sim_arena_alloc;
        s->core.alloc_ctx = s->arena;
    }
}

/* Everyone to everyone? */
static bool is_full(const struct sim_config *c)
{
    return !c->dials || c->dials >= c->nodes;
}

static const char *check(const struct sim_config *c)
{
    if (c->nodes < 2 || c->messages < 1 || c->bytes < 8)
        return "at least 2 nodes, 1 message and 8 bytes are needed";
    if (is_full(c) && c->nodes > 2000)
        return "dials: 0 connects everyone to everyone, which is for 2000 nodes at most";
    if ((uint64_t)c->nodes * c->messages > 1ull << 30)
        return "nodes times messages: at most 2^30";
    if (c->forgers_percent + c->silent_percent + c->withholders_percent > 90)
        return "forgers, silent and withholders: at most 90 percent together";
    return NULL;
}

static void connect_all(struct sim *s)
{
    uint32_t n = s->cfg->nodes;

    for (uint32_t a = 0; a < n; a++) {
        /* The first dial makes a line of all, so that the network is one piece. */
        for (uint32_t b = is_full(s->cfg) ? 0 : a - !!a; b < a; b++)
            sim_node_connect(s, a, b);
        for (uint32_t i = 1; !is_full(s->cfg) && i < s->cfg->dials; i++) {
            uint32_t b = (uint32_t)rng_below(&s->rng, n);

            if (b != a && !sim_node_is_linked(s, a, b))
                sim_node_connect(s, a, b);
        }
    }
}

static uint64_t ns_of(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void churn_arm(struct sim *s, struct sim_node *n)
{
    double u = ((double)rng_below(&s->rng, 1u << 30) + 1) / (double)(1u << 30);

    if (s->cfg->churn_percent > 0)
        timerq_set(&s->timers, &n->churn_timer, s->now + ns_of(-log(u) * 60 / (s->cfg->churn_percent / 100)));
}

struct sim *sim_new(const struct sim_config *cfg, const char **why)
{
    struct sim *s = calloc(1, sizeof(*s));
    size_t cells = (size_t)cfg->nodes * cfg->messages;

    *why = s ? check(cfg) : "no memory";
    if (*why) {
        free(s);
        return NULL;
    }
    s->cfg = cfg;
    s->now = SIM_START;
    rng_init_seeded(&s->rng, cfg->seed);
    rng_init_seeded(&s->core_rng, cfg->seed + 0x100000000ull);
    rng_init_seeded(&s->payload_rng, cfg->seed + 0x200000000ull);
    timerq_init(&s->timers);
    list_init(&s->under_way);
    s->up_bytes_per_ns = cfg->up_mbit / 8000;
    s->down_bytes_per_ns = cfg->down_mbit / 8000;
    core_config(s);
    s->nodes = calloc(cfg->nodes, sizeof(*s->nodes));
    s->messages = calloc(cfg->messages, sizeof(*s->messages));
    s->results = calloc(cfg->nodes, sizeof(*s->results));
    s->latency_us = malloc(cells * sizeof(*s->latency_us));
    s->payload_hash = cfg->is_carried ? calloc(cfg->messages, sizeof(*s->payload_hash)) : NULL;
    *why = s->nodes && s->messages && s->results && s->latency_us ? sim_geo_init(&s->geo, cfg) : "no memory";
    if (*why) {
        sim_free(s);
        return NULL;
    }
    for (uint32_t i = 0; i < cfg->nodes; i++)
        sim_node_init(s, i);
    for (size_t i = 0; i < cells; i++)
        s->latency_us[i] = SIM_NOT_DELIVERED;
    connect_all(s);
    for (uint32_t i = 0; i < cfg->nodes; i++) {
        s->nodes[i].core_timer.kind = SIM_TIMER_START;
        timerq_set(&s->timers, &s->nodes[i].core_timer, s->now + rng_below(&s->rng, START_NS));
    }
    s->first_ns = s->now + ns_of(cfg->warmup_s);
    s->end_ns = s->first_ns + ns_of(cfg->interval_s * (cfg->messages - 1) + cfg->drain_s);
    s->publish_timer.kind = SIM_TIMER_PUBLISH;
    timerq_set(&s->timers, &s->publish_timer, s->first_ns);
    return s;
}

void sim_free(struct sim *s)
{
    if (!s)
        return;
    LIST_EACH(it, &s->under_way)
        sim_link_frame_free(s, CONTAINER_OF(it, struct sim_frame, under_way));
    for (uint32_t i = 0; s->nodes && i < s->cfg->nodes; i++)
        sim_node_fini(s, i);
    for (struct sim_frame *f = s->idle, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    timerq_fini(&s->timers);
    sim_geo_fini(&s->geo);
    sim_arena_free(s->arena);
    free(s->nodes);
    free(s->messages);
    free(s->results);
    free(s->latency_us);
    free(s->payload_hash);
    free(s);
}

/* ---- events ---- */

static uint32_t choose_publisher(struct sim *s, uint32_t message)
{
    uint32_t n = s->cfg->nodes, who, p = s->cfg->publishers;

    if (p)
        /* spread over the node numbers, so that a line of neighbours does not publish one after the other */
        who = (uint32_t)((uint64_t)(message % p) * n / p);
    else
        who = (uint32_t)rng_below(&s->rng, n);
    for (uint32_t i = 0; i < n; i++, who = (who + 1) % n)
        if (s->nodes[who].is_up && sim_node_is_honest(&s->nodes[who]) && !s->nodes[who].is_publisher_gone)
            return who;
    return who;
}

static void publish(struct sim *s)
{
    uint32_t m = s->published, who = choose_publisher(s, m);
    struct sim_message *msg = &s->messages[m];

    s->is_counting = true;
    *msg = (struct sim_message){.publisher = who, .at_ns = s->now};
    for (uint32_t i = 0; i < s->cfg->nodes; i++)
        msg->wanted += i != who && s->nodes[i].is_up && sim_node_is_honest(&s->nodes[i]);
    s->wanted += msg->wanted;
    s->published++;
    s->complete_ns = 0;
    sim_node_publish(s, who, m);
    if (s->cfg->leave_after_ms > 0) {
        s->nodes[who].is_publisher_gone = true;
        timerq_set(&s->timers, &s->nodes[who].churn_timer, s->now + (uint64_t)(s->cfg->leave_after_ms * 1e6));
    }
    if (s->published < s->cfg->messages)
        timerq_set(&s->timers, &s->publish_timer, s->now + ns_of(s->cfg->interval_s));
}

/* It will not have what it has not got by now. */
static void unwant(struct sim *s, uint32_t i)
{
    for (uint32_t m = 0; m < s->published; m++) {
        struct sim_message *msg = &s->messages[m];

        if (msg->publisher == i || s->nodes[i].up_since_ns > msg->at_ns || !sim_node_is_honest(&s->nodes[i]) ||
            s->latency_us[(size_t)m * s->cfg->nodes + i] != SIM_NOT_DELIVERED)
            continue;
        msg->wanted--;
        s->wanted--;
    }
}

static void churn(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];

    if (!n->is_up) {
        sim_node_start(s, i);
        churn_arm(s, n);
        return;
    }
    unwant(s, i);
    sim_node_leave(s, i);
    if (!n->is_publisher_gone)
        timerq_set(&s->timers, &n->churn_timer, s->now + ns_of(s->cfg->churn_away_s));
}

static void first_start(struct sim *s, struct sim_node *n)
{
    n->core_timer.kind = SIM_TIMER_CORE;
    sim_node_start(s, (uint32_t)(n - s->nodes));
    churn_arm(s, n);
}

static void arrive(struct sim *s, struct sim_frame *f)
{
    const struct sim_end *e = &s->nodes[f->from].ends[f->end];
    struct sim_node *to = &s->nodes[e->peer];
    struct buf *buf;

    if (e->epoch == f->epoch && to->is_up) {
        if (s->is_counting) {
            to->r.in_bytes += f->bytes;
            to->r.in_frames++;
        }
        buf = buf_ref(f->buf);
        sim_link_frame_free(s, f);
        sim_node_input(s, e->peer, e->back, buf);
        return;
    }
    sim_link_frame_free(s, f);
}

static void on_timer(struct sim *s, struct timer *t)
{
    struct sim_node *n;

    switch (t->kind) {
    case SIM_TIMER_CORE:
        n = CONTAINER_OF(t, struct sim_node, core_timer);
        if (n->core)
            pubsub_on_deadline(n->core, s->now);
        sim_node_drain(s, (uint32_t)(n - s->nodes));
        break;
    case SIM_TIMER_UPLINK:
        n = CONTAINER_OF(t, struct sim_node, uplink_timer);
        sim_link_departed(s, (uint32_t)(n - s->nodes));
        break;
    case SIM_TIMER_ARRIVE: arrive(s, CONTAINER_OF(t, struct sim_frame, timer)); break;
    case SIM_TIMER_PUBLISH: publish(s); break;
    case SIM_TIMER_START: first_start(s, CONTAINER_OF(t, struct sim_node, core_timer)); break;
    case SIM_TIMER_CHURN:
        n = CONTAINER_OF(t, struct sim_node, churn_timer);
        churn(s, (uint32_t)(n - s->nodes));
        break;
    }
}

static bool is_over(struct sim *s, uint64_t next_ns)
{
    if (next_ns > s->end_ns)
        return true;
    if (s->published < s->cfg->messages || s->delivered < s->wanted)
        return false;
    if (!s->complete_ns)
        s->complete_ns = s->now;
    return next_ns > s->complete_ns + TAIL_NS;
}

bool sim_run(struct sim *s, uint64_t events)
{
    while (events--) {
        uint64_t at = timerq_next(&s->timers);

        if (is_over(s, at))
            return false;
        if (at > s->now)
            s->now = at;
        s->events++;
        on_timer(s, timerq_pop(&s->timers, s->now));
    }
    return true;
}

struct sim_progress sim_progress(const struct sim *s)
{
    return (struct sim_progress){s->now - SIM_START, s->events, s->published, s->delivered, s->wanted};
}

/* Links on which it lied to honest nodes, and how many of them were cut for it. */
static void count_lies(const struct sim *s, const struct sim_node *n, struct sim_result *r)
{
    uint64_t before = r->lie_links_cut;

    for (uint32_t i = 0; i < n->nends; i++) {
        const struct sim_end *e = &n->ends[i];

        if (!e->was_lied || !sim_node_is_honest(&s->nodes[e->peer]))
            continue;
        r->lie_links++;
        r->lie_links_cut += s->nodes[e->peer].ends[e->back].has_cut;
    }
    r->liars++;
    r->liars_cut += r->lie_links_cut > before;
    if (n->first_cut_message > r->cut_after_messages)
        r->cut_after_messages = n->first_cut_message;
}

static void node_result(const struct sim *s, const struct sim_node *n, struct sim_node_result *r)
{
    struct pubsub_topic_info info = {0};

    *r = n->r;
    if (n->core && pubsub_topics(n->core, &info, 1))
        r->mesh = info.mesh;
    for (uint32_t i = 0; i < n->nends; i++)
        r->links += n->ends[i].epoch != 0;
}

struct sim_result sim_result(const struct sim *s)
{
    struct sim_result r = {
        .cfg = s->cfg, .messages = s->messages, .latency_us = s->latency_us, .nodes = s->results, .sum = s->gone,
        .wrong = s->wrong, .honest_cut = s->honest_cut, .events = s->events,
        .lost_frames = s->lost_frames, .end_ns = s->now, .first_ns = s->first_ns,
    };

    r.sum.shards_in += s->reference_in;
    r.sum.shards_unhelpful += s->reference_useless;
    for (uint32_t i = 0; i < s->cfg->nodes; i++) {
        const struct sim_node *n = &s->nodes[i];

        node_result(s, n, &s->results[i]);
        if (sim_node_is_honest(n)) {
            sim_node_count(n, &r.sum);
            continue;
        }
        count_lies(s, n, &r);
    }
    return r;
}
