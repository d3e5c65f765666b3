/* The core in a network: everyone gets every message once, whatever happens to links and nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/netsim.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12

/* The text of message `number`, always the same; valid until the next call. */
static struct slice payload(unsigned number, size_t len)
{
    static uint8_t space[1 << 20];

    memset(space, 'a' + (int)(number % 26), len);
    memcpy(space, &number, sizeof(number) < len ? sizeof(number) : len);
    return slice_of(space, len);
}

static struct netsim *network(uint64_t seed, unsigned nodes, const struct netsim_link *link)
{
    struct netsim *s = netsim_new(seed, link);
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    for (unsigned i = 0; i < nodes; i++)
        netsim_add(s, &cfg);
    return s;
}

static struct netsim *meshed(uint64_t seed, unsigned nodes, const struct netsim_link *link)
{
    struct netsim *s = network(seed, nodes, link);

    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < nodes; i++)
        assert_int_equal(netsim_subscribe(s, i, TOPIC), 0);
    netsim_run(s, 3 * NETSIM_S);
    return s;
}

static struct pubsub_counters counters(struct netsim *s, unsigned n)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, n), &c);
    return c;
}

static void publish(struct netsim *s, unsigned node, unsigned number, size_t len)
{
    assert_int_equal(netsim_publish(s, node, TOPIC, payload(number, len)), 0);
}

/* Node got messages [first, last), each as often as said. */
static void expect(struct netsim *s, unsigned node, unsigned first, unsigned last, size_t len, unsigned times)
{
    for (unsigned m = first; m < last; m++) {
        unsigned got = netsim_count(s, node, TOPIC, payload(m, len));
        if (got != times)
            print_message("node %u: message %u came %u times\n", node, m, got);
        assert_int_equal(got, times);
    }
}

static unsigned mesh_size(struct netsim *s, unsigned n)
{
    struct pubsub_topic_info t[8];
    unsigned count = pubsub_topics(netsim_core(s, n), t, 8);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(t[i].topic, TOPIC) == 0)
            return t[i].mesh;
    return 0;
}

static void test_mesh_everyone_gets_every_message_once(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 8, 20, 50};

    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct netsim *s = network(k + 1, sizes[k], NULL);
        if (sizes[k] <= 20)
            netsim_connect_all(s, V12);
        else
            netsim_connect_random(s, 5, V12);
        for (unsigned i = 0; i < sizes[k]; i++)
            assert_int_equal(netsim_subscribe(s, i, TOPIC), 0);
        netsim_run(s, 3 * NETSIM_S);
        for (unsigned m = 0; m < 20; m++) {
            publish(s, m % sizes[k], m, 10 + m * 150);
            netsim_run(s, 50 * NETSIM_MS);
        }
        netsim_run(s, 5 * NETSIM_S);
        for (unsigned n = 0; n < sizes[k]; n++)
            for (unsigned m = 0; m < 20; m++)
                expect(s, n, m, m + 1, 10 + m * 150, 1);
        netsim_free(s);
    }
}

static void test_mesh_degree_stays_in_bounds(void **state)
{
    struct netsim *s = meshed(11, 40, NULL);

    netsim_run(s, 70 * NETSIM_S); /* past the first backoffs */
    for (unsigned n = 0; n < 40; n++)
        assert_in_range(mesh_size(s, n), 4, 12 + 2);
    netsim_free(s);
}

/* Both ends agree who is in whose mesh. */
static void test_mesh_is_symmetric(void **state)
{
    struct netsim *s = meshed(12, 30, NULL);

    netsim_run(s, 20 * NETSIM_S + 500 * NETSIM_MS);
    for (unsigned a = 0; a < 30; a++)
        for (unsigned b = a + 1; b < 30; b++)
            assert_int_equal(pubsub_mesh_has(netsim_core(s, a), SLICE_LIT(TOPIC), b + 1),
                             pubsub_mesh_has(netsim_core(s, b), SLICE_LIT(TOPIC), a + 1));
    netsim_free(s);
}

