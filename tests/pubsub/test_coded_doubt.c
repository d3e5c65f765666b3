/* test_coded_doubt.c: the publisher is gone, nobody has all source shards, and one of the holders forges: what the honest hold together
 * still completes them, and the forger is named
 * Usage:   test_coded_doubt [long]: `long` runs more seeds
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/coded_int.h"
#include "pubsub/coded_maker.h"
#include "pubsub/coded_net.h"

#define MS 1000000ull
#define S  1000000000ull

enum { HONEST_MAX = 8, SHARD = 1000 };

static struct net net;
static struct maker m;
static unsigned seeds = 1;
static unsigned named; /* times that the forger was */

/* Nodes 0..honest-1; then the forger; then who gave them what they hold, and vanished. */
struct scene {
    unsigned honest, k, per_node, forged;
    uint64_t seed;
    bool is_full;         /* all meshed with all; else a line and some more, the forger next to some */
    bool is_first_hand;   /* the forger vouches for its rows; else it only answers with them, as somebody else's */
    double loss;
};

static unsigned forger_of(const struct scene *s)
{
    return s->honest;
}

static void wire(const struct scene *s)
{
    unsigned f = forger_of(s);

    for (unsigned a = 0; a < f && !s->is_full; a++) {
        for (unsigned b = a + 2; b < f; b++)
            if (rng_below(&net.rng, 3))
                net_part(&net, a, b);
        if (a && rng_below(&net.rng, 2))
            net_part(&net, a, f);
    }
}

/* The rank that the honest hold together. */
static unsigned honest_rank(const struct scene *s)
{
    static uint8_t mem[1 << 16];
    struct rlnc_rank rank;

    assert_true(rlnc_rank_bytes(s->k) <= sizeof(mem));
    rlnc_rank_init(&rank, s->k, mem);
    for (unsigned i = 0; i < s->honest; i++) {
        const struct generation *g = coded_find(net.nodes[i].c, m.id);

        for (unsigned j = 0; g && j < s->k; j++)
            if (coded_bits_has(&g->have, j))
                rlnc_rank_add_source(&rank, j);
        for (unsigned j = 0; g && j < g->coded_count; j++)
            rlnc_rank_add(&rank, g->coded[j].coefs);
    }
    return rank.rank;
}

/* Right in form, wrong in content. */
static struct slice forged(const struct scene *s)
{
    uint8_t coefs[RLNC_K_MAX], bytes[SHARD];

    rlnc_coefs_random(coefs, s->k, &net.rng);
    rng_fill(&net.rng, bytes, sizeof(bytes));
    return maker_shard(&m, slice_of(coefs, s->k), slice_of(bytes, SHARD), s->k - 1u, 0);
}

static void hold(const struct scene *s)
{
    unsigned gone = s->honest + 1;

    for (unsigned i = 0; i <= s->honest; i++) {
        net_inject(&net, gone, i, maker_header(&m));
        for (unsigned j = 0; i < s->honest && j < s->per_node; j++)
            net_inject(&net, gone, i, rng_below(&net.rng, 4) ? maker_coded(&m, NULL, 0)
                                                             : maker_source(&m, (unsigned)rng_below(&net.rng, s->k / 2), 0));
        for (unsigned j = 0; i == s->honest && j < s->forged && j + 1 < s->k; j++)
            net_inject(&net, gone, i, forged(s));
    }
    net_kill(&net, gone);
}

/* The forger sends its neighbours what it vouches for; returns to how many. */
static unsigned forge(const struct scene *s, bool *was_told)
{
    unsigned f = forger_of(s), n = 0;

    for (unsigned i = 0; i < f; i++) {
        bool is_open = net.linked[i][f] && !net.nodes[i].deliveries;

        for (unsigned j = 0; is_open && j < s->forged; j++)
            net_inject(&net, f, i, forged(s));
        was_told[i] |= is_open;
        n += is_open;
    }
    return n;
}

static bool honest_have_it(const struct scene *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->honest; i++)
        n += net.nodes[i].delivered_at[0] != 0;
    return n == s->honest;
}

