/* Keys that go, js and rust made, of every type, in each place where a peer's key counts. */
#include "vec.h"

#include "base/pb.h"
#include "libp2p/keyfile.h"
#include "libp2p/noise_payload.h"
#include "libp2p/peer_record.h"

static json_t *root;

static bool has(json_t *v, const char *key)
{
    return json_object_get(v, key) != NULL;
}

static enum key_type type_of(json_t *v)
{
    unsigned t = 0;

    while (t <= KEY_ECDSA && strcmp(key_type_name((enum key_type)t), vec_str(v, "type")) != 0)
        t++;
    assert_true(t <= KEY_ECDSA);
    return (enum key_type)t;
}

static void test_key_types_verify_and_name_their_peers(void **state)
{
    unsigned seen = 0;
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes pub = vec_hex(v, "public_protobuf"), m = vec_hex(v, "message"), sig = vec_hex(v, "signature");
        struct peer_id id, named;
        struct public_key key;

        assert_int_equal(public_key_decode(&key, bytes_slice(pub)), 0);
        assert_int_equal(key.type, type_of(v));
        seen |= 1u << key.type;
        public_key_peer_id(&key, &id);
        assert_int_equal(peer_id_parse(&named, slice_str(vec_str(v, "peer_id_base58btc"))), 0);
        assert_true(peer_id_is_equal(&id, &named));
        assert_int_equal(public_key_check_peer(&key, bytes_slice(pub), &named), 0);
        assert_int_equal(public_key_verify(&key, bytes_slice(m), bytes_slice(sig)), 0);
        m.p[0] ^= 1;
        assert_int_equal(public_key_verify(&key, bytes_slice(m), bytes_slice(sig)), -KEY_ESIGNATURE);
        for (size_t n = 0; n < pub.len; n++) { /* a cut protobuf, and a cut key in a whole one */
            struct bytes cut = vec_copy(slice_of(pub.p, n));
            uint8_t pb[KEY_ENCODED_MAX];
            struct wr w = wr_of(pb, sizeof(pb));
            assert_true(public_key_decode(&key, bytes_slice(cut)) < 0);
            free(cut.p);
            pb_put_varint(&w, 1, type_of(v));
            pb_put_bytes(&w, 2, slice_of(pub.p + pub.len - n, n > 5 ? n - 5 : 0));
            cut = vec_copy(slice_of(pb, w.len));
            if (public_key_decode(&key, bytes_slice(cut)) == 0)
                assert_true(public_key_verify(&key, bytes_slice(m), bytes_slice(sig)) < 0);
            free(cut.p);
        }
        free(pub.p), free(m.p), free(sig.p);
    }
    assert_int_equal(seen, 0xf);
}

static void test_key_types_refused_are_named_but_not_believed(void **state)
{
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, "refused"), i, v)
    {
        struct bytes pub = vec_hex(v, "public_protobuf"), m = vec_hex(v, "message"), sig = vec_hex(v, "signature");
        struct public_key key;

        assert_int_equal(public_key_decode(&key, bytes_slice(pub)), 0);
        assert_int_equal(public_key_verify(&key, bytes_slice(m), bytes_slice(sig)), -KEY_EKEY);
        free(pub.p), free(m.p), free(sig.p);
    }
    assert_true(i >= 3);
}

static void test_key_types_noise_payloads(void **state)
{
    unsigned done = 0;
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        if (!has(v, "noise_identity_sig"))
            continue;
        struct bytes pub = vec_hex(v, "public_protobuf"), st = vec_hex(v, "noise_static_key"), sig = vec_hex(v, "noise_identity_sig");
        uint8_t out[NOISE_HANDSHAKE_MAX - NOISE_MESSAGE3_MIN_BYTES]; /* what fits a handshake message */
        struct wr w = wr_of(out, sizeof(out));
        struct noise_peer peer;
        struct peer_id named;

        pb_put_bytes(&w, 1, bytes_slice(pub));
        pb_put_bytes(&w, 2, bytes_slice(sig));
        assert_false(w.bad);
        assert_int_equal(noise_payload_consume(slice_of(out, w.len), st.p, false, &peer), 0);
        assert_int_equal(peer_id_parse(&named, slice_str(vec_str(v, "peer_id_base58btc"))), 0);
        assert_true(peer_id_is_equal(&peer.id, &named));
        st.p[5] ^= 1;
        assert_int_equal(noise_payload_consume(slice_of(out, w.len), st.p, false, &peer), -NOISE_ESIGNATURE);
        done++;
        free(pub.p), free(st.p), free(sig.p);
    }
    assert_true(done >= 10);
}

static void test_key_types_peer_records(void **state)
{
    unsigned done = 0;
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        if (!has(v, "peer_record"))
            continue;
        struct bytes env = vec_hex(v, "peer_record");
        struct peer_record rec;
        struct peer_id named;

        assert_int_equal(peer_record_open(bytes_slice(env), &rec), 0);
        assert_int_equal(peer_id_parse(&named, slice_str(vec_str(v, "peer_id_base58btc"))), 0);
        assert_true(peer_id_is_equal(&rec.id, &named));
        assert_int_equal(rec.seq, json_integer_value(vec_get(v, "peer_record_seq")));
        assert_int_equal(rec.naddrs, 1);
        env.p[env.len - 1] ^= 1;
        assert_true(peer_record_open(bytes_slice(env), &rec) < 0);
        done++;
        free(env.p);
    }
    assert_true(done >= 10);
}

