#include "testing.h"

#include <poll.h>

#include "eal_testing.h"
#include "node/xcore.h"

struct fix {
    struct xdoor door;
    struct xring ring;
};

static void make(struct fix *f, unsigned depth)
{
    assert_int_equal(xdoor_init(&f->door), 0);
    assert_int_equal(xring_init(&f->ring, "test_xcore", depth, &f->door), 0);
}

static void drop(struct fix *f)
{
    xring_fini(&f->ring);
    xdoor_fini(&f->door);
}

static bool is_ringing(const struct xdoor *d)
{
    struct pollfd p = {.fd = d->fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void test_xring_keeps_order_and_refuses_when_full(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_QUEUE};

    make(&f, 8);
    for (m.number = 0; xring_push_sp(&f.ring, &m); m.number++)
        ;
    assert_int_equal(m.number, 7);
    assert_int_equal(f.ring.full, 1);
    assert_int_equal(f.ring.pushed, 7);
    assert_int_equal(f.ring.peak, 7);
    assert_int_equal(xring_room(&f.ring), 0);
    for (uint64_t i = 0; i < 7; i++) {
        assert_true(xring_pop_sc(&f.ring, &m));
        assert_int_equal(m.number, i);
    }
    assert_false(xring_pop_sc(&f.ring, &m));
    drop(&f);
}

static void test_xdoor_rings_for_a_sleeper_alone(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_QUEUE};

    make(&f, 8);
    assert_true(xring_push_sp(&f.ring, &m));
    assert_false(is_ringing(&f.door));
    xdoor_sleep(&f.door, false);
    assert_true(xring_push_sp(&f.ring, &m));
    assert_true(is_ringing(&f.door));
    xdoor_wake(&f.door);
    assert_false(is_ringing(&f.door));
    assert_true(xring_push_sp(&f.ring, &m));
    assert_false(is_ringing(&f.door));
    drop(&f);
}

/* What comes home wakes only who cannot do without it, or when there is much of it. */
static void test_xring_home_wakes_who_needs_it(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_TRACE_HOME};

    make(&f, 64);
    xdoor_sleep(&f.door, false);
    for (unsigned i = 1; i < 15; i++)
        assert_true(xring_push_home_sp(&f.ring, &m));
    assert_false(is_ringing(&f.door));
    assert_true(xring_push_home_sp(&f.ring, &m)); /* a quarter */
    assert_true(is_ringing(&f.door));
    xdoor_wake(&f.door);
    while (xring_pop_sc(&f.ring, &m))
        ;
    xdoor_sleep(&f.door, true);
    assert_true(xring_push_home_sp(&f.ring, &m));
    assert_true(is_ringing(&f.door));
    xdoor_wake(&f.door);
    for (unsigned i = 0; i < 62; i++)
        assert_true(xring_push_home_sp(&f.ring, &m));
    assert_false(xring_push_home_sp(&f.ring, &m)); /* full */
    assert_false(is_ringing(&f.door));
    drop(&f);
}

/* What is sent soon wakes at the next bell, also when something quiet waits for a later one; being many it wakes at once. */
static void test_xout_soon_wakes_at_the_next_bell(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_DELIVER};
    static struct xout o;
    uint64_t now = 1000000000ull;

    make(&f, 512);
    o = (struct xout){.ring = &f.ring};
    xdoor_sleep(&f.door, false);
    assert_true(xout_send_quiet(&o, &m, now));
    assert_true(xout_send_soon(&o, &m, now));
    assert_true(xout_send_quiet(&o, &m, now));
    assert_false(is_ringing(&f.door));
    assert_int_equal(o.bell_at_ns, now);
    xout_bell(&o, now);
    assert_true(is_ringing(&f.door));
    assert_int_equal(o.bell_at_ns, 0);
    xdoor_wake(&f.door);
    xdoor_sleep(&f.door, false);
    for (unsigned i = 0; i < XOUT_QUIET_MANY - 3; i++)
        assert_true(xout_send_soon(&o, &m, now));
    assert_true(is_ringing(&f.door));
    drop(&f);
}

