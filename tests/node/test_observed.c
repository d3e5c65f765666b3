#include "testing.h"

#include "base/timerq.h"
#include "node/observed.h"

#define NOW 1000000000ull

static struct observed o;

static int setup(void **state)
{
    observed_init(&o, 7070);
    return 0;
}

static struct peer_id peer(unsigned n)
{
    uint8_t key[32] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

/* Peer n at `theirs` says it sees us at `ours`. */
static void said(unsigned n, const char *theirs, bool is_dialer, const char *ours)
{
    struct multiaddr from, addr = {0};
    struct peer_id who = peer(n);

    assert_int_equal(multiaddr_parse(&from, slice_str(theirs)), 0);
    if (*ours)
        assert_int_equal(multiaddr_parse(&addr, slice_str(ours)), 0);
    observed_said(&o, &who, &from, is_dialer, &addr, NOW);
}

static void said_from(unsigned n, unsigned net, const char *ours)
{
    char from[64];

    snprintf(from, sizeof(from), "/ip4/8.8.%u.%u/tcp/4001", net, n % 200 + 1);
    said(n, from, false, ours);
}

static const char *believed(unsigned i)
{
    static char text[MULTIADDR_TEXT_MAX];
    struct multiaddr a;

    assert_true(i < o.nbelieved);
    observed_format(&o, i, &a);
    assert_true(multiaddr_format(multiaddr_slice(&a), text, sizeof(text)) > 0);
    return text;
}

static void test_observed_believes_several_groups(void **state)
{
    for (unsigned i = 0; i < OBSERVED_CONFIRM; i++) {
        assert_false(observed_update(&o, NOW));
        said_from(i, i, "/ip4/203.0.113.9/tcp/7070");
    }
    assert_true(observed_update(&o, NOW));
    assert_int_equal(o.nbelieved, 1);
    assert_string_equal(believed(0), "/ip4/203.0.113.9/tcp/7070");
    assert_false(observed_update(&o, NOW)); /* nothing new */
}

static void test_observed_does_not_believe_one_group(void **state)
{
    for (unsigned i = 0; i < 50; i++)
        said_from(i, 7, "/ip4/203.0.113.9/tcp/7070");
    assert_int_equal(o.count, OBSERVED_GROUP_MAX);
    assert_int_equal(o.refused, 50 - OBSERVED_GROUP_MAX);
    for (unsigned i = 50; i < 50 + OBSERVED_CONFIRM - 2; i++)
        said_from(i, i, "/ip4/203.0.113.9/tcp/7070");
    assert_false(observed_update(&o, NOW)); /* one group short */
    said_from(99, 99, "/ip4/203.0.113.9/tcp/7070/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"); /* as js says it */
    assert_true(observed_update(&o, NOW));
}

/* The port of a connection that we made is no port of ours. */
static void test_observed_by_those_we_dialed_gives_the_ip(void **state)
{
    char from[64], ours[64];

    for (unsigned i = 0; i < OBSERVED_CONFIRM; i++) {
        snprintf(from, sizeof(from), "/ip4/9.9.%u.1/tcp/4001", i);
        snprintf(ours, sizeof(ours), "/ip4/203.0.113.9/tcp/%u", 40000 + i);
        said(i, from, true, ours);
    }
    assert_true(observed_update(&o, NOW));
    assert_string_equal(believed(0), "/ip4/203.0.113.9/tcp/7070");
}

static void test_observed_ports_of_those_who_dialed_must_agree(void **state)
{
    char ours[64];

    for (unsigned i = 0; i < OBSERVED_CONFIRM; i++) {
        snprintf(ours, sizeof(ours), "/ip4/203.0.113.9/tcp/%u", 40000 + i);
        said_from(i, i, ours);
    }
    assert_false(observed_update(&o, NOW));
}

static void test_observed_refuses_what_cannot_be(void **state)
{
    static const struct {
        const char *from, *ours;
        bool is_taken;
    } table[] = {
        {"/ip4/8.8.1.1/tcp/1", "/ip4/203.0.113.9/tcp/7070", true},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/127.0.0.1/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/10.0.0.1/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/192.168.0.1/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/0.0.0.0/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/224.0.0.1/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/169.254.1.1/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/203.0.113.9/tcp/0", false},
        {"/ip4/8.8.1.1/tcp/1", "/dns4/a.example/tcp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "/ip4/203.0.113.9/udp/7070", false},
        {"/ip4/8.8.1.1/tcp/1", "", false},
        {"/ip4/10.1.1.1/tcp/1", "/ip4/10.0.0.1/tcp/7070", true},
        {"/ip4/10.1.1.1/tcp/1", "/ip4/127.0.0.1/tcp/7070", false},
        {"/ip4/127.0.0.2/tcp/1", "/ip4/127.0.0.1/tcp/7070", true},
        {"/ip6/2001:db8::1/tcp/1", "/ip6/2001:db8::2/tcp/7070", true},
        {"/ip6/2001:db8::1/tcp/1", "/ip6/::1/tcp/7070", false},
        {"/ip6/2001:db8::1/tcp/1", "/ip6/fe80::1/tcp/7070", false},
        {"/ip6/2001:db8::1/tcp/1", "/ip6/ff02::1/tcp/7070", false},
        {"/ip6/2001:db8::1/tcp/1", "/ip6/fd00::1/tcp/7070", false},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        observed_init(&o, 7070);
        said(1, table[i].from, false, table[i].ours);
        if ((o.count == 1) != table[i].is_taken)
            fail_msg("%s by %s", table[i].ours, table[i].from);
    }
}

static void test_observed_words_change_and_end(void **state)
{
    struct peer_id who;

    for (unsigned i = 0; i < OBSERVED_CONFIRM; i++)
        said_from(i, i, "/ip4/203.0.113.9/tcp/7070");
    assert_true(observed_update(&o, NOW));
    for (unsigned i = 0; i < OBSERVED_CONFIRM - 2; i++) /* moved: some see us elsewhere now */
        said_from(i, i, "/ip4/203.0.113.10/tcp/7070");
    assert_int_equal(o.count, OBSERVED_CONFIRM);
    assert_false(observed_update(&o, NOW)); /* two still say the old one, two the new one */
    said_from(2, 2, "/ip4/203.0.113.10/tcp/7070");
    assert_true(observed_update(&o, NOW));
    assert_int_equal(o.nbelieved, 0);
    said_from(3, 3, "/ip4/203.0.113.10/tcp/7070");
    assert_true(observed_update(&o, NOW));
    assert_string_equal(believed(0), "/ip4/203.0.113.10/tcp/7070");
    for (unsigned i = 0; i < OBSERVED_CONFIRM; i++) {
        who = peer(i);
        observed_gone(&o, &who, NOW);
    }
    assert_false(observed_update(&o, NOW + OBSERVED_TTL_NS - 1));
    assert_true(observed_update(&o, NOW + OBSERVED_TTL_NS));
    assert_int_equal(o.nbelieved, 0);
    assert_int_equal(o.count, 0);
}

/* Nobody crowds the table out: the connected keep their places, and the gone make way, oldest first. */
static void test_observed_table_is_bounded(void **state)
{
    struct peer_id who;

    for (unsigned i = 0; i < OBSERVED_MAX + 100; i++) {
        char from[64];
        snprintf(from, sizeof(from), "/ip4/8.%u.%u.1/tcp/1", i >> 8, i & 255);
        said(i, from, false, "/ip4/203.0.113.9/tcp/7070");
    }
    assert_int_equal(o.count, OBSERVED_MAX);
    assert_int_equal(o.refused, 100);
    who = peer(5);
    observed_gone(&o, &who, NOW);
    said(5000, "/ip4/9.9.9.9/tcp/1", false, "/ip4/203.0.113.10/tcp/7070");
    assert_int_equal(o.count, OBSERVED_MAX);
    assert_int_equal(o.refused, 100);
    observed_gone(&o, &who, NOW); /* not there any more */
    assert_true(observed_update(&o, NOW));
    assert_int_equal(o.nbelieved, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_observed_believes_several_groups, setup),
        cmocka_unit_test_setup(test_observed_does_not_believe_one_group, setup),
        cmocka_unit_test_setup(test_observed_by_those_we_dialed_gives_the_ip, setup),
        cmocka_unit_test_setup(test_observed_ports_of_those_who_dialed_must_agree, setup),
        cmocka_unit_test_setup(test_observed_refuses_what_cannot_be, setup),
        cmocka_unit_test_setup(test_observed_words_change_and_end, setup),
        cmocka_unit_test_setup(test_observed_table_is_bounded, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
