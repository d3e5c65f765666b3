/* test_coded_pollution.c: one of the six mesh peers of every node forges: the honest deliver everything, forgers are named by all who have to
 * do with them, nobody else is
 * Usage:   test_coded_pollution [long]: `long` runs more seeds
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

enum { NODES = 28, PERIOD = 7, MESSAGES = 10, SIZE = 60000 };

static struct net net;
static struct maker stranger; /* signs well, for what does not exist */
static const struct generation *told_of; /* the honest message beside which its last one was told */
static unsigned seeds = 1;

static bool is_forger(unsigned i)
{
    return i % PERIOD == 0;
}

/* Everyone is meshed with the three before him and the three after him: of these six one forges, and forgers know only the honest. */
static void open_circle(unsigned k, uint64_t seed)
{
    struct net_config cfg = {.nodes = NODES, .k = k, .mult = 1.5, .threshold = 0.75, .latency_ns = 5 * MS, .gbit_s = 1, .seed = seed,
                             .small_bytes = 1000};

    net_open(&net, &cfg);
    for (unsigned a = 0; a < NODES; a++)
        for (unsigned b = a + 1; b < NODES; b++)
            if (b - a > 3 && a + NODES - b > 3)
                net_part(&net, a, b);
    for (unsigned i = 0; i < NODES; i++)
        net.nodes[i].is_subscribed = true;
    maker_open(&stranger, 9);
}

static void close_circle(void)
{
    net_close(&net);
    maker_close(&stranger);
}

static const struct generation *newest_of(unsigned node)
{
    return CONTAINER_OF(net.nodes[node].c->kept.prev, struct generation, order);
}

/* ---- what a forger says ---- */

static void say_shard(unsigned from, unsigned to, const struct generation *g, struct slice coefs, unsigned rank)
{
    static uint8_t field[1 << 17], bytes[SIZE];
    uint32_t len = coefs.len == 1 ? rlnc_shape_length(&g->shape, coefs.p[0]) : g->shape.shard_bytes;
    struct coded_shard s = {.id = g->id, .coefs = coefs, .payload = slice_of(bytes, len), .rank = (uint8_t)rank};
    struct wr w = wr_of(field, sizeof(field));

    rng_fill(&net.rng, bytes, len);
    wr_slice(&w, buf_slice(g->header));
    coded_shard_put(&w, &s);
    wr_slice(&w, s.payload);
    net_inject(&net, from, to, slice_of(field, w.len));
}

static void forge_source(unsigned from, unsigned to, const struct generation *g)
{
    uint8_t index = (uint8_t)rng_below(&net.rng, g->shape.k);

    say_shard(from, to, g, slice_of(&index, 1), 1);
}

/* Right in its shape, and innovative: it costs the receiver a decoding. */
static void forge_mixture(unsigned from, unsigned to, const struct generation *g)
{
    uint8_t coefs[RLNC_K_MAX];

    rlnc_coefs_random(coefs, g->shape.k, &net.rng);
    say_shard(from, to, g, slice_of(coefs, g->shape.k), g->shape.k - 1u);
}

static void forge_header(unsigned from, unsigned to, const struct generation *g)
{
    struct buf *bent = buf_copy(buf_slice(g->header));

    bent->data[bent->len - 70 - rng_below(&net.rng, 32)] ^= 1; /* a hash, so that the publisher's shards would be called forged */
    net_inject(&net, from, to, buf_slice(bent));
    buf_unref(bent);
}

static void forge_rank(unsigned from, unsigned to, const struct generation *g)
{
    struct coded_have h = {.id = g->id, .rank = (uint8_t)(g->shape.k + 1)};
    uint8_t field[CODED_HEADER_MAX + CODED_SMALL_MAX];
    struct wr w = wr_of(field, sizeof(field));

    wr_slice(&w, buf_slice(g->header));
    coded_have_put(&w, &h, g->shape.k + 2u);
    net_inject(&net, from, to, slice_of(field, w.len));
}

/* A message of its own making that nobody can ever complete: one for all to whom it is told. */
static void forge_message(unsigned from, unsigned to, const struct generation *g)
{
    if (told_of != g || !stranger.header)
        maker_message(&stranger, 4, 8000);
    told_of = g;
    net_inject(&net, from, to, maker_header(&stranger));
    net_inject(&net, from, to, maker_source(&stranger, 1, 4));
    net_inject(&net, from, to, maker_have(&stranger, 4, (struct coded_bits){{0}}));
}

/* Says that it has everything; the tap below keeps back what it would send. */
static void promise(unsigned from, unsigned to, const struct generation *g)
{
    struct coded_have h = {.id = g->id, .rank = (uint8_t)g->shape.k};
    uint8_t field[CODED_HEADER_MAX + CODED_SMALL_MAX];
    struct wr w = wr_of(field, sizeof(field));

    wr_slice(&w, buf_slice(g->header));
    coded_have_put(&w, &h, g->shape.k);
    net_inject(&net, from, to, slice_of(field, w.len));
}

