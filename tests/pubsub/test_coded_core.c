/* test_coded_core.c: whole pub/sub cores in coded mode: meshes, small and coded messages, first message, deaths, loss */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pubsub/netsim.h"

static const struct netsim_link lan = {.delay_ns = 100000, .jitter_ns = 50000, .bytes_per_s = 1250000000};

static struct slice payload(struct rng *rng, uint8_t *out, size_t len)
{
    rng_fill(rng, out, len);
    return slice_of(out, len);
}

static struct netsim *make(uint64_t seed, unsigned nodes, const struct netsim_link *link)
{
    struct netsim *s = netsim_new(seed, link);

    for (unsigned i = 0; i < nodes; i++) {
        struct pubsub_config cfg = netsim_config(PUBSUB_CODED);

        cfg.k = 4;
        cfg.mult = 1.5;
        cfg.threshold = 0.75;
        cfg.has_trace = true;
        netsim_add(s, &cfg);
    }
    return s;
}

static void subscribe_all(struct netsim *s)
{
    for (unsigned i = 0; i < netsim_nodes(s); i++)
        netsim_subscribe(s, i, "demo");
}

static void all_have(struct netsim *s, struct slice p)
{
    for (unsigned i = 0; i < netsim_nodes(s); i++)
        if (!netsim_is_killed(s, i))
            assert_int_equal(netsim_count(s, i, "demo", p), 1);
}

static void test_messages_of_all_sizes_arrive_once(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, 4097, 16384, 16385, 65536, 300000, 1 << 20};
    static uint8_t bytes[1 << 20];
    struct netsim *s = make(1, 8, &lan);
    struct rng rng;

    rng_init_seeded(&rng, 1);
    subscribe_all(s);
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct slice p = payload(&rng, bytes, sizes[i]);
        const struct netsim_delivery *d;
        unsigned count;

        assert_int_equal(netsim_publish(s, (unsigned)i % 8, "demo", p), 0);
        netsim_run(s, NETSIM_S);
        all_have(s, p);
        d = netsim_deliveries(s, 7, &count);
        assert_int_equal(d[count - 1].k, sizes[i] > 32768 ? 4 : sizes[i] > 16384 ? 3 : 1);
    }
    for (unsigned i = 0; i < 8; i++) { /* the large ones: everyone tells of what he has */
        unsigned whole, part;

        pubsub_holders(netsim_core(s, i), &whole, &part);
        assert_int_equal(whole, 7);
        assert_int_equal(part, 0);
    }
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(netsim_disconnects(s, i), 0);
    netsim_free(s);
}

/* Shard events are made while they are asked for, and only then; so are those of gossip. */
static void test_traces_follow_the_switch(void **state)
{
    static uint8_t bytes[100000];
    struct netsim *s = netsim_new(11, &lan);
    struct rng rng;
    uint64_t shards = 0, others = 0;

    rng_init_seeded(&rng, 11);
    for (unsigned i = 0; i < 2; i++) {
        struct pubsub_config cfg = netsim_config(PUBSUB_CODED);

        cfg.has_trace = false;
        netsim_add(s, &cfg);
    }
    subscribe_all(s);
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned turn = 0; turn < 4; turn++) { /* off, on, off, on */
        bool is_on = turn % 2;
        struct slice p = payload(&rng, bytes, sizeof(bytes));

        if (turn)
            pubsub_trace_enable(netsim_core(s, 1), is_on);
        assert_int_equal(netsim_publish(s, 0, "demo", p), 0);
        netsim_run(s, NETSIM_S);
        all_have(s, p);
        assert_true((netsim_traces(s, 1, TRACE_NEW_SHARD) > shards) == is_on);
        assert_true((netsim_traces(s, 1, TRACE_DELIVER_MESSAGE) > others) == is_on);
        shards = netsim_traces(s, 1, TRACE_NEW_SHARD);
        others = netsim_traces(s, 1, TRACE_DELIVER_MESSAGE);
    }
    assert_true(shards >= 8); /* k = 4 of each of two messages */
    assert_int_equal(netsim_traces(s, 0, TRACE_PUBLISH_MESSAGE), 0); /* the other's switch was never touched */
    netsim_free(s);
}

/* Published one second after the nodes start, before anyone is connected. */
static void test_first_message_is_delivered(void **state)
{
    static uint8_t bytes[100000];
    struct netsim *s = make(2, 4, &lan);
    struct rng rng;
    struct slice p;

    rng_init_seeded(&rng, 2);
    p = payload(&rng, bytes, sizeof(bytes));
    subscribe_all(s);
    netsim_run(s, NETSIM_S);
    assert_int_equal(netsim_publish(s, 0, "demo", p), 0);
    netsim_run(s, 2 * NETSIM_S);
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 2 * NETSIM_S);
    all_have(s, p);
    netsim_free(s);
}

/* 100 messages, ten a second; a node is killed half way; a later one joins and gets what follows. */
static void test_killed_node_does_not_stop_the_others(void **state)
{
    static uint8_t bytes[20000];
    struct netsim *s = make(3, 5, &lan);
    struct rng rng;

    rng_init_seeded(&rng, 3);
    for (unsigned i = 0; i < 4; i++)
        netsim_subscribe(s, i, "demo");
    for (unsigned a = 0; a < 4; a++)
        for (unsigned b = a + 1; b < 4; b++)
            netsim_connect(s, a, b, PUBSUB_CODED_1);
    netsim_run(s, 2 * NETSIM_S);
    for (unsigned m = 0; m < 100; m++) {
        struct slice p = payload(&rng, bytes, m % 3 ? sizeof(bytes) : 500);

        if (m == 50)
            netsim_kill(s, 2);
        if (m == 60) {
            netsim_subscribe(s, 4, "demo");
            netsim_connect(s, 4, 1, PUBSUB_CODED_1);
        }
        assert_int_equal(netsim_publish(s, m % 2, "demo", p), 0);
        netsim_run(s, 100 * NETSIM_MS);
        if (m == 99)
            netsim_run(s, 5 * NETSIM_S);
        for (unsigned i = 0; i < 5; i++)
            if (!netsim_is_killed(s, i) && (i < 4 || m >= 75))
                assert_int_equal(netsim_count(s, i, "demo", p), 1);
    }
    netsim_free(s);
}

