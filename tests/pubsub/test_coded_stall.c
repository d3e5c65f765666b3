/* test_coded_stall.c: what traps naive repair: whenever the live, connected nodes together hold rank k, all of them end with the message
 * Usage:   test_coded_stall [long]: `long` runs more seeds
 */
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

static struct net net;
static struct maker m;
static unsigned seeds = 1;

static struct net_config plain(unsigned nodes, unsigned degree, unsigned k)
{
    return (struct net_config){.nodes = nodes, .degree = degree, .k = k, .mult = 1.5, .threshold = 0.75,
                               .latency_ns = 2 * MS, .gbit_s = 1, .seed = 1, .small_bytes = 1000};
}

/* Nobody is connected but to his mesh. */
static void only_mesh(void)
{
    for (unsigned a = 0; a < net.count; a++)
        for (unsigned b = a + 1; b < net.count; b++)
            if (!net.mesh[a][b])
                net_part(&net, a, b);
}

static void must_complete(const char *name, const struct net_config *cfg, uint64_t within_ns)
{
    if (net_run_delivered(&net, net.now + within_ns))
        return;
    for (unsigned i = 0; i < net.count; i++) {
        struct coded_generation_info info[4];
        unsigned n = coded_generations(net.nodes[i].c, info, 4);

        print_message("node %u dead %d: delivered %u wrong %u, rank of the first open %d\n", i, net.nodes[i].is_dead,
                      net.nodes[i].deliveries, net.nodes[i].wrong, n ? info[0].rank : -1);
    }
    fail_msg("%s: n=%u d=%u k=%u mult=%g thr=%g loss=%g seed=%lu: not everything arrived", name, cfg->nodes, cfg->degree, cfg->k,
             cfg->mult, cfg->threshold, cfg->loss, (unsigned long)cfg->seed);
}

static void nobody_is_blamed(void)
{
    for (unsigned i = 0; i < net.count; i++)
        assert_int_equal(net.nodes[i].penalties, 0);
}

/* The rank of all that live nodes hold of the message known as id. */
static unsigned joint_rank(const uint8_t *id, unsigned k)
{
    static uint8_t mem[1 << 17];
    struct rlnc_rank rank;

    assert_true(rlnc_rank_bytes(k) <= sizeof(mem));
    rlnc_rank_init(&rank, k, mem);
    for (unsigned i = 0; i < net.count; i++) {
        const struct generation *g = net.nodes[i].is_dead ? NULL : coded_find(net.nodes[i].c, id);

        for (unsigned j = 0; g && j < k; j++)
            if (coded_bits_has(&g->have, j))
                rlnc_rank_add_source(&rank, j);
        for (unsigned j = 0; g && j < g->coded_count; j++)
            rlnc_rank_add(&rank, g->coded[j].coefs);
    }
    return rank.rank;
}

static const struct generation *newest_of(unsigned node)
{
    return CONTAINER_OF(net.nodes[node].c->kept.prev, struct generation, order);
}

/* ---- every setting ---- */

/* One run: a partial mesh, lost RPCs, a relay that leaves in the middle and another that comes back. */
static void run_setting(const struct net_config *cfg, unsigned messages)
{
    unsigned leaver = 1 + (unsigned)(cfg->seed % (cfg->nodes - 1)), a = (leaver + 2) % cfg->nodes, b = (a + 1) % cfg->nodes;

    net_open(&net, cfg);
    only_mesh();
    for (unsigned i = 0; i < messages; i++) {
        net_publish(&net, 0, 9000 + 1000 * i);
        net_run(&net, net.now + cfg->seed % 7 * MS);
    }
    net_kill(&net, leaver);
    if (a != leaver && b != leaver) {
        net_part(&net, a, b);
        net_run(&net, net.now + 50 * MS);
        net_graft(&net, a, b);
    }
    must_complete("settings", cfg, 25 * S);
    nobody_is_blamed();
    net_close(&net);
}

static void test_every_threshold_and_multiple_delivers(void **state)
{
    static const double thresholds[] = {1e-9, 0.01, 0.25, 0.5, 0.75, 0.9, 0.999, 1}, mults[] = {1e-9, 0.01, 0.3, 0.75, 1, 1.01, 1.5, 2.5, 20};
    static const double losses[] = {0, 0.1, 0.3};
    static const unsigned ks[] = {2, 4, 9, 16, 40};

    for (unsigned i = 0; i < 8 * 9 * seeds; i++) { /* each threshold with each multiple; the rest goes round */
        struct net_config cfg = plain(9, 4, ks[(i / 3 + i) % 5]);

        cfg.threshold = thresholds[i % 8];
        cfg.mult = mults[i / 8 % 9];
        cfg.loss = losses[(i / 8 + i) % 3];
        cfg.seed = i + 1;
        run_setting(&cfg, 3);
    }
}

/* ---- the publisher goes ---- */

/* It dies at any moment after its first shards. What is left decides: rank k together, and everyone ends with the message. */
static void test_publisher_gone_after_its_first_shards(void **state)
{
    unsigned possible = 0, impossible = 0, hidden = 0;

    for (unsigned i = 0; i < 120 * seeds; i++) {
        struct net_config cfg = plain(4 + i % 9, i % 2 ? 3 : 0, i % 3 ? 4 : 12);
        uint8_t id[CODED_ID_BYTES];
        unsigned decoded = 0, rank;

        cfg.seed = i + 1;
        cfg.mult = 1 + i % 5 * 0.5;
        cfg.threshold = i % 7 ? 0.75 : 1;
        net_open(&net, &cfg);
        only_mesh();
        net_part(&net, 0, cfg.nodes / 2); /* a mesh with a gap */
        net_publish(&net, 0, 100000);
        memcpy(id, newest_of(0)->id, sizeof(id));
        net_run(&net, net.now + 2 * MS + i % 13 * 200000);
        net_kill(&net, 0);
        for (unsigned j = 1; j < net.count; j++) {
            const struct generation *g = coded_find(net.nodes[j].c, id);
            decoded += g && generation_is_decoded(g);
        }
        rank = joint_rank(id, newest_of(0)->shape.k);
        if (rank == newest_of(0)->shape.k) {
            possible++;
            hidden += !decoded;
            must_complete("orphaned", &cfg, 25 * S);
        } else {
            impossible++;
        }
        nobody_is_blamed();
        net_close(&net);
    }
    print_message("publisher gone: %u could be completed (%u of them decoded nowhere at that time), %u not\n", possible, hidden, impossible);
    assert_true(hidden >= 20 && impossible >= 10);
}

