/* What the coded router is given by the core, called as the router would. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/core.h"

#define NOW 1000000000000ull

static struct pubsub *ps;
static struct key_pair keys[6];
static struct peer_id ids[6];
static struct coded_host host;
static struct rng rng;

/* Peers 1 and 2 speak coded, 3 plain; 1 and 3 are in topic "t", 2 in none. */
static int open_core(void **state)
{
    struct pubsub_config cfg = {.mode = PUBSUB_GOSSIP, .key = &keys[0], .seen_max = 100, .queue_bytes = 1000};
    static const enum pubsub_proto protos[] = {0, PUBSUB_CODED_1, PUBSUB_CODED_1, PUBSUB_MESHSUB_12};
    static const uint8_t subscribe[] = {0x0a, 0x05, 0x08, 0x01, 0x12, 0x01, 't'};

    for (unsigned i = 0; i < 6; i++) {
        uint8_t seed[32] = {(uint8_t)i};
        key_pair_from_seed(&keys[i], seed);
        key_pair_peer_id(&keys[i], &ids[i]);
    }
    rng_init_seeded(&rng, 1);
    ps = pubsub_new(&cfg, &rng, NOW, 5000);
    for (pubsub_peer p = 1; p <= 3; p++)
        pubsub_peer_up(ps, p, &ids[p], protos[p], true, (struct slice){0}, NOW);
    pubsub_rpc(ps, 1, buf_copy(slice_of(subscribe, sizeof(subscribe))), NOW);
    pubsub_rpc(ps, 3, buf_copy(slice_of(subscribe, sizeof(subscribe))), NOW);
    host = coded_host_of(ps);
    return 0;
}

static int close_core(void **state)
{
    pubsub_free(ps);
    return 0;
}

/* Counts outputs of a type to a peer (0: any) and releases all. */
static unsigned drain(enum pubsub_output_type type, pubsub_peer peer)
{
    struct pubsub_output out;
    unsigned n = 0;

    while (pubsub_next_output(ps, &out)) {
        n += out.type == type && (!peer || out.peer == peer);
        for (unsigned i = 0; i < out.npieces; i++)
            buf_unref(out.pieces[i].buf);
        buf_unref(out.payload);
    }
    return n;
}

static void test_host_lists_coded_peers_of_the_topic(void **state)
{
    pubsub_peer out[8];

    assert_int_equal(host.subscribers(host.core, SLICE_LIT("t"), out, 8), 1);
    assert_int_equal(out[0], 1);
    assert_int_equal(host.mesh(host.core, SLICE_LIT("t"), out, 8), 0);
    assert_int_equal(host.mesh(host.core, SLICE_LIT("none"), out, 8), 0);
    assert_false(host.is_subscribed(host.core, SLICE_LIT("t")));
    pubsub_subscribe(ps, SLICE_LIT("t"), NOW);
    assert_true(host.is_subscribed(host.core, SLICE_LIT("t")));
    assert_int_equal(host.mesh(host.core, SLICE_LIT("t"), out, 8), 1);
    assert_int_equal(host.mesh(host.core, SLICE_LIT("t"), out, 0), 0);
    assert_true(peer_id_is_equal(host.peer_id(host.core, 2), &ids[2]));
    assert_null(host.peer_id(host.core, 9));
}

static void test_host_fanout_stands_in_for_a_mesh(void **state)
{
    struct buf *payload = buf_copy(SLICE_LIT("x"));
    pubsub_peer out[8];

    assert_int_equal(pubsub_publish(ps, SLICE_LIT("t"), payload, (uint8_t[32]){0}, NOW), 0);
    assert_int_equal(host.mesh(host.core, SLICE_LIT("t"), out, 8), 1);
    assert_int_equal(out[0], 1);
    for (uint64_t now; (now = pubsub_next_deadline(ps)) < NOW + 62 * SECOND_NS;)
        pubsub_on_deadline(ps, now);
    assert_int_equal(host.mesh(host.core, SLICE_LIT("t"), out, 8), 0); /* a minute without a publish: given up */
}

