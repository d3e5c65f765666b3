/* test_layout.c: lcores by CPUs and by wish */
#include "testing.h"

#include <stdio.h>

#include "node/eal.h"
#include "node/layout.h"

static void test_layout_fits_the_cpus(void **state)
{
    static const struct {
        unsigned ncpus, net_max;
        struct layout want;
    } t[] = {
        {1, 16, {1, 1, 1, false}}, {2, 16, {1, 1, 1, false}},  {3, 16, {1, 1, 1, false}},  {4, 16, {1, 1, 2, true}},
        {7, 16, {1, 1, 2, true}},  {8, 16, {2, 1, 3, true}},   {12, 16, {3, 1, 4, true}},  {16, 16, {4, 2, 6, true}},
        {96, 16, {4, 2, 6, true}}, {16, 1, {1, 2, 3, true}},   {8, 1, {1, 1, 2, true}},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct layout_wish none = {0};
        struct layout l;
        char err[256];
        assert_int_equal(layout_make(&l, t[i].ncpus, &none, t[i].net_max, err), 0);
        if (l.net != t[i].want.net || l.coding != t[i].want.coding || l.lcores != t[i].want.lcores || l.is_pinned != t[i].want.is_pinned)
            fail_msg("%u CPUs: net %u coding %u lcores %u pinned %d", t[i].ncpus, l.net, l.coding, l.lcores, l.is_pinned);
    }
}

static void test_layout_follows_wishes(void **state)
{
    static const struct {
        unsigned ncpus;
        struct layout_wish w;
        struct layout want;
    } t[] = {
        {16, {.lcores = 1}, {1, 1, 1, true}},
        {1, {.lcores = 2}, {1, 1, 2, false}},
        {2, {.net = 2, .coding = 1}, {2, 1, 3, false}},
        {2, {.net = 2, .coding = 2}, {2, 2, 4, false}},
        {2, {.net = 1}, {1, 1, 2, false}},
        {2, {.coding = 1}, {1, 1, 2, false}},
        {4, {.net = 3}, {3, 1, 4, false}}, /* no CPU would be left for control */
        {5, {.net = 3}, {3, 1, 4, true}},
        {64, {.net = 16, .coding = 8}, {16, 8, 24, true}},
        {16, {.lcores = 2, .net = 1, .coding = 1}, {1, 1, 2, true}},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct layout l;
        char err[256];
        assert_int_equal(layout_make(&l, t[i].ncpus, &t[i].w, 16, err), 0);
        if (l.net != t[i].want.net || l.coding != t[i].want.coding || l.lcores != t[i].want.lcores || l.is_pinned != t[i].want.is_pinned)
            fail_msg("case %zu: net %u coding %u lcores %u pinned %d", i, l.net, l.coding, l.lcores, l.is_pinned);
    }
}

static void test_layout_refuses_what_cannot_be(void **state)
{
    static const struct {
        struct layout_wish w;
        unsigned net_max;
        const char *says;
    } t[] = {
        {{.lcores = 1, .net = 2}, 16, "--lcores"}, {{.lcores = 2, .coding = 2}, 16, "--lcores"}, {{.lcores = 3}, 16, "--lcores"},
        {{.net = 17}, 32, "at most 16 net"},       {{.coding = 9}, 16, "8 coding"},               {{.net = 2}, 1, "NET_DRIVER"},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct layout l;
        char err[256] = "";
        assert_int_equal(layout_make(&l, 8, &t[i].w, t[i].net_max, err), -1);
        if (!strstr(err, t[i].says))
            fail_msg("case %zu: %s", i, err);
    }
}

static void cpus(cpu_set_t *set, unsigned n)
{
    CPU_ZERO(set);
    for (unsigned i = 0; i < n; i++)
        CPU_SET(i, set);
}

/* EAL's main lcore floats over all; workers are pinned to the last CPUs or float as well. */
static void test_layout_becomes_eals(void **state)
{
    static const struct {
        unsigned ncpus;
        struct layout_wish w;
        const char *lcores;
        unsigned control;
    } t[] = {
        {1, {0}, "0@(0),1@(0)", 1},
        {2, {0}, "0@(0,1),1@(0,1)", 2},
        {2, {.net = 2}, "0@(0,1),1@(0,1),2@(0,1),3@(0,1)", 2},
        {4, {0}, "0@(0,1,2,3),1@3,2@2", 2},
        {4, {.lcores = 1}, "0@(0,1,2,3),1@3", 3},
        {8, {0}, "0@(0,1,2,3,4,5,6,7),1@7,2@6,3@5", 5},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct eal_plan p;
        cpu_set_t all;
        char err[256];
        cpus(&all, t[i].ncpus);
        assert_int_equal(eal_plan_make(&p, &all, &t[i].w, 16, err), 0);
        assert_string_equal(p.lcores, t[i].lcores);
        assert_int_equal(CPU_COUNT(&p.control), t[i].control);
        assert_int_equal(p.ncpus, t[i].ncpus);
    }
}

/* The longest text that can be: the most lcores, floating over many CPUs. */
static void test_layout_of_many_floating_lcores_is_whole(void **state)
{
    struct layout_wish w = {.net = 16, .coding = 8};
    struct eal_plan p;
    cpu_set_t all;
    char err[256];

    cpus(&all, 24);
    assert_int_equal(eal_plan_make(&p, &all, &w, 16, err), 0);
    assert_non_null(strstr(p.lcores, ",24@("));
    assert_int_equal(p.lcores[strlen(p.lcores) - 1], ')');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_fits_the_cpus),
        cmocka_unit_test(test_layout_follows_wishes),
        cmocka_unit_test(test_layout_refuses_what_cannot_be),
        cmocka_unit_test(test_layout_becomes_eals),
        cmocka_unit_test(test_layout_of_many_floating_lcores_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
