/* test_coded_hostile.c: coded routers among peers that lie, flood or send nonsense */
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

static struct net net;
static struct maker m;

static struct net_config plain(unsigned nodes, unsigned k)
{
    return (struct net_config){.nodes = nodes, .k = k, .mult = 1.5, .threshold = 0.75, .latency_ns = 50000, .gbit_s = 10,
                               .seed = 1, .small_bytes = 1000};
}

/* Two nodes; 0 is tested, 1 is the peer that we speak for. Node 1's own router hears nothing. */
static bool swallow(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    return false;
}

static void open_pair(unsigned k)
{
    struct net_config cfg = plain(2, k);

    net_open(&net, &cfg);
    net.tap = swallow;
    maker_open(&m, 9);
    maker_message(&m, k, 1000 * k);
}

static void close_pair(void)
{
    net_close(&net);
    maker_close(&m);
}

static void say(struct slice fields)
{
    net_inject(&net, 1, 0, fields);
}

static const struct net_node *me(void)
{
    return &net.nodes[0];
}

static void test_bad_shards_name_the_peer(void **state)
{
    uint8_t index = 1, out_of_range = 4, zero[4] = {0}, coefs[5] = {1, 2, 3, 4, 5}, bytes[2000];
    struct { const char *rule; struct slice coefs; size_t len; unsigned rank; } cases[] = {
        {"coded: shard does not match its hash", slice_of(&index, 1), 1000, 1},
        {"coded: wrong shard length", slice_of(&index, 1), 999, 1},
        {"coded: wrong shard length", slice_of(&index, 1), 1001, 1},
        {"coded: wrong shard length", slice_of(&index, 1), 0, 1},
        {"coded: shard index out of range", slice_of(&out_of_range, 1), 1000, 1},
        {"coded: wrong number of coefficients", slice_of(coefs, 3), 1000, 1},
        {"coded: wrong number of coefficients", slice_of(coefs, 5), 1000, 1},
        {"coded: all coefficients are zero", slice_of(zero, 4), 1000, 1},
        {"coded: wrong shard length", slice_of(coefs, 4), 999, 1},
        {"coded: rank does not fit the generation", slice_of(&index, 1), 1000, 5},
    };

    memset(bytes, 5, sizeof(bytes));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_pair(4);
        say(maker_header(&m));
        say(maker_shard(&m, cases[i].coefs, slice_of(bytes, cases[i].len), cases[i].rank, 0));
        assert_int_equal(me()->penalties, 1);
        assert_int_equal(me()->penalized[1], 1);
        assert_true(isinf(me()->worst_penalty));
        assert_string_equal(me()->rule, cases[i].rule);
        assert_int_equal(me()->n.shards_new, 0);
        assert_int_equal(me()->n.shards_forged, 1);
        close_pair();
    }
}

static void test_bad_headers_name_the_peer(void **state)
{
    for (size_t i = 0; i < 120; i += 3) {
        struct buf *bent;

        open_pair(4);
        bent = buf_copy(maker_header(&m));
        bent->data[bent->len - 1 - i] ^= 0x10; /* the signature, then the hashes */
        say(buf_slice(bent));
        assert_int_equal(me()->penalties, 1);
        assert_true(isinf(me()->worst_penalty));
        assert_int_equal(me()->n.headers_bad, 1);
        assert_int_equal(me()->n.generations_now, 0);
        buf_unref(bent);
        close_pair();
    }
}

static void test_bad_have_and_want_name_the_peer(void **state)
{
    struct coded_bits three = {{7}};
    struct slice says[4];

    for (unsigned i = 0; i < 4; i++) {
        open_pair(4);
        say(maker_header(&m));
        says[0] = maker_have(&m, 5, (struct coded_bits){{0}});
        if (i == 1)
            says[1] = maker_have(&m, 2, three); /* more shards than rank */
        if (i == 2)
            says[2] = maker_want(&m, 5, 1, 0, (struct coded_bits){{0}});
        if (i == 3)
            says[3] = maker_want(&m, 2, 1, 0, three);
        say(says[i]);
        assert_int_equal(me()->penalties, 1);
        assert_string_equal(me()->rule, "coded: rank does not fit the generation");
        close_pair();
    }
}

/* Node `liar` spoils the payload of every shard of one kind that it sends. */
static unsigned liar;
static bool spoils_sources, spoils_mixtures;

