#include "testing.h"

#include "coding_fix.h"
#include "eal_testing.h"

static int setup(void **state)
{
    return setup_with(NULL);
}

static void test_coding_holds_frames_until_the_stream_is_ready(void **state)
{
    event(NET_EV_CONN_UP, 1, 1);
    frame(1, 0);
    frame(1, 0);
    poll_some();
    assert_int_equal(count_net(X_PUBSUB_OPEN), 1);
    assert_int_equal(f.r.peers.slots[0]->nheld, 2);
    event(NET_EV_PUBSUB_READY, 1, 1);
    poll_some();
    assert_int_equal(f.r.peers.slots[0]->nheld, 0);
    assert_int_equal(count_net(X_FRAMES_HOME), 2);
    assert_int_equal(f.r.frames_dropped, 0);
}

static void test_coding_drops_frames_that_nobody_will_take(void **state)
{
    event(NET_EV_CONN_UP, 1, 1);
    frame(1, 100);
    event(NET_EV_PUBSUB_NONE, 1, 1);
    frame(1, 100);
    poll_some();
    assert_int_equal(f.r.frames_dropped, 2);
    assert_int_equal(f.r.peers.held_bytes, 0);
    assert_int_equal(count_net(X_FRAMES_HOME), 2);
    frame(99, 1); /* of a connection that is gone */
    poll_some();
    assert_int_equal(f.r.frames_dropped, 3);
}

static void test_coding_frees_held_frames_with_the_connection(void **state)
{
    event(NET_EV_CONN_UP, 1, 1);
    event(NET_EV_CONN_UP, 2, 1);
    frame(1, 100);
    event(NET_EV_CONN_DOWN, 1, 1); /* the other takes over, and the frame waits for it */
    poll_some();
    assert_int_equal(count_net(X_PUBSUB_OPEN), 2);
    assert_int_equal(f.r.peers.slots[0]->nheld, 1);
    event(NET_EV_CONN_DOWN, 2, 1);
    poll_some();
    assert_int_equal(f.r.peers.count, 0);
    assert_int_equal(count_net(X_FRAMES_HOME), 1);
}

static void test_coding_refuses_a_peers_many_connections(void **state)
{
    for (unsigned i = 1; i <= PEERS_CONNS_EACH + 3; i++)
        event(NET_EV_CONN_UP, i, 1);
    poll_some();
    assert_int_equal(count_net(X_CLOSE), 3);
    assert_int_equal(f.r.peers.slots[0]->nconns, PEERS_CONNS_EACH);
}

/* Nobody rings when a ring empties: the role must not sleep on what it still has to say. */
static void test_coding_stays_awake_while_output_waits(void **state)
{
    struct xmsg m = {.type = X_CLOSE};

    poll_some();
    assert_false(coding_role_has_input(&f.r));
    while (xring_push_sp(&f.to_net, &m))
        ;
    poll_some();
    assert_true(coding_role_has_input(&f.r));
    count_net(X_CLOSE);
    poll_some();
    assert_false(coding_role_has_input(&f.r));
}

static unsigned count_traces(void)
{
    struct xmsg m;
    unsigned n = 0;

    while (xring_pop_sc(&f.to_control, &m)) {
        n += m.type == X_TRACE;
        if (m.type == X_TRACE) {
            m.type = X_TRACE_HOME;
            assert_true(xring_push_sp(&f.from_control, &m));
        } else {
            drop_msg(&m);
        }
    }
    return n;
}

static void test_coding_makes_traces_while_somebody_listens(void **state)
{
    for (unsigned turn = 0; turn < 3; turn++) {
        __atomic_store_n(&f.wants_traces, turn == 1, __ATOMIC_RELAXED);
        poll_some();
        event(NET_EV_CONN_UP, turn + 1, turn + 1);
        event(NET_EV_PUBSUB_READY, turn + 1, turn + 1);
        poll_some();
        assert_int_equal(f.r.has_traces, turn == 1);
        assert_int_equal(count_traces() > 0, turn == 1);
    }
    assert_int_equal(f.r.traces_dropped, 0);
}

/* Peer 1 speaks, peer 2 never does: only its stream is dropped and opened again, and not for ever. */
static void test_coding_opens_its_stream_anew_to_a_peer_that_never_speaks(void **state)
{
    unsigned closes = 0, opens = 0;
    struct xmsg m;

    for (unsigned conn = 1; conn <= 2; conn++) {
        event(NET_EV_CONN_UP, conn, conn);
        event(NET_EV_PUBSUB_READY, conn, conn);
    }
    frame(1, 0);
    poll_some();
    assert_int_equal(count_net(X_PUBSUB_OPEN), 2);
    for (unsigned second = 0; second < 100; second++) {
        f.now += 1000000000ull;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_PUBSUB_CLOSE || m.type == X_PUBSUB_OPEN) {
                assert_int_equal(m.conn, 2);
                event(m.type == X_PUBSUB_CLOSE ? NET_EV_PUBSUB_CLOSED : NET_EV_PUBSUB_READY, 2, 2);
            }
            closes += m.type == X_PUBSUB_CLOSE;
            opens += m.type == X_PUBSUB_OPEN;
            drop_msg(&m);
        }
    }
    assert_int_equal(closes, MUTE_TRIES);
    assert_int_equal(opens, MUTE_TRIES);
    assert_int_equal(f.r.peers.slots[1]->stream, 2);
}

