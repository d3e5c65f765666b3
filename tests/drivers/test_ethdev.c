/* DPDK ports without hugepages: net_ring looped back on itself, and (with root) a tap whose kernel end an af_packet port
 * holds. The tap is made in a network namespace of this process's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_eal.h>

#include "drivers/af_packet.h"
#include "drivers/ethdev_pvt.h"
#include "frames.h"

static const uint8_t ip_a[4] = {10, 9, 0, 1}, ip_b[4] = {10, 9, 0, 2};
static uint8_t bytes[65536];
static bool has_tap;

static struct pktio *open_ring_with(struct ethdev_config cfg)
{
    static unsigned made;
    char name[32];
    struct pktio *io;
    char err[256];

    snprintf(name, sizeof(name), "net_ring%u", made++); /* a name that is used again finds the old ring, and what was left in it */
    if (ethdev_create_vdev(name, "", &cfg.port_id, err) < 0)
        fail_msg("%s", err);
    io = ethdev_open(&cfg, err);
    if (!io)
        fail_msg("%s", err);
    return io;
}

static struct pktio *open_ring(uint32_t mbufs)
{
    return open_ring_with((struct ethdev_config){.mbufs = mbufs, .owns_device = true});
}

static void make(struct pktio_seg *s, const struct pktio *from, const uint8_t *dst, uint32_t len)
{
    frame_make(s, from->link.mac, dst, ip_a, ip_b, 7070, bytes, len, 0);
    s->csum_start = 0;
}

static void test_ethdev_ring_carries(void **state)
{
    struct pktio *io = open_ring(0);
    struct pktio_frame f[PKTIO_BURST];
    struct pktio_seg s;

    for (uint32_t i = 0; i < 1000; i++) {
        make(&s, io, io->link.mac, i);
        assert_int_equal(pktio_send(io, &s, 1), 1);
        assert_int_equal(pktio_recv(io, f, PKTIO_BURST), 1);
        assert_int_equal(f[0].len, FRAME_HEAD + i);
        assert_memory_equal(f[0].data + FRAME_HEAD, bytes, i);
        assert_non_null(f[0].buf);
        pktio_recv_done(io);
    }
    pktio_close(io);
}

static void test_ethdev_chains_long_segments(void **state)
{
    struct pktio *io = open_ring(0);
    struct pktio_frame f[1];
    struct pktio_counters c;
    struct pktio_seg s;

    make(&s, io, io->link.mac, 8000); /* five mbufs; the ring hands them back as they are */
    assert_int_equal(pktio_send(io, &s, 1), 1);
    assert_int_equal(pktio_recv(io, f, 1),
                     0); /* no single mbuf can hold it: counted, not handed up in parts */
    pktio_recv_done(io);
    pktio_counters_get(io, &c);
    assert_int_equal(c.rx_truncated, 1);
    assert_int_equal(c.tx_bytes, FRAME_HEAD + 8000);
    pktio_close(io);
}

static void test_ethdev_keeps_by_reference_up_to_a_bound(void **state)
{
    struct pktio *io = open_ring(1024);
    struct buf *kept[512];
    struct pktio_frame f[1];
    struct pktio_counters c;
    struct pktio_seg s;
    unsigned n = 0;

    assert_int_equal(io->link.keep_max, 512);
    for (uint32_t i = 0; i < 700; i++) {
        make(&s, io, io->link.mac, 1 + i);
        assert_int_equal(pktio_send(io, &s, 1), 1);
        assert_int_equal(pktio_recv(io, f, 1), 1);
        if (f[0].buf)
            kept[n++] = buf_ref(f[0].buf);
        pktio_recv_done(io);
    }
    assert_int_equal(n, 512);
    pktio_counters_get(io, &c);
    assert_int_equal(c.rx_unkept, 700 - 512);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(kept[i]->len, FRAME_HEAD + 1 + i);
        buf_unref(kept[i]);
    }
    pktio_close(io);
}

/* Sends to itself until no more is taken, then receives all of it, whereupon it takes more. Returns how many it took; *c is
 * of when it was full. */
static unsigned fill_and_drain(struct pktio *io, struct pktio_counters *c)
{
    struct pktio_frame f[PKTIO_BURST];
    struct pktio_seg s;
    unsigned sent = 0, got = 0;

    make(&s, io, io->link.mac, 10);
    while (pktio_send(io, &s, 1) == 1)
        assert_true(++sent < 5000);
    pktio_counters_get(io, c);
    assert_true(c->tx_full > 0);
    for (unsigned n; (n = pktio_recv(io, f, PKTIO_BURST)) > 0; got += n)
        pktio_recv_done(io);
    assert_int_equal(got, sent);
    assert_int_equal(pktio_send(io, &s, 1), 1);
    return sent;
}

