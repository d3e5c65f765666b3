#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/mcache.h"

#define S 1000000000ull

static struct message_pool *pool;

static struct buf *heap(void *ctx, uint32_t cap)
{
    return buf_new(cap);
}

static int open_pool(void **state)
{
    pool = message_pool_new(heap, NULL);
    return pool ? 0 : -1;
}

static int close_pool(void **state)
{
    message_pool_close(pool);
    return 0;
}

static struct message *make(uint64_t n, uint32_t bytes)
{
    static struct key_pair key;
    struct message_scratch scratch = {0};
    struct buf *payload = buf_new(bytes);
    struct peer_id self;

    payload->len = 0;
    key_pair_from_seed(&key, (const uint8_t[32]){1});
    key_pair_peer_id(&key, &self);
    struct message *m = message_new_signed(pool, &key, &self, n, SLICE_LIT("t"), payload, &scratch);
    buf_unref(payload);
    message_scratch_fini(&scratch);
    m->key = (struct msgkey){n % 3, n}; /* long hash chains */
    m->held_bytes = bytes;
    return m;
}

static void put(struct mcache *c, uint64_t n, uint32_t bytes, uint64_t now)
{
    struct message *m = make(n, bytes);

    mcache_put(c, m, now);
    message_unref(m); /* the cache holds it */
}

static bool has(const struct mcache *c, uint64_t n)
{
    struct message *m = mcache_get(c, (struct msgkey){n % 3, n});

    return m && m->key.b == n;
}

static unsigned pop_all(struct mcache *c, uint64_t now)
{
    struct message *m;
    unsigned n = 0;

    while ((m = mcache_pop(c, now))) {
        message_unref(m);
        n++;
    }
    return n;
}

static void test_mcache_keeps_for_windows_and_time(void **state)
{
    struct mcache c;

    assert_int_equal(mcache_init(&c, 100, 1 << 20, 30 * S), 0);
    put(&c, 1, 10, 0);
    for (int i = 0; i < MCACHE_HISTORY_TICKS; i++)
        mcache_shift(&c);
    assert_int_equal(pop_all(&c, 30 * S - 1), 0); /* the windows are over, the time is not */
    put(&c, 2, 10, 30 * S);
    assert_int_equal(pop_all(&c, 30 * S), 1);
    assert_false(has(&c, 1));
    assert_true(has(&c, 2));
    assert_int_equal(pop_all(&c, 90 * S), 0); /* time over, windows not */
    assert_int_equal(c.bytes, 10);
    mcache_fini(&c);
}

static void test_mcache_is_bounded_in_bytes_and_count(void **state)
{
    struct mcache c;

    assert_int_equal(mcache_init(&c, 5, 1000, 30 * S), 0);
    for (uint64_t n = 0; n < 8; n++) {
        put(&c, n, 10, n);
        pop_all(&c, n);
    }
    assert_int_equal(c.count, 5);
    assert_true(!has(&c, 2) && has(&c, 3));
    put(&c, 100, 990, 9);
    assert_int_equal(pop_all(&c, 9), 4);
    assert_int_equal(c.bytes, 1000);
    assert_true(has(&c, 7) && has(&c, 100));
    put(&c, 101, 5000, 9); /* larger than all the room: it goes too */
    assert_int_equal(pop_all(&c, 9), 3);
    assert_int_equal(c.bytes, 0);
    assert_int_equal(c.evicted, 10);
    mcache_fini(&c);
}

static void test_mcache_gossips_three_windows(void **state)
{
    struct mcache c;

    assert_int_equal(mcache_init(&c, 100, 1 << 20, 30 * S), 0);
    put(&c, 1, 10, 0);
    for (int tick = 0; tick < 6; tick++) {
        assert_int_equal(mcache_is_gossiped(&c, mcache_get(&c, (struct msgkey){1, 1})), tick < MCACHE_GOSSIP_TICKS);
        mcache_shift(&c);
    }
    mcache_fini(&c);
}

static void test_mcache_serves_each_peer_three_times(void **state)
{
    struct message *m = make(1, 10);

    for (pubsub_peer p = 1; p <= 100; p++)
        for (int i = 0; i < 5; i++)
            assert_int_equal(mcache_serve(m, p), i < MCACHE_SERVE_MAX);
    for (pubsub_peer p = 101; p <= MCACHE_SERVED_PEERS; p++)
        assert_true(mcache_serve(m, p));
    assert_false(mcache_serve(m, 9999)); /* no more peers are remembered, so no more are served */
    message_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mcache_keeps_for_windows_and_time),
        cmocka_unit_test(test_mcache_is_bounded_in_bytes_and_count),
        cmocka_unit_test(test_mcache_gossips_three_windows),
        cmocka_unit_test(test_mcache_serves_each_peer_three_times),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
