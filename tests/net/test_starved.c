/* test_starved.c: our TCP finds no memory for what a connection sends: it waits, and goes on when there is some
 * How:     the send queue's push is wrapped by the linker (meson.build)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tcp/sendq.h"
#include "world.h"

static bool is_failing;
static unsigned refused;

int __real_sendq_push(struct sendq *q, struct buf *b, const uint8_t *p, uint32_t len);
int __wrap_sendq_push(struct sendq *q, struct buf *b, const uint8_t *p, uint32_t len);
int __wrap_sendq_push(struct sendq *q, struct buf *b, const uint8_t *p, uint32_t len)
{
    refused += is_failing;
    return is_failing ? -1 : __real_sendq_push(q, b, p, len);
}

static bool has_both(struct world *w, void *conn)
{
    (void)w;
    return ((struct wconn *)conn)->frames == 2;
}

/* The second frame waits behind the first, in the session: it must hear that there is room again. */
static void test_starved_connection_goes_on(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    unsigned a, b;

    (void)state;
    world_init(w, true, 2, NULL, NULL);
    world_connect(w, 0, 1, &a, &b);
    world_open_stream(w, 0, a);
    for (unsigned i = 0; i < 50; i++)
        world_step(w);
    is_failing = true;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world_send(w, 0, &w->nodes[0].conns[a], i, 2000), 0);
        for (unsigned k = 0; k < 500; k++)
            world_step(w);
    }
    assert_true(refused > 1); /* tried again and again */
    assert_int_equal(w->nodes[1].conns[b].frames, 0);
    is_failing = false;
    /* Of the cable's time; a ping would wake it in the end. */
    assert_true(world_run(w, has_both, &w->nodes[1].conns[b], 100));
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starved_connection_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
