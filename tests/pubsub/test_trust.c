/* What a score does: thresholds, meshes that follow scores, and the rules of ids that a network may choose. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/core.h"
#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12
#define CROWD 48

static struct netsim *s;
static struct raw *crowd[CROWD];
static unsigned ncrowd;

static int open_empty(void **state)
{
    s = netsim_new(1, NULL);
    ncrowd = 0;
    return 0;
}

static int close_sim(void **state)
{
    while (ncrowd)
        raw_free(crowd[--ncrowd]);
    netsim_free(s);
    return 0;
}

static void node(const struct pubsub_config *cfg)
{
    unsigned n = netsim_add(s, cfg);

    netsim_subscribe(s, n, TOPIC);
}

static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    open_empty(state);
    node(&cfg);
    return 0;
}

static struct raw *peer(bool is_grafting)
{
    struct raw *r = crowd[ncrowd++] = raw_new(s, 0, V12, true);

    if (is_grafting)
        raw_graft(r, 0, TOPIC);
    else
        raw_subscribe(r, 0, TOPIC, true);
    return r;
}

static bool is_mesh(const struct raw *r)
{
    return pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1);
}

static struct pubsub_counters counters(void)
{
    return netsim_counters(s, 0);
}

static struct pubsub_peer_info info_of(const struct raw *r)
{
    struct pubsub_peer_info info[64];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 64);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i];
    fail_msg("no such peer");
    return info[0];
}

static void trust(const struct raw *r, double score)
{
    pubsub_peer_app_score(netsim_core(s, 0), r->node + 1, score);
}

static void message(struct raw *r, uint64_t seqno)
{
    char text[64];

    snprintf(text, sizeof(text), "message %u of %u", (unsigned)seqno, r->node);
    raw_message(r, 0, TOPIC, seqno, slice_str(text), false);
}

/* ---- thresholds ---- */

static void test_threshold_gossip_stops_gossip_both_ways(void **state)
{
    struct raw *r = peer(false);
    uint8_t space[46];
    struct slice id = raw_id(space, 1);

    for (int i = 0; i < 6; i++)
        peer(true);
    netsim_run(s, NETSIM_S);
    raw_prune(r, 0, TOPIC, 60); /* so that it stays outside */
    trust(r, -11);
    netsim_publish(s, 0, TOPIC, SLICE_LIT("told to others"));
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(raw_count(r, RPC_IHAVE), 0);
    raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, &id, 1);
    assert_int_equal(raw_count(r, RPC_IWANT), 0);
    trust(r, -9);
    raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, &id, 1);
    assert_int_equal(raw_count(r, RPC_IWANT), 1);
    netsim_publish(s, 0, TOPIC, SLICE_LIT("told to it too"));
    netsim_run(s, 2 * NETSIM_S);
    assert_true(raw_count(r, RPC_IHAVE) > 0);
}

