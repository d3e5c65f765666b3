/* test_coded.c: networks of coded routers: everything arrives, whatever is lost, gone or slow; figures are printed
 * Usage:   test_coded [long]: `long` runs more seeds
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/coded_maker.h"
#include "pubsub/coded_net.h"

#define MS 1000000ull
#define S  1000000000ull

static struct net net;
static unsigned seeds = 1;

static struct net_config plain(unsigned nodes, unsigned degree, unsigned k)
{
    return (struct net_config){.nodes = nodes, .degree = degree, .k = k, .mult = 1.5, .threshold = 0.75,
                               .latency_ns = 50000, .gbit_s = 10, .seed = 1, .small_bytes = 1000};
}

static unsigned blamed(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < net.count; i++)
        n += net.nodes[i].penalties;
    return n;
}

static void print(const char *name, const struct net_config *cfg)
{
    struct net_report r = net_report(&net);

    print_message("%s: n=%u d=%u k=%u mult=%.1f thr=%.2f loss=%.2f seed=%lu: egress %.2f of needed, p50 %.2f ms, p95 %.2f ms, "
                  "useless shards %.0f %%, asks %lu\n",
                  name, cfg->nodes, cfg->degree, cfg->k, cfg->mult, cfg->threshold, cfg->loss, (unsigned long)cfg->seed,
                  (double)r.out_bytes / (double)(r.needed_bytes ? r.needed_bytes : 1), (double)r.p50_ns / 1e6,
                  (double)r.p95_ns / 1e6, 100.0 * (double)r.shards_useless / (double)(r.shards_new + r.shards_useless + 1),
                  (unsigned long)r.asked);
}

static void must_complete(const char *name, const struct net_config *cfg)
{
    if (!net_run_delivered(&net, net.now + 20 * S)) {
        print(name, cfg);
        for (unsigned i = 0; i < net.count; i++)
            print_message("node %u dead %d: delivered %u wrong %u\n", i, net.nodes[i].is_dead, net.nodes[i].deliveries,
                          net.nodes[i].wrong);
        fail_msg("%s: not everything arrived", name);
    }
    net_run(&net, net.now + 2 * S);
    assert_true(net_is_complete(&net));
    assert_int_equal(blamed(), 0);
}

static void test_network_delivers_at_every_setting(void **state)
{
    static const unsigned ks[] = {4, 16};
    static const double mults[] = {0.5, 1, 1.5, 3}, thresholds[] = {0.01, 0.5, 0.75, 1}, losses[] = {0, 0.05, 0.2};

    for (unsigned i = 0; i < 2 * 4 * 4 * 3 * seeds; i++) {
        struct net_config cfg = plain(10, 4, ks[i % 2]);

        cfg.mult = mults[i / 2 % 4];
        cfg.threshold = thresholds[i / 8 % 4];
        cfg.loss = losses[i / 32 % 3];
        cfg.seed = i + 1;
        net_open(&net, &cfg);
        for (unsigned m = 0; m < 3; m++) {
            net_publish(&net, (m * 3) % net.count, 20000 + m * 7777);
            net_run(&net, net.now + 20 * MS);
        }
        must_complete("settings", &cfg);
        if (i % 7 == 0)
            print("settings", &cfg);
        net_close(&net);
    }
}

static void test_network_takes_every_size_and_k(void **state)
{
    static const unsigned ks[] = {2, 3, 5, 64, 255};
    static const uint32_t sizes[] = {1001, 1024, 4095, 65536, 65537, 1 << 20};

    for (unsigned i = 0; i < 5 * 6; i++) {
        struct net_config cfg = plain(5, 0, ks[i % 5]);

        net_open(&net, &cfg);
        net_publish(&net, 0, sizes[i / 5]);
        must_complete("sizes", &cfg);
        net_close(&net);
    }
}

/* The figures of DESIGN: eight nodes, 1 MB, k = 4: egress at most half more than needed, and quick. */
static void test_dense_network_sends_little_more_than_needed(void **state)
{
    static const unsigned degrees[] = {0, 6, 5};

    for (unsigned d = 0; d < 3; d++) {
        struct net_config cfg = plain(8, degrees[d], 4);
        struct net_report r;

        net_open(&net, &cfg);
        for (unsigned i = 0; i < net.count; i++)
            net.nodes[i].out_bytes = 0;
        for (unsigned m = 0; m < 8; m++) {
            net_publish(&net, m, 1000000);
            net_run(&net, net.now + 50 * MS);
        }
        must_complete("dense", &cfg);
        r = net_report(&net);
        print("dense", &cfg);
        assert_true(r.out_bytes < r.needed_bytes * 3 / 2);
        assert_true(r.p95_ns < 10 * MS);
        net_close(&net);
    }
}

