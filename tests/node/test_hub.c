#include "testing.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "eal_testing.h"
#include "node/hub_impl.h"

struct fix {
    struct xdoor coding_door, hub_door;
    struct xring to_coding, from_coding;
    struct node_config cfg;
    struct hub *hub;
};

static void make(struct fix *f)
{
    struct hub_config hc = {.config = &f->cfg, .to_coding = &f->to_coding, .from_coding = &f->from_coding,
                            .door = &f->hub_door};

    *f = (struct fix){0};
    assert_int_equal(xdoor_init(&f->coding_door), 0);
    assert_int_equal(xdoor_init(&f->hub_door), 0);
    assert_int_equal(xring_init(&f->to_coding, "hub_to", 8192, &f->coding_door), 0);
    assert_int_equal(xring_init(&f->from_coding, "hub_from", 64, &f->hub_door), 0);
    f->hub = hub_new(&hc);
    assert_non_null(f->hub);
}

static void drop(struct fix *f)
{
    struct xmsg m;

    hub_stop(f->hub);
    while (xring_pop_sc(&f->to_coding, &m))
        if (m.type == X_SUBSCRIBE || m.type == X_UNSUBSCRIBE)
            free(m.publish);
    hub_free(f->hub);
    xring_fini(&f->to_coding);
    xring_fini(&f->from_coding);
    xdoor_fini(&f->coding_door);
    xdoor_fini(&f->hub_door);
}

static void on_message(void *user, struct hub_message *m)
{
}

/* A role that takes nothing must not stop the control threads for good: it may be waiting for them. */
static void test_hub_does_not_wait_for_room(void **state)
{
    struct fix f;
    struct hub_subscriber_ops ops = {.on_message = on_message};
    struct xmsg m = {.type = X_TRACE_HOME}, got;
    char topic[16];
    unsigned left = 0;

    make(&f);
    struct hub_subscriber *s = hub_subscriber_new(f.hub, &ops, NULL);
    for (int i = 0; i < 100; i++) {
        snprintf(topic, sizeof(topic), "t%d", i);
        assert_int_equal(hub_subscribe(s, topic), 0);
    }
    while (xring_push_sp(&f.to_coding, &m))
        ;
    assert_int_equal(hub_unsubscribe(s, "t0"), 0);
    assert_int_equal(hub_subscribe(s, "t0"), 0);
    hub_subscriber_free(s);
    assert_int_equal(f.hub->late.count, 102);
    assert_int_equal(hub_start(f.hub), 0);
    int balance = 0;
    for (int spins = 0; left < 101 && spins < 20000;) {
        if (!xring_pop_sc(&f.to_coding, &got)) {
            spins++;
            usleep(500);
            continue;
        }
        if (got.type == X_SUBSCRIBE || got.type == X_UNSUBSCRIBE) {
            bool is_first = strcmp(got.publish->topic, "t0") == 0;
            if (is_first) { /* in the order they were asked for */
                assert_int_equal(balance, got.type == X_SUBSCRIBE ? 0 : 1);
                balance += got.type == X_SUBSCRIBE ? 1 : -1;
            }
            left += got.type == X_UNSUBSCRIBE;
            free(got.publish);
        }
    }
    assert_int_equal(left, 101);
    assert_int_equal(balance, 0);
    drop(&f);
}

static void count_release(struct buf *b)
{
    ++*(unsigned *)b->home;
}

/* Stopped while payloads are on their way home: each still gets there once. */
static void test_hub_stop_returns_what_is_late(void **state)
{
    struct fix f;
    unsigned released = 0;
    struct buf b[3];
    struct xmsg m = {.type = X_TRACE_HOME};

    make(&f);
    while (xring_push_sp(&f.to_coding, &m))
        ;
    for (int i = 0; i < 3; i++) {
        struct xmsg home = {.type = X_PAYLOADS_HOME, .homes = {.buf = {&b[i]}, .count = 1}};
        b[i] = (struct buf){.refs = 1, .release = count_release, .home = &released};
        pthread_mutex_lock(&f.hub->lock);
        assert_true(hub_push_locked(f.hub, &home, true));
        assert_false(hub_push_locked(f.hub, &home, false));
        pthread_mutex_unlock(&f.hub->lock);
    }
    assert_int_equal(f.hub->n.late, 3);
    drop(&f);
    assert_int_equal(released, 3);
}

