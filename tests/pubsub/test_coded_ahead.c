/* test_coded_ahead.c: a message of coded rows alone is solved while its last row is awaited, and only what is right comes of it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/coded_int.h"
#include "pubsub/coded_maker.h"
#include "pubsub/coded_net.h"
#include "pubsub/generation_ahead.h"
#include "pubsub/generation_doubt.h"

enum { K = 64, SHARD = 4096, SIZE = K * SHARD };

static struct net net;
static struct maker m;

/* Node 0 is tested; for 1 and 2 we speak, their own routers hear nothing. */
static bool swallow(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    return false;
}

static int open_scene(void **state)
{
    struct net_config cfg = {.nodes = 3, .k = K, .mult = 1.5, .threshold = 0.75, .latency_ns = 50000, .gbit_s = 10, .seed = 1,
                             .small_bytes = 1000};

    net_open(&net, &cfg);
    net.tap = swallow;
    maker_open(&m, 9);
    maker_message(&m, K, SIZE);
    net.messages[0] = buf_ref(m.payload);
    net.message_count = 1;
    net_inject(&net, 1, 0, maker_header(&m));
    return 0;
}

static int close_scene(void **state)
{
    net_close(&net);
    maker_close(&m);
    return 0;
}

static const struct net_node *me(void)
{
    return &net.nodes[0];
}

static struct generation *message(void)
{
    return coded_find(me()->c, m.id);
}

/* Until the rank is that: with random coefficients one in 255 adds nothing. */
static void give_coded(unsigned rank)
{
    for (unsigned i = 0; i < 3 * K && message()->rank.rank < rank && !generation_is_decoded(message()); i++)
        net_inject(&net, 1, 0, maker_coded(&m, NULL, 0));
}

/* Of source shard 0 alone, but nobody vouches for it. */
static void give_plain_row(unsigned from, bool is_forged)
{
    uint8_t coefs[K] = {1}, bytes[SHARD];

    memcpy(bytes, m.payload->data, SHARD);
    bytes[7] ^= is_forged;
    net_inject(&net, from, 0, maker_shard(&m, slice_of(coefs, K), slice_of(bytes, SHARD), 0, 0));
}

/* Too short for anything else than what waits for the end of a turn. */
static void wait_a_turn(void)
{
    net_run(&net, net.now + 10);
}

static void is_delivered(unsigned ahead)
{
    assert_true(me()->delivered_at[0]);
    assert_int_equal(me()->wrong, 0);
    assert_int_equal(me()->deliveries, 1);
    assert_int_equal(me()->n.decoded, 1);
    assert_int_equal(me()->n.decoded_ahead, ahead);
    assert_int_equal(me()->n.rows_bytes, 0);
    assert_null(message()->ahead);
    assert_int_equal(me()->penalized[2], 0);
}

static void test_last_row_finishes_what_was_solved_ahead(void **state)
{
    uint64_t before;

    give_coded(K - 1);
    before = me()->n.rows_bytes;
    assert_int_equal(me()->n.solved_ahead, 0); /* not before what came with it is taken */
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 1);
    assert_int_equal(me()->n.rows_bytes, before + generation_ahead_bytes(message()));
    assert_int_equal(me()->deliveries, 0);
    give_coded(K);
    is_delivered(1);
    assert_int_equal(me()->n.decode_failed, 0);
}

static void test_last_row_may_be_a_source_shard(void **state)
{
    give_coded(K - 1);
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 1);
    net_inject(&net, 2, 0, maker_source(&m, 5, 0));
    is_delivered(1);
}

static void test_rows_that_come_together_are_decoded_at_once(void **state)
{
    give_coded(K);
    wait_a_turn();
    is_delivered(0);
    assert_int_equal(me()->n.solved_ahead, 0);
}

static void test_few_coded_rows_are_not_worth_it(void **state)
{
    for (unsigned i = 0; i < 20; i++)
        net_inject(&net, 1, 0, maker_source(&m, i, 0));
    give_coded(K - 1);
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 0);
    give_coded(K);
    is_delivered(0);
}

/* The shard takes the place of a coded row, which was forged: what was solved with that must not be used. */
static void test_row_replaced_since_makes_it_worthless(void **state)
{
    give_plain_row(1, true);
    give_coded(K - 1);
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 1);
    assert_non_null(message()->ahead);
    net_inject(&net, 2, 0, maker_source(&m, 0, 0));
    assert_int_equal(me()->n.shards_unhelpful, 1);
    assert_null(message()->ahead);
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 1); /* once */
    give_coded(K);
    is_delivered(0);
    assert_int_equal(me()->n.decode_failed, 0);
}

static void test_forged_row_among_them_is_found_and_named(void **state)
{
    give_plain_row(1, true);
    for (unsigned i = 0; i < 3 * K && message()->rank.rank < K - 1; i++)
        net_inject(&net, 2, 0, maker_coded(&m, NULL, 0));
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 1);
    for (unsigned i = 0; i < K && message()->coded_count; i++)
        net_inject(&net, 2, 0, maker_coded(&m, NULL, 0));
    assert_int_equal(me()->n.decode_failed, 1);
    assert_int_equal(me()->deliveries, 0);
    assert_null(message()->ahead);
    assert_true(generation_is_in_doubt(message()));
    assert_int_equal(message()->rank.rank, 0);
    for (unsigned i = 0; i < K && !generation_is_decoded(message()); i++)
        net_inject(&net, 2, 0, maker_source(&m, i, 0));
    is_delivered(0);
    assert_int_equal(me()->forged[1], 1);
    assert_int_equal(me()->n.solved_ahead, 1);
}

static void test_limits_on_memory_go_first(void **state)
{
    struct coded *c = net.nodes[0].c;

    c->cfg.rows_bytes = 4 * SIZE; /* the rows are a quarter of it */
    give_coded(K - 1);
    wait_a_turn();
    assert_int_equal(me()->n.solved_ahead, 0);
    give_coded(K);
    is_delivered(0);
}

static void test_memory_is_given_back_for_rows(void **state)
{
    struct coded *c = net.nodes[0].c;

    give_coded(K - 1);
    wait_a_turn();
    assert_non_null(message()->ahead);
    c->cfg.rows_bytes = 2 * (me()->n.rows_bytes - generation_ahead_bytes(message()) + SHARD); /* one peer may have the half */
    give_coded(K);
    assert_int_equal(me()->n.shards_refused, 0);
    assert_int_equal(me()->n.solved_ahead, 1);
    is_delivered(0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        CASE(test_last_row_finishes_what_was_solved_ahead),
        CASE(test_last_row_may_be_a_source_shard),
        CASE(test_rows_that_come_together_are_decoded_at_once),
        CASE(test_few_coded_rows_are_not_worth_it),
        CASE(test_row_replaced_since_makes_it_worthless),
        CASE(test_forged_row_among_them_is_found_and_named),
        CASE(test_limits_on_memory_go_first),
        CASE(test_memory_is_given_back_for_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
