/* test_gw_kept.c: small messages in a ring: in order, whole, bounded in bytes and age */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "gateway/gw_kept.h"

/* What message i is. */
static size_t make(unsigned i, char topic[GW_NAME_MAX], uint8_t id[GW_ID_BYTES], uint8_t payload[GW_KEPT_PAYLOAD_MAX])
{
    struct rng r;
    size_t len;

    rng_init_seeded(&r, i);
    len = (size_t)rng_below(&r, i % 7 ? 64 : GW_KEPT_PAYLOAD_MAX + 1);
    snprintf(topic, GW_NAME_MAX, "topic-%u", i % 13);
    rng_fill(&r, id, GW_ID_BYTES);
    rng_fill(&r, payload, len);
    return len;
}

static bool add(struct gw_kept *k, unsigned i, uint64_t now)
{
    uint8_t id[GW_ID_BYTES], payload[GW_KEPT_PAYLOAD_MAX];
    char topic[GW_NAME_MAX];
    size_t len = make(i, topic, id, payload);

    return gw_kept_add(k, slice_str(topic), id, slice_of(payload, len), now);
}

static void assert_next_is(struct gw_kept *k, unsigned i)
{
    uint8_t id[GW_ID_BYTES], payload[GW_KEPT_PAYLOAD_MAX];
    char topic[GW_NAME_MAX];
    size_t len = make(i, topic, id, payload);
    struct gw_kept_item got;

    assert_true(gw_kept_pop(k, &got));
    assert_memory_equal(got.head.id, id, GW_ID_BYTES);
    assert_int_equal(got.head.topic_len, strlen(topic));
    assert_memory_equal(got.bytes, topic, strlen(topic));
    assert_int_equal(got.head.payload_len, len);
    assert_memory_equal(got.bytes + strlen(topic), payload, len);
}

/* Round and round, so that records wrap at all places. */
static void test_kept_come_back_in_order_and_whole(void **state)
{
    struct gw_kept_item got;
    struct gw_kept k;
    unsigned in = 0, out = 0;

    gw_kept_init(&k, 9973);
    while (in < 3000) {
        assert_true(add(&k, in++, 1));
        if (in % 3 == 0 || k.len > 5000)
            assert_next_is(&k, out++);
        while (k.len > 5000)
            assert_next_is(&k, out++);
    }
    while (out < in)
        assert_next_is(&k, out++);
    assert_false(gw_kept_pop(&k, &got));
    assert_int_equal(k.len, 0);
    gw_kept_fini(&k);
}

static void test_kept_make_room_for_newer_ones(void **state)
{
    struct gw_kept_item got;
    struct gw_kept k;
    unsigned left = 0;

    gw_kept_init(&k, 20000);
    for (unsigned i = 0; i < 500; i++)
        assert_true(add(&k, i, i));
    assert_true(k.len <= 20000 && k.len > 20000 - 8192);
    while (gw_kept_pop(&k, &got)) {
        left++;
        assert_true(got.head.at_ns < 500);
    }
    assert_int_equal(got.head.at_ns, 499); /* the newest is there */
    assert_true(left > 4 && left < 500);
    gw_kept_fini(&k);
}

static void test_kept_are_forgotten_by_age(void **state)
{
    struct gw_kept k;

    gw_kept_init(&k, 1 << 20);
    gw_kept_expire(&k, 1000); /* of nothing */
    for (unsigned i = 0; i < 10; i++)
        assert_true(add(&k, i, 100 * i));
    gw_kept_expire(&k, 700);
    for (unsigned i = 7; i < 10; i++)
        assert_next_is(&k, i);
    assert_int_equal(k.len, 0);
    gw_kept_fini(&k);
}

static void test_kept_are_small(void **state)
{
    static const uint8_t id[GW_ID_BYTES], bytes[GW_KEPT_PAYLOAD_MAX + 1];
    struct gw_kept k;

    gw_kept_init(&k, 2048);
    assert_false(gw_kept_add(&k, SLICE_LIT("t"), id, slice_of(bytes, sizeof(bytes)), 1));
    assert_false(gw_kept_add(&k, SLICE_LIT("t"), id, slice_of(bytes, 2048), 1));
    assert_int_equal(k.len, 0);
    assert_true(gw_kept_add(&k, SLICE_LIT("t"), id, (struct slice){0}, 1));
    gw_kept_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_come_back_in_order_and_whole),
        cmocka_unit_test(test_kept_make_room_for_newer_ones),
        cmocka_unit_test(test_kept_are_forgotten_by_age),
        cmocka_unit_test(test_kept_are_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
