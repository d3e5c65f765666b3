/* generation_ahead.c: a generation solved but for one row */
#include "pubsub/generation_ahead.h"

#include <stdlib.h>

#include "pubsub/generation_int.h"

bool generation_ahead_pays(const struct generation *g)
{
    unsigned k = g->shape.k, computed;

    if (generation_is_decoded(g) || g->is_ahead_tried || g->doubt || g->work.shard_bytes != g->shape.shard_bytes || g->rank.rank + 1u != k)
        return false;
    computed = k - 1 - coded_bits_count(&g->have);
    return computed > GENERATION_AHEAD_FREE &&
           (uint64_t)(computed - GENERATION_AHEAD_FREE) * g->shape.size_bytes >= GENERATION_AHEAD_WORTH;
}

uint32_t generation_ahead_bytes(const struct generation *g)
{
    return g->shape.size_bytes + (uint32_t)sizeof(struct generation_ahead);
}

static uint32_t number_at(const struct generation *g, unsigned count)
{
    return count ? g->coded[count - 1].number : 0;
}

bool generation_ahead_make(struct generation *g, struct buf *payload, void *scratch)
{
    struct rlnc_row rows[RLNC_K_MAX];
    struct generation_ahead *a = calloc(1, sizeof(*a));
    unsigned n;

    if (!a)
        return false;
    g->is_ahead_tried = true;
    n = generation_choose_rows(g, rows, (uint8_t *)scratch + rlnc_decode_bytes(RLNC_K_MAX));
    if (rlnc_decode_ahead(&g->shape, &g->rank, rows, n, payload->data, scratch, &a->rest)) {
        free(a);
        return false;
    }
    a->payload = payload;
    a->have = g->have;
    a->coded_count = g->coded_count;
    a->last_number = number_at(g, a->coded_count);
    g->ahead = a;
    g->bytes += generation_ahead_bytes(g);
    return true;
}

void generation_ahead_drop(struct generation *g)
{
    if (!g->ahead)
        return;
    g->bytes -= generation_ahead_bytes(g);
    buf_unref(g->ahead->payload);
    free(g->ahead);
    g->ahead = NULL;
}

/* The one row that came since; false: something else happened. */
static bool row_since(const struct generation *g, const struct generation_ahead *a, struct rlnc_row *last)
{
    struct coded_bits new = coded_bits_minus(g->have, a->have);
    unsigned sources = coded_bits_count(&new), i = 0;

    if (sources + g->coded_count != a->coded_count + 1u || g->coded_count < a->coded_count ||
        number_at(g, a->coded_count) != a->last_number)
        return false;
    if (!sources) {
        *last = generation_coded_row(g, &g->coded[g->coded_count - 1]);
        return true;
    }
    while (!coded_bits_has(&new, i))
        i++;
    *last = generation_source_row(g, i);
    return true;
}

int generation_ahead_finish(struct generation *g)
{
    struct generation_ahead *a = g->ahead;
    struct rlnc_row last;
    struct buf *payload;

    if (!row_since(g, a, &last) || rlnc_decode_last(&g->shape, &a->rest, &last, a->payload->data)) {
        generation_ahead_drop(g);
        return -GENERATION_E_STALE;
    }
    payload = buf_ref(a->payload);
    generation_ahead_drop(g);
    if (generation_take_decoded(g, payload))
        return 0;
    buf_unref(payload);
    generation_drop_coded(g);
    return -GENERATION_E_FORGED;
}
