#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/events.h"

static void test_events_come_in_order(void **state)
{
    struct pubsub_output out;
    struct events e;

    events_init(&e);
    for (uint32_t round = 0; round < 3; round++) { /* later rounds take idle ones */
        for (pubsub_peer p = 1; p <= 600; p++)
            events_push(&e, p % 2 ? PUBSUB_DISCONNECT : PUBSUB_TRACE)->out.peer = p;
        for (pubsub_peer p = 1; p <= 600; p++) {
            assert_true(events_pop(&e, &out));
            assert_int_equal(out.peer, p);
            assert_int_equal(out.type, p % 2 ? PUBSUB_DISCONNECT : PUBSUB_TRACE);
            assert_int_equal(out.trace != NULL, p % 2 == 0);
            assert_null(out.payload);
        }
        assert_false(events_pop(&e, &out));
    }
    events_fini(&e);
}

static void test_events_drop_traces_past_the_limit_and_nothing_else(void **state)
{
    struct pubsub_output out;
    struct events e;
    unsigned n = 0;

    events_init(&e);
    for (unsigned i = 0; i < EVENTS_TRACE_MAX; i++)
        assert_non_null(events_push(&e, PUBSUB_TRACE));
    assert_null(events_push(&e, PUBSUB_TRACE));
    assert_int_equal(e.traces_dropped, 1);
    assert_non_null(events_push(&e, PUBSUB_DELIVER));
    while (events_pop(&e, &out))
        n++;
    assert_int_equal(n, EVENTS_TRACE_MAX + 1);
    assert_non_null(events_push(&e, PUBSUB_TRACE));
    events_fini(&e);
}

static void test_events_fini_releases_payloads(void **state)
{
    struct buf *b = buf_new(10);
    struct events e;

    events_init(&e);
    events_push(&e, PUBSUB_DELIVER)->out.payload = buf_ref(b);
    events_fini(&e);
    assert_int_equal(b->refs, 1);
    buf_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_in_order),
        cmocka_unit_test(test_events_drop_traces_past_the_limit_and_nothing_else),
        cmocka_unit_test(test_events_fini_releases_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
