/* Our memif port against DPDK's: a second opinion of the protocol, in either role. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/ethdev.h"
#include "drivers/memif_pvt.h"
#include "frames.h"

#define BIG 5000u

static const uint8_t ip_a[4] = {10, 9, 0, 1}, ip_b[4] = {10, 9, 0, 2};
static uint8_t bytes[65536];
static char dir[64], path[96];
static struct rte_mempool *pool;
static bool has_driver;

static uint16_t start_other(const char *role, unsigned id)
{
    struct rte_eth_conf conf = {0};
    char name[32], args[256], err[256];
    uint16_t port;

    snprintf(name, sizeof(name), "net_memif%u", id);
    snprintf(args, sizeof(args), "role=%s,id=%u,socket=%s,socket-abstract=no,rsize=8,mac=02:00:00:00:00:07", role, id, path);
    if (ethdev_create_vdev(name, args, &port, err) < 0)
        fail_msg("%s", err);
    assert_int_equal(rte_eth_dev_configure(port, 1, 1, &conf), 0);
    assert_int_equal(rte_eth_rx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL, pool), 0);
    assert_int_equal(rte_eth_tx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL), 0);
    assert_int_equal(rte_eth_dev_start(port), 0);
    return port;
}

static bool is_up(uint16_t port)
{
    struct rte_eth_link link;

    return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static void run(struct pktio *io)
{
    struct pktio_frame f[4];

    pktio_recv(io, f, 4);
    pktio_recv_done(io);
    usleep(200);
}

static void join(struct pktio *io, uint16_t port)
{
    for (unsigned i = 0; i < 20000 && !(memif_of(io)->is_up && is_up(port)); i++)
        run(io);
    assert_true(memif_of(io)->is_up && is_up(port));
}

static struct rte_mbuf *take(uint16_t port)
{
    struct rte_mbuf *m;

    for (unsigned i = 0; i < 20000; i++) {
        if (rte_eth_rx_burst(port, 0, &m, 1) == 1)
            return m;
        usleep(100);
    }
    fail();
    return NULL;
}

/* One frame of a chain of mbufs, as DPDK would send a large one. */
static void send_other(uint16_t port, const struct pktio_seg *s, uint32_t len)
{
    struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *m = head;

    memcpy(rte_pktmbuf_append(m, s->head_len), s->head, s->head_len);
    for (uint32_t at = 0; at < len;) {
        uint32_t room = rte_pktmbuf_tailroom(m), n = len - at < room ? len - at : room;

        if (n == 0) {
            m->next = rte_pktmbuf_alloc(pool);
            m = m->next;
            head->nb_segs++;
            continue;
        }
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), bytes + at, n);
        m->data_len = (uint16_t)(m->data_len + n);
        at += n;
    }
    head->pkt_len = s->head_len + len;
    assert_int_equal(rte_eth_tx_burst(port, 0, &head, 1), 1);
}

static void exchange(struct pktio *io, uint16_t port)
{
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
    static const uint32_t lens[] = {0, 1, 100, 255, 256, 1446, 1460, 3000, BIG};
    struct pktio_frame f[4];
    struct pktio_seg s;

    for (unsigned i = 0; i < 1000; i++) {
        uint32_t len = lens[i % (sizeof(lens) / sizeof(lens[0]))];
        struct rte_mbuf *m;
        unsigned n = 0;

        frame_make(&s, io->link.mac, mac, ip_a, ip_b, 7070, bytes, len, 0);
        for (unsigned k = 0; pktio_send(io, &s, 1) == 0; k++) { /* a client of theirs lends slots when it looks for frames */
            assert_true(k < 1000);
            assert_int_equal(rte_eth_rx_burst(port, 0, &m, 1), 0);
        }
        pktio_wait_fd(io, false);
        m = take(port);
        assert_int_equal(m->pkt_len, FRAME_HEAD + len);
        assert_true(m->nb_segs == 1 || len > 2000);
        assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), s.head, FRAME_HEAD);
        if (m->nb_segs == 1)
            assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, FRAME_HEAD), bytes, len);
        rte_pktmbuf_free(m);

        send_other(port, &s, len);
        for (unsigned k = 0; k < 20000 && n == 0; k++) {
            n = pktio_recv(io, f, 4);
            if (n == 0)
                pktio_recv_done(io);
        }
        assert_int_equal(n, 1);
        assert_int_equal(f[0].len + f[0].rest_len, FRAME_HEAD + len);
        assert_memory_equal(f[0].data, s.head, FRAME_HEAD);
        assert_memory_equal(f[0].rest ? f[0].rest : f[0].data + FRAME_HEAD, bytes, len);
        pktio_recv_done(io);
    }
}

static void test_memif_serves_dpdk(void **state)
{
    struct memif_config cfg = {.socket = path, .id = 5, .is_server = true, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 9000};
    char err[256] = "";
    struct pktio *io;
    uint16_t port;

    if (!has_driver)
        skip();
    io = memif_open(&cfg, err);
    assert_non_null(io);
    port = start_other("client", 5);
    join(io, port);
    exchange(io, port);
    rte_eth_dev_stop(port);
    for (unsigned i = 0; i < 20000 && memif_of(io)->is_up; i++) {
        pktio_refresh(io);
        run(io);
    }
    assert_int_equal(memif_of(io)->counters.lost, 1);
    assert_int_equal(memif_of(io)->counters.resets, 0);
    ethdev_remove_vdev(port);
    pktio_close(io);
}

static void test_memif_calls_dpdk(void **state)
{
    struct memif_config cfg = {.socket = path, .id = 6, .mac = {2, 0, 0, 0, 0, 1}, .mtu = 9000};
    char err[256] = "";
    struct pktio *io;
    uint16_t port;

    if (!has_driver)
        skip();
    port = start_other("server", 6);
    io = memif_open(&cfg, err);
    assert_non_null(io);
    join(io, port);
    exchange(io, port);
    pktio_close(io);
    for (unsigned i = 0; i < 20000 && is_up(port); i++)
        usleep(100);
    assert_false(is_up(port)); /* it heard our goodbye */
    rte_eth_dev_stop(port);
    ethdev_remove_vdev(port);
}

int main(void)
{
    const char *argv[] = {"test_memif_dpdk", "-l", "0", "--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=*:error"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memif_serves_dpdk),
        cmocka_unit_test(test_memif_calls_dpdk),
    };
    char err[256], args[256];
    uint16_t port;
    int rc;

    snprintf(dir, sizeof(dir), "/tmp/test_memif_dpdk.XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof(path), "%s/m.sock", dir);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), (char **)(uintptr_t)argv) < 0) {
        fprintf(stderr, "EAL did not start\n");
        return 1;
    }
    pool = rte_pktmbuf_pool_create("others", 2048, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    snprintf(args, sizeof(args), "role=client,id=99,socket=%s,socket-abstract=no", path);
    has_driver = pool && ethdev_create_vdev("net_memif99", args, &port, err) == 0;
    if (has_driver)
        ethdev_remove_vdev(port);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return rc;
}
