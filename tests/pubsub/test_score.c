#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/score.h"
#include "pubsub/vector.h"

#define S 1000000000ull

static const uint8_t seed[16];
static const struct slice none;
static const struct score_subject no_topic;

static struct peer_id peer(uint8_t n)
{
    struct peer_id id;

    peer_id_from_ed25519(&id, (const uint8_t[32]){n});
    return id;
}

static void test_score_counts_the_square_above_the_threshold(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    assert_true(score_value(&s, sc) == 0);
    score_behaviour(sc, 6);
    assert_true(score_value(&s, sc) == 0);
    score_behaviour(sc, 1);
    assert_true(score_value(&s, sc) == -10);
    score_behaviour(sc, 2);
    assert_true(score_value(&s, sc) == -90);
    assert_true(score_value(&s, sc) < score_threshold_defaults.graylist);
    scores_fini(&s);
}

static void test_score_seven_invalid_messages_graylist(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 6; i++)
        score_invalid(&s, sc, no_topic);
    assert_true(score_value(&s, sc) >= score_threshold_defaults.graylist);
    score_invalid(&s, sc, no_topic);
    assert_true(score_value(&s, sc) < score_threshold_defaults.graylist);
    scores_fini(&s);
}

/* A peer whose message ids differ from ours breaks one promise a heartbeat for ever, and must stay acceptable. */
static void test_score_one_broken_promise_a_second_is_tolerated(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (uint64_t t = 1; t < 1000; t++) {
        score_behaviour(sc, 1);
        assert_true(score_value(&s, sc) >= 0);
        scores_tick(&s, t * S);
    }
    scores_fini(&s);
}

static void test_score_decays_to_zero_and_is_forgotten(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    score_behaviour(sc, 1e9); /* capped, or it would take ages */
    score_leave(&s, sc, 1 * S);
    scores_tick(&s, 2 * S);
    assert_true(score_enter(&s, &id, none) == sc); /* a reconnect does not help */
    assert_true(score_value(&s, sc) < score_threshold_defaults.graylist);
    score_leave(&s, sc, 3 * S);
    for (uint64_t t = 3; t < 270; t++)
        scores_tick(&s, t * S);
    assert_true(score_value(&s, sc) < score_threshold_defaults.graylist); /* a flood is remembered for minutes */
    for (uint64_t t = 270; t < 400; t++)
        scores_tick(&s, t * S);
    assert_int_equal(s.map.count, 0);
    scores_fini(&s);
}

static void test_score_clean_record_goes_with_the_peer(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    score_leave(&s, score_enter(&s, &id, none), 1);
    assert_int_equal(s.map.count, 0);
    scores_fini(&s);
}

static void test_score_cut_off_stays_until_retained(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    score_behaviour(sc, INFINITY);
    assert_true(isinf(score_value(&s, sc)));
    score_leave(&s, sc, 1 * S);
    scores_tick(&s, 600 * S);
    assert_int_equal(s.map.count, 1);
    scores_tick(&s, 602 * S);
    assert_int_equal(s.map.count, 0);
    scores_fini(&s);
}

static void test_score_full_gives_the_place_of_the_best_absent(void **state)
{
    struct score *sc[4];
    struct scores s;

    scores_init(&s, &score_defaults, 3, seed, 0);
    for (uint8_t i = 0; i < 3; i++) {
        struct peer_id id = peer(i);
        sc[i] = score_enter(&s, &id, none);
    }
    struct peer_id fourth = peer(3), second = peer(1);
    assert_null(score_enter(&s, &fourth, none)); /* all are connected */
    score_behaviour(sc[0], 20);
    score_invalid(&s, sc[1], no_topic);
    score_leave(&s, sc[0], 1);
    score_leave(&s, sc[1], 1);
    assert_non_null(score_enter(&s, &fourth, none));
    assert_null(map_get(&s.map, peer_id_slice(&second))); /* the bad one's record stays */
    scores_fini(&s);
}

/* ---- js-libp2p's own numbers ---- */

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_number(v))
        fail_msg("no number %s", key);
    return json_number_value(v);
}

static struct score_params params_of(const json_t *file, const json_t *v)
{
    const json_t *p = json_object_get(file, "peer_score_params"), *t = json_object_get(file, "topic_score_params");

