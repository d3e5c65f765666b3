/* Hostile peers: floods and lies cost the peer its score, the node a bounded amount, and the honest nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/raw.h"
#include "pubsub/score.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12

static struct netsim *s;

/* Node 0 is the victim, 1 and 2 are honest. */
static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    s = netsim_new(1, NULL);
    for (unsigned i = 0; i < 3; i++)
        netsim_add(s, &cfg);
    netsim_connect_all(s, V12);
    for (unsigned i = 0; i < 3; i++)
        netsim_subscribe(s, i, TOPIC);
    netsim_run(s, 2 * NETSIM_S);
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
    return 1e9;
}

/* Messages from 1 still get to 0 and 2, and their scores are clean. */
static void expect_service(unsigned number)
{
    char text[32];

    snprintf(text, sizeof(text), "honest %u", number);
    assert_int_equal(netsim_publish(s, 1, TOPIC, slice_str(text)), 0);
    netsim_run(s, NETSIM_S);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(netsim_count(s, n, TOPIC, slice_str(text)), 1);
    struct pubsub_peer_info info[64];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 64);
    for (unsigned i = 0; i < n; i++)
        if (info[i].peer <= 3)
            assert_true(info[i].score >= 0);
}

static void test_graft_flood_is_graylisted(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    raw_graft(r, 0, TOPIC);
    raw_prune(r, 0, TOPIC, 60);
    for (int i = 0; i < 100; i++)
        raw_graft(r, 0, TOPIC);
    assert_true(score(r) < score_threshold_defaults.graylist);
    assert_true(raw_count(r, RPC_PRUNE) < 10); /* it stops being answered */
    assert_true(counters().graylisted > 80);
    assert_true(counters().backoff_violations < 10);
    expect_service(1);
    raw_free(r);
}

/* A peer with a bad score is pruned from the mesh at the next heartbeat, and not taken again. */
static void test_bad_score_leaves_the_mesh(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    raw_graft(r, 0, TOPIC);
    assert_true(pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1));
    raw_message(r, 0, TOPIC, 1, SLICE_LIT("a"), true);
    raw_message(r, 0, TOPIC, 2, SLICE_LIT("b"), true);
    raw_message(r, 0, TOPIC, 3, SLICE_LIT("c"), true);
    netsim_run(s, 1100 * NETSIM_MS);
    assert_false(pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1));
    assert_int_equal(raw_count(r, RPC_PRUNE), 1);
    raw_graft(r, 0, TOPIC);
    assert_false(pubsub_mesh_has(netsim_core(s, 0), SLICE_LIT(TOPIC), r->node + 1));
    raw_free(r);
}

static void test_ihave_flood_is_bounded(void **state)
{
    static uint8_t space[1000][46];
    static struct slice ids[1000];
    struct raw *r = raw_new(s, 0, V12, true);
    uint64_t n = 0;

    raw_subscribe(r, 0, TOPIC, true);
    for (int beat = 0; beat < 8; beat++) {
        for (int rpc = 0; rpc < 30; rpc++) {
            for (unsigned i = 0; i < 1000; i++)
                ids[i] = raw_id(space[i], n++);
            raw_ids(r, 0, CONTROL_F_IHAVE, TOPIC, ids, 1000);
        }
        netsim_run(s, NETSIM_S - 300 * NETSIM_MS);
        assert_true(counters().iwant_out <= 5000u * ((unsigned)beat + 2));
    }
    assert_true(counters().iwant_out > 0);
    assert_true(counters().promises_broken > 0);
    assert_true(score(r) < score_threshold_defaults.graylist);
    expect_service(1);
    raw_free(r);
}

static void test_iwant_flood_is_bounded(void **state)
{
    static uint8_t space[1000][46];
    static struct slice ids[1000];
    static uint8_t big[100000];
    struct raw *r = raw_new(s, 0, V12, true);
    uint8_t id[MESSAGE_ID_MAX];
    size_t len;

    /* Learn a real id: being told of it in the mesh. */
    raw_graft(r, 0, TOPIC);
    netsim_publish(s, 1, TOPIC, slice_of(big, sizeof(big)));
    netsim_run(s, 100 * NETSIM_MS);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1);
    len = raw_last(r, RPC_MESSAGE)->id_len;
    memcpy(id, raw_last(r, RPC_MESSAGE)->id, len);
    for (unsigned i = 0; i < 1000; i++)
        ids[i] = i % 2 ? slice_of(id, len) : raw_id(space[i], i);
    for (int i = 0; i < 50; i++)
        raw_ids(r, 0, CONTROL_F_IWANT, NULL, ids, 1000);
    assert_int_equal(raw_count(r, RPC_MESSAGE), 1 + 3);
    assert_true(counters().lists_cut >= 30); /* of 50, with one or two heartbeats among them */
    expect_service(1);
    raw_free(r);
}

