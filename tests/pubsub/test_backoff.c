#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/backoff.h"

static const uint8_t seed[16];

static struct peer_id peer(uint8_t n)
{
    struct peer_id id;

    peer_id_from_ed25519(&id, (const uint8_t[32]){n});
    return id;
}

static void test_backoff_ends_after_its_time_and_slack(void **state)
{
    struct peer_id a = peer(1), b = peer(2);
    struct backoff bo;

    backoff_init(&bo, 10, 20, seed);
    backoff_add(&bo, SLICE_LIT("t"), &a, 100, 1000);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &a, 1000), 1100);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &b, 1000), 0);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("u"), &a, 1000), 0);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &a, 1100), 0); /* its GRAFT is welcome */
    assert_true(backoff_has(&bo, SLICE_LIT("t"), &a, 1119));           /* ours would be early */
    assert_false(backoff_has(&bo, SLICE_LIT("t"), &a, 1120));
    backoff_expire(&bo, 1119);
    assert_int_equal(bo.map.count, 1);
    backoff_expire(&bo, 1120);
    assert_int_equal(bo.map.count, 0);
    backoff_fini(&bo);
}

static void test_backoff_is_extended_never_shortened(void **state)
{
    struct peer_id a = peer(1);
    struct backoff bo;

    backoff_init(&bo, 10, 0, seed);
    backoff_add(&bo, SLICE_LIT("t"), &a, 100, 0);
    backoff_add(&bo, SLICE_LIT("t"), &a, 10, 50);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &a, 50), 100);
    backoff_add(&bo, SLICE_LIT("t"), &a, 100, 50);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &a, 50), 150);
    backoff_fini(&bo);
}

static void test_backoff_full_drops_what_ends_first(void **state)
{
    struct backoff bo;

    backoff_init(&bo, 4, 0, seed);
    for (uint8_t i = 0; i < 6; i++) {
        struct peer_id p = peer(i);
        backoff_add(&bo, SLICE_LIT("t"), &p, 100u - i, 0); /* later ones end earlier */
    }
    assert_int_equal(bo.map.count, 4);
    assert_int_equal(bo.evicted, 2);
    struct peer_id first = peer(0), last = peer(5), fourth = peer(3);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &first, 0), 100);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &last, 0), 95);
    assert_int_equal(backoff_until(&bo, SLICE_LIT("t"), &fourth, 0), 0);
    backoff_fini(&bo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_ends_after_its_time_and_slack),
        cmocka_unit_test(test_backoff_is_extended_never_shortened),
        cmocka_unit_test(test_backoff_full_drops_what_ends_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
