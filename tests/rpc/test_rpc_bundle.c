#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rpc/rpc_bundle.h"

static void fill(struct rpc_queue *q, const size_t *len, unsigned n)
{
    struct rpc_queue_drops d;

    rpc_queue_init(q, &(struct rpc_queue_limits){.max_messages = 10000, .max_bytes = 1 << 30});
    for (unsigned i = 0; i < n; i++) {
        struct rpc_msg *m = rpc_msg_new(len[i]);

        memset(rpc_msg_bytes(m), (int)i, len[i]);
        assert_int_equal(rpc_queue_push(q, m, RPC_MUST, &d), 0);
        rpc_msg_unref(m);
    }
}

static void check_item(struct slice s, unsigned mark, size_t len)
{
    assert_int_equal(s.len, len);
    for (size_t i = 0; i < s.len; i++)
        assert_int_equal(s.p[i], (uint8_t)mark);
}

/* Makes bundles until the queue is empty and reads them again; how many there were. */
static unsigned round_trip(const size_t *len, unsigned n, unsigned *alone)
{
    unsigned at_item = 0, made = 0;
    struct rpc_queue q;
    struct rpc_msg *m;

    *alone = 0;
    fill(&q, len, n);
    while ((m = rpc_queue_pop(&q))) {
        unsigned count = 0;
        size_t bytes = 0, want = 0, at = 0;
        struct slice all, item;

        m = rpc_bundle_make(&q, m, &count, &bytes);
        all = rpc_msg_slice(m);
        for (unsigned i = 0; i < count; i++)
            want += len[at_item + i];
        assert_int_equal(bytes, want);
        if (count == 1) {
            check_item(all, at_item, len[at_item]);
            (*alone)++;
        } else {
            assert_true(rpc_bundle_is(all));
            assert_true(all.len <= RPC_BUNDLE_BYTES && count <= RPC_BUNDLE_COUNT);
            for (unsigned i = 0; i < count; i++) {
                assert_int_equal(rpc_bundle_next(all, &at, &item), 1);
                check_item(item, at_item + i, len[at_item + i]);
            }
            assert_int_equal(rpc_bundle_next(all, &at, &item), 0);
        }
        at_item += count;
        made++;
        rpc_msg_unref(m);
    }
    assert_int_equal(at_item, n);
    return made;
}

static void test_bundle_holds_what_fits(void **state)
{
    static const struct {
        const char *name;
        unsigned n;
        size_t len[8];
        unsigned made, alone;
    } table[] = {
        {"one alone is as it is", 1, {100}, 1, 1},
        {"two small ones", 2, {100, 200}, 1, 0},
        {"empty ones", 3, {0, 0, 0}, 1, 0},
        {"a large one between", 5, {10, 10, RPC_BUNDLE_ITEM + 1, 10, 10}, 3, 1},
        {"the largest that are small", 8, {8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192}, 2, 1},
        {"a large one first", 2, {1 << 20, 10}, 2, 2},
        {"lengths of one and two bytes", 4, {127, 128, 129, 8191}, 1, 0},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        unsigned alone, made = round_trip(table[i].len, table[i].n, &alone);

        if (made != table[i].made || alone != table[i].alone)
            fail_msg("%s: %u made, %u alone", table[i].name, made, alone);
    }
}

static void test_bundle_is_bounded_in_number(void **state)
{
    size_t len[1000];
    unsigned alone;

    for (unsigned i = 0; i < 1000; i++)
        len[i] = i % 7;
    assert_int_equal(round_trip(len, 1000, &alone), (1000 + RPC_BUNDLE_COUNT - 1) / RPC_BUNDLE_COUNT);
}

/* What a joined message consists of goes in as one run. */
static void test_bundle_takes_joined_messages(void **state)
{
    struct rpc_msg *a = rpc_msg_copy(SLICE_LIT("head")), *b = rpc_msg_copy(SLICE_LIT("body")), *j = rpc_msg_join(a, b), *m;
    const size_t one = 3;
    struct slice item;
    struct rpc_queue q;
    unsigned count;
    size_t bytes, at = 0;

    fill(&q, &one, 1);
    m = rpc_bundle_make(&q, j, &count, &bytes);
    assert_int_equal(count, 2);
    assert_int_equal(rpc_bundle_next(rpc_msg_slice(m), &at, &item), 1);
    assert_true(slice_is_equal(item, SLICE_LIT("headbody")));
    rpc_msg_unref(m);
    rpc_msg_unref(a);
    rpc_msg_unref(b);
}

static void test_cut_bundle_is_refused(void **state)
{
    static const uint8_t whole[] = {0x7a, 2, 'a', 'b', 0x7a, 0, 0x7a, 3, 'c', 'd', 'e'};
    static const uint8_t ends[] = {0, 4, 6, 11}; /* where it may end */

    for (size_t cut = 0; cut <= sizeof(whole); cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* its own block: a read behind the end is seen */
        struct slice item;
        size_t at = 0;
        int rc;

        memcpy(copy, whole, cut);
        while ((rc = rpc_bundle_next(slice_of(copy, cut), &at, &item)) > 0)
            ;
        assert_int_equal(rc, memchr(ends, (int)cut, sizeof(ends)) ? 0 : -1);
        free(copy);
    }
}

static void test_other_fields_are_refused(void **state)
{
    static const struct slice bad[] = {{(const uint8_t *)"\x7a\x01\x61\x12\x01\x62", 6},     /* field 2 */
                                       {(const uint8_t *)"\x78\x01", 2},                     /* 15, a varint */
                                       {(const uint8_t *)"\x7a\xff\xff\xff\xff\x0f\x61", 7}, /* longer than all */
                                       {(const uint8_t *)"\x7a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice item;
        size_t at = 0;
        int rc;

        while ((rc = rpc_bundle_next(bad[i], &at, &item)) > 0)
            ;
        assert_int_equal(rc, -1);
    }
    assert_false(rpc_bundle_is((struct slice){0}));
    assert_false(rpc_bundle_is(SLICE_LIT("\x08\x01")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle_holds_what_fits),      cmocka_unit_test(test_bundle_is_bounded_in_number),
        cmocka_unit_test(test_bundle_takes_joined_messages), cmocka_unit_test(test_cut_bundle_is_refused),
        cmocka_unit_test(test_other_fields_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
