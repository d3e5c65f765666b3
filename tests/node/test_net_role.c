/* test_net_role.c: a net role between its rings and a peer on a cable in memory, with a clock of its own */
#include "testing.h"

#include "drivers/mempair.h"
#include "eal_testing.h"
#include "libp2p/peer_record.h"
#include "node/net_role.h"

#define STEP_NS 20000ull
#define TURNS   200000 /* four seconds of the cable's time */

static const char *const protocols[] = {"/meshsub/1.2.0", NULL};

struct end {
    struct key_pair key;
    struct noise_identity noise;
    struct session_local local;
    struct rng rng;
};

static struct fix {
    struct mempair *cable;
    struct xdoor door;
    struct xring to_coding, from_coding;
    struct net_role r;
    struct net *peer;
    struct end end[2];
    uint64_t now;
    unsigned peer_frames;
    unsigned told, told_addrs; /* what the peer heard by identify, and how often */
    uint64_t told_seq;
} f;

static void config(struct net_config *c, unsigned i)
{
    static const char *const ip[] = {"10.1.0.10/24", "10.1.0.11/24"};
    uint8_t seed[ED25519_SEED_BYTES] = {(uint8_t)(i + 1)};
    struct end *e = &f.end[i];

    rng_init_seeded(&e->rng, i + 1);
    key_pair_from_seed(&e->key, seed);
    noise_identity_init(&e->noise, &e->key, &e->rng);
    e->local = (struct session_local){.version = 1, .agent = "test", .protocols = protocols, .nprotocols = 1};
    *c = (struct net_config){.driver = NET_MEMPAIR, .addr = ip[i], .listen_port = 7070, .port = mempair_port(f.cable, i),
                             .identity = &e->noise, .local = &e->local, .protocols = {protocols[0]}, .rng = &e->rng};
}

static int setup(void **state)
{
    const struct mempair_config cable = {.has_csum = true};
    struct net_config c;
    char err[256], why[512];

    (void)state;
    f = (struct fix){.now = 1000000000ull, .cable = mempair_new(&cable)};
    assert_non_null(f.cable);
    assert_int_equal(xdoor_init(&f.door), 0);
    assert_int_equal(xring_init(&f.to_coding, "nr_out", 64, &f.door), 0);
    assert_int_equal(xring_init(&f.from_coding, "nr_in", 64, &f.door), 0);
    config(&c, 0);
    if (net_role_init(&f.r, &c, f.now, err, why))
        fail_msg("%s", err);
    f.r.to_coding.ring = &f.to_coding;
    f.r.from_coding = &f.from_coding;
    config(&c, 1);
    f.peer = net_new(&c, f.now, err, why);
    assert_non_null(f.peer);
    return 0;
}

static int teardown(void **state)
{
    static const struct xout none;
    struct xmsg m;

    (void)state;
    net_role_settle(&f.r, &none);
    while (xring_pop_sc(&f.to_coding, &m))
        if (m.type == X_EVENT) {
            net_identity_free(m.event->identity);
            free(m.event);
        }
    net_free(f.peer);
    net_role_fini(&f.r);
    mempair_free(f.cable);
    xring_fini(&f.to_coding);
    xring_fini(&f.from_coding);
    xdoor_fini(&f.door);
    for (int i = 0; i < 2; i++) {
        noise_identity_fini(&f.end[i].noise);
        key_pair_fini(&f.end[i].key);
    }
    return 0;
}

static void heard(const struct net_identity *id)
{
    struct peer_record rec;

    f.told++;
    f.told_addrs = id->naddrs;
    f.told_seq = id->record && peer_record_open(slice_of(id->record->data, id->record->len), &rec) == 0 ? rec.seq : 0;
}

static void turn(void)
{
    struct net_event ev;

    f.now += STEP_NS;
    net_role_poll(&f.r, f.now);
    net_poll(f.peer, f.now);
    while (net_next_event(f.peer, &ev)) {
        f.peer_frames += ev.type == NET_EV_RPC;
        if (ev.type == NET_EV_RPC)
            buf_unref(ev.frame);
        if (ev.identity)
            heard(ev.identity);
        net_identity_free(ev.identity);
    }
}

