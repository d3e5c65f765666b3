/* coded_repair.c: what is asked for and answered (docs/PROTOCOL.md 7)
 * Note:    what was not pushed is asked for, index by index, of peers that told they have it, each index of one peer. When nobody is
 *          known to have what is missing, peers are asked what they have; when even that leaves a gap, for the unverified
 *          rows that they hold, as received. So rank k among the connected is enough, however it is spread
 */
#include <math.h>

#include "pubsub/coded_int.h"

enum {
    SECOND_HAND_ROUND = 2, /* rounds without progress before unverified rows are asked for */
    HEADER_AGAIN_MS = 200,
    ROWS_SERVED = 6, /* unverified rows sent to one peer, times k: those of its doubt, twice */
    ROW_PAUSES = 4,
    HEADERS_MAX = 16, /* sent again to one peer: a request is short, the header may be 8 KiB */
};
#define ROUND_MAX_NS (2000 * CODED_MS) /* of waits that grow with the rounds */

/* Four deviations are right where nothing gets lost and what is late comes; where much is lost, two. */
static unsigned devs_of(const struct coded *c)
{
    unsigned fewer = c->loss / (CODED_SHARE_ALL / 128); /* a quarter of a deviation for each 1/128 lost */

    return 16 - (fewer < 8 ? fewer : 8);
}

static uint64_t wait_of(const struct coded *c, const struct generation *g, const struct coded_pace *pace)
{
    uint64_t first = coded_pace_wait(pace, devs_of(c)), wait = first << (g->round < 6 ? g->round : 6);

    if (wait < ROUND_MAX_NS)
        return wait;
    return first > ROUND_MAX_NS ? first : ROUND_MAX_NS; /* large shards on slow links take their time */
}

/* Until when l has time for what it was asked; what came of it last counts. */
static uint64_t answer_due(const struct coded *c, const struct generation *g, const struct generation_link *l)
{
    if (!l->asked_ns)
        return TIMER_NEVER;
    return l->asked_ns + (l->is_answering ? 2 * wait_of(c, g, &c->gaps) : wait_of(c, g, &c->answers));
}

/* The same for what it promised. */
static uint64_t promise_due(const struct coded *c, const struct generation *g, const struct generation_link *l)
{
    struct coded_bits open = coded_bits_minus(l->promised, g->have);

    return coded_bits_is_empty(&open) ? TIMER_NEVER : l->promised_ns + wait_of(c, g, &c->answers);
}

static uint64_t next_due(const struct coded *c, const struct generation *g)
{
    uint64_t at = TIMER_NEVER;

    for (unsigned i = 0; i < g->link_count; i++) {
        uint64_t answer = answer_due(c, g, &g->links[i]), promise = promise_due(c, g, &g->links[i]);

        at = answer < at ? answer : at;
        at = promise < at ? promise : at;
    }
    return at;
}

void coded_repair_arm(struct coded *c, struct generation *g, uint64_t now)
{
    uint64_t at;

    if (generation_is_decoded(g))
        return;
    at = next_due(c, g);
    if (at == TIMER_NEVER)
        at = now + wait_of(c, g, &c->arrivals); /* also when a peer just told something: rounds that bring nothing become rare */
    if (at < g->repair_at_ns) {
        g->repair_at_ns = at;
        coded_reschedule(c, g);
    }
}

static void forget_overdue(struct coded *c, struct generation *g, uint64_t now)
{
    for (unsigned i = 0; i < g->link_count; i++) {
        struct generation_link *l = &g->links[i];

        if (promise_due(c, g, l) <= now) {
            l->is_failing |= !l->has_kept; /* its promises count no more */
            l->lost = coded_bits_or(l->lost, l->promised);
            l->promised = (struct coded_bits){{0}};
        }
        if (answer_due(c, g, l) <= now) {
            l->asked = (struct coded_bits){{0}};
            l->failed += l->failed < UINT8_MAX;
            l->asked_ns = 0;
        }
    }
}

static struct coded_bits helps_with(const struct generation_link *l, struct coded_bits left)
{
    return l->is_done ? left : coded_bits_and(l->has, left);
}

/* Links that can help, those that failed least first, else in random order. Returns how many of the first sort have the
 * whole message: one that claims so and does not answer must not be given a share again and again. */
