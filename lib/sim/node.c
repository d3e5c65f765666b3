/* node.c: a simulated node: its core, its connections, what its core gives out */
#include <stdlib.h>

#include "base/map.h"
#include "sim/reference.h"
#include "sim/sim_int.h"

static struct slice topic(void)
{
    return slice_of(SIM_TOPIC, sizeof(SIM_TOPIC) - 1);
}

static void *need(void *p)
{
    if (!p)
        abort(); /* a simulation without memory has no meaning */
    return p;
}

static void core_make(struct sim *s, struct sim_node *n)
{
    struct pubsub_config c = s->core;

    if (s->cfg->mode == SIM_REFERENCE) {
        n->reference = need(reference_new(s, (uint32_t)(n - s->nodes)));
        return;
    }
    c.key = &n->key;
    n->core = need(pubsub_new(&c, &s->core_rng, s->now, SIM_UNIX + s->now));
}

static enum sim_behaviour behaviour_of(struct sim *s, uint32_t i)
{
    const struct sim_config *c = s->cfg;
    double at = (double)rng_below(&s->rng, 1000000) / 1e4;

    if (i == 0 || c->mode == SIM_REFERENCE)
        return SIM_HONEST; /* somebody must publish */
    if (at < c->forgers_percent)
        return SIM_FORGER;
    if (at < c->forgers_percent + c->silent_percent)
        return SIM_SILENT;
    return at < c->forgers_percent + c->silent_percent + c->withholders_percent ? SIM_WITHHOLDER : SIM_HONEST;
}

void sim_node_init(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    uint8_t seed[ED25519_SEED_BYTES];

    rng_fill(&s->rng, seed, sizeof(seed));
    key_pair_from_seed(&n->key, seed);
    key_pair_peer_id(&n->key, &n->id);
    n->core_timer.kind = SIM_TIMER_CORE;
    n->uplink_timer.kind = SIM_TIMER_UPLINK;
    n->churn_timer.kind = SIM_TIMER_CHURN;
    n->place = sim_geo_place(&s->geo, i, &s->rng);
    n->behaviour = behaviour_of(s, i);
    n->r.is_honest = sim_node_is_honest(n);
    list_init(&n->active);
}

void sim_node_fini(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];

    pubsub_free(n->core);
    reference_free(n->reference);
    free(n->ends);
}

bool sim_node_is_linked(const struct sim *s, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < s->nodes[a].nends; i++)
        if (s->nodes[a].ends[i].peer == b)
            return true;
    return false;
}

/* Before anything runs: lists point into ends. */
static struct sim_end *end_add(struct sim_node *n, uint32_t peer)
{
    if (n->nends == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 16;
        n->ends = need(realloc(n->ends, n->cap * sizeof(*n->ends)));
    }
    n->ends[n->nends] = (struct sim_end){.peer = peer};
    return &n->ends[n->nends++];
}

void sim_node_connect(struct sim *s, uint32_t a, uint32_t b)
{
    struct sim_node *na = &s->nodes[a], *nb = &s->nodes[b];
    struct sim_end *ea = end_add(na, b), *eb = end_add(nb, a);

    ea->back = nb->nends - 1;
    eb->back = na->nends - 1;
    ea->is_dialer = true;
    ea->delay_ns = sim_geo_delay(&s->geo, &na->place, &nb->place, &s->rng);
    eb->delay_ns = s->geo.kind == SIM_DELAY_MATRIX ? sim_geo_delay(&s->geo, &nb->place, &na->place, &s->rng) : ea->delay_ns;
}

static struct sim_end *other(struct sim *s, const struct sim_end *e)
{
    return &s->nodes[e->peer].ends[e->back];
}

static enum pubsub_proto proto_of(const struct sim *s)
{
    return s->cfg->mode == SIM_CODED ? PUBSUB_CODED_1 : s->cfg->version ? PUBSUB_MESHSUB_12 : PUBSUB_MESHSUB_11;
}

static void core_peer_up(struct sim *s, struct sim_node *n, uint32_t end)
{
    const struct sim_end *e = &n->ends[end];
    uint8_t addr[4] = {10, (uint8_t)(e->peer >> 16), (uint8_t)(e->peer >> 8), (uint8_t)e->peer};

    if (n->core)
        pubsub_peer_up(n->core, end + 1, &s->nodes[e->peer].id, proto_of(s), e->is_dialer, slice_of(addr, 4), s->now);
}

