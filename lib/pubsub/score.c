#include "pubsub/score.h"

#include <math.h>
#include <stdlib.h>

#define MISDEEDS_MAX 200.0 /* so that no sum takes for ever to fade: -376,000 of P7, over in five minutes */
#define ROOM_LOOKS   32
#define TICKS_MAX    60

struct score_ip {
    uint32_t count;
    uint8_t len;
    uint8_t key[16];
};

void scores_init(struct scores *s, const struct score_params *params, uint32_t max, const uint8_t seed[16], uint64_t now)
{
    *s = (struct scores){.params = *params, .max = max, .decayed_ns = now};
    map_init(&s->map, 0, seed);
    map_init(&s->ips, 0, seed);
    list_init(&s->all);
}

/* ---- addresses ---- */

/* Loopback, link-local and the private ranges, that of carriers included. */
static bool is_private(struct slice a)
{
    static const uint8_t loopback[16] = {[15] = 1};

    if (a.len == 16)
        return !memcmp(a.p, loopback, 16) || (a.p[0] & 0xfe) == 0xfc || (a.p[0] == 0xfe && (a.p[1] & 0xc0) == 0x80);
    return a.p[0] == 127 || a.p[0] == 10 || (a.p[0] == 172 && a.p[1] >> 4 == 1) || (a.p[0] == 192 && a.p[1] == 168) ||
           (a.p[0] == 100 && a.p[1] >> 6 == 1) || (a.p[0] == 169 && a.p[1] == 254);
}

/* What peers share: an IPv4 address, or an IPv6 network of the size that one host is given. Private ones do not count:
 * behind a port forwarded into a container network every peer has the gateway's address. */
static struct slice shared_part(struct slice addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (addr.len == 16 && memcmp(addr.p, mapped, sizeof(mapped)) == 0)
        addr = slice_of(addr.p + 12, 4);
    if ((addr.len != 4 && addr.len != 16) || is_private(addr))
        return (struct slice){0};
    return addr.len == 4 ? addr : slice_of(addr.p, 8);
}

static void ip_leave(struct scores *s, struct score *sc)
{
    struct score_ip *ip = sc->ip;

    sc->ip = NULL;
    if (!ip || --ip->count)
        return;
    map_del(&s->ips, slice_of(ip->key, ip->len));
    free(ip);
}

/* Without memory the address does not count. */
static void ip_enter(struct scores *s, struct score *sc, struct slice addr)
{
    struct slice key = shared_part(addr);
    struct score_ip *ip = key.len ? map_get(&s->ips, key) : NULL;

    if (ip && ip == sc->ip)
        return;
    ip_leave(s, sc);
    if (!key.len)
        return;
    if (!ip) {
        ip = calloc(1, sizeof(*ip));
        if (!ip)
            return;
        ip->len = (uint8_t)key.len;
        memcpy(ip->key, key.p, key.len);
        if (map_put(&s->ips, key, ip)) {
            free(ip);
            return;
        }
    }
    ip->count++;
    sc->ip = ip;
}

/* ---- records ---- */

static void drop(struct scores *s, struct score *sc)
{
    ip_leave(s, sc);
    list_del(&sc->node);
    map_del(&s->map, peer_id_slice(&sc->id));
    free(sc->topics);
    free(sc);
}

void scores_fini(struct scores *s)
{
    LIST_EACH(it, &s->all)
        drop(s, CONTAINER_OF(it, struct score, node));
    map_fini(&s->map);
    map_fini(&s->ips);
}

/* Room for one more: of the next few absent peers the one with the best score, whose loss costs us least. Not of all:
 * a flood of identities must not buy a walk through every record each. */
static bool make_room(struct scores *s)
{
    struct score *best = NULL;

    if (s->map.count < s->max)
        return true;
    for (uint32_t i = 0, looked = 0; i < s->max && looked < ROOM_LOOKS; i++) {
        struct list *n = list_pop_front(&s->all);
        struct score *sc = CONTAINER_OF(n, struct score, node);
        list_push_back(&s->all, n);
        looked += sc->gone_ns != 0;
        if (sc->gone_ns && (!best || score_value(s, sc) > score_value(s, best)))
            best = sc;
    }
    if (best)
        drop(s, best);
    return best != NULL;
}

struct score *score_enter(struct scores *s, const struct peer_id *id, struct slice addr)
{
    struct score *sc = map_get(&s->map, peer_id_slice(id));

    if (!sc) {
        if (!make_room(s) || !(sc = calloc(1, sizeof(*sc))))
            return NULL;
        sc->id = *id;
        if (map_put(&s->map, peer_id_slice(id), sc)) {
            free(sc);
            return NULL;
        }
        list_push_back(&s->all, &sc->node);
    }
    sc->gone_ns = 0;
    ip_enter(s, sc, addr);
    return sc;
}

