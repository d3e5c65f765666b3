#include "testing.h"

#include <arpa/inet.h>

#include "drivers/rss.h"

/* The examples of Microsoft's specification ("Verifying the RSS hash calculation"), whose destination is our end. */
static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
    const char *remote, *local;
    uint16_t remote_port, local_port;
    bool is_ip6;
    uint32_t with_ports, without;
} examples[] = {
    {"66.9.149.187", "161.142.100.80", 2794, 1766, false, 0x51ccc178, 0x323e8fc2},
    {"199.92.111.2", "65.69.140.83", 14230, 4739, false, 0xc626b0ea, 0xd718262a},
    {"24.19.198.95", "12.22.207.184", 12898, 38024, false, 0x5c2b394a, 0xd2d0a5de},
    {"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, true, 0x40207d3d, 0x2cc18cd5},
    {"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, true, 0xdde51bbf, 0x0f0c461c},
};

static struct pktio_flow flow_of(unsigned i)
{
    struct pktio_flow f = {.local_port = examples[i].local_port, .remote_port = examples[i].remote_port, .is_ip6 = examples[i].is_ip6};
    int family = f.is_ip6 ? AF_INET6 : AF_INET;

    assert_int_equal(inet_pton(family, examples[i].remote, f.remote), 1);
    assert_int_equal(inet_pton(family, examples[i].local, f.local), 1);
    return f;
}

/* The queue is the low bits of the hash: a table that counts up shows them. */
static void test_rss_queue_is_that_of_the_examples(void **state)
{
    for (unsigned i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct pktio_flow f = flow_of(i);
        struct rss r = {.table_size = 512, .has_ports4 = true, .has_ports6 = true};

        memcpy(r.key, key, sizeof(key));
        for (unsigned k = 0; k < 512; k++)
            r.table[k] = (uint16_t)k;
        assert_int_equal(rss_queue(&r, &f), examples[i].with_ports & 511);
        r.has_ports4 = r.has_ports6 = false;
        assert_int_equal(rss_queue(&r, &f), examples[i].without & 511);
    }
}

static void test_rss_hash_is_that_of_the_examples(void **state)
{
    const uint8_t data[] = {66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255};

    assert_int_equal(rss_toeplitz(key, data, 12), 0x51ccc178);
    assert_int_equal(rss_toeplitz(key, data, 8), 0x323e8fc2);
}

static void test_rss_without_a_table_is_queue_0(void **state)
{
    struct pktio_flow f = flow_of(0);
    struct rss r = {.has_ports4 = true};

    assert_int_equal(rss_queue(&r, &f), 0);
}

/* What a dial does: of 64 local ports about half land on each of two queues. */
static void test_rss_local_ports_reach_every_queue(void **state)
{
    struct pktio_flow f = flow_of(0);
    struct rss r = {.table_size = 128, .has_ports4 = true};
    unsigned hits[4] = {0};

    memcpy(r.key, key, sizeof(key));
    for (unsigned k = 0; k < 128; k++)
        r.table[k] = (uint16_t)(k % 4);
    for (f.local_port = 20000; f.local_port < 20064; f.local_port++)
        hits[rss_queue(&r, &f)]++;
    for (unsigned q = 0; q < 4; q++)
        assert_true(hits[q] >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rss_queue_is_that_of_the_examples),
        cmocka_unit_test(test_rss_hash_is_that_of_the_examples),
        cmocka_unit_test(test_rss_without_a_table_is_queue_0),
        cmocka_unit_test(test_rss_local_ports_reach_every_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
