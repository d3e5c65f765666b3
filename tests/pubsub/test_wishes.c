/* Many topics, and changes of mind: what peers believe in the end is what the application wants, whatever it costs in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pubsub/raw.h"
#include "pubsub/topics.h"

#define V12   PUBSUB_MESHSUB_12
#define MANY  PUBSUB_TOPICS_MAX
#define CHURN 2000

static struct netsim *s;

static int open_sim(void **state)
{
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    s = netsim_new(1, NULL);
    netsim_add(s, &cfg);
    netsim_add(s, &cfg);
    netsim_connect(s, 0, 1, V12);
    netsim_run(s, NETSIM_S);
    return 0;
}

static int close_sim(void **state)
{
    netsim_free(s);
    return 0;
}

static const char *name_of(const char *prefix, unsigned i)
{
    static char name[32];

    snprintf(name, sizeof(name), "%s%u", prefix, i);
    return name;
}

static void subscribe_all(unsigned n, const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(netsim_subscribe(s, n, name_of(prefix, i)), 0);
}

static void unsubscribe_all(unsigned n, const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(netsim_unsubscribe(s, n, name_of(prefix, i)), 0);
}

static struct pubsub_counters counters(unsigned n)
{
    struct pubsub_counters c;

    pubsub_counters_get(netsim_core(s, n), &c);
    return c;
}

/* Topics that node n believes its first peer to be in. */
static unsigned believed(unsigned n, double *score)
{
    struct pubsub_peer_info info[4];

    assert_true(pubsub_peers(netsim_core(s, n), info, 4) >= 1);
    if (score)
        *score = info[0].score;
    return info[0].topics;
}

static void expect_messages(const char *prefix, unsigned count)
{
    for (unsigned i = 0; i < count; i += 97) {
        struct slice text = slice_str(name_of(prefix, i));

        assert_int_equal(netsim_publish(s, 1, name_of(prefix, i), text), 0);
        netsim_run(s, 100 * NETSIM_MS);
        assert_int_equal(netsim_count(s, 0, name_of(prefix, i), text), 1);
    }
}

static void test_churn_ends_in_what_is_wanted(void **state)
{
    double score = -1;

    for (unsigned round = 0; round < 3; round++) {
        subscribe_all(0, "y", CHURN);
        netsim_run(s, 10 * NETSIM_MS); /* all of it between two heartbeats */
        if (round < 2)
            unsubscribe_all(0, "y", CHURN);
        netsim_run(s, 10 * NETSIM_MS);
    }
    netsim_run(s, 4 * NETSIM_S);
    assert_int_equal(believed(1, &score), CHURN);
    assert_int_equal(counters(1).floods, 0);
    assert_true(score >= 0);
    expect_messages("y", CHURN);
    unsubscribe_all(0, "y", CHURN);
    netsim_run(s, 4 * NETSIM_S);
    assert_int_equal(believed(1, NULL), 0);
}

/* As many as a peer takes; others in place of them are told in an order that it can follow. */
static void test_topics_are_as_many_as_peers_take(void **state)
{
    subscribe_all(0, "a", MANY);
    assert_int_equal(netsim_subscribe(s, 0, "one more"), -PUBSUB_EFULL);
    assert_int_equal(netsim_subscribe(s, 0, "a0"), 0); /* again */
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(believed(1, NULL), MANY);
    unsubscribe_all(0, "a", 1500);
    subscribe_all(0, "b", 1400);
    unsubscribe_all(0, "b", 700);
    subscribe_all(0, "a", 800);
    assert_int_equal(netsim_subscribe(s, 0, "one more"), -PUBSUB_EFULL);
    netsim_run(s, 5 * NETSIM_S);
    assert_int_equal(believed(1, NULL), MANY);
    assert_int_equal(counters(1).lists_cut, 0);
    expect_messages("a", 800);
    assert_int_equal(netsim_publish(s, 1, "b1399", SLICE_LIT("last")), 0);
    netsim_run(s, 100 * NETSIM_MS);
    assert_int_equal(netsim_count(s, 0, "b1399", SLICE_LIT("last")), 1);
}

/* Its turn has not come, and its own publishes are there for it all the same. */
static void test_a_topic_that_waits_hears_our_own(void **state)
{
    subscribe_all(0, "t", MANY);
    assert_int_equal(netsim_publish(s, 0, name_of("t", MANY - 1), SLICE_LIT("ours")), 0);
    assert_int_equal(netsim_count(s, 0, name_of("t", MANY - 1), SLICE_LIT("ours")), 1);
    assert_int_equal(netsim_unsubscribe(s, 0, name_of("t", MANY - 1)), 0);
    assert_int_equal(netsim_unsubscribe(s, 0, name_of("t", MANY - 1)), -PUBSUB_ETOPIC);
    assert_int_equal(netsim_publish(s, 0, name_of("t", MANY - 1), SLICE_LIT("nobody's")), 0);
    assert_int_equal(netsim_count(s, 0, name_of("t", MANY - 1), SLICE_LIT("nobody's")), 0);
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(believed(1, NULL), MANY - 1);
    netsim_leave(s, 0);
    netsim_run(s, 100 * NETSIM_MS);
    assert_int_equal(believed(1, NULL), 0);
}