static void test_idontwant_flood_is_bounded(void **state)
{
    static uint8_t space[500][46];
    static struct slice ids[500];
    struct raw *r = raw_new(s, 0, V12, true);
    uint64_t n = 0;

    raw_graft(r, 0, TOPIC);
    for (int rpc = 0; rpc < 200; rpc++) {
        for (unsigned i = 0; i < 500; i++)
            ids[i] = raw_id(space[i], n++);
        raw_ids(r, 0, CONTROL_F_IDONTWANT, NULL, ids, 500);
    }
    assert_true(counters().lists_cut >= 190);
    expect_service(1);
    assert_true(raw_count(r, RPC_MESSAGE) >= 1); /* it gets what it did not name */
    raw_free(r);
}

static void test_bad_signatures_cost_the_sender_not_us(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    raw_graft(r, 0, TOPIC);
    for (uint64_t i = 0; i < 300; i++)
        raw_message(r, 0, TOPIC, i, SLICE_LIT("spam"), true);
    /* Seven in a moment graylist it; it comes back as its score fades, for one or two a second. */
    assert_in_range(counters().bad_signatures, 7, 20);
    assert_true(counters().graylisted > 250);
    assert_int_equal(counters().delivered, 0);
    expect_service(1);
    raw_free(r);
}

/* A thousand forged messages in one frame: the frame is given up when the score is gone. */
static void test_frame_of_forgeries_is_not_worked_off(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);
    struct buf *frame = buf_new(1 << 20);

    for (uint64_t i = 0; i < 1000; i++) {
        struct buf *field = raw_field(netsim_key(s, r->node), TOPIC, i, SLICE_LIT("forged"), true);
        memcpy(frame->data + frame->len, field->data, field->len);
        frame->len += field->len;
        buf_unref(field);
    }
    raw_send(r, 0, buf_slice(frame));
    assert_int_equal(counters().bad_signatures, 7);
    assert_int_equal(counters().graylisted, 1); /* the rest of the frame */
    buf_unref(frame);
    expect_service(1);
    raw_free(r);
}

/* GRAFT, PRUNE and subscriptions to and fro are looked at some two thousand times a heartbeat, not more. */
static void test_mesh_and_subscription_flapping_is_bounded(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    for (unsigned m = 0; m < 5; m++) {
        char text[16];
        snprintf(text, sizeof(text), "kept %u", m);
        netsim_publish(s, 0, TOPIC, slice_str(text));
    }
    for (int i = 0; i < 10000; i++) {
        uint8_t out[64];
        struct wr w = wr_of(out, sizeof(out));
        rpc_put_subscription(&w, SLICE_LIT(TOPIC), i % 2 == 0);
        pb_put_head(&w, RPC_F_CONTROL, 10);
        rpc_put_prune(&w, SLICE_LIT(TOPIC), 1);
        netsim_send(s, r->node, 0, slice_of(out, w.len));
    }
    netsim_run(s, 100 * NETSIM_MS);
    assert_true(raw_count(r, RPC_IHAVE) <= 2 * 64);
    assert_true(counters().lists_cut > 0);
    assert_true(counters().control_ignored >= 10000u - 2 * 2048);
    expect_service(1);
    raw_free(r);
}

static void test_replayed_messages_are_not_passed_on(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true), *seat = raw_new(s, 0, V12, true);
    struct buf *field = raw_field(netsim_key(s, r->node), TOPIC, 1, SLICE_LIT("again"), false);

    raw_graft(seat, 0, TOPIC);
    for (int i = 0; i < 500; i++)
        netsim_send(s, r->node, 0, buf_slice(field));
    netsim_run(s, NETSIM_S);
    assert_int_equal(counters().duplicates, 499);
    assert_int_equal(raw_count(seat, RPC_MESSAGE), 1);
    assert_int_equal(netsim_count(s, 2, TOPIC, SLICE_LIT("again")), 1);
    buf_unref(field);
    raw_free(r);
    raw_free(seat);
}

