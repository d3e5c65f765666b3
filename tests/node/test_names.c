#include "testing.h"

#include "base/timerq.h"
#include "node/dnsaddr.h"
#include "node/names.h"

#define SEC 1000000000ull
#define ID_TEXT "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

static bool connected;
static unsigned looked;

static bool is_connected(void *user, const struct peer_id *peer)
{
    looked++;
    return connected;
}

static struct multiaddr parse(const char *text)
{
    struct multiaddr a;

    assert_int_equal(multiaddr_parse(&a, slice_str(text)), 0);
    return a;
}

static void make(struct names *s, struct rng *rng)
{
    struct multiaddr list[] = {
        parse("/ip4/10.0.0.1/tcp/7070/p2p/" ID_TEXT),
        parse("/dns4/a.example/tcp/7070/p2p/" ID_TEXT),
        parse("/dnsaddr/b.example"),
    };
    struct peer_id self = {0};

    self.len = 1;
    rng_init_seeded(rng, 1);
    connected = false;
    names_init(s, list, 3, &self, rng, 5 * SEC);
}

static void test_names_takes_those_that_are_no_addresses(void **state)
{
    struct names s;
    struct rng rng;

    make(&s, &rng);
    assert_int_equal(s.count, 2);
    assert_int_equal(names_take(&s, is_connected, NULL, 4 * SEC), -1);
    assert_int_equal(names_take(&s, is_connected, NULL, 5 * SEC), 0);
    assert_int_equal(names_take(&s, is_connected, NULL, 5 * SEC), 1);
    assert_int_equal(names_take(&s, is_connected, NULL, 5 * SEC), -1); /* one question each */
    assert_int_equal(s.n[1].peer.len, 0);
}

static void test_names_are_resolved_again_less_and_less_often(void **state)
{
    struct names s;
    struct rng rng;
    uint64_t now = 5 * SEC, wait = 0;

    make(&s, &rng);
    s.count = 1;
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(names_take(&s, is_connected, NULL, now), 0);
        names_done(&s, 0, now);
        wait = names_next_deadline(&s) - now;
        if (i == 0)
            assert_true(wait <= NAMES_FIRST_NS && wait >= NAMES_FIRST_NS * 3 / 4);
        now += wait;
    }
    assert_true(wait <= NAMES_MAX_NS && wait >= NAMES_MAX_NS * 3 / 4);
}

/* While the peer is there nobody asks; once it is gone the back-off begins anew. */
static void test_names_rest_while_their_peer_is_connected(void **state)
{
    struct names s;
    struct rng rng;
    uint64_t now = 5 * SEC;

    make(&s, &rng);
    s.count = 1;
    for (unsigned i = 0; i < 8; i++) {
        now = names_next_deadline(&s);
        assert_int_equal(names_take(&s, is_connected, NULL, now), 0);
        names_done(&s, 0, now);
    }
    connected = true;
    now += 100 * SEC;
    assert_int_equal(names_take(&s, is_connected, NULL, now), -1);
    assert_true(names_next_deadline(&s) > now); /* no busy loop */
    connected = false;
    now += 100 * SEC;
    assert_int_equal(names_take(&s, is_connected, NULL, now), 0);
    names_done(&s, 0, now);
    assert_true(names_next_deadline(&s) <= now + NAMES_FIRST_NS);
}

static void test_names_ask_again_when_no_answer_comes(void **state)
{
    struct names s;
    struct rng rng;

    make(&s, &rng);
    s.count = 1;
    assert_int_equal(names_take(&s, is_connected, NULL, 5 * SEC), 0);
    assert_int_equal(names_take(&s, is_connected, NULL, 5 * SEC + NAMES_ASKED_NS), 0);
    names_done(&s, 7, 0); /* of nobody */
}

static void test_dnsaddr_reads_records(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {
        {"dnsaddr=/ip4/10.0.0.1/tcp/7070/p2p/" ID_TEXT, true},
        {"dnsaddr=/dns4/x.example/tcp/7070/p2p/" ID_TEXT, true},
        {"dnsaddr=/dnsaddr/other.example", true},
        {"dnsaddr=/dnsaddr/other.example/p2p/" ID_TEXT, true},
        {"dnsaddr=/ip4/10.0.0.1/tcp/7070", false}, /* of nobody */
        {"dnsaddr=/ip4/10.0.0.1/udp/7070/quic-v1/p2p/" ID_TEXT, false},
        {"dnsaddr=/ip4/10.0.0.1/tcp/7070/p2p/12D3KooWEhpNEBsrCbm4ZDvXMLeGj6aP5dMLLhJPWvAWEoyFKpM5", false}, /* of another */
        {"dnsaddr=", false},
        {"dnsaddr=nonsense", false},
        {"v=spf1 -all", false},
        {"", false},
    };
    struct multiaddr a = parse("/ip4/10.0.0.1/tcp/1/p2p/" ID_TEXT), out;
    struct multiaddr_target t;
    char query[DNSADDR_QUERY_MAX];
    char longest[300];

    assert_int_equal(multiaddr_target(multiaddr_slice(&a), &t), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t len = 0; len <= strlen(rows[i].text); len++) { /* each truncation: good or refused, never past the end */
            char *cut = malloc(len + 1);
            memcpy(cut, rows[i].text, len);
            bool is_good = dnsaddr_record(slice_of(cut, len), &t.peer, &out);
            if (len == strlen(rows[i].text))
                assert_int_equal(is_good, rows[i].is_good);
            free(cut);
        }
    assert_true(dnsaddr_query(slice_str("boot.example"), query));
    assert_string_equal(query, "_dnsaddr.boot.example");
    memset(longest, 'a', sizeof(longest));
    assert_false(dnsaddr_query(slice_of(longest, 254), query));
    assert_false(dnsaddr_query(slice_of(longest, 0), query));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_takes_those_that_are_no_addresses),
        cmocka_unit_test(test_names_are_resolved_again_less_and_less_often),
        cmocka_unit_test(test_names_rest_while_their_peer_is_connected),
        cmocka_unit_test(test_names_ask_again_when_no_answer_comes),
        cmocka_unit_test(test_dnsaddr_reads_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
