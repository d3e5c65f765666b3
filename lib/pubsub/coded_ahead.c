/* coded_ahead.c: with one row missing, the others are solved while it is awaited
 * Note:    when that is done: not as the row before the last is taken, but in the loop's next turn, after its input (a deadline 1 ns later).
 *          So rows that come in one batch are decoded as ever, and the request for the last row is on its way first. A core without
 *          IO cannot know more of how idle its lcore is. A row that comes meanwhile waits, by about as much as it is spared
 * Limits:  once per generation, one decoding's work. It takes no memory from anybody: only from the half that is free of all and of
 *          who pays, and it is given back as soon as a limit is met
 */
#include "pubsub/coded_int.h"
#include "pubsub/generation_ahead.h"

void coded_ahead_arm(struct generation *g, uint64_t now)
{
    if (generation_ahead_pays(g))
        g->ahead_at_ns = now + 1;
}

static bool has_room(const struct coded *c, const struct generation *g)
{
    const struct coded_peer *payer = coded_peer_find(c, g->charged);
    uint64_t bytes = generation_ahead_bytes(g);

    return c->rows_bytes + bytes <= c->cfg.rows_bytes / 2 && (!payer || payer->bytes + bytes <= c->cfg.rows_bytes / 4);
}

void coded_ahead_run(struct coded *c, struct generation *g)
{
    uint32_t before = g->bytes;
    struct buf *payload;

    if (!generation_ahead_pays(g) || !has_room(c, g))
        return;
    payload = coded_alloc(c, g->shape.size_bytes);
    if (!payload)
        return;
    if (!generation_ahead_make(g, payload, c->scratch)) {
        buf_unref(payload);
        return;
    }
    c->has_ahead = true;
    c->host.counters->solved_ahead++;
    coded_charge(c, g, before);
}

bool coded_ahead_yield(struct coded *c)
{
    bool is_any = false;

    if (!c->has_ahead)
        return false;
    c->has_ahead = false;
    LIST_EACH(it, &c->undecoded) {
        struct generation *g = CONTAINER_OF(it, struct generation, order);
        uint32_t before = g->bytes;

        if (!g->ahead)
            continue;
        generation_ahead_drop(g);
        coded_charge(c, g, before);
        is_any = true;
    }
    return is_any;
}
