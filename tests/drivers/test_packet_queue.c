/* test_packet_queue.c: a ring's slots and the queue of long frames stay in step, whatever the device says in between
 * The queue is a socket pair's: a datagram for each frame. readv fails first as often as a test wants */
#include "testing.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drivers/packet_queue.h"

static unsigned failures;
static int failure;

ssize_t __real_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n)
{
    if (!failures)
        return __real_readv(fd, iov, n);
    failures--;
    errno = failure;
    return -1;
}

struct fix {
    struct packet_queue q;
    struct pktio_counters n;
    int ends[2];
};

static struct fix *fix_new(void)
{
    struct fix *x = calloc(1, sizeof(*x));

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, x->ends), 0);
    x->q.fd = x->ends[0];
    bufpool_init(&x->q.pool, 1 << 20, 1 << 20);
    failures = 0;
    return x;
}

static void fix_free(struct fix *x)
{
    packet_queue_close(&x->q);
    close(x->ends[0]);
    close(x->ends[1]);
    free(x);
}

/* A frame of 100 bytes, all of them its name. */
static void arrives(struct fix *x, uint8_t name)
{
    uint8_t bytes[sizeof(struct virtio_net_hdr) + 100] = {0};

    memset(bytes + sizeof(struct virtio_net_hdr), name, 100);
    assert_int_equal(send(x->ends[1], bytes, sizeof(bytes), 0), sizeof(bytes));
}

/* Its slot's turn: the frame's name, 0 if there is none. */
static uint8_t taken(struct fix *x)
{
    struct pktio_frame f;
    uint8_t name;

    if (!packet_queue_take(&x->q, 100, &f, &x->n))
        return 0;
    assert_int_equal(f.len, 100);
    name = f.data[0];
    packet_queue_give_back(&x->q);
    return name;
}

static void test_packet_queue_passes_errors_of_the_device(void **state)
{
    struct fix *x = fix_new();

    for (uint8_t i = 1; i <= 3; i++)
        arrives(x, i);
    failures = 3;
    failure = ENETDOWN;
    assert_int_equal(taken(x), 1);
    assert_int_equal(failures, 0);
    assert_int_equal(taken(x), 2);
    assert_int_equal(taken(x), 3);
    assert_int_equal(x->n.rx_dropped, 0);
    fix_free(x);
}

/* More of them than one call looks past: frames are dropped, but none is taken for another. */
static void test_packet_queue_stays_in_step_after_many_errors(void **state)
{
    static const unsigned cases[] = {4, 5, 7, 8, 9, 11, 12, 13};

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct fix *x = fix_new();
        unsigned lost = 0;

        for (uint8_t i = 1; i <= 5; i++)
            arrives(x, i);
        failures = cases[c];
        failure = ENETDOWN;
        for (unsigned i = 0; i < 5; i++) {
            uint8_t got = taken(x);

            if (got && got != i + 1)
                fail_msg("%u errors: slot %u got frame %u", cases[c], i + 1, got);
            lost += !got;
        }
        assert_int_equal(x->n.rx_dropped, lost);
        assert_true(lost >= 1 && lost < 5 && x->q.owed == 0);
        fix_free(x);
    }
}

/* What is wrong with a frame takes that frame with it: the next slot has the next one. */
static void test_packet_queue_takes_a_frames_own_error_once(void **state)
{
    struct fix *x = fix_new();

    arrives(x, 2);
    failures = 1;
    failure = EINVAL; /* frame 1 was read and thrown away by the kernel */
    assert_int_equal(taken(x), 0);
    assert_int_equal(taken(x), 2);
    assert_int_equal(taken(x), 0); /* an empty queue owes nothing */
    arrives(x, 3);
    assert_int_equal(taken(x), 3);
    assert_int_equal(x->n.rx_dropped, 2);
    fix_free(x);
}

/* The same for frames that were answered before they are read: the device's errors cost none of them. */
static void test_packet_queue_reads_late_frames_whatever_the_device_says(void **state)
{
    struct fix *x = fix_new();
    struct pktio_frame f[3];
    uint8_t here[10];

    for (uint8_t i = 1; i <= 3; i++) {
        memset(here, i, sizeof(here));
        arrives(x, i);
        assert_true(packet_queue_take_late(&x->q, 100, slice_of(here, sizeof(here)), &f[i - 1]));
        assert_true(f[i - 1].is_late && f[i - 1].buf && f[i - 1].data[9] == i);
    }
    failures = 20;
    failure = ENETDOWN;
    packet_queue_fill(&x->q, &x->n);
    for (uint8_t i = 1; i <= 3; i++)
        assert_true(f[i - 1].data[0] == i && f[i - 1].data[99] == i);
    packet_queue_give_back(&x->q);
    arrives(x, 4);
    assert_int_equal(taken(x), 4);
    assert_int_equal(x->n.rx_zeroed, 0);

    assert_true(packet_queue_take_late(&x->q, 100, slice_of(here, sizeof(here)), &f[0])); /* which the kernel does not have */
    packet_queue_fill(&x->q, &x->n);
    assert_int_equal(f[0].data[0], 0);
    assert_int_equal(x->n.rx_zeroed, 1);
    assert_int_equal(x->n.rx_truncated + x->n.rx_dropped, 0);
    x->q.owed = 1;
    assert_false(packet_queue_take_late(&x->q, 100, slice_of(here, sizeof(here)), &f[0]));
    x->q.owed = 0;
    fix_free(x);
}

/* One that is given up stands before the others in the kernel's queue: none has another's bytes. */
static void test_packet_queue_gives_no_late_frame_anothers_bytes(void **state)
{
    struct fix *x = fix_new();
    struct pktio_frame f[3];
    uint8_t here[10];

    for (uint8_t i = 1; i <= 3; i++) {
        memset(here, i, sizeof(here));
        arrives(x, i);
        assert_true(packet_queue_take_late(&x->q, 100, slice_of(here, sizeof(here)), &f[i - 1]));
    }
    failures = 1000; /* all tries of the first */
    failure = ENETDOWN;
    packet_queue_fill(&x->q, &x->n);
    assert_int_equal(failures, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(f[i].data[0] == 0 && f[i].data[99] == 0);
    assert_int_equal(x->n.rx_zeroed, 3);
    assert_int_equal(x->q.owed, 3);
    packet_queue_fill(&x->q, &x->n); /* again: nothing is left to fill */
    assert_int_equal(x->n.rx_zeroed, 3);
    packet_queue_give_back(&x->q);
    arrives(x, 4);
    assert_int_equal(taken(x), 4);
    assert_int_equal(x->q.owed, 0);
    fix_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packet_queue_passes_errors_of_the_device),
        cmocka_unit_test(test_packet_queue_stays_in_step_after_many_errors),
        cmocka_unit_test(test_packet_queue_takes_a_frames_own_error_once),
        cmocka_unit_test(test_packet_queue_reads_late_frames_whatever_the_device_says),
        cmocka_unit_test(test_packet_queue_gives_no_late_frame_anothers_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