static void test_wide_network_delivers(void **state)
{
    static const unsigned ks[] = {4, 16};

    for (unsigned i = 0; i < 4; i++) {
        struct net_config cfg = plain(40, 6, ks[i % 2]);

        if (i >= 2) {
            cfg.latency_ns = 50 * MS;
            cfg.gbit_s = 1;
        }
        net_open(&net, &cfg);
        for (unsigned j = 0; j < net.count; j++)
            net.nodes[j].out_bytes = 0;
        for (unsigned m = 0; m < 4; m++) {
            net_publish(&net, m, 500000);
            net_run(&net, net.now + 500 * MS);
        }
        must_complete("wide", &cfg);
        print("wide", &cfg);
        net_close(&net);
    }
}

/* The publisher dies when its shards have landed but nobody has the message: what the others hold together is enough. */
static void test_message_survives_its_publisher(void **state)
{
    for (unsigned i = 0; i < 40 * seeds; i++) {
        struct net_config cfg = plain(4 + i % 7, i % 3 ? 0 : 3, i % 2 ? 4 : 16);
        unsigned together = 0, complete = 0;

        cfg.seed = i + 1;
        cfg.mult = 1 + (i % 3) * 0.25; /* never all of them to one peer */
        cfg.latency_ns = 10 * MS; /* its shards land together, long before anyone passes one on */
        net_open(&net, &cfg);
        net_publish(&net, 0, 40000 + i);
        net_run(&net, net.now + 14 * MS);
        net_kill(&net, 0);
        for (unsigned j = 1; j < net.count; j++) {
            struct coded_generation_info info;
            if (coded_generations(net.nodes[j].c, &info, 1)) {
                together += info.rank;
                complete += info.is_decoded;
            }
        }
        assert_int_equal(complete, 0);
        assert_true(together >= cfg.k);
        must_complete("orphaned", &cfg);
        net_close(&net);
    }
}

struct holding {
    unsigned source, coded; /* bit i: source shard i; number of coded ones */
};

/* Hands each node of a line its rows of one message, as from a peer that then vanishes. */
static void check_held_together(unsigned nodes, const struct holding *h)
{
    struct net_config cfg = plain(nodes + 1, 0, 4);
    static struct maker m;

    maker_open(&m, 9);
    maker_message(&m, 4, 4000);
    net_open(&net, &cfg);
    net.messages[0] = buf_ref(m.payload);
    net.sent_at[0] = net.now;
    net.message_count = 1;
    for (unsigned a = 0; a < nodes; a++)
        for (unsigned b = a + 2; b < nodes; b++)
            net_part(&net, a, b);
    for (unsigned i = 0; i < nodes; i++) {
        net_inject(&net, nodes, i, maker_header(&m));
        for (unsigned s = 0; s < 4; s++)
            if (h[i].source >> s & 1)
                net_inject(&net, nodes, i, maker_source(&m, s, 0));
        for (unsigned s = 0; s < h[i].coded; s++)
            net_inject(&net, nodes, i, maker_coded(&m, NULL, 0));
    }
    net_kill(&net, nodes);
    must_complete("held together", &cfg);
    net_close(&net);
    maker_close(&m);
}

static void test_rank_held_together_is_enough(void **state)
{
    check_held_together(2, (struct holding[]){{3, 0}, {12, 0}});            /* equal ranks, different spans */
    check_held_together(2, (struct holding[]){{3, 0}, {0, 2}});             /* one has only unverified rows */
    check_held_together(2, (struct holding[]){{0, 2}, {0, 2}});             /* nobody has a verified row */
    check_held_together(2, (struct holding[]){{7, 0}, {7, 1}});             /* the missing one hides in a coded row */
    check_held_together(3, (struct holding[]){{1, 0}, {2, 1}, {0, 1}});
    check_held_together(4, (struct holding[]){{1, 0}, {2, 0}, {4, 0}, {8, 0}});
    check_held_together(4, (struct holding[]){{0, 1}, {0, 1}, {0, 1}, {0, 1}});
    check_held_together(3, (struct holding[]){{15, 0}, {0, 0}, {0, 0}});
    check_held_together(3, (struct holding[]){{0, 3}, {0, 3}, {0, 3}});
}

