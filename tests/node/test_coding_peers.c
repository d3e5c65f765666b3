#include "testing.h"

#define CODING_FIX_RING 1024
#include "coding_fix.h"
#include "eal_testing.h"
#include "libp2p/peer_record.h"
#include "node/coding_int.h"
#include "node/resolver.h"

#define SEC  1000000000ull
#define KAD  "/codecast/default/kad/1.0.0"
#define BOOT 200 /* the peer that is in the list of bootstrap peers */

static struct multiaddr boot_addr;

static struct peer_id id_of(unsigned who)
{
    uint8_t key[32] = {(uint8_t)who, 9};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static void tweak(struct coding_config *cc)
{
    struct peer_id boot = id_of(BOOT);
    uint8_t ip[4] = {10, 0, 0, BOOT};

    multiaddr_of_tcp(&boot_addr, ip, 4, 7070, &boot);
    cc->bootstrap = &boot_addr;
    cc->nbootstrap = 1;
    cc->kad_protocol = KAD;
    cc->max_peers = 48;
}

static int setup(void **state)
{
    return setup_with(tweak);
}

static void tweak_named(struct coding_config *cc)
{
    struct peer_id boot = id_of(BOOT);

    tweak(cc);
    assert_int_equal(multiaddr_parse(&boot_addr, slice_str("/dns4/boot.example/tcp/7070")), 0);
    assert_int_equal(multiaddr_add_peer(&boot_addr, &boot), 0);
}

static int setup_named(void **state)
{
    return setup_with(tweak_named);
}

/* A connection of which we know who dialed. */
static void conn_up(net_conn_id conn, unsigned who, bool is_dialer, uint64_t token)
{
    struct net_event *ev = calloc(1, sizeof(*ev));
    uint8_t ip[4] = {10, 0, 0, (uint8_t)who};
    struct xmsg m = {.type = X_EVENT, .event = ev, .conn = conn};

    *ev = (struct net_event){.type = NET_EV_CONN_UP, .conn = conn, .peer = id_of(who), .is_dialer = is_dialer, .token = token};
    multiaddr_of_tcp(&ev->addr, ip, 4, 7070, NULL);
    assert_true(xring_push_sp(&f.from_net, &m));
}

static void identified(net_conn_id conn, const char *agent, const char *protocol)
{
    struct net_event *ev = calloc(1, sizeof(*ev));
    struct xmsg m = {.type = X_EVENT, .event = ev, .conn = conn};

    *ev = (struct net_event){.type = NET_EV_IDENTIFIED, .conn = conn, .identity = calloc(1, sizeof(struct net_identity))};
    snprintf(ev->identity->agent, sizeof(ev->identity->agent), "%s", agent);
    snprintf(ev->identity->protocols[ev->identity->nprotocols++], sizeof(ev->identity->protocols[0]), "%s", protocol);
    assert_true(xring_push_sp(&f.from_net, &m));
}

/* A second of the role's life at a time; other messages than `type` are dropped. The last one is copied. */
static unsigned run(unsigned seconds, enum xmsg_type type, struct xmsg *last)
{
    struct xmsg m;
    unsigned n = 0;

    for (unsigned i = 0; i < seconds * 2; i++) {
        f.now += SEC / 2;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == type) {
                n++;
                if (last)
                    *last = m;
            }
            drop_msg(&m);
        }
    }
    return n;
}

static unsigned notes_with(const char *text)
{
    struct xmsg m;
    unsigned n = 0;

    while (xring_pop_sc(&f.to_control, &m)) {
        n += m.type == X_NOTE && strstr(m.note->record, text) != NULL;
        drop_msg(&m);
    }
    return n;
}

/* The peer of the smaller id dialed the preferred one. */
static bool is_preferred_ours(unsigned who)
{
    struct peer_id id = id_of(who);

    return memcmp(f.r.cfg.self.bytes, id.bytes, PEER_ID_MAX) < 0;
}

