#include "vec.h"

#include "libp2p/kad_wire.h"
#include "libp2p/multiaddr.h"

/* Message by message: what is in it, and that we write it byte for byte as js does. */
static void test_kad_wire_replays_vectors(void **state)
{
    static const struct {
        const char *name;
        enum kad_type type;
        unsigned closer, providers;
    } want[] = {
        {"find-node request", KAD_FIND_NODE, 0, 0}, {"find-node response", KAD_FIND_NODE, 2, 0},
        {"ping", KAD_PING, 0, 0},                   {"add-provider", KAD_ADD_PROVIDER, 0, 1},
        {"get-providers", KAD_GET_PROVIDERS, 0, 0}, {"get-value", KAD_GET_VALUE, 0, 0},
        {"put-value", KAD_PUT_VALUE, 0, 0},
    };
    json_t *root = vec_load("kad_dht.json"), *v;
    size_t i;

    assert_int_equal(json_array_size(vec_get(root, "vectors")), sizeof(want) / sizeof(want[0]));
    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes b = vec_hex(v, "hex");
        uint8_t out[KAD_MESSAGE_MAX];
        struct kad_msg m;

        assert_string_equal(vec_str(v, "name"), want[i].name);
        assert_int_equal(kad_decode(bytes_slice(b), &m), 0);
        assert_int_equal(m.type, want[i].type);
        assert_int_equal(m.ncloser, want[i].closer);
        assert_int_equal(m.nproviders, want[i].providers);
        assert_int_equal(m.dropped, 0);
        if (m.ncloser) {
            char text[MULTIADDR_TEXT_MAX];
            assert_int_equal(m.closer[0].connection, KAD_CONNECTED);
            assert_int_equal(m.closer[1].connection, KAD_CAN_CONNECT);
            assert_true(multiaddr_format(m.closer[1].addrs[0], text, sizeof(text)) > 0);
            assert_string_equal(text, "/ip4/127.0.0.1/tcp/4001");
        }
        assert_slice(slice_of(out, (size_t)kad_encode(&m, out, sizeof(out))), bytes_slice(b));
        assert_int_equal(kad_encode(&m, out, b.len - 1), -1);
        free(b.p);
    }
    json_decref(root);
}

/* Each truncation decodes or fails, and never reads past its end (a block of exactly that size). */
static void test_kad_wire_survives_each_truncation(void **state)
{
    json_t *root = vec_load("kad_dht.json"), *v;
    unsigned good = 0, bad = 0;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes b = vec_hex(v, "hex");
        for (size_t len = 0; len <= b.len; len++) {
            uint8_t *cut = malloc(len ? len : 1);
            struct kad_msg m;
            memcpy(cut, b.p, len);
            if (kad_decode(slice_of(cut, len), &m) == 0)
                good++;
            else
                bad++;
            free(cut);
        }
        free(b.p);
    }
    assert_true(good >= 14); /* at least the empty and the whole of each */
    assert_true(bad > good);
    json_decref(root);
}

static void test_kad_wire_refuses_what_is_over_a_limit(void **state)
{
    static uint8_t big[KAD_MESSAGE_MAX + 1];
    static const uint8_t type_six[] = {8, 6};
    uint8_t key[KAD_KEY_MAX + 4] = {0x12, 0x81, 0x02}; /* 257 bytes of key */
    struct kad_msg m;

    assert_int_equal(kad_decode(slice_of(big, sizeof(big)), &m), -1);
    assert_int_equal(kad_decode(slice_of(type_six, 2), &m), -1);
    assert_int_equal(kad_decode(slice_of(key, sizeof(key)), &m), -1);
    key[1] = 0x80;
    assert_int_equal(kad_decode(slice_of(key, KAD_KEY_MAX + 3), &m), 0);
    assert_int_equal(m.key.len, KAD_KEY_MAX);
}

/* 22 peers, one of them with an id that is none and one with ten addresses: 20 are kept, the rest is counted. */
static void test_kad_wire_drops_what_it_cannot_use(void **state)
{
    static const uint8_t addr[] = {4, 127, 0, 0, 1, 6, 0x0f, 0xa1};
    static uint8_t in[8192];
    struct kad_msg m = {.type = KAD_FIND_NODE};
    struct kad_peer *p = &m.closer[0];
    size_t len = 0;

    for (unsigned i = 0; i < 22; i++) {
        uint8_t key[32] = {(uint8_t)i, 1};
        m.ncloser = 1;
        *p = (struct kad_peer){.naddrs = 1};
        p->addrs[0] = slice_of(addr, sizeof(addr));
        peer_id_from_ed25519(&p->id, key);
        if (i == 3)
            p->id.bytes[0] = 0x77;
        len += (size_t)kad_encode(&m, in + len, sizeof(in) - len);
    }
    assert_int_equal(kad_decode(slice_of(in, len), &m), 0);
    assert_int_equal(m.ncloser, KAD_PEERS_MAX);
    assert_int_equal(m.dropped, 2);
    assert_int_equal(m.closer[3].id.bytes[6], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kad_wire_replays_vectors),
        cmocka_unit_test(test_kad_wire_survives_each_truncation),
        cmocka_unit_test(test_kad_wire_refuses_what_is_over_a_limit),
        cmocka_unit_test(test_kad_wire_drops_what_it_cannot_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