static bool spoil(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct coded_shard s;
    struct pb_field f;

    if (from != liar)
        return true;
    while (pb_next(&r, &f) > 0)
        if (f.number == CODED_SHARD && !coded_shard_read(f.bytes, &s) && (s.coefs.len == 1 ? spoils_sources : spoils_mixtures))
            frame->data[frame->len - 1] ^= 1;
    return true;
}

static void only_the_liar_is_blamed(void)
{
    for (unsigned i = 0; i < net.count; i++)
        for (unsigned j = 0; j < net.count; j++)
            if (j != liar)
                assert_int_equal(net.nodes[i].penalized[j], 0);
}

static unsigned blamed(unsigned who)
{
    unsigned n = 0;

    for (unsigned i = 0; i < net.count; i++)
        n += net.nodes[i].penalized[who] != 0;
    return n;
}

static void test_forged_source_shards_are_caught_at_once(void **state)
{
    unsigned caught = 0;

    for (unsigned seed = 1; seed <= 10; seed++) {
        struct net_config cfg = plain(8, 4);

        cfg.seed = seed;
        net_open(&net, &cfg);
        liar = 3;
        spoils_sources = true;
        spoils_mixtures = false;
        net.tap = spoil;
        for (unsigned i = 0; i < 4; i++) {
            net_publish(&net, i == 3 ? 4 : i, 50000);
            net_run(&net, net.now + 20 * MS);
        }
        net_run_delivered(&net, net.now + 10 * S);
        assert_true(net_is_complete(&net));
        only_the_liar_is_blamed();
        caught += blamed(liar) > 0;
        net_close(&net);
    }
    assert_true(caught >= 5); /* in the others it had nothing to pass on */
}

/* The publisher's mixtures are forged: those who use them fail to decode once, get the source shards, and name it. */
static void test_forged_mixtures_are_survived_and_named(void **state)
{
    unsigned named = 0, failed = 0;

    for (unsigned seed = 1; seed <= 20; seed++) {
        struct net_config cfg = plain(6, seed % 2 ? 4 : 16);

        cfg.seed = seed;
        cfg.mult = 2.5;
        net_open(&net, &cfg);
        liar = 0;
        spoils_sources = false;
        spoils_mixtures = true;
        net.tap = spoil;
        net_publish(&net, 0, 50000);
        net_run_delivered(&net, net.now + 10 * S);
        net_run(&net, net.now + 1 * S);
        assert_true(net_is_complete(&net));
        only_the_liar_is_blamed();
        named += blamed(liar);
        for (unsigned i = 0; i < net.count; i++)
            failed += (unsigned)net.nodes[i].n.decode_failed;
        net_close(&net);
    }
    print_message("forged mixtures: %u failed decodings, named %u times\n", failed, named);
    assert_true(failed > 0);
    assert_int_equal(named, failed); /* each victim of one names it once */
}

/* A relay forges what it mixes; everyone else is honest and some links are lossy. */
static void test_forging_relay_does_not_stop_anyone(void **state)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct net_config cfg = plain(10, 8);

        cfg.seed = seed;
        cfg.degree = 4;
        cfg.loss = 0.1;
        net_open(&net, &cfg);
        liar = 5;
        spoils_sources = seed % 2;
        spoils_mixtures = true;
        net.tap = spoil;
        for (unsigned i = 0; i < 5; i++) {
            net_publish(&net, 0, 50000);
            net_run(&net, net.now + 20 * MS);
        }
        net_run_delivered(&net, net.now + 15 * S);
        net.nodes[liar].is_subscribed = false; /* cut off by those who caught it, it may miss some */
        assert_true(net_is_complete(&net));
        only_the_liar_is_blamed();
        net_close(&net);
    }
}

/* Half of the network says that it has the message and never sends a shard of it. */
static bool withhold(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (from % 2 && pb_next(&r, &f) > 0)
        if (f.number == CODED_SHARD)
            return false;
    return true;
}

static void test_empty_promises_cost_little_time(void **state)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct net_config cfg = plain(8, seed % 2 ? 4 : 16);

        cfg.seed = seed;
        cfg.mult = 0.5;
        net_open(&net, &cfg);
        net.tap = withhold;
        for (unsigned i = 0; i < 3; i++) {
            net_publish(&net, 2 * i, 50000);
            assert_true(net_run_delivered(&net, net.now + 2 * S));
        }
        net_close(&net);
    }
}

