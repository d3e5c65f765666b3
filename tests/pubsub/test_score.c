#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/score.h"

#define S 1000000000ull

static const uint8_t seed[16];

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
    struct score *sc = score_enter(&s, &id);
    assert_true(score_value(&s, sc) == 0);
    score_behaviour(sc, 6);
    assert_true(score_value(&s, sc) == 0);
    score_behaviour(sc, 1);
    assert_true(score_value(&s, sc) == -10);
    score_behaviour(sc, 2);
    assert_true(score_value(&s, sc) == -90);
    assert_true(score_value(&s, sc) < SCORE_GRAYLIST);
    scores_fini(&s);
}

static void test_score_seven_invalid_messages_graylist(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id);
    for (int i = 0; i < 6; i++)
        score_invalid(sc);
    assert_true(score_value(&s, sc) >= SCORE_GRAYLIST);
    score_invalid(sc);
    assert_true(score_value(&s, sc) < SCORE_GRAYLIST);
    scores_fini(&s);
}

/* A peer whose message ids differ from ours breaks one promise a heartbeat for ever, and must stay acceptable. */
static void test_score_one_broken_promise_a_second_is_tolerated(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id);
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
    struct score *sc = score_enter(&s, &id);
    score_behaviour(sc, 1e9); /* capped, or it would take ages */
    score_leave(&s, sc, 1 * S);
    scores_tick(&s, 2 * S);
    assert_true(score_enter(&s, &id) == sc); /* a reconnect does not help */
    assert_true(score_value(&s, sc) < SCORE_GRAYLIST);
    score_leave(&s, sc, 3 * S);
    for (uint64_t t = 3; t < 70; t++)
        scores_tick(&s, t * S);
    assert_int_equal(s.map.count, 0);
    scores_fini(&s);
}

static void test_score_clean_record_goes_with_the_peer(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    score_leave(&s, score_enter(&s, &id), 1);
    assert_int_equal(s.map.count, 0);
    scores_fini(&s);
}

static void test_score_cut_off_stays_until_retained(void **state)
{
    struct peer_id id = peer(1);
    struct scores s;

    scores_init(&s, &score_defaults, 10, seed, 0);
    struct score *sc = score_enter(&s, &id);
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
        sc[i] = score_enter(&s, &id);
    }
    struct peer_id fourth = peer(3), second = peer(1);
    assert_null(score_enter(&s, &fourth)); /* all are connected */
    score_behaviour(sc[0], 20);
    score_invalid(sc[1]);
    score_leave(&s, sc[0], 1);
    score_leave(&s, sc[1], 1);
    assert_non_null(score_enter(&s, &fourth));
    assert_null(map_get(&s.map, peer_id_slice(&second))); /* the bad one's record stays */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