static struct buf *heard[64]; /* what forgers heard of honest shards */
static unsigned heard_count;

static void replay(unsigned from, unsigned to, const struct generation *g)
{
    for (unsigned i = 0; i < 8 && heard_count; i++)
        net_inject(&net, from, to, buf_slice(heard[rng_below(&net.rng, heard_count)]));
}

/* ---- taps ---- */

static bool has_shard(struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (pb_next(&r, &f) > 0)
        if (f.number == CODED_SHARD)
            return true;
    return false;
}

static bool keep_back(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    return !is_forger(from) || !has_shard(frame);
}

static bool record(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    if (is_forger(to) && has_shard(frame) && heard_count < 64)
        heard[heard_count++] = buf_copy(buf_slice(frame));
    return true;
}

/* ---- the runs ---- */

typedef void forge_fn(unsigned from, unsigned to, const struct generation *g);

static void all_forgers(forge_fn *forge, const struct generation *g)
{
    for (unsigned f = 0; f < NODES; f += PERIOD)
        for (unsigned i = 0; i < NODES; i++)
            if (net.linked[i][f])
                forge(f, i, g);
}

static void only_forgers_are_blamed(void)
{
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < NODES; j++)
            if (!is_forger(i) && !is_forger(j))
                assert_int_equal(net.nodes[i].penalized[j], 0);
}

/* Of the honest neighbours of forgers, how many have cut them off, and how many there are. */
static unsigned cut_off(unsigned *all)
{
    unsigned n = 0;

    *all = 0;
    for (unsigned f = 0; f < NODES; f += PERIOD)
        for (unsigned d = 1; d <= 3; d++)
            for (unsigned side = 0; side < 2; side++) {
                unsigned i = (f + (side ? d : NODES - d)) % NODES;
                n += !net.linked[i][f] && net.nodes[i].penalized[f];
                ++*all;
            }
    return n;
}

static void honest_have_all(const char *name, uint64_t seed)
{
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned msg = 0; !is_forger(i) && msg < net.message_count; msg++)
            if (!net.nodes[i].delivered_at[msg])
                fail_msg("%s, seed %lu: node %u lacks message %u", name, (unsigned long)seed, i, msg);
}

/* Ten messages, each polluted before it can have spread. is_named: the lie can be proven, so all must have cut its teller off. */
static void pollute(const char *name, forge_fn *forge, bool (*tap)(struct net *n, unsigned from, unsigned to, struct buf *frame), bool is_named)
{
    for (uint64_t seed = 1; seed <= 4 * seeds; seed++) {
        unsigned all, cut;

        open_circle(seed % 2 ? 4 : 16, seed);
        net.tap = tap;
        for (unsigned msg = 0; msg < MESSAGES; msg++) {
            unsigned publisher = (unsigned)(1 + (msg * 5 + seed) % 6 + PERIOD * (msg % 4));

            net_publish(&net, publisher, SIZE);
            net_run(&net, net.now + (seed + msg) % 4 * 3 * MS); /* at once, or while shards are on their way */
            all_forgers(forge, newest_of(publisher));
            net_run(&net, net.now + 100 * MS);
        }
        for (unsigned f = 0; f < NODES; f += PERIOD)
            net.nodes[f].is_subscribed = false; /* what those get that were cut off is of no account */
        net_run_delivered(&net, net.now + 20 * S);
        cut = cut_off(&all);
        honest_have_all(name, seed);
        only_forgers_are_blamed();
        if (is_named)
            assert_int_equal(cut, all);
        close_circle();
        while (heard_count)
            buf_unref(heard[--heard_count]);
    }
}

static void test_forged_source_shards_are_named_by_all(void **state)
{
    pollute("source", forge_source, NULL, true);
}

static void test_forged_mixtures_are_named_by_all(void **state)
{
    pollute("mixtures", forge_mixture, NULL, true);
}

static void test_forged_headers_are_named_by_all(void **state)
{
    pollute("headers", forge_header, NULL, true);
}

static void test_wrong_ranks_are_named_by_all(void **state)
{
    pollute("ranks", forge_rank, NULL, true);
}

/* Nothing can be proven against these: they must not matter, and must not rub off on anybody. */
static void test_replays_do_not_matter(void **state)
{
    pollute("replays", replay, record, false);
}

static void test_withheld_shards_do_not_matter(void **state)
{
    pollute("withheld", promise, keep_back, false);
}

static void test_messages_without_end_do_not_matter(void **state)
{
    pollute("endless", forge_message, NULL, false);
}

/* What nobody can complete is asked for less and less often: the network's whole traffic for it, in 30 s, is some hundred short RPCs
 * a node. */
