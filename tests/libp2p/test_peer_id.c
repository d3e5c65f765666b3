#include "vec.h"

#include "crypto/sha256.h"
#include "libp2p/keys.h"
#include "libp2p/multibase.h"
#include "libp2p/peer_id.h"

static void test_peer_id_replays_vectors(void **state)
{
    json_t *root = vec_load("keys.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes public = vec_hex(v, "public_raw"), pb = vec_hex(v, "public_protobuf");
        struct bytes mh = vec_hex(v, "peer_id_multihash");
        const char *forms[] = {"peer_id_base58btc", "peer_id_cidv1_base32", "peer_id_cidv1_base36"};
        struct peer_id a, b;
        struct slice key;
        char text[PEER_ID_TEXT_MAX];

        peer_id_from_ed25519(&a, public.p);
        peer_id_from_key(&b, bytes_slice(pb));
        assert_true(peer_id_is_equal(&a, &b));
        assert_slice(peer_id_slice(&a), bytes_slice(mh));
        assert_int_equal(peer_id_from_bytes(&b, bytes_slice(mh)), 0);
        assert_true(peer_id_is_equal(&a, &b));
        assert_int_equal(peer_id_format(&a, text), strlen(vec_str(v, "peer_id_base58btc")));
        assert_string_equal(text, vec_str(v, "peer_id_base58btc"));
        for (size_t f = 0; f < 3; f++) {
            assert_int_equal(peer_id_parse(&b, slice_str(vec_str(v, forms[f]))), 0);
            assert_true(peer_id_is_equal(&a, &b));
        }
        assert_int_equal(peer_id_key(&a, &key), 0);
        assert_slice(key, bytes_slice(pb));
        free(public.p), free(pb.p), free(mh.p);
    }
    json_decref(root);
}

/* Each of them in base58btc; as peer ids only SHA-256 and short identity hashes. */
static void test_peer_id_takes_only_its_two_multihashes(void **state)
{
    json_t *root = vec_load("multihash.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes mh = vec_hex(v, "multihash");
        const char *text = vec_str(v, "base58btc"), *name = vec_str(v, "name");
        uint8_t raw[256];
        char back[512];
        struct peer_id id;
        bool is_good =
            strcmp(name, "sha2-256") == 0 || (strcmp(name, "identity") == 0 && mh.len > 2 && mh.len <= 44);

        assert_int_equal(base58_decode(raw, sizeof(raw), slice_str(text)), mh.len);
        assert_memory_equal(raw, mh.p, mh.len);
        assert_int_equal(base58_encode(back, sizeof(back), bytes_slice(mh)), strlen(text));
        assert_string_equal(back, text);
        assert_int_equal(peer_id_from_bytes(&id, bytes_slice(mh)), is_good ? 0 : -PEER_ID_EHASH);
        free(mh.p);
    }
    json_decref(root);
}

static void test_peer_id_hashes_long_keys(void **state)
{
    uint8_t pb[43] = {0x08, 0x00}, digest[32];
    struct peer_id id, again;
    struct slice key;
    char text[PEER_ID_TEXT_MAX];

    peer_id_from_key(&id, slice_of(pb, 42));
    assert_int_equal(id.len, 44);
    assert_int_equal(peer_id_key(&id, &key), 0);
    peer_id_format(&id, text);
    assert_int_equal(peer_id_parse(&again, slice_str(text)), 0);
    assert_true(peer_id_is_equal(&id, &again));

    peer_id_from_key(&id, slice_of(pb, 43));
    sha256_of(slice_of(pb, 43), digest);
    assert_int_equal(id.len, 34);
    assert_memory_equal(id.bytes + 2, digest, 32);
    peer_id_format(&id, text);
    assert_int_equal(text[0] == 'Q' && text[1] == 'm', 1);
    assert_int_equal(peer_id_parse(&again, slice_str(text)), 0);
    assert_true(peer_id_is_equal(&id, &again));
    assert_int_equal(peer_id_key(&id, &key), -PEER_ID_EKEY);
}

static void test_peer_id_refuses_bad_text(void **state)
{
    static const struct {
        const char *in;
        int want;
    } table[] = {
        {"", -PEER_ID_EFORMAT},
        {"1", -PEER_ID_EFORMAT},
        {"notapeer", -PEER_ID_EFORMAT},
        {"12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkB0",
         -PEER_ID_EFORMAT}, /* 0 is not in the alphabet */
        {"12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkB", -PEER_ID_EHASH},
        {"12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkBmm", -PEER_ID_EHASH},
        {"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1", -PEER_ID_EHASH},
        {"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
         -PEER_ID_EFORMAT}, /* a raw block, no key */
        {"bafzaa", -PEER_ID_EHASH},
        {"k", -PEER_ID_EFORMAT},
        {"b!", -PEER_ID_EFORMAT},
    };
    struct peer_id id;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (peer_id_parse(&id, slice_str(table[i].in)) != table[i].want)
            fail_msg("%s: %s", table[i].in, peer_id_err_name(peer_id_parse(&id, slice_str(table[i].in))));
    assert_int_equal(peer_id_parse(&id, slice_of(NULL, 0)), -PEER_ID_EFORMAT);
}

/* Every prefix of an id's bytes is refused. One of its text may happen to be another, shorter id, and is then that. */
static void test_peer_id_refuses_truncations(void **state)
{
    static const char text[] = "12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkBm";
    struct peer_id id, out;

    assert_int_equal(peer_id_parse(&id, slice_str(text)), 0);
    for (size_t n = 0; n < id.len; n++) {
        struct bytes cut = vec_copy(slice_of(id.bytes, n));
        assert_int_equal(peer_id_from_bytes(&out, bytes_slice(cut)), -PEER_ID_EHASH);
        free(cut.p);
    }
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct bytes cut = vec_copy(slice_of(text, n));
        if (peer_id_parse(&out, bytes_slice(cut)) == 0) {
            char back[PEER_ID_TEXT_MAX];
            assert_slice(slice_of(back, peer_id_format(&out, back)), bytes_slice(cut));
        }
        free(cut.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_id_replays_vectors),
        cmocka_unit_test(test_peer_id_takes_only_its_two_multihashes),
        cmocka_unit_test(test_peer_id_hashes_long_keys),
        cmocka_unit_test(test_peer_id_refuses_bad_text),
        cmocka_unit_test(test_peer_id_refuses_truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
