/* Where output is sealed: one block for all, whole cache lines where that is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libp2p/noise_wire.h"
#include "net/role.h"

#define FULL (NOISE_SEAL_MAX + NOISE_FRAME_EXTRA)

static void begin(struct net *n)
{
    *n = (struct net){0};
    bufpool_init(&n->pool, UINT64_MAX, 4 << 20);
}

static void end(struct net *n)
{
    buf_unref(n->block);
    assert_int_equal(n->pool.used_bytes, 0);
    bufpool_fini(&n->pool);
}

/* A frame of len bytes goes where it is told; whoever sends it holds the block. */
static struct buf *put(struct net *n, bool is_lined, uint32_t len)
{
    struct buf *block = net_out_block(n, is_lined);

    assert_non_null(block);
    assert_true(block->cap - block->len >= SESSION_OUTPUT_MIN);
    if (is_lined)
        assert_int_equal((uintptr_t)(block->data + block->len + NOISE_HEAD_BYTES) % 64, 0);
    block->len += len;
    return buf_ref(block);
}

static void check_four_in_a_block(bool is_lined)
{
    struct buf *held[5];
    struct net n;

    begin(&n);
    for (unsigned i = 0; i < 5; i++)
        held[i] = put(&n, is_lined, FULL);
    for (unsigned i = 1; i < 4; i++)
        assert_ptr_equal(held[i], held[0]);
    assert_ptr_not_equal(held[4], held[0]);
    for (unsigned i = 0; i < 5; i++)
        buf_unref(held[i]);
    end(&n);
}

static void test_out_block_takes_four_full_frames(void **state)
{
    check_four_in_a_block(true);
    check_four_in_a_block(false);
}

static void test_out_block_leaves_no_gaps_but_for_lines(void **state)
{
    struct net n;

    begin(&n);
    buf_unref(put(&n, false, 1001));
    assert_int_equal(net_out_block(&n, false)->len, 1001);
    assert_int_equal(net_out_block(&n, true)->len, 1022);
    assert_int_equal(net_out_block(&n, true)->len, 1022);
    assert_int_equal(net_out_block(&n, false)->len, 1022);
    end(&n);
}

static void test_out_block_may_be_full_to_the_last_byte(void **state)
{
    for (uint32_t left = 0; left < 200; left++) {
        struct net n;

        begin(&n);
        struct buf *first = put(&n, false, 0);
        first->len = first->cap - left;
        struct buf *next = put(&n, left & 1, 100);
        assert_ptr_not_equal(next, first);
        buf_unref(first);
        buf_unref(next);
        end(&n);
    }
}

static void test_out_block_is_used_again_when_nobody_holds_it(void **state)
{
    struct net n;

    begin(&n);
    struct buf *first = net_out_block(&n, false);
    for (unsigned i = 0; i < 100; i++) {
        struct buf *got = put(&n, i % 3, 1 + 977 * i % FULL);
        assert_ptr_equal(got, first);
        buf_unref(got);
    }
    assert_int_equal(n.pool.allocs, 1);
    end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_block_takes_four_full_frames),
        cmocka_unit_test(test_out_block_leaves_no_gaps_but_for_lines),
        cmocka_unit_test(test_out_block_may_be_full_to_the_last_byte),
        cmocka_unit_test(test_out_block_is_used_again_when_nobody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
