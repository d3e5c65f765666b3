#include "vec.h"

#include "base/pb.h"
#include "libp2p/peer_record.h"

static const struct slice domain = SLICE_LIT("libp2p-peer-record");
static const struct slice type = SLICE_LIT("\x03\x01");

static size_t parse_addrs(json_t *texts, struct multiaddr *m, struct slice *out)
{
    json_t *t;
    size_t i;

    json_array_foreach(texts, i, t)
    {
        assert_int_equal(multiaddr_parse(&m[i], slice_str(json_string_value(t))), 0);
        out[i] = multiaddr_slice(&m[i]);
    }
    return json_array_size(texts);
}

static void test_peer_record_replays_vectors(void **state)
{
    json_t *root = vec_load("peer_record.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes seed = vec_hex(v, "seed"), want = vec_hex(v, "envelope"),
                     payload = vec_hex(v, "payload");
        uint64_t seq = strtoull(vec_str(v, "seq"), NULL, 10);
        struct multiaddr m[8];
        struct slice addrs[8], opened;
        size_t count = parse_addrs(vec_get(v, "addrs"), m, addrs);
        struct peer_record record;
        struct public_key signer;
        struct key_pair key;
        struct peer_id id;
        uint8_t out[ENVELOPE_MAX];

        key_pair_from_seed(&key, seed.p);
        assert_int_equal(envelope_open(bytes_slice(want), domain, type, &signer, &opened), 0);
        assert_slice(opened, bytes_slice(payload));
        assert_int_equal(peer_record_open(bytes_slice(want), &record), 0);
        assert_int_equal(peer_id_parse(&id, slice_str(vec_str(v, "peer_id"))), 0);
        assert_true(peer_id_is_equal(&record.id, &id));
        assert_true(record.seq == seq);
        assert_int_equal(record.naddrs, count);
        for (size_t a = 0; a < count; a++)
            assert_slice(record.addrs[a], addrs[a]);
        /* ours is theirs, byte for byte */
        assert_slice(slice_of(out, (size_t)peer_record_seal(&key, seq, addrs, count, out, sizeof(out))),
                     bytes_slice(want));
        for (size_t cap = 0; cap < want.len; cap += 13)
            assert_int_equal(peer_record_seal(&key, seq, addrs, count, out, cap), -ENVELOPE_ESPACE);
        free(seed.p), free(want.p), free(payload.p);
    }
    json_decref(root);
}

static struct bytes first_envelope(void)
{
    json_t *root = vec_load("peer_record.json");
    struct bytes b = vec_hex(json_array_get(vec_get(root, "vectors"), 1), "envelope");

    json_decref(root);
    return b;
}

static void test_peer_record_refuses_truncations_and_flips(void **state)
{
    struct bytes b = first_envelope();
    struct peer_record record = {.seq = 77};

    for (size_t n = 0; n < b.len; n++) {
        struct bytes cut = vec_copy(slice_of(b.p, n));
        assert_true(peer_record_open(bytes_slice(cut), &record) < 0);
        free(cut.p);
    }
    /* a flip that turns a tag into an unknown field, or a default's type, is found like all others */
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (peer_record_open(bytes_slice(b), &record) >= 0)
            fail_msg("bit %zu", bit);
        b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(record.seq == 77);
    free(b.p);
}

static void test_envelope_is_bound_to_domain_and_type(void **state)
{
    struct bytes b = first_envelope();
    struct public_key signer;
    struct slice payload;

    assert_int_equal(envelope_open(bytes_slice(b), SLICE_LIT("other-domain"), type, &signer, &payload),
                     -ENVELOPE_ESIGNATURE);
    assert_int_equal(envelope_open(bytes_slice(b), domain, SLICE_LIT("\x03\x02"), &signer, &payload),
                     -ENVELOPE_ETYPE);
    free(b.p);
}

