/* Interface facts: parsing on canned text, and what this machine says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "drivers/ifinfo.h"

static const char routes[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    "eth0\t00000000\t01001CAC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "wg0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n";

static void test_route_finds_the_default(void **state)
{
    char name[IF_NAMESIZE] = "";
    uint8_t gw[4];
    const uint8_t want[4] = {172, 28, 0, 1}, none[4] = {0};

    assert_true(ifinfo_parse_route(routes, name, gw));
    assert_string_equal(name, "eth0");
    assert_memory_equal(gw, want, 4);
    strcpy(name, "wg0");
    assert_true(ifinfo_parse_route(routes, name, gw));
    assert_memory_equal(gw, none, 4);
    strcpy(name, "eth1");
    assert_false(ifinfo_parse_route(routes, name, gw));
}

static void test_route_survives_truncation(void **state)
{
    for (size_t len = 0; len < sizeof(routes); len++) {
        char text[sizeof(routes)], name[IF_NAMESIZE] = "";
        uint8_t gw[4];

        memcpy(text, routes, len);
        text[len] = 0;
        if (ifinfo_parse_route(text, name, gw))
            assert_true(strcmp(name, "eth0") == 0);
    }
}

static void test_cidr_parses(void **state)
{
    const struct {
        const char *text;
        int rc;
        uint8_t ip[4], prefix;
    } t[] = {
        {"172.28.0.12/16", 0, {172, 28, 0, 12}, 16},
        {"10.0.0.1/32", 0, {10, 0, 0, 1}, 32},
        {"10.0.0.1/0", 0, {10, 0, 0, 1}, 0},
        {"10.0.0.1", -1, {0}, 0},
        {"10.0.0.1/33", -1, {0}, 0},
        {"10.0.0.1/", -1, {0}, 0},
        {"10.0.0/8", -1, {0}, 0},
        {"10.0.0.1/-1", -1, {0}, 0},
        {"10.0.0.1/8x", -1, {0}, 0},
        {"", -1, {0}, 0},
        {"1000.1000.1000.1000.1000.1000.1000.1000/8", -1, {0}, 0},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint8_t ip[4], prefix;

        if (ifinfo_parse_cidr4(t[i].text, ip, &prefix) != t[i].rc)
            fail_msg("\"%s\"", t[i].text);
        if (t[i].rc == 0) {
            assert_memory_equal(ip, t[i].ip, 4);
            assert_int_equal(prefix, t[i].prefix);
        }
    }
}

static void test_ifinfo_reads_loopback(void **state)
{
    const uint8_t ip[4] = {127, 0, 0, 1};
    struct ifinfo info;
    char err[256];

    if (ifinfo_by_ip4(ip, &info, err) < 0)
        skip(); /* a sandbox without a loopback */
    assert_string_equal(info.name, "lo");
    assert_true(info.is_loopback);
    assert_int_equal(info.ip4_prefix, 8);
    assert_int_equal(ifinfo_get("lo", &info, err), 0);
    assert_true(info.mtu >= 1500);
}

static void test_ifinfo_names_what_is_missing(void **state)
{
    struct ifinfo info;
    char err[256] = "";

    assert_int_equal(ifinfo_get("nosuch0", &info, err), -1);
    assert_non_null(strstr(err, "nosuch0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_finds_the_default),
        cmocka_unit_test(test_route_survives_truncation),
        cmocka_unit_test(test_cidr_parses),
        cmocka_unit_test(test_ifinfo_reads_loopback),
        cmocka_unit_test(test_ifinfo_names_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
