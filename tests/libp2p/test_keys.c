#include "vec.h"

#include "base/pb.h"
#include "libp2p/keys.h"

static void test_key_pair_replays_vectors(void **state)
{
    json_t *root = vec_load("keys.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes seed = vec_hex(v, "seed"), priv = vec_hex(v, "private_protobuf"),
                     pub = vec_hex(v, "public_protobuf");
        struct bytes message = vec_hex(v, "message"), want = vec_hex(v, "signature"),
                     mh = vec_hex(v, "peer_id_multihash");
        struct key_pair made, read;
        struct public_key key, of_peer;
        struct peer_id id, id2;
        uint8_t out[128], sig[KEY_SIGNATURE_MAX];

        key_pair_from_seed(&made, seed.p);
        assert_slice(slice_of(out, (size_t)key_pair_encode(&made, out, sizeof(out))), bytes_slice(priv));
        assert_slice(slice_of(out, (size_t)key_pair_encode_public(&made, out, sizeof(out))),
                     bytes_slice(pub));
        assert_int_equal(key_pair_decode(&read, bytes_slice(priv)), 0);
        assert_memory_equal(&read.ed25519, &made.ed25519, sizeof(made.ed25519));
        assert_slice(slice_of(sig, key_pair_sign(&read, bytes_slice(message), sig)), bytes_slice(want));
        key_pair_peer_id(&read, &id);
        assert_slice(peer_id_slice(&id), bytes_slice(mh));

        assert_int_equal(public_key_decode(&key, bytes_slice(pub)), 0);
        assert_int_equal(key.type, KEY_ED25519);
        public_key_peer_id(&key, &id2);
        assert_true(peer_id_is_equal(&id, &id2));
        assert_slice(slice_of(out, (size_t)public_key_encode(&key, out, sizeof(out))), bytes_slice(pub));
        assert_int_equal(public_key_of_peer(&of_peer, &id), 0);
        assert_int_equal(public_key_verify(&of_peer, bytes_slice(message), bytes_slice(want)), 0);
        assert_int_equal(public_key_check_peer(&key, bytes_slice(pub), &id), 0);
        message.p[0] ^= 1;
        assert_int_equal(public_key_verify(&key, bytes_slice(message), bytes_slice(want)), -KEY_ESIGNATURE);
        free(seed.p), free(priv.p), free(pub.p), free(message.p), free(want.p), free(mh.p);
    }
    json_decref(root);
}

/* The old form: seed, public key, and the public key again. */
static void test_key_pair_reads_96_bytes(void **state)
{
    struct rng rng;
    struct key_pair made, read;
    uint8_t data[96], pb[128];

    rng_init_seeded(&rng, 1);
    key_pair_init(&made, &rng);
    memcpy(data, made.ed25519.seed, 32);
    memcpy(data + 32, made.ed25519.public, 32);
    memcpy(data + 64, made.ed25519.public, 32);
    for (unsigned k = 0; k < 97; k++) {
        struct wr w = wr_of(pb, sizeof(pb));
        if (k < 96)
            data[k] ^= 0x10;
        pb_put_varint(&w, 1, KEY_ED25519);
        pb_put_bytes(&w, 2, slice_of(data, 96));
        assert_int_equal(key_pair_decode(&read, slice_of(pb, w.len)), k < 96 ? -KEY_EMISMATCH : 0);
        if (k < 96)
            data[k] ^= 0x10;
    }
    assert_memory_equal(&read.ed25519, &made.ed25519, sizeof(made.ed25519));
}