static void test_publisher_gets_its_own_message_when_subscribed(void **state)
{
    struct netsim *s = network(2, 1, NULL);
    const struct netsim_delivery *d;
    unsigned n;

    publish(s, 0, 1, 100);
    assert_int_equal(netsim_subscribe(s, 0, TOPIC), 0);
    publish(s, 0, 2, 100);
    d = netsim_deliveries(s, 0, &n);
    assert_int_equal(n, 1);
    assert_true(d[0].is_own);
    assert_int_equal(d[0].k, 1);
    assert_true(peer_id_is_equal(&d[0].from, netsim_peer_id(s, 0)));
    netsim_free(s);
}

static void test_publish_refuses_repeats_and_oversize(void **state)
{
    struct netsim *s = network(2, 1, NULL);
    uint8_t *big = calloc(1, (1 << 20) + 1);

    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("x")), 0);
    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("x")), -PUBSUB_EDUP);
    assert_int_equal(netsim_publish(s, 0, "other", SLICE_LIT("x")), 0);
    netsim_run(s, 121 * NETSIM_S);
    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("x")), 0);
    assert_int_equal(netsim_publish(s, 0, TOPIC, slice_of(big, (1 << 20) + 1)), -PUBSUB_ESIZE);
    assert_int_equal(netsim_publish(s, 0, TOPIC, slice_of(big, 1 << 20)), 0);
    assert_int_equal(netsim_publish(s, 0, "", SLICE_LIT("y")), -PUBSUB_ETOPIC);
    memset(big, 't', 300);
    big[300] = 0;
    assert_int_equal(netsim_publish(s, 0, (char *)big, SLICE_LIT("y")), -PUBSUB_ETOPIC);
    assert_int_equal(netsim_subscribe(s, 0, (char *)big), -PUBSUB_ETOPIC);
    assert_int_equal(counters(s, 0).published, 4);
    free(big);
    netsim_free(s);
}

static void test_holders_are_who_showed_it(void **state)
{
    struct netsim *s = meshed(15, 3, NULL);
    unsigned whole, part;

    pubsub_holders(netsim_core(s, 0), &whole, &part);
    assert_int_equal(whole + part, 0);
    publish(s, 1, 1, 100);
    netsim_run(s, NETSIM_S);
    pubsub_holders(netsim_core(s, 0), &whole, &part);
    assert_in_range(whole, 1, 2); /* who published it, and perhaps who brought a copy */
    assert_int_equal(part, 0);
    pubsub_holders(netsim_core(s, 1), &whole, &part);
    assert_in_range(whole, 0, 2);
    netsim_free(s);
}

static void test_topics_do_not_leak(void **state)
{
    struct netsim *s = network(3, 9, NULL);

    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < 9; i++)
        if (i % 3) /* 0, 3, 6: in neither */
            netsim_subscribe(s, i, i % 3 == 1 ? "one" : "two");
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(netsim_publish(s, i, "one", payload(i, 2000)), 0);
        assert_int_equal(netsim_publish(s, i, "two", payload(100 + i, 2000)), 0);
    }
    netsim_run(s, 10 * NETSIM_S);
    for (unsigned n = 0; n < 9; n++) {
        unsigned count;
        netsim_deliveries(s, n, &count);
        assert_int_equal(count, n % 3 ? 9 : 0);
        for (unsigned i = 0; i < 9; i++) {
            assert_int_equal(netsim_count(s, n, "one", payload(i, 2000)), n % 3 == 1);
            assert_int_equal(netsim_count(s, n, "two", payload(100 + i, 2000)), n % 3 == 2);
        }
        if (n % 3 == 0)
            assert_int_equal(counters(s, n).unsubscribed, 0); /* nobody even sent them anything */
    }
    netsim_free(s);
}