static void test_coding_keeps_one_of_two_connections_of_its_own_kind(void **state)
{
    bool ours = is_preferred_ours(1);
    struct xmsg m = {0};

    conn_up(1, 1, !ours, 0); /* the one that will go */
    event(NET_EV_PUBSUB_READY, 1, 1);
    conn_up(2, 1, ours, 0);
    identified(1, "codecast/0.1.0", "/meshsub/1.2.0");
    assert_int_equal(run(4, X_PUBSUB_FINISH, NULL), 0); /* not at once */
    assert_int_equal(f.r.peers.slots[0]->stream, 1);
    run(4, X_PUBSUB_OPEN, &m);
    assert_int_equal(m.conn, 2);
    assert_int_equal(f.r.peers.slots[0]->moving, 2);
    assert_int_equal(f.r.peers.slots[0]->stream, 1); /* still in use */
    event(NET_EV_PUBSUB_READY, 2, 1);
    assert_int_equal(run(1, X_PUBSUB_FINISH, &m), 1);
    assert_int_equal(m.conn, 1);
    assert_int_equal(f.r.peers.slots[0]->stream, 2);
    assert_true(f.r.peers.slots[0]->is_known); /* the core never noticed */
    assert_true(run(3, X_CLOSE, &m) > 0);
    assert_int_equal(m.conn, 1);
    assert_int_equal(m.number, 2); /* only once nothing is on it */
    event(NET_EV_CONN_DOWN, 1, 1);
    assert_int_equal(run(5, X_CLOSE, NULL), 0);
    assert_int_equal(f.r.peers.slots[0]->nconns, 1);
}

static void test_coding_leaves_both_connections_of_other_kinds(void **state)
{
    bool ours = is_preferred_ours(1);

    conn_up(1, 1, !ours, 0);
    event(NET_EV_PUBSUB_READY, 1, 1);
    conn_up(2, 1, ours, 0);
    identified(1, "github.com/libp2p/go-libp2p", "/meshsub/1.2.0");
    frame(1, 0);
    assert_int_equal(run(30, X_CLOSE, NULL), 0);
    assert_int_equal(f.r.peers.slots[0]->stream, 1);
    assert_int_equal(f.r.peers.slots[0]->nconns, 2);
}

static void test_coding_goes_on_when_the_move_of_its_stream_fails(void **state)
{
    bool ours = is_preferred_ours(1);

    conn_up(1, 1, !ours, 0);
    event(NET_EV_PUBSUB_READY, 1, 1);
    conn_up(2, 1, ours, 0);
    identified(1, "codecast/0.1.0", "/meshsub/1.2.0");
    run(7, X_PUBSUB_OPEN, NULL);
    assert_int_equal(f.r.peers.slots[0]->moving, 2);
    event(NET_EV_CONN_DOWN, 2, 1);
    run(5, X_CLOSE, NULL);
    assert_int_equal(f.r.peers.slots[0]->stream, 1);
    assert_int_equal(f.r.peers.slots[0]->moving, 0);
    assert_true(f.r.peers.slots[0]->is_known);
}

/* conn_high is 32: above it the least useful go, down to 28, the bootstrap peer and the young excepted. */
static void test_coding_trims_to_its_limit_but_never_the_bootstrap(void **state)
{
    struct xmsg m = {0};
    unsigned closed = 0;

    conn_up(BOOT, BOOT, false, 0);
    for (unsigned i = 1; i <= 40; i++)
        conn_up(i, i, false, 0);
    for (unsigned i = 1; i <= 30; i++)
        event(NET_EV_PUBSUB_READY, i, i);
    assert_int_equal(run(15, X_CLOSE, NULL), 0); /* all young */
    for (unsigned i = 0; i < 20 && closed == 0; i++) {
        f.now += SEC;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_CLOSE) {
                closed++;
                assert_int_equal(m.number, 1);
                assert_int_not_equal(m.conn, BOOT);
                if (closed <= 10)
                    assert_true(m.conn > 30); /* without a stream: the first to go */
            }
            drop_msg(&m);
        }
    }
    assert_int_equal(closed, 41 - 28);
    assert_int_equal(f.r.trimmed, closed);
}

static void test_coding_turns_newcomers_away_when_it_is_full(void **state)
{
    struct xmsg m = {0};

    for (unsigned i = 1; i <= 48; i++)
        conn_up(i, i, false, 0);
    run(1, X_CLOSE, NULL);
    assert_int_equal(f.r.peers.count, 48);
    conn_up(100, 100, false, 0);
    assert_int_equal(run(1, X_CLOSE, &m), 1);
    assert_int_equal(m.conn, 100);
    assert_int_equal(f.r.refused_full, 1);
    conn_up(101, 1, false, 0); /* a second connection of one that is in */
    conn_up(102, BOOT, false, 0); /* whom the operator named */
    assert_int_equal(run(1, X_CLOSE, NULL), 0);
    assert_int_equal(f.r.peers.count, 49);
}

