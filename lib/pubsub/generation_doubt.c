/* generation_doubt.c: coded rows of which some are forged */
#include "pubsub/generation_doubt.h"

#include <stdlib.h>

#include "pubsub/generation_int.h"

static void doubt_begin(struct generation *g)
{
    unsigned cap = GENERATION_DOUBT_ROWS * g->shape.k;
    size_t size = sizeof(struct generation_doubt) + cap * sizeof(struct generation_row);

    if (g->doubt)
        return;
    g->doubt = calloc(1, size);
    if (!g->doubt)
        return;
    g->dropped = (struct generation_row *)(g->doubt + 1);
    g->doubt->verified = coded_bits_count(&g->have);
    g->bytes += (uint32_t)size;
}

void generation_release_dropped(struct generation *g)
{
    if (!g->doubt)
        return;
    for (unsigned i = 0; i < g->dropped_count; i++)
        generation_row_release(g, &g->dropped[i]);
    g->bytes -= (uint32_t)(sizeof(struct generation_doubt) + GENERATION_DOUBT_ROWS * g->shape.k * sizeof(struct generation_row));
    free(g->doubt);
    g->doubt = NULL;
    g->dropped = NULL;
    g->dropped_count = 0;
}

/* The bits of its hands. One more than there is room for cannot be left out. */
static uint64_t mask_of(struct generation_doubt *d, const struct generation_row *r)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < r->hand_count; i++) {
        unsigned s = 0;

        while (s < d->suspect_count && d->suspects[s].tag != r->hands[i])
            s++;
        if (s == GENERATION_SUSPECTS_MAX)
            continue;
        if (s == d->suspect_count)
            d->suspects[d->suspect_count++] = (struct generation_suspect){.tag = r->hands[i]};
        mask |= 1ull << s;
    }
    return mask;
}

static void try_all_again(struct generation_doubt *d)
{
    for (unsigned i = 0; i < d->suspect_count; i++)
        d->suspects[i].tried = 0;
    d->is_rest_tried = false;
    d->barren = 0;
}

static void hold_against(struct generation_doubt *d, uint64_t mask)
{
    for (unsigned i = 0; i < d->suspect_count; i++)
        d->suspects[i].hits += mask >> i & 1 && d->suspects[i].hits < UINT16_MAX;
    d->is_rest_tried = false; /* the rest is another one now */
}

void generation_doubt_rows(struct generation *g)
{
    uint64_t mask = 0;

    doubt_begin(g);
    for (unsigned i = 0; i < g->coded_count; i++) {
        struct generation_row *r = &g->coded[i];

        if (!g->doubt || g->dropped_count == GENERATION_DOUBT_ROWS * g->shape.k) {
            generation_row_release(g, r);
            continue;
        }
        r->mask = mask_of(g->doubt, r);
        mask |= r->mask;
        g->dropped[g->dropped_count++] = *r;
    }
    g->coded_count = 0;
    if (g->doubt)
        hold_against(g->doubt, mask);
}

/* How many rows have each of a row's hands, most first. */
struct crowd {
    uint16_t n[GENERATION_HANDS_MAX];
    unsigned len;
};

static void count_hands(const struct generation *g, const struct generation_row *r, uint16_t counts[GENERATION_SUSPECTS_MAX])
{
    for (unsigned s = 0; s < GENERATION_SUSPECTS_MAX; s++)
        counts[s] = r->mask >> s & 1;
    for (unsigned i = 0; i < g->dropped_count; i++)
        for (uint64_t left = g->dropped[i].mask; left; left &= left - 1)
            counts[__builtin_ctzll(left)]++;
}

static struct crowd crowd_of(const struct generation_row *r, const uint16_t counts[GENERATION_SUSPECTS_MAX])
{
    struct crowd c = {.len = 0};

    for (uint64_t left = r->mask; left && c.len < GENERATION_HANDS_MAX; left &= left - 1) {
        uint16_t n = counts[__builtin_ctzll(left)];
        unsigned at = c.len++;

        for (; at && c.n[at - 1] < n; at--)
            c.n[at] = c.n[at - 1];
        c.n[at] = n;
    }
    return c;
}

static bool is_more_crowded(const struct crowd *a, const struct crowd *b)
{
    for (unsigned i = 0; i < a->len && i < b->len; i++)
        if (a->n[i] != b->n[i])
            return a->n[i] > b->n[i];
    return a->len > b->len;
}