static void link_up(struct sim *s, uint32_t i, uint32_t end)
{
    struct sim_end *e = &s->nodes[i].ends[end], *o = other(s, e);

    if (e->epoch || !s->nodes[e->peer].is_up || e->has_cut || o->has_cut)
        return;
    e->epoch = o->epoch = ++s->epochs;
    core_peer_up(s, &s->nodes[i], end);
    core_peer_up(s, &s->nodes[e->peer], e->back);
    sim_node_drain(s, e->peer);
}

static void link_down(struct sim *s, uint32_t i, uint32_t end)
{
    struct sim_end *e = &s->nodes[i].ends[end], *o = other(s, e);

    if (!e->epoch)
        return;
    e->epoch = o->epoch = 0;
    sim_link_drop(s, i, e);
    sim_link_drop(s, e->peer, o);
    if (s->nodes[i].core)
        pubsub_peer_down(s->nodes[i].core, end + 1, s->now);
    if (s->nodes[e->peer].core)
        pubsub_peer_down(s->nodes[e->peer].core, e->back + 1, s->now);
    if (s->nodes[e->peer].core)
        sim_node_drain(s, e->peer);
}

void sim_node_start(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];

    core_make(s, n);
    n->is_up = true;
    n->up_since_ns = s->now;
    for (uint32_t e = 0; e < n->nends; e++)
        link_up(s, i, e);
    if (n->core)
        pubsub_subscribe(n->core, topic(), s->now);
    sim_node_drain(s, i);
}

