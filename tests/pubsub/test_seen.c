#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "pubsub/seen.h"

static struct msgkey key(uint64_t n)
{
    return (struct msgkey){n * 0x9e3779b97f4a7c15ull, n};
}

static void test_seen_forgets_after_ttl(void **state)
{
    struct seen s;

    assert_int_equal(seen_init(&s, 100, 1000), 0);
    assert_true(seen_add(&s, key(1), 0));
    assert_false(seen_add(&s, key(1), 999));
    assert_true(seen_has(&s, key(1), 999));
    assert_false(seen_has(&s, key(1), 1000));
    assert_true(seen_add(&s, key(1), 1000));
    assert_false(seen_add(&s, key(1), 1999)); /* the second adding counts */
    seen_expire(&s, 2000);
    assert_int_equal(s.count, 0);
    seen_fini(&s);
}

static void test_seen_makes_room_from_the_oldest(void **state)
{
    struct seen s;

    assert_int_equal(seen_init(&s, 10, 1000), 0);
    for (uint64_t i = 0; i < 25; i++)
        assert_true(seen_add(&s, key(i), i));
    assert_int_equal(s.count, 10);
    assert_int_equal(s.evicted, 15);
    for (uint64_t i = 0; i < 25; i++)
        assert_int_equal(seen_has(&s, key(i), 25), i >= 15);
    seen_fini(&s);
}

/* Against a plain list of times, with keys that collide in the index. */
static void test_seen_agrees_with_a_plain_table(void **state)
{
    uint64_t added[64] = {0}, now = 1;
    struct seen s;
    struct rng rng;

    rng_init_seeded(&rng, 7);
    assert_int_equal(seen_init(&s, 64, 50), 0);
    for (int i = 0; i < 20000; i++) {
        unsigned n = (unsigned)rng_below(&rng, 64);
        struct msgkey k = {n % 5, n};
        bool is_known = added[n] && now - added[n] < 50;
        assert_int_equal(seen_has(&s, k, now), is_known);
        if (rng_below(&rng, 2)) {
            assert_int_equal(seen_add(&s, k, now), !is_known);
            if (!is_known)
                added[n] = now;
        }
        now += rng_below(&rng, 3);
    }
    assert_int_equal(s.evicted, 0);
    seen_fini(&s);
}

static void test_msgkey_depends_on_the_seed(void **state)
{
    struct msgkey_seed a = {{{1, 2}, {3, 4}}}, b = {{{1, 2}, {3, 5}}};
    struct msgkey ka = msgkey_of(&a, SLICE_LIT("id")), kb = msgkey_of(&b, SLICE_LIT("id"));

    assert_true(ka.a == kb.a && ka.b != kb.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_forgets_after_ttl),
        cmocka_unit_test(test_seen_makes_room_from_the_oldest),
        cmocka_unit_test(test_seen_agrees_with_a_plain_table),
        cmocka_unit_test(test_msgkey_depends_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
