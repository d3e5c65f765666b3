#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/topics.h"

static const uint8_t seed[16];

static void test_topic_lives_while_something_needs_it(void **state)
{
    struct topics t;
    struct list peer_links;
    struct topic *tp;
    struct link *l;

    topics_init(&t, seed);
    list_init(&peer_links);
    tp = topic_get(&t, SLICE_LIT("a"), TOPICS_MAX);
    assert_ptr_equal(topic_get(&t, SLICE_LIT("a"), TOPICS_MAX), tp);
    assert_string_equal(tp->name, "a");
    l = link_add(tp, NULL, &peer_links);
    tp->is_subscribed = true;
    topic_release(&t, tp);
    assert_ptr_equal(topic_find(&t, SLICE_LIT("a")), tp);
    tp->is_subscribed = false;
    topic_release(&t, tp);
    assert_ptr_equal(topic_find(&t, SLICE_LIT("a")), tp);
    link_free(l);
    tp->published_ns = 1;
    topic_release(&t, tp);
    assert_ptr_equal(topic_find(&t, SLICE_LIT("a")), tp);
    tp->published_ns = 0;
    topic_release(&t, tp);
    assert_null(topic_find(&t, SLICE_LIT("a")));
    assert_true(list_is_empty(&peer_links));
    topics_fini(&t);
}

static void test_link_counts_peers_and_mesh(void **state)
{
    struct topics t;
    struct list peer_links;
    struct topic *tp;
    struct link *l[3];

    topics_init(&t, seed);
    list_init(&peer_links);
    tp = topic_get(&t, SLICE_LIT("a"), TOPICS_MAX);
    for (int i = 0; i < 3; i++)
        l[i] = link_add(tp, NULL, &peer_links);
    link_mesh_add(l[0]);
    link_mesh_add(l[0]); /* once */
    link_mesh_add(l[1]);
    assert_int_equal(tp->npeers, 3);
    assert_int_equal(tp->nmesh, 2);
    link_mesh_del(l[1]);
    link_mesh_del(l[1]);
    assert_int_equal(tp->nmesh, 1);
    link_free(l[0]); /* leaves the mesh too */
    assert_int_equal(tp->npeers, 2);
    assert_int_equal(tp->nmesh, 0);
    assert_true(list_is_empty(&tp->mesh));
    link_free(l[1]);
    link_free(l[2]);
    topics_fini(&t);
}

static void test_topics_are_bounded(void **state)
{
    struct topics t;

    topics_init(&t, seed);
    for (uint32_t i = 0; i < TOPICS_OF_PEERS_MAX; i++)
        assert_non_null(topic_get(&t, slice_of(&i, sizeof(i)), TOPICS_OF_PEERS_MAX));
    assert_null(topic_get(&t, SLICE_LIT("a peer's"), TOPICS_OF_PEERS_MAX));
    for (uint32_t i = TOPICS_OF_PEERS_MAX; i < TOPICS_MAX; i++)
        assert_non_null(topic_get(&t, slice_of(&i, sizeof(i)), TOPICS_MAX));
    assert_null(topic_get(&t, SLICE_LIT("one more"), TOPICS_MAX));
    topics_fini(&t);
}

/* What we publish to leaves room for our own subscriptions, and for what peers are in. */
static void test_topics_of_publishes_leave_room(void **state)
{
    struct topics t;
    struct topic *tp = NULL;
    uint32_t i;

    topics_init(&t, seed);
    for (i = 0; i < TOPICS_PUBLISHED_MAX; i++) {
        tp = topic_get_to_publish(&t, slice_of(&i, sizeof(i)));
        assert_non_null(tp);
        topic_set_published(&t, tp, 1);
        topic_set_published(&t, tp, 2);
    }
    assert_null(topic_get_to_publish(&t, SLICE_LIT("one more")));
    assert_ptr_equal(topic_get_to_publish(&t, topic_slice(tp)), tp);
    for (; i < TOPICS_OF_PEERS_MAX; i++)
        assert_non_null(topic_get(&t, slice_of(&i, sizeof(i)), TOPICS_OF_PEERS_MAX));
    topic_set_published(&t, tp, 0);
    topic_set_published(&t, tp, 0);
    topic_release(&t, tp);
    for (; i < TOPICS_OF_PUBLISHES_MAX + 1; i++)
        assert_non_null(topic_get_to_publish(&t, slice_of(&i, sizeof(i))));
    assert_null(topic_get_to_publish(&t, SLICE_LIT("one more")));
    for (unsigned own = 0; own < PUBSUB_TOPICS_MAX; own++, i++)
        assert_non_null(topic_get(&t, slice_of(&i, sizeof(i)), TOPICS_MAX));
    topics_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topic_lives_while_something_needs_it),
        cmocka_unit_test(test_link_counts_peers_and_mesh),
        cmocka_unit_test(test_topics_are_bounded),
        cmocka_unit_test(test_topics_of_publishes_leave_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
