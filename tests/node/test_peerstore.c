#include "testing.h"

#include "base/timerq.h"
#include "libp2p/peer_record.h"
#include "node/peerstore.h"

#define SEC 1000000000ull

static const uint8_t seed[16];

static struct peer_id id_of(unsigned i)
{
    uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8), 1};
    struct peer_id id;

    peer_id_from_ed25519(&id, key);
    return id;
}

static struct peerstore *make(void)
{
    struct peerstore *s = calloc(1, sizeof(*s));
    struct peer_id self = id_of(0);

    peerstore_init(s, &self, false, seed);
    return s;
}

static void drop(struct peerstore *s)
{
    peerstore_fini(s);
    free(s);
}

static bool add(struct peerstore *s, unsigned who, const char *text, enum peerstore_source source, uint64_t now)
{
    struct peer_id id = id_of(who);
    struct multiaddr a;

    assert_int_equal(multiaddr_parse(&a, slice_str(text)), 0);
    return peerstore_add_addr(s, &id, multiaddr_slice(&a), source, now);
}

static void test_peerstore_keeps_what_can_be_dialed_alone(void **state)
{
    struct peerstore *s = make();
    struct peer_id self = id_of(0), one = id_of(1), two = id_of(2);
    struct multiaddr a;

    assert_true(add(s, 1, "/ip4/10.0.0.1/tcp/7070", PEERSTORE_DHT, 0));
    assert_true(add(s, 1, "/ip6/2001:db8::1/tcp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/ip4/10.0.0.1/udp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/dns4/example.org/tcp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/ip4/10.0.0.1/tcp/0", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/ip4/0.0.0.0/tcp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/ip4/224.0.0.1/tcp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 1, "/ip4/127.0.0.1/tcp/7070", PEERSTORE_DHT, 0)); /* our own host's */
    assert_false(add(s, 1, "/ip6/::1/tcp/7070", PEERSTORE_DHT, 0));
    assert_false(add(s, 0, "/ip4/10.0.0.1/tcp/7070", PEERSTORE_DHT, 0)); /* ourselves */
    multiaddr_of_tcp(&a, (const uint8_t *)"\x0a\0\0\2", 4, 7070, &two);
    assert_false(peerstore_add_addr(s, &one, multiaddr_slice(&a), PEERSTORE_DHT, 0)); /* says that it is another's */
    assert_int_equal(peerstore_find(s, &one)->naddrs, 2);
    assert_null(peerstore_find(s, &self));
    s->has_loopback = true;
    assert_true(add(s, 1, "/ip4/127.0.0.1/tcp/7070", PEERSTORE_DHT, 0));
    drop(s);
}

static void test_peerstore_hearsay_expires_and_what_was_seen_stays_longer(void **state)
{
    struct peerstore *s = make();
    struct peer_id id = id_of(1);
    struct multiaddr out[8];

    add(s, 1, "/ip4/10.0.0.1/tcp/7070", PEERSTORE_DHT, 0);
    add(s, 1, "/ip4/10.0.0.2/tcp/7070", PEERSTORE_SEEN, 0);
    assert_int_equal(peerstore_addrs(s, &id, out, 8, SEC), 2);
    assert_int_equal(peerstore_addrs(s, &id, out, 1, SEC), 1); /* the proven one first */
    assert_int_equal(out[0].bytes[4], 2);
    assert_int_equal(peerstore_addrs(s, &id, out, 8, PEERSTORE_HEARD_NS), 1);
    add(s, 1, "/ip4/10.0.0.1/tcp/7070", PEERSTORE_DHT, PEERSTORE_HEARD_NS); /* heard again */
    assert_int_equal(peerstore_addrs(s, &id, out, 8, PEERSTORE_HEARD_NS + SEC), 2);
    assert_int_equal(peerstore_addrs(s, &id, out, 8, PEERSTORE_SEEN_NS), 0);
    assert_true(peerstore_due_ns(peerstore_find(s, &id), PEERSTORE_SEEN_NS) == TIMER_NEVER);
    drop(s);
}