static void test_unsubscribed_node_gets_nothing_more(void **state)
{
    struct netsim *s = meshed(4, 6, NULL);

    publish(s, 0, 1, 100);
    netsim_run(s, NETSIM_S);
    assert_int_equal(netsim_unsubscribe(s, 5, TOPIC), 0);
    assert_int_equal(netsim_unsubscribe(s, 5, TOPIC), -PUBSUB_ETOPIC);
    netsim_run(s, 100 * NETSIM_MS);
    publish(s, 0, 2, 100);
    netsim_run(s, 5 * NETSIM_S);
    expect(s, 5, 1, 2, 100, 1);
    expect(s, 5, 2, 3, 100, 0);
    assert_int_equal(counters(s, 5).unsubscribed, 0);
    for (unsigned n = 0; n < 5; n++) {
        expect(s, n, 1, 3, 100, 1);
        assert_false(pubsub_mesh_has(netsim_core(s, n), SLICE_LIT(TOPIC), 6));
    }
    /* Back after the unsubscribe backoff: everything flows again. */
    assert_int_equal(netsim_subscribe(s, 5, TOPIC), 0);
    netsim_run(s, 14 * NETSIM_S);
    assert_true(mesh_size(s, 5) >= 4);
    publish(s, 0, 3, 100);
    netsim_run(s, 2 * NETSIM_S);
    expect(s, 5, 3, 4, 100, 1);
    for (unsigned n = 0; n < 6; n++)
        assert_int_equal(counters(s, n).backoff_violations, 0);
    netsim_free(s);
}

/* A chain with a relay in the middle, which hands its application nothing, until that subscribes. */
static void relay_in_the_middle(enum pubsub_mode mode, enum pubsub_proto proto)
{
    struct pubsub_config cfg = netsim_config(mode);
    struct netsim *s = netsim_new(77, NULL);

    for (unsigned i = 0; i < 3; i++)
        netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
    netsim_subscribe(s, 2, TOPIC);
    assert_int_equal(pubsub_relay(netsim_core(s, 1), slice_str(TOPIC), netsim_now(s)), 0);
    netsim_drain(s, 1);
    netsim_connect(s, 0, 1, proto);
    netsim_connect(s, 1, 2, proto);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned m = 1; m < 4; m++) {
        publish(s, 0, m, 100000);
        netsim_run(s, 3 * NETSIM_S);
        expect(s, 2, m, m + 1, 100000, 1);
        expect(s, 1, m, m + 1, 100000, m == 2);
        if (m == 1)
            netsim_subscribe(s, 1, TOPIC);
        else
            assert_int_equal(pubsub_relay(netsim_core(s, 1), slice_str(TOPIC), netsim_now(s)), 0);
    }
    assert_int_equal(netsim_unsubscribe(s, 1, TOPIC), 0);
    netsim_run(s, NETSIM_S);
    publish(s, 0, 9, 1000);
    netsim_run(s, 3 * NETSIM_S);
    expect(s, 2, 9, 10, 1000, 0);
    netsim_free(s);
}

static void test_relay_passes_on_and_delivers_nothing(void **state)
{
    relay_in_the_middle(PUBSUB_GOSSIP, V12);
    relay_in_the_middle(PUBSUB_CODED, PUBSUB_CODED_1);
}

/* A relay keeps coded messages in the shards in which they came, and gives a late peer what it missed. */
static void test_relay_serves_who_comes_late(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_CODED);
    struct netsim *s = netsim_new(78, NULL);
    struct pubsub_counters n;

    for (unsigned i = 0; i < 3; i++)
        netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
    assert_int_equal(pubsub_relay(netsim_core(s, 1), slice_str(TOPIC), netsim_now(s)), 0);
    netsim_drain(s, 1);
    netsim_connect(s, 0, 1, PUBSUB_CODED_1);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 1; i < 4; i++)
        publish(s, 0, i, 100000);
    netsim_run(s, 3 * NETSIM_S);
    pubsub_counters_get(netsim_core(s, 1), &n);
    assert_int_equal(n.decoded, 3);
    assert_int_equal(n.delivered, 0);
    assert_int_equal(n.rows_bytes, 0);
    assert_true(n.kept_bytes > 300000);
    netsim_disconnect(s, 0, 1);
    netsim_subscribe(s, 2, TOPIC);
    netsim_connect(s, 1, 2, PUBSUB_CODED_1);
    netsim_run(s, 5 * NETSIM_S);
    expect(s, 2, 1, 4, 100000, 1);
    netsim_free(s);
}