static void test_first_message_waits_for_the_first_peer(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        struct net_config cfg = plain(4, 0, 4);

        net_open(&net, &cfg);
        for (unsigned a = 0; a < 4; a++)
            for (unsigned b = a + 1; b < 4; b++)
                net_part(&net, a, b);
        net_publish(&net, 0, 100000);
        net_run(&net, net.now + (i + 1) * S);
        for (unsigned a = 0; a < 3; a++) { /* a line forms */
            net_graft(&net, a, a + 1);
            net_run(&net, net.now + i * 100 * MS);
        }
        must_complete("first", &cfg);
        print("first", &cfg);
        net_close(&net);
    }
}

static void test_message_is_kept_thirty_seconds(void **state)
{
    for (unsigned late = 0; late < 2; late++) {
        struct net_config cfg = plain(3, 0, 4);

        net_open(&net, &cfg);
        net_part(&net, 0, 2);
        net_part(&net, 1, 2);
        net_publish(&net, 0, 100000);
        net_run(&net, net.now + (late ? 31 : 28) * S);
        assert_int_equal(net.nodes[0].n.kept_bytes != 0, !late);
        net_graft(&net, 1, 2);
        net_run(&net, net.now + 1 * S);
        assert_int_equal(net.nodes[2].deliveries, !late);
        net_close(&net);
    }
}

/* With 60 peers each kept message would hold 60 links of 344 bytes. */
static void test_kept_messages_hold_little_of_peers_that_have_them(void **state)
{
    struct net_config cfg = plain(60, 0, 4);
    uint64_t most = 0;

    net_open(&net, &cfg);
    for (unsigned m = 0; m < 4; m++)
        net_publish(&net, m, 20000);
    must_complete("links", &cfg);
    net_run(&net, net.now + 3 * S);
    for (unsigned i = 0; i < net.count; i++)
        most = net.nodes[i].n.kept_bytes > most ? net.nodes[i].n.kept_bytes : most;
    assert_true(most > 4 * 20000);
    assert_true(most < 4 * (20000 + 8 * 1024));
    net_close(&net);
}

static void test_kept_messages_are_bounded_in_bytes(void **state)
{
    struct net_config cfg = plain(2, 0, 4);
    struct coded_generation_info info[64];

    net_open(&net, &cfg);
    for (unsigned m = 0; m < 40; m++) {
        net_publish(&net, 0, 4 << 20);
        net_run(&net, net.now + 20 * MS);
        assert_true(net.nodes[0].n.kept_bytes <= 64u << 20);
        assert_true(net.nodes[1].n.kept_bytes <= 64u << 20);
    }
    assert_true(coded_generations(net.nodes[1].c, info, 64) < 17);
    must_complete("kept", &cfg);
    net_close(&net);
}

/* Links come and go while messages flow; a node dies and another joins. */
static void test_network_survives_churn(void **state)
{
    for (unsigned i = 0; i < 6 * seeds; i++) {
        struct net_config cfg = plain(14, 4, i % 2 ? 4 : 16);

        cfg.seed = 100 + i;
        cfg.loss = i % 3 ? 0.05 : 0;
        net_open(&net, &cfg);
        for (unsigned m = 0; m < 30; m++) {
            unsigned a = (unsigned)rng_below(&net.rng, 13), b = (unsigned)rng_below(&net.rng, 13);

            net_publish(&net, (unsigned)rng_below(&net.rng, 10), 30000);
            net_run(&net, net.now + 5 * MS);
            if (a != b && net.linked[a][b] && rng_below(&net.rng, 2)) {
                net_part(&net, a, b);
                net_run(&net, net.now + 30 * MS);
                net_graft(&net, a, b);
            } else if (a != b && !net.nodes[a].is_dead && !net.nodes[b].is_dead) {
                net_graft(&net, a, b);
            }
            if (m == 15)
                net_kill(&net, 13);
        }
        must_complete("churn", &cfg);
        print("churn", &cfg);
        net_close(&net);
    }
}