/* Sealed with good keys, but not what a record may be. */
static void test_peer_record_refuses_good_envelopes_of_bad_records(void **state)
{
    struct key_pair ours, theirs;
    struct peer_id our_id, their_id;
    struct peer_record record;
    struct rng rng;
    uint8_t payload[256], out[1024];
    struct wr w;
    ssize_t n;

    rng_init_seeded(&rng, 1);
    key_pair_init(&ours, &rng);
    key_pair_init(&theirs, &rng);
    key_pair_peer_id(&ours, &our_id);
    key_pair_peer_id(&theirs, &their_id);

    w = wr_of(payload, sizeof(payload)); /* about somebody else */
    pb_put_bytes(&w, 1, peer_id_slice(&their_id));
    n = envelope_seal(&ours, domain, type, slice_of(payload, w.len), out, sizeof(out));
    assert_int_equal(peer_record_open(slice_of(out, (size_t)n), &record), -PEER_RECORD_ESIGNER);

    w = wr_of(payload, sizeof(payload)); /* about nobody */
    pb_put_varint(&w, 2, 5);
    n = envelope_seal(&ours, domain, type, slice_of(payload, w.len), out, sizeof(out));
    assert_int_equal(peer_record_open(slice_of(out, (size_t)n), &record), -PEER_RECORD_EFORMAT);

    n = envelope_seal(&ours, domain, type, SLICE_LIT("\x0a\x40"), out, sizeof(out));
    assert_int_equal(peer_record_open(slice_of(out, (size_t)n), &record), -PEER_RECORD_EFORMAT);

    w = wr_of(payload,
              sizeof(
                  payload)); /* seq absent is 0; an address we cannot read is dropped; unknown fields too */
    pb_put_bytes(&w, 1, peer_id_slice(&our_id));
    pb_put_bytes(&w, 3, SLICE_LIT("\x0a\x02\x7f\x7f"));
    pb_put_bytes(&w, 3, SLICE_LIT("\x0a\x08\x04\x7f\x00\x00\x01\x06\x0f\xa1"));
    pb_put_bytes(&w, 3, SLICE_LIT(""));
    pb_put_varint(&w, 9, 1);
    n = envelope_seal(&ours, domain, type, slice_of(payload, w.len), out, sizeof(out));
    assert_int_equal(peer_record_open(slice_of(out, (size_t)n), &record), 0);
    assert_true(record.seq == 0 && record.naddrs == 1 && record.dropped == 2);
}

static void test_peer_record_bounds_addresses(void **state)
{
    static const uint8_t ip[4] = {10, 0, 0, 1};
    struct slice addrs[100];
    struct multiaddr m;
    struct key_pair key;
    struct peer_record record;
    struct rng rng;
    uint8_t out[ENVELOPE_MAX], big[MULTIADDR_MAX] = {0};
    ssize_t n;

    rng_init_seeded(&rng, 1);
    key_pair_init(&key, &rng);
    multiaddr_of_tcp(&m, ip, 4, 1, NULL);
    for (size_t i = 0; i < 100; i++)
        addrs[i] = multiaddr_slice(&m);
    n = peer_record_seal(&key, 1, addrs, 100, out, sizeof(out));
    assert_int_equal(peer_record_open(slice_of(out, (size_t)n), &record), 0);
    assert_int_equal(record.naddrs, PEER_RECORD_ADDRS_MAX);
    assert_int_equal(record.dropped, 100 - PEER_RECORD_ADDRS_MAX);
    for (size_t i = 0; i < 100; i++)
        addrs[i] = slice_of(big, sizeof(big));
    assert_int_equal(peer_record_seal(&key, 1, addrs, 100, out, sizeof(out)), -ENVELOPE_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_record_replays_vectors),
        cmocka_unit_test(test_peer_record_refuses_truncations_and_flips),
        cmocka_unit_test(test_envelope_is_bound_to_domain_and_type),
        cmocka_unit_test(test_peer_record_refuses_good_envelopes_of_bad_records),
        cmocka_unit_test(test_peer_record_bounds_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
