/* The memory cable: order, addressing, limits, seeded loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/mempair.h"
#include "frames.h"

static const uint8_t ip_a[4] = {10, 0, 0, 1}, ip_b[4] = {10, 0, 0, 2};
static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

static unsigned send_one(struct pktio *from, const uint8_t *dst, const uint8_t *payload, uint32_t len,
                         uint16_t gso)
{
    struct pktio_seg s;

    frame_make(&s, from->link.mac, dst, ip_a, ip_b, 7070, payload, len, gso);
    return pktio_send(from, &s, 1);
}

static void test_mempair_carries_in_order(void **state)
{
    struct mempair *m = mempair_new(&(struct mempair_config){.has_csum = true});
    struct pktio *a = mempair_port(m, 0), *b = mempair_port(m, 1);
    struct pktio_frame f[PKTIO_BURST];

    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(send_one(a, b->link.mac, &i, 1, 0), 1);
    for (uint8_t at = 0; at < 100;) {
        unsigned n = pktio_recv(b, f, 7);

        assert_true(n > 0 && n <= 7);
        for (unsigned i = 0; i < n; i++, at++) {
            assert_int_equal(f[i].len, FRAME_HEAD + 1);
            assert_int_equal(f[i].data[FRAME_HEAD], at);
            assert_true(f[i].is_csum_ok);
        }
        pktio_recv_done(b);
    }
    assert_int_equal(pktio_recv(b, f, 7), 0);
    pktio_recv_done(b);
    assert_int_equal(pktio_recv(a, f, 7), 0);
    pktio_recv_done(a);
    mempair_free(m);
}

static void test_mempair_addresses(void **state)
{
    struct mempair *m = mempair_new(&(struct mempair_config){.ports = 4, .has_csum = true});
    struct pktio *p[4];
    struct pktio_frame f[4];
    uint8_t x = 1;

    for (unsigned i = 0; i < 4; i++)
        p[i] = mempair_port(m, i);
    send_one(p[0], p[2]->link.mac, &x, 1, 0);
    send_one(p[0], broadcast, &x, 1, 0);
    const unsigned want[4] = {0, 1, 2, 1};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pktio_recv(p[i], f, 4), want[i]);
        pktio_recv_done(p[i]);
    }
    mempair_free(m);
}

static void test_mempair_keeps_by_reference(void **state)
{
    struct mempair *m = mempair_new(&(struct mempair_config){.has_csum = true});
    struct pktio *a = mempair_port(m, 0), *b = mempair_port(m, 1);
    struct pktio_frame f[1];
    uint8_t x = 42;

    send_one(a, b->link.mac, &x, 1, 0);
    assert_int_equal(pktio_recv(b, f, 1), 1);
    struct buf *kept = buf_ref(f[0].buf);
    pktio_recv_done(b);
    pktio_close(b);
    mempair_free(m);
    assert_int_equal(kept->data[FRAME_HEAD], 42);
    buf_unref(kept);
}

static void test_mempair_refuses_what_a_port_would(void **state)
{
    struct mempair *m = mempair_new(&(struct mempair_config){.gso_max_bytes = 40000});
    struct pktio *a = mempair_port(m, 0), *b = mempair_port(m, 1);
    static uint8_t big[50000];
    struct pktio_frame f[8];
    struct pktio_counters c;
    struct pktio_seg s;

    send_one(a, b->link.mac, big, 10, 0); /* unfinished checksum, no offload */
    frame_make(&s, a->link.mac, b->link.mac, ip_a, ip_b, 7070, big, 1461, 0);
    s.csum_start = 0;
    pktio_send(a, &s, 1); /* over the MTU */
    frame_make(&s, a->link.mac, b->link.mac, ip_a, ip_b, 7070, big, 50000, 1460);
    s.csum_start = 0;
    pktio_send(a, &s, 1); /* over the segmentation limit */
    frame_make(&s, a->link.mac, b->link.mac, ip_a, ip_b, 7070, big, 30000, 1460);
    s.csum_start = 0;
    pktio_send(a, &s, 1); /* fits, and arrives whole */
    pktio_counters_get(a, &c);
    assert_int_equal(c.tx_dropped, 3);
    assert_int_equal(pktio_recv(b, f, 8), 1);
    assert_int_equal(f[0].len, FRAME_HEAD + 30000);
    pktio_recv_done(b);
    mempair_free(m);
}

static unsigned count_arrivals(uint64_t seed, uint32_t loss, uint64_t *pattern)
{
    struct mempair *m =
        mempair_new(&(struct mempair_config){.has_csum = true, .loss_per_million = loss, .seed = seed});
    struct pktio *a = mempair_port(m, 0), *b = mempair_port(m, 1);
    struct pktio_frame f[1];
    unsigned got = 0;

    *pattern = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t x = (uint8_t)i;

        send_one(a, b->link.mac, &x, 1, 0);
        if (pktio_recv(b, f, 1) == 1) {
            got++;
            *pattern = *pattern * 31 + i;
        }
        pktio_recv_done(b);
    }
    mempair_free(m);
    return got;
}

static void test_mempair_loss_is_seeded(void **state)
{
    uint64_t p1, p2, p3;
    unsigned n = count_arrivals(7, 100000, &p1);

    assert_in_range(n, 850, 950);
    assert_int_equal(count_arrivals(7, 100000, &p2), n);
    assert_true(p1 == p2);
    count_arrivals(8, 100000, &p3);
    assert_true(p1 != p3);
    assert_int_equal(count_arrivals(7, 0, &p1), 1000);
}

static void test_mempair_queue_is_bounded(void **state)
{
    struct mempair *m = mempair_new(&(struct mempair_config){.has_csum = true, .queue_max = 10});
    struct pktio *a = mempair_port(m, 0), *b = mempair_port(m, 1);
    struct pktio_counters c;
    uint8_t x = 0;

    for (unsigned i = 0; i < 25; i++)
        send_one(a, b->link.mac, &x, 1, 0);
    pktio_counters_get(b, &c);
    assert_int_equal(c.rx_dropped, 15);
    mempair_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mempair_carries_in_order),
        cmocka_unit_test(test_mempair_addresses),
        cmocka_unit_test(test_mempair_keeps_by_reference),
        cmocka_unit_test(test_mempair_refuses_what_a_port_would),
        cmocka_unit_test(test_mempair_loss_is_seeded),
        cmocka_unit_test(test_mempair_queue_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