    return (struct score_params){
        .topic = {
            .weight = number(t, "topicWeight"),
            .time_weight = number(t, "timeInMeshWeight"),
            .time_cap = number(t, "timeInMeshCap"),
            .time_quantum_ns = (uint64_t)number(t, "timeInMeshQuantum"),
            .first_weight = number(t, "firstMessageDeliveriesWeight"),
            .first_decay = number(t, "firstMessageDeliveriesDecay"),
            .first_cap = number(t, "firstMessageDeliveriesCap"),
            .mesh_weight = number(t, "meshMessageDeliveriesWeight"),
            .mesh_decay = number(t, "meshMessageDeliveriesDecay"),
            .mesh_cap = number(t, "meshMessageDeliveriesCap"),
            .mesh_threshold = number(t, "meshMessageDeliveriesThreshold"),
            .failure_weight = number(t, "meshFailurePenaltyWeight"),
            .failure_decay = number(t, "meshFailurePenaltyDecay"),
            .invalid_weight = number(t, "invalidMessageDeliveriesWeight"),
            .invalid_decay = number(t, "invalidMessageDeliveriesDecay"),
        },
        .topic_cap = number(v, "topicScoreCap"),
        .app_weight = number(p, "appSpecificWeight"),
        .ip_weight = number(p, "IPColocationFactorWeight"),
        .ip_threshold = (uint32_t)number(p, "IPColocationFactorThreshold"),
        .behaviour_weight = number(p, "behaviourPenaltyWeight"),
        .behaviour_threshold = number(v, "behaviourPenaltyThreshold"),
        .behaviour_decay = number(p, "behaviourPenaltyDecay"),
        .decay_ns = S,
        .near_zero = number(p, "decayToZero"),
    };
}

/* Each vector is a state of the counters: it is put in place, and the number read. */
static void test_score_equals_js_in_every_vector(void **state)
{
    json_t *file = vector_load("gossipsub_score.json");
    const json_t *v, *all = json_object_get(file, "vectors");
    size_t i;

    assert_true(json_array_size(all) >= 15);
    json_array_foreach(all, i, v) {
        const json_t *t = json_object_get(v, "topic_stats");
        struct score_params params = params_of(file, v);
        const uint8_t ip[4] = {192, 0, 2, 1};
        struct score *sc = NULL;
        struct scores s;
        unsigned on_ip = (unsigned)number(v, "peers_on_my_ip");
        scores_init(&s, &params, 100, seed, 0);
        for (unsigned n = 0; n < (on_ip ? on_ip : 1); n++) {
            struct peer_id id = peer((uint8_t)n);
            sc = score_enter(&s, &id, slice_of(ip, on_ip ? 4 : 0));
        }
        score_graft(&s, sc, (struct score_subject){1, &s.params.topic}, 0);
        sc->topics[0] = (struct score_topic){
            .key = 1,
            .params = &s.params.topic,
            .is_in_mesh = json_is_true(json_object_get(t, "inMesh")),
            .mesh_ns = (uint64_t)number(t, "meshTime"),
            .first = number(t, "firstMessageDeliveries"),
            .mesh = number(t, "meshMessageDeliveries"),
            .is_mesh_active = json_is_true(json_object_get(t, "meshMessageDeliveriesActive")),
            .failure = number(t, "meshFailurePenalty"),
            .invalid = number(t, "invalidMessageDeliveries"),
        };
        sc->app = number(v, "app");
        sc->behaviour = number(v, "behaviourPenalty");
        if (score_value(&s, sc) != number(v, "score"))
            fail_msg("%s: %.17g, not %.17g", vector_str(v, "name"), score_value(&s, sc), number(v, "score"));
        scores_fini(&s);
    }
    json_decref(file);
}

/* ---- P1 to P6 ---- */

static struct score_params all_parts(void)
{
    struct score_params p = score_defaults;

    p.topic.mesh_weight = -1;
    p.topic.mesh_threshold = 10;
    p.topic.mesh_decay = 1;
    p.topic.mesh_activation_ns = 5 * S;
    p.topic.failure_weight = -1;
    return p;
}

static struct score_subject topic_of(const struct scores *s, uint64_t key)
{
    return (struct score_subject){key, &s->params.topic};
}

static void test_score_p1_grows_in_the_mesh_and_is_capped(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    score_graft(&s, sc, topic_of(&s, 7), 0);
    scores_tick(&s, 10 * S);
    assert_true(fabs(score_value(&s, sc) - 0.05) < 1e-9);
    scores_tick(&s, 5000 * S);
    assert_true(score_value(&s, sc) == 0.5);
    assert_true(score_value(&s, sc) < score_threshold_defaults.opportunistic_graft); /* sitting there is not enough */
    score_prune(&s, sc, topic_of(&s, 7));
    assert_true(score_value(&s, sc) == 0);
    scores_fini(&s);
}

