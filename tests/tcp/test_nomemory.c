/* test_nomemory.c: the stack when malloc fails: slower, never wrong, nothing lost or leaked
 * malloc and its kin are wrapped by the linker; they fail by a seeded chance, inside the stack only
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t a, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t a, size_t n);

static bool in_stack;
static uint32_t fail_ppm;
static uint64_t failed, asked;
static struct rng dice;

static bool fails(void)
{
    if (!in_stack)
        return false;
    asked++;
    if (rng_below(&dice, PPM) >= fail_ppm)
        return false;
    failed++;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
    return fails() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t a, size_t n)
{
    return fails() ? NULL : __real_aligned_alloc(a, n);
}

static void run_seed(uint64_t seed)
{
    struct flow_app app;
    struct sim sim;

    sim_init(&sim, seed);
    rng_init_seeded(&dice, seed);
    sim.in_stack = &in_stack;
    sim.net.loss_ppm = 10000;
    sim.net.reorder_ppm = 10000;
    sim.net.reorder_ns = 5 * MS;
    sim.net.lend = seed % 2;
    sim_start(&sim);
    flow_app_init(&app, &sim);
    app.end[0].to_send = app.end[1].to_send = 300000;
    app.end[0].max_chunk = app.end[1].max_chunk = 3000;
    flow_app_open(&app);
    fail_ppm = 100000;
    while (!app.end[1].connected && sim_step(&sim)) /* a handshake has ten seconds, that is four SYNs */
        ;
    assert_true(app.end[1].connected);
    fail_ppm = 100000 * (uint32_t)(1 + seed % 9); /* up to nine tenths */
    flow_app_run(&app, 60 * SEC, 1000 * SEC);
    fail_ppm = 0;
    for (int i = 0; i < 2; i++)
        if (app.end[i].reason == TCP_CLOSED_DONE)
            assert_true(app.end[i].received == app.end[1 - i].to_send);
    sim_run(&sim, sim.now + 200 * SEC);
    assert_int_equal(tcp_stack_conn_count(sim.stack[0]) + tcp_stack_conn_count(sim.stack[1]), 0);
    sim_fini(&sim);
    flow_app_fini(&app);
}

static void test_transfers_survive_failing_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_seed(seed);
    assert_true(failed > 500);
    print_message("%llu of %llu allocations failed\n", (unsigned long long)failed, (unsigned long long)asked);
}

static void test_steady_stream_does_not_allocate(void **state)
{
    struct flow_app app;
    struct sim sim;
    uint64_t before = 0;

    (void)state;
    sim_init(&sim, 5);
    sim.in_stack = &in_stack;
    sim.cfg[0].send_buf_bytes = sim.cfg[1].recv_buf_bytes = 1 << 20;
    sim.net.loss_ppm = 1000;
    sim_start(&sim);
    flow_app_init(&app, &sim);
    app.end[0].to_send = 60000000;
    flow_app_open(&app);
    while (app.end[1].received < 60000000) {
        flow_app_pump(&app);
        sim_step(&sim);
        if (app.end[1].received < 20000000)
            before = asked;
    }
    assert_true(asked - before < 20); /* 40 MB and some 28,000 packets later: a ring that doubled, no more */
    sim_fini(&sim);
    flow_app_fini(&app);
}

static void test_stack_is_not_made_by_halves(void **state)
{
    struct tcp_config c;
    struct rng rng;
    unsigned made = 0;
    int err;

    (void)state;
    sim_config(&c, 0);
    rng_init_seeded(&rng, 1);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rng_init_seeded(&dice, seed);
        fail_ppm = 300000;
        in_stack = true;
        struct tcp_stack *s = tcp_stack_new(&c, &rng, &err, 0);
        in_stack = false;
        fail_ppm = 0;
        assert_int_equal(err, s ? 0 : -TCP_ENOMEM);
        made += s != NULL;
        tcp_stack_free(s);
    }
    assert_true(made > 0 && made < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers_survive_failing_memory),
        cmocka_unit_test(test_steady_stream_does_not_allocate),
        cmocka_unit_test(test_stack_is_not_made_by_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