/* After two minutes nobody has seen the message; a copy of it goes no further all the same, and its bringer is not blamed. */
static void test_replays_that_the_seen_cache_has_forgotten(void **state)
{
    struct buf *first = raw_field(netsim_key(s, 1), TOPIC, 1000, SLICE_LIT("bought"), false);
    struct buf *second = raw_field(netsim_key(s, 1), TOPIC, 999, SLICE_LIT("overtaken"), false);

    for (unsigned guard = 0; guard < 2; guard++) {
        struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
        struct raw *r;

        close_sim(state);
        cfg.has_replay_guard = guard;
        s = netsim_new(1, NULL);
        for (unsigned i = 0; i < 3; i++)
            netsim_add(s, &cfg);
        netsim_connect_all(s, V12);
        for (unsigned i = 0; i < 3; i++)
            netsim_subscribe(s, i, TOPIC);
        netsim_run(s, 2 * NETSIM_S);
        r = raw_new(s, 0, V12, true);
        raw_graft(r, 0, TOPIC);
        netsim_send(s, r->node, 0, buf_slice(first));
        netsim_run(s, NETSIM_S);
        netsim_send(s, r->node, 0, buf_slice(second));
        netsim_run(s, NETSIM_S);
        assert_int_equal(netsim_count(s, 2, TOPIC, SLICE_LIT("bought")), 1);
        assert_int_equal(netsim_count(s, 2, TOPIC, SLICE_LIT("overtaken")), 1);
        netsim_run(s, 125 * NETSIM_S);
        for (int i = 0; i < 10; i++) {
            netsim_send(s, r->node, 0, buf_slice(first));
            netsim_send(s, r->node, 0, buf_slice(second));
        }
        netsim_run(s, NETSIM_S);
        assert_int_equal(netsim_count(s, 2, TOPIC, SLICE_LIT("bought")), guard ? 1 : 2);
        assert_int_equal(netsim_count(s, 2, TOPIC, SLICE_LIT("overtaken")), guard ? 1 : 2);
        assert_int_equal(counters().replayed, guard ? 2 : 0);
        if (guard) {
            assert_true(score(r) >= 0);
            assert_int_equal(counters().authors_now, 1);
            expect_service(7);
        }
        raw_free(r);
    }
    buf_unref(first);
    buf_unref(second);
}

static void test_topic_flood_is_bounded_and_forgotten(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);
    struct pubsub_topic_info *t = calloc(10000, sizeof(*t));
    uint8_t out[512];

    for (unsigned i = 0; i < 8000; i++) {
        char name[64];
        snprintf(name, sizeof(name), "junk-%u", i);
        struct wr w = wr_of(out, sizeof(out));
        rpc_put_subscription(&w, slice_str(name), true);
        netsim_send(s, r->node, 0, slice_of(out, w.len));
        if (i % 1000 == 999)
            netsim_run(s, NETSIM_S);
    }
    assert_int_equal(pubsub_topics(netsim_core(s, 0), t, 10000), 1 + 2048);
    assert_true(counters().lists_cut > 0);
    expect_service(1);
    netsim_disconnect(s, r->node, 0);
    assert_int_equal(pubsub_topics(netsim_core(s, 0), t, 10000), 1);
    free(t);
    raw_free(r);
}

/* Peers that announce all the topics there can be must not keep us from our own. */
static void test_topic_flood_leaves_room_for_ours(void **state)
{
    enum { FLOODERS = 33, EACH = 2048 };
    static uint8_t out[EACH * 32];
    struct raw *r[FLOODERS];

    for (unsigned i = 0; i < FLOODERS; i++) {
        struct wr w = wr_of(out, sizeof(out));
        r[i] = raw_new(s, 0, V12, true);
        for (unsigned j = 0; j < EACH; j++) {
            char name[32];
            snprintf(name, sizeof(name), "junk-%u", i * EACH + j);
            rpc_put_subscription(&w, slice_str(name), true);
        }
        assert_false(w.bad);
        raw_send(r[i], 0, slice_of(out, w.len));
    }
    assert_true(counters().lists_cut > 0);
    assert_int_equal(netsim_subscribe(s, 0, "ours"), 0);
    assert_int_equal(netsim_publish(s, 0, "ours too", SLICE_LIT("x")), 0);
    expect_service(1);
    for (unsigned i = 0; i < FLOODERS; i++)
        raw_free(r[i]);
}

