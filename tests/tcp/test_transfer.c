/* test_transfer.c: whole transfers between two stacks over a bad network, one per seed
 * argv: [seeds] [first seed] [bytes]; without arguments a small number that keeps the test quick
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "flow.h"

static unsigned seeds = 100;
static uint64_t first_seed = 1, transfer_bytes = 10000000;

/* Everything about a run follows from its seed. */
static void shape_network(struct sim *sim)
{
    struct rng *r = &sim->rng;
    static const uint64_t rates[] = {0, 1250000000, 125000000, 12500000};
    static const uint64_t delays[] = {10000, 500000, 5 * MS, 20 * MS, 100 * MS};

    sim->net.delay_ns = delays[rng_below(r, 5)];
    sim->net.jitter_ns = rng_below(r, 2) ? 0 : sim->net.delay_ns / 4;
    sim->net.bytes_per_s = rates[rng_below(r, 4)];
    sim->net.queue_bytes = rng_below(r, 2) ? 0 : 64000 + rng_below(r, 1000000);
    sim->net.loss_ppm = rng_below(r, 4) ? (uint32_t)rng_below(r, 50000) : 0;
    sim->net.dup_ppm = rng_below(r, 2) ? (uint32_t)rng_below(r, 20000) : 0;
    sim->net.reorder_ppm = rng_below(r, 2) ? (uint32_t)rng_below(r, 50000) : 0;
    sim->net.reorder_ns = sim->net.delay_ns / 2 + 1000;
    sim->net.full_ppm = rng_below(r, 4) ? 0 : 50000;
    sim->net.keep_gso = rng_below(r, 2);
    sim->net.lend = rng_below(r, 2);
    sim->net.lasts = !sim->net.lend;
    for (int i = 0; i < 2; i++) {
        struct tcp_config *c = &sim->cfg[i];
        static const uint32_t bufs[] = {16384, 65536, 1 << 20, 4 << 20};
        c->send_buf_bytes = bufs[rng_below(r, 4)];
        c->recv_buf_bytes = bufs[rng_below(r, 4)];
        c->csum_tx = rng_below(r, 2);
        c->gso_max_bytes = c->csum_tx && rng_below(r, 2) ? 65535 : 0;
        c->mtu_bytes = rng_below(r, 8) ? 1500 : 9000;
        c->user_timeout_ns = 600 * SEC;
    }
}

static void run_seed(uint64_t seed)
{
    struct sim sim;
    struct flow_app app;

    sim_init(&sim, seed);
    shape_network(&sim);
    sim_start(&sim);
    flow_app_init(&app, &sim);
    bool both = rng_below(&sim.rng, 3) == 0;
    app.end[0].to_send = transfer_bytes;
    app.end[1].to_send = both ? transfer_bytes / 4 : 0;
    for (int i = 0; i < 2; i++) {
        app.end[i].max_chunk = rng_below(&sim.rng, 2) ? 65536 : 1 + (uint32_t)rng_below(&sim.rng, 4000);
        app.end[i].read_pause_ppm = rng_below(&sim.rng, 2) ? 0 : 200000;
    }
    flow_app_open(&app);
    /* A stall: no byte for 63 timeouts, which is six in a row lost, with their doubling. */
    uint64_t rto = 2 * sim.net.delay_ns * 2 + sim.net.jitter_ns + 300 * MS;
    if (sim.net.bytes_per_s)
        rto += 3 * ((sim.net.queue_bytes ? sim.net.queue_bytes : 4u << 20) * SEC / sim.net.bytes_per_s);
    flow_app_run(&app, 63 * rto, 3600 * SEC);
    for (int i = 0; i < 2; i++) {
        if (app.end[i].reason != TCP_CLOSED_DONE)
            fprintf(stderr, "seed %llu side %d: %s\n", (unsigned long long)seed, i,
                    tcp_reason_name(app.end[i].reason));
        assert_int_equal(app.end[i].reason, TCP_CLOSED_DONE);
        assert_true(app.end[i].received == app.end[1 - i].to_send);
    }
    sim_run(&sim, sim.now + 200 * SEC); /* TIME_WAIT ends, and nothing goes on for ever */
    assert_int_equal(tcp_stack_conn_count(sim.stack[0]) + tcp_stack_conn_count(sim.stack[1]), 0);
    assert_int_equal(tcp_stack_counters(sim.stack[0])->drop_tcp_csum, 0);
    assert_int_equal(tcp_stack_counters(sim.stack[1])->drop_tcp_csum, 0);
    if (getenv("SIM_VERBOSE"))
        printf("seed %llu: %.2f s, delay %.2f ms, loss %u ppm, reorder %u, rate %llu, rtx %llu of %llu, rto "
               "%llu, "
               "undo %llu\n",
               (unsigned long long)seed, (double)(app.progress_ns - SEC) / 1e9,
               (double)sim.net.delay_ns / 1e6, sim.net.loss_ppm, sim.net.reorder_ppm,
               (unsigned long long)sim.net.bytes_per_s,
               (unsigned long long)tcp_stack_counters(sim.stack[0])->tx_rtx_bytes,
               (unsigned long long)tcp_stack_counters(sim.stack[0])->tx_data_bytes,
               (unsigned long long)tcp_stack_counters(sim.stack[0])->rto_fired,
               (unsigned long long)tcp_stack_counters(sim.stack[0])->spurious_undone);
    sim_fini(&sim);
    flow_app_fini(&app);
}

static void test_transfer_survives_every_seed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < seeds; i++) {
        FILE *f = getenv("SIM_TRACE") ? stderr : NULL;
        if (f)
            fprintf(f, "seed %llu\n", (unsigned long long)(first_seed + i));
        run_seed(first_seed + i);
    }
    print_message("%u transfers of %llu bytes from seed %llu\n", seeds, (unsigned long long)transfer_bytes,
                  (unsigned long long)first_seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transfer_survives_every_seed)};

    if (argc > 1)
        seeds = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 0);
    if (argc > 3)
        transfer_bytes = strtoull(argv[3], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
