/* Two af_packet ports on the ends of a veth, in a network namespace of this process's own: big frames by the socket's queue, then
 * all of it again by the ring of big slots. Needs root: exit 77 without. */
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

#include "drivers/af_packet.h"
#include "drivers/packet_queue.h"
#include "frames.h"

#define BIG (44u * 1460)

static const uint8_t ip_a[4] = {10, 9, 0, 1}, ip_b[4] = {10, 9, 0, 2};
static struct pktio *a, *b;
static uint8_t bytes[65536];

static void run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

static int set_up(uint32_t queue_bytes)
{
    char err[256];
    struct af_packet_config ca = {
        .iface = "va", .ip4 = {10, 9, 0, 1}, .listen_port = 7070, .small_slots = 1, .big_slots = 30, .queue_bytes = queue_bytes};
    struct af_packet_config cb = {.iface = "vb",
                                  .ip4 = {10, 9, 0, 2},
                                  .listen_port = 7070,
                                  .dial_first = 20000,
                                  .dial_count = 16,
                                  .small_slots = 1,
                                  .big_slots = 30,
                                  .queue_bytes = queue_bytes};

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    a = af_packet_open(&ca, err);
    b = a ? af_packet_open(&cb, err) : NULL;
    if (!b)
        fprintf(stderr, "%s\n", err);
    return b ? 0 : -1;
}

static int set_up_queue(void **state)
{
    return set_up(8u << 20);
}

static int set_up_ring(void **state)
{
    return set_up(1);
}

static int tear_down(void **state)
{
    pktio_close(a);
    pktio_close(b);
    return 0;
}

static bool send_to_b(uint16_t port, uint32_t len, uint16_t gso)
{
    struct pktio_seg s;

    frame_make(&s, a->link.mac, b->link.mac, ip_a, ip_b, port, bytes, len, gso);
    return pktio_send(a, &s, 1) == 1;
}

static bool waits(struct pktio *io, int ms)
{
    struct pollfd p = {pktio_wait_fd(io, false), POLLIN, 0};

    return poll(&p, 1, ms) == 1;
}

static void test_af_packet_facts(void **state)
{
    assert_int_equal(a->link.mtu, 1500);
    assert_true(a->link.is_up && a->link.has_tx_csum && a->link.has_rx_csum && a->link.is_shared);
    assert_true(a->link.gso_max_bytes > 60000);
    assert_string_equal(a->text, a->link.keep_max ? "af_packet va mtu 1500 gso 62k, big frames by queue"
                                                  : "af_packet va mtu 1500 gso 62k, big frames by ring");
}

static void test_af_packet_carries_a_frame(void **state)
{
    struct pktio_frame f[8];

    assert_false(waits(b, 0));
    assert_true(send_to_b(7070, 1000, 0));
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, f, 8), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + 1000);
    assert_true(f[0].is_csum_ok);
    assert_memory_equal(f[0].data + FRAME_HEAD, bytes, 1000);
    pktio_recv_done(b);
    assert_false(waits(b, 0));
    assert_int_equal(pktio_recv(a, f, 8), 0); /* its own output does not come back */
    pktio_recv_done(a);
}

static void test_af_packet_carries_64k_as_one(void **state)
{
    struct pktio_frame f[8];

    assert_true(send_to_b(7070, BIG, 1460));
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, f, 8), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + BIG);
    assert_true(f[0].is_csum_ok);
    assert_memory_equal(f[0].data + FRAME_HEAD, bytes, BIG);
    pktio_recv_done(b);
    assert_false(waits(b, 0));
}

static void test_af_packet_ring_wraps(void **state)
{
    struct pktio_frame f[8];
    unsigned sent = 0, got = 0;

    while (sent < 1000) {
        for (unsigned i = 0; i < 11; i++)
            sent += send_to_b((uint16_t)(20000 + sent % 16), 1 + sent % 1400, 0);
        for (unsigned n; (n = pktio_recv(b, f, 8)) > 0; pktio_recv_done(b))
            for (unsigned i = 0; i < n; i++, got++)
                assert_int_equal(f[i].len, FRAME_HEAD + 1 + got % 1400);
        pktio_recv_done(b);
    }
    assert_int_equal(got, sent);
}

/* Small packets and big segments lie in two rings; they come out as they went in. */
static void test_af_packet_keeps_the_order(void **state)
{
    struct pktio_frame f[64];
    uint32_t want[600], got = 0;

    for (unsigned round = 0; round < 20; round++) {
        unsigned n = 0, at = 0;

        for (unsigned i = 0; i < 30; i++, n++) {
            want[n] = i % 3 == 0 ? 20000 + i + round : 1 + i;
            assert_true(send_to_b(7070, want[n], want[n] > 1460 ? 1460 : 0));
        }
        for (unsigned k; (k = pktio_recv(b, f, 7)) > 0; pktio_recv_done(b))
            for (unsigned i = 0; i < k; i++, got++)
                assert_int_equal(f[i].len, FRAME_HEAD + want[at++]);
        pktio_recv_done(b);
    }
    assert_int_equal(got, 600);
}