static void test_message_without_end_costs_little(void **state)
{
    uint64_t before = 0, after = 0, bytes = 0;

    open_circle(4, 1);
    net_run(&net, net.now + S);
    for (unsigned i = 0; i < NODES; i++)
        before += net.nodes[i].out_rpcs, bytes -= net.nodes[i].out_bytes;
    forge_message(0, 1, NULL);
    net_run(&net, net.now + 40 * S);
    for (unsigned i = 0; i < NODES; i++) {
        after += net.nodes[i].out_rpcs, bytes += net.nodes[i].out_bytes;
        assert_int_equal(net.nodes[i].n.generations_now, 0);
    }
    print_message("a message without end: %.0f RPCs and %.0f bytes a node in its 30 s\n", (double)(after - before) / NODES, (double)bytes / NODES);
    assert_true(after - before < NODES * 600);
    close_circle();
}

/* It would be a way to forge without being named. */
static void test_second_hand_rows_that_nobody_asked_for_are_refused(void **state)
{
    static const uint8_t coefs[4] = {1, 2, 3, 4}, bytes[2000];

    open_circle(4, 1);
    maker_message(&stranger, 4, 8000);
    net_inject(&net, 0, 1, maker_header(&stranger));
    net_inject(&net, 0, 1, maker_shard(&stranger, slice_of(coefs, 4), slice_of(bytes, 2000), 3, CODED_SHARD_SECOND_HAND));
    assert_int_equal(net.nodes[1].n.shards_refused, 1);
    assert_int_equal(net.nodes[1].n.shards_new, 0);
    assert_int_equal(net.nodes[1].penalties, 0);
    close_circle();
}

/* ---- no source shard comes by itself ---- */

static bool is_losing;
static uint64_t first_forged;

/* Of honest nodes every source shard that nobody asked for is lost. */
static bool lose_pushed(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct coded_shard s;
    struct pb_field f;

    while (is_losing && !is_forger(from) && pb_next(&r, &f) > 0)
        if (f.number == CODED_SHARD && !coded_shard_read(f.bytes, &s) && s.coefs.len == 1 && s.hops)
            return false;
    return true;
}

/* Forgers fill the gap with mixtures, enough to reach full rank: each receiver decodes to nonsense, asks for source shards of those who
 * have them, and has the message and its forger two round trips after that, at the publisher's neighbours. */
static void test_without_pushed_source_shards_it_is_decided_in_two_round_trips(void **state)
{
    uint64_t longest = 0;
    unsigned decided = 0;

    for (uint64_t seed = 1; seed <= 6 * seeds; seed++) {
        const struct generation *g;
        unsigned publisher = 3, all, cut;

        open_circle(4, seed);
        net.tap = lose_pushed;
        for (unsigned msg = 0; msg < 4; msg++) { /* how long things take here is known */
            net_publish(&net, publisher + 7 * msg, SIZE);
            net_run(&net, net.now + S);
        }
        is_losing = true;
        net_publish(&net, publisher, SIZE);
        g = newest_of(publisher);
        net_run(&net, net.now + 8 * MS);
        for (unsigned i = 0; i < 6; i++)
            all_forgers(forge_mixture, g);
        first_forged = net.now;
        net_run(&net, net.now + 2 * S);
        is_losing = false;
        for (unsigned i = 0; i < NODES; i++)
            if (net.mesh[publisher][i] && !is_forger(i)) {
                uint64_t took = net.nodes[i].delivered_at[4] - first_forged;

                assert_true(net.nodes[i].delivered_at[4]);
                assert_true(net.nodes[i].n.decode_failed >= 1);
                longest = took > longest ? took : longest;
                decided++;
            }
        for (unsigned f = 0; f < NODES; f += PERIOD)
            net.nodes[f].is_subscribed = false;
        net_run_delivered(&net, net.now + 10 * S);
        honest_have_all("no source shard", seed);
        only_forgers_are_blamed();
        cut = cut_off(&all);
        assert_int_equal(cut, all - 1); /* the publisher has it, and does not look at what comes of it */
        close_circle();
    }
    print_message("no source shard pushed: %u decided, the last %.1f ms after the forged ones came (round trip 10 to 12.5 ms)\n", decided,
                  (double)longest / 1e6);
    assert_true(longest <= 2 * 12500000ull + MS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged_source_shards_are_named_by_all),
        cmocka_unit_test(test_forged_mixtures_are_named_by_all),
        cmocka_unit_test(test_forged_headers_are_named_by_all),
        cmocka_unit_test(test_wrong_ranks_are_named_by_all),
        cmocka_unit_test(test_replays_do_not_matter),
        cmocka_unit_test(test_withheld_shards_do_not_matter),
        cmocka_unit_test(test_messages_without_end_do_not_matter),
        cmocka_unit_test(test_message_without_end_costs_little),
        cmocka_unit_test(test_second_hand_rows_that_nobody_asked_for_are_refused),
        cmocka_unit_test(test_without_pushed_source_shards_it_is_decided_in_two_round_trips),
    };

    if (argc > 1 && !strcmp(argv[1], "long"))
        seeds = 10;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