static void test_ethdev_full_ring_takes_no_more(void **state)
{
    struct pktio *io = open_ring(0);
    struct pktio_counters c;

    assert_true(fill_and_drain(io, &c) > 500);
    assert_int_equal(c.no_memory, 0);
    pktio_close(io);
}

/* The pool empty before the ring is full: counted as what it is, and over when the frames are back. */
static void test_ethdev_out_of_mbufs_recovers(void **state)
{
    struct pktio *io = open_ring(256);
    struct pktio_counters c;
    unsigned sent = fill_and_drain(io, &c);

    assert_true(sent >= 128 && sent <= 256);
    assert_true(c.no_memory > 0);
    pktio_counters_get(io, &c);
    assert_int_equal(c.tx_dropped + c.rx_dropped, 0);
    pktio_close(io);
}

/* Of the device's four words about a checksum two are good: GOOD, and NONE, by which virtio means a sender of the same host. */
static void test_ethdev_believes_what_the_device_says_of_checksums(void **state)
{
    static const struct {
        uint64_t says;
        bool is_ok;
    } t[] = {{RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false}, {RTE_MBUF_F_RX_L4_CKSUM_BAD, false}, {RTE_MBUF_F_RX_L4_CKSUM_GOOD, true}, {RTE_MBUF_F_RX_L4_CKSUM_NONE, true}};
    struct pktio *io = open_ring(0);
    uint16_t port = ethdev_queue_of(io)->dev->port;
    struct pktio_frame f[1];
    struct rte_mbuf *m;
    struct pktio_seg s;

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        make(&s, io, io->link.mac, 100);
        assert_int_equal(pktio_send(io, &s, 1), 1);
        pktio_wait_fd(io, false);
        assert_int_equal(rte_eth_rx_burst(port, 0, &m, 1), 1);
        m->ol_flags = t[i].says;
        assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
        assert_int_equal(pktio_recv(io, f, 1), 1);
        assert_int_equal(f[0].is_csum_ok, t[i].is_ok);
        pktio_recv_done(io);
    }
    pktio_close(io);
}

/* ---- a tap ---- */

static bool waits(struct pktio *io, int ms)
{
    struct pollfd p = {pktio_wait_fd(io, false), POLLIN, 0};

    assert_true(p.fd >= 0);
    return poll(&p, 1, ms) == 1;
}

static unsigned recv_within(struct pktio *io, struct pktio_frame *f, unsigned cap, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        unsigned n = pktio_recv(io, f, cap);

        if (n > 0)
            return n;
        pktio_recv_done(io);
        usleep(1000);
    }
    return 0;
}

static void test_ethdev_tap_carries_both_ways(void **state)
{
    struct af_packet_config ac = {.iface = "nettap0",
                                  .ip4 = {10, 9, 0, 2},
                                  .listen_port = 7070,
                                  .small_slots = 1,
                                  .big_slots = 1,
                                  .gso_max_bytes = 1};
    const uint8_t mac[6] = {0x01, 2, 3, 4, 5, 6};
    struct pktio *tap, *packet;
    struct pktio_frame f[8];
    struct pktio_seg s;
    char err[256];

    if (!has_tap)
        skip();
    tap = ethdev_open_tap("nettap0", mac, &(struct ethdev_wishes){0}, err);
    if (!tap) {
        fail_msg("%s", err);
        return;
    }
    assert_int_equal(tap->link.mac[0], 2);
    assert_int_equal(tap->link.mtu, 1500);
    if (system("ip link set nettap0 up") != 0)
        fail_msg("ip link");
    packet = af_packet_open(&ac, err);
    if (!packet) {
        fail_msg("%s", err);
        return;
    }

    /* Out of the tap, the port finishing the checksum when it says that it can. */
    frame_make(&s, tap->link.mac, packet->link.mac, ip_a, ip_b, 7070, bytes, 1000, 0);
    if (!tap->link.has_tx_csum)
        s.csum_start = 0;
    assert_int_equal(pktio_send(tap, &s, 1), 1);
    assert_true(pktio_wait_fd(tap, false) >= 0);
    assert_int_equal(recv_within(packet, f, 8, 1000), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + 1000);
    assert_memory_equal(f[0].data + FRAME_HEAD, bytes, 1000);
    if (tap->link.has_tx_csum) {
        uint8_t pseudo[12] = {10, 9, 0, 1, 10, 9, 0, 2, 0, 6, 1020 >> 8, 1020 & 255};

        assert_int_equal(sum16(sum16(0, pseudo, 12), f[0].data + 34, 1020), 0xffff);
    }
    pktio_recv_done(packet);

    /* Into the tap, woken by its descriptor. What the kernel itself had to say (IPv6) is taken first. */
    while (recv_within(tap, f, 8, 50) > 0)
        pktio_recv_done(tap);
    frame_make(&s, packet->link.mac, tap->link.mac, ip_b, ip_a, 7070, bytes, 500, 0);
    assert_int_equal(pktio_send(packet, &s, 1), 1);
    assert_true(waits(tap, 1000));
    assert_int_equal(recv_within(tap, f, 8, 1000), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + 500);
    assert_memory_equal(f[0].data + FRAME_HEAD, bytes, 500);
    pktio_recv_done(tap);
    pktio_close(packet);
    pktio_close(tap);
    assert_true(system("ip link show nettap0 >/dev/null 2>&1") != 0); /* nothing is left behind */
}