static void test_host_delivers_once_and_only_subscribed_topics(void **state)
{
    struct buf *payload = buf_copy(SLICE_LIT("payload"));

    host.deliver(host.core, SLICE_LIT("t"), &ids[4], 7, buf_ref(payload), payload->len, 1, 4, NOW - 3000000);
    assert_int_equal(drain(PUBSUB_DELIVER, 0), 0); /* not subscribed */
    pubsub_subscribe(ps, SLICE_LIT("t"), NOW);
    host.deliver(host.core, SLICE_LIT("t"), &ids[4], 8, buf_ref(payload), payload->len, 1, 4, NOW - 3000000);
    host.deliver(host.core, SLICE_LIT("t"), &ids[4], 8, buf_ref(payload), payload->len, 2, 4, NOW);
    assert_int_equal(drain(PUBSUB_DELIVER, 0), 1);
    struct pubsub_counters c;
    pubsub_counters_get(ps, &c);
    assert_int_equal(c.duplicates, 1);
    assert_int_equal(c.delays.counts[2], 1); /* 3 ms: longer than 2, at most 5 */
    assert_int_equal(c.delays.sum_ns, 3000000);
    assert_int_equal(payload->refs, 1);
    buf_unref(payload);
}

static void test_host_sends_shards_by_reference_until_the_peer_is_slow(void **state)
{
    struct buf *shard = buf_new(10000);

    shard->len = 10000;
    drain(PUBSUB_SEND, 0);
    host.send(host.core, 9, SLICE_LIT("\xa2\x06\x01x"), NULL, 0, 0); /* nobody */
    assert_int_equal(host.queued_bytes(host.core, 9), UINT64_MAX);
    host.send(host.core, 1, SLICE_LIT("\xa2\x06\x90\x4e"), shard, 0, 10000);
    assert_int_equal(shard->refs, 2);
    assert_int_equal(host.queued_bytes(host.core, 1), 10004);
    host.send(host.core, 1, SLICE_LIT("\xa2\x06\x90\x4e"), shard, 0, 10000); /* over twice the bound */
    assert_int_equal(shard->refs, 2);
    host.send(host.core, 1, SLICE_LIT("\xa2\x06\x01x"), NULL, 0, 0); /* control still goes */
    assert_int_equal(drain(PUBSUB_SEND, 1), 2);
    assert_int_equal(host.queued_bytes(host.core, 1), 0);
    pubsub_peer_queue(ps, 1, 77, NOW);
    assert_int_equal(host.queued_bytes(host.core, 1), 77);
    assert_int_equal(shard->refs, 1);
    buf_unref(shard);
}

static void test_host_penalty_cuts_off(void **state)
{
    drain(PUBSUB_SEND, 0);
    host.penalize(host.core, 1, 3, "a rule");
    assert_int_equal(drain(PUBSUB_DISCONNECT, 1), 0);
    host.penalize(host.core, 1, INFINITY, "a rule");
    host.penalize(host.core, 1, INFINITY, "a rule");
    host.penalize(host.core, 9, INFINITY, "nobody");
    assert_int_equal(drain(PUBSUB_DISCONNECT, 1), 1);
    /* Nothing more is taken from it. */
    pubsub_rpc(ps, 1, buf_copy(SLICE_LIT("\x0a\x05\x08\x01\x12\x01u")), NOW);
    struct pubsub_topic_info t[4];
    assert_int_equal(pubsub_topics(ps, t, 4), 1);
}

/* One sequence for both kinds of message, or their ids would collide. */
static void test_host_seqnos_are_shared_with_plain_messages(void **state)
{
    uint64_t a = host.next_seqno(host.core), b;
    struct buf *payload = buf_copy(SLICE_LIT("x"));

    assert_int_equal(pubsub_publish(ps, SLICE_LIT("t"), payload, (uint8_t[32]){1}, NOW), 0);
    b = host.next_seqno(host.core);
    assert_int_equal(a, 5000);
    assert_int_equal(b, 5002);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_core, close_core)
    const struct CMUnitTest tests[] = {
        TEST(test_host_lists_coded_peers_of_the_topic),
        TEST(test_host_fanout_stands_in_for_a_mesh),
        TEST(test_host_delivers_once_and_only_subscribed_topics),
        TEST(test_host_sends_shards_by_reference_until_the_peer_is_slow),
        TEST(test_host_penalty_cuts_off),
        TEST(test_host_seqnos_are_shared_with_plain_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
