#include "testing.h"

#include "node/peers.h"

static const uint8_t seed[16];
static unsigned released;

static void release(struct buf *b)
{
    released++;
    free(b);
}

static struct buf *frame(uint32_t len)
{
    struct buf *b = calloc(1, sizeof(*b)); /* lengths are what counts here, not bytes */

    assert_non_null(b);
    *b = (struct buf){.len = len, .refs = 1, .release = release};
    return b;
}

static struct peer_id id_of(unsigned i)
{
    uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static void test_peers_bound_the_connections_of_one(void **state)
{
    struct peers p;
    struct peer_id id = id_of(1), other = id_of(2);
    struct peer_conn *c;

    peers_init(&p, seed);
    for (unsigned i = 1; i <= PEERS_CONNS_EACH; i++)
        assert_non_null(peers_add(&p, &id, i, 0));
    assert_null(peers_add(&p, &id, 1000, 0));
    assert_null(peers_conn(&p, 1000));
    assert_non_null(peers_add(&p, &other, 1001, 0));
    assert_int_equal(p.count, 2);
    c = peers_conn(&p, 3);
    assert_false(peers_remove(&p, c));
    assert_non_null(peers_add(&p, &id, 1002, 0));
    peers_fini(&p);
}

static void test_peers_bound_their_number(void **state)
{
    struct peers p;

    peers_init(&p, seed);
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct peer_id id = id_of(i);
        assert_non_null(peers_add(&p, &id, i + 1, 0));
    }
    struct peer_id late = id_of(PEERS_MAX);
    assert_null(peers_add(&p, &late, 5000, 0));
    assert_int_equal(p.count, PEERS_MAX);
    struct peer *first = peers_at(&p, 1);
    assert_true(peers_remove(&p, peers_conn(&p, 1)));
    peers_drop(&p, first);
    assert_null(peers_at(&p, 1));
    assert_non_null(peers_add(&p, &late, 5000, 0));
    peers_fini(&p);
}

static void test_peers_bound_what_they_hold(void **state)
{
    struct peers p;
    struct peer_id id = id_of(1);
    struct buf *b;

    released = 0;
    peers_init(&p, seed);
    struct peer *peer = peers_add(&p, &id, 1, 0)->peer;
    assert_true(peers_hold(&p, peer, frame(PEERS_HELD_BYTES + 1))); /* one of any length */
    b = frame(1);
    assert_false(peers_hold(&p, peer, b));
    assert_int_equal(peers_drop_held(&p, peer), 1);
    assert_int_equal(released, 1);
    assert_int_equal(p.held_bytes, 0);
    assert_true(peers_hold(&p, peer, b));
    for (unsigned i = 1; i < PEERS_HELD; i++)
        assert_true(peers_hold(&p, peer, frame(i + 1)));
    b = frame(1);
    assert_false(peers_hold(&p, peer, b));
    for (unsigned i = 0; i < 10; i++) { /* in the order they came */
        struct buf *held = peers_next_held(&p, peer);
        assert_int_equal(held->len, i + 1);
        buf_unref(held);
    }
    assert_true(peers_hold(&p, peer, b));
    peers_fini(&p);
    assert_int_equal(released, 1 + PEERS_HELD + 1);
}

static void test_peers_bound_what_all_hold(void **state)
{
    struct peers p;
    struct buf *b = frame(PEERS_ALL_BYTES / 4);
    unsigned taken = 0;

    peers_init(&p, seed);
    for (unsigned i = 0; i < 6; i++) {
        struct peer_id id = id_of(i);
        struct peer *peer = peers_add(&p, &id, i + 1, 0)->peer;
        if (peers_hold(&p, peer, b)) {
            taken++;
            b = frame(PEERS_ALL_BYTES / 4);
        }
    }
    assert_int_equal(taken, 4);
    buf_unref(b);
    struct peer *gone = peers_at(&p, 1);
    assert_true(peers_remove(&p, peers_conn(&p, 1)));
    peers_drop(&p, gone); /* gives its share back */
    assert_int_equal(p.held_bytes, PEERS_ALL_BYTES / 4 * 3);
    peers_fini(&p);
}

/* What a peer that is still connected at the end holds goes with it. */
static void test_peers_release_records_and_frames_at_the_end(void **state)
{
    struct peer_id id = id_of(1);
    struct peers p;

    released = 0;
    peers_init(&p, seed);
    assert_non_null(peers_add(&p, &id, 1, 0));
    peers_at(&p, 1)->record = frame(10);
    assert_true(peers_hold(&p, peers_at(&p, 1), frame(20)));
    peers_fini(&p);
    assert_int_equal(released, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_bound_the_connections_of_one),
        cmocka_unit_test(test_peers_bound_their_number),
        cmocka_unit_test(test_peers_bound_what_they_hold),
        cmocka_unit_test(test_peers_bound_what_all_hold),
        cmocka_unit_test(test_peers_release_records_and_frames_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