/* Lost when its interface is deleted, and made anew: frames flow again, and each step is counted. */
static void test_ethdev_tap_deleted_comes_back(void **state)
{
    const uint8_t mac[6] = {0x01, 2, 3, 4, 5, 7};
    struct ethdev_wishes none = {0};
    struct pktio_counters c;
    struct pktio_frame f[8];
    struct pktio_seg s;
    struct pktio *tap;
    char err[256];

    if (!has_tap)
        skip();
    tap = ethdev_open_tap("nettap1", mac, &none, err);
    assert_non_null(tap);
    make(&s, tap, tap->link.mac, 100);
    assert_int_equal(system("ip link set nettap1 up"), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pktio_send(tap, &s, 1), 1);
        assert_int_equal(system("ip link del nettap1"), 0);
        pktio_recv(tap, f, 8); /* what waited finds nobody */
        pktio_recv_done(tap);
        for (unsigned n = 0; n < 100 && if_nametoindex("nettap1") == 0; n++) {
            pktio_refresh(tap);
            assert_int_equal(pktio_send(tap, &s, 1), 1); /* like a cable that is out */
            pktio_recv(tap, f, 8);
            pktio_recv_done(tap);
        }
        pktio_counters_get(tap, &c);
        assert_int_equal(c.lost, i + 1);
        assert_int_equal(c.found, i + 1);
        assert_true(c.tx_dropped > i);
        assert_int_equal(system("ip link set nettap1 up"), 0);
        pktio_refresh(tap);
        assert_true(tap->link.is_up);
    }

    /* Without the right to make one (RUN_AS_USER) it stays lost, and that is counted. */
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2], few[2];
    assert_int_equal(syscall(SYS_capget, &head, all), 0);
    memcpy(few, all, sizeof(few));
    few[0].effective = few[1].effective = 0;
    assert_int_equal(system("ip link del nettap1"), 0);
    assert_int_equal(syscall(SYS_capset, &head, few), 0);
    for (unsigned i = 0; i < 3; i++)
        pktio_refresh(tap);
    pktio_counters_get(tap, &c);
    assert_int_equal(c.lost, 4);
    assert_int_equal(c.found, 3);
    assert_true(c.unopened >= 1);
    assert_int_equal(syscall(SYS_capset, &head, all), 0);
    for (unsigned n = 0; n < 100 && if_nametoindex("nettap1") == 0; n++)
        pktio_refresh(tap);
    pktio_counters_get(tap, &c);
    assert_int_equal(c.found, 4);
    pktio_close(tap);
    assert_int_equal(if_nametoindex("nettap1"), 0);
}

/* ---- a VLAN, and trouble, on net_ring ---- */

