/* test_coded_pull.c: what is offered is asked for at once, what is promised is waited for, what does not pay is not pushed */
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

static struct net net;
static struct maker m;
/* What node 0 said to each: indices asked for, shards pushed. */
static struct coded_bits asked[NET_NODES_MAX], pushed[NET_NODES_MAX], promised[NET_NODES_MAX];
static unsigned wants[NET_NODES_MAX];

static void note(unsigned to, const struct pb_field *f)
{
    struct coded_want w;
    struct coded_shard s;
    struct coded_have h;

    if (f->number == CODED_WANT && !coded_want_read(f->bytes, &w) && w.count) {
        struct coded_bits missing = coded_bits_minus(coded_bits_all(m.shape.k), w.verified);

        asked[to] = coded_bits_or(asked[to], coded_bits_minus(missing, w.skip));
        wants[to]++;
    }
    if (f->number == CODED_SHARD && !coded_shard_read(f->bytes, &s) && s.coefs.len == 1 && s.hops)
        coded_bits_put(&pushed[to], s.coefs.p[0]);
    if (f->number == CODED_HAVE && !coded_have_read(f->bytes, &h))
        promised[to] = coded_bits_or(promised[to], h.sending);
}

/* Node 0 is tested; the others are ours to speak for. */
static bool listen(struct net *n, unsigned from, unsigned to, struct buf *frame)
{
    struct rd r = rd_of(buf_slice(frame));
    struct pb_field f;

    while (from == 0 && pb_next(&r, &f) > 0)
        note(to, &f);
    return false;
}

static void open_net(unsigned nodes, unsigned k)
{
    struct net_config cfg = {.nodes = nodes, .k = k, .mult = 3, .threshold = 0.75, .latency_ns = 50000, .gbit_s = 10, .seed = 1,
                             .small_bytes = 1000};

    net_open(&net, &cfg);
    net.tap = listen;
    maker_open(&m, 9);
    maker_message(&m, k, 1000 * k);
    memset(asked, 0, sizeof(asked));
    memset(pushed, 0, sizeof(pushed));
    memset(promised, 0, sizeof(promised));
    memset(wants, 0, sizeof(wants));
}

static void close_net(void)
{
    net_close(&net);
    maker_close(&m);
}

static struct coded_bits bits(uint64_t low)
{
    return (struct coded_bits){{low}};
}

static void say_have(unsigned from, uint64_t verified, uint64_t coming, uint64_t sending)
{
    struct coded_have h = {.id = m.id, .verified = bits(verified), .coming = bits(coming), .sending = bits(sending)};
    uint8_t out[CODED_SMALL_MAX];
    struct wr w = wr_of(out, sizeof(out));

    h.rank = (uint8_t)coded_bits_count(&h.verified);
    coded_have_put(&w, &h, m.shape.k);
    net_inject(&net, from, 0, slice_of(out, w.len));
}

static void say_shard(unsigned from, unsigned index, unsigned hops)
{
    struct rlnc_row row = rlnc_source_row(&m.shape, m.payload->data, index);
    uint8_t byte = (uint8_t)index, out[4096];
    struct coded_shard s = {.id = m.id, .coefs = slice_of(&byte, 1), .payload = slice_of(row.p, row.len), .rank = 1, .hops = (uint8_t)hops};
    struct wr w = wr_of(out, sizeof(out));

    coded_shard_put(&w, &s);
    wr_bytes(&w, row.p, row.len);
    assert_false(w.bad);
    net_inject(&net, from, 0, slice_of(out, w.len));
}

static unsigned count(struct coded_bits b)
{
    return coded_bits_count(&b);
}

static void test_offer_is_asked_for_at_once_a_few_at_a_time(void **state)
{
    unsigned first = 0;

    open_net(2, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x7f, 0, 0);
    assert_int_equal(count(asked[1]), 2);
    assert_int_equal(count(coded_bits_minus(asked[1], bits(0x7f))), 0);
    while (!coded_bits_has(&asked[1], first))
        first++;
    say_shard(1, first, 0);
    assert_int_equal(count(asked[1]), 3); /* one came, one more is asked for */
    close_net();
}

static void test_no_shard_is_asked_of_two(void **state)
{
    open_net(4, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    for (unsigned i = 1; i < 4; i++)
        say_have(i, 0x7f, 0, 0);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(count(asked[i]), 2);
        for (unsigned j = 1; j < i; j++)
            assert_int_equal(count(coded_bits_and(asked[i], asked[j])), 0);
    }
    close_net();
}

static void test_what_comes_from_others_is_not_asked_of_who_says_so(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x06, 0x02, 0);
    assert_int_equal(asked[1].w[0], 0x04);
    say_have(2, 0x02, 0, 0);
    assert_int_equal(asked[2].w[0], 0x02);
    close_net();
}

static void test_a_promise_is_waited_for(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x08, 0, 0x08);
    say_have(2, 0x08, 0, 0);
    assert_int_equal(wants[1] + wants[2], 0);
    say_shard(1, 3, 2);
    assert_int_equal(wants[1] + wants[2], 0);
    assert_int_equal(net.nodes[0].n.shards_new, 1);
    close_net();
}

static void test_a_broken_promise_shows_by_the_next_shard(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x08, 0, 0x08);
    say_have(1, 0x18, 0, 0x10);
    say_have(2, 0x08, 0, 0);
    assert_int_equal(wants[1] + wants[2], 0);
    say_shard(1, 4, 2); /* shard 3 was promised before it */
    assert_int_equal(asked[1].w[0] | asked[2].w[0], 0x08);
    close_net();
}