static bool is_clean(const struct score *sc)
{
    return !sc->is_cut && sc->behaviour == 0 && sc->invalid == 0 && sc->ntopics == 0;
}

static bool is_empty_topic(const struct score_topic *t)
{
    return !t->is_in_mesh && t->first == 0 && t->mesh == 0 && t->failure == 0 && t->invalid == 0;
}

static void drop_empty_topics(struct score *sc)
{
    for (unsigned i = 0; i < sc->ntopics;)
        if (is_empty_topic(&sc->topics[i]))
            sc->topics[i] = sc->topics[--sc->ntopics];
        else
            i++;
}

static void leave_mesh(struct score_topic *t)
{
    double deficit = t->params->mesh_threshold - t->mesh;

    /* A debt that only a running mesh could show must not be lost by leaving it. */
    if (t->is_in_mesh && t->is_mesh_active && t->params->mesh_weight != 0 && deficit > 0)
        t->failure += deficit * deficit;
    t->is_in_mesh = t->is_mesh_active = false;
    t->mesh_ns = 0;
}

void score_leave(struct scores *s, struct score *sc, uint64_t now)
{
    for (unsigned i = 0; i < sc->ntopics; i++) {
        leave_mesh(&sc->topics[i]);
        sc->topics[i].first = sc->topics[i].mesh = 0;
    }
    drop_empty_topics(sc);
    sc->app = 0;
    sc->is_summed = false;
    if (is_clean(sc)) {
        drop(s, sc);
        return;
    }
    sc->gone_ns = now ? now : 1;
}

/* ---- what is noted ---- */

/* The topic's counters, made when new. The one met last is first: most of the time it is the one asked for again. */
static struct score_topic *topic_of(struct scores *s, struct score *sc, struct score_subject t, bool make)
{
    struct score_topic new = {.key = t.key, .params = t.params};

    for (unsigned i = 0; t.params && i < sc->ntopics; i++) {
        if (sc->topics[i].key != t.key)
            continue;
        struct score_topic found = sc->topics[i];
        sc->topics[i] = sc->topics[0];
        sc->topics[0] = found;
        sc->is_summed = false;
        return &sc->topics[0];
    }
    if (!t.params || !make)
        return NULL;
    if (sc->ntopics == sc->cap) {
        uint16_t cap = sc->cap ? (uint16_t)(sc->cap * 2) : 4;
        struct score_topic *p = cap > SCORE_TOPICS_MAX ? NULL : realloc(sc->topics, cap * sizeof(*p));
        if (!p) {
            s->refused++;
            return NULL;
        }
        sc->topics = p;
        sc->cap = cap;
    }
    sc->is_summed = false;
    sc->topics[sc->ntopics] = new;
    return &sc->topics[sc->ntopics++];
}

static double add(double sum, double v, double max)
{
    return sum + v > max ? max : sum + v;
}

void score_graft(struct scores *s, struct score *sc, struct score_subject t, uint64_t now)
{
    struct score_topic *st = topic_of(s, sc, t, true);

    if (!st)
        return;
    st->is_in_mesh = true;
    st->is_mesh_active = false;
    st->graft_ns = now;
    st->mesh_ns = 0;
}

void score_prune(struct scores *s, struct score *sc, struct score_subject t)
{
    struct score_topic *st = topic_of(s, sc, t, false);

    if (st)
        leave_mesh(st);
}

void score_first(struct scores *s, struct score *sc, struct score_subject t, double share)
{
    struct score_topic *st = topic_of(s, sc, t, true);

    if (!st)
        return;
    st->first = add(st->first, share, st->params->first_cap);
    if (st->is_in_mesh)
        st->mesh = add(st->mesh, share, st->params->mesh_cap);
}

void score_again(struct scores *s, struct score *sc, struct score_subject t)
{
    struct score_topic *st = topic_of(s, sc, t, false);

    if (st && st->is_in_mesh)
        st->mesh = add(st->mesh, 1, st->params->mesh_cap);
}

void score_invalid(struct scores *s, struct score *sc, struct score_subject t)
{
    struct score_topic *st = topic_of(s, sc, t, true);

    if (st)
        st->invalid = add(st->invalid, 1, MISDEEDS_MAX);
    else
        sc->invalid = add(sc->invalid, 1, MISDEEDS_MAX);
}

void score_behaviour(struct score *sc, double severity)
{
    if (isinf(severity))
        sc->is_cut = true;
    else
        sc->behaviour = add(sc->behaviour, severity, MISDEEDS_MAX);
}

/* ---- the number ---- */

static double min(double a, double b)
{
    return a < b ? a : b;
}

