#include "testing.h"

#include "net/port_watch.h"

#define S 1000000000ull

static struct port_watch fresh(void)
{
    return (struct port_watch){.is_up = true};
}

static void test_port_watch_says_each_thing_once(void **state)
{
    struct port_watch w = fresh();
    struct transport_stats s = {.packets_dropped_in = 3, .port = {.no_memory = 1}};

    assert_string_equal(port_watch_next(&w, &s, true, S), "out of packet memory");
    assert_non_null(strstr(port_watch_next(&w, &s, true, S), "receive ring"));
    assert_null(port_watch_next(&w, &s, true, S));
    for (unsigned i = 2; i < 60; i++) { /* it goes on, and is counted, not said */
        s.packets_dropped_in++;
        assert_null(port_watch_next(&w, &s, true, i * S));
    }
    assert_null(port_watch_next(&w, &s, true, 100 * S)); /* nothing new */
    s.packets_dropped_in++;
    assert_non_null(port_watch_next(&w, &s, true, 101 * S));
    assert_null(port_watch_next(&w, &s, true, 101 * S));
}

static void test_port_watch_has_a_line_for_each_count(void **state)
{
    struct port_watch w = fresh();
    struct transport_stats s = {.packets_dropped_out = 1, .tcp = {.neigh_moved = 1},
                                .port = {.zeroed = 1, .mac_changed = 1, .mtu_changed = 1, .neigh_denied = 1, .neigh_overruns = 1}};
    static const char *const want[] = {"could not be read", "refused", "interface has another MAC", "another MTU", "neighbour has another MAC",
                                     "denied", "missed"};

    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        assert_non_null(strstr(port_watch_next(&w, &s, true, S), want[i]));
    assert_null(port_watch_next(&w, &s, true, S));
    s.port.tx_full = 1; /* no trouble: sends wait for room all day */
    assert_null(port_watch_next(&w, &s, true, 2 * S));
}

static void test_port_watch_tells_down_from_gone(void **state)
{
    struct port_watch w = fresh();
    struct transport_stats s = {0};

    assert_null(port_watch_next(&w, &s, true, S));
    assert_string_equal(port_watch_next(&w, &s, false, S), "link is down");
    assert_null(port_watch_next(&w, &s, false, 2 * S));
    assert_string_equal(port_watch_next(&w, &s, true, 3 * S), "link is up");
    s.port.lost = 1;
    assert_string_equal(port_watch_next(&w, &s, false, 4 * S), "link is down");
    assert_non_null(strstr(port_watch_next(&w, &s, false, 4 * S), "gone"));
    assert_null(port_watch_next(&w, &s, false, 4 * S));
    s.port.unopened = 1;
    assert_non_null(strstr(port_watch_next(&w, &s, false, 4 * S), "cannot be opened"));
    assert_null(port_watch_next(&w, &s, false, 4 * S));
    s.port.found = 1;
    assert_string_equal(port_watch_next(&w, &s, true, 5 * S), "link is up");
    assert_non_null(strstr(port_watch_next(&w, &s, true, 5 * S), "open again"));
    assert_null(port_watch_next(&w, &s, true, 5 * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_watch_says_each_thing_once),
        cmocka_unit_test(test_port_watch_has_a_line_for_each_count),
        cmocka_unit_test(test_port_watch_tells_down_from_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
