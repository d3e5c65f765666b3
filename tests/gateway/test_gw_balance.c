/* test_gw_balance.c: shares of nodes that answer at different speeds */
#include "testing.h"

#include "gateway/gw_balance.h"

#define MS 1000000ull

static unsigned choose(struct gw_load *nodes, unsigned n, uint64_t bytes, uint64_t clock)
{
    unsigned best = 0;

    for (unsigned i = 1; i < n; i++)
        if (gw_load_price(&nodes[i], bytes, clock) < gw_load_price(&nodes[best], bytes, clock))
            best = i;
    return best;
}

/* Sends `count` messages one after the other, each answered after the node's own time; what each node got. */
static void run(struct gw_load *nodes, const uint64_t *took_ns, unsigned n, unsigned count, uint64_t bytes,
                uint64_t *clock, unsigned *got)
{
    memset(got, 0, n * sizeof(*got));
    for (unsigned i = 0; i < count; i++) {
        unsigned k = choose(nodes, n, bytes, *clock);

        gw_load_sent(&nodes[k], bytes, clock);
        gw_load_answered(&nodes[k], bytes, took_ns[k]);
        gw_load_taken(&nodes[k], bytes);
        got[k]++;
    }
}

static void test_balance_is_even_among_equals(void **state)
{
    struct gw_load nodes[3] = {0};
    uint64_t took[3] = {1 * MS, 3 * MS, 2 * MS}, clock = 0; /* all quick: the rest is noise */
    unsigned got[3];

    run(nodes, took, 3, 300, 1024, &clock, got);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(got[i], 99, 101);
}

static void test_balance_gives_a_slow_node_less_and_never_nothing(void **state)
{
    struct gw_load nodes[2] = {0};
    uint64_t took[2] = {1 * MS, 40 * MS}, clock = 0;
    unsigned got[2];

    run(nodes, took, 2, 100, 1024, &clock, got); /* it learns */
    run(nodes, took, 2, 1100, 1024, &clock, got);
    assert_in_range(got[1], 80, 120); /* a tenth: 4 ms count as the least */
}

static void test_balance_returns_to_a_node_that_is_quick_again(void **state)
{
    struct gw_load nodes[2] = {0};
    uint64_t took[2] = {1 * MS, 3000 * MS}, clock = 0;
    unsigned got[2];

    run(nodes, took, 2, 500, 1024, &clock, got);
    assert_true(got[1] <= 5);
    for (unsigned i = 0; i < 30; i++) /* questions about its health, a minute's */
        gw_load_answered(&nodes[1], 0, MS);
    took[1] = MS;
    run(nodes, took, 2, 400, 1024, &clock, got);
    assert_in_range(got[1], 100, 300);
}

static void test_balance_counts_what_waits_before_any_answer(void **state)
{
    struct gw_load nodes[2] = {0};
    uint64_t clock = 0;
    unsigned got[2] = {0};

    /* node 0 answers nothing, node 1 all at once */
    for (unsigned i = 0; i < 1000; i++) {
        unsigned k = choose(nodes, 2, 1024, clock);

        gw_load_sent(&nodes[k], 1024, &clock);
        got[k]++;
        if (k == 1)
            gw_load_taken(&nodes[k], 1024);
    }
    assert_true(got[0] < 60);
}

static void test_balance_is_by_bytes(void **state)
{
    struct gw_load nodes[2] = {0};
    uint64_t clock = 0, bytes[2] = {0};

    /* every other message is large: alternating would give them all to one node */
    for (unsigned i = 0; i < 200; i++) {
        uint64_t size = i % 2 ? 1 << 20 : 1024;
        unsigned k = choose(nodes, 2, size, clock);

        gw_load_sent(&nodes[k], size, &clock);
        gw_load_taken(&nodes[k], size);
        bytes[k] += size;
    }
    assert_true(bytes[0] < 2 * bytes[1] && bytes[1] < 2 * bytes[0]);
}

static void test_balance_prefers_the_machine_with_idle_cpu(void **state)
{
    struct gw_load nodes[2] = {{.cpu = 100}, {.cpu = 0}};
    uint64_t took[2] = {MS, MS}, clock = 0;
    unsigned got[2];

    run(nodes, took, 2, 400, 1024, &clock, got);
    assert_in_range(got[0], 90, 110); /* a third of the other's */
}

static void test_balance_survives_any_figure(void **state)
{
    struct gw_load l = {.cpu = 1e30};
    uint64_t clock = 0;

    gw_load_answered(&l, 0, UINT64_MAX);
    gw_load_answered(&l, UINT64_MAX, 0);
    gw_load_taken(&l, 1 << 20); /* nothing was sent */
    assert_int_equal(l.outstanding, 0);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t before = clock;

        gw_load_sent(&l, 1u << 30, &clock);
        assert_true(clock >= before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_balance_is_even_among_equals),
                                       cmocka_unit_test(test_balance_gives_a_slow_node_less_and_never_nothing),
                                       cmocka_unit_test(test_balance_returns_to_a_node_that_is_quick_again),
                                       cmocka_unit_test(test_balance_counts_what_waits_before_any_answer),
                                       cmocka_unit_test(test_balance_is_by_bytes),
                                       cmocka_unit_test(test_balance_prefers_the_machine_with_idle_cpu),
                                       cmocka_unit_test(test_balance_survives_any_figure)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