static void test_lossy_network_delivers(void **state)
{
    static uint8_t bytes[60000];

    for (unsigned seed = 1; seed <= 3; seed++) {
        struct netsim_link link = lan;
        struct netsim *s;
        struct rng rng;

        s = make(seed, 10, &link);
        rng_init_seeded(&rng, seed);
        subscribe_all(s);
        netsim_connect_random(s, 4, PUBSUB_CODED_1);
        netsim_run(s, 3 * NETSIM_S);
        for (unsigned a = 0; a < 10; a++)
            for (unsigned b = a + 1; b < 10; b++)
                if (netsim_is_connected(s, a, b))
                    netsim_link(s, a, b)->loss = 0.15;
        for (unsigned m = 0; m < 10; m++) {
            struct slice p = payload(&rng, bytes, sizeof(bytes));

            assert_int_equal(netsim_publish(s, m, "demo", p), 0);
            netsim_run(s, 8 * NETSIM_S);
            all_have(s, p);
        }
        netsim_free(s);
    }
}

static void test_publisher_without_subscription_is_heard(void **state)
{
    static uint8_t bytes[30000];
    struct netsim *s = make(5, 5, &lan);
    struct rng rng;
    struct slice p;

    rng_init_seeded(&rng, 5);
    for (unsigned i = 1; i < 5; i++)
        netsim_subscribe(s, i, "demo");
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    p = payload(&rng, bytes, sizeof(bytes));
    assert_int_equal(netsim_publish(s, 0, "demo", p), 0);
    netsim_run(s, NETSIM_S);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(netsim_count(s, i, "demo", p), 1);
    assert_int_equal(netsim_count(s, 0, "demo", p), 0);
    netsim_free(s);
}

static void test_forged_shard_cuts_its_sender_off(void **state)
{
    static uint8_t bytes[20000];
    uint8_t junk[64] = {0xAA, 0x06, 3, 1, 2, 3}; /* field 101: a shard without sense */
    struct netsim *s = make(6, 4, &lan);
    struct rng rng;
    struct slice p;

    rng_init_seeded(&rng, 6);
    subscribe_all(s);
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 2 * NETSIM_S);
    netsim_send(s, 3, 0, slice_of(junk, 6));
    netsim_run(s, NETSIM_S);
    assert_false(netsim_is_connected(s, 0, 3));
    p = payload(&rng, bytes, sizeof(bytes));
    assert_int_equal(netsim_publish(s, 0, "demo", p), 0);
    netsim_run(s, NETSIM_S);
    all_have(s, p); /* through the others */
    netsim_free(s);
}

/* Forty leaves that know only the hub, whose mesh takes twelve: who publishes outside it, and who is outside it, have gossip. */
static void test_star_delivers_beyond_the_mesh(void **state)
{
    static uint8_t bytes[50000];
    struct netsim *s = make(12, 41, &lan);
    struct rng rng;

    rng_init_seeded(&rng, 12);
    subscribe_all(s);
    for (unsigned i = 1; i < 41; i++)
        netsim_connect(s, i, 0, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 0; i < 41; i += 8) {
        struct slice p = payload(&rng, bytes, sizeof(bytes));

        assert_int_equal(netsim_publish(s, i, "demo", p), 0);
        netsim_run(s, 8 * NETSIM_S);
        all_have(s, p);
    }
    netsim_free(s);
}

/* Who left a topic may not be grafted again for ten seconds. When all its members did, there is no mesh for so long, and shards are
 * pushed all the same: to wait until they are asked for took a quarter of a second for each message. */
static void test_topic_that_all_left_and_joined_again_is_as_quick_as_before(void **state)
{
    static uint8_t bytes[65536];
    struct netsim *s = make(5, 4, &lan);
    struct rng rng;

    rng_init_seeded(&rng, 5);
    subscribe_all(s);
    netsim_connect_all(s, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 0; i < 4; i++)
        netsim_unsubscribe(s, i, "demo");
    netsim_run(s, NETSIM_S / 5);
    subscribe_all(s);
    netsim_run(s, NETSIM_S / 5);
    for (unsigned i = 0; i < 8; i++) {
        struct slice p = payload(&rng, bytes, sizeof(bytes));

        assert_int_equal(netsim_publish(s, i % 4, "demo", p), 0);
        netsim_run(s, NETSIM_S / 20);
        all_have(s, p);
        netsim_run(s, NETSIM_S / 20);
    }
    netsim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_of_all_sizes_arrive_once),
        cmocka_unit_test(test_traces_follow_the_switch),
        cmocka_unit_test(test_first_message_is_delivered),
        cmocka_unit_test(test_killed_node_does_not_stop_the_others),
        cmocka_unit_test(test_lossy_network_delivers),
        cmocka_unit_test(test_publisher_without_subscription_is_heard),
        cmocka_unit_test(test_forged_shard_cuts_its_sender_off),
        cmocka_unit_test(test_star_delivers_beyond_the_mesh),
        cmocka_unit_test(test_topic_that_all_left_and_joined_again_is_as_quick_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
