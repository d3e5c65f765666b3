#include "testing.h"

#include "sim/arena.h"

static void test_arena_frame_keeps_what_is_there(void **state)
{
    struct sim_arena *a = sim_arena_new();
    struct buf *payload = sim_arena_alloc(a, 100000), *head = buf_copy(SLICE_LIT("head")), *tail = buf_copy(SLICE_LIT("tail"));
    struct buf *frame, *again;
    struct pubsub_piece pieces[3];

    assert_non_null(payload);
    payload->len = 100000;
    memcpy(payload->data + 50000, "0123456789abcdef", 16);
    pieces[0] = (struct pubsub_piece){head, 0, 4};
    pieces[1] = (struct pubsub_piece){payload, 50000, 25000};
    pieces[2] = (struct pubsub_piece){tail, 0, 4};
    frame = sim_arena_frame(a, pieces, 3);
    assert_int_equal(frame->len, 25008);
    assert_memory_equal(frame->data, "head0123456789abcdef", 20);
    assert_memory_equal(frame->data + 25004, "tail", 4);
    /* A relay sends all of it on after a head of its own: the hole moves along. */
    pieces[1] = (struct pubsub_piece){frame, 0, frame->len};
    again = sim_arena_frame(a, pieces, 2);
    assert_int_equal(again->len, 25012);
    assert_memory_equal(again->data, "headhead0123456789abcdef", 24);
    assert_memory_equal(again->data + 25008, "tail", 4);
    buf_unref(frame);
    buf_unref(again);
    buf_unref(payload);
    buf_unref(head);
    buf_unref(tail);
    sim_arena_free(a);
}

static void test_arena_small_ones_are_ordinary(void **state)
{
    struct sim_arena *a = sim_arena_new();
    struct buf *b = sim_arena_alloc(a, 1000), *frame;

    memset(b->data, 7, 1000);
    b->len = 1000;
    frame = sim_arena_frame(a, &(struct pubsub_piece){b, 0, 1000}, 1);
    assert_memory_equal(frame->data, b->data, 1000);
    buf_unref(frame);
    buf_unref(b);
    sim_arena_free(a);
}

static void test_arena_refuses_what_is_too_large(void **state)
{
    struct sim_arena *a = sim_arena_new();

    assert_null(sim_arena_alloc(a, 1u << 30));
    sim_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_frame_keeps_what_is_there),
        cmocka_unit_test(test_arena_small_ones_are_ordinary),
        cmocka_unit_test(test_arena_refuses_what_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