static void test_relays_recode_and_trace_it(void **state)
{
    struct net_config cfg = plain(12, 4, 8);
    uint64_t dense = 0, fresh = 0;

    cfg.loss = 0.1;
    net_open(&net, &cfg);
    for (unsigned m = 0; m < 5; m++) {
        net_publish(&net, 0, 80000);
        net_run(&net, net.now + 50 * MS);
    }
    must_complete("traces", &cfg);
    for (unsigned i = 1; i < net.count; i++) {
        dense += net.nodes[i].dense_traces;
        fresh += net.nodes[i].traces[TRACE_NEW_SHARD];
        assert_int_equal(net.nodes[i].traces[TRACE_NEW_SHARD], net.nodes[i].n.shards_new);
        assert_true(net.nodes[i].n.shards_new >= 5 * 8 - 5);
    }
    print_message("traces: %lu new shards, %lu of them mixed\n", (unsigned long)fresh, (unsigned long)dense);
    assert_true(dense > 0);
    net_close(&net);
}

static void test_payload_is_refused_when_it_should_not_be_coded(void **state)
{
    struct net_config cfg = plain(2, 0, 4);
    struct buf *b = buf_new((16 << 20) + 1);
    uint8_t sha[32] = {0};
    char topic[300];

    memset(topic, 'x', sizeof(topic));
    net_open(&net, &cfg);
    b->len = b->cap;
    assert_int_equal(coded_publish(net.nodes[0].c, SLICE_LIT("demo"), b, sha, net.now), -PUBSUB_ESIZE);
    b->len = 1000;
    assert_int_equal(coded_publish(net.nodes[0].c, SLICE_LIT("demo"), b, sha, net.now), -PUBSUB_ESIZE);
    b->len = 1001;
    assert_int_equal(coded_publish(net.nodes[0].c, slice_of(topic, 257), b, sha, net.now), -PUBSUB_ETOPIC);
    assert_int_equal(coded_publish(net.nodes[0].c, slice_of(topic, 0), b, sha, net.now), -PUBSUB_ETOPIC);
    assert_true(coded_is_small(net.nodes[0].c, 1000) && coded_is_small(net.nodes[0].c, 0));
    assert_false(coded_is_small(net.nodes[0].c, 1001));
    buf_unref(b);
    net_close(&net);
    cfg.small_bytes = 0; /* the default, whatever the shard factor */
    net_open(&net, &cfg);
    assert_true(coded_is_small(net.nodes[0].c, 16384) && !coded_is_small(net.nodes[0].c, 16385));
    net_close(&net);
    cfg.k = 255;
    net_open(&net, &cfg);
    assert_true(coded_is_small(net.nodes[0].c, 16384) && !coded_is_small(net.nodes[0].c, 16385));
    net_close(&net);
    cfg.k = 1; /* nothing to code */
    net_open(&net, &cfg);
    assert_true(coded_is_small(net.nodes[0].c, 1 << 20));
    net_close(&net);
}

static void test_shards_are_hashed_as_the_core_cuts_them(void **state)
{
    struct pubsub_config cfg = {.mode = PUBSUB_CODED, .k = 4};
    static uint8_t payload[100000];
    uint8_t out[PUBSUB_HASHES_MAX];

    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, 16384), out), 0); /* goes plain */
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, 16385), out), 3 * 32); /* shards of 8 KiB at least */
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, 32768), out), 4 * 32);
    cfg.k = 255;
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, sizeof(payload)), out), 13 * 32);
    cfg.small_bytes = 100;
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, sizeof(payload)), out), 255 * 32);
    cfg.k = 1;
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, sizeof(payload)), out), 0);
    cfg = (struct pubsub_config){.mode = PUBSUB_GOSSIP, .k = 4};
    assert_int_equal(pubsub_hash_shards(&cfg, slice_of(payload, sizeof(payload)), out), 0);
}

