/* eal_testing.h: DPDK's environment for tests of rings: no hugepages, no devices, one lcore
 * Owner:   the test program's main thread
 */
#ifndef TESTS_NODE_EAL_TESTING_H
#define TESTS_NODE_EAL_TESTING_H

#include <rte_eal.h>

#include "testing.h"

static int eal_for_tests(void **state)
{
    const char *argv[] = {"test", "-l", "0", "--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry",
                          "--log-level=*:error"};

    (void)state;
    return rte_eal_init((int)(sizeof(argv) / sizeof(*argv)), (char **)(uintptr_t)argv) < 0;
}

#endif