/* The message waits for the first peer, whether or not the publisher is in the topic. */
static void test_first_message_before_any_peer_is_known(void **state)
{
    for (unsigned variant = 0; variant < 4; variant++) {
        struct netsim *s = network(20 + variant, 5, NULL);
        bool is_subscriber = variant & 1, is_chain = variant & 2;
        for (unsigned i = is_subscriber ? 0 : 1; i < 5; i++)
            netsim_subscribe(s, i, TOPIC);
        publish(s, 0, 1, 5000);
        netsim_run(s, 20 * NETSIM_S);
        expect(s, 0, 1, 2, 5000, is_subscriber);
        if (is_chain)
            for (unsigned i = 1; i < 5; i++) {
                netsim_connect(s, i, i - 1, V12);
                netsim_run(s, 300 * NETSIM_MS);
            }
        else
            netsim_connect_all(s, V12);
        netsim_run(s, 500 * NETSIM_MS); /* half a heartbeat */
        for (unsigned n = 1; n < 5; n++)
            expect(s, n, 1, 2, 5000, 1);
        netsim_free(s);
    }
}

static void test_first_message_is_not_kept_for_ever(void **state)
{
    struct netsim *s = network(25, 2, NULL);

    netsim_subscribe(s, 1, TOPIC);
    publish(s, 0, 1, 5000);
    netsim_run(s, 35 * NETSIM_S);
    netsim_connect(s, 0, 1, V12);
    netsim_run(s, 5 * NETSIM_S);
    expect(s, 1, 1, 2, 5000, 0);
    assert_int_equal(counters(s, 0).kept_bytes, 0);
    netsim_free(s);
}

/* A node that joins 10 s later is told what is kept, asks one peer for each message, and gets what follows. */
static void test_late_joiner_gets_what_is_kept_and_what_follows(void **state)
{
    struct netsim *s = meshed(5, 6, NULL);
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    unsigned late;

    for (unsigned m = 0; m < 10; m++)
        publish(s, m % 6, m, 3000);
    netsim_run(s, 10 * NETSIM_S);
    late = netsim_add(s, &cfg);
    netsim_subscribe(s, late, TOPIC);
    for (unsigned i = 0; i < 6; i++)
        netsim_connect(s, late, i, V12);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned m = 10; m < 20; m++)
        publish(s, m % 6, m, 3000);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned n = 0; n <= late; n++)
        expect(s, n, 0, 20, 3000, 1);
    assert_true(counters(s, late).iwant_out <= 10);
    assert_int_equal(counters(s, late).promises_broken, 0);
    netsim_free(s);
}

static void test_partition_heals(void **state)
{
    struct netsim *s = meshed(6, 12, NULL);

    for (unsigned a = 0; a < 6; a++)
        for (unsigned b = 6; b < 12; b++)
            netsim_disconnect(s, a, b);
    netsim_run(s, 3 * NETSIM_S);
    publish(s, 0, 1, 2000);
    publish(s, 11, 2, 2000);
    netsim_run(s, 5 * NETSIM_S);
    for (unsigned n = 0; n < 12; n++) {
        expect(s, n, 1, 2, 2000, n < 6);
        expect(s, n, 2, 3, 2000, n >= 6);
    }
    netsim_connect_all(s, V12);
    netsim_run(s, 5 * NETSIM_S);
    publish(s, 3, 3, 2000);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned n = 0; n < 12; n++)
        expect(s, n, 1, 4, 2000, 1);
    netsim_free(s);
}

