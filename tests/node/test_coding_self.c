/* test_coding_self.c: what the coding role has identify say, as peers tell where they see us */
#include "testing.h"

#include "coding_fix.h"
#include "eal_testing.h"
#include "libp2p/peer_record.h"

static const uint8_t own_ip[4] = {192, 168, 0, 5}, seen_ip[4] = {203, 0, 113, 9};
static struct multiaddr own;

static void behind_nat(struct coding_config *cc)
{
    multiaddr_of_tcp(&own, own_ip, 4, 7070, NULL);
    cc->addrs = &own;
    cc->naddrs = 1;
    cc->finds_addrs = true;
    cc->listen_port = 7070;
    cc->record_seq = UINT64_MAX / 2; /* a clock that was far ahead when the node started */
}

static void told_what_to_announce(struct coding_config *cc)
{
    behind_nat(cc);
    cc->finds_addrs = false;
}

static int setup_finding(void **state)
{
    return setup_with(behind_nat);
}

static int setup_told(void **state)
{
    return setup_with(told_what_to_announce);
}

static void push(struct net_event *ev)
{
    struct xmsg m = {.type = X_EVENT, .event = ev, .conn = ev->conn};

    assert_true(xring_push_sp(&f.from_net, &m));
}

/* Peer n, which dialed us, from a network of its own. */
static void peer_comes(unsigned n)
{
    uint8_t key[32] = {(uint8_t)n, 9}, ip[4] = {8, 8, (uint8_t)n, 1};
    struct net_event *ev = calloc(1, sizeof(*ev));

    assert_non_null(ev);
    *ev = (struct net_event){.type = NET_EV_CONN_UP, .conn = n};
    peer_id_from_ed25519(&ev->peer, key);
    multiaddr_of_tcp(&ev->addr, ip, 4, 4001, NULL);
    push(ev);
}

static void peer_says(unsigned n, const uint8_t ip[4])
{
    struct net_event *ev = calloc(1, sizeof(*ev));

    assert_non_null(ev);
    *ev = (struct net_event){.type = NET_EV_IDENTIFIED, .conn = n, .identity = calloc(1, sizeof(*ev->identity))};
    assert_non_null(ev->identity);
    snprintf(ev->identity->agent, sizeof(ev->identity->agent), "go-libp2p");
    if (ip)
        multiaddr_of_tcp(&ev->identity->observed, ip, 4, 7070, NULL);
    push(ev);
}

/* Two seconds of polls; the last X_SELF among what was sent, in *x. How many there were. */
static unsigned selves(struct xself *x)
{
    struct xmsg m;
    unsigned n = 0;

    for (unsigned second = 0; second < 2; second++) {
        f.now += 1000000000ull;
        poll_some();
        while (xring_pop_sc(&f.to_net, &m)) {
            if (m.type == X_SELF) {
                *x = *m.self;
                n++;
            }
            drop_msg(&m);
        }
    }
    return n;
}

static uint64_t check_record(const struct xself *x, unsigned naddrs)
{
    struct peer_record rec;

    assert_int_equal(peer_record_open(slice_of(x->record, x->record_len), &rec), 0);
    assert_true(peer_id_is_equal(&rec.id, &f.r.cfg.self));
    assert_int_equal(rec.naddrs, naddrs);
    assert_int_equal(x->naddrs, naddrs);
    for (unsigned i = 0; i < naddrs; i++)
        assert_true(slice_is_equal(rec.addrs[i], multiaddr_slice(&x->addrs[i])));
    return rec.seq;
}

static void test_coding_announces_what_several_groups_confirm(void **state)
{
    static struct xself x;
    struct multiaddr want;
    uint64_t seq, later;

    multiaddr_of_tcp(&want, seen_ip, 4, 7070, NULL);
    for (unsigned n = 1; n <= OBSERVED_CONFIRM; n++) {
        assert_int_equal(selves(&x), 0);
        peer_comes(n);
        peer_says(n, seen_ip);
    }
    assert_int_equal(selves(&x), 1);
    seq = check_record(&x, 2);
    assert_true(seq > UINT64_MAX / 2); /* above the first, whatever the clock says now */
    assert_true(slice_is_equal(multiaddr_slice(&x.addrs[0]), multiaddr_slice(&own)));
    assert_true(slice_is_equal(multiaddr_slice(&x.addrs[1]), multiaddr_slice(&want)));
    assert_int_equal(f.r.cfg.naddrs, 2); /* the DHT's answers too */
    for (unsigned n = 1; n <= OBSERVED_CONFIRM; n++)
        peer_says(n, NULL); /* a push that does not say */
    assert_int_equal(selves(&x), 0);
    for (unsigned n = 1; n <= OBSERVED_CONFIRM; n++)
        event(NET_EV_CONN_DOWN, n, n);
    assert_int_equal(selves(&x), 0);
    f.now += OBSERVED_TTL_NS;
    assert_int_equal(selves(&x), 1); /* nobody says so any more */
    later = check_record(&x, 1);
    assert_true(later > seq);
}

static void test_coding_announces_the_listener_once(void **state)
{
    static struct xself x;

    for (unsigned n = 1; n <= OBSERVED_CONFIRM; n++) {
        uint8_t key[32] = {(uint8_t)n, 9}, ip[4] = {10, 0, (uint8_t)n, 1};
        struct net_event *ev = calloc(1, sizeof(*ev));

        *ev = (struct net_event){.type = NET_EV_CONN_UP, .conn = n};
        peer_id_from_ed25519(&ev->peer, key);
        multiaddr_of_tcp(&ev->addr, ip, 4, 4001, NULL);
        push(ev);
        peer_says(n, own_ip);
    }
    assert_int_equal(selves(&x), 0); /* nothing new to say */
    assert_int_equal(f.r.nown, 1);
    assert_int_equal(f.r.observed.nbelieved, 1);
}

static void test_coding_announces_what_it_was_told_to(void **state)
{
    static struct xself x;

    for (unsigned n = 1; n <= 2 * OBSERVED_CONFIRM; n++) {
        peer_comes(n);
        peer_says(n, seen_ip);
    }
    assert_int_equal(selves(&x), 0);
    assert_int_equal(f.r.nown, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_coding_announces_what_several_groups_confirm, setup_finding, teardown),
        cmocka_unit_test_setup_teardown(test_coding_announces_the_listener_once, setup_finding, teardown),
        cmocka_unit_test_setup_teardown(test_coding_announces_what_it_was_told_to, setup_told, teardown),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