/* The same for what clients asked last; the sanitizer build looks for what is left behind. */
static void test_hub_stop_drops_late_subscriptions(void **state)
{
    struct fix f;
    struct hub_subscriber_ops ops = {.on_message = on_message};
    struct xmsg m = {.type = X_TRACE_HOME};

    make(&f);
    while (xring_push_sp(&f.to_coding, &m))
        ;
    struct hub_subscriber *s = hub_subscriber_new(f.hub, &ops, NULL);
    assert_int_equal(hub_subscribe(s, "a"), 0);
    assert_int_equal(hub_subscribe(s, "b"), 0);
    assert_int_equal(hub_unsubscribe(s, "a"), 0);
    assert_int_equal(f.hub->late.count, 3);
    hub_leave(f.hub, 0);
    hub_subscriber_free(s);
    drop(&f);
}

static void test_hub_tells_its_address(void **state)
{
    static const uint8_t key[32] = {1}, ip[4] = {192, 0, 2, 1};
    struct fix f;
    struct peer_id id;
    struct multiaddr a;
    struct hub_health v;
    char text[PEER_ID_TEXT_MAX], want[128];

    make(&f);
    hub_health_get(f.hub, &v);
    assert_string_equal(v.p2p_address, "");
    peer_id_from_ed25519(&id, key);
    f.hub->cfg.self = id;
    peer_id_format(&id, text);
    snprintf(want, sizeof(want), "/ip4/192.0.2.1/tcp/7070/p2p/%s", text);
    for (int i = 0; i < 2; i++) { /* without the peer id, and with it */
        multiaddr_of_tcp(&a, ip, 4, 7070, i ? &id : NULL);
        hub_set_address(f.hub, &a);
        hub_health_get(f.hub, &v);
        assert_string_equal(v.p2p_address, want);
    }
    drop(&f);
}

static void *ask(void *hub)
{
    char why[HUB_REASON_MAX];

    assert_false(hub_is_ready(hub, why));
    assert_string_equal(why, "the data path does not answer");
    return NULL;
}

/* Lcores that do not answer are asked a few times, not once for each that wants to know. */
static void test_hub_bounds_its_snapshots(void **state)
{
    struct fix f;
    pthread_t t[12];
    struct xmsg m;
    unsigned asked = 0;

    make(&f);
    for (int i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask, f.hub), 0);
    for (int i = 0; i < 12; i++)
        pthread_join(t[i], NULL);
    while (xring_pop_sc(&f.to_coding, &m)) {
        assert_int_equal(m.type, X_SNAPSHOT);
        assert_int_equal(m.snapshot->nrings, 1);
        assert_string_equal(m.snapshot->rings[0].name, "hub_to");
        asked++;
        assert_true(xring_push_sp(&f.from_coding, &m));
    }
    assert_int_equal(asked, 4);
    assert_int_equal(f.hub->n.snapshots_late, 12);
    drop(&f); /* they come back abandoned and are freed */
}

/* A topic to relay: a member from the start and to the end; the lcore is told when somebody begins and ceases to read. */
static void test_hub_relays_a_topic_without_subscribers(void **state)
{
    static const enum xmsg_type want[] = {X_RELAY, X_SUBSCRIBE, X_RELAY, X_SUBSCRIBE, X_RELAY};
    struct hub_subscriber_ops ops = {.on_message = on_message};
    struct fix f;
    struct xmsg m;

    make(&f);
    assert_int_equal(hub_relay(f.hub, slice_str("t")), 0);
    assert_int_equal(hub_relay(f.hub, slice_str("")), -HUB_ETOPIC);
    struct hub_subscriber *a = hub_subscriber_new(f.hub, &ops, NULL), *b = hub_subscriber_new(f.hub, &ops, NULL);
    assert_int_equal(hub_subscribe(a, "t"), 0);
    assert_int_equal(hub_subscribe(b, "t"), 0);
    assert_int_equal(hub_unsubscribe(a, "t"), 0);
    assert_int_equal(hub_unsubscribe(b, "t"), 0);
    assert_int_equal(hub_subscribe(b, "t"), 0);
    hub_subscriber_free(a);
    hub_subscriber_free(b);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_true(xring_pop_sc(&f.to_coding, &m));
        assert_int_equal(m.type, want[i]);
        assert_string_equal(m.publish->topic, "t");
        free(m.publish);
    }
    assert_false(xring_pop_sc(&f.to_coding, &m));
    drop(&f);
}

