/* Who is in a core's mesh, as members come, leave, are too many or too few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/core.h"
#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12
#define CODED PUBSUB_CODED_1

static struct netsim *s;

/* Node 0, subscribed, with D, Dlo and Dhi. */
static void begin(unsigned target, unsigned min, unsigned max)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_CODED);

    cfg.mesh_target = target;
    cfg.mesh_min = min;
    cfg.mesh_max = max;
    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
}

static int close_sim(void **state)
{
    netsim_free(s);
    return 0;
}

static struct pubsub_counters counters(void)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, 0), &c);
    return c;
}

static bool is_mesh(const struct raw *r)
{
    return pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1);
}

static unsigned count_mesh(struct raw **r, unsigned n)
{
    unsigned in = 0;

    for (unsigned i = 0; i < n; i++)
        in += is_mesh(r[i]);
    return in;
}

static unsigned count_grafts(struct raw **r, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += raw_count(r[i], RPC_GRAFT);
    return sum;
}

static void peers(struct raw **r, unsigned n, enum pubsub_proto proto, bool is_dialer)
{
    for (unsigned i = 0; i < n; i++) {
        r[i] = raw_new(s, 0, proto, is_dialer);
        raw_subscribe(r[i], 0, TOPIC, true);
    }
}

static void free_all(struct raw **r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        raw_free(r[i]);
}

static struct raw *some_member(struct raw **r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (is_mesh(r[i]))
            return r[i];
    fail();
    return NULL;
}

/* Who grafts us has too few, and at Dhi we have more than we need: the last that came makes room, once a heartbeat. Peers that we dialed are
 * taken anyway. */
static void test_full_mesh_makes_room_once_a_heartbeat(void **state)
{
    struct raw *in[14], *out;

    begin(6, 4, 12);
    for (unsigned i = 0; i < 14; i++) {
        in[i] = raw_new(s, 0, V12, true);
        raw_graft(in[i], 0, TOPIC);
        assert_int_equal(is_mesh(in[i]), i < 13);
    }
    assert_false(is_mesh(in[11])); /* for in[12] */
    for (unsigned i = 0; i < 14; i++)
        assert_int_equal(raw_count(in[i], RPC_PRUNE), i == 11 || i == 13);
    assert_int_equal(raw_last(in[11], RPC_PRUNE)->backoff_s, 60);
    assert_int_equal(raw_last(in[13], RPC_PRUNE)->backoff_s, 60);
    assert_int_equal(counters().made_room, 1);
    out = raw_new(s, 0, V12, false);
    raw_graft(out, 0, TOPIC);
    assert_true(is_mesh(out));
    assert_int_equal(count_mesh(in, 14), 12);
    /* The heartbeat brings it down to D, the outbound one among them. */
    netsim_run(s, 1500 * NETSIM_MS);
    assert_true(is_mesh(out));
    assert_int_equal(count_mesh(in, 14), 5);
    free_all(in, 14);
    raw_free(out);
}

static void test_members_up_to_d_stay(void **state)
{
    struct raw *in[4];

    begin(3, 3, 3);
    peers(in, 3, V12, true);
    assert_int_equal(count_mesh(in, 3), 3);
    in[3] = raw_new(s, 0, V12, true);
    raw_graft(in[3], 0, TOPIC);
    assert_false(is_mesh(in[3]));
    assert_int_equal(count_mesh(in, 3), 3);
    assert_int_equal(counters().made_room, 0);
    free_all(in, 4);
}

/* Dout of those that we dialed are not sent away for others. */
static void test_outbound_members_make_no_room(void **state)
{
    struct raw *r[13];

    begin(6, 4, 12);
    for (unsigned i = 0; i < 13; i++) {
        r[i] = raw_new(s, 0, V12, i < 10 || i == 12);
        raw_graft(r[i], 0, TOPIC);
    }
    assert_int_equal(count_mesh(r, 13), 12);
    assert_false(is_mesh(r[9])); /* the last that came before the two */
    free_all(r, 13);
}

static void test_dout_is_filled_from_outbound_peers(void **state)
{
    struct raw *in[6], *out[2];

    begin(6, 4, 12);
    for (unsigned i = 0; i < 6; i++) {
        in[i] = raw_new(s, 0, V12, true);
        raw_graft(in[i], 0, TOPIC);
    }
    for (unsigned i = 0; i < 2; i++) {
        out[i] = raw_new(s, 0, V12, false);
        raw_subscribe(out[i], 0, TOPIC, true);
        assert_false(is_mesh(out[i])); /* the mesh is large enough: not at once */
    }
    netsim_run(s, 1500 * NETSIM_MS);
    assert_int_equal(count_mesh(out, 2), 2);
    free_all(in, 6);
    free_all(out, 2);
}

