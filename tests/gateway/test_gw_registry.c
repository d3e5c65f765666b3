/* test_gw_registry.c: clients, subscriptions, sinks */
#include "testing.h"

#include <unistd.h>

#include "gateway/gw_link.h"
#include "gateway/gw_registry.h"

#define S 1000000000ull

static const uint8_t seed[16];

struct taker {
    struct gw_sink sink;
    unsigned got;
};

struct wishes {
    unsigned on, off;
};

static void take(struct gw_sink *s, struct gw_delivery *d)
{
    CONTAINER_OF(s, struct taker, sink)->got++;
}

static void on_topic(void *user, struct slice topic, bool wanted)
{
    struct wishes *w = user;

    if (wanted)
        w->on++;
    else
        w->off++;
}

static struct gw_delivery delivery(const char *topic)
{
    static const uint8_t id[GW_ID_BYTES];
    struct gw_delivery d;

    gw_delivery_init(&d, slice_str(topic), id, "", "", SLICE_LIT("x"));
    d.topic.p = (const uint8_t *)topic; /* d is returned by value */
    return d;
}

static unsigned deliver(struct gw_registry *r, const char *topic, unsigned seen, unsigned total)
{
    struct gw_delivery d = delivery(topic);

    return gw_registry_deliver(r, (double)(seen - 1) / total, (double)seen / total, &d);
}

static void open_registry(struct gw_registry *r, struct wishes *w, struct gw_registry_config cfg)
{
    *w = (struct wishes){0};
    cfg.on_topic = on_topic;
    cfg.user = w;
    gw_registry_init(r, &cfg, seed);
}

static void test_registry_delivers_to_subscribers_alone(void **state)
{
    struct taker a = {{.deliver = take}, 0}, a2 = a, b = a;
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){0});
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("t"), 0.1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("u"), 0.1, S), 0);
    gw_registry_attach(&r, SLICE_LIT("a"), &a.sink, false, S);
    gw_registry_attach(&r, SLICE_LIT("a"), &a2.sink, false, S);
    gw_registry_attach(&r, SLICE_LIT("b"), &b.sink, false, S);
    assert_int_equal(deliver(&r, "t", 1, 4), 2);
    assert_int_equal(deliver(&r, "u", 1, 4), 1);
    assert_int_equal(deliver(&r, "v", 1, 4), 0);
    assert_true(a.got == 1 && a2.got == 1 && b.got == 1);
    gw_registry_detach(&r, &a2.sink, S);
    assert_int_equal(deliver(&r, "t", 1, 4), 1);
    gw_registry_unsubscribe(&r, SLICE_LIT("a"), SLICE_LIT("t"), S);
    assert_int_equal(deliver(&r, "t", 1, 4), 0);
    assert_true(w.on == 2 && w.off == 1);
    gw_registry_detach(&r, &a.sink, S);
    gw_registry_detach(&r, &b.sink, S);
    gw_registry_fini(&r);
}

/* Subscriptions outlive connections, whichever comes first, and two of one client count as long as one is left. */
static void test_registry_clients_come_and_go(void **state)
{
    struct taker a = {{.deliver = take}, 0}, a2 = a, b = a;
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){0});
    gw_registry_attach(&r, SLICE_LIT("b"), &b.sink, false, S);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gw_registry_subscribe(&r, i ? SLICE_LIT("b") : SLICE_LIT("a"), SLICE_LIT("t"), 0.1, S), 0);
        assert_int_equal(gw_registry_subscribe(&r, i ? SLICE_LIT("b") : SLICE_LIT("a"), SLICE_LIT("u"), 0.1, S), 0);
    }
    assert_int_equal(deliver(&r, "t", 1, 4), 1);
    for (unsigned i = 0; i < 3; i++) {
        gw_registry_attach(&r, SLICE_LIT("a"), &a.sink, false, S);
        gw_registry_attach(&r, SLICE_LIT("a"), &a2.sink, false, S);
        assert_int_equal(deliver(&r, "t", 1, 4), 3);
        gw_registry_detach(&r, &a.sink, S);
        assert_int_equal(deliver(&r, "u", 1, 4), 2);
        gw_registry_detach(&r, &a2.sink, S);
        assert_int_equal(deliver(&r, "t", 1, 4), 1);
    }
    assert_true(a.got == 3 && a2.got == 6 && b.got == 10);
    gw_registry_unsubscribe(&r, SLICE_LIT("a"), SLICE_LIT("t"), S);
    gw_registry_unsubscribe(&r, SLICE_LIT("b"), SLICE_LIT("t"), S);
    assert_true(w.on == 2 && w.off == 1);
    gw_registry_detach(&r, &b.sink, S);
    gw_registry_fini(&r);
}