/* What no peer would take of us is refused here, whoever asks: the bound is the node's, not a subscriber's. */
static void test_hub_bounds_its_topics(void **state)
{
    struct hub_subscriber_ops ops = {.on_message = on_message};
    struct fix f;
    char topic[16];

    make(&f);
    assert_int_equal(hub_max_topics(f.hub), PUBSUB_TOPICS_MAX);
    assert_int_equal(hub_relay(f.hub, slice_str("relayed")), 0);
    struct hub_subscriber *s[2] = {hub_subscriber_new(f.hub, &ops, NULL), hub_subscriber_new(f.hub, &ops, NULL)};
    for (unsigned i = 0; i + 1 < PUBSUB_TOPICS_MAX; i++) {
        snprintf(topic, sizeof(topic), "t%u", i);
        assert_int_equal(hub_subscribe(s[i % 2], topic), 0);
    }
    assert_int_equal(hub_topics_now(f.hub), PUBSUB_TOPICS_MAX);
    assert_int_equal(hub_subscribe(s[0], "one more"), -HUB_ETOPICS);
    assert_int_equal(hub_subscribe(s[1], "one more"), -HUB_ETOPICS);
    assert_int_equal(hub_relay(f.hub, slice_str("one more")), -HUB_ETOPICS);
    assert_int_equal(hub_subscriber_topics(s[0]), PUBSUB_TOPICS_MAX / 2);
    assert_int_equal(hub_subscribe(s[1], "t0"), 0); /* the other's */
    assert_int_equal(hub_subscribe(s[0], "relayed"), 0);
    assert_int_equal(hub_unsubscribe(s[0], "t2"), 0);
    assert_int_equal(hub_subscribe(s[1], "one more"), 0);
    assert_int_equal(hub_topics_now(f.hub), PUBSUB_TOPICS_MAX);
    ops.max_topics = 2;
    struct hub_subscriber *small = hub_subscriber_new(f.hub, &ops, NULL);
    assert_int_equal(hub_subscribe(small, "t0"), 0);
    assert_int_equal(hub_subscribe(small, "t1"), 0);
    assert_int_equal(hub_subscribe(small, "t4"), -HUB_ESUBSCRIBER);
    assert_int_equal(hub_subscribe(small, "t1"), 0);
    assert_int_equal(hub_unsubscribe(small, "t1"), 0);
    assert_int_equal(hub_subscribe(small, "t4"), 0);
    hub_subscriber_free(small);
    hub_subscriber_free(s[0]);
    hub_subscriber_free(s[1]);
    assert_int_equal(hub_topics_now(f.hub), 1);
    while (f.hub->late.count) /* not under test: the coding role would have taken them */
        free(f.hub->late.m[f.hub->late.first + --f.hub->late.count].publish);
    struct xmsg m;
    while (xring_pop_sc(&f.to_coding, &m))
        free(m.publish);
    drop(&f);
}

/* The coding role, for one snapshot: 900 topics of ours, 3000 in all. */
static void *answer(void *fix)
{
    struct fix *f = fix;
    struct xmsg m;

    while (!xring_pop_sc(&f->to_coding, &m))
        usleep(500);
    assert_int_equal(m.type, X_SNAPSHOT);
    struct snapshot *s = m.snapshot;
    s->pubsub.topics_now = 3000;
    s->pubsub.topics_ours_now = 900;
    for (s->ntopics = 0; s->ntopics < 900; s->ntopics++) {
        struct pubsub_topic_info *t = &s->topics[s->ntopics];
        t->is_subscribed = true;
        t->mesh = s->ntopics != 899;
        t->peers = 1;
        snprintf(t->topic, sizeof(t->topic), "t%u", s->ntopics);
    }
    if (strcmp(s->about, "t5000") == 0) {
        s->is_about_known = true;
        s->asked = (struct pubsub_topic_info){.topic = "t5000", .peers = 7};
    }
    assert_true(xring_push_sp(&f->from_coding, &m));
    return NULL;
}