/* Hashes of another cut do no harm: they are made anew. */
static void test_publish_with_foreign_hashes_is_still_right(void **state)
{
    struct net_config cfg = plain(3, 0, 4);
    struct buf *b = buf_new(50000);
    uint8_t wrong[5 * 32] = {1};

    net_open(&net, &cfg);
    b->len = 50000;
    memset(b->data, 7, b->len);
    assert_int_equal(coded_publish_hashed(net.nodes[0].c, SLICE_LIT("demo"), b, slice_of(wrong, sizeof(wrong)), net.now), 0);
    net_run(&net, net.now + 500 * MS);
    assert_int_equal(net.nodes[1].n.shards_forged + net.nodes[2].n.shards_forged, 0);
    assert_true(net.nodes[1].n.shards_new > 0);
    net_close(&net);
}

/* All have it, one gossip span a hub after the publisher's word reached the first hub. */
static void stars_deliver(const struct net_config *cfg, unsigned publisher, uint64_t within_ns)
{
    unsigned reached = 0;

    net_open(&net, cfg);
    net_publish(&net, publisher, 65536);
    net_run_delivered(&net, net.now + within_ns);
    for (unsigned n = 0; n < net.count; n++)
        reached += net.nodes[n].delivered_at[0] != 0;
    print("stars", cfg);
    if (reached != net.count)
        fail_msg("%u hubs, %u in the mesh of each, published at %u: only %u of %u have it", cfg->hubs, cfg->hub_mesh, publisher,
                 reached, net.count);
    assert_int_equal(blamed(), 0);
    net_close(&net);
}

/* A hub and leaves that know only it, most of them outside its mesh: they hear of a message by its gossip alone, and it hears by
 * theirs of what such a leaf publishes. The largest has more leaves than a generation remembers peers. */
static void test_star_delivers_beyond_the_mesh(void **state)
{
    static const struct {
        unsigned nodes, hub_mesh, publisher;
    } stars[] = {{200, 12, 0}, {200, 12, 199}, {300, 0, 299}};

    for (unsigned i = 0; i < sizeof(stars) / sizeof(stars[0]) * seeds; i++) {
        struct net_config cfg = plain(stars[i % 3].nodes, 0, 16);

        cfg.seed = i + 1;
        cfg.hubs = 1;
        cfg.hub_mesh = stars[i % 3].hub_mesh;
        stars_deliver(&cfg, stars[i % 3].publisher, 7 * S);
    }
}

/* Nobody is in anybody's mesh but a few leaves: each hop waits for gossip. Also when words and shards get lost. */
static void test_chain_of_stars_delivers(void **state)
{
    for (unsigned i = 0; i < 2 * seeds; i++) {
        struct net_config cfg = plain(63, 0, 4);

        cfg.seed = i + 1;
        cfg.hubs = 3;
        cfg.hub_mesh = i % 2 * 4;
        cfg.loss = i % 4 == 1 || i % 4 == 2 ? 0.05 : 0;
        stars_deliver(&cfg, 60 + i % 3, cfg.loss > 0 ? 40 * S : 20 * S);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network_delivers_at_every_setting),
        cmocka_unit_test(test_shards_are_hashed_as_the_core_cuts_them),
        cmocka_unit_test(test_publish_with_foreign_hashes_is_still_right),
        cmocka_unit_test(test_network_takes_every_size_and_k),
        cmocka_unit_test(test_dense_network_sends_little_more_than_needed),
        cmocka_unit_test(test_wide_network_delivers),
        cmocka_unit_test(test_star_delivers_beyond_the_mesh),
        cmocka_unit_test(test_chain_of_stars_delivers),
        cmocka_unit_test(test_message_survives_its_publisher),
        cmocka_unit_test(test_rank_held_together_is_enough),
        cmocka_unit_test(test_first_message_waits_for_the_first_peer),
        cmocka_unit_test(test_message_is_kept_thirty_seconds),
        cmocka_unit_test(test_kept_messages_hold_little_of_peers_that_have_them),
        cmocka_unit_test(test_kept_messages_are_bounded_in_bytes),
        cmocka_unit_test(test_network_survives_churn),
        cmocka_unit_test(test_relays_recode_and_trace_it),
        cmocka_unit_test(test_payload_is_refused_when_it_should_not_be_coded),
    };

    if (argc > 1 && !strcmp(argv[1], "long"))
        seeds = 20;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