static void test_registry_thresholds(void **state)
{
    static const struct {
        double threshold;
        unsigned total, need;
    } t[] = {{0.1, 1, 1},  {0.1, 4, 1},  {0.1, 10, 1},    {0.1, 11, 2},    {0.25, 4, 1},
             {0.5, 4, 2},  {0.51, 4, 3}, {0.75, 4, 3},    {1.0, 4, 4},     {1.0, 1, 1},
             {0.3, 10, 3}, {0.7, 10, 7}, {1.0 / 3, 3, 1}, {2.0 / 3, 3, 2}, {1e-9, 64, 1},
             {0.1f, 10, 1}, {0.3f, 10, 3}, {0.7f, 10, 7}, {1.0f, 64, 64}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct taker a = {{.deliver = take}, 0};
        struct gw_registry r;
        struct wishes w;

        open_registry(&r, &w, (struct gw_registry_config){0});
        gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("t"), t[i].threshold, S);
        gw_registry_attach(&r, SLICE_LIT("a"), &a.sink, false, S);
        for (unsigned seen = 1; seen <= t[i].total; seen++) {
            deliver(&r, "t", seen, t[i].total);
            assert_int_equal(a.got, seen >= t[i].need);
        }
        gw_registry_detach(&r, &a.sink, S);
        gw_registry_fini(&r);
    }
}

static void test_registry_one_topic_many_clients(void **state)
{
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;
    char id[16];

    open_registry(&r, &w, (struct gw_registry_config){0});
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "c%u", i);
        assert_int_equal(gw_registry_subscribe(&r, slice_str(id), SLICE_LIT("t"), 1, S), 0);
        assert_int_equal(gw_registry_subscribe(&r, slice_str(id), SLICE_LIT("t"), 0.5, S), 0);
    }
    gw_registry_counts(&r, &counts);
    assert_true(counts.clients == 1000 && counts.topics == 1 && counts.subs == 1000);
    assert_true(w.on == 1 && w.off == 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "c%u", i);
        gw_registry_unsubscribe(&r, slice_str(id), SLICE_LIT("t"), S);
    }
    assert_true(w.off == 1 && !gw_registry_has_topic(&r, SLICE_LIT("t")));
    gw_registry_fini(&r);
}

static void test_registry_bounds(void **state)
{
    struct taker a = {{.deliver = take}, 0};
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w,
                  (struct gw_registry_config){.max_clients = 2, .max_topics = 3, .max_topics_per_owner = 2});
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("1"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("2"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("3"), 1, S), -GW_E_CLIENT_TOPICS);
    assert_false(gw_registry_has_topic(&r, SLICE_LIT("3")));
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("3"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("4"), 1, S), -GW_E_TOPICS);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("c"), SLICE_LIT("1"), 1, S), -GW_E_FULL);
    assert_int_equal(gw_registry_attach(&r, SLICE_LIT("c"), &a.sink, false, S), -GW_E_FULL);
    gw_registry_detach(&r, &a.sink, S);
    gw_registry_fini(&r);
}

/* Who was refused all that he asked for leaves no trace: his names would fill the table of clients. */
static void test_registry_keeps_no_client_that_was_refused(void **state)
{
    struct taker b = {{.deliver = take}, 0};
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){.max_topics = 1});
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("1"), 1, S), 0);
    assert_int_equal(gw_registry_attach(&r, SLICE_LIT("b"), &b.sink, false, S), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gw_registry_subscribe(&r, slice_of(&"abc"[i], 1), SLICE_LIT("2"), 1, S), -GW_E_TOPICS);
    gw_registry_counts(&r, &counts);
    assert_int_equal(counts.clients, 2);
    gw_registry_detach(&r, &b.sink, S);
    gw_registry_fini(&r);
}