static void test_score_p2_counts_first_deliveries_and_decays(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 4; i++)
        score_first(&s, sc, topic_of(&s, 7), 0.25); /* the shards of one message */
    assert_true(score_value(&s, sc) == 0.5);
    for (int i = 0; i < 1000; i++)
        score_first(&s, sc, topic_of(&s, 7), 1);
    assert_true(score_value(&s, sc) == 20);
    assert_true(score_value(&s, sc) > score_threshold_defaults.accept_px);
    for (uint64_t t = 1; t < 2000; t++)
        scores_tick(&s, t * S);
    assert_true(score_value(&s, sc) == 0);
    assert_int_equal(sc->ntopics, 0); /* nothing to remember */
    scores_fini(&s);
}

static void test_score_p3_punishes_a_silent_mesh_member_once_active(void **state)
{
    struct score_params params = all_parts();
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &params, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    score_graft(&s, sc, topic_of(&s, 7), 0);
    scores_tick(&s, 5 * S);
    assert_true(score_value(&s, sc) > 0); /* not active yet */
    scores_tick(&s, 6 * S);
    assert_true(fabs(score_value(&s, sc) - (0.03 - 100)) < 1e-9);
    score_first(&s, sc, topic_of(&s, 7), 1);
    for (int i = 0; i < 6; i++)
        score_again(&s, sc, topic_of(&s, 7));
    assert_true(fabs(score_value(&s, sc) - (0.03 + 0.5 - 9)) < 1e-9);
    for (int i = 0; i < 6; i++)
        score_again(&s, sc, topic_of(&s, 7));
    assert_true(score_value(&s, sc) > 0);
    scores_fini(&s);
}

static void test_score_p3b_keeps_the_deficit_of_a_pruned_member(void **state)
{
    struct score_params params = all_parts();
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &params, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    score_graft(&s, sc, topic_of(&s, 7), 0);
    scores_tick(&s, 6 * S);
    score_prune(&s, sc, topic_of(&s, 7));
    assert_true(score_value(&s, sc) == -100);
    score_graft(&s, sc, topic_of(&s, 7), 6 * S); /* leaving and coming back does not clear it */
    assert_true(score_value(&s, sc) == -100);
    score_leave(&s, sc, 6 * S);
    assert_true(score_enter(&s, &id, none) == sc);
    assert_true(score_value(&s, sc) == -100);
    scores_fini(&s);
}

static void test_score_p4_outweighs_any_credit(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 1000; i++)
        score_first(&s, sc, topic_of(&s, 7), 1);
    for (int i = 0; i < 8; i++)
        score_invalid(&s, sc, topic_of(&s, 7));
    assert_true(score_value(&s, sc) < score_threshold_defaults.graylist);
    scores_fini(&s);
}

static void test_score_p5_is_the_applications_word(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    sc->app = -3;
    assert_true(score_value(&s, sc) == -3);
    score_leave(&s, sc, 1);
    assert_int_equal(s.map.count, 0); /* it says it anew of the next connection */
    scores_fini(&s);
}

static void test_score_p6_counts_peers_of_one_address(void **state)
{
    static const uint8_t ip4[4] = {192, 0, 2, 1}, loopback[4] = {127, 0, 0, 1}, gateway[4] = {172, 17, 0, 1},
                         lan[4] = {10, 0, 0, 1}, carrier[4] = {100, 64, 0, 1}, near[4] = {172, 32, 0, 1},
                         unique[16] = {0xfd, 1},
                         mapped[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, six[16] = {0x20, 1, [8] = 1},
                         six_near[16] = {0x20, 1, [8] = 2}, loopback6[16] = {[15] = 1};
    static const struct {
        struct slice first, others;
        double want;
    } tests[] = {
        {{ip4, 4}, {ip4, 4}, -5},         {{ip4, 4}, {mapped, 16}, -5},   {{six, 16}, {six_near, 16}, -5},
        {{ip4, 4}, {six, 16}, 0},         {{loopback, 4}, {loopback, 4}, 0}, {{loopback6, 16}, {loopback6, 16}, 0},
        {{NULL, 0}, {NULL, 0}, 0},        {{gateway, 4}, {gateway, 4}, 0},   {{lan, 4}, {lan, 4}, 0},
        {{carrier, 4}, {carrier, 4}, 0},  {{unique, 16}, {unique, 16}, 0},   {{near, 4}, {near, 4}, -5},
    };

    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct score *all[11];
        struct scores s;
        scores_init(&s, &score_defaults, 100, seed, 0);
        for (uint8_t n = 0; n < 11; n++) {
            struct peer_id id = peer(n);
            all[n] = score_enter(&s, &id, n ? tests[i].others : tests[i].first);
        }
        assert_true(score_value(&s, all[0]) == tests[i].want);
        score_leave(&s, all[10], 1);
        assert_true(score_value(&s, all[0]) == 0);
        scores_fini(&s);
    }
}

