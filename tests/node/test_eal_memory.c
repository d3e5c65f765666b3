/* Without hugepages EAL's memory is what was asked for at the start: the mbufs of every queue must fit. */
#include "node/eal.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "testing.h"

#define QUEUES 6

static void pools_fit(uint32_t mbufs, uint16_t room)
{
    struct rte_mempool *pools[QUEUES];

    for (unsigned i = 0; i < QUEUES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "q%u_%u", i, room);
        pools[i] = rte_pktmbuf_pool_create(name, mbufs, 256, 64, room, SOCKET_ID_ANY);
        assert_non_null(pools[i]);
    }
    for (unsigned i = 0; i < QUEUES; i++)
        rte_mempool_free(pools[i]);
}

/* As ethdev.c makes them, at an MTU of 1500 and of 9000. */
static void test_memory_holds_the_mbufs_of_every_queue(void **state)
{
    struct eal_plan p = {.layout.lcores = 1, .lcores = "0@0,1@0", .nic_queues = QUEUES};
    char err[256];

    (void)state;
    sched_getaffinity(0, sizeof(p.control), &p.control);
    assert_int_equal(eal_start(&p, "test", false, err), 0);
    pools_fit(4096, RTE_MBUF_DEFAULT_BUF_SIZE);
    pools_fit(2048, 9000 + 64 + RTE_PKTMBUF_HEADROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory_holds_the_mbufs_of_every_queue)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
