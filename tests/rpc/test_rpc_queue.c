#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/budget.h"
#include "rpc/rpc_queue.h"

static struct rpc_msg *msg(uint8_t mark, size_t len)
{
    struct rpc_msg *m = rpc_msg_new(len);

    memset(rpc_msg_bytes(m), mark, len);
    return m;
}

static int push(struct rpc_queue *q, uint8_t mark, size_t len, enum rpc_worth worth, struct rpc_queue_drops *d)
{
    struct rpc_msg *m = msg(mark, len);
    int err = rpc_queue_push(q, m, worth, d);

    rpc_msg_unref(m);
    return err;
}

static int pop(struct rpc_queue *q)
{
    struct rpc_msg *m = rpc_queue_pop(q);
    int mark = m ? rpc_msg_slice(m).p[0] : -1;

    rpc_msg_unref(m);
    return mark;
}

static void test_queue_keeps_order(void **state)
{
    struct rpc_queue q;
    struct rpc_queue_drops d;

    rpc_queue_init(&q, &(struct rpc_queue_limits){.max_messages = 4, .max_bytes = 1000});
    for (uint8_t i = 1; i <= 4; i++)
        assert_int_equal(push(&q, i, 10, i & 1 ? RPC_MUST : RPC_MAY, &d), 0);
    assert_int_equal(q.bytes, 40);
    assert_int_equal(q.may_bytes, 20);
    for (int i = 1; i <= 4; i++)
        assert_int_equal(pop(&q), i);
    assert_int_equal(pop(&q), -1);
    assert_int_equal(q.bytes, 0);
    assert_int_equal(q.may_count, 0);
}

static void test_queue_refuses_over_its_bounds(void **state)
{
    struct rpc_queue q;
    struct rpc_queue_drops d;

    rpc_queue_init(&q, &(struct rpc_queue_limits){.max_messages = 2, .max_bytes = 100});
    assert_int_equal(push(&q, 1, 1000, RPC_MUST, &d), 0); /* one always fits an empty queue */
    assert_int_equal(push(&q, 2, 1, RPC_MUST, &d), -RPC_EFULL);
    assert_int_equal(pop(&q), 1);
    assert_int_equal(push(&q, 3, 10, RPC_MUST, &d), 0);
    assert_int_equal(push(&q, 4, 10, RPC_MUST, &d), 0);
    assert_int_equal(push(&q, 5, 10, RPC_MUST, &d), -RPC_EFULL);
    assert_int_equal(push(&q, 5, 10, RPC_MAY, &d), -RPC_EFULL);
    assert_int_equal(d.must + d.may, 0);
    assert_int_equal(rpc_queue_clear(&q).must, 2);
}

static void test_queue_evicts_droppable_first(void **state)
{
    struct rpc_queue q;
    struct rpc_queue_drops d;

    rpc_queue_init(&q, &(struct rpc_queue_limits){.max_messages = 3, .max_bytes = 100});
    push(&q, 1, 10, RPC_MUST, &d);
    push(&q, 2, 10, RPC_MAY, &d);
    push(&q, 3, 10, RPC_MAY, &d);
    assert_int_equal(push(&q, 4, 10, RPC_MUST, &d), 0);
    assert_int_equal(d.may, 1);
    assert_int_equal(push(&q, 5, 10, RPC_MAY, &d), 0); /* a trace pushes out an older trace */
    assert_int_equal(d.may, 1);
    assert_int_equal(pop(&q), 1);
    assert_int_equal(pop(&q), 4);
    assert_int_equal(pop(&q), 5);

    push(&q, 6, 60, RPC_MUST, &d);
    push(&q, 7, 30, RPC_MAY, &d);
    /* evicting the trace would not be enough: nothing is thrown away in vain */
    assert_int_equal(push(&q, 8, 50, RPC_MUST, &d), -RPC_EFULL);
    assert_int_equal(d.may, 0);
    assert_int_equal(q.count, 2);
    assert_int_equal(rpc_queue_clear(&q).may, 1);
}

static void test_queue_drops_oldest_by_policy(void **state)
{
    struct rpc_queue q;
    struct rpc_queue_drops d;

    rpc_queue_init(&q, &(struct rpc_queue_limits){.max_messages = 3, .max_bytes = 100, .policy = RPC_DROP_OLDEST});
    for (uint8_t i = 1; i <= 3; i++)
        push(&q, i, 10, RPC_MUST, &d);
    assert_int_equal(push(&q, 4, 10, RPC_MAY, &d), -RPC_EFULL); /* a trace never costs a message */
    assert_int_equal(push(&q, 5, 95, RPC_MUST, &d), 0);
    assert_int_equal(d.must, 3);
    assert_int_equal(pop(&q), 5);
    assert_int_equal(pop(&q), -1);
}

static void released(void *user)
{
    ++*(int *)user;
}

static void test_message_shares_bytes(void **state)
{
    static uint8_t block[8192];
    int count = 0;
    struct rpc_msg *whole = rpc_msg_wrap(slice_of(block, sizeof(block)), released, &count);
    struct rpc_msg *part = rpc_msg_part(whole, slice_of(block + 100, 5000));
    struct rpc_msg *head = rpc_msg_copy(SLICE_LIT("head"));
    struct rpc_msg *both = rpc_msg_join(head, part);

    assert_ptr_equal(rpc_msg_slice(part).p, block + 100);
    assert_int_equal(rpc_msg_len(both), 5004);
    assert_null(rpc_msg_slice(both).p);
    rpc_msg_unref(whole);
    rpc_msg_unref(part);
    rpc_msg_unref(head);
    assert_int_equal(count, 0);
    rpc_msg_unref(both);
    assert_int_equal(count, 1);
}