/* Frames get lost on every link: gossip brings the messages all the same. */
static void test_lost_messages_come_by_gossip(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct netsim *s = meshed(seed, 12, NULL);
        uint64_t asked = 0;
        for (unsigned a = 0; a < 12; a++)
            for (unsigned b = a + 1; b < 12; b++)
                netsim_link(s, a, b)->loss = 0.5;
        for (unsigned m = 0; m < 30; m++) {
            publish(s, m % 12, m, 2000);
            netsim_run(s, 100 * NETSIM_MS);
        }
        for (unsigned a = 0; a < 12; a++)
            for (unsigned b = a + 1; b < 12; b++)
                netsim_link(s, a, b)->loss = 0;
        netsim_run(s, 6 * NETSIM_S);
        for (unsigned n = 0; n < 12; n++) {
            expect(s, n, 0, 30, 2000, 1);
            asked += counters(s, n).iwant_out;
        }
        assert_true(asked > 0);
        netsim_free(s);
    }
}

static void test_killed_nodes_do_not_stop_the_others(void **state)
{
    struct netsim *s = meshed(7, 10, NULL);

    for (unsigned m = 0; m < 100; m++) {
        if (m == 30)
            netsim_kill(s, 9);
        if (m == 60)
            netsim_kill(s, 8);
        publish(s, m % 8, m, 1500);
        netsim_run(s, 100 * NETSIM_MS);
    }
    netsim_run(s, 5 * NETSIM_S);
    for (unsigned n = 0; n < 8; n++)
        expect(s, n, 0, 100, 1500, 1);
    netsim_free(s);
}

/* For a peer behind a thin line messages wait while its queue is full, and it holds up nobody. */
static void test_slow_peer_catches_up_and_holds_up_nobody(void **state)
{
    struct netsim *s = netsim_new(8, NULL);
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    uint64_t put_off = 0;

    cfg.queue_bytes = 200000;
    for (unsigned i = 0; i < 4; i++)
        netsim_add(s, &cfg);
    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < 4; i++)
        netsim_subscribe(s, i, TOPIC);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 0; i < 3; i++)
        netsim_link(s, i, 3)->bytes_per_s = 400000;
    for (unsigned m = 0; m < 12; m++)
        publish(s, m % 3, m, 100000);
    netsim_run(s, 100 * NETSIM_MS);
    for (unsigned n = 0; n < 3; n++)
        expect(s, n, 0, 12, 100000, 1);
    netsim_run(s, 15 * NETSIM_S);
    expect(s, 3, 0, 12, 100000, 1);
    for (unsigned n = 0; n < 3; n++)
        put_off += counters(s, n).put_off;
    assert_true(put_off > 0);
    netsim_free(s);
}

/* IDONTWANT spares copies of large messages where links differ in speed; small messages do not cause any. */
static void test_idontwant_spares_duplicates(void **state)
{
    uint64_t bytes[2], said[2];

    for (int v = 0; v < 2; v++) {
        struct netsim *s = network(9, 12, &(struct netsim_link){.delay_ns = NETSIM_MS});
        netsim_connect_all(s, v ? PUBSUB_MESHSUB_12 : PUBSUB_MESHSUB_11);
        for (unsigned a = 0; a < 12; a++)
            for (unsigned b = a + 1; b < 12; b++)
                netsim_link(s, a, b)->bytes_per_s = 500000 + (a * 7919 + b * 104729) % 13 * 500000;
        for (unsigned i = 0; i < 12; i++)
            netsim_subscribe(s, i, TOPIC);
        netsim_run(s, 3 * NETSIM_S);
        bytes[v] = netsim_wire_bytes(s);
        for (unsigned m = 0; m < 20; m++) {
            publish(s, m % 12, m, 50000);
            netsim_run(s, 500 * NETSIM_MS);
        }
        netsim_run(s, 3 * NETSIM_S);
        bytes[v] = netsim_wire_bytes(s) - bytes[v];
        said[v] = 0;
        for (unsigned n = 0; n < 12; n++) {
            expect(s, n, 0, 20, 50000, 1);
            said[v] += counters(s, n).idontwant_out;
        }
        publish(s, 0, 100, 1023); /* one byte below the threshold */
        netsim_run(s, NETSIM_S);
        for (unsigned n = 0; n < 12; n++)
            said[v] -= counters(s, n).idontwant_out;
        assert_int_equal(said[v], 0);
        netsim_free(s);
    }
    assert_true(bytes[1] * 10 < bytes[0] * 8);
}