/* Secp256k1 nonces are RFC 6979's everywhere: our signature is theirs, byte for byte. */
static void test_key_pair_secp256k1_signs_as_others_do(void **state)
{
    unsigned done = 0;
    json_t *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        if (type_of(v) != KEY_SECP256K1)
            continue;
        struct bytes priv = vec_hex(v, "private_protobuf"), pub = vec_hex(v, "public_protobuf"), m = vec_hex(v, "message"),
                     sig = vec_hex(v, "signature");
        uint8_t out[128], file[KEYFILE_MAX];
        struct key_pair k, again;
        struct peer_id id, named;
        struct public_key of_peer;
        char text[PEER_ID_TEXT_MAX];
        ssize_t n;

        assert_int_equal(key_pair_decode(&k, bytes_slice(priv)), 0);
        assert_slice(slice_of(out, (size_t)key_pair_encode(&k, out, sizeof(out))), bytes_slice(priv));
        assert_slice(slice_of(out, (size_t)key_pair_encode_public(&k, out, sizeof(out))), bytes_slice(pub));
        assert_slice(slice_of(out, key_pair_sign(&k, bytes_slice(m), out)), bytes_slice(sig));
        key_pair_peer_id(&k, &id);
        peer_id_format(&id, text);
        assert_string_equal(text, vec_str(v, "peer_id_base58btc"));
        assert_memory_equal(text, "16Uiu2", 6);
        assert_int_equal(public_key_of_peer(&of_peer, &id), 0); /* the id holds the key */
        assert_int_equal(public_key_verify(&of_peer, bytes_slice(m), bytes_slice(sig)), 0);
        n = keyfile_format(&k, file, sizeof(file));
        assert_true(n > 0);
        assert_int_equal(keyfile_parse(&again, slice_of(file, (size_t)n), NULL), 0);
        key_pair_peer_id(&again, &named);
        assert_true(peer_id_is_equal(&id, &named));
        for (size_t cut = 0; cut < priv.len; cut++) {
            struct bytes part = vec_copy(slice_of(priv.p, cut));
            assert_true(key_pair_decode(&again, bytes_slice(part)) < 0);
            free(part.p);
        }
        memset(priv.p + 4, 0, 32); /* no secret */
        assert_int_equal(key_pair_decode(&again, bytes_slice(priv)), -KEY_EKEY);
        done++;
        free(priv.p), free(pub.p), free(m.p), free(sig.p);
    }
    assert_true(done >= 4);
}

static void test_key_pair_made_of_each_own_type(void **state)
{
    static const enum key_type types[] = {KEY_ED25519, KEY_SECP256K1};
    struct rng rng;

    rng_init_seeded(&rng, 3);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t pb[KEY_OWN_PRIVATE_PB_MAX], pub[KEY_OWN_PUBLIC_PB_MAX], sig[KEY_SIGNATURE_MAX], st[32] = {1}, payload[NOISE_OUT_MAX];
        struct noise_identity identity;
        struct noise_peer peer;
        struct public_key key;
        struct key_pair k, again;
        struct peer_id id;
        ssize_t n;

        key_pair_init_type(&k, types[i], &rng);
        assert_int_equal(k.type, types[i]);
        n = key_pair_encode(&k, pb, sizeof(pb));
        assert_true(n > 0);
        assert_int_equal(key_pair_decode(&again, slice_of(pb, (size_t)n)), 0);
        assert_memory_equal(&k, &again, sizeof(k));
        n = key_pair_encode_public(&k, pub, sizeof(pub));
        assert_true(n > 0);
        assert_int_equal(public_key_decode(&key, slice_of(pub, (size_t)n)), 0);
        assert_int_equal(public_key_verify(&key, SLICE_LIT("m"), slice_of(sig, key_pair_sign(&k, SLICE_LIT("m"), sig))), 0);
        key_pair_peer_id(&k, &id);
        noise_identity_init(&identity, &k, &rng);
        memcpy(st, identity.static_key.public, 32);
        size_t len = noise_payload_create(&identity, true, payload, sizeof(payload));
        assert_int_equal(noise_payload_consume(slice_of(payload, len), st, true, &peer), 0);
        assert_true(peer_id_is_equal(&peer.id, &id));
        noise_identity_fini(&identity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_types_verify_and_name_their_peers),
        cmocka_unit_test(test_key_types_refused_are_named_but_not_believed),
        cmocka_unit_test(test_key_types_noise_payloads),
        cmocka_unit_test(test_key_types_peer_records),
        cmocka_unit_test(test_key_pair_secp256k1_signs_as_others_do),
        cmocka_unit_test(test_key_pair_made_of_each_own_type),
    };
    int rc;

    root = vec_load("key_types.json");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(root);
    return rc;
}
