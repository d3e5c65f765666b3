/* coded_doubt.c: a message whose coded rows did not verify (docs/PROTOCOL.md 7)
 * Note:    somebody forged. While source shards can be had they are asked for; where nobody has them any more, coded rows are collected
 *          with the tags of those through whose hands they went, and choices of them tried that leave somebody out. A try costs one
 *          source shard's worth of output and its hash
 * Limits:  CODED_DOUBT_BYTES a second, as if each step of algebra were a byte, and GENERATION_TRIES_MAX of one message; what is over
 *          waits
 */
#include "pubsub/coded_int.h"
#include "pubsub/generation_doubt.h"

enum { AGAIN_MS = 100 };

/* Through whose hands a coded shard went: who sent it, and who he says were before him. */
static void hands_of(const struct coded *c, const struct coded_peer *peer, const struct coded_shard *s, struct generation_arrival *a)
{
    struct slice told = s->flags & CODED_SHARD_SECOND_HAND ? s->sent : (struct slice){0};

    a->hands[a->hand_count++] = peer->tag;
    for (size_t i = 0; i + CODED_TAG_BYTES <= told.len && a->hand_count < GENERATION_HANDS_MAX; i += CODED_TAG_BYTES) {
        uint32_t tag = coded_tag_read(told.p + i);
        bool is_new = tag != c->self_tag;

        for (unsigned j = 0; j < a->hand_count; j++)
            is_new &= a->hands[j] != tag;
        if (is_new)
            a->hands[a->hand_count++] = tag;
    }
}

enum generation_verdict coded_add_row(struct coded *c, struct generation *g, const struct coded_peer *peer,
                                      const struct coded_shard *s, struct buf *frame)
{
    struct generation_arrival a = {.coefs = s->coefs, .payload = s->payload, .frame = frame, .from = peer->p,
                                   .is_second_hand = s->flags & CODED_SHARD_SECOND_HAND};

    hands_of(c, peer, s, &a);
    return generation_is_in_doubt(g) ? generation_doubt_add(g, &a) : generation_add_coded(g, &a);
}

void coded_doubt_aside(struct coded *c, struct generation *g, uint64_t now)
{
    uint8_t round = g->round;

    coded_progress(c, g, now); /* it is not given up */
    g->round = round;          /* but nobody knows yet whether this was of use */
    if (g->hint_at_ns == TIMER_NEVER)
        g->hint_at_ns = now + CODED_HINT_NS; /* what comes together is tried together */
    coded_reschedule(c, g);
}

static bool may_try(struct coded *c, uint64_t now)
{
    if (now - c->doubt_since_ns >= 1000 * CODED_MS) {
        c->doubt_since_ns = now;
        c->doubt_spent = 0;
    }
    return c->doubt_spent < CODED_DOUBT_BYTES;
}

static void put_off(struct coded *c, struct generation *g, uint64_t now)
{
    c->host.counters->doubt_deferred++;
    g->hint_at_ns = now + AGAIN_MS * CODED_MS;
}

/* True: it was right, the message is there and has the payload's reference. */
static bool try_choice(struct coded *c, struct generation *g, struct generation_choice *choice, uint8_t *shard, struct buf *payload,
                       uint64_t now)
{
    uint32_t before = g->bytes;

    c->host.counters->doubt_tries++;
    c->doubt_spent += g->shape.size_bytes;
    if (!generation_doubt_test(g, choice, shard, c->scratch))
        return false;
    c->doubt_spent += g->shape.size_bytes;
    if (generation_doubt_decode(g, choice, payload, c->scratch))
        return false;
    c->host.counters->doubt_solved++;
    coded_charge(c, g, before);
    coded_take(c, g, now);
    return true;
}

/* True: one of the choices was right. */
static bool try_choices(struct coded *c, struct generation *g, uint8_t *shard, struct buf *payload, uint64_t now)
{
    struct generation_choice choice = {.mask = 0};
    uint64_t steps = (uint64_t)g->shape.k * g->shape.k * g->shape.k;

    while (may_try(c, now)) {
        unsigned spans = choice.spans;
        bool is_one;

        choice.spans_max = spans + 1 + (unsigned)((CODED_DOUBT_BYTES - c->doubt_spent) / steps);
        is_one = generation_doubt_next(g, &choice, c->scratch);
        c->doubt_spent += (choice.spans - spans) * steps;
        if (is_one && try_choice(c, g, &choice, shard, payload, now))
            return true;
        if (!is_one && !choice.is_cut)
            return false;
        if (!is_one)
            break;
    }
    put_off(c, g, now);
    return false;
}

void coded_doubt_run(struct coded *c, struct generation *g, uint64_t now)
{
    struct buf *shard, *payload;

    if (!generation_is_in_doubt(g) || !g->dropped_count)
        return;
    generation_doubt_allow(g, now);
    shard = buf_new(g->work.shard_bytes);
    payload = coded_alloc(c, g->shape.size_bytes); /* before a choice is marked as tried: it is tried once only */
    if (!shard || !payload) {
        c->host.counters->no_memory++;
        put_off(c, g, now);
        buf_unref(payload);
    } else if (!try_choices(c, g, shard->data, payload, now)) {
        buf_unref(payload);
    }
    buf_unref(shard);
}