static unsigned candidates(struct coded *c, const struct generation *g, struct coded_bits left, uint8_t *order, unsigned *n)
{
    unsigned start = g->link_count ? (unsigned)rng_below(c->host.rng, g->link_count) : 0, width = 0;

    *n = 0;
    for (unsigned i = 0; i < g->link_count; i++) {
        uint8_t at = (uint8_t)((start + i) % g->link_count);
        const struct generation_link *l = &g->links[at];
        struct coded_bits help = helps_with(l, left);
        unsigned j = *n;

        /* What the publisher pushes is on its way at first; not when forged shards were here before it. */
        if (l->asked_ns || coded_bits_is_empty(&help) || (g->round == 0 && !g->failures && coded_is_publisher(c, g, l->peer)))
            continue;
        for (; j > 0 && g->links[order[j - 1]].failed > l->failed; j--)
            order[j] = order[j - 1];
        order[j] = at;
        ++*n;
    }
    while (width < *n && g->links[order[width]].failed == g->links[order[0]].failed)
        width++;
    for (unsigned i = width; i-- > 0;)
        width -= !g->links[order[i]].is_done;
    return width;
}

static bool ask_known(struct coded *c, struct generation *g, struct coded_bits left, unsigned need, uint64_t now)
{
    uint8_t order[GENERATION_LINKS_MAX];
    unsigned n, width = candidates(c, g, left, order, &n);
    bool asked = false;

    width = width < CODED_ASK_WIDTH ? width : CODED_ASK_WIDTH;
    for (unsigned i = 0; i < n && need; i++) {
        struct generation_link *l = &g->links[order[i]];
        unsigned share = l->is_done && width > 1 ? (need + width - 1) / width : need;
        struct coded_bits give = coded_pull_some(c, g, helps_with(l, left), share);
        unsigned got = coded_bits_count(&give);

        if (!got)
            continue;
        width -= l->is_done && width > 1;
        coded_pull_ask(c, g, l, give, now);
        left = coded_bits_minus(left, give);
        need -= got < need ? got : need;
        asked = true;
    }
    return asked;
}

/* Asks for rows that their holders could not verify either. */
static bool ask_second_hand(struct coded *c, struct generation *g, unsigned need, uint64_t now)
{
    bool asked = false;

    for (unsigned i = 0; i < g->link_count; i++) {
        struct generation_link *l = &g->links[i];
        struct coded_want w = {.id = g->id, .verified = g->have, .rank = (uint8_t)generation_rank(g), .count = (uint8_t)need,
                               .flags = CODED_WANT_SECOND_HAND};

        if (l->asked_ns || l->rank <= coded_bits_count(&l->has))
            continue;
        l->asked_ns = now;
        l->is_answering = false;
        l->is_row_asked = true;
        coded_pull_send(c, l, &w, g->shape.k);
        asked = true;
    }
    return asked;
}

/* "What do you have?" to mesh and other subscribers. */
static void probe(struct coded *c, struct generation *g)
{
    pubsub_peer peers[CODED_PROBE_WIDTH];
    unsigned n = coded_some_peers(c, g->topic, peers, CODED_PROBE_WIDTH);
    struct coded_want w = {.id = g->id, .verified = g->have, .rank = (uint8_t)generation_rank(g)};

    for (unsigned i = 0; i < n; i++) {
        struct generation_link *l = generation_link(g, peers[i], true);

        if (l)
            coded_pull_send(c, l, &w, g->shape.k);
    }
}

void coded_repair_run(struct coded *c, struct generation *g, uint64_t now)
{
    struct coded_bits left;
    unsigned need;

    g->repair_at_ns = TIMER_NEVER;
    forget_overdue(c, g, now);
    left = coded_pull_left(g, &need);
    if (need == 0 && next_due(c, g) != TIMER_NEVER) { /* all is under way, and has time */
        g->repair_at_ns = next_due(c, g);
        coded_reschedule(c, g);
        return;
    }
    if (need && !ask_known(c, g, left, need, now)) {
        bool asked = g->round >= SECOND_HAND_ROUND && ask_second_hand(c, g, need, now);

        if (!asked || g->round % 2 == 0)
            probe(c, g);
    }
    g->repair_at_ns = next_due(c, g);
    if (g->repair_at_ns == TIMER_NEVER)
        g->repair_at_ns = now + wait_of(c, g, &c->answers);
    g->round += g->round < UINT8_MAX;
    coded_reschedule(c, g);
}

