/* test_ws_out.c: framing, and what waits to be written */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/budget.h"
#include "http/ws_out.h"

static struct ws_msg *msg(size_t len, uint8_t fill)
{
    struct ws_msg *m = ws_msg_new(len);

    memset(ws_msg_data(m), fill, len);
    ws_msg_seal(m, WS_BINARY, len);
    return m;
}

static size_t block_bytes(const struct ws_msg *m)
{
    return sizeof(*m) + WS_HEADER_MAX + m->cap;
}

static enum ws_push push(struct ws_out *o, enum ws_kind kind, size_t len, uint8_t fill)
{
    struct ws_msg *m = msg(len, fill);
    enum ws_push rc = ws_out_push(o, kind, m);

    ws_msg_unref(m);
    return rc;
}

/* The fill byte of the next message, -1 when none. */
static int pop(struct ws_out *o)
{
    struct ws_msg *m;
    int fill;

    if (ws_out_pop(o, &m, 1, 1) == 0)
        return -1;
    fill = ws_msg_data(m)[0];
    ws_msg_unref(m);
    return fill;
}

static void test_msg_headers_by_length(void **state)
{
    static const struct {
        size_t len;
        const char *header;
        size_t header_len;
    } t[] = {{0, "\x82\x00", 2},
             {125, "\x82\x7d", 2},
             {126, "\x82\x7e\x00\x7e", 4},
             {65535, "\x82\x7e\xff\xff", 4},
             {65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct ws_msg *m = msg(t[i].len, 'x');
        struct slice w = ws_msg_wire(m);

        assert_int_equal(w.len, t[i].header_len + t[i].len);
        assert_memory_equal(w.p, t[i].header, t[i].header_len);
        ws_msg_unref(m);
    }
}

static void test_out_keeps_order_and_replies_go_first(void **state)
{
    struct ws_out o;

    ws_out_init(&o, 1 << 20, WS_DROP_OLDEST);
    for (uint8_t i = 1; i <= 50; i++)
        assert_int_equal(push(&o, WS_DELIVERY, 10, i), WS_PUSHED);
    assert_int_equal(pop(&o), 1);
    push(&o, WS_REPLY, 10, 200);
    push(&o, WS_REPLY, 10, 201);
    assert_int_equal(pop(&o), 200);
    assert_int_equal(pop(&o), 201);
    for (int i = 2; i <= 50; i++)
        assert_int_equal(pop(&o), i);
    assert_int_equal(pop(&o), -1);
    assert_true(ws_out_is_empty(&o));
    assert_int_equal(o.deliveries.bytes, 0);
    assert_int_equal(o.replies.bytes, 0);
    ws_out_fini(&o);
}

static void test_out_drops_the_oldest(void **state)
{
    struct ws_out o;
    size_t each = 100 + 2 + WS_OUT_ITEM_COST;

    ws_out_init(&o, 3 * each, WS_DROP_OLDEST);
    for (uint8_t i = 1; i <= 5; i++)
        assert_int_equal(push(&o, WS_DELIVERY, 100, i), WS_PUSHED);
    assert_int_equal(o.dropped_msgs, 2);
    assert_int_equal(o.dropped_bytes, 200);
    assert_int_equal(o.deliveries.bytes, 3 * each);
    assert_int_equal(pop(&o), 3);
    ws_out_fini(&o);
}

static void test_out_refuses_the_newest(void **state)
{
    struct ws_out o;

    ws_out_init(&o, 300, WS_DROP_NEWEST);
    assert_int_equal(push(&o, WS_DELIVERY, 200, 1), WS_PUSHED);
    assert_int_equal(push(&o, WS_DELIVERY, 200, 2), WS_PUSH_DROPPED);
    assert_int_equal(push(&o, WS_REPLY, 10000, 3), WS_PUSHED);
    assert_int_equal(o.dropped_msgs, 1);
    assert_int_equal(pop(&o), 3);
    assert_int_equal(pop(&o), 1);
    ws_out_fini(&o);
}

static void test_out_says_disconnect(void **state)
{
    struct ws_out o;

    ws_out_init(&o, 300, WS_DISCONNECT);
    assert_int_equal(push(&o, WS_DELIVERY, 200, 1), WS_PUSHED);
    assert_int_equal(push(&o, WS_DELIVERY, 200, 2), WS_PUSH_DISCONNECT);
    ws_out_drop_deliveries(&o);
    assert_int_equal(o.dropped_msgs, 2);
    assert_true(ws_out_is_empty(&o));
    ws_out_fini(&o);
}

static void test_out_takes_one_message_above_the_bound(void **state)
{
    struct ws_out o;

    ws_out_init(&o, 10, WS_DROP_OLDEST);
    assert_int_equal(push(&o, WS_DELIVERY, 1000, 1), WS_PUSHED);
    assert_int_equal(push(&o, WS_DELIVERY, 1000, 2), WS_PUSHED);
    assert_int_equal(o.dropped_msgs, 1);
    assert_int_equal(pop(&o), 2);
    ws_out_fini(&o);
}

static void test_out_bounds_empty_messages_too(void **state)
{
    struct ws_out o;

    ws_out_init(&o, 1 << 16, WS_DROP_OLDEST);
    for (unsigned i = 0; i < 100000; i++)
        push(&o, WS_DELIVERY, 0, 0);
    assert_true(o.deliveries.count <= (1 << 16) / WS_OUT_ITEM_COST);
    ws_out_fini(&o);
}

static void test_out_pop_stops_at_bytes(void **state)
{
    struct ws_msg *got[8];
    struct ws_out o;

    ws_out_init(&o, 1 << 20, WS_DROP_OLDEST);
    for (uint8_t i = 0; i < 8; i++)
        push(&o, WS_DELIVERY, 100, i);
    assert_int_equal(ws_out_pop(&o, got, 8, 250), 3);
    for (unsigned i = 0; i < 3; i++)
        ws_msg_unref(got[i]);
    assert_int_equal(o.deliveries.count, 5);
    ws_out_fini(&o);
}

/* While a shared budget is spent, this queue is full at 1 MiB; replies are not its matter. */
static void test_out_is_squeezed_while_the_budget_is_spent(void **state)
{
    struct budget b = {.max_bytes = 3 << 20};
    struct ws_msg *shared = msg(900 << 10, 1);
    struct ws_out o;

    ws_msg_charge(shared, &b);
    ws_out_init(&o, 64 << 20, WS_DROP_OLDEST);
    o.budget = &b;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ws_out_push(&o, WS_DELIVERY, shared), WS_PUSHED);
    assert_int_equal(o.dropped_msgs, 0);
    assert_int_equal(b.bytes, block_bytes(shared) + 16 * sizeof(shared));
    budget_take(&b, 4 << 20); /* others' */
    assert_int_equal(push(&o, WS_REPLY, 5 << 20, 2), WS_PUSHED);
    assert_int_equal(push(&o, WS_DELIVERY, 300 << 10, 3), WS_PUSHED);
    assert_int_equal(o.dropped_msgs, 4);
    assert_int_equal(b.squeezed, 1);
    assert_int_equal(pop(&o), 2);
    assert_int_equal(pop(&o), 3);
    budget_give(&b, 4 << 20);
    ws_msg_unref(shared);
    ws_out_fini(&o);
    assert_int_equal(b.bytes, 0);
}