/* What the network does for `seconds` with a peer that we dial and that takes our stream; opens_one: and opens its own.
 * Returns how often we dialed. */
static unsigned play_silent_peer(unsigned seconds, bool opens_one)
{
    static net_conn_id conn;
    unsigned dials = 0;
    struct xmsg m;

    for (uint64_t end = f.now + seconds * 1000000000ull; f.now < end; f.now += 250000000) {
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            switch (m.type) {
            case X_DIAL:
                dials++;
                event_of(NET_EV_CONN_UP, ++conn, 1, m.dial->token);
                free(m.dial);
                if (opens_one)
                    event(NET_EV_PUBSUB_IN, conn, 1);
                break;
            case X_PUBSUB_OPEN: event(NET_EV_PUBSUB_READY, m.conn, 1); break;
            case X_PUBSUB_CLOSE: event(NET_EV_PUBSUB_CLOSED, m.conn, 1); break;
            case X_CLOSE: event(NET_EV_CONN_DOWN, m.conn, 1); break;
            default: drop_msg(&m);
            }
        }
    }
    return dials;
}

/* As rust-libp2p when it still holds a dead connection of ours: see mute.h. It may also have no other way: not for ever. */
static void test_coding_dials_anew_a_peer_that_opens_no_stream(void **state)
{
    uint8_t key[32] = {1, 9}, ip[4] = {10, 0, 0, 1};
    struct multiaddr addr;
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    multiaddr_of_tcp(&addr, ip, 4, 7070, &id);
    dialer_bootstrap(&f.r.dialer, &addr, f.now);
    assert_int_equal(play_silent_peer(8, false), 1);
    assert_int_equal(play_silent_peer(8, false), 1);
    assert_int_equal(play_silent_peer(12, false), 0);
    assert_int_equal(play_silent_peer(60, false), 2);
    assert_int_equal(play_silent_peer(600, false), 0);
}

static void test_coding_stays_with_a_peer_that_listens_and_says_nothing(void **state)
{
    uint8_t key[32] = {1, 9}, ip[4] = {10, 0, 0, 1};
    struct multiaddr addr;
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    multiaddr_of_tcp(&addr, ip, 4, 7070, &id);
    dialer_bootstrap(&f.r.dialer, &addr, f.now);
    assert_int_equal(play_silent_peer(300, true), 1);
}

/* Where the peer ends our stream again and again, its other connection has its turn; and then there is an end. */
static void test_coding_leaves_a_connection_that_keeps_no_stream(void **state)
{
    unsigned opens[3] = {0};
    struct xmsg m;

    event(NET_EV_CONN_UP, 1, 1);
    event(NET_EV_CONN_UP, 2, 1);
    for (net_conn_id at = 1; at;) {
        poll_some();
        at = 0;
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_PUBSUB_OPEN)
                opens[at = m.conn]++;
            drop_msg(&m);
        }
        if (at)
            event(NET_EV_PUBSUB_CLOSED, at, 1);
    }
    assert_int_equal(opens[1], PEERS_OPENS);
    assert_int_equal(opens[2], PEERS_OPENS);
}

static void test_coding_reports_its_rings(void **state)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct xmsg m = {.type = X_SNAPSHOT, .snapshot = s};

    assert_non_null(s);
    assert_true(xring_push_sp(&f.from_control, &m));
    poll_some();
    assert_true(xring_pop_sc(&f.to_net, &m));
    assert_ptr_equal(m.snapshot, s);
    assert_int_equal(s->nrings, 4); /* two of which it is the producer, two of which it is the consumer */
    assert_string_equal(s->rings[0].name, "tn");
    assert_string_equal(s->rings[1].name, "tc");
    assert_string_equal(s->rings[2].name, "fn");
    assert_string_equal(s->rings[3].name, "fc");
    assert_int_equal(s->rings[3].popped, 1);
    assert_int_equal(s->rings[3].batch_peak, 1);
    assert_int_equal(s->rings[3].pushed, 0); /* the other end's to say */
    snapshot_add_ring(s, &f.from_control);
    assert_int_equal(s->nrings, 4);
    assert_int_equal(s->rings[3].pushed, 1);
    assert_int_equal(s->rings[3].capacity, xring_capacity(&f.from_control));
    s->nrings = SNAPSHOT_RINGS;
    assert_null(snapshot_ring_of(s, &(struct xring){0}));
    free(s);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_coding_holds_frames_until_the_stream_is_ready),
        TEST(test_coding_drops_frames_that_nobody_will_take),
        TEST(test_coding_frees_held_frames_with_the_connection),
        TEST(test_coding_refuses_a_peers_many_connections),
        TEST(test_coding_stays_awake_while_output_waits),
        TEST(test_coding_makes_traces_while_somebody_listens),
        TEST(test_coding_leaves_a_connection_that_keeps_no_stream),
        TEST(test_coding_reports_its_rings),
        TEST(test_coding_opens_its_stream_anew_to_a_peer_that_never_speaks),
        TEST(test_coding_dials_anew_a_peer_that_opens_no_stream),
        TEST(test_coding_stays_with_a_peer_that_listens_and_says_nothing),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