/* False: the honest did not hold enough, there was nothing to see. */
static bool run(const struct scene *s, uint64_t *longest, uint64_t *tries)
{
    struct net_config cfg = {.nodes = s->honest + 2, .k = s->k, .mult = 1.5, .threshold = 0.75, .latency_ns = 2 * MS, .gbit_s = 1,
                             .seed = s->seed, .small_bytes = 1000, .loss = s->loss};
    bool was_told[HONEST_MAX] = {false};
    uint64_t start;
    bool is_enough;

    maker_open(&m, 9);
    maker_message(&m, s->k, SHARD * s->k);
    net_open(&net, &cfg);
    net.messages[0] = buf_ref(m.payload);
    net.sent_at[0] = net.now;
    net.message_count = 1;
    wire(s);
    hold(s);
    is_enough = honest_rank(s) == s->k;
    start = net.now;
    for (unsigned t = 0; is_enough && t < 50 && !honest_have_it(s); t++) {
        if (s->is_first_hand && t < 3)
            forge(s, was_told);
        net_run(&net, net.now + 500 * MS);
    }
    for (unsigned i = 0; is_enough && i < s->honest; i++) {
        const struct net_node *me = &net.nodes[i];

        if (!me->delivered_at[0])
            fail_msg("%u honest, k %u, %u rows each, %u forged, full %d, first-hand %d, loss %.1f, seed %lu: node %u lacks it (tries %lu)",
                     s->honest, s->k, s->per_node, s->forged, s->is_full, s->is_first_hand, s->loss, (unsigned long)s->seed, i,
                     (unsigned long)me->n.doubt_tries);
        *longest = me->delivered_at[0] - start > *longest ? me->delivered_at[0] - start : *longest;
        *tries = me->n.doubt_tries > *tries ? me->n.doubt_tries : *tries;
        assert_int_equal(me->wrong, 0);
        for (unsigned j = 0; j < s->honest; j++)
            assert_int_equal(me->penalized[j], 0);
        if (was_told[i] && me->n.decode_failed) { /* else it decoded without a look at what it was told */
            named++;
            assert_true(me->forged[forger_of(s)]);
            assert_false(net.linked[i][forger_of(s)]);
        }
    }
    net_close(&net);
    maker_close(&m);
    return is_enough;
}

static void run_scenes(const char *name, bool is_full, bool is_first_hand, double loss)
{
    unsigned seen = 0;
    uint64_t longest = 0, tries = 0;

    for (uint64_t seed = 1; seen < 25 * seeds; seed++) {
        struct rng rng;
        struct scene s = {.seed = seed, .is_full = is_full, .is_first_hand = is_first_hand, .loss = loss};

        rng_init_seeded(&rng, seed);
        s.honest = 3 + (unsigned)rng_below(&rng, HONEST_MAX - 2);
        s.k = 4 + (unsigned)rng_below(&rng, 9);
        s.per_node = (s.k + s.honest - 1) / s.honest + (unsigned)rng_below(&rng, 2);
        s.forged = 1 + (unsigned)rng_below(&rng, s.k);
        seen += run(&s, &longest, &tries);
    }
    print_message("%s: %u messages, the last node after %.1f s, at most %lu tries a node\n", name, seen, (double)longest / 1e9,
                  (unsigned long)tries);
}

static void test_forger_among_the_holders_is_left_out_and_named(void **state)
{
    run_scenes("all meshed", true, true, 0);
    run_scenes("sparse", false, true, 0);
    print_message("the forger was named %u times\n", named);
    assert_true(named >= 150);
}

static void test_forged_rows_that_nobody_vouches_for_do_not_matter(void **state)
{
    run_scenes("all meshed, second-hand", true, false, 0);
    run_scenes("sparse, second-hand", false, false, 0);
}

static void test_doubt_ends_also_when_rows_get_lost(void **state)
{
    run_scenes("sparse, lossy", false, true, 0.1);
}

/* A forger that floods with rows nobody can use costs a bounded number of tries; and the message, when there is one, still comes. */
static void test_flood_of_forged_rows_costs_a_bounded_number_of_tries(void **state)
{
    struct scene s = {.honest = 4, .k = 12, .per_node = 3, .forged = 200, .seed = 3, .is_full = true, .is_first_hand = true};
    uint64_t longest = 0, tries = 0;

    while (!run(&s, &longest, &tries))
        s.seed++;
    print_message("flood: %.1f s, at most %lu tries a node\n", (double)longest / 1e9, (unsigned long)tries);
    assert_in_range(tries, 1, 256);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forger_among_the_holders_is_left_out_and_named),
        cmocka_unit_test(test_forged_rows_that_nobody_vouches_for_do_not_matter),
        cmocka_unit_test(test_doubt_ends_also_when_rows_get_lost),
        cmocka_unit_test(test_flood_of_forged_rows_costs_a_bounded_number_of_tries),
    };

    if (argc > 1 && !strcmp(argv[1], "long"))
        seeds = 10;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