/* A run of quiet messages wakes once: by what follows, by the bell, or by being many. */
static void test_xout_quiet_waits_for_the_bell(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_TRACE};
    static struct xout o;
    uint64_t now = 1000000000ull;

    make(&f, 512);
    o = (struct xout){.ring = &f.ring};
    xdoor_sleep(&f.door, false);
    for (unsigned i = 0; i < 5; i++)
        assert_true(xout_send_quiet(&o, &m, now + i));
    assert_int_equal(o.bell_at_ns, now + XOUT_QUIET_NS);
    xout_bell(&o, now + XOUT_QUIET_NS - 1);
    assert_false(is_ringing(&f.door));
    xout_bell(&o, now + XOUT_QUIET_NS);
    assert_true(is_ringing(&f.door));
    assert_int_equal(o.bell_at_ns, 0);
    xdoor_wake(&f.door);
    xdoor_sleep(&f.door, false);
    assert_true(xout_send_quiet(&o, &m, now));
    assert_false(is_ringing(&f.door));
    assert_true(xout_send(&o, &m));
    assert_true(is_ringing(&f.door));
    assert_int_equal(o.bell_at_ns, 0);
    xdoor_wake(&f.door);
    xdoor_sleep(&f.door, false);
    for (unsigned i = 0; i < XOUT_QUIET_MANY - 8; i++)
        assert_true(xout_send_quiet(&o, &m, now));
    assert_false(is_ringing(&f.door));
    assert_true(xout_send_quiet(&o, &m, now));
    assert_true(is_ringing(&f.door));
    xdoor_wake(&f.door);
    while (xring_pop_sc(&f.ring, &m))
        ;
    assert_true(xout_send_quiet(&o, &m, now));
    assert_true(xring_pop_sc(&f.ring, &m));
    xdoor_sleep(&f.door, false);
    xout_bell(&o, now + XOUT_QUIET_NS); /* it has taken it meanwhile */
    assert_false(is_ringing(&f.door));
    drop(&f);
}

static void test_xout_holds_and_sends_in_order(void **state)
{
    struct fix f;
    struct xmsg m = {.type = X_QUEUE};
    static struct xout o;
    uint64_t sent = 0, got = 0;

    make(&f, 8);
    o = (struct xout){.ring = &f.ring};
    for (; m.number = sent, xout_send(&o, &m); sent++)
        ;
    assert_int_equal(sent, 7 + XOUT_HELD);
    while (got < sent) {
        if (xring_pop_sc(&f.ring, &m)) {
            assert_int_equal(m.number, got++);
            if (got == 3) { /* a new message must not overtake those held back */
                m.number = sent++;
                assert_false(xout_flush(&o));
                assert_true(xout_send(&o, &m));
            }
            continue;
        }
        xout_flush(&o);
    }
    assert_true(xout_flush(&o));
    assert_false(xring_pop_sc(&f.ring, &m));
    drop(&f);
}

static void test_xhomes_send_each_buffer_once(void **state)
{
    enum { N = 100 };
    struct fix f;
    struct xhomes h = {0};
    static struct buf b[N];
    unsigned seen[N] = {0};
    struct xmsg m;
    bool is_done = false;

    make(&f, 4);
    for (unsigned i = 0; i < N; i++)
        xhomes_add(&h, &b[i]);
    while (!is_done || !xring_is_empty(&f.ring)) {
        is_done = xhomes_flush_sp(&h, &f.ring, X_FRAMES_HOME);
        while (xring_pop_sc(&f.ring, &m))
            for (unsigned i = 0; i < m.homes.count; i++)
                seen[m.homes.buf[i] - b]++;
    }
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    assert_null(h.head);
    assert_null(h.tail);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xring_keeps_order_and_refuses_when_full),
        cmocka_unit_test(test_xdoor_rings_for_a_sleeper_alone),
        cmocka_unit_test(test_xring_home_wakes_who_needs_it),
        cmocka_unit_test(test_xout_soon_wakes_at_the_next_bell),
        cmocka_unit_test(test_xout_quiet_waits_for_the_bell),
        cmocka_unit_test(test_xout_holds_and_sends_in_order),
        cmocka_unit_test(test_xhomes_send_each_buffer_once),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