/* What goes for a new row when there is no room: what came through the most crowded hands. Who relays for many is in all rows alike,
 * so the next hand decides; a forger who floods crowds its own, and names that it makes up only lengthen its rows. What was given
 * first-hand is shortest, so the evidence goes last. NULL: the new row itself. */
static struct generation_row *row_given_up(struct generation *g, const struct generation_row *new)
{
    uint16_t counts[GENERATION_SUSPECTS_MAX];
    struct generation_row *out = NULL;
    struct crowd most;

    count_hands(g, new, counts);
    most = crowd_of(new, counts);
    for (unsigned i = 0; i < g->dropped_count; i++) {
        struct crowd c = crowd_of(&g->dropped[i], counts);

        if (is_more_crowded(&c, &most)) {
            most = c;
            out = &g->dropped[i];
        }
    }
    return out;
}

/* The same row on another way: a forger that made it was on both. Nobody on both: it may be a conspiracy, both are kept. */
static bool merge(struct generation *g, struct generation_row *r, const struct generation_arrival *a)
{
    uint32_t both[GENERATION_HANDS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < r->hand_count; i++)
        for (unsigned j = 0; j < a->hand_count; j++)
            if (r->hands[i] == a->hands[j]) {
                both[n++] = r->hands[i];
                break;
            }
    if (n == 0)
        return false;
    if (r->is_second_hand && !a->is_second_hand) { /* somebody vouches for it now */
        r->is_second_hand = false;
        r->from = a->from;
    }
    if (n < r->hand_count) {
        memcpy(r->hands, both, n * sizeof(both[0]));
        r->hand_count = (uint8_t)n;
        r->mask = mask_of(g->doubt, r);
        try_all_again(g->doubt);
    }
    return true;
}

static bool is_known(struct generation *g, const struct generation_arrival *a)
{
    for (unsigned i = 0; i < g->dropped_count; i++) {
        struct generation_row *r = &g->dropped[i];

        if (!memcmp(r->coefs, a->coefs.p, g->shape.k) && !memcmp(r->p, a->payload.p, g->work.shard_bytes) && merge(g, r, a))
            return true;
    }
    return false;
}

enum generation_verdict generation_doubt_add(struct generation *g, const struct generation_arrival *a)
{
    struct generation_row *r, row = {.buf = NULL};

    if (is_known(g, a))
        return GENERATION_UNHELPFUL;
    generation_row_hands(g, &row, a);
    row.mask = mask_of(g->doubt, &row);
    if (g->dropped_count < GENERATION_DOUBT_ROWS * g->shape.k)
        r = &g->dropped[g->dropped_count];
    else if (!(r = row_given_up(g, &row)))
        return GENERATION_UNHELPFUL;
    if (!generation_row_keep(g, &row, a->coefs, a->payload, a->frame, a->from))
        return GENERATION_UNHELPFUL;
    if (r < &g->dropped[g->dropped_count]) {
        generation_row_release(g, r);
        memmove(r, r + 1, (size_t)(&g->dropped[--g->dropped_count] - r) * sizeof(*r)); /* they stay in the order they came in */
        try_all_again(g->doubt);
    }
    g->dropped[g->dropped_count++] = row;
    g->doubt->barren = 0;
    return GENERATION_ASIDE;
}

/* k independent rows without these suspects': what is verified, then the others as they came. So when more come later, what could be
 * built before is built the same again, and need not be tried again. */
static bool span(struct generation *g, struct generation_choice *c, uint64_t without, void *scratch)
{
    unsigned k = g->shape.k, n, left = 0;
    struct rlnc_rank rank;

    for (unsigned i = 0; i < g->dropped_count; i++)
        left += !(g->dropped[i].mask & without);
    if (coded_bits_count(&g->have) + left < k)
        return false;
    c->is_cut = c->spans_max && c->spans >= c->spans_max;
    if (c->is_cut)
        return false;
    c->spans++;
    rlnc_rank_init(&rank, k, (uint8_t *)scratch + rlnc_decode_bytes(RLNC_K_MAX));
    n = generation_verified_rows(g, c->rows, &rank);
    c->mask = 0;
    for (unsigned i = 0; i < g->dropped_count && n < k; i++)
        if (!(g->dropped[i].mask & without) && rlnc_rank_add(&rank, g->dropped[i].coefs)) {
            c->rows[n++] = generation_coded_row(g, &g->dropped[i]);
            c->mask |= g->dropped[i].mask;
        }
    return n == k;
}

