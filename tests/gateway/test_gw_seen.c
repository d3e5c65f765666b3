/* test_gw_seen.c: which payloads a topic had lately */
#include "testing.h"

#include "gateway/gw_seen.h"

#define S 1000000000ull

static const uint8_t seed[16] = {1, 2, 3};

static void id_of(uint8_t id[GW_ID_BYTES], uint32_t n)
{
    memset(id, 0, GW_ID_BYTES);
    memcpy(id, &n, sizeof(n));
}

static void test_seen_knows_topic_and_id(void **state)
{
    uint8_t a[GW_ID_BYTES], b[GW_ID_BYTES];
    struct gw_seen s;

    id_of(a, 1);
    id_of(b, 2);
    gw_seen_init(&s, 0, 120 * S, seed);
    assert_null(gw_seen_get(&s, SLICE_LIT("t"), a, S));
    gw_seen_put(&s, SLICE_LIT("t"), a, S)->flags = 7;
    assert_int_equal(gw_seen_get(&s, SLICE_LIT("t"), a, 2 * S)->flags, 7);
    assert_ptr_equal(gw_seen_put(&s, SLICE_LIT("t"), a, 2 * S), gw_seen_get(&s, SLICE_LIT("t"), a, 2 * S));
    assert_null(gw_seen_get(&s, SLICE_LIT("u"), a, S));
    assert_null(gw_seen_get(&s, SLICE_LIT("t"), b, S));
    assert_int_equal(s.count, 1);
    gw_seen_fini(&s);
}

static void test_seen_forgets_after_its_time_and_not_before(void **state)
{
    uint8_t a[GW_ID_BYTES];
    struct gw_seen s;

    id_of(a, 1);
    gw_seen_init(&s, 0, 120 * S, seed);
    gw_seen_put(&s, SLICE_LIT("t"), a, 5 * S);
    gw_seen_put(&s, SLICE_LIT("t"), a, 100 * S); /* does not refresh */
    assert_non_null(gw_seen_get(&s, SLICE_LIT("t"), a, 4 * S)); /* a thread that read its clock before the other's put */
    assert_non_null(gw_seen_get(&s, SLICE_LIT("t"), a, 125 * S - 1));
    assert_null(gw_seen_get(&s, SLICE_LIT("t"), a, 125 * S));
    assert_int_equal(s.count, 0);
    gw_seen_fini(&s);
}

static void test_seen_grows_then_drops_the_oldest(void **state)
{
    uint8_t id[GW_ID_BYTES];
    struct gw_seen s;

    gw_seen_init(&s, 5000, 120 * S, seed); /* rounded up to 8192 */
    for (uint32_t i = 0; i < 20000; i++) {
        id_of(id, i);
        assert_non_null(gw_seen_put(&s, SLICE_LIT("t"), id, S + i));
    }
    assert_int_equal(s.count, 8192);
    assert_int_equal(s.evicted_early, 20000 - 8192);
    for (uint32_t i = 0; i < 20000; i++) {
        id_of(id, i);
        assert_int_equal(gw_seen_get(&s, SLICE_LIT("t"), id, 2 * S) != NULL, i >= 20000 - 8192);
    }
    gw_seen_fini(&s);
}

/* A long run of arrivals: what is kept is exactly what is young enough. */
static void test_seen_over_time(void **state)
{
    uint8_t id[GW_ID_BYTES];
    struct gw_seen s;

    gw_seen_init(&s, 1 << 16, 10 * S, seed);
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t now = S + (uint64_t)i * S / 100; /* 100 a second: 1000 live */

        id_of(id, i);
        gw_seen_put(&s, SLICE_LIT("t"), id, now);
        if (i >= 1000) {
            id_of(id, i - 999);
            assert_non_null(gw_seen_get(&s, SLICE_LIT("t"), id, now));
            id_of(id, i - 1000);
            assert_null(gw_seen_get(&s, SLICE_LIT("t"), id, now));
        }
    }
    assert_int_equal(s.count, 1000);
    assert_int_equal(s.evicted_early, 0);
    gw_seen_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seen_knows_topic_and_id),
                                       cmocka_unit_test(test_seen_forgets_after_its_time_and_not_before),
                                       cmocka_unit_test(test_seen_grows_then_drops_the_oldest),
                                       cmocka_unit_test(test_seen_over_time)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
