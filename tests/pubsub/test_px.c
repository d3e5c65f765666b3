/* Peer exchange: whom a PRUNE names, and whose word is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "libp2p/peer_record.h"
#include "pubsub/raw.h"

#define TOPIC   "demo"
#define V12     PUBSUB_MESHSUB_12
#define TRUSTED 20

static struct netsim *s;

/* Node 0 has a mesh of at most two. */
static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.has_px = true;
    cfg.mesh_target = cfg.mesh_max = 2;
    cfg.mesh_min = 1;
    cfg.mesh_out = 1;
    s = netsim_new(1, NULL);
    netsim_with_records(s);
    netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
    return 0;
}

static int close_sim(void **state)
{
    netsim_free(s);
    return 0;
}

static struct pubsub_counters counters(unsigned n)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, n), &c);
    return c;
}

static struct raw *meshed(void)
{
    struct raw *r = raw_new(s, 0, V12, true);

    raw_graft(r, 0, TOPIC);
    return r;
}

static struct slice record_of(unsigned node, uint64_t seq, uint8_t out[512])
{
    static const uint8_t addr[] = {4, 10, 0, 0, 9, 6, 0x1b, 0x9e};
    struct slice addrs = slice_of(addr, sizeof(addr));
    ssize_t n = peer_record_seal(netsim_key(s, node), seq, &addrs, 1, out, 512);

    assert_true(n > 0);
    return slice_of(out, (size_t)n);
}

static unsigned stranger(void)
{
    return netsim_add_raw(s, NULL, NULL);
}

static void trust(const struct raw *r, double score)
{
    pubsub_peer_app_score(netsim_core(s, 0), r->node + 1, score);
}

static void test_px_names_others_when_the_mesh_is_full(void **state)
{
    struct raw *a = meshed(), *b = meshed(), *c = meshed();
    const struct raw_note *n = raw_last(c, RPC_PRUNE);

    assert_int_equal(raw_count(a, RPC_PRUNE), 0);
    assert_non_null(n);
    assert_int_equal(n->nids, 2);
    assert_int_equal(n->nrecords, 2);
    assert_int_equal(counters(0).px_out, 2);
    raw_free(a);
    raw_free(b);
    raw_free(c);
}

static void test_px_names_others_when_we_unsubscribe(void **state)
{
    struct raw *a = meshed(), *b = meshed();

    netsim_unsubscribe(s, 0, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_last(a, RPC_PRUNE)->nids, 1); /* not itself */
    assert_int_equal(raw_last(a, RPC_PRUNE)->backoff_s, 10);
    assert_int_equal(raw_last(b, RPC_PRUNE)->nids, 1);
    raw_free(a);
    raw_free(b);
}

static void test_px_names_nobody_to_peers_that_break_rules(void **state)
{
    struct raw *a = meshed(), *b = meshed();

    trust(a, -1);
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(raw_last(a, RPC_PRUNE)->nids, 0);
    raw_forget(a);
    trust(a, 0);
    raw_graft(a, 0, TOPIC); /* within the backoff */
    assert_int_equal(raw_last(a, RPC_PRUNE)->nids, 0);
    raw_free(a);
    raw_free(b);
}

static void test_px_leaves_out_peers_with_a_bad_score(void **state)
{
    struct raw *a = meshed(), *b = meshed(), *c;

    trust(b, -1);
    c = raw_new(s, 0, V12, true);
    raw_graft(c, 0, TOPIC);
    assert_int_equal(raw_last(c, RPC_PRUNE)->nids, 1);
    raw_free(a);
    raw_free(b);
    raw_free(c);
}

static void test_px_is_not_sent_when_it_is_off(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    unsigned n = netsim_add(s, &cfg);
    struct raw *a = raw_new(s, n, V12, true), *b = raw_new(s, n, V12, true);

    netsim_subscribe(s, n, TOPIC);
    raw_graft(a, n, TOPIC);
    raw_graft(b, n, TOPIC);
    netsim_unsubscribe(s, n, TOPIC);
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_last(a, RPC_PRUNE)->nids, 0);
    raw_free(a);
    raw_free(b);
}

static void test_px_with_a_good_record_is_dialed(void **state)
{
    struct raw *a = meshed();
    unsigned who = stranger();
    uint8_t space[512];
    struct rpc_px px = {peer_id_slice(netsim_peer_id(s, who)), record_of(who, 1, space)};

    trust(a, TRUSTED);
    raw_prune_px(a, 0, TOPIC, &px, 1);
    assert_int_equal(netsim_dials(s, 0), 1);
    assert_int_equal(counters(0).px_dials, 1);
    raw_free(a);
}

static void test_px_without_a_record_is_left_to_the_dialer(void **state)
{
    struct raw *a = meshed();
    struct rpc_px px = {peer_id_slice(netsim_peer_id(s, stranger())), {0}};

    trust(a, TRUSTED);
    raw_prune_px(a, 0, TOPIC, &px, 1);
    assert_int_equal(netsim_dials(s, 0), 1);
    raw_free(a);
}

static void test_px_below_the_threshold_is_not_believed(void **state)
{
    struct raw *a = meshed();
    unsigned who = stranger();
    uint8_t space[512];
    struct rpc_px px = {peer_id_slice(netsim_peer_id(s, who)), record_of(who, 1, space)};

    raw_prune_px(a, 0, TOPIC, &px, 1);
    assert_int_equal(netsim_dials(s, 0), 0);
    assert_int_equal(counters(0).px_ignored, 1);
    raw_free(a);
}