static void test_score_leaving_loses_credit_and_keeps_debt(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 40; i++)
        score_first(&s, sc, topic_of(&s, 7), 1);
    score_invalid(&s, sc, topic_of(&s, 7));
    assert_true(score_value(&s, sc) == 18);
    score_leave(&s, sc, 1);
    assert_true(score_enter(&s, &id, none) == sc);
    assert_true(score_value(&s, sc) == -2);
    scores_fini(&s);
}

static void test_score_topics_are_summed_and_capped(void **state)
{
    struct score_params params = score_defaults;
    struct score_topic_params heavy = score_defaults.topic;
    struct peer_id id = peer(1);
    double parts[SCORE_PARTS];
    struct scores s;

    heavy.weight = 2;
    params.topic_cap = 30;
    scores_init(&s, &params, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 20; i++) {
        score_first(&s, sc, topic_of(&s, 1), 1);
        score_first(&s, sc, (struct score_subject){2, &heavy}, 1);
    }
    assert_true(score_value(&s, sc) == 30); /* 10 + 2 * 10 */
    score_first(&s, sc, topic_of(&s, 1), 1);
    assert_true(score_value(&s, sc) == 30);
    score_invalid(&s, sc, (struct score_subject){2, &heavy});
    assert_true(score_value(&s, sc) == 26.5); /* the cap is on the sum, as in go and js */
    score_parts(&s, sc, parts);
    assert_true(parts[1] == 30.5 && parts[3] == -4);
    scores_fini(&s);
}

static void test_score_topics_per_peer_are_bounded(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (uint64_t i = 0; i < SCORE_TOPICS_MAX + 10; i++)
        score_first(&s, sc, topic_of(&s, i), 1);
    assert_int_equal(sc->ntopics, SCORE_TOPICS_MAX);
    assert_int_equal(s.refused, 10);
    scores_fini(&s);
}

static void test_score_off_is_always_zero(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_off, 10, seed, 0);
    struct score *sc = score_enter(&s, &id, none);
    for (int i = 0; i < 100; i++) {
        score_first(&s, sc, topic_of(&s, 1), 1);
        score_invalid(&s, sc, topic_of(&s, 1));
        score_behaviour(sc, 5);
    }
    assert_true(score_value(&s, sc) == 0);
    scores_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_counts_the_square_above_the_threshold),
        cmocka_unit_test(test_score_seven_invalid_messages_graylist),
        cmocka_unit_test(test_score_one_broken_promise_a_second_is_tolerated),
        cmocka_unit_test(test_score_decays_to_zero_and_is_forgotten),
        cmocka_unit_test(test_score_clean_record_goes_with_the_peer),
        cmocka_unit_test(test_score_cut_off_stays_until_retained),
        cmocka_unit_test(test_score_full_gives_the_place_of_the_best_absent),
        cmocka_unit_test(test_score_equals_js_in_every_vector),
        cmocka_unit_test(test_score_p1_grows_in_the_mesh_and_is_capped),
        cmocka_unit_test(test_score_p2_counts_first_deliveries_and_decays),
        cmocka_unit_test(test_score_p3_punishes_a_silent_mesh_member_once_active),
        cmocka_unit_test(test_score_p3b_keeps_the_deficit_of_a_pruned_member),
        cmocka_unit_test(test_score_p4_outweighs_any_credit),
        cmocka_unit_test(test_score_p5_is_the_applications_word),
        cmocka_unit_test(test_score_p6_counts_peers_of_one_address),
        cmocka_unit_test(test_score_leaving_loses_credit_and_keeps_debt),
        cmocka_unit_test(test_score_topics_are_summed_and_capped),
        cmocka_unit_test(test_score_topics_per_peer_are_bounded),
        cmocka_unit_test(test_score_off_is_always_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