static void test_header_flood_is_bounded(void **state)
{
    open_pair(4);
    for (unsigned i = 0; i < 700; i++) {
        maker_message(&m, 4, 2000);
        say(maker_header(&m));
    }
    assert_int_equal(me()->n.generations_now, 512);
    assert_int_equal(me()->n.generations_refused, 700 - 512);
    assert_true(me()->n.rows_bytes < 512 * 4128);
    net_run(&net, net.now + 40 * S); /* nothing more comes: given up */
    assert_int_equal(me()->n.generations_now, 0);
    assert_int_equal(me()->n.rows_bytes, 0);
    assert_int_equal(me()->n.generations_expired, 512);
    close_pair();
}

static void test_row_bytes_are_bounded(void **state)
{
    struct net_config cfg = plain(2, 4);
    struct pubsub_counters held;
    uint64_t most = 0;

    net_open(&net, &cfg);
    net.tap = swallow;
    maker_open(&m, 9);
    for (unsigned i = 0; i < 500; i++) { /* three quarters of 400 KB messages, never the rest */
        maker_message(&m, 16, 16 * 25000);
        say(maker_header(&m));
        for (unsigned s = 0; s < 15; s++)
            say(maker_source(&m, s, 15));
        most = me()->n.rows_bytes > most ? me()->n.rows_bytes : most;
    }
    assert_true(most <= 256u << 20);
    assert_true(most > 100u << 20);
    coded_memory(me()->c, &held);
    assert_int_equal(held.rows_bytes_limit, 256u << 20);
    assert_int_equal(held.peer_rows_bytes_limit, 128u << 20);
    assert_in_range(held.peer_rows_bytes_max, 100u << 20, held.peer_rows_bytes_limit);
    assert_in_range(held.undecoded_bytes_max, 15 * 25000, 16 * 25000);
    assert_int_equal(held.undecoded_now, me()->n.generations_now);
    assert_true(me()->n.generations_refused > 0);
    assert_int_equal(me()->penalties, 0);
    close_pair();
}

static void test_oversize_message_is_refused(void **state)
{
    struct net_config cfg = plain(2, 4);

    net_open(&net, &cfg);
    net.tap = swallow;
    maker_open(&m, 9);
    maker_message(&m, 4, (16 << 20) + 1);
    say(maker_header(&m));
    assert_int_equal(me()->n.oversize, 1);
    assert_int_equal(me()->n.generations_now, 0);
    assert_int_equal(me()->penalties, 0);
    close_pair();
}

static void test_wants_are_served_within_a_limit(void **state)
{
    open_pair(4);
    say(maker_header(&m));
    for (unsigned i = 0; i < 4; i++)
        say(maker_source(&m, i, 4));
    assert_int_equal(me()->deliveries, 1);
    for (unsigned i = 0; i < 1000; i++)
        say(maker_want(&m, 0, 255, 0, (struct coded_bits){{0}}));
    assert_true(me()->n.shards_out <= 4 * 4 + 16);
    assert_true(me()->n.shards_out >= 4 * 4);
    close_pair();
}

static void test_unknown_generations_cost_little(void **state)
{
    open_pair(4);
    for (unsigned i = 0; i < 10000; i++) {
        memset(m.id, (int)i, sizeof(m.id));
        memcpy(m.id, &i, sizeof(i));
        say(maker_have(&m, 4, (struct coded_bits){{0}}));
    }
    assert_true(net.nodes[0].out_rpcs < 100); /* headers asked for in one second */
    assert_int_equal(me()->n.generations_now, 0);
    close_pair();
}

static void test_header_is_not_sent_without_end(void **state)
{
    open_pair(255); /* a header of 8 KiB for 30 bytes */
    say(maker_header(&m));
    for (unsigned i = 0; i < 255; i++)
        say(maker_source(&m, i, 255));
    assert_int_equal(me()->deliveries, 1);
    for (unsigned i = 0; i < 20000; i++)
        say(maker_want(&m, 0, 0, CODED_WANT_HEADER, (struct coded_bits){{0}}));
    assert_true(me()->out_bytes < 20 * (uint64_t)m.header->len + 20000 * 64);
    assert_true(me()->out_bytes > 2 * (uint64_t)m.header->len); /* it may well get lost once */
    assert_int_equal(me()->penalties, 0);
    close_pair();
}