static void test_a_broken_promise_is_overdue_after_a_while(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x08, 0, 0x08);
    say_have(2, 0x08, 0, 0);
    net_run(&net, net.now + 3000 * MS);
    assert_true(coded_bits_has(&asked[1], 3) || coded_bits_has(&asked[2], 3));
    close_net();
}

static void test_a_peer_that_keeps_no_promise_holds_up_nothing_again(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x08, 0, 0x08);
    net_run(&net, net.now + 3000 * MS);
    memset(asked, 0, sizeof(asked));
    say_have(1, 0x18, 0, 0x10);
    say_have(2, 0x10, 0, 0);
    assert_true(coded_bits_has(&asked[1], 4) || coded_bits_has(&asked[2], 4));
    close_net();
}

/* Nor one that kept a promise once: of each shard it can be waited for only once. */
static void test_a_shard_is_waited_for_once(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x01, 0, 0x01);
    say_shard(1, 0, 2);
    say_have(1, 0x09, 0, 0x08);
    say_have(2, 0x08, 0, 0);
    assert_int_equal(wants[1] + wants[2], 0);
    net_run(&net, net.now + 3000 * MS);
    assert_true(wants[1] + wants[2] > 0);
    memset(asked, 0, sizeof(asked));
    net_run(&net, net.now + 10000 * MS);
    say_have(1, 0x09, 0, 0x08);
    say_have(2, 0x08, 0, 0);
    assert_true(coded_bits_has(&asked[1], 3) || coded_bits_has(&asked[2], 3));
    close_net();
}

static void test_pushed_shards_are_passed_on_and_answers_are_not(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    say_shard(1, 0, 0);
    assert_int_equal(count(pushed[2]), 0);
    say_shard(1, 1, 2);
    assert_int_equal(pushed[2].w[0], 0x02);
    assert_int_equal(promised[2].w[0], 0x02);
    close_net();
}

static void test_pushing_stops_where_it_does_not_pay(void **state)
{
    open_net(3, 8);
    net_inject(&net, 1, 0, maker_header(&m));
    for (unsigned i = 0; i < 20; i++)
        coded_push_note(net.nodes[0].c, m.shape.size_bytes, 5, false);
    say_shard(1, 0, 3);
    assert_int_equal(pushed[2].w[0], 0x01);
    say_shard(1, 1, 4); /* would be the fifth hop */
    say_shard(1, 2, 9); /* nor any later one */
    assert_int_equal(pushed[2].w[0], 0x01);
    /* What was not pushed is offered. */
    net_run(&net, net.now + 10 * MS);
    assert_int_equal(promised[2].w[0], 0x01);
    for (unsigned i = 0; i < 40; i++)
        coded_push_note(net.nodes[0].c, m.shape.size_bytes, 5, true);
    say_shard(1, 3, 4);
    assert_true(coded_bits_has(&pushed[2], 3));
    close_net();
}

/* Where answers take longer than the bound of waits that grow, they are waited for: who asks others meanwhile gets things twice. */
static void test_slow_answers_are_waited_for(void **state)
{
    open_net(3, 8);
    for (unsigned i = 0; i < 40; i++)
        coded_pace_sample(&net.nodes[0].c->answers, 4000 * MS);
    net_inject(&net, 1, 0, maker_header(&m));
    say_have(1, 0x01, 0, 0);
    say_have(2, 0x01, 0, 0);
    assert_int_equal(wants[1] + wants[2], 1);
    net_run(&net, net.now + 3500 * MS);
    assert_int_equal(wants[1] + wants[2], 1);
    net_run(&net, net.now + 3500 * MS);
    assert_true(wants[1] + wants[2] > 1);
    close_net();
}

/* What is of little use to large payloads pays for small ones; and they learn apart. */
static void test_pushing_small_ones_needs_less_use(void **state)
{
    struct coded *c;

    open_net(3, 2); /* 2000 bytes: 2 small sizes */
    c = net.nodes[0].c;
    net_inject(&net, 1, 0, maker_header(&m));
    for (unsigned i = 0; i < 20; i++)
        coded_push_note(c, 1 << 20, 5, false);
    say_shard(1, 0, 4);
    assert_int_equal(pushed[2].w[0], 0x01);
    for (unsigned i = 0; i < 30; i++) { /* of use: a sixth */
        coded_push_note(c, m.shape.size_bytes, 5, false);
        coded_push_note(c, m.shape.size_bytes, 4, i % 6 == 0);
    }
    say_shard(1, 1, 3);
    assert_int_equal(pushed[2].w[0], 0x03);
    close_net();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offer_is_asked_for_at_once_a_few_at_a_time),
        cmocka_unit_test(test_no_shard_is_asked_of_two),
        cmocka_unit_test(test_what_comes_from_others_is_not_asked_of_who_says_so),
        cmocka_unit_test(test_a_promise_is_waited_for),
        cmocka_unit_test(test_a_broken_promise_shows_by_the_next_shard),
        cmocka_unit_test(test_a_broken_promise_is_overdue_after_a_while),
        cmocka_unit_test(test_a_peer_that_keeps_no_promise_holds_up_nothing_again),
        cmocka_unit_test(test_a_shard_is_waited_for_once),
        cmocka_unit_test(test_pushed_shards_are_passed_on_and_answers_are_not),
        cmocka_unit_test(test_pushing_stops_where_it_does_not_pay),
        cmocka_unit_test(test_slow_answers_are_waited_for),
        cmocka_unit_test(test_pushing_small_ones_needs_less_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
