#include "testing.h"

#include "pubsub/replay.h"

#define S      1000000000ull
#define FORGET (120 * S)

static struct replay r;
static struct peer_id alice, bob;

static struct peer_id author(unsigned n)
{
    uint8_t key[32] = {(uint8_t)n, (uint8_t)(n >> 8), 3};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static int setup(void **state)
{
    replay_init(&r, 8, FORGET, (const uint8_t[16]){0});
    alice = author(1);
    bob = author(2);
    return 0;
}

static int teardown(void **state)
{
    replay_fini(&r);
    return 0;
}

/* Wherever in a turn a message comes: overtaken ones pass for 90 s, and none comes back once the seen cache has forgotten it. */
static void test_replay_is_old_when_the_seen_cache_forgets(void **state)
{
    for (uint64_t at = 1000 * S; at < 1062 * S; at += S / 2) {
        replay_fini(&r);
        setup(state);
        replay_note(&r, &alice, 50, at);
        for (uint64_t age = 0; age < 90 * S; age += S) {
            assert_false(replay_is_old(&r, &alice, 50, at + age));
            assert_false(replay_is_old(&r, &alice, 1, at + age)); /* it was overtaken */
        }
        for (uint64_t age = FORGET; age < 3 * FORGET; age += S) {
            assert_true(replay_is_old(&r, &alice, 50, at + age));
            assert_true(replay_is_old(&r, &alice, 1, at + age));
            assert_false(replay_is_old(&r, &alice, 51, at + age));
        }
        assert_false(replay_is_old(&r, &bob, 1, at + 3 * FORGET)); /* each author for itself */
    }
}

static void test_replay_of_a_steady_author(void **state)
{
    uint64_t now = 5000 * S;

    for (uint64_t seqno = 1; seqno < 2000; seqno++, now += S) {
        assert_false(replay_is_old(&r, &alice, seqno, now));
        replay_note(&r, &alice, seqno, now);
        if (seqno > 120) {
            assert_true(replay_is_old(&r, &alice, seqno - 120, now)); /* what came 120 s ago */
            assert_false(replay_is_old(&r, &alice, seqno - 89, now));
        }
    }
    now += 1000000 * S; /* a silence of many turns */
    assert_true(replay_is_old(&r, &alice, 1999, now));
    assert_false(replay_is_old(&r, &alice, 2000, now));
    replay_note(&r, &alice, 2000, now);
    assert_false(replay_is_old(&r, &alice, 2000, now + 89 * S));
    assert_true(replay_is_old(&r, &alice, 1999, now + 89 * S));
}

static void test_replay_late_ones_lower_nothing(void **state)
{
    replay_note(&r, &alice, 100, 1000 * S);
    replay_note(&r, &alice, 40, 1060 * S);
    assert_true(replay_is_old(&r, &alice, 100, 1120 * S));
    assert_true(replay_is_old(&r, &alice, 100, 1300 * S));
    replay_note(&r, &bob, UINT64_MAX, 1000 * S); /* whoever does so has said all it can */
    assert_true(replay_is_old(&r, &bob, UINT64_MAX, 1120 * S));
}

static void test_replay_table_is_bounded(void **state)
{
    for (unsigned n = 1; n <= 100; n++) {
        struct peer_id id = author(n);
        replay_note(&r, &id, 7, 1000 * S + n);
        replay_note(&r, &alice, 7, 1000 * S + n); /* who speaks stays */
    }
    assert_int_equal(r.by_author.count, 8);
    assert_int_equal(r.evicted, 92);
    assert_true(replay_is_old(&r, &alice, 7, 2000 * S));
    bob = author(50);
    assert_false(replay_is_old(&r, &bob, 7, 2000 * S));
    bob = author(100);
    assert_true(replay_is_old(&r, &bob, 7, 2000 * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay_is_old_when_the_seen_cache_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay_of_a_steady_author, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay_late_ones_lower_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay_table_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
