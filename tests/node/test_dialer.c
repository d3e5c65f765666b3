#include "testing.h"

#include "base/timerq.h"
#include "node/dialer.h"
#include "node/seen_payloads.h"

#define SEC 1000000000ull

#define LOW 4

static struct peerstore store;
static struct dialer d;
static struct rng rng;
static const uint8_t seed[16];

static struct peer_id id_of(unsigned i)
{
    uint8_t key[32] = {(uint8_t)i, 1};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static struct multiaddr addr_of(unsigned i, unsigned port)
{
    struct peer_id id = id_of(i);
    uint8_t ip[4] = {10, 0, 0, (uint8_t)(i + 1)};
    struct multiaddr a;

    multiaddr_of_tcp(&a, ip, 4, (uint16_t)port, &id);
    return a;
}

/* We are peer 0. */
static int setup(void **state)
{
    struct peer_id self = id_of(0);

    rng_init_seeded(&rng, 5);
    peerstore_init(&store, &self, false, seed);
    dialer_init(&d, &store, LOW, &rng);
    return 0;
}

static int teardown(void **state)
{
    peerstore_fini(&store);
    return 0;
}

static void bootstrap(unsigned i)
{
    struct multiaddr a = addr_of(i, 7070);

    dialer_bootstrap(&d, &a, 0);
}

static void hear_of(unsigned i, unsigned port, uint64_t now)
{
    struct peer_id id = id_of(i);
    struct multiaddr a = addr_of(i, port);

    assert_true(peerstore_add_addr(&store, &id, multiaddr_slice(&a), PEERSTORE_DHT, now));
}

static bool is_to(const struct dialer_order *o, unsigned i)
{
    struct peer_id id = id_of(i);

    return peer_id_is_equal(&o->peer, &id);
}

static void up(unsigned i, uint64_t token, uint64_t now)
{
    struct peer_id id = id_of(i);

    dialer_up(&d, &id, token, now);
}

static void down(unsigned i, uint64_t now)
{
    struct peer_id id = id_of(i);

    dialer_down(&d, &id, now);
}

static void test_dialer_skips_itself(void **state)
{
    struct dialer_order o;

    bootstrap(0);
    bootstrap(1);
    assert_int_equal(dialer_waiting(&d), 1);
    assert_true(dialer_take(&d, &o, 0));
    assert_true(is_to(&o, 1));
    assert_false(dialer_take(&d, &o, 0)); /* one dial at a time */
}

static void test_dialer_backs_off_and_never_past_its_bound(void **state)
{
    struct dialer_order o;
    uint64_t now = 0, last = 0;

    bootstrap(1);
    for (int i = 0; i < 12; i++) {
        assert_true(dialer_take(&d, &o, now));
        assert_non_null(dialer_failed(&d, o.token, now));
        uint64_t wait = dialer_next_deadline(&d, now) - now;
        assert_true(wait <= DIALER_MAX_NS);
        assert_true(wait >= DIALER_FIRST_NS * 3 / 4);
        assert_false(dialer_take(&d, &o, now + wait - 1));
        if (i == 2)
            assert_true(wait > last);
        last = wait;
        now += wait;
    }
    assert_true(last >= DIALER_MAX_NS * 3 / 4);
}

static void test_dialer_backs_off_longer_from_those_that_are_not_bootstrap(void **state)
{
    struct dialer_order o;
    uint64_t now = 0, wait = 0;

    hear_of(1, 7070, 0);
    for (int i = 0; i < 14; i++) {
        hear_of(1, 7070, now);
        assert_true(dialer_take(&d, &o, now));
        dialer_failed(&d, o.token, now);
        wait = dialer_next_deadline(&d, now) - now;
        now += wait;
    }
    assert_true(wait >= DIALER_OTHERS_NS * 3 / 4);
    assert_true(wait <= DIALER_OTHERS_NS);
}

/* The second address is tried at once when the first fails; then both wait, each its own time. */
static void test_dialer_tries_every_address_of_a_peer(void **state)
{
    struct dialer_order a, b, c;

    hear_of(1, 7070, 0);
    hear_of(1, 7071, 0);
    assert_true(dialer_take(&d, &a, 0));
    dialer_failed(&d, a.token, 0);
    assert_true(dialer_take(&d, &b, 0));
    assert_true(is_to(&b, 1));
    assert_memory_not_equal(a.addr.bytes, b.addr.bytes, a.addr.len);
    dialer_failed(&d, b.token, 0);
    assert_false(dialer_take(&d, &c, 0));
    assert_true(dialer_next_deadline(&d, 0) >= DIALER_FIRST_NS * 3 / 4);
}

static void test_dialer_rests_while_connected_and_returns_after(void **state)
{
    struct dialer_order o;

    bootstrap(1);
    assert_true(dialer_take(&d, &o, 0));
    up(1, o.token, 0);
    up(1, 0, 0); /* both sides dialed */
    assert_int_equal(dialer_waiting(&d), 0);
    assert_int_equal(dialer_bootstrap_up(&d), 1);
    assert_true(dialer_next_deadline(&d, 0) == TIMER_NEVER);
    down(1, 100 * SEC);
    assert_int_equal(dialer_waiting(&d), 0);
    down(1, 100 * SEC);
    assert_int_equal(dialer_waiting(&d), 1);
    assert_true(dialer_next_deadline(&d, 100 * SEC) <= 101 * SEC);
    assert_true(dialer_take(&d, &o, 101 * SEC));
}

/* A peer that lets us in and throws us out again (it is full) is not asked four times a second. */
static void test_dialer_backs_off_from_a_peer_that_breaks_off_at_once(void **state)
{
    struct dialer_order o;
    uint64_t now = 0, wait = 0;

    bootstrap(1);
    for (int i = 0; i < 8; i++) {
        assert_true(dialer_take(&d, &o, now));
        up(1, o.token, now);
        down(1, now + SEC / 10);
        wait = dialer_next_deadline(&d, now) - now;
        now += wait;
    }
    assert_true(wait > DIALER_MAX_NS / 2);
}

static void test_dialer_tries_again_when_nobody_answers(void **state)
{
    struct dialer_order o;

    bootstrap(1);
    assert_true(dialer_take(&d, &o, 0));
    assert_false(dialer_take(&d, &o, DIALER_TIMEOUT_NS - 1));
    assert_false(dialer_take(&d, &o, DIALER_TIMEOUT_NS)); /* that was a failure */
    assert_true(dialer_take(&d, &o, DIALER_TIMEOUT_NS + DIALER_FIRST_NS));
}

/* LOW peers are wanted in any case, from whoever is known; above it only bootstrap peers and wishes are dialed. */
static void test_dialer_dials_whom_it_knows_until_there_are_enough(void **state)
{
    struct dialer_order o;
    struct peer_id wish = id_of(20), unknown = id_of(99);

    for (unsigned i = 1; i <= 20; i++)
        hear_of(i, 7070, 0);
    for (unsigned i = 0; i < LOW; i++) {
        assert_true(dialer_take(&d, &o, 0));
        assert_true(dialer_is_dialing(&d, &o.peer));
        dialer_up(&d, &o.peer, o.token, 0);
    }
    assert_false(dialer_take(&d, &o, 0));
    assert_false(dialer_want(&d, &unknown, 0)); /* nobody knows where it is */
    if (peerstore_find(&store, &wish)->conns == 0) {
        assert_true(dialer_want(&d, &wish, 0));
        assert_true(dialer_take(&d, &o, 0));
        assert_true(is_to(&o, 20));
    }
    bootstrap(30);
    assert_true(dialer_take(&d, &o, 0));
    assert_true(is_to(&o, 30));
}

static void test_dialer_bounds_its_dials(void **state)
{
    struct dialer_order o;
    unsigned n = 0;

    for (unsigned i = 1; i <= 40; i++)
        bootstrap(i);
    while (dialer_take(&d, &o, 0))
        n++;
    assert_int_equal(n, DIALER_DIALS - DIALER_KEPT); /* the rest is for others */
    assert_non_null(dialer_failed(&d, 1, 0));
    assert_true(dialer_take(&d, &o, 0));
    assert_null(dialer_failed(&d, 12345, 0));
}

/* Strangers name addresses where nobody answers, more of them than there are dials: a bootstrap peer does not wait. */
static void test_dialer_wishes_leave_dials_to_the_bootstrap(void **state)
{
    struct dialer_order o;
    unsigned n = 0;

    for (unsigned i = 1; i <= 40; i++) {
        struct peer_id id = id_of(i);
        hear_of(i, 7070, 0);
        assert_true(dialer_want(&d, &id, 0));
    }
    while (dialer_take(&d, &o, 0))
        n++;
    assert_int_equal(n, DIALER_DIALS - DIALER_KEPT);
    bootstrap(100);
    assert_true(dialer_take(&d, &o, SEC));
    assert_true(is_to(&o, 100));
    assert_false(dialer_take(&d, &o, SEC));
    assert_true(dialer_next_deadline(&d, SEC) > SEC); /* and nobody is asked to look again at once */
}

/* A peer that was here and has gone is tried before what strangers told of, however much that is. */
static void test_dialer_prefers_whom_it_saw_to_hearsay(void **state)
{
    struct dialer_order o;

    hear_of(50, 7070, 0);
    assert_true(dialer_take(&d, &o, 0));
    up(50, o.token, 0);
    for (unsigned i = 1; i <= 40; i++)
        hear_of(i, 7070, 0);
    for (unsigned i = 1; i < LOW; i++)
        up(i, 0, 0); /* enough: nobody is dialed */
    assert_false(dialer_take(&d, &o, 99 * SEC));
    down(50, 100 * SEC);
    bool is_first = dialer_take(&d, &o, 101 * SEC) && is_to(&o, 50);
    assert_true(is_first);
}

/* A bad score is not for ever: two nodes may have nobody else left. */
static void test_dialer_forgives_a_bad_score_in_time(void **state)
{
    struct peer_id one = id_of(1);
    struct dialer_order o;

    hear_of(1, 7070, 0);
    assert_true(dialer_take(&d, &o, 0));
    up(1, o.token, 0);
    peerstore_find(&store, &one)->score = -5;
    down(1, 100 * SEC);
    assert_false(dialer_take(&d, &o, 200 * SEC));
    uint64_t at = dialer_next_deadline(&d, 200 * SEC);
    assert_true(at >= 100 * SEC + DIALER_FORGIVE_NS);
    assert_true(at != TIMER_NEVER);
    assert_true(dialer_take(&d, &o, at));
    assert_true(is_to(&o, 1));
}

static bool seen_add(struct seen_payloads *s, const char *topic, const uint8_t sha256[32], uint64_t now)
{
    struct seen_key key = seen_payloads_key(topic, sha256);
    bool had = seen_payloads_has(s, &key, now), is_new = seen_payloads_add(s, &key, sha256, now);

    assert_true(had != is_new);
    return is_new;
}

static void test_seen_payloads_by_topic_for_two_minutes(void **state)
{
    struct seen_payloads s;
    uint8_t a[32] = {1}, b[32] = {2}, latest[3][32];
    struct seen_key key = seen_payloads_key("t", a);

    seen_payloads_init(&s, 3, seed);
    assert_true(seen_add(&s, "t", a, 0));
    assert_false(seen_add(&s, "t", a, SEC));
    assert_true(seen_add(&s, "u", a, SEC)); /* another topic is another message */
    assert_true(seen_add(&s, "t", b, SEC));
    assert_false(seen_add(&s, "t", a, 119 * SEC));
    assert_int_equal(seen_payloads_latest(&s, latest, 3, 119 * SEC), 3);
    assert_true(memcmp(latest[0], b, 32) == 0 && memcmp(latest[2], a, 32) == 0);
    assert_int_equal(seen_payloads_latest(&s, latest, 1, 119 * SEC), 1);
    assert_int_equal(seen_payloads_latest(&s, latest, 3, 120 * SEC), 2);
    assert_true(seen_add(&s, "t", a, 120 * SEC));
    seen_payloads_forget(&s, &key);
    assert_true(seen_add(&s, "t", a, 120 * SEC));
    assert_int_equal(s.forgotten_early, 0);
    assert_true(seen_add(&s, "v", a, 120 * SEC)); /* full: the oldest goes, counted */
    assert_int_equal(s.forgotten_early, 1);
    seen_payloads_fini(&s);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialer_skips_itself),
        TEST(test_dialer_backs_off_and_never_past_its_bound),
        TEST(test_dialer_backs_off_longer_from_those_that_are_not_bootstrap),
        TEST(test_dialer_tries_every_address_of_a_peer),
        TEST(test_dialer_rests_while_connected_and_returns_after),
        TEST(test_dialer_backs_off_from_a_peer_that_breaks_off_at_once),
        TEST(test_dialer_tries_again_when_nobody_answers),
        TEST(test_dialer_dials_whom_it_knows_until_there_are_enough),
        TEST(test_dialer_bounds_its_dials),
        TEST(test_dialer_wishes_leave_dials_to_the_bootstrap),
        TEST(test_dialer_prefers_whom_it_saw_to_hearsay),
        TEST(test_dialer_forgives_a_bad_score_in_time),
        cmocka_unit_test(test_seen_payloads_by_topic_for_two_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