static enum pubsub_verdict judge_good(void *user, struct slice payload)
{
    return PUBSUB_ACCEPT;
}

/* Messages that wait for a slow application: few large ones are as many bytes as many small ones. */
static void test_bytes_that_wait_for_verdicts_are_bounded(void **state)
{
    enum { BYTES = 200000, KEPT = 2 << 20 };
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct netsim *own = netsim_new(3, NULL);
    struct raw *r;
    uint8_t *big = calloc(1, BYTES);
    struct pubsub_counters c;

    cfg.has_validation = true;
    cfg.keep_bytes = KEPT;
    netsim_add(own, &cfg);
    netsim_validator(own, 0, judge_good, NULL, 10 * NETSIM_S);
    netsim_subscribe(own, 0, TOPIC);
    r = raw_new(own, 0, V12, true);
    for (uint64_t i = 1; i <= 50; i++)
        raw_message(r, 0, TOPIC, i, slice_of(big, BYTES), false);
    netsim_run(own, 20 * NETSIM_S);
    pubsub_counters_get(netsim_core(own, 0), &c);
    assert_in_range(c.delivered, KEPT / BYTES / 2, KEPT / BYTES);
    assert_int_equal(c.validation_throttled, 50 - c.delivered);
    raw_message(r, 0, TOPIC, 51, slice_of(big, BYTES), false); /* there is room again */
    netsim_run(own, 20 * NETSIM_S);
    assert_int_equal(netsim_count(own, 0, TOPIC, slice_of(big, BYTES)), c.delivered + 1);
    raw_free(r);
    netsim_free(own);
    free(big);
}

/* What comes from a peer that is being cut off is not looked at, but counted. */
static void test_rpcs_of_a_closing_peer_are_counted(void **state)
{
    static const uint8_t bad[] = {0x0a, 0x7f, 0x01};
    struct raw *r = raw_new(s, 0, V12, true);
    struct pubsub *ps = netsim_core(s, 0);
    uint64_t before = counters().rpc_in;

    for (unsigned i = 0; i < 3; i++)
        pubsub_rpc(ps, r->node + 1, buf_copy(slice_of(bad, sizeof(bad))), netsim_now(s));
    assert_int_equal(counters().rpc_in, before + 3);
    assert_int_equal(counters().invalid_rpc, 1);
    assert_int_equal(counters().graylisted, 2);
    netsim_drain(s, 0);
    raw_free(r);
}

static void test_malformed_rpc_disconnects(void **state)
{
    static const uint8_t bad[] = {0x0a, 0x7f, 0x01};
    struct raw *r = raw_new(s, 0, V12, true);

    raw_send(r, 0, slice_of(bad, sizeof(bad)));
    assert_int_equal(counters().invalid_rpc, 1);
    assert_int_equal(netsim_disconnects(s, 0), 1);
    assert_false(netsim_is_connected(s, 0, r->node));
    expect_service(1);
    raw_free(r);
}

/* A lie about who has what must not keep a true message away: the liar is asked first, and never sends. */
static void test_lying_ihave_only_delays(void **state)
{
    struct raw *liar = raw_new(s, 0, V12, true), *author = raw_new(s, 0, V12, true);
    uint8_t id[MESSAGE_ID_MAX];
    struct slice ids = slice_of(id, message_id(id, peer_id_slice(netsim_peer_id(s, author->node)), 5));

    raw_ids(liar, 0, CONTROL_F_IHAVE, TOPIC, &ids, 1);
    assert_int_equal(raw_count(liar, RPC_IWANT), 1);
    raw_ids(author, 0, CONTROL_F_IHAVE, TOPIC, &ids, 1);
    assert_int_equal(raw_count(author, RPC_IWANT), 0);
    netsim_run(s, 2500 * NETSIM_MS);
    assert_int_equal(raw_count(author, RPC_IWANT), 1);
    raw_message(author, 0, TOPIC, 5, SLICE_LIT("true"), false);
    assert_int_equal(netsim_count(s, 0, TOPIC, SLICE_LIT("true")), 1);
    raw_free(liar);
    raw_free(author);
}