static void test_leave_is_polite(void **state)
{
    struct netsim *s = meshed(10, 5, NULL);

    netsim_leave(s, 4);
    netsim_run(s, 100 * NETSIM_MS);
    for (unsigned n = 0; n < 4; n++) {
        struct pubsub_topic_info t[2];
        assert_int_equal(pubsub_topics(netsim_core(s, n), t, 2), 1);
        assert_int_equal(t[0].peers, 3);
        assert_int_equal(t[0].mesh, 3);
        assert_int_equal(counters(s, n).prune_in, 0);
        assert_int_equal(counters(s, n).control_ignored, 0);
    }
    uint64_t grafts = counters(s, 4).graft_out + counters(s, 4).graft_in;
    netsim_run(s, 30 * NETSIM_S);
    assert_int_equal(counters(s, 4).graft_out + counters(s, 4).graft_in, grafts);
    assert_int_equal(mesh_size(s, 4), 0);
    netsim_free(s);
}

static void test_flood_publish_reaches_every_subscriber_directly(void **state)
{
    struct netsim *s = netsim_new(13, &(struct netsim_link){.delay_ns = 100 * NETSIM_MS});
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.is_flood_publish = true;
    for (unsigned i = 0; i < 30; i++)
        netsim_add(s, &cfg);
    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < 30; i++)
        netsim_subscribe(s, i, TOPIC);
    netsim_run(s, 3 * NETSIM_S);
    publish(s, 0, 1, 2000);
    netsim_run(s, 150 * NETSIM_MS); /* one hop and a half */
    for (unsigned n = 0; n < 30; n++)
        expect(s, n, 1, 2, 2000, 1);
    netsim_free(s);
}

static void test_unsigned_network_delivers_once(void **state)
{
    struct netsim *s = netsim_new(15, NULL);
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    const struct netsim_delivery *d;
    unsigned count;

    cfg.signing = PUBSUB_STRICT_NO_SIGN;
    for (unsigned i = 0; i < 10; i++)
        netsim_add(s, &cfg);
    cfg.signing = PUBSUB_STRICT_SIGN;
    netsim_add(s, &cfg); /* one that is configured otherwise: it takes none of it */
    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < 11; i++)
        netsim_subscribe(s, i, TOPIC);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned m = 0; m < 3; m++)
        publish(s, m, m, 2000);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned n = 0; n < 10; n++)
        expect(s, n, 0, 3, 2000, 1);
    expect(s, 10, 0, 3, 2000, 0);
    assert_true(counters(s, 10).rejected > 0);
    d = netsim_deliveries(s, 9, &count);
    assert_int_equal(d[0].from.len, 0);
    netsim_free(s);
}

static void test_fanout_publisher_is_heard_and_forgets(void **state)
{
    struct netsim *s = network(14, 10, NULL);
    struct pubsub_topic_info t[4];

    netsim_connect_all(s, V12);
    for (unsigned i = 1; i < 10; i++)
        netsim_subscribe(s, i, TOPIC);
    netsim_run(s, 2 * NETSIM_S);
    for (unsigned m = 0; m < 10; m++) {
        publish(s, 0, m, 2000);
        netsim_run(s, 100 * NETSIM_MS);
    }
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned n = 1; n < 10; n++)
        expect(s, n, 0, 10, 2000, 1);
    assert_int_equal(counters(s, 0).delivered, 0);
    assert_int_equal(counters(s, 0).graft_out, 0);
    for (unsigned n = 1; n < 10; n++) /* its peers leave, and with its own publish forgotten the topic is gone */
        netsim_unsubscribe(s, n, TOPIC);
    netsim_run(s, 65 * NETSIM_S);
    assert_int_equal(pubsub_topics(netsim_core(s, 0), t, 4), 0);
    netsim_free(s);
}