static void test_registry_one_client_does_not_get_all_topics(void **state)
{
    struct gw_registry r;
    struct wishes w;
    char topic[16];

    open_registry(&r, &w, (struct gw_registry_config){0});
    for (unsigned i = 0; i <= GW_TOPICS_MAX / 2; i++) {
        snprintf(topic, sizeof(topic), "t%u", i);
        assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), slice_str(topic), 1, S), i < GW_TOPICS_MAX / 2 ? 0 : -GW_E_CLIENT_TOPICS);
    }
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), slice_str(topic), 1, S), 0);
    gw_registry_fini(&r);
}

static bool has_no_room(void *user, struct slice topic)
{
    return false;
}

/* What comes back after a restart stays, whatever is allowed to newcomers. */
static void test_registry_bounds_begin_when_it_is_loaded(void **state)
{
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){.max_topics = 3, .max_topics_per_owner = 3});
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), slice_of(&"123"[i], 1), 1, S), 0);
    gw_registry_loaded(&r, 2, has_no_room);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("4"), 1, S), -GW_E_CLIENT_TOPICS);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("4"), 1, S), -GW_E_TOPICS);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("3"), 1, S), 0);
    gw_registry_counts(&r, &counts);
    assert_true(counts.topics == 3 && counts.subs == 4 && w.off == 0);
    gw_registry_fini(&r);
}

static void test_registry_forgets_clients_that_are_gone(void **state)
{
    struct taker named = {{.deliver = take}, 0}, anonymous = named, idle = named;
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;
    char id[16];

    open_registry(&r, &w, (struct gw_registry_config){.idle_ns = 10 * S});
    for (unsigned i = 0; i < 600; i++) {
        snprintf(id, sizeof(id), "gone%u", i);
        gw_registry_subscribe(&r, slice_str(id), SLICE_LIT("t"), 1, S);
    }
    gw_registry_subscribe(&r, SLICE_LIT("named"), SLICE_LIT("n"), 1, S);
    gw_registry_attach(&r, SLICE_LIT("named"), &named.sink, false, S);
    gw_registry_attach(&r, SLICE_LIT("anonymous"), &anonymous.sink, true, S);
    gw_registry_subscribe(&r, SLICE_LIT("anonymous"), SLICE_LIT("o"), 1, S);
    gw_registry_attach(&r, SLICE_LIT("no subscriptions"), &idle.sink, false, S);
    gw_registry_detach(&r, &anonymous.sink, S);
    gw_registry_detach(&r, &idle.sink, S);
    assert_false(gw_registry_has_topic(&r, SLICE_LIT("o")));
    gw_registry_expire(&r, S - 1); /* a clock that was read before the others' */
    for (unsigned i = 0; i < 3; i++)
        gw_registry_expire(&r, 11 * S - 1);
    gw_registry_counts(&r, &counts);
    assert_int_equal(counts.clients, 601);
    for (unsigned i = 0; i < 3; i++)
        gw_registry_expire(&r, 11 * S);
    gw_registry_counts(&r, &counts);
    assert_true(counts.clients == 1 && counts.topics == 1);
    gw_registry_detach(&r, &named.sink, 20 * S);
    gw_registry_expire(&r, 29 * S);
    assert_true(gw_registry_has_topic(&r, SLICE_LIT("n")));
    gw_registry_expire(&r, 30 * S);
    assert_false(gw_registry_has_topic(&r, SLICE_LIT("n")));
    assert_int_equal(w.on, w.off);
    gw_registry_fini(&r);
}