static void add_counters(struct pubsub_counters *sum, const struct pubsub_counters *c)
{
    const uint64_t *from = (const uint64_t *)c;
    uint64_t *to = (uint64_t *)sum;

    for (size_t i = 0; i < sizeof(*c) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

void sim_node_count(const struct sim_node *n, struct pubsub_counters *sum)
{
    struct pubsub_counters c;

    if (!n->core)
        return;
    pubsub_counters_get(n->core, &c);
    add_counters(sum, &c);
}

void sim_node_leave(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];

    if (!n->is_up)
        return;
    for (uint32_t e = 0; e < n->nends; e++)
        link_down(s, i, e);
    n->is_up = false;
    n->was_away = true;
    timerq_cancel(&s->timers, &n->core_timer);
    if (sim_node_is_honest(n))
        sim_node_count(n, &s->gone);
    pubsub_free(n->core);
    reference_free(n->reference);
    n->core = NULL;
    n->reference = NULL;
}

void sim_node_queue(struct sim *s, uint32_t node, struct sim_end *e)
{
    struct sim_node *n = &s->nodes[node];

    if (n->core && e->epoch)
        pubsub_peer_queue(n->core, (pubsub_peer)(e - n->ends) + 1, e->queued_bytes, s->now);
}

static struct buf *join(struct sim *s, const struct pubsub_output *out)
{
    uint32_t len = 0;
    struct buf *b;

    if (s->arena)
        return need(sim_arena_frame(s->arena, out->pieces, out->npieces));
    for (unsigned i = 0; i < out->npieces; i++)
        len += out->pieces[i].len;
    b = need(buf_new(len));
    for (unsigned i = 0; i < out->npieces; i++) {
        memcpy(b->data + b->len, out->pieces[i].buf->data + out->pieces[i].off, out->pieces[i].len);
        b->len += out->pieces[i].len;
    }
    return b;
}

static void carry_send(struct sim *s, uint32_t i, const struct pubsub_output *out)
{
    struct sim_node *n = &s->nodes[i];
    struct sim_end *e = &n->ends[out->peer - 1];
    struct buf *b = join(s, out);

    for (unsigned p = 0; p < out->npieces; p++)
        buf_unref(out->pieces[p].buf);
    if (n->behaviour != SIM_HONEST && !sim_liar_frame(s, n, e, b)) {
        buf_unref(b);
        return;
    }
    sim_link_send(s, i, out->peer - 1, b, b->len + 2u); /* and the frame's length before it */
    sim_node_queue(s, i, e);
}

static uint64_t hash_of(struct slice payload)
{
    static const uint64_t seed[2] = {1, 2};

    return siphash13(seed, payload);
}

static void note_delivery(struct sim *s, uint32_t i, const struct pubsub_output *out)
{
    uint64_t m;

    memcpy(&m, out->payload->data, sizeof(m));
    if (m >= s->published || out->payload->len != s->cfg->bytes ||
        (s->payload_hash && s->payload_hash[m] != hash_of(buf_slice(out->payload))))
        s->wrong++;
    else
        sim_node_delivered(s, i, (uint32_t)m);
    buf_unref(out->payload);
}

static void first_cut(struct sim_node *n, uint32_t published)
{
    if (!n->first_cut_message)
        n->first_cut_message = published ? published : 1;
}

static void cut(struct sim *s, uint32_t i, uint32_t end)
{
    struct sim_end *e = &s->nodes[i].ends[end];

    e->has_cut = true;
    if (sim_node_is_honest(&s->nodes[i]) && sim_node_is_honest(&s->nodes[e->peer]))
        s->honest_cut++;
    if (sim_node_is_honest(&s->nodes[i]) && !sim_node_is_honest(&s->nodes[e->peer]))
        first_cut(&s->nodes[e->peer], s->published);
    link_down(s, i, end);
}

void sim_node_drain(struct sim *s, uint32_t i)
{
    struct sim_node *n = &s->nodes[i];
    struct pubsub_output out;

    if (!n->core)
        return;
    while (pubsub_next_output(n->core, &out)) {
        switch (out.type) {
        case PUBSUB_SEND: carry_send(s, i, &out); break;
        case PUBSUB_DELIVER: note_delivery(s, i, &out); break;
        case PUBSUB_TRACE:
        case PUBSUB_WORK:
        case PUBSUB_VALIDATE: break; /* none of them is switched on */
        case PUBSUB_DIAL: buf_unref(out.record); break;
        case PUBSUB_DISCONNECT: cut(s, i, out.peer - 1); break;
        }
    }
    timerq_set(&s->timers, &n->core_timer, pubsub_next_deadline(n->core));
}

void sim_node_input(struct sim *s, uint32_t i, uint32_t end, struct buf *buf)
{
    struct sim_node *n = &s->nodes[i];

    if (n->reference) {
        reference_input(n->reference, end, buf_slice(buf));
        buf_unref(buf);
        return;
    }
    pubsub_rpc(n->core, end + 1, buf, s->now);
    sim_node_drain(s, i);
}

void sim_node_delivered(struct sim *s, uint32_t i, uint32_t message)
{
    struct sim_message *m = &s->messages[message];
    uint32_t *at = &s->latency_us[(size_t)message * s->cfg->nodes + i];

    if (m->publisher == i)
        return;
    if (*at != SIM_NOT_DELIVERED) {
        s->wrong++;
        return;
    }
    *at = SIM_NOT_COUNTED;
    if (s->nodes[i].up_since_ns > m->at_ns)
        return;
    *at = (uint32_t)((s->now - m->at_ns) / 1000);
    if (!sim_node_is_honest(&s->nodes[i]))
        return;
    m->delivered++;
    s->delivered++;
}

static struct buf *payload_make(struct sim *s, uint64_t message)
{
    struct buf *b = need(s->arena ? sim_arena_alloc(s->arena, s->cfg->bytes) : buf_new(s->cfg->bytes));

    b->len = s->cfg->bytes;
    if (!s->arena || b->len < SIM_ELIDE_FROM)
        rng_fill(&s->payload_rng, b->data, b->len);
    memcpy(b->data, &message, sizeof(message));
    if (s->payload_hash)
        s->payload_hash[message] = hash_of(buf_slice(b));
    return b;
}

void sim_node_publish(struct sim *s, uint32_t i, uint32_t message)
{
    struct sim_node *n = &s->nodes[i];
    uint8_t id[32] = {0};
    struct buf *b;

    if (n->reference) {
        reference_publish(n->reference, message);
        return;
    }
    b = payload_make(s, message);
    memcpy(id, &message, sizeof(message));
    if (!n->core || pubsub_publish(n->core, topic(), b, id, s->now)) {
        s->messages[message].refused = 1;
        buf_unref(b);
    }
    sim_node_drain(s, i);
}
