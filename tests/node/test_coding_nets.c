/* test_coding_nets.c: the router with several net roles */
#include "testing.h"

#include "coding_fix.h"
#include "eal_testing.h"
#include "node/coding_int.h"

#define NETS 3

static struct xring out[NETS], in[NETS]; /* of roles 1 and 2; role 0 has the fixture's */

static int setup(void **state)
{
    (void)state;
    if (setup_with(NULL))
        return -1;
    for (unsigned i = 1; i < NETS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "tn%u", i);
        assert_int_equal(xring_init(&out[i], name, CODING_FIX_RING, &f.door), 0);
        snprintf(name, sizeof(name), "fn%u", i);
        assert_int_equal(xring_init(&in[i], name, 64, &f.door), 0);
        f.r.nets[i].out.ring = &out[i];
        f.r.nets[i].in = &in[i];
    }
    f.r.nnets = NETS;
    return 0;
}

static unsigned count_at(unsigned role, enum xmsg_type type)
{
    return count_in(f.r.nets[role].out.ring, type);
}

static void come_up(unsigned role, unsigned number, unsigned who)
{
    event_at(role, NET_EV_CONN_UP, net_role_id(role) | number, who, 0);
}

/* A connection's messages go to the role whose number its id bears, and its frames go home there. */
static void test_coding_talks_to_the_role_of_a_connection(void **state)
{
    struct buf *b = calloc(1, sizeof(*b) + 4);
    struct xmsg m = {.type = X_RPC, .conn = net_role_id(2) | 7, .buf = b};

    (void)state;
    come_up(1, 5, 1);
    come_up(2, 7, 2);
    poll_some();
    assert_int_equal(count_at(0, X_PUBSUB_OPEN), 0);
    assert_int_equal(count_at(1, X_PUBSUB_OPEN), 1);
    assert_int_equal(count_at(2, X_PUBSUB_OPEN), 1);
    *b = (struct buf){.data = (uint8_t *)(b + 1), .len = 4, .cap = 4, .refs = 1};
    m.conn = net_role_id(2) | 9; /* nobody's */
    assert_true(xring_push_sp(&in[2], &m));
    poll_some();
    assert_int_equal(count_at(0, X_FRAMES_HOME), 0);
    while (xring_pop_sc(&out[2], &m))
        if (m.type == X_FRAMES_HOME) {
            assert_ptr_equal(m.homes.buf[0], b);
            b = NULL;
            drop_msg(&m);
        }
    assert_null(b);
    assert_int_equal(f.r.nets[1].conns, 1);
    assert_int_equal(f.r.nets[2].conns, 1);
}

/* The same address falls to the same role while the roles are about as busy; a busy one gets no more. */
static void test_coding_spreads_its_dials(void **state)
{
    unsigned got[NETS] = {0};

    (void)state;
    for (unsigned i = 0; i < 90; i++) {
        uint8_t ip[4] = {10, 0, (uint8_t)(i * 7), (uint8_t)i};
        struct multiaddr a;
        multiaddr_of_tcp(&a, ip, 4, 7070, NULL);
        unsigned role = coding_dial_role(&f.r, &a);
        assert_int_equal(coding_dial_role(&f.r, &a), role);
        got[role]++;
    }
    for (unsigned i = 0; i < NETS; i++)
        assert_in_range(got[i], 10, 60);
    f.r.nets[0].conns = f.r.nets[2].conns = 5;
    f.r.nets[1].conns = 3;
    for (unsigned i = 0; i < 20; i++) {
        uint8_t ip[4] = {10, 1, 0, (uint8_t)i};
        struct multiaddr a;
        multiaddr_of_tcp(&a, ip, 4, 7070, NULL);
        assert_int_equal(coding_dial_role(&f.r, &a), 1);
    }
}

/* It visits each net role once and then goes back. */
static void test_coding_sends_a_snapshot_round(void **state)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct xmsg m = {.type = X_SNAPSHOT, .snapshot = s}, back;

    (void)state;
    assert_non_null(s);
    assert_true(xring_push_sp(&f.from_control, &m));
    for (unsigned i = 0; i < NETS; i++) {
        poll_some();
        assert_true(xring_pop_sc(i ? &out[i] : &f.to_net, &back));
        assert_int_equal(back.type, X_SNAPSHOT);
        assert_true(xring_push_sp(f.r.nets[i].in, &back));
    }
    poll_some();
    do
        assert_true(xring_pop_sc(&f.to_control, &back));
    while (back.type != X_SNAPSHOT);
    assert_ptr_equal(back.snapshot, s);
    assert_int_equal(s->nrings, 2 * NETS + 2);
    free(s);
}

/* One full ring holds up the taking of input: what it causes might be for that role. */
static void test_coding_waits_for_room_at_every_role(void **state)
{
    struct xmsg m = {.type = X_CLOSE};

    (void)state;
    while (xring_push_sp(&out[1], &m))
        ;
    come_up(0, 5, 1);
    poll_some();
    assert_int_equal(f.r.peers.count, 0);
    assert_true(coding_role_has_input(&f.r));
    count_at(1, X_CLOSE);
    poll_some();
    assert_int_equal(f.r.peers.count, 1);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_coding_talks_to_the_role_of_a_connection),
        TEST(test_coding_spreads_its_dials),
        TEST(test_coding_sends_a_snapshot_round),
        TEST(test_coding_waits_for_room_at_every_role),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