static void test_px_with_a_bad_record_is_dropped(void **state)
{
    struct raw *a = meshed();
    unsigned who = stranger(), other = stranger();
    uint8_t good[512], bad[512];
    struct slice g = record_of(who, 1, good), b = record_of(who, 1, bad);
    struct rpc_px px[] = {
        {peer_id_slice(netsim_peer_id(s, other)), g}, /* of somebody else */
        {peer_id_slice(netsim_peer_id(s, who)), b},
        {SLICE_LIT("not a peer id"), g},
    };

    bad[b.len - 1] ^= 1;
    trust(a, TRUSTED);
    raw_prune_px(a, 0, TOPIC, px, 3);
    assert_int_equal(netsim_dials(s, 0), 0);
    assert_int_equal(counters(0).px_bad_records, 2);
    raw_free(a);
}

static void test_px_of_ourselves_and_of_neighbours_is_nothing_new(void **state)
{
    struct raw *a = meshed(), *b = meshed();
    struct rpc_px px[] = {{peer_id_slice(netsim_peer_id(s, 0)), {0}}, {peer_id_slice(netsim_peer_id(s, b->node)), {0}}};

    trust(a, TRUSTED);
    raw_prune_px(a, 0, TOPIC, px, 2);
    assert_int_equal(netsim_dials(s, 0), 0);
    raw_free(a);
    raw_free(b);
}

static void test_px_of_one_peer_is_bounded_per_heartbeat(void **state)
{
    struct raw *a = meshed();
    struct rpc_px px[40];

    for (unsigned i = 0; i < 40; i++)
        px[i] = (struct rpc_px){peer_id_slice(netsim_peer_id(s, stranger())), {0}};
    trust(a, TRUSTED);
    raw_prune_px(a, 0, TOPIC, px, 40);
    assert_int_equal(netsim_dials(s, 0), limit_max(LIMIT_PX_PEERS));
    assert_int_equal(counters(0).limits[LIMIT_PX_PEERS], 24);
    raw_free(a);
}

static void test_peer_record_must_be_the_peers_own_and_newer(void **state)
{
    struct raw *a = raw_new(s, 0, V12, true), *b = raw_new(s, 0, V12, true);
    struct pubsub *ps = netsim_core(s, 0);
    uint8_t space[512];

    assert_int_equal(pubsub_peer_record(ps, a->node + 1, record_of(b->node, 9, space), netsim_now(s)), -PUBSUB_ERECORD);
    assert_int_equal(pubsub_peer_record(ps, a->node + 1, SLICE_LIT("x"), netsim_now(s)), -PUBSUB_ERECORD);
    assert_int_equal(pubsub_peer_record(ps, 999, record_of(a->node, 9, space), netsim_now(s)), -PUBSUB_ENOPEER);
    assert_int_equal(pubsub_peer_record(ps, a->node + 1, record_of(a->node, UINT64_MAX, space), netsim_now(s)), 0);
    assert_int_equal(pubsub_peer_record(ps, a->node + 1, record_of(a->node, 1, space), netsim_now(s)), 0); /* older */
    raw_free(a);
    raw_free(b);
}

/* Sixteen nodes know only the hub, which has no room for all: PRUNEs tell them of each other, and when the hub dies they
 * are a network. */
static void test_px_turns_a_star_into_a_mesh(void **state)
{
    enum { LEAVES = 16 };
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    unsigned first = 0;

    netsim_with_dials(s);
    cfg.has_px = true;
    for (unsigned i = 0; i < LEAVES; i++) {
        unsigned n = netsim_add(s, &cfg);
        first = i ? first : n;
        netsim_subscribe(s, n, TOPIC);
        netsim_connect(s, n, 0, V12);
        pubsub_peer_app_score(netsim_core(s, n), 1, TRUSTED);
        netsim_run(s, NETSIM_S / 10);
    }
    netsim_run(s, 10 * NETSIM_S);
    netsim_kill(s, 0);
    netsim_run(s, 10 * NETSIM_S);
    assert_int_equal(netsim_publish(s, first, TOPIC, SLICE_LIT("without the hub")), 0);
    netsim_run(s, 5 * NETSIM_S);
    for (unsigned i = first; i < first + LEAVES; i++)
        assert_int_equal(netsim_count(s, i, TOPIC, SLICE_LIT("without the hub")), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_px_names_others_when_the_mesh_is_full),
        TEST(test_px_names_others_when_we_unsubscribe),
        TEST(test_px_names_nobody_to_peers_that_break_rules),
        TEST(test_px_leaves_out_peers_with_a_bad_score),
        TEST(test_px_is_not_sent_when_it_is_off),
        TEST(test_px_with_a_good_record_is_dialed),
        TEST(test_px_without_a_record_is_left_to_the_dialer),
        TEST(test_px_below_the_threshold_is_not_believed),
        TEST(test_px_with_a_bad_record_is_dropped),
        TEST(test_px_of_ourselves_and_of_neighbours_is_nothing_new),
        TEST(test_px_of_one_peer_is_bounded_per_heartbeat),
        TEST(test_peer_record_must_be_the_peers_own_and_newer),
        TEST(test_px_turns_a_star_into_a_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