/* P1..P4 of one topic into parts[0..3], unweighted by the topic. */
static void topic_parts(const struct score_topic *t, double parts[4])
{
    const struct score_topic_params *p = t->params;
    double deficit = p->mesh_threshold - t->mesh;

    parts[0] = t->is_in_mesh && p->time_quantum_ns
                   ? p->time_weight * min((double)t->mesh_ns / (double)p->time_quantum_ns, p->time_cap)
                   : 0;
    parts[1] = p->first_weight * min(t->first, p->first_cap);
    parts[2] = t->is_mesh_active && deficit > 0 ? p->mesh_weight * deficit * deficit : 0;
    parts[2] += p->failure_weight * t->failure;
    parts[3] = p->invalid_weight * t->invalid * t->invalid;
}

static double sum_topics(const struct scores *s, const struct score *sc)
{
    double sum = 0, parts[4];

    for (unsigned i = 0; i < sc->ntopics; i++) {
        topic_parts(&sc->topics[i], parts);
        sum += sc->topics[i].params->weight * (parts[0] + parts[1] + parts[2] + parts[3]);
    }
    return s->params.topic_cap > 0 ? min(sum, s->params.topic_cap) : sum;
}

static double colocation(const struct scores *s, const struct score *sc)
{
    double surplus = sc->ip && sc->ip->count > s->params.ip_threshold ? sc->ip->count - s->params.ip_threshold : 0;

    return s->params.ip_weight * surplus * surplus;
}

static double behaviour(const struct scores *s, const struct score *sc)
{
    double excess = sc->behaviour - s->params.behaviour_threshold;

    return excess > 0 ? s->params.behaviour_weight * excess * excess : 0;
}

double score_value(const struct scores *s, struct score *sc)
{
    if (sc->is_cut)
        return -INFINITY;
    if (!sc->is_summed) {
        sc->topics_sum = sum_topics(s, sc);
        sc->is_summed = true;
    }
    return sc->topics_sum + s->params.app_weight * sc->app + colocation(s, sc) + behaviour(s, sc) +
           s->params.invalid_weight * sc->invalid * sc->invalid;
}

void score_parts(const struct scores *s, const struct score *sc, double parts[SCORE_PARTS])
{
    double of_topic[4];

    memset(parts, 0, SCORE_PARTS * sizeof(*parts));
    for (unsigned i = 0; i < sc->ntopics; i++) {
        topic_parts(&sc->topics[i], of_topic);
        for (unsigned j = 0; j < 4; j++)
            parts[j] += sc->topics[i].params->weight * of_topic[j];
    }
    parts[3] += s->params.invalid_weight * sc->invalid * sc->invalid;
    parts[4] = s->params.app_weight * sc->app;
    parts[5] = colocation(s, sc);
    parts[6] = behaviour(s, sc);
    for (unsigned j = 0; j < SCORE_PARTS; j++)
        parts[j] += 0.0; /* a zero times a negative weight would be shown as -0 */
}

/* ---- time ---- */

static void decay(const struct scores *s, double *v, double by, unsigned steps)
{
    if (*v == 0)
        return;
    *v *= steps == 1 ? by : pow(by, steps);
    if (*v < s->params.near_zero)
        *v = 0;
}

static void decay_behaviour(const struct scores *s, struct score *sc, unsigned steps)
{
    const struct score_params *p = &s->params;

    for (; steps && sc->behaviour > p->behaviour_flood && p->behaviour_flood > 0; steps--)
        sc->behaviour *= p->behaviour_flood_decay;
    if (steps)
        decay(s, &sc->behaviour, p->behaviour_decay, steps);
}

static void tick_topic(const struct scores *s, struct score_topic *t, unsigned steps, uint64_t now)
{
    decay(s, &t->first, t->params->first_decay, steps);
    decay(s, &t->mesh, t->params->mesh_decay, steps);
    decay(s, &t->failure, t->params->failure_decay, steps);
    decay(s, &t->invalid, t->params->invalid_decay, steps);
    if (!t->is_in_mesh)
        return;
    t->mesh_ns = now - t->graft_ns;
    t->is_mesh_active |= t->mesh_ns > t->params->mesh_activation_ns;
}

void scores_tick(struct scores *s, uint64_t now)
{
    unsigned steps = 0;

    for (; now - s->decayed_ns >= s->params.decay_ns && steps < TICKS_MAX; steps++)
        s->decayed_ns += s->params.decay_ns;
    if (steps == TICKS_MAX)
        s->decayed_ns = now;
    if (!steps)
        return;
    LIST_EACH(it, &s->all) {
        struct score *sc = CONTAINER_OF(it, struct score, node);
        decay_behaviour(s, sc, steps);
        decay(s, &sc->invalid, s->params.invalid_decay, steps);
        for (unsigned i = 0; i < sc->ntopics; i++)
            tick_topic(s, &sc->topics[i], steps, now);
        drop_empty_topics(sc);
        sc->is_summed = false;
        if (sc->gone_ns && (is_clean(sc) || now - sc->gone_ns >= s->params.retain_ns))
            drop(s, sc);
    }
}