static void test_coding_closes_a_peer_that_is_of_no_use(void **state)
{
    struct xmsg m = {0};

    conn_up(1, 1, false, 0);
    event(NET_EV_PUBSUB_NONE, 1, 1);
    conn_up(2, 2, false, 0);
    event(NET_EV_PUBSUB_READY, 2, 2);
    frame(2, 0);
    conn_up(3, BOOT, false, 0);
    event(NET_EV_PUBSUB_NONE, 3, BOOT);
    assert_int_equal(run(55, X_CLOSE, NULL), 0);
    assert_true(run(10, X_CLOSE, &m) > 0);
    assert_int_equal(m.conn, 1);
    assert_true(f.r.idle_closed > 0);
}

/* Two identities open all that one peer may; others still find a place, each with two. */
static void test_coding_bounds_the_connections_that_a_few_identities_use_up(void **state)
{
    struct xmsg m = {0};

    for (unsigned i = 0; i < 2 * PEERS_CONNS_EACH; i++)
        conn_up(1 + i, 1 + i % 2, false, 0);
    run(1, X_CLOSE, NULL);
    assert_int_equal(f.r.peers.by_conn.count, 24); /* half of max_peers */
    conn_up(100, 3, false, 0);
    conn_up(101, 3, false, 0);
    assert_int_equal(run(1, X_CLOSE, NULL), 0);
    conn_up(102, 3, false, 0);
    assert_int_equal(run(1, X_CLOSE, &m), 1);
    assert_int_equal(m.conn, 102);
    for (unsigned i = 0; i < 3; i++)
        conn_up(200 + i, BOOT, false, 0); /* whom the operator named */
    assert_int_equal(run(1, X_CLOSE, NULL), 0);
}

/* Identify pushed without end: a few are taken at once, then one a second. */
static void test_coding_bounds_how_often_a_peer_says_who_it_is(void **state)
{
    conn_up(1, 1, false, 0);
    for (unsigned i = 0; i < 100; i++)
        identified(1, "a", "/x/1");
    f.now += 100 * SEC;
    run(1, X_CLOSE, NULL);
    assert_in_range(f.r.identities_dropped, 82, 84);
    identified(1, "b", "/x/1");
    run(2, X_CLOSE, NULL);
    assert_string_equal(f.r.peers.slots[0]->agent, "b");
}

static void answer(net_conn_id conn, uint64_t token, enum net_event_type type, struct slice bytes)
{
    struct net_event *ev = calloc(1, sizeof(*ev));
    struct xmsg m = {.type = X_EVENT, .event = ev, .conn = conn};

    *ev = (struct net_event){.type = type, .conn = conn, .token = token, .frame = buf_copy(bytes)};
    assert_true(xring_push_sp(&f.from_net, &m));
}

/* Peer 1 serves; asked, it names peer 2, which is dialed and asked in turn. */
static void test_coding_finds_peers_by_the_dht(void **state)
{
    uint8_t bytes[1024], ip[4] = {10, 0, 0, 2};
    struct kad_msg found = {.type = KAD_FIND_NODE, .ncloser = 1};
    struct peer_id two = id_of(2);
    struct multiaddr addr;
    bool is_dialed = false;
    uint64_t token = 0;
    unsigned asked = 0;
    struct xmsg m;
    ssize_t n;

    multiaddr_of_tcp(&addr, ip, 4, 7070, NULL);
    found.closer[0] = (struct kad_peer){.id = two, .naddrs = 1};
    found.closer[0].addrs[0] = multiaddr_slice(&addr);
    n = kad_encode(&found, bytes, sizeof(bytes));
    conn_up(1, 1, false, 0);
    identified(1, "codecast/0.1.0", KAD);
    for (unsigned i = 0; i < 20; i++) {
        f.now += SEC / 2;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_REQUEST && m.conn == 1)
                answer(1, m.exchange->token, NET_EV_ANSWER, slice_of(bytes, (size_t)n));
            if (m.type == X_DIAL && peer_id_is_equal(&m.dial->expect, &two)) {
                is_dialed = true;
                token = m.dial->token;
                conn_up(2, 2, true, token);
            }
            asked += m.type == X_REQUEST && m.conn == 2;
            drop_msg(&m);
        }
    }
    assert_true(is_dialed);
    assert_true(asked > 0);
    assert_int_equal(f.r.peers.count, 2);
}