/* Everything at random: nothing crashes, nobody gets anything twice, and when it is quiet again all is well. */
static void test_churn_of_everything(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct netsim *s = network(seed, 14, &(struct netsim_link){.delay_ns = NETSIM_MS, .jitter_ns = 20 * NETSIM_MS});
        unsigned number = 0;
        struct rng rng;
        rng_init_seeded(&rng, seed * 77);
        for (unsigned step = 0; step < 1500; step++) {
            unsigned a = (unsigned)rng_below(&rng, 14), b = (unsigned)rng_below(&rng, 14);
            switch (rng_below(&rng, 8)) {
            case 0:
            case 1:
            case 2: netsim_connect(s, a, b, rng_below(&rng, 2) ? PUBSUB_MESHSUB_11 : V12); break;
            case 3: netsim_disconnect(s, a, b); break;
            case 4: netsim_subscribe(s, a, TOPIC); break;
            case 5: netsim_unsubscribe(s, a, TOPIC); break;
            default: publish(s, a, number++, 50 + rng_below(&rng, 3000)); break;
            }
            netsim_run(s, rng_below(&rng, 100 * NETSIM_MS));
        }
        for (unsigned n = 0; n < 14; n++) {
            unsigned count;
            const struct netsim_delivery *d = netsim_deliveries(s, n, &count);
            for (unsigned i = 0; i < count; i++)
                for (unsigned k = i + 1; k < count; k++)
                    assert_false(d[i].hash == d[k].hash);
            assert_int_equal(netsim_disconnects(s, n), 0);
            netsim_subscribe(s, n, TOPIC);
        }
        netsim_connect_all(s, V12);
        netsim_run(s, 70 * NETSIM_S);
        publish(s, 0, 1000000, 1000);
        netsim_run(s, 3 * NETSIM_S);
        for (unsigned n = 0; n < 14; n++)
            expect(s, n, 1000000, 1000001, 1000, 1);
        netsim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_everyone_gets_every_message_once),
        cmocka_unit_test(test_mesh_degree_stays_in_bounds),
        cmocka_unit_test(test_mesh_is_symmetric),
        cmocka_unit_test(test_publisher_gets_its_own_message_when_subscribed),
        cmocka_unit_test(test_publish_refuses_repeats_and_oversize),
        cmocka_unit_test(test_holders_are_who_showed_it),
        cmocka_unit_test(test_topics_do_not_leak),
        cmocka_unit_test(test_unsubscribed_node_gets_nothing_more),
        cmocka_unit_test(test_relay_passes_on_and_delivers_nothing),
        cmocka_unit_test(test_relay_serves_who_comes_late),
        cmocka_unit_test(test_first_message_before_any_peer_is_known),
        cmocka_unit_test(test_first_message_is_not_kept_for_ever),
        cmocka_unit_test(test_late_joiner_gets_what_is_kept_and_what_follows),
        cmocka_unit_test(test_partition_heals),
        cmocka_unit_test(test_lost_messages_come_by_gossip),
        cmocka_unit_test(test_killed_nodes_do_not_stop_the_others),
        cmocka_unit_test(test_slow_peer_catches_up_and_holds_up_nobody),
        cmocka_unit_test(test_idontwant_spares_duplicates),
        cmocka_unit_test(test_leave_is_polite),
        cmocka_unit_test(test_flood_publish_reaches_every_subscriber_directly),
        cmocka_unit_test(test_unsigned_network_delivers_once),
        cmocka_unit_test(test_fanout_publisher_is_heard_and_forgets),
        cmocka_unit_test(test_churn_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
