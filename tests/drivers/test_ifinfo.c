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

static const char inet6[] = "00000000000000000000000000000001 01 80 10 80       lo\n"
                            "fe8000000000000000000000000000aa 02 40 20 80     eth0\n"
                            "20010db8000000000000000000000bad 02 40 00 01     eth0\n"
                            "20010db80000000000000000000000aa 02 40 00 80     eth0\n"
                            "fd0000000000000000000000000000bb 02 30 00 80     eth0\n"
                            "20010db8000000000000000000000cc0 03 40 00 40     eth1\n";
static const char routes6[] =
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000100 00000001 00000000 00000003     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

static void test_inet6_finds_a_lasting_global_address(void **state)
{
    static const uint8_t want[16] = {0x20, 1, 0xd, 0xb8, [15] = 0xaa}, other[16] = {0xfd, [15] = 0xbb}, nowhere[16] = {0xfd};
    uint8_t ip[16], prefix;

    assert_true(ifinfo_parse_inet6(inet6, "eth0", NULL, ip, &prefix)); /* not of the link, not temporary */
    assert_memory_equal(ip, want, 16);
    assert_int_equal(prefix, 64);
    assert_true(ifinfo_parse_inet6(inet6, "eth0", other, ip, &prefix));
    assert_int_equal(prefix, 48);
    assert_false(ifinfo_parse_inet6(inet6, "eth0", nowhere, ip, &prefix));
    assert_false(ifinfo_parse_inet6(inet6, "eth1", NULL, ip, &prefix)); /* tentative */
    assert_false(ifinfo_parse_inet6(inet6, "lo", NULL, ip, &prefix));
    for (size_t len = 0; len < sizeof(inet6); len++) {
        char text[sizeof(inet6)];

        memcpy(text, inet6, len);
        text[len] = 0;
        if (ifinfo_parse_inet6(text, "eth0", NULL, ip, &prefix))
            assert_memory_equal(ip, want, 16);
    }
}

static void test_route6_finds_the_nearest_default(void **state)
{
    static const uint8_t want[16] = {0xfe, 0x80, [15] = 1};
    char eth0[IF_NAMESIZE] = "eth0", lo[IF_NAMESIZE] = "lo", any[IF_NAMESIZE] = "";
    uint8_t gw[16];

    assert_true(ifinfo_parse_route6(routes6, eth0, gw));
    assert_memory_equal(gw, want, 16);
    assert_false(ifinfo_parse_route6(routes6, lo, gw));
    memset(gw, 0, sizeof(gw));
    assert_true(ifinfo_parse_route6(routes6, any, gw));
    assert_string_equal(any, "eth0");
    assert_memory_equal(gw, want, 16);
    for (size_t len = 0; len < sizeof(routes6); len++) {
        char text[sizeof(routes6)];

        memcpy(text, routes6, len);
        text[len] = 0;
        ifinfo_parse_route6(text, eth0, gw);
    }
}

static void test_interface_by_ipv6_address(void **state)
{
    static const uint8_t loopback[16] = {[15] = 1}, nowhere[16] = {0xfd, [15] = 0xee};
    struct ifinfo info;
    char err[256];

    assert_int_equal(ifinfo_by_ip6(nowhere, &info, err), -1);
    assert_string_equal(err, "no interface carries fd00::ee");
    assert_int_equal(ifinfo_by_ip6(loopback, &info, err), -1); /* of the host alone, if it is there at all */
}

static void test_cidr6_parses(void **state)
{
    static const uint8_t want[16] = {0xfd, 0, [15] = 2};
    uint8_t ip[16], prefix;

    assert_int_equal(ifinfo_parse_cidr6("fd00::2/64", ip, &prefix), 0);
    assert_memory_equal(ip, want, 16);
    assert_int_equal(prefix, 64);
    assert_int_equal(ifinfo_parse_cidr6("fd00::2/129", ip, &prefix), -1);
    assert_int_equal(ifinfo_parse_cidr6("fd00::2", ip, &prefix), -1);
    assert_int_equal(ifinfo_parse_cidr6("10.0.0.1/8", ip, &prefix), -1);
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
        cmocka_unit_test(test_inet6_finds_a_lasting_global_address),
        cmocka_unit_test(test_route6_finds_the_nearest_default),
        cmocka_unit_test(test_interface_by_ipv6_address),
        cmocka_unit_test(test_cidr6_parses),
        cmocka_unit_test(test_cidr_parses),
        cmocka_unit_test(test_ifinfo_reads_loopback),
        cmocka_unit_test(test_ifinfo_names_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