/* Ten that know the topic, the mesh at Dlo. */
static void at_lo(struct raw **r)
{
    begin(4, 4, 12);
    peers(r, 10, V12, false);
    assert_int_equal(count_mesh(r, 10), 4);
    assert_int_equal(count_grafts(r, 10), 4);
}

static void assert_replaced(struct raw **r, const struct raw *gone)
{
    assert_false(is_mesh(gone));
    assert_int_equal(count_mesh(r, 10), 4);
    assert_int_equal(count_grafts(r, 10), 5); /* and no heartbeat has passed */
    assert_int_equal(counters().refills, 1);
    free_all(r, 10);
}

static void test_who_prunes_us_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    raw_prune(gone, 0, TOPIC, 60);
    assert_replaced(r, gone);
}

static void test_who_unsubscribes_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    raw_subscribe(gone, 0, TOPIC, false);
    assert_replaced(r, gone);
}

static void test_who_is_gone_is_replaced_at_once(void **state)
{
    struct raw *r[10], *gone;

    at_lo(r);
    gone = some_member(r, 10);
    netsim_disconnect(s, 0, gone->node);
    netsim_run(s, 10 * NETSIM_MS);
    assert_replaced(r, gone);
}

/* All refuse: between two heartbeats no more than Dhi are asked. */
static void test_refusals_are_followed_by_dhi_others(void **state)
{
    struct raw *r[12];
    unsigned grafts, before;

    begin(3, 3, 4);
    peers(r, 12, V12, false);
    netsim_run(s, (NETSIM_S - (netsim_now(s) - NETSIM_START) % NETSIM_S) + 50 * NETSIM_MS); /* just after a heartbeat */
    before = grafts = count_grafts(r, 12);
    for (bool more = true; more;) {
        raw_prune(some_member(r, 12), 0, TOPIC, 60);
        more = count_grafts(r, 12) > grafts;
        grafts = count_grafts(r, 12);
    }
    assert_int_equal(grafts - before, 4);
    free_all(r, 12);
}

/* Nobody left to graft: one of ours is asked all the same, at once, then after 1, 2, 4 .. 32 heartbeats. */
static void test_in_need_we_ask_peers_of_ours(void **state)
{
    static const unsigned after_s[] = {1, 3, 7, 15, 31, 63};
    struct raw *r[3];
    unsigned asked = 0;

    begin(3, 3, 4);
    peers(r, 3, CODED, false);
    assert_int_equal(count_mesh(r, 3), 3);
    for (unsigned i = 0; i < 3; i++) {
        raw_forget(r[i]);
        raw_prune(r[i], 0, TOPIC, 3600);
    }
    for (unsigned at_s = 0; at_s < 70; at_s++) {
        for (unsigned i = 0; i < 3; i++) {
            asked += raw_count(r[i], RPC_GRAFT);
            if (raw_count(r[i], RPC_GRAFT)) {
                assert_true(raw_last(r[i], RPC_GRAFT)->is_in_need);
                raw_prune(r[i], 0, TOPIC, 3600); /* and refuses */
            }
            raw_forget(r[i]);
        }
        for (unsigned i = 0; i < sizeof(after_s) / sizeof(after_s[0]); i++)
            if (at_s == after_s[i] + 1)
                assert_in_range(asked, i + 1, i + 3);
        netsim_run(s, NETSIM_S - 10 * NETSIM_MS);
    }
    assert_in_range(asked, 6, 8);
    assert_int_equal(counters().needy_out, asked);
    free_all(r, 3);
}

static void test_in_need_nobody_else_is_asked(void **state)
{
    struct raw *r[3];

    begin(3, 3, 4);
    peers(r, 3, V12, false);
    for (unsigned i = 0; i < 3; i++) {
        raw_forget(r[i]);
        raw_prune(r[i], 0, TOPIC, 3600);
    }
    netsim_run(s, 20 * NETSIM_S);
    assert_int_equal(count_grafts(r, 3), 0);
    assert_int_equal(counters().needy_out, 0);
    free_all(r, 3);
}

