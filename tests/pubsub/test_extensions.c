/* v1.3: the Extensions control message, and the extension that tests it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12

static struct netsim *s;

static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    return 0;
}

static int close_sim(void **state)
{
    netsim_free(s);
    return 0;
}

static struct pubsub_counters counters(void)
{
    return netsim_counters(s, 0);
}

static double score(const struct raw *r)
{
    struct pubsub_peer_info info[64];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 64);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i].score;
    return -1e9;
}

static bool hears_first(const struct raw *r, enum rpc_item_type type)
{
    return r->count && r->notes[0].type == type && raw_count(r, type) == 1;
}

static void extensions_rpc(struct raw *r, bool has_test)
{
    uint8_t out[32];
    struct wr w = wr_of(out, sizeof(out));

    rpc_put_extensions(&w, has_test);
    raw_send(r, 0, slice_of(out, w.len));
}

/* v1.3: said first and once; both who know the test extension send its message. */
static void test_extensions_are_exchanged_with_v13_peers(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct raw *both, *plain, *old;
    unsigned n;

    cfg.has_test_extension = true;
    n = netsim_add(s, &cfg);
    for (int i = 0; i < 300; i++) { /* more than one RPC of subscriptions */
        char topic[256];
        snprintf(topic, sizeof(topic), "%0250d", i);
        netsim_subscribe(s, n, topic);
    }
    both = raw_new(s, n, PUBSUB_MESHSUB_13, true);
    plain = raw_new(s, n, PUBSUB_MESHSUB_13, false);
    old = raw_new(s, n, V12, true);
    assert_true(hears_first(both, RPC_EXTENSIONS) && hears_first(plain, RPC_EXTENSIONS));
    assert_int_equal(raw_count(old, RPC_EXTENSIONS), 0);
    uint8_t out[32];
    struct wr w = wr_of(out, sizeof(out)), w2 = wr_of(out, sizeof(out));
    rpc_put_extensions(&w, true);
    raw_send(both, n, slice_of(out, w.len));
    raw_send(old, n, slice_of(out, w.len)); /* an unknown field to its version */
    rpc_put_extensions(&w2, false);
    raw_send(plain, n, slice_of(out, w2.len));
    assert_int_equal(raw_count(both, RPC_EXTENSION), 1);
    assert_int_equal(raw_last(both, RPC_EXTENSION)->number, EXTENSIONS_F_TEST);
    assert_int_equal(raw_count(plain, RPC_EXTENSION), 0);
    assert_int_equal(raw_count(old, RPC_EXTENSION), 0);
    raw_free(both);
    raw_free(plain);
    raw_free(old);
}

static void test_extensions_said_late_or_twice_do_not_count(void **state)
{
    struct raw *late = raw_new(s, 0, PUBSUB_MESHSUB_13, true), *twice = raw_new(s, 0, PUBSUB_MESHSUB_13, true);

    raw_subscribe(late, 0, TOPIC, true);
    extensions_rpc(late, true);
    assert_int_equal(counters().extensions_bad, 1);
    assert_int_equal(counters().extensions_in, 0);
    assert_true(score(late) == 0);
    for (int i = 0; i < 9; i++)
        extensions_rpc(twice, true);
    assert_int_equal(counters().extensions_in, 1);
    assert_true(score(twice) < 0); /* past what is forgiven */
    raw_free(late);
    raw_free(twice);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_extensions_are_exchanged_with_v13_peers),
        TEST(test_extensions_said_late_or_twice_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