/* The walk came due while there was no room to ask anybody: it goes on when there is. */
static void test_coding_asks_the_dht_when_there_is_room_again(void **state)
{
    struct xmsg m = {.type = X_QUEUE};

    conn_up(1, 1, false, 0);
    identified(1, "codecast/0.1.0", KAD);
    poll_some();
    while (xring_room(&f.to_net) > 4)
        assert_true(xring_push_sp(&f.to_net, &m));
    for (unsigned i = 0; i < 5; i++) {
        f.now += SEC;
        poll_some();
    }
    assert_true(f.r.has_more_kad);
    while (xring_pop_sc(&f.to_net, &m)) {
        assert_int_not_equal(m.type, X_REQUEST);
        drop_msg(&m);
    }
    assert_true(run(2, X_REQUEST, NULL) > 0);
}

static void test_coding_answers_the_dht(void **state)
{
    struct kad_msg q = {.type = KAD_FIND_NODE}, a;
    struct peer_id one = id_of(1), two = id_of(2);
    uint8_t bytes[256];
    struct xmsg m;
    unsigned answers = 0;

    q.key = peer_id_slice(&two);
    conn_up(1, 1, false, 0);
    conn_up(2, 2, false, 0);
    for (unsigned i = 1; i <= 2; i++)
        identified(i, "codecast/0.1.0", KAD);
    poll_some();
    coding_px(&f.r, &(struct pubsub_output){.from = one}, f.now); /* without a record: nobody knows where, no harm */
    uint8_t ip[4] = {10, 0, 0, 2};
    struct multiaddr addr;
    multiaddr_of_tcp(&addr, ip, 4, 7070, NULL);
    assert_true(peerstore_add_addr(&f.r.store, &two, multiaddr_slice(&addr), PEERSTORE_IDENTIFY, f.now));
    answer(1, 77, NET_EV_REQUEST, slice_of(bytes, (size_t)kad_encode(&q, bytes, sizeof(bytes))));
    answer(1, 78, NET_EV_REQUEST, SLICE_LIT("\xff"));
    poll_some();
    while (xring_pop_sc(&f.to_net, &m)) {
        if (m.type == X_ANSWER && m.exchange->token == 77) {
            answers++;
            assert_int_equal(kad_decode(slice_of(m.exchange->bytes, m.exchange->len), &a), 0);
            assert_int_equal(a.ncloser, 1);
            assert_true(peer_id_is_equal(&a.closer[0].id, &two));
        } else if (m.type == X_ANSWER) {
            answers++;
            assert_true(m.exchange->is_reset);
        }
        drop_msg(&m);
    }
    assert_int_equal(answers, 2);
}

static void test_coding_dials_whom_peer_exchange_names(void **state)
{
    static const uint8_t other_seed[ED25519_SEED_BYTES] = {77};
    struct pubsub_output o = {.type = PUBSUB_DIAL};
    uint8_t ip[4] = {10, 0, 0, 99}, bytes[512];
    struct multiaddr addr;
    struct key_pair key;
    struct slice s;
    unsigned dials = 0;
    struct xmsg m;

    key_pair_from_seed(&key, other_seed);
    key_pair_peer_id(&key, &o.from);
    multiaddr_of_tcp(&addr, ip, 4, 7070, NULL);
    s = multiaddr_slice(&addr);
    o.record = buf_copy(slice_of(bytes, (size_t)peer_record_seal(&key, 1, &s, 1, bytes, sizeof(bytes))));
    f.r.dialer.low = 0; /* nobody else is dialed */
    coding_px(&f.r, &o, f.now);
    poll_some();
    while (xring_pop_sc(&f.to_net, &m)) {
        dials += m.type == X_DIAL && peer_id_is_equal(&m.dial->expect, &o.from);
        drop_msg(&m);
    }
    assert_int_equal(dials, 1);
    assert_int_equal(f.r.px_dials, 1);
    key_pair_fini(&key);
}