static void test_registry_renamed_sinks_keep_their_subscriptions(void **state)
{
    struct taker a = {{.deliver = take}, 0}, b = a;
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){.max_topics_per_owner = 2});
    gw_registry_attach(&r, SLICE_LIT("anonymous"), &a.sink, true, S);
    gw_registry_subscribe(&r, SLICE_LIT("anonymous"), SLICE_LIT("t"), 1, S);
    gw_registry_subscribe(&r, SLICE_LIT("named"), SLICE_LIT("t"), 0.5, S);
    gw_registry_subscribe(&r, SLICE_LIT("anonymous"), SLICE_LIT("u"), 1, S);
    assert_int_equal(gw_registry_rename(&r, &a.sink, SLICE_LIT("named"), S), 0);
    assert_true(w.on == 2 && w.off == 0);
    assert_true(deliver(&r, "t", 1, 2) == 1 && deliver(&r, "u", 1, 1) == 1 && a.got == 2);
    gw_registry_counts(&r, &counts);
    assert_true(counts.clients == 1 && counts.subs == 2 && counts.sinks == 1);

    gw_registry_attach(&r, SLICE_LIT("other"), &b.sink, true, S);
    gw_registry_subscribe(&r, SLICE_LIT("other"), SLICE_LIT("v"), 1, S);
    assert_int_equal(gw_registry_rename(&r, &b.sink, SLICE_LIT("named"), S), -GW_E_CLIENT_TOPICS);
    assert_int_equal(deliver(&r, "v", 1, 1), 1);
    assert_int_equal(gw_registry_rename(&r, &b.sink, SLICE_LIT("other"), S), 0);
    gw_registry_detach(&r, &b.sink, S);
    assert_true(gw_registry_has_topic(&r, SLICE_LIT("v"))); /* no longer forgotten at once */
    gw_registry_detach(&r, &a.sink, S);
    gw_registry_fini(&r);
}

static void test_registry_a_rename_that_fails_leaves_nothing(void **state)
{
    struct taker a = {{.deliver = take}, 0};
    struct gw_registry_counts counts;
    struct gw_registry r;
    struct wishes w;
    char topic[16];

    open_registry(&r, &w, (struct gw_registry_config){.max_topics_per_owner = 10});
    gw_registry_attach(&r, SLICE_LIT("anonymous"), &a.sink, true, S);
    for (unsigned i = 0; i < 14; i++) {
        snprintf(topic, sizeof(topic), "t%u", i);
        assert_int_equal(gw_registry_subscribe(&r, i < 8 ? SLICE_LIT("anonymous") : SLICE_LIT("named"), slice_str(topic), 1, S), 0);
    }
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("named"), SLICE_LIT("t0"), 1, S), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gw_registry_rename(&r, &a.sink, SLICE_LIT("named"), S), -GW_E_CLIENT_TOPICS);
    gw_registry_counts(&r, &counts);
    assert_true(counts.subs == 15 && counts.topics == 14);
    assert_int_equal(deliver(&r, "t0", 1, 1), 1);
    for (unsigned i = 8; i < 12; i++) {
        snprintf(topic, sizeof(topic), "t%u", i);
        gw_registry_unsubscribe(&r, SLICE_LIT("named"), slice_str(topic), S);
    }
    assert_int_equal(gw_registry_rename(&r, &a.sink, SLICE_LIT("named"), S), 0);
    gw_registry_counts(&r, &counts);
    assert_true(counts.subs == 10 && counts.topics == 10 && counts.clients == 1);
    assert_int_equal(w.on - w.off, 10);
    gw_registry_detach(&r, &a.sink, S);
    gw_registry_fini(&r);
}

/* "1@o" is o's. */
static struct slice owner_of(struct slice client)
{
    const uint8_t *at = memchr(client.p, '@', client.len);

    return at ? slice_of(at + 1, client.len - (size_t)(at + 1 - client.p)) : client;
}

