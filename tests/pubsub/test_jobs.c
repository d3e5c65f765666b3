/* Work that other lcores do for the core: signatures and hashes, which come back late and in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "pubsub/coded_maker.h"
#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12

static const struct netsim_link lan = {.delay_ns = 100000, .jitter_ns = 50000, .bytes_per_s = 1250000000};
static struct netsim *s;

static void make(enum pubsub_mode mode, unsigned nodes, unsigned jobs, uint64_t delay_ns)
{
    s = netsim_new(5, &lan);
    for (unsigned i = 0; i < nodes; i++) {
        struct pubsub_config cfg = netsim_config(mode);
        cfg.jobs = jobs;
        cfg.k = 4;
        cfg.mult = 1.5;
        cfg.threshold = 0.75;
        netsim_add(s, &cfg);
        netsim_work(s, i, delay_ns);
        netsim_subscribe(s, i, TOPIC);
    }
}

static struct pubsub_counters counters(unsigned n)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, n), &c);
    return c;
}

static struct slice text(char *out, size_t cap, unsigned i)
{
    return slice_of(out, (size_t)snprintf(out, cap, "message number %u", i));
}

/* As many come as there are; in the order in which they were published, though their checks end in any order. */
static void messages_arrive(unsigned jobs, uint64_t delay_ns, bool has_order)
{
    const struct netsim_delivery *d;
    unsigned count;
    char t[64];

    make(PUBSUB_GOSSIP, 6, jobs, delay_ns);
    netsim_connect_all(s, V12);
    netsim_run(s, 3 * NETSIM_S);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(netsim_publish(s, 0, TOPIC, text(t, sizeof(t), i)), 0);
    netsim_run(s, 2 * NETSIM_S);
    for (unsigned n = 1; n < 6; n++) {
        d = netsim_deliveries(s, n, &count);
        assert_int_equal(count, 300);
        for (unsigned i = 0; i < 300 && has_order; i++)
            assert_int_equal(d[i].hash, netsim_hash(text(t, sizeof(t), i)));
        assert_int_equal(counters(n).rejected, 0);
        assert_true(counters(n).jobs_verify >= (jobs > 1 ? 300 : 1));
        assert_int_equal(pubsub_jobs_free(netsim_core(s, n)), jobs);
    }
    netsim_free(s);
}

static void test_checks_elsewhere_keep_the_order(void **state)
{
    messages_arrive(512, 20 * NETSIM_MS, true);
}

static void test_checks_that_come_back_at_once(void **state)
{
    messages_arrive(8, 0, true);
}

/* Beyond the stock the core checks for itself. */
static void test_a_small_stock_is_enough(void **state)
{
    messages_arrive(1, 5 * NETSIM_MS, false);
}

static struct raw *meshed(unsigned delay_ms)
{
    struct raw *r = raw_new(s, 0, V12, true);

    netsim_work(s, 0, 1); /* so that what goes on before does not wait */
    raw_graft(r, 0, TOPIC);
    netsim_work(s, 0, delay_ms * NETSIM_MS);
    return r;
}

static uint64_t invalid(const struct raw *r)
{
    struct pubsub_peer_info info[16];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 16);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i].score_parts[3] < 0;
    return 2;
}

/* The same bytes of two peers are checked once; both count as having brought them. */
static void test_copies_wait_for_one_check(void **state)
{
    struct buf *f;
    struct raw *a, *b;

    make(PUBSUB_GOSSIP, 1, 16, 0);
    a = meshed(1000);
    b = meshed(1000);
    f = raw_field(netsim_key(s, a->node), TOPIC, 7, slice_str("x"), false);
    raw_send(a, 0, buf_slice(f));
    raw_send(b, 0, buf_slice(f));
    raw_send(b, 0, buf_slice(f));
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(netsim_count(s, 0, TOPIC, slice_str("x")), 1);
    assert_int_equal(counters(0).jobs_verify, 1);
    assert_int_equal(counters(0).duplicates, 2);
    assert_int_equal(raw_count(b, RPC_MESSAGE), 0); /* it has it */
    raw_send(b, 0, buf_slice(f));
    assert_int_equal(counters(0).duplicates, 3);
    buf_unref(f);
    raw_free(a);
    raw_free(b);
    netsim_free(s);
}

/* All who brought a forged message are to blame; the true one of the same id comes through, before or behind it. */
static void test_forged_copies_count_against_each_and_hide_nothing(void **state)
{
    for (unsigned order = 0; order < 2; order++) {
        struct buf *good, *bad;
        struct raw *a, *b, *c;

        make(PUBSUB_GOSSIP, 1, 16, 0);
        a = meshed(200);
        b = meshed(200);
        c = meshed(200);
        good = raw_field(netsim_key(s, a->node), TOPIC, 7, slice_str("x"), false);
        bad = raw_field(netsim_key(s, a->node), TOPIC, 7, slice_str("x"), true);
        if (order)
            raw_send(c, 0, buf_slice(good));
        raw_send(a, 0, buf_slice(bad));
        raw_send(b, 0, buf_slice(bad));
        if (!order)
            raw_send(c, 0, buf_slice(good));
        netsim_run(s, NETSIM_S);
        assert_int_equal(counters(0).jobs_verify, 2);
        assert_int_equal(netsim_count(s, 0, TOPIC, slice_str("x")), 1);
        assert_int_equal(counters(0).bad_signatures, 2);
        assert_int_equal(invalid(a), 1);
        assert_int_equal(invalid(b), 1);
        assert_int_equal(invalid(c), 0);
        buf_unref(good);
        buf_unref(bad);
        raw_free(a);
        raw_free(b);
        raw_free(c);
        netsim_free(s);
    }
}