static void test_message_of_any_size(void **state)
{
    static const size_t sizes[] = {0, 1, 23, 24, 4095, 4096, 100000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct rpc_msg *m = msg(9, sizes[i]), *p;

        assert_int_equal(rpc_msg_len(m), sizes[i]);
        assert_int_equal(rpc_msg_slice(m).len, sizes[i]);
        p = rpc_msg_part(m, slice_of(rpc_msg_slice(m).p + sizes[i] / 2, sizes[i] - sizes[i] / 2));
        rpc_msg_unref(m);
        assert_int_equal(rpc_msg_len(p), sizes[i] - sizes[i] / 2);
        if (sizes[i])
            assert_int_equal(rpc_msg_slice(p).p[0], 9);
        rpc_msg_unref(p);
    }
}

/* While a shared budget is spent, this queue is full at 1 MiB; a message is charged once, and until its end. */
static void test_queue_is_squeezed_while_the_budget_is_spent(void **state)
{
    struct budget b = {.max_bytes = 3 << 20};
    struct rpc_msg *shared = rpc_msg_new(1 << 20), *other = rpc_msg_new(700 << 10);
    struct rpc_queue_drops d;
    struct rpc_queue q, r;

    rpc_msg_charge(shared, &b);
    rpc_queue_init(&q, &(struct rpc_queue_limits){.max_bytes = 64 << 20, .policy = RPC_DROP_OLDEST, .budget = &b});
    rpc_queue_init(&r, &(struct rpc_queue_limits){.max_bytes = 64 << 20, .budget = &b});
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rpc_queue_push(&q, shared, RPC_MUST, &d), 0);
        assert_int_equal(d.must, 0);
        assert_int_equal(rpc_queue_push(&r, shared, RPC_MUST, &d), 0);
    }
    assert_in_range(b.bytes, (1 << 20) + 10 * 40, (1 << 20) + 10 * 100); /* once, and ten places */
    budget_take(&b, 4 << 20); /* others' */
    assert_int_equal(rpc_queue_push(&q, other, RPC_MUST, &d), 0);
    assert_int_equal(d.must, 5);
    assert_int_equal(q.count, 1);
    assert_int_equal(rpc_queue_push(&r, other, RPC_MUST, &d), -RPC_EFULL);
    assert_int_equal(b.squeezed, 2);
    budget_give(&b, 4 << 20);
    assert_int_equal(rpc_queue_push(&r, other, RPC_MUST, &d), 0);
    rpc_queue_clear(&q);
    rpc_queue_clear(&r);
    rpc_msg_unref(other);
    assert_int_equal(b.bytes, 1 << 20);
    rpc_msg_unref(shared);
    assert_int_equal(b.bytes, 0);
}

/* As nothing comes for it and nobody takes from it. */
static void test_queue_of_a_quiet_peer_is_cut_down(void **state)
{
    for (int refuses = 0; refuses < 2; refuses++) {
        struct budget b = {.max_bytes = 3 << 20};
        struct rpc_msg *m[20], *first;
        struct rpc_queue_drops d;
        struct rpc_queue q;

        rpc_queue_init(&q, &(struct rpc_queue_limits){.max_bytes = 64 << 20, .policy = refuses ? RPC_REFUSE : RPC_DROP_OLDEST, .budget = &b});
        for (unsigned i = 0; i < 20; i++) {
            m[i] = rpc_msg_new(300 << 10);
            assert_int_equal(rpc_queue_push(&q, m[i], RPC_MUST, &d), 0);
            rpc_msg_unref(m[i]);
        }
        rpc_queue_squeeze(&q);
        assert_int_equal(rpc_queue_squeeze(&q).must, 0); /* there is room for all */
        budget_take(&b, 4 << 20);
        assert_int_equal(rpc_queue_squeeze(&q).must, 0);
        rpc_msg_unref(rpc_queue_pop(&q)); /* it is slow, not quiet */
        assert_int_equal(rpc_queue_squeeze(&q).must, 0);
        d = rpc_queue_squeeze(&q);
        assert_int_equal(d.must, 16);
        assert_int_equal(d.must_bytes, 16 * (300 << 10));
        assert_int_equal(b.squeezed, 16);
        first = rpc_queue_pop(&q);
        assert_ptr_equal(first, m[refuses ? 1 : 17]);
        rpc_msg_unref(first);
        rpc_queue_clear(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_is_squeezed_while_the_budget_is_spent),
        cmocka_unit_test(test_queue_of_a_quiet_peer_is_cut_down),
        cmocka_unit_test(test_queue_keeps_order),
        cmocka_unit_test(test_queue_refuses_over_its_bounds),
        cmocka_unit_test(test_queue_evicts_droppable_first),
        cmocka_unit_test(test_queue_drops_oldest_by_policy),
        cmocka_unit_test(test_message_shares_bytes),
        cmocka_unit_test(test_message_of_any_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