/* New identities by the thousand: what is remembered of each is bounded. */
static void test_many_identities_are_bounded(void **state)
{
    struct pubsub *ps = netsim_core(s, 0);
    struct pubsub_output out;

    for (uint32_t i = 0; i < 30000; i++) {
        struct peer_id id;
        uint8_t key[32] = {0}, graft[32];
        struct wr w = wr_of(graft, sizeof(graft));
        memcpy(key, &i, sizeof(i));
        peer_id_from_ed25519(&id, key);
        pubsub_peer_up(ps, 1000 + i, &id, V12, false, (struct slice){0}, netsim_now(s));
        pb_put_head(&w, RPC_F_CONTROL, 8);
        if (i % 2)
            rpc_put_prune(&w, SLICE_LIT(TOPIC), 0);
        else
            rpc_put_graft(&w, SLICE_LIT(TOPIC));
        for (int k = 0; k < 20; k++)
            pubsub_rpc(ps, 1000 + i, buf_copy(slice_of(graft, w.len)), netsim_now(s));
        pubsub_peer_down(ps, 1000 + i, netsim_now(s));
        while (pubsub_next_output(ps, &out)) {
            for (unsigned k = 0; k < out.npieces; k++)
                buf_unref(out.pieces[k].buf);
            buf_unref(out.payload);
        }
    }
    assert_int_equal(counters().invalid_rpc, 0);
    expect_service(1);
}

/* Ten honest, five that do all of the above at random: the honest get everything. */
static void test_honest_majority_is_served_under_attack(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);
    struct netsim *n = netsim_new(99, NULL);
    struct raw *bad[5];
    struct rng rng;
    char text[32];

    rng_init_seeded(&rng, 5);
    for (unsigned i = 0; i < 10; i++)
        netsim_add(n, &cfg);
    netsim_connect_all(n, V12);
    for (unsigned i = 0; i < 10; i++)
        netsim_subscribe(n, i, TOPIC);
    for (unsigned i = 0; i < 5; i++) {
        bad[i] = raw_new(n, 0, V12, true);
        for (unsigned k = 1; k < 10; k++)
            netsim_connect(n, bad[i]->node, k, V12);
        for (unsigned k = 0; k < 10; k++)
            raw_graft(bad[i], k, TOPIC);
    }
    for (unsigned m = 0; m < 60; m++) {
        for (unsigned i = 0; i < 5; i++) {
            unsigned k = (unsigned)rng_below(&rng, 10);
            uint8_t space[46];
            struct slice id = raw_id(space, rng_u64(&rng));
            switch (rng_below(&rng, 5)) {
            case 0: raw_graft(bad[i], k, TOPIC); break;
            case 1: raw_prune(bad[i], k, TOPIC, rng_below(&rng, 1000)); break;
            case 2: raw_ids(bad[i], k, CONTROL_F_IHAVE, TOPIC, &id, 1); break;
            case 3: raw_ids(bad[i], k, CONTROL_F_IDONTWANT, NULL, &id, 1); break;
            default: raw_message(bad[i], k, TOPIC, m, SLICE_LIT("junk"), true); break;
            }
        }
        snprintf(text, sizeof(text), "honest %u", m);
        assert_int_equal(netsim_publish(n, m % 10, TOPIC, slice_str(text)), 0);
        netsim_run(n, 50 * NETSIM_MS);
    }
    netsim_run(n, 5 * NETSIM_S);
    for (unsigned m = 0; m < 60; m++) {
        snprintf(text, sizeof(text), "honest %u", m);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(netsim_count(n, i, TOPIC, slice_str(text)), 1);
    }
    for (unsigned i = 0; i < 5; i++)
        raw_free(bad[i]);
    netsim_free(n);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_graft_flood_is_graylisted),
        TEST(test_bad_score_leaves_the_mesh),
        TEST(test_ihave_flood_is_bounded),
        TEST(test_iwant_flood_is_bounded),
        TEST(test_idontwant_flood_is_bounded),
        TEST(test_bad_signatures_cost_the_sender_not_us),
        TEST(test_frame_of_forgeries_is_not_worked_off),
        TEST(test_mesh_and_subscription_flapping_is_bounded),
        TEST(test_replayed_messages_are_not_passed_on),
        TEST(test_replays_that_the_seen_cache_has_forgotten),
        TEST(test_topic_flood_is_bounded_and_forgotten),
        TEST(test_topic_flood_leaves_room_for_ours),
        TEST(test_rpcs_of_a_closing_peer_are_counted),
        TEST(test_bytes_that_wait_for_verdicts_are_bounded),
        TEST(test_malformed_rpc_disconnects),
        TEST(test_lying_ihave_only_delays),
        TEST(test_many_identities_are_bounded),
        TEST(test_honest_majority_is_served_under_attack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