/* A full mesh within the backoff: two places are for those in need, for a minute; then they are members like others. */
static void test_a_mesh_has_two_places_for_those_in_need(void **state)
{
    struct raw *in[3], *needy[3];

    begin(3, 3, 3);
    peers(in, 3, CODED, true);
    for (unsigned i = 0; i < 3; i++) {
        needy[i] = raw_new(s, 0, CODED, true);
        raw_graft(needy[i], 0, TOPIC);
        assert_false(is_mesh(needy[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        raw_graft_in_need(needy[i], 0, TOPIC);
    assert_int_equal(count_mesh(needy, 3), NEEDY_MAX);
    assert_int_equal(raw_count(needy[2], RPC_PRUNE), 2);
    assert_int_equal(counters().needy_taken, NEEDY_MAX);
    assert_int_equal(counters().needy_refused, 1);
    assert_int_equal(counters().backoff_violations, 0);
    netsim_run(s, (NEEDY_TICKS - 2) * NETSIM_S);
    assert_int_equal(count_mesh(needy, 2), 2);
    assert_int_equal(count_mesh(in, 3), 3);
    netsim_run(s, 4 * NETSIM_S);
    assert_int_equal(count_mesh(needy, 2) + count_mesh(in, 3), 3);
    free_all(in, 3);
    free_all(needy, 3);
}

/* With room it is a GRAFT like any other. */
static void test_in_need_with_room_takes_no_place(void **state)
{
    struct raw *r[NEEDY_MAX + 1];

    begin(3, 3, 4);
    for (unsigned i = 0; i < NEEDY_MAX + 1; i++) {
        r[i] = raw_new(s, 0, CODED, true);
        raw_graft_in_need(r[i], 0, TOPIC);
    }
    assert_int_equal(count_mesh(r, NEEDY_MAX + 1), NEEDY_MAX + 1);
    assert_int_equal(counters().needy_taken, 0);
    free_all(r, NEEDY_MAX + 1);
}

/* It is a word between peers of ours; of others an early GRAFT is what it always was. */
static void test_in_need_is_not_for_gossipsub_peers(void **state)
{
    struct raw *r;

    begin(3, 3, 3);
    r = raw_new(s, 0, V12, true);
    raw_subscribe(r, 0, TOPIC, true);
    raw_prune(r, 0, TOPIC, 60);
    raw_graft_in_need(r, 0, TOPIC);
    assert_false(is_mesh(r));
    assert_int_equal(counters().backoff_violations, 1);
    raw_free(r);
}

/* Eight with a mesh of 3 to 4, each joining at its time: what is published meanwhile, and after, is nowhere late. (A mesh that falls into
 * pieces has only gossip between them, once a second.) */
static void run_small_network(uint64_t seed, enum pubsub_mode mode)
{
    struct netsim *n = netsim_new(seed, NULL);
    struct rng rng;

    rng_init_seeded(&rng, seed);
    for (unsigned i = 0; i < 8; i++) {
        struct pubsub_config cfg = netsim_config(mode);

        cfg.mesh_target = cfg.mesh_min = 3;
        cfg.mesh_max = 4;
        netsim_add(n, &cfg);
    }
    netsim_connect_all(n, mode == PUBSUB_CODED ? CODED : V12);
    for (unsigned i = 0; i < 8; i++) {
        netsim_run(n, rng_below(&rng, 200) * NETSIM_MS);
        netsim_subscribe(n, i, TOPIC);
    }
    for (unsigned i = 0; i < 24; i++) {
        uint8_t bytes[1024];
        struct slice p = slice_of(bytes, sizeof(bytes));

        rng_fill(&rng, bytes, sizeof(bytes));
        assert_int_equal(netsim_publish(n, (unsigned)rng_below(&rng, 8), TOPIC, p), 0);
        netsim_run(n, 50 * NETSIM_MS);
        for (unsigned k = 0; k < 8; k++)
            if (netsim_count(n, k, TOPIC, p) != 1)
                fail_msg("seed %u, message %u: late at node %u", (unsigned)seed, i, k);
        netsim_run(n, 200 * NETSIM_MS);
    }
    netsim_free(n);
}

static void test_no_message_is_late_in_a_small_mesh(void **state)
{
    begin(6, 4, 12); /* for close_sim */
    for (uint64_t seed = 1; seed <= 60; seed++) {
        run_small_network(seed, PUBSUB_CODED);
        run_small_network(seed, PUBSUB_GOSSIP);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_full_mesh_makes_room_once_a_heartbeat),
        TEST(test_members_up_to_d_stay),
        TEST(test_outbound_members_make_no_room),
        TEST(test_dout_is_filled_from_outbound_peers),
        TEST(test_who_prunes_us_is_replaced_at_once),
        TEST(test_who_unsubscribes_is_replaced_at_once),
        TEST(test_who_is_gone_is_replaced_at_once),
        TEST(test_refusals_are_followed_by_dhi_others),
        TEST(test_in_need_we_ask_peers_of_ours),
        TEST(test_in_need_nobody_else_is_asked),
        TEST(test_a_mesh_has_two_places_for_those_in_need),
        TEST(test_in_need_with_room_takes_no_place),
        TEST(test_in_need_is_not_for_gossipsub_peers),
        TEST(test_no_message_is_late_in_a_small_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