static void command(const struct xmsg *m)
{
    assert_true(xring_push_sp(&f.from_coding, m));
}

/* Turns until an event of this type comes; others are passed over. */
static struct net_event wait_for(enum net_event_type type)
{
    struct xmsg m;

    for (int i = 0; i < TURNS; i++) {
        turn();
        while (xring_pop_sc(&f.to_coding, &m)) {
            struct net_event ev = {0};
            bool is_it = m.type == X_EVENT && m.event->type == type;
            if (m.type != X_EVENT)
                continue;
            ev = *m.event;
            net_identity_free(m.event->identity);
            free(m.event);
            if (is_it)
                return ev;
        }
    }
    fail_msg("no event %d", type);
    return (struct net_event){0};
}

/* Some turns in which no event but of upkeep may come. */
static void expect_no(enum net_event_type type)
{
    struct xmsg m;

    for (int i = 0; i < 1000; i++) {
        turn();
        while (xring_pop_sc(&f.to_coding, &m))
            if (m.type == X_EVENT) {
                assert_int_not_equal(m.event->type, type);
                net_identity_free(m.event->identity);
                free(m.event);
            }
    }
}

static void dial(uint64_t token, uint8_t last)
{
    const uint8_t ip[4] = {10, 1, 0, last};
    struct xdial *d = calloc(1, sizeof(*d));
    struct xmsg m = {.type = X_DIAL, .dial = d};

    assert_non_null(d);
    multiaddr_of_tcp(&d->addr, ip, 4, 7070, NULL);
    d->token = token;
    command(&m);
}

static net_conn_id connected(void)
{
    struct net_event ev;

    dial(7, 11);
    ev = wait_for(NET_EV_CONN_UP);
    assert_int_equal(ev.token, 7);
    assert_true(ev.is_dialer && ev.conn != 0);
    return ev.conn;
}

/* The answer to a stream that net refuses is that it is closed, or the coding role would wait for it for ever. */
static void test_net_role_answers_a_refused_open(void **state)
{
    net_conn_id conn = connected();
    struct xmsg open = {.type = X_PUBSUB_OPEN, .conn = conn};
    struct net_event ev;

    (void)state;
    command(&open);
    ev = wait_for(NET_EV_PUBSUB_READY);
    assert_true(ev.conn == conn);
    command(&open); /* one stands already */
    ev = wait_for(NET_EV_PUBSUB_CLOSED);
    assert_true(ev.conn == conn);
    expect_no(NET_EV_PUBSUB_CLOSED); /* once */
}

/* Of a connection that is gone its end tells, nothing else. */
static void test_net_role_is_silent_about_a_connection_that_is_gone(void **state)
{
    struct xmsg open = {.type = X_PUBSUB_OPEN, .conn = connected()};
    struct xmsg close = {.type = X_CLOSE, .conn = open.conn, .number = 0};

    (void)state;
    command(&close);
    command(&open);
    assert_true(wait_for(NET_EV_CONN_DOWN).conn == open.conn);
    command(&open);
    expect_no(NET_EV_PUBSUB_CLOSED);
}

static void test_net_role_answers_a_dial_that_cannot_begin(void **state)
{
    struct net_event ev;

    (void)state;
    dial(9, 10); /* ourselves */
    ev = wait_for(NET_EV_DIAL_FAILED);
    assert_int_equal(ev.token, 9);
    assert_non_null(ev.reason);
}

static unsigned lent_home(struct buf *b)
{
    struct xmsg m;
    unsigned n = 0;

    while (xring_pop_sc(&f.to_coding, &m))
        if (m.type == X_SENT_HOME)
            for (unsigned i = 0; i < m.homes.count; i++) {
                assert_ptr_equal(m.homes.buf[i], b);
                n++;
            }
        else if (m.type == X_EVENT) {
            net_identity_free(m.event->identity);
            free(m.event);
        }
    return n;
}