/* ---- any holdings ---- */

/* Nodes of a random connected graph hold rows of one message, as from a peer that vanished. */
static void hold(unsigned nodes, unsigned k, const uint64_t *source, const unsigned *coded)
{
    for (unsigned i = 0; i < nodes; i++) {
        if (!source[i] && !coded[i])
            continue;
        net_inject(&net, nodes, i, maker_header(&m));
        for (unsigned s = 0; s < k; s++)
            if (source[i] >> s & 1)
                net_inject(&net, nodes, i, maker_source(&m, s, 0));
        for (unsigned s = 0; s < coded[i]; s++)
            net_inject(&net, nodes, i, maker_coded(&m, NULL, 0));
    }
    net_kill(&net, nodes);
}

static void open_holdings(const struct net_config *cfg, unsigned k)
{
    maker_open(&m, 9);
    maker_message(&m, k, 1000 * k);
    net_open(&net, cfg);
    net.messages[0] = buf_ref(m.payload);
    net.sent_at[0] = net.now;
    net.message_count = 1;
}

static void close_holdings(void)
{
    net_close(&net);
    maker_close(&m);
}

/* Two or three nodes in a line, k = 4: who has which source shards. */
static void check_line(const char *name, unsigned nodes, const uint64_t *source, const unsigned *coded)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct net_config cfg = plain(nodes + 1, 0, 4);

        cfg.seed = seed;
        open_holdings(&cfg, 4);
        for (unsigned a = 0; a < nodes; a++)
            for (unsigned b = a + 2; b < nodes; b++)
                net_part(&net, a, b);
        hold(nodes, 4, source, coded);
        must_complete(name, &cfg, 10 * S);
        nobody_is_blamed();
        close_holdings();
    }
}

static void test_equal_ranks_with_different_spans_complete_each_other(void **state)
{
    static const unsigned none[4] = {0}, two[4] = {2, 2}, mixed[4] = {0, 2};

    check_line("halves", 2, (uint64_t[]){3, 12}, none);
    check_line("overlapping", 2, (uint64_t[]){7, 14}, none);
    check_line("half and mixtures", 2, (uint64_t[]){3, 0}, mixed);
    check_line("mixtures", 2, (uint64_t[]){0, 0}, two);
    check_line("three", 3, (uint64_t[]){3, 6, 12}, none);
}

static void test_higher_rank_with_nothing_new_does_not_stall(void **state)
{
    static const unsigned none[4] = {0}, one_far[4] = {0, 0, 1};

    check_line("same span, higher rank next to it", 3, (uint64_t[]){3, 7, 8}, none);
    check_line("the new one is two away", 3, (uint64_t[]){7, 7, 8}, none);
    check_line("the lowest rank has what is missing", 3, (uint64_t[]){14, 14, 1}, none);
    check_line("and has it mixed", 3, (uint64_t[]){14, 14, 0}, one_far);
    check_line("nothing between", 3, (uint64_t[]){7, 0, 8}, none);
}

static void test_any_holdings_of_rank_k_complete_everyone(void **state)
{
    unsigned tried = 0;

    for (unsigned seed = 1; tried < 150 * seeds; seed++) {
        struct rng rng;
        unsigned nodes, k, coded[8] = {0};
        uint64_t source[8] = {0};
        struct net_config cfg;

        rng_init_seeded(&rng, seed);
        nodes = 2 + (unsigned)rng_below(&rng, 6);
        k = 2 + (unsigned)rng_below(&rng, 11);
        cfg = plain(nodes + 1, 0, k);
        cfg.seed = seed;
        cfg.threshold = seed % 3 ? 0.75 : 1;
        cfg.loss = seed % 4 ? 0 : 0.2;
        for (unsigned i = 0; i < nodes; i++) {
            source[i] = rng_below(&rng, 1ull << k) & rng_below(&rng, 1ull << k);
            coded[i] = rng_below(&rng, 2) ? (unsigned)rng_below(&rng, k) : 0;
        }
        open_holdings(&cfg, k);
        for (unsigned a = 0; a < nodes; a++) /* a line and some more */
            for (unsigned b = a + 2; b < nodes; b++)
                if (rng_below(&rng, 3))
                    net_part(&net, a, b);
        hold(nodes, k, source, coded);
        if (joint_rank(m.id, k) == k) {
            tried++;
            must_complete("holdings", &cfg, 25 * S);
            nobody_is_blamed();
        }
        close_holdings();
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_threshold_and_multiple_delivers),
        cmocka_unit_test(test_publisher_gone_after_its_first_shards),
        cmocka_unit_test(test_equal_ranks_with_different_spans_complete_each_other),
        cmocka_unit_test(test_higher_rank_with_nothing_new_does_not_stall),
        cmocka_unit_test(test_any_holdings_of_rank_k_complete_everyone),
    };

    if (argc > 1 && !strcmp(argv[1], "long"))
        seeds = 10;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