/* Small messages are mostly places: a queue of them is charged for its ring, and gives it back. */
static void test_out_charges_its_places(void **state)
{
    struct budget b = {.max_bytes = 64 << 20};
    struct ws_msg *shared = msg(0, 0);
    struct ws_out o;

    ws_out_init(&o, 64 << 20, WS_DROP_OLDEST);
    o.budget = &b;
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(ws_out_push(&o, WS_DELIVERY, shared), WS_PUSHED);
    assert_int_equal(b.bytes, (128 << 10) * sizeof(shared));
    ws_out_drop_deliveries(&o);
    assert_int_equal(b.bytes, 0);
    ws_msg_unref(shared);
    ws_out_fini(&o);
}

/* What nobody takes, and nothing comes for, must not keep the budget spent. */
static void test_out_of_a_quiet_client_is_cut_down(void **state)
{
    static const enum ws_policy policies[] = {WS_DROP_OLDEST, WS_DROP_NEWEST, WS_DISCONNECT};

    for (unsigned p = 0; p < 3; p++) {
        struct budget b = {.max_bytes = 3 << 20};
        struct ws_out o;

        ws_out_init(&o, 64 << 20, policies[p]);
        o.budget = &b;
        for (uint8_t i = 0; i < 20; i++)
            push(&o, WS_DELIVERY, 300 << 10, i);
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(ws_out_squeeze(&o), 0); /* there is room for all */
        budget_take(&b, 4 << 20);
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(pop(&o), 0); /* it is slow, not quiet */
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(ws_out_squeeze(&o), 16);
        assert_int_equal(o.dropped_msgs, 16);
        assert_int_equal(b.squeezed, 16);
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(pop(&o), policies[p] == WS_DROP_NEWEST ? 1 : 17);
        ws_out_drop_deliveries(&o);
        push(&o, WS_DELIVERY, 5 << 20, 9); /* one is always allowed */
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(ws_out_squeeze(&o), 0);
        assert_int_equal(pop(&o), 9);
        ws_out_fini(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_is_squeezed_while_the_budget_is_spent),
                                       cmocka_unit_test(test_out_charges_its_places),
                                       cmocka_unit_test(test_out_of_a_quiet_client_is_cut_down),
                                       cmocka_unit_test(test_msg_headers_by_length),
                                       cmocka_unit_test(test_out_keeps_order_and_replies_go_first),
                                       cmocka_unit_test(test_out_drops_the_oldest),
                                       cmocka_unit_test(test_out_refuses_the_newest),
                                       cmocka_unit_test(test_out_says_disconnect),
                                       cmocka_unit_test(test_out_takes_one_message_above_the_bound),
                                       cmocka_unit_test(test_out_bounds_empty_messages_too),
                                       cmocka_unit_test(test_out_pop_stops_at_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