/* One buffer lent three times, to a peer and to nobody: it comes home three times. */
static void test_net_role_gives_back_what_it_was_lent(void **state)
{
    struct buf *b = buf_new(1000);
    struct xmsg open = {.type = X_PUBSUB_OPEN, .conn = connected()};
    struct xmsg send = {.type = X_SEND, .conn = open.conn, .send = {.piece = {{b, 0, 600}, {b, 100, 500}}, .count = 2}};
    struct xmsg lost = {.type = X_SEND, .conn = open.conn + (1 << 16), .send = {.piece = {{b, 0, 10}}, .count = 1}};
    unsigned home = 0;

    (void)state;
    memset(b->data, 5, 1000);
    command(&open);
    wait_for(NET_EV_PUBSUB_READY);
    command(&send);
    command(&lost);
    for (int i = 0; i < TURNS && (home < 3 || f.peer_frames < 1); i++) {
        turn();
        home += lent_home(b);
    }
    assert_int_equal(home, 3);
    assert_int_equal(f.peer_frames, 1);
    assert_int_equal(f.r.send_no_conn, 1);
    assert_int_equal(b->refs, 1); /* their counts are the coding role's: nobody here touched them */
    buf_unref(b);
}

static void test_net_role_fills_its_part_of_a_snapshot(void **state)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    struct xmsg m = {.type = X_SNAPSHOT, .snapshot = s};

    (void)state;
    assert_non_null(s);
    connected();
    command(&m);
    turn();
    do
        assert_true(xring_pop_sc(&f.to_coding, &m));
    while (m.type != X_SNAPSHOT && (m.type != X_EVENT || (net_identity_free(m.event->identity), free(m.event), true)));
    assert_ptr_equal(m.snapshot, s);
    assert_int_equal(s->net.conns_out, 1);
    assert_int_equal(s->nets[0].conns, 1);
    assert_int_equal(s->nrings, 2); /* of the second it is the consumer */
    assert_string_equal(s->rings[0].name, "nr_out");
    assert_string_equal(s->rings[1].name, "nr_in");
    assert_true(s->rings[1].popped > 0);
    assert_true(s->rings[0].pushed > 0 && s->listen.len > 0 && s->driver[0]);
    free(s);
}

/* What we announce changes while we run: who is connected hears it by identify push, with the new record. */
static void test_net_role_pushes_what_it_announces_anew(void **state)
{
    (void)state;
    connected();
    for (int i = 0; i < TURNS && !f.told; i++)
        turn();
    assert_int_equal(f.told, 1);
    assert_int_equal(f.told_addrs, 0);
    for (unsigned round = 1; round <= 3; round++) {
        struct xself *x = calloc(1, sizeof(*x));
        struct xmsg m = {.type = X_SELF, .self = x}, ev;
        struct session_local l;

        assert_non_null(x);
        for (; x->naddrs < round; x->naddrs++)
            multiaddr_of_tcp(&x->addrs[x->naddrs], (uint8_t[]){203, 0, 113, (uint8_t)x->naddrs}, 4, 7070, NULL);
        l = (struct session_local){.addrs = x->addrs, .naddrs = x->naddrs};
        assert_int_equal(self_record_make(&l, &f.end[0].key, 1000 + round, x->record), 0);
        x->record_len = (uint32_t)l.record.len;
        command(&m);
        for (int i = 0; i < TURNS && f.told == round; i++) {
            turn();
            while (xring_pop_sc(&f.to_coding, &ev))
                if (ev.type == X_EVENT) {
                    net_identity_free(ev.event->identity);
                    free(ev.event);
                }
        }
        assert_int_equal(f.told, round + 1);
        assert_int_equal(f.told_addrs, round);
        assert_int_equal(f.told_seq, 1000 + round);
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_net_role_answers_a_refused_open),
        TEST(test_net_role_is_silent_about_a_connection_that_is_gone),
        TEST(test_net_role_answers_a_dial_that_cannot_begin),
        TEST(test_net_role_gives_back_what_it_was_lent),
        TEST(test_net_role_fills_its_part_of_a_snapshot),
        TEST(test_net_role_pushes_what_it_announces_anew),
    };

    return cmocka_run_group_tests(tests, eal_for_tests, NULL);
}