static json_t *topics_json(struct fix *f, const char *topic)
{
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, answer, f), 0);
    char *text = hub_json_topics(f->hub, topic, false);
    pthread_join(t, NULL);
    assert_non_null(text);
    json_t *j = json_loads(text, 0, NULL);
    free(text);
    return j;
}

static json_int_t number_of(json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

static void test_hub_shows_all_its_topics(void **state)
{
    char why[HUB_REASON_MAX];
    struct fix f;
    pthread_t t;
    json_t *j;

    make(&f);
    assert_int_equal(hub_start(f.hub), 0);
    j = topics_json(&f, NULL);
    assert_int_equal(number_of(j, "count"), 3000);
    assert_int_equal(number_of(j, "subscribed"), 900);
    assert_int_equal(number_of(j, "shown"), 900);
    assert_int_equal(json_array_size(json_object_get(j, "topics")), 900);
    json_decref(j);
    j = topics_json(&f, "t5000"); /* beyond the list */
    assert_int_equal(number_of(j, "count"), 1);
    assert_int_equal(number_of(json_array_get(json_object_get(j, "topics"), 0), "peers"), 7);
    json_decref(j);
    j = topics_json(&f, "unknown");
    assert_int_equal(number_of(j, "count"), 0);
    json_decref(j);
    assert_int_equal(pthread_create(&t, NULL, answer, &f), 0);
    assert_false(hub_is_ready(f.hub, why));
    pthread_join(t, NULL);
    assert_string_equal(why, "topic t899 has no mesh peer yet");
    drop(&f);
}

/* What others published and this node had is a repeat here too, on that topic. */
static void test_hub_publish_knows_what_was_delivered(void **state)
{
    struct fix f;
    struct xdelivery d = {.topic = "t", .from = {.len = 0}, .k = 1};
    struct buf payload = {.data = (uint8_t *)"brought by a peer", .len = 17, .cap = 17, .refs = 1};
    struct slice text = SLICE_LIT("brought by a peer");
    struct xmsg m = {.type = X_DELIVER, .delivery = &d};
    char id[65];

    make(&f);
    f.cfg.active = &f.cfg.optimum;
    f.cfg.optimum.max_msg_bytes = 1000;
    f.cfg.small_message = 1000;
    f.cfg.shard_factor = 4;
    d.payload = &payload;
    assert_true(xring_push_sp(&f.from_coding, &m));
    assert_int_equal(hub_start(f.hub), 0);
    while (!xring_pop_sc(&f.to_coding, &m)) /* home comes the delivery, or its payload */
        usleep(1000);
    assert_int_equal(hub_publish(f.hub, "t", text, NULL, NULL, id), -HUB_EDUP);
    assert_int_equal(strlen(id), 64);
    assert_int_equal(hub_publish(f.hub, "other", text, NULL, NULL, id), 0);
    assert_int_equal(hub_publish(f.hub, "other", text, NULL, NULL, id), -HUB_EDUP);
    hub_stop(f.hub);
    while (xring_pop_sc(&f.to_coding, &m))
        if (m.type == X_PUBLISH) {
            hub_source_done(m.publish->payload);
            free(m.publish);
        }
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hub_does_not_wait_for_room),
        cmocka_unit_test(test_hub_stop_returns_what_is_late),
        cmocka_unit_test(test_hub_stop_drops_late_subscriptions),
        cmocka_unit_test(test_hub_relays_a_topic_without_subscribers),
        cmocka_unit_test(test_hub_bounds_its_topics),
        cmocka_unit_test(test_hub_tells_its_address),
        cmocka_unit_test(test_hub_bounds_its_snapshots),
        cmocka_unit_test(test_hub_shows_all_its_topics),
        cmocka_unit_test(test_hub_publish_knows_what_was_delivered),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