static void test_threshold_publish_keeps_our_messages_from_it(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct raw *r;

    cfg.is_flood_publish = true;
    node(&cfg);
    r = peer(false);
    netsim_run(s, NETSIM_S);
    trust(r, -51);
    netsim_run(s, 2 * NETSIM_S); /* it leaves the mesh */
    netsim_publish(s, 0, TOPIC, SLICE_LIT("not for it"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 0);
    trust(r, -49);
    netsim_publish(s, 0, TOPIC, SLICE_LIT("flooded"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
}

static void test_threshold_graylist_ignores_whole_rpcs(void **state)
{
    struct raw *r = peer(true);

    trust(r, -81);
    message(r, 1);
    assert_int_equal(counters().graylisted, 1);
    assert_int_equal(counters().delivered, 0);
    trust(r, -79);
    message(r, 2);
    assert_int_equal(counters().delivered, 1);
}

/* What it reads is known when its score is back; before that it gets nothing of it. */
static void test_graylisted_peers_subscriptions_are_heard(void **state)
{
    struct raw *r = peer(true);

    trust(r, -81);
    raw_subscribe(r, 0, "later", true);
    assert_int_equal(counters().graylisted, 1);
    netsim_subscribe(s, 0, "later");
    netsim_publish(s, 0, "later", SLICE_LIT("not yet"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 0);
    trust(r, 0);
    netsim_publish(s, 0, "later", SLICE_LIT("now"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
    trust(r, -81);
    raw_subscribe(r, 0, "later", false);
    trust(r, 0);
    netsim_publish(s, 0, "later", SLICE_LIT("no more"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
}

static void test_thresholds_and_parameters_are_the_configurations(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct score_thresholds t = score_threshold_defaults;
    struct score_params p = score_defaults;
    struct raw *r;

    t.graylist = -3;
    p.topic.invalid_weight = -4;
    cfg.thresholds = &t;
    cfg.score = &p;
    node(&cfg);
    r = peer(true);
    raw_message(r, 0, TOPIC, 1, SLICE_LIT("x"), true);
    assert_true(info_of(r).score == -4);
    message(r, 2);
    assert_int_equal(counters().graylisted, 1);
}

static void test_topic_parameters_are_its_own(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct pubsub_topic_score strict = {"strict", score_defaults.topic};
    struct raw *r;

    strict.params.weight = 3;
    strict.params.invalid_weight = -10;
    cfg.topic_scores = &strict;
    cfg.ntopic_scores = 1;
    node(&cfg);
    netsim_subscribe(s, 0, "strict");
    r = peer(true);
    raw_message(r, 0, TOPIC, 1, SLICE_LIT("x"), true);
    assert_true(info_of(r).score == -2);
    raw_message(r, 0, "strict", 2, SLICE_LIT("x"), true);
    assert_true(info_of(r).score == -32);
    raw_send(r, 0, SLICE_LIT("\x12\x03\x22\x01x")); /* unsigned, and of no topic of ours: against the peer as a whole */
    assert_true(info_of(r).score == -34);
}

static void test_shared_address_costs_score(void **state)
{
    struct raw *r = NULL;
    unsigned n = 0;

    for (int i = 0; i < 13; i++) {
        r = crowd[ncrowd++] = raw_new(s, 0, V12, true);
        netsim_disconnect(s, r->node, 0);
        netsim_set_ip(s, r->node, 0xc0000201);
        netsim_connect(s, r->node, 0, V12);
    }
    assert_true(info_of(r).score == -45);
    for (unsigned i = 0; i < ncrowd; i++) {
        raw_graft(crowd[i], 0, TOPIC);
        n += is_mesh(crowd[i]);
    }
    assert_int_equal(n, 0); /* colluding peers of one machine do not get in */
}

/* ---- meshes follow scores ---- */

/* A mesh of peers that break no rule and bring nothing; outside it peers that bring messages. */
static void silent_mesh(unsigned outside)
{
    for (int i = 0; i < 6; i++)
        peer(true);
    netsim_run(s, 2 * NETSIM_S);
    for (unsigned i = 0; i < outside; i++) {
        struct raw *r = peer(false);
        raw_prune(r, 0, TOPIC, 1);
    }
    netsim_run(s, 5 * NETSIM_S);
}

static void test_opportunistic_grafting_opens_a_silent_mesh(void **state)
{
    unsigned in = 0;

    silent_mesh(4);
    for (unsigned i = 6; i < 10; i++)
        assert_false(is_mesh(crowd[i]));
    netsim_run(s, 40 * NETSIM_S);
    for (unsigned i = 6; i < 10; i++)
        for (uint64_t n = 1; n < 6; n++)
            message(crowd[i], n);
    netsim_run(s, 20 * NETSIM_S);
    for (unsigned i = 6; i < 10; i++)
        in += is_mesh(crowd[i]);
    assert_int_equal(in, OPPORTUNISTIC_PEERS);
    assert_int_equal(counters().opportunistic_grafts, OPPORTUNISTIC_PEERS);
}

static void test_opportunistic_grafting_leaves_a_good_mesh_alone(void **state)
{
    silent_mesh(4);
    netsim_run(s, 40 * NETSIM_S);
    for (unsigned i = 0; i < 10; i++)
        for (uint64_t n = 1; n < 6; n++)
            message(crowd[i], n);
    netsim_run(s, 20 * NETSIM_S);
    assert_int_equal(counters().opportunistic_grafts, 0);
}

static void test_silent_mesh_member_is_pruned_when_the_topic_has_a_rate(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct score_params p = score_defaults;
    struct raw *silent, *late, *copies, *first;

    p.topic.mesh_weight = -1;
    p.topic.mesh_threshold = 5;
    p.topic.mesh_activation_ns = 5 * NETSIM_S;
    p.topic.failure_weight = -1;
    cfg.score = &p;
    node(&cfg);
    silent = peer(true);
    late = peer(true);
    copies = peer(true);
    first = peer(true);
    for (uint64_t n = 1; n < 20; n++) {
        char text[32];
        snprintf(text, sizeof(text), "%u", (unsigned)n);
        struct buf *b = raw_field(netsim_key(s, first->node), TOPIC, n, slice_str(text), false);
        raw_send(first, 0, buf_slice(b));
        raw_send(copies, 0, buf_slice(b));
        raw_send(copies, 0, buf_slice(b)); /* counts once */
        netsim_run(s, 300 * NETSIM_MS);    /* past the window */
        raw_send(late, 0, buf_slice(b));
        buf_unref(b);
    }
    netsim_run(s, 100 * NETSIM_MS);
    assert_true(is_mesh(first) && is_mesh(copies));
    assert_false(is_mesh(silent));
    assert_false(is_mesh(late)); /* copies outside the window are no service */
    assert_true(info_of(silent).score_parts[2] < -10); /* P3b stays */
    assert_true(info_of(copies).score_parts[2] == 0);
}

static void test_slow_peer_leaves_the_mesh_after_some_heartbeats(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    static uint8_t big[60000];
    struct raw *slow, *quick;

    cfg.queue_bytes = 20000;
    cfg.mesh_min = 1;
    cfg.mesh_out = 0;
    node(&cfg);
    slow = peer(true);
    quick = peer(true);
    netsim_link(s, 0, slow->node)->bytes_per_s = 3000;
    for (uint8_t i = 0; i < 3; i++) {
        big[0] = i;
        netsim_publish(s, 0, TOPIC, slice_of(big, sizeof(big)));
        netsim_run(s, NETSIM_S);
    }
    assert_true(is_mesh(slow)); /* a moment of it is forgiven */
    netsim_run(s, 4 * NETSIM_S);
    assert_false(is_mesh(slow));
    assert_true(is_mesh(quick));
    assert_int_equal(counters().slow_pruned, 1);
    netsim_run(s, 30 * NETSIM_S);
    assert_int_equal(raw_count(slow, RPC_PRUNE), 1);
    netsim_link(s, 0, quick->node)->bytes_per_s = 3000; /* the last one stays, slow or not */
    for (uint8_t i = 3; i < 12; i++) {
        big[0] = i;
        netsim_publish(s, 0, TOPIC, slice_of(big, sizeof(big)));
        netsim_run(s, NETSIM_S);
    }
    assert_true(is_mesh(quick));
    assert_int_equal(counters().slow_pruned, 1);
}

/* Gossip goes to a quarter of those outside the mesh, at least D. */
static void test_adaptive_gossip_grows_with_the_crowd(void **state)
{
    static const struct {
        unsigned outside, want;
    } tests[] = {{4, 4}, {12, 6}, {40, 10}};

    for (unsigned t = 0; t < 3; t++) {
        unsigned told = 0;
        if (t) {
            close_sim(state);
            open_sim(state);
        }
        for (int i = 0; i < 6; i++)
            peer(true);
        for (unsigned i = 0; i < tests[t].outside; i++)
            raw_prune(peer(false), 0, TOPIC, 60);
        netsim_run(s, NETSIM_S);
        for (unsigned i = 0; i < ncrowd; i++)
            raw_forget(crowd[i]);
        netsim_publish(s, 0, TOPIC, SLICE_LIT("m"));
        netsim_run(s, NETSIM_S);
        for (unsigned i = 0; i < ncrowd; i++)
            told += raw_count(crowd[i], RPC_IHAVE) != 0;
        assert_int_equal(told, tests[t].want);
    }
}

/* ---- explicit agreements ---- */

static void test_direct_peer_gets_everything_outside_the_mesh(void **state)
{
    struct raw *d = peer(false), *other = peer(true);

    pubsub_peer_direct(netsim_core(s, 0), d->node + 1, true);
    assert_false(is_mesh(d));
    raw_forget(d);
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(raw_count(d, RPC_GRAFT), 0);
    raw_graft(d, 0, TOPIC); /* by its own rules it must not */
    assert_false(is_mesh(d));
    assert_int_equal(raw_count(d, RPC_PRUNE), 1);
    message(other, 1);
    netsim_publish(s, 0, TOPIC, SLICE_LIT("ours"));
    netsim_run(s, 10 * NETSIM_MS);
    assert_int_equal(raw_count(d, RPC_MESSAGE), 2);
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(raw_count(d, RPC_IHAVE), 0); /* it has them */
    trust(d, -1000);
    message(d, 1);
    assert_int_equal(counters().delivered, 3);
    assert_int_equal(counters().graylisted, 0);
    raw_subscribe(d, 0, TOPIC, false);
    message(other, 2);
    assert_int_equal(raw_count(d, RPC_MESSAGE), 2);
}

/* ---- floods cost score ---- */

static void test_oversize_messages_cost_score(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    static uint8_t big[2000];
    struct raw *r;

    cfg.max_msg_bytes = 1000;
    node(&cfg);
    r = peer(true);
    for (uint64_t n = 1; n <= 10; n++)
        raw_message(r, 0, TOPIC, n, slice_of(big, sizeof(big)), false);
    assert_true(counters().oversize >= 9);
    assert_int_equal(counters().limits[LIMIT_OVERSIZE], counters().oversize);
    assert_true(info_of(r).score < -80);
}

static void test_control_flood_costs_score(void **state)
{
    struct raw *r = peer(false);
    uint8_t space[46];
    struct slice id = raw_id(space, 1);

    for (int i = 0; i < 450; i++) { /* 4.5 s, far above 10 a heartbeat */
        raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, &id, 1);
    }
    assert_true(counters().limits[LIMIT_IHAVE_RPCS] > 300);
    assert_int_equal(counters().floods, 0); /* 100 a heartbeat: past the limit, no flood yet */
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 200; j++)
            netsim_send(s, r->node, 0, SLICE_LIT("\x1a\x08\x0a\x06\x0a\x04" "demo"));
        netsim_run(s, NETSIM_S);
    }
    assert_true(counters().floods >= 4);
    assert_true(info_of(r).score < 0);
}

/* ---- ids ---- */

static void test_id_rule_sha256_passes_a_payload_once_whoever_sends_it(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.id_rule = PUBSUB_ID_SHA256;
    node(&cfg);
    struct raw *a = peer(true), *b = peer(true);
    raw_message(a, 0, TOPIC, 1, SLICE_LIT("same"), false);
    raw_message(b, 0, TOPIC, 1, SLICE_LIT("same"), false);
    assert_int_equal(netsim_count(s, 0, TOPIC, SLICE_LIT("same")), 1);
    assert_int_equal(counters().duplicates, 1);
    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("same")), -PUBSUB_EDUP);
    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("new")), 0);
}

static size_t first_bytes(void *ctx, const struct pubsub_id_input *in, uint8_t out[PUBSUB_ID_MAX])
{
    size_t n = in->data.len < 4 ? 0 : 4;

    if (in->topic.len != 4 || in->seqno.len != 8 || !in->from.len)
        return 0;
    memcpy(out, in->data.p, n);
    return n;
}

static void test_id_rule_custom_names_messages_and_refuses_the_nameless(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.id_rule = PUBSUB_ID_CUSTOM;
    cfg.message_id = first_bytes;
    node(&cfg);
    struct raw *a = peer(true), *b = peer(false);
    raw_prune(b, 0, TOPIC, 60);
    raw_message(a, 0, TOPIC, 1, SLICE_LIT("abcd first"), false);
    raw_message(a, 0, TOPIC, 2, SLICE_LIT("abcd second"), false);
    raw_message(a, 0, TOPIC, 3, SLICE_LIT("abc"), false);
    assert_int_equal(counters().delivered, 1);
    assert_int_equal(counters().duplicates, 1);
    assert_int_equal(counters().rejected, 1);
    netsim_run(s, 2 * NETSIM_S);
    assert_int_equal(raw_last(b, RPC_IHAVE)->id_len, 4);
    assert_int_equal(netsim_publish(s, 0, TOPIC, SLICE_LIT("abc")), -PUBSUB_EMEM);
}

/* ---- the coded router's part ---- */

static void test_coded_shards_count_in_shares_and_forgeries_as_p4(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_CODED);
    struct coded_host host;
    struct raw *r;

    netsim_add(s, &cfg);
    netsim_subscribe(s, 0, TOPIC);
    r = crowd[ncrowd++] = raw_new(s, 0, PUBSUB_CODED_1, true);
    host = coded_host_of(netsim_core(s, 0));
    host.useful(host.core, r->node + 1, SLICE_LIT(TOPIC), 0.25);
    host.useful(host.core, r->node + 1, SLICE_LIT(TOPIC), 0.25);
    assert_true(info_of(r).score_parts[1] == 0.25);
    host.useful(host.core, r->node + 1, SLICE_LIT("unknown"), 0.25);
    host.useful(host.core, 999, SLICE_LIT(TOPIC), 0.25);
    assert_true(info_of(r).score == 0.25);
    host.forged(host.core, r->node + 1, SLICE_LIT(TOPIC), "a rule");
    assert_true(info_of(r).score_parts[3] == -2);
    assert_true(isinf(info_of(r).score));
    netsim_drain(s, 0);
    assert_int_equal(netsim_disconnects(s, 0), 1);
}