/* Eight are kept; a better source takes the place of a worse, never the other way round. */
static void test_peerstore_bounds_the_addresses_of_a_peer(void **state)
{
    struct peerstore *s = make();
    struct peer_id id = id_of(1);
    char text[64];

    for (unsigned i = 1; i <= 100; i++) {
        snprintf(text, sizeof(text), "/ip4/10.0.0.%u/tcp/7070", i);
        assert_int_equal(add(s, 1, text, PEERSTORE_DHT, 0), i <= PEERSTORE_ADDRS);
    }
    assert_true(add(s, 1, "/ip4/10.1.0.1/tcp/7070", PEERSTORE_BOOTSTRAP, 0));
    assert_int_equal(peerstore_find(s, &id)->naddrs, PEERSTORE_ADDRS);
    assert_int_equal(peerstore_due_addr(peerstore_find(s, &id), 0)->source, PEERSTORE_BOOTSTRAP);
    drop(s);
}

static void test_peerstore_a_flood_of_hearsay_drives_out_nobody_who_was_seen(void **state)
{
    struct peerstore *s = make();
    struct peer_id seen = id_of(1), boot = id_of(2), last = id_of(10000);

    add(s, 1, "/ip4/10.0.0.1/tcp/7070", PEERSTORE_SEEN, 0);
    add(s, 2, "/ip4/10.0.0.2/tcp/7070", PEERSTORE_BOOTSTRAP, 0);
    peerstore_find(s, &boot)->is_protected = true;
    for (unsigned i = 10; i <= 10000; i++)
        add(s, i, "/ip4/10.0.0.3/tcp/7070", PEERSTORE_DHT, i);
    assert_int_equal(s->count, PEERSTORE_MAX);
    assert_non_null(peerstore_find(s, &seen));
    assert_non_null(peerstore_find(s, &boot));
    assert_non_null(peerstore_find(s, &last));
    for (unsigned i = 0; i < s->count; i++)
        s->all[i]->conns = 1; /* everyone connected: no place at all */
    struct peer_id more = id_of(20000);
    assert_null(peerstore_get(s, &more, PEERSTORE_SEEN, 0));
    assert_int_equal(s->refused, 1);
    drop(s);
}

static void test_peerstore_takes_a_newer_signed_record_and_no_older(void **state)
{
    static const uint8_t key_seed[ED25519_SEED_BYTES] = {5};
    struct peerstore *s = make();
    uint8_t one[1024], two[1024];
    struct multiaddr a, b, out[8];
    struct peer_id id, other = id_of(9);
    struct slice addr;
    struct key_pair key;
    ssize_t n1, n2;

    assert_int_equal(multiaddr_parse(&a, slice_str("/ip4/10.0.0.1/tcp/7070")), 0);
    assert_int_equal(multiaddr_parse(&b, slice_str("/ip4/10.0.0.2/tcp/7070")), 0);
    key_pair_from_seed(&key, key_seed);
    key_pair_peer_id(&key, &id);
    addr = multiaddr_slice(&a);
    n1 = peer_record_seal(&key, 7, &addr, 1, one, sizeof(one));
    addr = multiaddr_slice(&b);
    n2 = peer_record_seal(&key, 8, &addr, 1, two, sizeof(two));
    assert_true(n1 > 0 && n2 > 0);
    assert_int_equal(peerstore_add_record(s, &other, slice_of(one, (size_t)n1), 0), -1); /* of another than said */
    assert_int_equal(peerstore_add_record(s, &id, slice_of(two, (size_t)n2), 0), 0);
    assert_int_equal(peerstore_add_record(s, &id, slice_of(one, (size_t)n1), 0), 0); /* older: nothing changes */
    assert_int_equal(peerstore_find(s, &id)->record_seq, 8);
    assert_int_equal(peerstore_addrs(s, &id, out, 8, 0), 1);
    assert_int_equal(out[0].bytes[4], 2);
    two[n2 - 1] ^= 1;
    assert_int_equal(peerstore_add_record(s, &id, slice_of(two, (size_t)n2), 0), -1); /* forged */
    key_pair_fini(&key);
    drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peerstore_keeps_what_can_be_dialed_alone),
        cmocka_unit_test(test_peerstore_hearsay_expires_and_what_was_seen_stays_longer),
        cmocka_unit_test(test_peerstore_bounds_the_addresses_of_a_peer),
        cmocka_unit_test(test_peerstore_a_flood_of_hearsay_drives_out_nobody_who_was_seen),
        cmocka_unit_test(test_peerstore_takes_a_newer_signed_record_and_no_older),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