static void test_af_packet_counts_what_a_full_ring_drops(void **state)
{
    struct pktio_frame f[64];
    struct pktio_counters before, after;
    unsigned got = 0;

    pktio_counters_get(b, &before);
    for (unsigned i = 0; i < 1000; i++) /* a block of 1 MiB has 512 slots */
        send_to_b(7070, 100, 0);
    for (unsigned n; (n = pktio_recv(b, f, 64)) > 0; got += n)
        pktio_recv_done(b);
    pktio_recv_done(b);
    pktio_counters_get(b, &after);
    assert_int_equal(after.rx_dropped - before.rx_dropped, 1000 - got);
    assert_in_range(got, 512, 999);
    assert_true(send_to_b(7070, 100, 0)); /* and it goes on */
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, f, 64), 1);
    pktio_recv_done(b);
}

/* Keeps what may be kept of one frame of BIG bytes. */
static struct buf *keep_one(void)
{
    struct pktio_frame f;
    struct buf *kept;

    assert_true(send_to_b(7070, BIG, 1460));
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, &f, 1), 1);
    assert_int_equal(f.len, FRAME_HEAD + BIG);
    kept = f.buf ? buf_ref(f.buf) : NULL;
    pktio_recv_done(b);
    return kept;
}

static void test_af_packet_lends_big_frames_up_to_a_bound(void **state)
{
    static struct buf *kept[2 * PACKET_QUEUE_KEEP_BYTES / BIG];
    struct pktio_counters before, after;
    unsigned n = 0;

    pktio_counters_get(b, &before);
    while (n < sizeof(kept) / sizeof(kept[0]) && (kept[n] = keep_one()))
        n++;
    assert_int_equal(n, PACKET_QUEUE_KEEP_BYTES / (65536 + 64) + 1);
    assert_null(keep_one()); /* and it goes on */
    pktio_counters_get(b, &after);
    assert_int_equal(after.rx_unkept - before.rx_unkept, 2);
    assert_int_equal(after.rx_dropped, before.rx_dropped);
    while (n > 0) {
        assert_int_equal(kept[--n]->len, FRAME_HEAD + BIG);
        assert_memory_equal(kept[n]->data + FRAME_HEAD, bytes, BIG);
        buf_unref(kept[n]);
    }
    kept[0] = keep_one();
    assert_non_null(kept[0]);
    buf_unref(kept[0]);
}

/* To who asks for it: big TCP frames come by their headers, and the payload when it is asked for, in whatever mixture. */
static void test_af_packet_reads_payload_after_its_headers(void **state)
{
    struct pktio_frame f[16];
    struct pktio_counters before, after;
    struct buf *kept = NULL;
    unsigned n = 0;

    pktio_counters_get(b, &before);
    b->takes_late = true;
    for (unsigned i = 0; i < 6; i++)
        assert_true(send_to_b(7070, i % 3 ? BIG - i : 100, i % 3 ? 1460 : 0));
    for (unsigned tries = 0; n < 6 && tries < 100; tries++) {
        unsigned got;
        assert_true(waits(b, 1000));
        got = pktio_recv(b, f, 16);
        for (unsigned i = 0; i < got; i++) {
            assert_int_equal(f[i].is_late, (n + i) % 3 != 0);
            assert_memory_equal(f[i].data + FRAME_HEAD, bytes, f[i].is_late ? PKTIO_LATE_HERE - FRAME_HEAD : 100);
        }
        pktio_fill(b);
        for (unsigned i = 0; i < got; i++, n++) {
            uint32_t len = n % 3 ? BIG - n : 100;
            assert_int_equal(f[i].len, FRAME_HEAD + len);
            assert_memory_equal(f[i].data + FRAME_HEAD, bytes, len);
            if (n == 5)
                kept = buf_ref(f[i].buf);
        }
        pktio_recv_done(b); /* the queue may tell of a frame just before its slot does */
    }
    b->takes_late = false;
    assert_int_equal(n, 6);
    assert_memory_equal(kept->data + FRAME_HEAD, bytes, BIG - 5);
    buf_unref(kept);
    pktio_counters_get(b, &after);
    assert_int_equal(after.rx_truncated, before.rx_truncated);
    assert_int_equal(after.rx_zeroed, 0);
}

static void test_af_packet_counts_what_a_full_queue_drops(void **state)
{
    struct pktio_frame f[64];
    struct pktio_counters before, after;
    unsigned got = 0, sent = 0, small = 0;

    pktio_counters_get(b, &before);
    while (sent < 200) { /* of 64 KiB each, into 8 MiB */
        sent += send_to_b(7070, BIG, 1460);
        sent += send_to_b(7070, 7, 0);
    }
    for (unsigned n; (n = pktio_recv(b, f, 64)) > 0; pktio_recv_done(b))
        for (unsigned i = 0; i < n; i++) {
            got += f[i].len > 1514;
            small += f[i].len <= 1514;
        }
    pktio_recv_done(b);
    pktio_counters_get(b, &after);
    assert_int_equal(small, 100); /* they have room of their own */
    assert_int_equal(after.rx_dropped - before.rx_dropped, 100 - got);
    assert_int_equal(after.rx_truncated, before.rx_truncated);
    buf_unref(keep_one());
}