static void test_ethdev_vlan_tags_and_strips(void **state)
{
    struct pktio *io = open_ring_with((struct ethdev_config){.vlan = 0x123, .owns_device = true});
    uint16_t port = ethdev_queue_of(io)->dev->port;
    struct rte_mbuf *m;
    struct pktio_counters c;
    struct pktio_frame f[4];
    struct pktio_seg s;

    make(&s, io, io->link.mac, 333);
    assert_int_equal(pktio_send(io, &s, 1), 1);
    pktio_wait_fd(io, false);
    assert_int_equal(rte_eth_rx_burst(port, 0, &m, 1), 1); /* as it is on the wire */
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    assert_int_equal(m->pkt_len, FRAME_HEAD + 4 + 333);
    assert_memory_equal(p, s.head, 12);
    assert_memory_equal(p + 12, "\x81\x00\x01\x23\x08\x00", 6);
    assert_memory_equal(p + FRAME_HEAD + 4, bytes, 333);
    assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
    assert_int_equal(pktio_recv(io, f, 4), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + 333);
    assert_memory_equal(f[0].data, s.head, s.head_len);
    assert_memory_equal(f[0].data + FRAME_HEAD, bytes, 333);
    pktio_recv_done(io);

    for (unsigned vlan = 0; vlan < 3; vlan++) { /* of others, or of none */
        assert_int_equal(pktio_send(io, &s, 1), 1);
        pktio_wait_fd(io, false);
        assert_int_equal(rte_eth_rx_burst(port, 0, &m, 1), 1);
        rte_pktmbuf_mtod(m, uint8_t *)[vlan == 0 ? 15 : vlan == 1 ? 14 : 12] ^= 1;
        assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
        assert_int_equal(pktio_recv(io, f, 4), 0);
        pktio_recv_done(io);
        pktio_counters_get(io, &c);
        assert_int_equal(c.rx_foreign, vlan + 1);
    }
    pktio_close(io);
}

static void test_ethdev_reset_starts_anew(void **state)
{
    struct pktio *io = open_ring(0);
    struct ethdev *e = ethdev_queue_of(io)->dev;
    struct pktio_counters c;
    struct pktio_frame f[4];
    struct pktio_seg s;
    struct buf *kept;

    make(&s, io, io->link.mac, 50);
    assert_int_equal(pktio_send(io, &s, 1), 1);
    assert_int_equal(pktio_recv(io, f, 4), 1);
    kept = buf_ref(f[0].buf);
    pktio_recv_done(io);
    ethdev_tell(e, ETHDEV_EVENT_RESET);
    pktio_refresh(io);
    pktio_counters_get(io, &c);
    assert_int_equal(c.resets, 1);
    assert_int_equal(c.lost, 0);
    assert_true(io->link.is_up);
    assert_memory_equal(kept->data + FRAME_HEAD, bytes, 50); /* what was kept outlives it */
    buf_unref(kept);
    assert_int_equal(pktio_send(io, &s, 1), 1);
    assert_int_equal(pktio_recv(io, f, 4), 1);
    pktio_recv_done(io);

    ethdev_tell(e, ETHDEV_EVENT_REMOVED); /* and a device that nobody can make again stays lost, quietly */
    for (unsigned i = 0; i < 3; i++) {
        pktio_refresh(io);
        assert_false(io->link.is_up);
        assert_int_equal(pktio_send(io, &s, 1), 1);
        assert_int_equal(pktio_recv(io, f, 4), 0);
        pktio_recv_done(io);
        assert_int_equal(pktio_wait_fd(io, true), -1);
    }
    pktio_counters_get(io, &c);
    assert_int_equal(c.lost, 1);
    assert_int_equal(c.found, 0);
    assert_int_equal(c.tx_dropped, 3);
    pktio_close(io);
}

static void test_ethdev_names_what_fails(void **state)
{
    char err[256] = "";
    uint16_t port;

    assert_int_equal(ethdev_create_vdev("net_nosuch0", "", &port, err), -1);
    assert_non_null(strstr(err, "net_nosuch0"));
    assert_null(ethdev_open(&(struct ethdev_config){.port_id = 31}, err));
    assert_non_null(strstr(err, "31"));
}

int main(void)
{
    const char *argv[] = {"test_ethdev", "-l",       "0",           "--no-huge",      "-m",
                          "64",          "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=*:error"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ethdev_ring_carries),
        cmocka_unit_test(test_ethdev_chains_long_segments),
        cmocka_unit_test(test_ethdev_keeps_by_reference_up_to_a_bound),
        cmocka_unit_test(test_ethdev_full_ring_takes_no_more),
        cmocka_unit_test(test_ethdev_out_of_mbufs_recovers),
        cmocka_unit_test(test_ethdev_believes_what_the_device_says_of_checksums),
        cmocka_unit_test(test_ethdev_tap_carries_both_ways),
        cmocka_unit_test(test_ethdev_tap_deleted_comes_back),
        cmocka_unit_test(test_ethdev_vlan_tags_and_strips),
        cmocka_unit_test(test_ethdev_reset_starts_anew),
        cmocka_unit_test(test_ethdev_names_what_fails),
    };
    int rc;

    has_tap = geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 && unshare(CLONE_NEWNET) == 0;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    if (rte_eal_init(sizeof(argv) / sizeof(argv[0]), (char **)(uintptr_t)argv) < 0) {
        fprintf(stderr, "EAL did not start\n");
        return 1;
    }
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rte_eal_cleanup();
    return rc;
}
