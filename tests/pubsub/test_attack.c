/* Attacks on a small network, with the scores that a node has: the honest deliver everything and blame nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pubsub/attack.h"

static const struct attack_size small = {.honest = 12, .sybils = 24, .degree = 4, .sybil_links = 5, .takeover_s = 10,
                                         .messages = 20};

static struct attack_result survive(enum attack_kind kind, const struct attack_size *size)
{
    struct attack_result r = attack_run(kind, ATTACK_SCORED, size, 7);

    assert_true(r.wanted > 0);
    assert_int_equal(r.delivered, r.wanted);
    assert_int_equal(r.blamed, 0);
    return r;
}

static void test_attack_none_is_quick(void **state)
{
    assert_true(survive(ATTACK_NONE, &small).p99_ms < 500);
}

static void test_attack_graft_and_drop_is_outlived(void **state)
{
    assert_true(survive(ATTACK_DROP, &small).p99_ms < 1000);
}

static void test_attack_forgers_are_shut_out(void **state)
{
    struct attack_result r = survive(ATTACK_SPAM, &small);

    assert_true(r.shut_out > 0.95);
    assert_true(r.mesh_share < 0.05);
    assert_true(r.signature_checks_failed <= 10u * small.sybils * small.sybil_links); /* a few each, then silence */
}

static void test_attack_gossip_flood_is_shut_out(void **state)
{
    struct attack_result r = survive(ATTACK_GOSSIP, &small);

    assert_true(r.shut_out > 0.95);
    assert_true(r.p99_ms < 500);
}

static void test_attack_graft_flood_is_outlived(void **state)
{
    struct attack_result r = survive(ATTACK_GRAFTS, &small), off = attack_run(ATTACK_GRAFTS, ATTACK_UNSCORED, &small, 7);

    assert_true(off.shut_out == 0);
    assert_true(r.p99_ms < 1000);
}

static void test_attack_backoff_violation_is_no_way_in(void **state)
{
    survive(ATTACK_BACKOFF, &small);
}

static void test_attack_eclipse_of_one_does_not_cut_it_off(void **state)
{
    survive(ATTACK_ECLIPSE, &small);
}

/* The sybils were there first; opportunistic grafting lets the honest in at the latest after a minute. */
static void test_attack_cold_boot_is_overcome(void **state)
{
    struct attack_size size = small;

    size.takeover_s = 62;
    struct attack_result r = survive(ATTACK_COLD_BOOT, &size), off = attack_run(ATTACK_COLD_BOOT, ATTACK_UNSCORED, &size, 7);
    assert_true(r.mesh_share < off.mesh_share);
    assert_true(r.p50_ms < off.p50_ms);
}

static void test_attack_covert_flash_is_outlived(void **state)
{
    struct attack_size size = small;

    size.sybils = 16;
    size.sybil_links = 4;
    survive(ATTACK_FLASH, &size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attack_none_is_quick),
        cmocka_unit_test(test_attack_graft_and_drop_is_outlived),
        cmocka_unit_test(test_attack_forgers_are_shut_out),
        cmocka_unit_test(test_attack_gossip_flood_is_shut_out),
        cmocka_unit_test(test_attack_graft_flood_is_outlived),
        cmocka_unit_test(test_attack_backoff_violation_is_no_way_in),
        cmocka_unit_test(test_attack_eclipse_of_one_does_not_cut_it_off),
        cmocka_unit_test(test_attack_cold_boot_is_overcome),
        cmocka_unit_test(test_attack_covert_flash_is_outlived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