static struct coded_have told; /* the last HAVE of node 0 */

static bool note_have(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (from == 0 && pb_next(&r, &f) > 0)
        if (f.number == CODED_HAVE)
            assert_int_equal(coded_have_read(f.bytes, &told), 0);
    return false;
}

static struct buf *no_memory(void *ctx, uint32_t cap)
{
    return NULL;
}

/* All shards are here, but there is no memory to decode them in: we have not the message, and do not say so. */
static void test_full_rank_is_not_told_before_decoding(void **state)
{
    open_pair(4);
    net.tap = note_have;
    net.nodes[0].c->cfg.alloc = no_memory;
    say(maker_header(&m));
    for (unsigned i = 0; i < 4; i++)
        say(maker_source(&m, i, 4));
    say(maker_want(&m, 0, 0, 0, (struct coded_bits){{0}}));
    assert_int_equal(me()->deliveries, 0);
    assert_int_equal(told.rank, 3);
    assert_true(coded_bits_count(&told.verified) <= 3); /* more than the rank would be nonsense */
    net.nodes[0].c->cfg.alloc = NULL;
    net_run(&net, net.now + S);
    assert_int_equal(me()->deliveries, 1);
    assert_int_equal(told.rank, 4);
    close_pair();
}

/* Peers 1 and 2 fill the memory for rows with messages that they never complete. */
static void fill_rows(void)
{
    for (unsigned i = 0; i < 60; i++) {
        maker_message(&m, 4, 40000);
        net_inject(&net, 1 + i % 2, 0, maker_header(&m));
        for (unsigned j = 0; j < 3; j++)
            net_inject(&net, 1 + i % 2, 0, maker_source(&m, j, 3));
    }
    assert_true(me()->n.rows_bytes > (1 << 20) - 100000);
}

static void test_stale_rows_make_room_for_new_ones(void **state)
{
    for (unsigned is_early = 0; is_early < 2; is_early++) {
        struct net_config cfg = plain(4, 4);
        struct maker honest;

        net_open(&net, &cfg);
        net.tap = swallow;
        net.nodes[0].c->cfg.rows_bytes = 1 << 20;
        maker_open(&m, 9);
        maker_open(&honest, 10);
        maker_message(&honest, 4, 100000);
        if (is_early) /* known before, but nothing of it has come yet */
            net_inject(&net, 3, 0, maker_header(&honest));
        fill_rows();
        net_run(&net, net.now + 3 * S);
        net_inject(&net, 3, 0, maker_header(&honest));
        for (unsigned i = 0; i < 4; i++)
            net_inject(&net, 3, 0, maker_source(&honest, i, 4));
        assert_int_equal(me()->deliveries, 1);
        assert_int_equal(me()->penalties, 0);
        maker_close(&honest);
        close_pair();
    }
}

static unsigned nears;

static bool count_nears(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (from == 0 && to == 1 && pb_next(&r, &f) > 0)
        nears += f.number == CODED_NEAR;
    return true;
}

static void test_neighbour_that_comes_back_is_told_ours_again(void **state)
{
    struct net_config cfg = plain(3, 4);

    net_open(&net, &cfg);
    net.tap = count_nears;
    maker_open(&m, 9);
    net_publish(&net, 0, 10000);
    net_run(&net, net.now + S);
    nears = 0;
    net_part(&net, 0, 1);
    net_graft(&net, 0, 1); /* the same mesh as before, but this connection has heard nothing */
    net_run(&net, net.now + S);
    assert_int_equal(nears, 1);
    close_pair();
}

static void test_ignored_fields_are_counted(void **state)
{
    uint8_t bytes[64];
    struct wr w = wr_of(bytes, sizeof(bytes));
    struct coded_near near = {.topic = SLICE_LIT("elsewhere")};

    open_pair(4);
    coded_near_put(&w, &near);
    say(slice_of(bytes, w.len));
    assert_int_equal(me()->n.control_ignored, 1);
    coded_input(net.nodes[0].c, 77, CODED_HEADER, SLICE_LIT(""), NULL, net.now); /* nobody we know */
    assert_int_equal(me()->n.control_ignored, 2);
    assert_int_equal(me()->penalties, 0);
    close_pair();
}

