#include "testing.h"

#include "libp2p/peer_record.h"
#include "node/self_record.h"

static const uint8_t seed[32] = {7};

static void addresses(struct multiaddr *a, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t ip[4] = {10, 0, 0, (uint8_t)(i + 1)};
        multiaddr_of_tcp(&a[i], ip, 4, 6060, NULL);
    }
}

static void test_self_record_names_our_addresses_under_our_key(void **state)
{
    struct multiaddr a[3];
    struct session_local l = {.addrs = a, .naddrs = 3};
    struct key_pair key;
    struct peer_id self;
    struct peer_record r;
    uint8_t out[SELF_RECORD_MAX];

    addresses(a, 3);
    key_pair_from_seed(&key, seed);
    key_pair_peer_id(&key, &self);
    assert_int_equal(self_record_make(&l, &key, 1234567890123456789ull, out), 0);
    assert_int_equal(peer_record_open(l.record, &r), 0);
    assert_int_equal(r.seq, 1234567890123456789ull);
    assert_true(peer_id_is_equal(&r.id, &self));
    assert_int_equal(r.naddrs, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(slice_is_equal(r.addrs[i], multiaddr_slice(&a[i])));
}

static void test_self_record_is_absent_without_addresses(void **state)
{
    struct session_local l = {.record = slice_of("old", 3)};
    struct key_pair key;
    uint8_t out[SELF_RECORD_MAX];

    key_pair_from_seed(&key, seed);
    assert_int_equal(self_record_make(&l, &key, 1, out), -1);
    assert_int_equal(l.record.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self_record_names_our_addresses_under_our_key),
        cmocka_unit_test(test_self_record_is_absent_without_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