/* Who brought it may leave meanwhile; so may the reader, and the whole core. */
static void test_what_goes_meanwhile(void **state)
{
    struct raw *a, *b, *c;

    make(PUBSUB_GOSSIP, 1, 16, 0);
    a = meshed(500);
    raw_message(a, 0, TOPIC, 1, slice_str("one"), false);
    raw_message(a, 0, TOPIC, 2, slice_str("two"), true);
    netsim_disconnect(s, 0, a->node);
    netsim_run(s, NETSIM_S);
    assert_int_equal(netsim_count(s, 0, TOPIC, slice_str("one")), 1);
    assert_int_equal(netsim_count(s, 0, TOPIC, slice_str("two")), 0);

    b = meshed(500);
    raw_message(b, 0, TOPIC, 3, slice_str("three"), false);
    netsim_unsubscribe(s, 0, TOPIC);
    netsim_run(s, NETSIM_S);
    assert_int_equal(netsim_count(s, 0, TOPIC, slice_str("three")), 0);
    assert_int_equal(counters(0).unsubscribed, 1);

    netsim_subscribe(s, 0, TOPIC);
    c = meshed(500);
    raw_message(c, 0, TOPIC, 4, slice_str("four"), false);
    assert_int_equal(pubsub_jobs_free(netsim_core(s, 0)), 15);
    netsim_free(s);
    raw_free(a);
    raw_free(b);
    raw_free(c);
}

static void test_shards_are_hashed_elsewhere(void **state)
{
    static const uint64_t delays[] = {0, NETSIM_MS, 10 * NETSIM_MS};
    static uint8_t bytes[1 << 20];

    for (size_t d = 0; d < sizeof(delays) / sizeof(delays[0]); d++) {
        struct rng rng;
        rng_init_seeded(&rng, d);
        make(PUBSUB_CODED, 8, d == 2 ? 4 : 64, delays[d]);
        netsim_connect_all(s, PUBSUB_CODED_1);
        netsim_run(s, 3 * NETSIM_S);
        for (unsigned i = 0; i < 6; i++) {
            struct slice p = slice_of(bytes, i % 2 ? sizeof(bytes) : 100000);
            rng_fill(&rng, bytes, p.len);
            assert_int_equal(netsim_publish(s, i, TOPIC, p), 0);
            netsim_run(s, NETSIM_S);
            for (unsigned n = 0; n < 8; n++)
                assert_int_equal(netsim_count(s, n, TOPIC, p), 1);
        }
        for (unsigned n = 0; n < 8; n++) {
            assert_true(counters(n).jobs_hash >= 10);
            assert_int_equal(counters(n).shards_forged, 0);
            assert_int_equal(netsim_disconnects(s, n), 0);
            assert_int_equal(pubsub_jobs_free(netsim_core(s, n)), d == 2 ? 4 : 64);
        }
        netsim_free(s);
    }
}

/* The first copy of a shard is forged, the true one comes while that is hashed: the liar is cut off, and the true one is taken when it
 * comes again. */
static void test_a_forged_shard_hides_nothing_for_long(void **state)
{
    static struct maker m;
    static uint8_t wrong[20000];
    uint8_t index = 0;
    struct raw *liar, *honest;

    make(PUBSUB_CODED, 1, 16, 0);
    maker_open(&m, 9);
    maker_message(&m, 4, 4 * sizeof(wrong));
    liar = raw_new(s, 0, PUBSUB_CODED_1, true);
    honest = raw_new(s, 0, PUBSUB_CODED_1, true);
    netsim_work(s, 0, 500 * NETSIM_MS);
    raw_send(honest, 0, maker_header(&m));
    raw_send(liar, 0, maker_shard(&m, slice_of(&index, 1), slice_of(wrong, sizeof(wrong)), 1, 0));
    raw_send(honest, 0, maker_source(&m, 0, 4));
    assert_int_equal(counters(0).jobs_hash, 1);
    assert_int_equal(counters(0).shards_duplicate, 1);
    netsim_run(s, NETSIM_S);
    assert_int_equal(counters(0).shards_forged, 1);
    assert_int_equal(netsim_disconnects(s, 0), 1);
    assert_false(netsim_is_connected(s, 0, liar->node));
    for (unsigned i = 0; i < 4; i++)
        raw_send(honest, 0, maker_source(&m, i, 4));
    netsim_run(s, NETSIM_S);
    assert_int_equal(netsim_count(s, 0, "demo", buf_slice(m.payload)), 1);
    assert_true(netsim_is_connected(s, 0, honest->node));
    assert_int_equal(counters(0).jobs_hash, 5);
    netsim_free(s);
    raw_free(liar);
    raw_free(honest);
    maker_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks_elsewhere_keep_the_order),
        cmocka_unit_test(test_checks_that_come_back_at_once),
        cmocka_unit_test(test_a_small_stock_is_enough),
        cmocka_unit_test(test_copies_wait_for_one_check),
        cmocka_unit_test(test_forged_copies_count_against_each_and_hide_nothing),
        cmocka_unit_test(test_what_goes_meanwhile),
        cmocka_unit_test(test_shards_are_hashed_elsewhere),
        cmocka_unit_test(test_a_forged_shard_hides_nothing_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
