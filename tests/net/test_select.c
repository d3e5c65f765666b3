/* NET_DRIVER=auto: the choice and its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "net/select.h"

static void test_select_takes_the_best_that_works(void **state)
{
    const struct {
        struct driver_facts f;
        enum net_driver want;
        const char *line;
    } t[] = {
        {{NULL, NULL, NULL}, NET_VFIO, "vfio: the NIC is ours alone"},
        {{"no port", NULL, NULL},
         NET_AF_XDP,
         "af_xdp: our ports are steered past the kernel; not vfio: no port"},
        {{"no port", "no rights", NULL},
         NET_AF_PACKET,
         "af_packet: a packet socket beside the kernel; not vfio: no port; not af_xdp: no rights"},
        {{"no port", "no rights", "no CAP_NET_RAW"},
         NET_KERNEL,
         "kernel: kernel sockets need no rights; not vfio: no port; not af_xdp: no rights; not af_packet: no "
         "CAP_NET_RAW"},
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char why[512];

        assert_int_equal(select_driver(&t[i].f, why), t[i].want);
        assert_string_equal(why, t[i].line);
    }
}

static void test_select_bounds_long_reasons(void **state)
{
    char longtext[300], why[512];
    struct driver_facts f = {longtext, longtext, longtext};

    memset(longtext, 'x', sizeof(longtext) - 1);
    longtext[sizeof(longtext) - 1] = 0;
    memset(why, 0, sizeof(why));
    assert_int_equal(select_driver(&f, why), NET_KERNEL);
    assert_true(strlen(why) < sizeof(why));
    assert_memory_equal(why, "kernel:", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select_takes_the_best_that_works),
        cmocka_unit_test(test_select_bounds_long_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