static uint64_t all_hit(const struct generation_doubt *d)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < d->suspect_count; i++)
        mask |= (uint64_t)(d->suspects[i].hits > 0) << i;
    return mask;
}

/* Who was in most that failed, but for those of `looked`; suspect_count: nobody left. */
static unsigned worst(const struct generation_doubt *d, uint64_t looked)
{
    unsigned at = d->suspect_count;

    for (unsigned i = 0; i < d->suspect_count; i++)
        if (!(looked >> i & 1) && (at == d->suspect_count || d->suspects[i].hits > d->suspects[at].hits))
            at = i;
    return at;
}

static bool next_single(struct generation *g, struct generation_choice *c, void *scratch)
{
    struct generation_doubt *d = g->doubt;
    unsigned i;

    while (!c->is_cut && (i = worst(d, c->looked)) < d->suspect_count) {
        c->looked |= 1ull << i;
        if ((d->suspects[i].tried | d->barren) >> i & 1)
            continue;
        if (span(g, c, 1ull << i, scratch)) {
            d->suspects[i].tried |= 1ull << i;
            return true;
        }
        d->barren |= (uint64_t)!c->is_cut << i;
    }
    return false;
}

/* Two of those who were in most that failed. */
static bool next_pair(struct generation *g, struct generation_choice *c, void *scratch)
{
    struct generation_doubt *d = g->doubt;

    if (!c->is_paired) {
        uint64_t looked = 0;

        c->is_paired = true;
        for (unsigned i; c->ntop < sizeof(c->top) && (i = worst(d, looked)) < d->suspect_count; looked |= 1ull << i)
            c->top[c->ntop++] = (uint8_t)i;
    }
    for (; c->b < c->ntop; c->a = 0, c->b++)
        while (c->a < c->b && !c->is_cut) {
            unsigned i = c->top[c->a++], j = c->top[c->b];

            if (!(d->suspects[i].tried >> j & 1) && span(g, c, 1ull << i | 1ull << j, scratch)) {
                d->suspects[i].tried |= 1ull << j;
                d->suspects[j].tried |= 1ull << i;
                return true;
            }
        }
    return false;
}

void generation_doubt_allow(struct generation *g, uint64_t now)
{
    struct generation_doubt *d = g->doubt;

    if (!d || now - d->since_ns < 1000000000ull)
        return;
    d->since_ns = now;
    d->tries = 0;
}

bool generation_doubt_next(struct generation *g, struct generation_choice *c, void *scratch)
{
    struct generation_doubt *d = g->doubt;

    if (!generation_is_in_doubt(g) || rlnc_rank_is_full(&g->rank))
        return false;
    c->is_cut = d->tries >= GENERATION_TRIES_MAX;
    if (c->is_cut)
        return false;
    if (d->verified != coded_bits_count(&g->have)) { /* other rows are needed now */
        d->verified = coded_bits_count(&g->have);
        try_all_again(d);
    }
    d->tries++;
    if (!c->is_rest_looked) {
        c->is_rest_looked = true;
        if (!d->is_rest_tried && span(g, c, all_hit(d), scratch)) {
            d->is_rest_tried = true;
            return true;
        }
    }
    if (next_single(g, c, scratch) || (!c->is_cut && next_pair(g, c, scratch)))
        return true;
    d->tries--; /* nothing to try costs none */
    return false;
}

bool generation_doubt_test(struct generation *g, struct generation_choice *c, uint8_t *out, void *scratch)
{
    unsigned index = 0;

    while (coded_bits_has(&g->have, index))
        index++;
    if (!rlnc_decode_one(&g->work, c->rows, g->shape.k, index, out, scratch) &&
        generation_is_genuine(g, index, slice_of(out, rlnc_shape_length(&g->work, index))))
        return true;
    hold_against(g->doubt, c->mask);
    return false;
}

int generation_doubt_decode(struct generation *g, struct generation_choice *c, struct buf *payload, void *scratch)
{
    if (generation_take(g, c->rows, payload, scratch))
        return 0;
    hold_against(g->doubt, c->mask);
    return -GENERATION_E_FORGED;
}
