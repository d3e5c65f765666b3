#include "testing.h"

#include "base/timerq.h"
#include "node/dialer.h"
#include "node/seen_payloads.h"

#define SEC 1000000000ull

static void make(struct dialer *d, struct rng *rng, struct peer_id *self, struct peer_id *other)
{
    struct multiaddr a[2];
    uint8_t key[32] = {1}, ip[4] = {10, 0, 0, 1};

    rng_init_seeded(rng, 5);
    peer_id_from_ed25519(self, key);
    key[0] = 2;
    peer_id_from_ed25519(other, key);
    multiaddr_of_tcp(&a[0], ip, 4, 7070, self);
    multiaddr_of_tcp(&a[1], ip, 4, 7071, other);
    dialer_init(d, a, 2, self, rng, 0);
}

static void test_dialer_skips_itself(void **state)
{
    struct dialer d;
    struct rng rng;
    struct peer_id self, other;

    make(&d, &rng, &self, &other);
    assert_int_equal(dialer_waiting(&d), 1);
    assert_int_equal(dialer_take(&d, 0), 1);
    assert_int_equal(dialer_take(&d, 0), -1); /* one dial at a time */
}

static void test_dialer_backs_off_and_never_past_its_bound(void **state)
{
    struct dialer d;
    struct rng rng;
    struct peer_id self, other;
    uint64_t now = 0, last = 0;

    make(&d, &rng, &self, &other);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(dialer_take(&d, now), 1);
        dialer_failed(&d, 1, now);
        uint64_t wait = dialer_next_deadline(&d) - now;
        assert_true(wait <= DIALER_MAX_NS);
        assert_true(wait >= DIALER_FIRST_NS * 3 / 4);
        assert_int_equal(dialer_take(&d, now + wait - 1), -1);
        if (i == 2)
            assert_true(wait > last);
        last = wait;
        now += wait;
    }
    assert_true(last >= DIALER_MAX_NS * 3 / 4);
}

static void test_dialer_rests_while_connected_and_returns_after(void **state)
{
    struct dialer d;
    struct rng rng;
    struct peer_id self, other;

    make(&d, &rng, &self, &other);
    assert_int_equal(dialer_take(&d, 0), 1);
    dialer_up(&d, &other);
    dialer_up(&d, &other); /* both sides dialed */
    assert_int_equal(dialer_waiting(&d), 0);
    assert_true(dialer_next_deadline(&d) == TIMER_NEVER);
    dialer_down(&d, &other, 100 * SEC);
    assert_int_equal(dialer_waiting(&d), 0);
    dialer_down(&d, &other, 100 * SEC);
    assert_int_equal(dialer_waiting(&d), 1);
    assert_true(dialer_next_deadline(&d) <= 101 * SEC);
    assert_int_equal(dialer_take(&d, 101 * SEC), 1);
}

static void test_dialer_tries_again_when_nobody_answers(void **state)
{
    struct dialer d;
    struct rng rng;
    struct peer_id self, other;

    make(&d, &rng, &self, &other);
    assert_int_equal(dialer_take(&d, 0), 1);
    assert_int_equal(dialer_take(&d, DIALER_TIMEOUT_NS - 1), -1);
    assert_int_equal(dialer_take(&d, DIALER_TIMEOUT_NS), 1);
}

static void test_seen_payloads_by_topic_for_two_minutes(void **state)
{
    struct seen_payloads s;
    uint8_t seed[16] = {0}, a[32] = {1}, b[32] = {2};

    seen_payloads_init(&s, 3, seed);
    assert_true(seen_payloads_add(&s, "t", a, 0));
    assert_false(seen_payloads_add(&s, "t", a, SEC));
    assert_true(seen_payloads_add(&s, "u", a, SEC)); /* another topic is another message */
    assert_true(seen_payloads_add(&s, "t", b, SEC));
    assert_false(seen_payloads_add(&s, "t", a, 119 * SEC));
    assert_true(seen_payloads_add(&s, "t", a, 120 * SEC));
    seen_payloads_forget(&s, "t", a);
    assert_true(seen_payloads_add(&s, "t", a, 120 * SEC));
    assert_int_equal(s.forgotten_early, 0);
    assert_true(seen_payloads_add(&s, "v", a, 120 * SEC)); /* full: the oldest goes, counted */
    assert_int_equal(s.forgotten_early, 1);
    seen_payloads_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialer_skips_itself),
        cmocka_unit_test(test_dialer_backs_off_and_never_past_its_bound),
        cmocka_unit_test(test_dialer_rests_while_connected_and_returns_after),
        cmocka_unit_test(test_dialer_tries_again_when_nobody_answers),
        cmocka_unit_test(test_seen_payloads_by_topic_for_two_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