/* Nobody's promises count from here on: one shard that comes twice costs less than another wait. */
void coded_repair_forged(struct coded *c, struct generation *g, uint64_t now)
{
    for (unsigned i = 0; i < g->link_count; i++) {
        g->links[i].promised = (struct coded_bits){{0}};
        g->links[i].is_failing = true;
    }
    g->round = 0;
    coded_repair_run(c, g, now);
}

void coded_ask_header(struct coded *c, struct coded_peer *peer, const uint8_t *id, uint64_t now)
{
    struct coded_spoken *s = &c->spoken[(id[0] ^ id[1] << 3) % CODED_SPOKEN_MAX];
    struct coded_want w = {.id = id, .flags = CODED_WANT_HEADER};
    struct coded_body b;

    if (now - peer->asks_since_ns >= 1000 * CODED_MS) {
        peer->asks_since_ns = now;
        peer->asks = 0;
    }
    if (peer->asks >= CODED_ASKS_PER_SECOND ||
        (s->asked_ns && now - s->asked_ns < HEADER_AGAIN_MS * CODED_MS && !memcmp(s->id, id, CODED_ID_BYTES)))
        return;
    peer->asks++;
    memcpy(s->id, id, CODED_ID_BYTES);
    s->asked_ns = now;
    coded_body_init(&b);
    coded_want_put(&b.w, &w, 0);
    coded_body_send(c, &b, peer->p);
}

/* The link's peer told its state. False: it told nonsense, and is gone perhaps. */
static bool hear(struct coded *c, struct generation *g, struct generation_link *l, unsigned rank, struct coded_bits has,
                 uint64_t now)
{
    unsigned k = g->shape.k;

    has = coded_bits_and(has, coded_bits_all(k));
    if (rank > k || coded_bits_count(&has) > rank) {
        c->host.penalize(c->host.core, l->peer, INFINITY, "coded: rank does not fit the generation");
        return false;
    }
    l->rank = (uint8_t)rank;
    l->has = rank == k ? coded_bits_all(k) : has;
    l->is_done |= rank == k;
    l->heard_ns = now;
    return true;
}

static void tell(struct coded *c, const struct generation *g, struct generation_link *l)
{
    struct coded_body b;

    coded_body_init(&b);
    coded_body_header(&b, g, l);
    coded_body_have(&b, g, l);
    coded_body_send(c, &b, l->peer);
}

/* It was asked for something that it does not have (any more): ask others now. */
static void give_up_on(struct generation *g, struct generation_link *l, uint64_t now)
{
    struct coded_bits lacks = coded_bits_minus(l->asked, l->has);

    if (!l->asked_ns || l->is_done || (coded_bits_is_empty(&lacks) && !coded_bits_is_empty(&l->asked)))
        return;
    l->asked_ns = 0;
    l->asked = (struct coded_bits){{0}};
    if (l->failed == 0)
        g->repair_at_ns = now; /* once: one that tells this again and again must not make us spin */
    l->failed += l->failed < UINT8_MAX;
}

static void take_promise(const struct generation *g, struct generation_link *l, struct coded_bits sending, uint64_t now)
{
    /* What was promised once and did not come is not waited for again. */
    sending = coded_bits_minus(coded_bits_minus(sending, g->have), l->lost);
    if (l->is_failing || coded_bits_is_empty(&sending))
        return;
    if (coded_bits_is_empty(&l->promised))
        l->promised_ns = now;
    l->promised_before = l->promised;
    l->promised = coded_bits_or(l->promised, sending);
}

void coded_on_have(struct coded *c, pubsub_peer p, struct slice content, uint64_t now)
{
    struct coded_peer *peer = coded_peer_find(c, p);
    struct generation_link *l;
    struct generation *g;
    struct coded_have h;
    int err = coded_have_read(content, &h);

    if (err) {
        c->host.penalize(c->host.core, p, 1, coded_err_name(err));
        return;
    }
    g = coded_find(c, h.id);
    if (!g) {
        if (h.rank && !coded_is_done(c, h.id, now))
            coded_ask_header(c, peer, h.id, now);
        return;
    }
    if (h.rank == g->shape.k && generation_is_settled(g, p))
        return; /* nothing new */
    l = generation_link(g, p, true);
    if (!l || !hear(c, g, l, h.rank, h.verified, now))
        return;
    l->has_header = true;
    if (generation_is_decoded(g)) {
        if (l->told_rank < g->shape.k) /* also one that has it: it need not tell us again */
            tell(c, g, l);
        return;
    }
    l->coming = h.coming;
    take_promise(g, l, h.sending, now);
    give_up_on(g, l, now);
    coded_pull(c, g, now);
    if (g->failures) { /* time was lost to a forger: all that it has is asked for, not a share */
        unsigned need;
        struct coded_bits left = coded_pull_left(g, &need);

        if (need)
            ask_known(c, g, left, need, now);
    }
    coded_repair_arm(c, g, now);
    coded_reschedule(c, g);
}

