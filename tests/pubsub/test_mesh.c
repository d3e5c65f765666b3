#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/mesh.h"

static void test_mesh_params_obey_the_spec(void **state)
{
    static const struct {
        unsigned target, min, max, out;
        struct mesh_params want;
    } tests[] = {
        {0, 0, 0, 0, {6, 4, 12, 2, .25}},  {6, 4, 12, 2, {6, 4, 12, 2, .25}}, {2, 4, 1, 2, {2, 2, 2, 1, .25}},
        {1, 1, 1, 1, {1, 1, 1, 0, .25}},   {8, 6, 12, 9, {8, 6, 12, 4, .25}}, {3, 3, 3, 3, {3, 3, 3, 1, .25}},
    };

    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct mesh_params p = mesh_params_of(tests[i].target, tests[i].min, tests[i].max, tests[i].out);
        const struct mesh_params *want = &tests[i].want;
        assert_true(p.d == want->d && p.lo == want->lo && p.hi == want->hi && p.out == want->out);
        assert_true(p.gossip_factor == want->gossip_factor);
    }
}

static void test_mesh_median_is_the_middle_score(void **state)
{
    struct mesh_candidate c[] = {{.score = 4}, {.score = -1}, {.score = 9}, {.score = 0}, {.score = 2}};

    assert_true(mesh_median(c, 1) == 4);
    assert_true(mesh_median(c, 5) == 2);
    assert_true(c[0].score == 9 && c[4].score == -1);
    assert_true(mesh_median(c, 4) == 4); /* of 9, 4, 2, 0 the better of the two in the middle */
}

/* The kept D hold the best four, and Dout outbound ones whenever there are as many. */
static void test_mesh_order_keeps_best_and_outbound(void **state)
{
    struct mesh_params p = mesh_params_of(6, 4, 12, 2);
    struct rng rng;

    rng_init_seeded(&rng, 3);
    for (int round = 0; round < 2000; round++) {
        struct mesh_candidate c[20];
        unsigned n = 7 + (unsigned)rng_below(&rng, 14), all_out = 0, kept_out = 0, best_in = 0;
        for (unsigned i = 0; i < n; i++) {
            c[i] = (struct mesh_candidate){.score = (double)i, .is_outbound = rng_below(&rng, 8) == 0};
            all_out += c[i].is_outbound;
        }
        mesh_order_kept(c, n, &p, &rng);
        for (unsigned i = 0; i < p.d; i++) {
            kept_out += c[i].is_outbound;
            best_in += c[i].score >= n - 4;
        }
        assert_true(kept_out >= (all_out < p.out ? all_out : p.out));
        assert_int_equal(best_in, 4); /* D - Dout places are enough for them */
    }
}

static void test_mesh_order_takes_the_rest_at_random(void **state)
{
    struct mesh_params p = mesh_params_of(6, 4, 12, 2);
    unsigned kept[16] = {0};
    struct rng rng;

    rng_init_seeded(&rng, 4);
    for (int round = 0; round < 1600; round++) {
        struct mesh_candidate c[16];
        for (unsigned i = 0; i < 16; i++)
            c[i] = (struct mesh_candidate){.link = &kept[i]};
        mesh_order_kept(c, 16, &p, &rng);
        for (unsigned i = 0; i < p.d; i++)
            ++*(unsigned *)c[i].link;
    }
    for (unsigned i = 0; i < 16; i++) /* 600 each are expected */
        assert_in_range(kept[i], 450, 750);
}

static void test_mesh_pick_is_without_repeats(void **state)
{
    struct mesh_candidate c[10];
    struct rng rng;
    double sum = 0;

    rng_init_seeded(&rng, 5);
    for (unsigned i = 0; i < 10; i++)
        c[i] = (struct mesh_candidate){.score = 1u << i};
    assert_int_equal(mesh_pick(c, 10, 4, &rng), 4);
    for (unsigned i = 0; i < 10; i++)
        sum += c[i].score;
    assert_true(sum == 1023);
    assert_int_equal(mesh_pick(c, 3, 4, &rng), 3);
    assert_int_equal(mesh_pick(c, 0, 4, &rng), 0);
}

static void test_mesh_room_and_gossip_targets(void **state)
{
    struct mesh_params p = mesh_params_of(6, 4, 12, 2);

    assert_true(mesh_has_room(&p, 11, false));
    assert_false(mesh_has_room(&p, 12, false));
    assert_true(mesh_has_room(&p, 12, true));
    assert_int_equal(mesh_gossip_targets(&p, 3), 3);
    assert_int_equal(mesh_gossip_targets(&p, 10), 6);
    assert_int_equal(mesh_gossip_targets(&p, 100), 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_params_obey_the_spec),
        cmocka_unit_test(test_mesh_median_is_the_middle_score),
        cmocka_unit_test(test_mesh_order_keeps_best_and_outbound),
        cmocka_unit_test(test_mesh_order_takes_the_rest_at_random),
        cmocka_unit_test(test_mesh_pick_is_without_repeats),
        cmocka_unit_test(test_mesh_room_and_gossip_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