#define TEST(f)  cmocka_unit_test_setup_teardown(f, open_sim, close_sim)
#define ALONE(f) cmocka_unit_test_setup_teardown(f, open_empty, close_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_threshold_gossip_stops_gossip_both_ways),
        ALONE(test_threshold_publish_keeps_our_messages_from_it),
        TEST(test_threshold_graylist_ignores_whole_rpcs),
        TEST(test_graylisted_peers_subscriptions_are_heard),
        ALONE(test_thresholds_and_parameters_are_the_configurations),
        ALONE(test_topic_parameters_are_its_own),
        TEST(test_shared_address_costs_score),
        TEST(test_opportunistic_grafting_opens_a_silent_mesh),
        TEST(test_opportunistic_grafting_leaves_a_good_mesh_alone),
        ALONE(test_silent_mesh_member_is_pruned_when_the_topic_has_a_rate),
        ALONE(test_slow_peer_leaves_the_mesh_after_some_heartbeats),
        TEST(test_adaptive_gossip_grows_with_the_crowd),
        TEST(test_direct_peer_gets_everything_outside_the_mesh),
        ALONE(test_oversize_messages_cost_score),
        TEST(test_control_flood_costs_score),
        ALONE(test_id_rule_sha256_passes_a_payload_once_whoever_sends_it),
        ALONE(test_id_rule_custom_names_messages_and_refuses_the_nameless),
        ALONE(test_coded_shards_count_in_shares_and_forgeries_as_p4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