static void test_key_types_are_known_by_name(void **state)
{
    static const struct {
        unsigned type;
        const char *name;
        int decode, verify;
        size_t len;
    } table[] = {
        {KEY_RSA, "RSA", 0, -KEY_EKEY, 294},
        {KEY_ED25519, "Ed25519", 0, -KEY_ESIGNATURE, 32},
        {KEY_ED25519, "Ed25519", -KEY_ELENGTH, 0, 31},
        {KEY_ED25519, "Ed25519", -KEY_ELENGTH, 0, 33},
        {KEY_SECP256K1, "Secp256k1", 0, -KEY_EKEY, 33},
        {KEY_SECP256K1, "Secp256k1", -KEY_ELENGTH, 0, 65}, /* uncompressed: not what ids are made of */
        {KEY_ECDSA, "ECDSA", 0, -KEY_EKEY, 91},
        {4, "unknown", -KEY_ETYPE, 0, 32},
        {KEY_RSA, "RSA", -KEY_ELENGTH, 0, KEY_ENCODED_MAX},
    };
    static const uint8_t zero[KEY_ENCODED_MAX];

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint8_t pb[KEY_ENCODED_MAX + 16], sig[64] = {0};
        struct wr w = wr_of(pb, sizeof(pb));
        struct public_key key;
        struct key_pair pair;
        struct peer_id id;

        assert_string_equal(key_type_name((enum key_type)table[i].type), table[i].name);
        pb_put_varint(&w, 1, table[i].type);
        pb_put_bytes(&w, 2, slice_of(zero, table[i].len));
        assert_int_equal(public_key_decode(&key, slice_of(pb, w.len)), table[i].decode);
        if (table[i].type != KEY_ED25519)
            assert_true(key_pair_decode(&pair, slice_of(pb, w.len)) < 0);
        if (table[i].decode)
            continue;
        public_key_peer_id(&key, &id);
        assert_int_equal(id.bytes[0],
                         table[i].len > 38 ? 0x12 : 0); /* hashed when longer than 42 bytes encoded */
        assert_int_equal(public_key_verify(&key, SLICE_LIT("m"), slice_of(sig, 64)), table[i].verify);
    }
}

static void test_public_key_of_hashed_peer_is_not_there(void **state)
{
    uint8_t pb[100] = {0x08, 0x00, 0x12, 96};
    struct public_key key;
    struct peer_id id;

    peer_id_from_key(&id, slice_of(pb, sizeof(pb)));
    assert_int_equal(public_key_of_peer(&key, &id), -KEY_ENOKEY);
    assert_int_equal(public_key_check_peer(&key, slice_of(pb, sizeof(pb)), &id), 0);
    pb[50] ^= 1;
    assert_int_equal(public_key_check_peer(&key, slice_of(pb, sizeof(pb)), &id), -KEY_EMISMATCH);
}

static void test_keys_refuse_truncations_and_flips(void **state)
{
    struct rng rng;
    struct key_pair made, read;
    struct public_key key;
    uint8_t priv[68], pub[36];

    rng_init_seeded(&rng, 2);
    key_pair_init(&made, &rng);
    assert_int_equal(key_pair_encode(&made, priv, sizeof(priv)), sizeof(priv));
    assert_int_equal(key_pair_encode(&made, priv, sizeof(priv) - 1), -KEY_ELENGTH);
    assert_int_equal(key_pair_encode(&made, priv, sizeof(priv)), sizeof(priv));
    assert_int_equal(key_pair_encode_public(&made, pub, sizeof(pub)), sizeof(pub));
    for (size_t n = 0; n < sizeof(priv); n++) {
        struct bytes cut = vec_copy(slice_of(priv, n));
        assert_true(key_pair_decode(&read, bytes_slice(cut)) < 0);
        free(cut.p);
    }
    for (size_t n = 0; n < sizeof(pub); n++) {
        struct bytes cut = vec_copy(slice_of(pub, n));
        assert_true(public_key_decode(&key, bytes_slice(cut)) < 0);
        free(cut.p);
    }
    for (size_t bit = 0; bit < sizeof(priv) * 8; bit++) {
        priv[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(key_pair_decode(&read, slice_of(priv, sizeof(priv))) < 0);
        priv[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_pair_replays_vectors),
        cmocka_unit_test(test_key_pair_reads_96_bytes),
        cmocka_unit_test(test_key_types_are_known_by_name),
        cmocka_unit_test(test_public_key_of_hashed_peer_is_not_there),
        cmocka_unit_test(test_keys_refuse_truncations_and_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