/* Many SUBSCRIBEs or UNSUBSCRIBEs in a heartbeat, of peers that know no pace. */
static void say(struct raw *r, const char *prefix, unsigned count, bool is_on)
{
    static uint8_t out[1 << 20];
    struct wr w = wr_of(out, sizeof(out));

    for (unsigned i = 0; i < count; i++)
        rpc_put_subscription(&w, slice_str(name_of(prefix, i)), is_on);
    assert_false(w.bad);
    raw_send(r, 0, slice_of(out, w.len));
}

static unsigned believed_of(const struct raw *r)
{
    struct pubsub_peer_info info[4];
    unsigned n = pubsub_peers(netsim_core(s, 0), info, 4);

    for (unsigned i = 0; i < n; i++)
        if (info[i].peer == r->node + 1)
            return info[i].topics;
    return UINT32_MAX;
}

static void test_changes_past_the_limit_are_made(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    say(r, "x", CHURN, true);
    say(r, "x", CHURN, false);
    say(r, "x", CHURN, true); /* the 4097th is among them */
    assert_int_equal(believed_of(r), CHURN);
    say(r, "x", CHURN - 1, false);
    assert_int_equal(believed_of(r), 1);
    assert_int_equal(netsim_disconnects(s, 0), 0);
    raw_free(r);
}

/* Closed, so that it says all anew when it comes back: what was left out would be missing for ever. */
static void test_a_flood_of_changes_ends_the_connection(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    for (unsigned i = 0; i < 12; i++) /* a heartbeat may come in between */
        say(r, "x", CHURN, i % 2 == 0);
    assert_int_equal(netsim_disconnects(s, 0), 1);
    assert_true(counters(0).floods > 0);
    raw_free(r);
}

/* A peer of another kind may be in more topics than we follow, and says so when it comes. */
static void test_a_peer_with_very_many_topics_stays(void **state)
{
    struct raw *r = raw_new(s, 0, V12, true);

    say(r, "x", 20000, true);
    assert_int_equal(believed_of(r), MANY);
    assert_int_equal(netsim_disconnects(s, 0), 0);
    assert_int_equal(counters(0).floods, 0);
    say(r, "x", CHURN, false);
    assert_int_equal(believed_of(r), MANY - CHURN);
    raw_free(r);
}

/* A list that is cut short has ours; any of them can be asked about. */
static void test_our_topics_are_shown_first(void **state)
{
    struct pubsub_topic_info t[4];

    subscribe_all(1, "theirs", 500);
    netsim_run(s, 100 * NETSIM_MS);
    subscribe_all(0, "ours", 3);
    assert_int_equal(pubsub_topics(netsim_core(s, 0), t, 4), 4);
    for (unsigned i = 0; i < 3; i++)
        assert_true(t[i].is_subscribed);
    assert_false(t[3].is_subscribed);
    assert_int_equal(counters(0).topics_now, 503);
    assert_int_equal(counters(0).topics_ours_now, 3);
    assert_true(pubsub_topic(netsim_core(s, 0), SLICE_LIT("theirs499"), t));
    assert_string_equal(t[0].topic, "theirs499");
    assert_int_equal(t[0].peers, 1);
    assert_false(pubsub_topic(netsim_core(s, 0), SLICE_LIT("nobody's"), t));
}

/* Publishes to ever new names, as any client can make them. */
static void test_publishes_leave_room_for_subscriptions(void **state)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < TOPICS_MAX; i++) {
        int rc = netsim_publish(s, 0, name_of("fresh", i), slice_of(&i, sizeof(i)));

        assert_true(rc == 0 || rc == -PUBSUB_EFULL);
        taken += rc == 0;
    }
    assert_int_equal(taken, TOPICS_PUBLISHED_MAX);
    subscribe_all(0, "own", MANY);
    netsim_run(s, 3 * NETSIM_S);
    assert_int_equal(believed(1, NULL), MANY);
    assert_int_equal(netsim_subscribe(s, 1, "theirs"), 0);
    netsim_run(s, NETSIM_S);
    assert_int_equal(believed(0, NULL), 1);
    netsim_run(s, 90 * NETSIM_S);
    assert_int_equal(netsim_publish(s, 0, "another", SLICE_LIT("x")), 0);
}

/* A topic for each message, 1,000 a second. */
static void test_publishes_to_new_names_go_on(void **state)
{
    for (unsigned i = 0; i < 90000; i++) {
        assert_int_equal(netsim_publish(s, 0, name_of("each", i), slice_of(&i, sizeof(i))), 0);
        if (i % 500 == 499)
            netsim_run(s, NETSIM_S / 2);
    }
    netsim_run(s, 65 * NETSIM_S);
    assert_int_equal(counters(0).topics_now, 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, open_sim, close_sim)
    const struct CMUnitTest tests[] = {
        TEST(test_churn_ends_in_what_is_wanted),
        TEST(test_topics_are_as_many_as_peers_take),
        TEST(test_publishes_leave_room_for_subscriptions),
        TEST(test_publishes_to_new_names_go_on),
        TEST(test_a_topic_that_waits_hears_our_own),
        TEST(test_changes_past_the_limit_are_made),
        TEST(test_a_flood_of_changes_ends_the_connection),
        TEST(test_a_peer_with_very_many_topics_stays),
        TEST(test_our_topics_are_shown_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