static void test_topics_and_authors_that_are_not_ours_to_take(void **state)
{
    open_pair(4);
    net.nodes[0].is_subscribed = false;
    say(maker_header(&m));
    assert_int_equal(me()->n.generations_now, 0);
    net.nodes[0].is_subscribed = true;
    m.key = net.nodes[0].key; /* a message of our own that we do not know */
    m.self = net.nodes[0].id;
    maker_message(&m, 4, 4000);
    say(maker_header(&m));
    assert_int_equal(me()->n.generations_now, 0);
    assert_int_equal(me()->penalties, 0);
    assert_int_equal(me()->n.control_ignored, 2);
    close_pair();
}

static void test_finished_generation_does_not_come_back(void **state)
{
    open_pair(4);
    for (unsigned round = 0; round < 2; round++) {
        say(maker_header(&m));
        for (unsigned i = 0; i < 4; i++)
            say(maker_source(&m, i, 4));
        assert_int_equal(me()->deliveries, 1);
        net_run(&net, net.now + 40 * S); /* past its keeping, within the memory of ids */
        assert_int_equal(me()->n.kept_bytes, 0);
    }
    assert_int_equal(me()->n.shards_unnecessary, 4);
    close_pair();
}

static void test_order_does_not_matter(void **state)
{
    open_pair(4);
    say(maker_source(&m, 2, 4)); /* before its header: asked for, not kept */
    assert_int_equal(me()->n.shards_refused, 1);
    say(maker_have(&m, 4, (struct coded_bits){{0}}));
    say(maker_coded(&m, NULL, 4));
    say(maker_header(&m));
    say(maker_coded(&m, NULL, 4));
    say(maker_source(&m, 3, 4));
    say(maker_header(&m));
    say(maker_coded(&m, NULL, 4));
    say(maker_source(&m, 0, 4));
    assert_int_equal(me()->deliveries, 1);
    assert_int_equal(me()->wrong, 1); /* nobody published it here, but it was delivered whole */
    close_pair();
}

static void test_garbage_is_refused(void **state)
{
    struct rng rng;

    rng_init_seeded(&rng, 4);
    open_pair(4);
    say(maker_header(&m));
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[100];
        size_t len = rng_below(&rng, sizeof(bytes));
        struct buf *frame;

        rng_fill(&rng, bytes, sizeof(bytes));
        if (i % 2 && len > 18) {
            bytes[0] = 1 << 3 | 2;
            bytes[1] = 16;
            memcpy(bytes + 2, m.id, 16);
        }
        frame = buf_copy(slice_of(bytes, len));
        coded_input(net.nodes[0].c, 2, 98 + i % 9, buf_slice(frame), frame, net.now);
        buf_unref(frame);
        if (!net.linked[0][1])
            net_graft(&net, 0, 1);
    }
    assert_true(me()->penalties > 1000);
    close_pair();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_shards_name_the_peer),
        cmocka_unit_test(test_bad_headers_name_the_peer),
        cmocka_unit_test(test_bad_have_and_want_name_the_peer),
        cmocka_unit_test(test_forged_source_shards_are_caught_at_once),
        cmocka_unit_test(test_forged_mixtures_are_survived_and_named),
        cmocka_unit_test(test_forging_relay_does_not_stop_anyone),
        cmocka_unit_test(test_empty_promises_cost_little_time),
        cmocka_unit_test(test_header_flood_is_bounded),
        cmocka_unit_test(test_row_bytes_are_bounded),
        cmocka_unit_test(test_oversize_message_is_refused),
        cmocka_unit_test(test_wants_are_served_within_a_limit),
        cmocka_unit_test(test_unknown_generations_cost_little),
        cmocka_unit_test(test_header_is_not_sent_without_end),
        cmocka_unit_test(test_full_rank_is_not_told_before_decoding),
        cmocka_unit_test(test_stale_rows_make_room_for_new_ones),
        cmocka_unit_test(test_neighbour_that_comes_back_is_told_ours_again),
        cmocka_unit_test(test_ignored_fields_are_counted),
        cmocka_unit_test(test_topics_and_authors_that_are_not_ours_to_take),
        cmocka_unit_test(test_finished_generation_does_not_come_back),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_garbage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
