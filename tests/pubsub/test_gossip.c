/* The core in a network: everyone gets every message once, whatever happens to links and nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pubsub/netsim.h"

#define TOPIC "demo"

static struct slice payload_of(uint8_t *space, size_t len, unsigned number)
{
    memset(space, 'a' + (int)(number % 26), len);
    memcpy(space, &number, sizeof(number) < len ? sizeof(number) : len);
    return slice_of(space, len);
}

static struct netsim *network(uint64_t seed, unsigned nodes, const struct netsim_link *link)
{
    struct netsim *s = netsim_new(seed, link);
    struct pubsub_config cfg = netsim_config(PUBSUB_GOSSIP);

    for (unsigned i = 0; i < nodes; i++)
        netsim_add(s, &cfg);
    return s;
}

static void subscribe_all(struct netsim *s, const char *topic)
{
    for (unsigned i = 0; i < netsim_nodes(s); i++)
        assert_int_equal(netsim_subscribe(s, i, topic), 0);
}

static void expect_once(struct netsim *s, unsigned n, struct slice payload, unsigned number)
{
    unsigned got = netsim_count(s, n, TOPIC, payload);

    if (got != 1)
        print_message("node %u got message %u %u times\n", n, number, got);
    assert_int_equal(got, 1);
}

static void test_mesh_everyone_gets_every_message_once(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 8, 20, 50};
    static uint8_t space[4096];

    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct netsim *s = network(k + 1, sizes[k], NULL);
        if (sizes[k] <= 20)
            netsim_connect_all(s, PUBSUB_MESHSUB_12);
        else
            netsim_connect_random(s, 5, PUBSUB_MESHSUB_12);
        subscribe_all(s, TOPIC);
        netsim_run(s, 3 * NETSIM_S);
        for (unsigned m = 0; m < 20; m++) {
            struct slice p = payload_of(space, 10 + m * 150, m);
            assert_int_equal(netsim_publish(s, m % sizes[k], TOPIC, p), 0);
            netsim_run(s, 50 * NETSIM_MS);
        }
        netsim_run(s, 5 * NETSIM_S);
        for (unsigned n = 0; n < sizes[k]; n++)
            for (unsigned m = 0; m < 20; m++)
                expect_once(s, n, payload_of(space, 10 + m * 150, m), m);
        netsim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_everyone_gets_every_message_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
