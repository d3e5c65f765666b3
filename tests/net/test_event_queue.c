/* test_event_queue.c: what comes out is what went in, and what finds no memory is counted */
#include <stdlib.h>

#include "net/role.h"
#include "testing.h"

static bool has_no_memory; /* the linker sends every malloc of ours here */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return has_no_memory ? NULL : __real_malloc(n);
}

static void test_event_queue_counts_what_finds_no_memory(void **state)
{
    struct event_queue q = {0};
    struct queued_event ev = {.type = NET_EV_CONN_DOWN};
    uint64_t in = 0, out = 0;

    has_no_memory = true;
    assert_int_equal(event_queue_push(&q, &ev), -1); /* not even the first ring */
    has_no_memory = false;
    for (; in < 256; in++) {
        ev.value = in;
        assert_int_equal(event_queue_push(&q, &ev), 0);
    }
    has_no_memory = true;
    assert_int_equal(event_queue_push(&q, &ev), -1); /* the ring is full and does not grow */
    has_no_memory = false;
    assert_int_equal(q.lost, 2);
    for (; event_queue_pop(&q, &ev); out++)
        assert_int_equal(ev.value, out);
    assert_int_equal(out, in);
    event_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_queue_counts_what_finds_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