static void fail_dials(unsigned seconds)
{
    struct xmsg m;

    for (unsigned i = 0; i < seconds * 2; i++) {
        f.now += SEC / 2;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_DIAL) {
                struct net_event *ev = calloc(1, sizeof(*ev));
                struct xmsg e = {.type = X_EVENT, .event = ev};
                *ev = (struct net_event){.type = NET_EV_DIAL_FAILED, .token = m.dial->token, .reason = "Connection refused"};
                assert_true(xring_push_sp(&f.from_net, &e));
            }
            drop_msg(&m);
        }
    }
}

static void test_coding_says_once_what_it_waits_for(void **state)
{
    fail_dials(60);
    assert_int_equal(notes_with("waiting for a bootstrap peer"), 1);
    conn_up(1, 1, false, 0); /* another peer found us */
    fail_dials(60);
    assert_int_equal(notes_with("no bootstrap peer is connected"), 1);
    conn_up(BOOT, BOOT, false, 0);
    fail_dials(10);
    assert_int_equal(notes_with("a bootstrap peer is connected"), 1);
    event(NET_EV_CONN_DOWN, BOOT, BOOT);
    conn_up(BOOT + 1, BOOT, false, 0); /* a moment later it is back: not worth a line */
    fail_dials(10);
    assert_int_equal(notes_with("bootstrap peer is connected"), 0);
}

/* A stranger that comes and goes without end fills no disk: so many lines, then one that says how many were left out. */
static void test_coding_leaves_out_lines_that_strangers_cause(void **state)
{
    unsigned lines = 0;

    f.now += 100 * SEC;
    for (unsigned i = 0; i < 300; i++) {
        conn_up(1 + i, 1, false, 0);
        event(NET_EV_CONN_DOWN, 1 + i, 1);
        poll_some();
        lines += notes_with("connected"); /* "disconnected" too */
    }
    assert_in_range(lines, 150, 300);
    assert_true(f.r.peer_notes_left_out >= 600 - lines);
    f.now += 10 * SEC;
    conn_up(1000, 1, false, 0);
    poll_some();
    assert_int_equal(notes_with("some were left out"), 1);
}

static void test_coding_resolves_a_named_bootstrap_and_dials_it(void **state)
{
    struct peer_id boot = id_of(BOOT);
    struct xresolved *a;
    unsigned asked = 0, dials = 0;
    struct xmsg m, back = {.type = X_RESOLVED};
    uint8_t ip[4] = {10, 0, 0, 7};

    for (unsigned i = 0; i < 40; i++) {
        f.now += SEC / 2;
        poll_some();
        while (xring_pop_sc(&f.to_control, &m)) {
            if (m.type == X_RESOLVE) {
                asked++;
                a = calloc(1, sizeof(*a));
                a->index = m.name->index;
                snprintf(a->reason, sizeof(a->reason), "no such name");
                if (asked == 3) {
                    a->count = 1;
                    multiaddr_of_tcp(&a->addrs[0], ip, 4, 7070, &boot);
                }
                back.resolved = a;
                assert_true(xring_push_sp(&f.from_control, &back));
            }
            drop_msg(&m);
        }
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_DIAL && peer_id_is_equal(&m.dial->expect, &boot) && dials++ == 0) {
                assert_int_equal(asked, 3);
                conn_up(1, BOOT, true, m.dial->token);
            }
            drop_msg(&m);
        }
    }
    assert_int_equal(dials, 1);
    assert_int_equal(asked, 3); /* connected: nobody asks any more */
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_coding_keeps_one_of_two_connections_of_its_own_kind),
        TEST(test_coding_leaves_both_connections_of_other_kinds),
        TEST(test_coding_goes_on_when_the_move_of_its_stream_fails),
        TEST(test_coding_trims_to_its_limit_but_never_the_bootstrap),
        TEST(test_coding_turns_newcomers_away_when_it_is_full),
        TEST(test_coding_closes_a_peer_that_is_of_no_use),
        TEST(test_coding_finds_peers_by_the_dht),
        TEST(test_coding_answers_the_dht),
        TEST(test_coding_asks_the_dht_when_there_is_room_again),
        TEST(test_coding_bounds_the_connections_that_a_few_identities_use_up),
        TEST(test_coding_bounds_how_often_a_peer_says_who_it_is),
        TEST(test_coding_dials_whom_peer_exchange_names),
        TEST(test_coding_says_once_what_it_waits_for),
        TEST(test_coding_leaves_out_lines_that_strangers_cause),
        cmocka_unit_test_setup_teardown(test_coding_resolves_a_named_bootstrap_and_dials_it, setup_named, teardown),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