/* Of the n rows those that come after what l was sent last. */
static unsigned send_rows_of(struct coded *c, const struct generation *g, struct generation_link *l, const struct generation_row *rows,
                             unsigned n, unsigned left)
{
    for (unsigned i = 0; i < n && left; i++)
        if (rows[i].number > l->row_at) {
            l->row_at = rows[i].number;
            coded_send_second_hand(c, g, l, &rows[i]);
            left--;
        }
    return left;
}

/* Unverified rows as they came, each once. Who has been sent all and asks on may have lost some: now and then it begins again. */
static void send_rows(struct coded *c, struct generation *g, struct generation_link *l, unsigned n)
{
    unsigned before = l->rows_sent, most = ROWS_SERVED * g->shape.k + 16;

    if (before + n > most)
        n = before < most ? most - before : 0;
    n = send_rows_of(c, g, l, g->coded, g->coded_count, n);
    send_rows_of(c, g, l, g->dropped, g->dropped_count, n);
    if (l->rows_sent == before && ++l->row_pauses % ROW_PAUSES == 0)
        l->row_at = 0;
}

static void serve(struct coded *c, struct generation *g, struct generation_link *l, const struct coded_want *w)
{
    unsigned k = g->shape.k, limit = 4 * k + 16, left = w->count, it = 0, index, before = l->served + l->rows_sent;
    struct coded_bits give = coded_bits_minus(coded_bits_minus(g->have, w->verified), w->skip);
    unsigned start = (unsigned)rng_below(c->host.rng, k);
    struct coded_bits more = coded_bits_minus(g->have, w->verified);

    if (l->served + left > limit)
        left = l->served < limit ? limit - l->served : 0;
    while (left && coded_bits_next(&give, k, start, &it, &index)) {
        coded_send_source(c, g, l, index, 0, (struct slice){0});
        left--;
    }
    if (left && !(w->flags & CODED_WANT_SOURCE_ONLY) && !coded_bits_is_empty(&more) &&
        (generation_is_decoded(g) || g->is_gate_open)) {
        unsigned most = coded_bits_count(&more) - (l->served + l->rows_sent - before); /* beyond what was just sent */

        coded_send_mixed(c, g, l, left < most ? left : most);
    }
    if (w->flags & CODED_WANT_SECOND_HAND)
        send_rows(c, g, l, w->count - (l->served + l->rows_sent - before));
    c->host.counters->repairs_served += l->served + l->rows_sent - before;
    if (l->served + l->rows_sent == before)
        tell(c, g, l);
}

void coded_on_want(struct coded *c, pubsub_peer p, struct slice content, uint64_t now)
{
    struct coded_peer *peer = coded_peer_find(c, p);
    struct generation_link *l;
    struct generation *g;
    struct coded_want w;
    int err = coded_want_read(content, &w);

    if (err) {
        c->host.penalize(c->host.core, p, 1, coded_err_name(err));
        return;
    }
    g = coded_find(c, w.id);
    if (!g) {
        /* It knows a message that we do not. */
        if (!(w.flags & CODED_WANT_HEADER) && !coded_is_done(c, w.id, now))
            coded_ask_header(c, peer, w.id, now);
        return;
    }
    l = generation_link(g, p, true);
    if (!l || !hear(c, g, l, w.rank, w.verified, now))
        return;
    l->has_header = !(w.flags & CODED_WANT_HEADER) || l->headers >= HEADERS_MAX;
    l->headers += !l->has_header;
    l->sent = w.skip; /* anything else that we thought under way to it has been lost, or it would not ask */
    if (w.count == 0 || coded_is_slow(c, p))
        tell(c, g, l);
    else
        serve(c, g, l, &w);
    if (!generation_is_decoded(g))
        coded_repair_arm(c, g, now);
}