static void set_admin(bool may)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    data[0].effective = may ? data[0].permitted : data[0].permitted & ~(1u << CAP_NET_ADMIN);
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

/* Docker's default: what a process without CAP_NET_ADMIN may have of a queue is not enough. */
static void test_af_packet_has_a_ring_without_the_right_to_a_queue(void **state)
{
    struct af_packet_config c = {.iface = "va", .ip4 = {10, 9, 0, 1}, .listen_port = 7070, .small_slots = 1, .big_slots = 30, .queue_bytes = 1u << 30};
    struct pktio *port;
    char err[256];

    set_admin(false);
    port = af_packet_open(&c, err);
    set_admin(true);
    assert_non_null(port);
    assert_int_equal(port->link.keep_max, 0);
    pktio_close(port);
    port = af_packet_open(&c, err);
    assert_non_null(port);
    assert_true(port->link.keep_max > 0);
    pktio_close(port);
}

static void test_af_packet_filters(void **state)
{
    assert_true(send_to_b(7071, 100, 0));
    assert_true(send_to_b(20016, 100, 0));
    assert_false(waits(b, 50));
}

static void test_af_packet_drops_what_never_fits(void **state)
{
    struct pktio_counters c0, c;

    pktio_counters_get(a, &c0);
    assert_true(
        send_to_b(7070, 3000, 0)); /* over the MTU: taken and dropped, so that TCP does not wait for it */
    pktio_counters_get(a, &c);
    assert_int_equal(c.tx_dropped - c0.tx_dropped, 1);
}

/* The kernel tells a carrier's return up to a second late. */
static void wait_up(struct pktio *io)
{
    for (unsigned i = 0; i < 200 && !io->link.is_up; i++) {
        usleep(10000);
        pktio_refresh(io);
    }
    assert_true(io->link.is_up);
}

static void test_af_packet_link_goes_and_comes(void **state)
{
    struct pktio_frame f[8];

    run("ip link set va down");
    pktio_refresh(a);
    assert_false(a->link.is_up);
    assert_false(waits(a, 0)); /* an idle wait must not spin on the error */
    run("ip link set va up");
    wait_up(a);
    wait_up(b);
    assert_true(send_to_b(7070, 10, 0));
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, f, 8), 1);
    pktio_recv_done(b);
}

static void test_af_packet_survives_a_new_interface(void **state)
{
    struct pktio_frame f[8];

    run("ip link del va");
    pktio_refresh(a);
    pktio_refresh(b);
    assert_false(a->link.is_up);
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    wait_up(a);
    wait_up(b);
    for (unsigned n; (n = pktio_recv(b, f, 8)) > 0;) /* what was left over */
        pktio_recv_done(b);
    pktio_recv_done(b);
    assert_true(send_to_b(7070, 10, 0));
    assert_true(waits(b, 1000));
    assert_int_equal(pktio_recv(b, f, 8), 1);
    pktio_recv_done(b);
}

#define BOTH_WAYS \
    cmocka_unit_test(test_af_packet_facts), \
    cmocka_unit_test(test_af_packet_carries_a_frame), \
    cmocka_unit_test(test_af_packet_carries_64k_as_one), \
    cmocka_unit_test(test_af_packet_ring_wraps), \
    cmocka_unit_test(test_af_packet_keeps_the_order), \
    cmocka_unit_test(test_af_packet_counts_what_a_full_ring_drops), \
    cmocka_unit_test(test_af_packet_filters), \
    cmocka_unit_test(test_af_packet_drops_what_never_fits), \
    cmocka_unit_test(test_af_packet_link_goes_and_comes), \
    cmocka_unit_test(test_af_packet_survives_a_new_interface)

int main(void)
{
    const struct CMUnitTest by_queue[] = {
        BOTH_WAYS,
        cmocka_unit_test(test_af_packet_lends_big_frames_up_to_a_bound),
        cmocka_unit_test(test_af_packet_reads_payload_after_its_headers),
        cmocka_unit_test(test_af_packet_counts_what_a_full_queue_drops),
        cmocka_unit_test(test_af_packet_has_a_ring_without_the_right_to_a_queue),
    };
    const struct CMUnitTest by_ring[] = {BOTH_WAYS};

    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        fprintf(stderr, "skipped: needs root\n");
        return 77;
    }
    run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
    return cmocka_run_group_tests(by_queue, set_up_queue, tear_down) + cmocka_run_group_tests(by_ring, set_up_ring, tear_down);
}
