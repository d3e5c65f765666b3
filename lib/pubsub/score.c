#include "pubsub/score.h"

#include <math.h>
#include <stdlib.h>

#define SECOND_NS    1000000000ull
#define MISDEEDS_MAX 1000.0 /* so that no sum takes longer to fade than a minute */
#define NEAR_ZERO    0.01
#define ROOM_LOOKS   32

const struct score_params score_defaults = {
    .behaviour_weight = -10,
    .behaviour_threshold = 6,
    .behaviour_decay = 0.8,
    .invalid_weight = -2,
    .invalid_decay = 0.8,
    .decay_ns = SECOND_NS,
    .retain_ns = 600 * SECOND_NS,
};

void scores_init(struct scores *s, const struct score_params *params, uint32_t max, const uint8_t seed[16], uint64_t now)
{
    *s = (struct scores){.params = *params, .max = max, .decayed_ns = now};
    map_init(&s->map, 0, seed);
    list_init(&s->all);
}

static void drop(struct scores *s, struct score *sc)
{
    list_del(&sc->node);
    map_del(&s->map, peer_id_slice(&sc->id));
    free(sc);
}

void scores_fini(struct scores *s)
{
    LIST_EACH(it, &s->all)
        free(CONTAINER_OF(it, struct score, node));
    map_fini(&s->map);
}

double score_value(const struct scores *s, const struct score *sc)
{
    double excess = sc->behaviour - s->params.behaviour_threshold, v = 0;

    if (sc->is_cut)
        return -INFINITY;
    if (excess > 0)
        v += s->params.behaviour_weight * excess * excess;
    return v + s->params.invalid_weight * sc->invalid * sc->invalid;
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

struct score *score_enter(struct scores *s, const struct peer_id *id)
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
    return sc;
}

static bool is_clean(const struct score *sc)
{
    return !sc->is_cut && sc->behaviour == 0 && sc->invalid == 0;
}

void score_leave(struct scores *s, struct score *sc, uint64_t now)
{
    if (is_clean(sc)) {
        drop(s, sc);
        return;
    }
    sc->gone_ns = now ? now : 1;
}

static double add(double sum, double v)
{
    return sum + v > MISDEEDS_MAX ? MISDEEDS_MAX : sum + v;
}

void score_behaviour(struct score *sc, double severity)
{
    if (isinf(severity))
        sc->is_cut = true;
    else
        sc->behaviour = add(sc->behaviour, severity);
}

void score_invalid(struct score *sc)
{
    sc->invalid = add(sc->invalid, 1);
}

static void decay(double *v, double by)
{
    *v *= by;
    if (*v < NEAR_ZERO)
        *v = 0;
}

void scores_tick(struct scores *s, uint64_t now)
{
    unsigned steps = 0;

    for (; now - s->decayed_ns >= s->params.decay_ns && steps < 60; steps++)
        s->decayed_ns += s->params.decay_ns;
    if (steps == 60)
        s->decayed_ns = now;
    if (!steps)
        return;
    LIST_EACH(it, &s->all) {
        struct score *sc = CONTAINER_OF(it, struct score, node);
        decay(&sc->behaviour, pow(s->params.behaviour_decay, steps));
        decay(&sc->invalid, pow(s->params.invalid_decay, steps));
        if (sc->gone_ns && (is_clean(sc) || now - sc->gone_ns >= s->params.retain_ns))
            drop(s, sc);
    }
}
