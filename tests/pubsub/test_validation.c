/* The application's verdict on messages: accept, ignore, reject, and what it costs to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/raw.h"

#define TOPIC "demo"
#define V12   PUBSUB_MESHSUB_12
#define DELAY (100 * NETSIM_MS)

static struct netsim *s;

static enum pubsub_verdict judge(void *user, struct slice payload)
{
    return payload.len && payload.p[0] == 'r' ? PUBSUB_REJECT : payload.len && payload.p[0] == 'i' ? PUBSUB_IGNORE : PUBSUB_ACCEPT;
}

/* Node 0 asks its application, which takes 100 ms; at most 3 wait. */
static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    cfg.has_validation = true;
    cfg.validation_max = 3;
    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    netsim_validator(s, 0, judge, NULL, DELAY);
    netsim_subscribe(s, 0, TOPIC);
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

static struct raw *meshed(void)
{
    struct raw *r = raw_new(s, 0, V12, true);

    raw_graft(r, 0, TOPIC);
    return r;
}

static double part(const struct raw *r, unsigned p)
{
    struct pubsub_peer_info info[64];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 64);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i].score_parts[p - 1];
    return 1e9;
}

static unsigned got(const char *text)
{
    return netsim_count(s, 0, TOPIC, slice_str(text));
}

static void test_validation_accept_delivers_and_forwards_after_the_verdict(void **state)
{
    struct raw *a = meshed(), *b = meshed();

    raw_message(a, 0, TOPIC, 1, SLICE_LIT("good"), false);
    assert_int_equal(got("good"), 0);
    assert_int_equal(raw_count(b, RPC_MESSAGE), 0);
    assert_int_equal(counters().validations_now, 1);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("good"), 1);
    assert_int_equal(raw_count(b, RPC_MESSAGE), 1);
    assert_int_equal(raw_count(a, RPC_MESSAGE), 0);
    assert_true(part(a, 2) > 0);
    assert_int_equal(counters().validations_now, 0);
    raw_free(a);
    raw_free(b);
}

static void test_validation_ignore_blames_nobody(void **state)
{
    struct raw *a = meshed(), *b = meshed();

    raw_message(a, 0, TOPIC, 1, SLICE_LIT("ignore"), false);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("ignore"), 0);
    assert_int_equal(raw_count(b, RPC_MESSAGE), 0);
    assert_true(part(a, 4) == 0 && part(a, 2) == 0);
    assert_int_equal(counters().validation_ignored, 1);
    raw_free(a);
    raw_free(b);
}

static void test_validation_reject_blames_all_who_brought_it(void **state)
{
    struct raw *a = meshed(), *b = meshed(), *c = meshed();
    struct buf *m = raw_field(netsim_key(s, a->node), TOPIC, 1, SLICE_LIT("reject"), false);

    raw_send(a, 0, buf_slice(m));
    raw_send(b, 0, buf_slice(m));
    raw_send(b, 0, buf_slice(m));
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("reject"), 0);
    assert_int_equal(raw_count(c, RPC_MESSAGE), 0);
    assert_true(part(a, 4) == -2 && part(b, 4) == -2 && part(c, 4) == 0);
    raw_send(c, 0, buf_slice(m)); /* seen: not judged again, and too late to tell */
    netsim_run(s, 2 * DELAY);
    assert_int_equal(counters().validation_rejected, 1);
    buf_unref(m);
    raw_free(a);
    raw_free(b);
    raw_free(c);
}

static void test_validation_queue_is_bounded_and_what_did_not_fit_may_come_again(void **state)
{
    struct raw *a = meshed();
    static const char *const texts[] = {"1", "2", "3", "4"};

    for (uint64_t i = 0; i < 4; i++)
        raw_message(a, 0, TOPIC, i + 1, slice_str(texts[i]), false);
    assert_int_equal(counters().validation_throttled, 1);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("3"), 1);
    assert_int_equal(got("4"), 0);
    raw_message(a, 0, TOPIC, 4, SLICE_LIT("4"), false);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("4"), 1);
    assert_true(part(a, 4) == 0); /* it is our limit, not the peer's fault */
    raw_free(a);
}

static void test_validation_without_a_verdict_is_given_up(void **state)
{
    struct raw *a = meshed();

    netsim_validator(s, 0, judge, NULL, 100 * NETSIM_S);
    raw_message(a, 0, TOPIC, 1, SLICE_LIT("late"), false);
    netsim_run(s, 40 * NETSIM_S);
    assert_int_equal(counters().validations_now, 0);
    assert_int_equal(counters().validation_expired, 1);
    netsim_run(s, 100 * NETSIM_S); /* the verdict comes, for nothing */
    assert_int_equal(got("late"), 0);
    assert_int_equal(pubsub_validated(netsim_core(s, 0), 1, PUBSUB_ACCEPT, netsim_now(s)), -PUBSUB_ETOKEN);
    raw_free(a);
}

static void test_validation_outlives_its_sender_and_its_topic(void **state)
{
    struct raw *a = meshed(), *b = meshed();

    raw_message(a, 0, TOPIC, 1, SLICE_LIT("good"), false);
    netsim_disconnect(s, a->node, 0);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("good"), 1);
    raw_message(b, 0, TOPIC, 1, SLICE_LIT("good 2"), false);
    raw_message(b, 0, TOPIC, 2, SLICE_LIT("reject"), false);
    netsim_disconnect(s, b->node, 0);
    netsim_unsubscribe(s, 0, TOPIC);
    netsim_run(s, 2 * DELAY);
    assert_int_equal(got("good 2"), 0);
    raw_free(a);
    raw_free(b);
}

static void test_validation_is_not_asked_of_bad_signatures(void **state)
{
    struct raw *a = meshed();

    raw_message(a, 0, TOPIC, 1, SLICE_LIT("good"), true);
    assert_int_equal(counters().validations_now, 0);
    assert_true(part(a, 4) == -2);
    raw_free(a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_sim, close_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_validation_accept_delivers_and_forwards_after_the_verdict),
        TEST(test_validation_ignore_blames_nobody),
        TEST(test_validation_reject_blames_all_who_brought_it),
        TEST(test_validation_queue_is_bounded_and_what_did_not_fit_may_come_again),
        TEST(test_validation_without_a_verdict_is_given_up),
        TEST(test_validation_outlives_its_sender_and_its_topic),
        TEST(test_validation_is_not_asked_of_bad_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