static void test_registry_bounds_the_topics_of_an_owner(void **state)
{
    struct taker a = {{.deliver = take}, 0};
    struct gw_registry r;
    struct wishes w;

    open_registry(&r, &w, (struct gw_registry_config){.max_topics_per_owner = 2, .owner_of = owner_of, .idle_ns = 10 * S});
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("o"), SLICE_LIT("1"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a@o"), SLICE_LIT("2"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b@o"), SLICE_LIT("3"), 1, S), -GW_E_CLIENT_TOPICS);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("a@other"), SLICE_LIT("3"), 1, S), 0);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b@o"), SLICE_LIT("1"), 1, S), 0); /* one of his two */
    gw_registry_attach(&r, SLICE_LIT("c@o"), &a.sink, true, S);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("c@o"), SLICE_LIT("2"), 1, S), 0);
    gw_registry_unsubscribe(&r, SLICE_LIT("o"), SLICE_LIT("1"), S);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("o"), SLICE_LIT("4"), 1, S), -GW_E_CLIENT_TOPICS); /* b has it still */
    gw_registry_unsubscribe(&r, SLICE_LIT("b@o"), SLICE_LIT("1"), S);
    assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("o"), SLICE_LIT("4"), 1, S), 0);
    assert_int_equal(gw_registry_rename(&r, &a.sink, SLICE_LIT("d@o"), S), 0);
    gw_registry_detach(&r, &a.sink, S);
    gw_registry_expire(&r, 11 * S);
    assert_int_equal(r.owners.count, 0);
    assert_int_equal(w.on, w.off);
    gw_registry_fini(&r);
}

#define CROWD         4
#define CROWD_ROUNDS  5000
#define DELIVERY_US   2000

struct crowd {
    struct gw_registry *r;
    _Atomic unsigned at_work, done;
};

static void take_slowly(struct gw_sink *s, struct gw_delivery *d)
{
    usleep(DELIVERY_US);
}

static void *deliver_on_and_on(void *arg)
{
    struct crowd *c = arg;

    for (unsigned i = 0; i < CROWD_ROUNDS && !c->done; i++) {
        deliver(c->r, "t", 1, 1);
        if (i == 0)
            c->at_work++;
    }
    c->done = 1;
    return NULL;
}

/* The crowd ends by itself after 10 s and more: whoever had to wait for that was starved. */
static void test_registry_subscribing_does_not_wait_for_a_gap_between_deliveries(void **state)
{
    struct taker slow = {{.deliver = take_slowly}, 0};
    pthread_t thread[CROWD];
    struct gw_registry r;
    struct wishes w;
    struct crowd c = {.r = &r};

    open_registry(&r, &w, (struct gw_registry_config){0});
    gw_registry_subscribe(&r, SLICE_LIT("a"), SLICE_LIT("t"), 1, S);
    gw_registry_attach(&r, SLICE_LIT("a"), &slow.sink, false, S);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, deliver_on_and_on, &c), 0);
    while (c.at_work < CROWD)
        usleep(1000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(gw_registry_subscribe(&r, SLICE_LIT("b"), SLICE_LIT("u"), 1, S), 0);
        gw_registry_unsubscribe(&r, SLICE_LIT("b"), SLICE_LIT("u"), S);
    }
    assert_int_equal(c.done, 0);
    c.done = 1;
    for (unsigned i = 0; i < CROWD; i++)
        pthread_join(thread[i], NULL);
    gw_registry_detach(&r, &slow.sink, S);
    gw_registry_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_registry_delivers_to_subscribers_alone),
                                       cmocka_unit_test(test_registry_clients_come_and_go),
        cmocka_unit_test(test_registry_thresholds),
                                       cmocka_unit_test(test_registry_one_topic_many_clients),
                                       cmocka_unit_test(test_registry_bounds),
        cmocka_unit_test(test_registry_keeps_no_client_that_was_refused),
        cmocka_unit_test(test_registry_one_client_does_not_get_all_topics),
        cmocka_unit_test(test_registry_bounds_begin_when_it_is_loaded),
                                       cmocka_unit_test(test_registry_forgets_clients_that_are_gone),
                                       cmocka_unit_test(test_registry_renamed_sinks_keep_their_subscriptions),
                                       cmocka_unit_test(test_registry_a_rename_that_fails_leaves_nothing),
                                       cmocka_unit_test(test_registry_bounds_the_topics_of_an_owner),
                                       cmocka_unit_test(test_registry_subscribing_does_not_wait_for_a_gap_between_deliveries)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
