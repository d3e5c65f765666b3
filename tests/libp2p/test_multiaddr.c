#include "vec.h"

#include "base/wr.h"
#include "libp2p/multiaddr.h"

static void assert_text(struct slice bytes, const char *want)
{
    char text[MULTIADDR_TEXT_MAX];
    ssize_t n = multiaddr_format(bytes, text, sizeof(text));

    if (n < 0)
        fail_msg("%s: %s", want, multiaddr_err_name((int)n));
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
}

static void assert_parts(struct slice bytes, json_t *components)
{
    struct rd r = rd_of(bytes);
    struct multiaddr_part part;
    size_t count = 0;

    while (multiaddr_next(&r, &part) > 0)
        assert_int_equal(part.code, json_integer_value(vec_get(json_array_get(components, count++), "code")));
    assert_int_equal(count, json_array_size(components));
}

static void test_multiaddr_replays_vectors(void **state)
{
    json_t *root = vec_load("multiaddr.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes want = vec_hex(v, "hex");
        struct multiaddr m, again;

        assert_int_equal(multiaddr_parse(&m, slice_str(vec_str(v, "text"))), 0);
        assert_slice(multiaddr_slice(&m), bytes_slice(want));
        assert_text(bytes_slice(want), vec_str(v, "canonical"));
        assert_int_equal(multiaddr_from_bytes(&again, bytes_slice(want)), 0);
        assert_slice(multiaddr_slice(&again), bytes_slice(want));
        assert_parts(bytes_slice(want), vec_get(v, "components"));
        free(want.p);
    }
    json_decref(root);
}

static void test_multiaddr_accepts_the_texts_that_js_accepts(void **state)
{
    json_t *root = vec_load("multiaddr.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "parse_text"), i, v)
    {
        struct multiaddr m;
        int rc = multiaddr_parse(&m, slice_str(vec_str(v, "text")));

        if ((rc == 0) != json_is_true(vec_get(v, "accepted")))
            fail_msg("\"%s\": %s", vec_str(v, "text"), multiaddr_err_name(rc));
        if (rc)
            continue;
        struct bytes want = vec_hex(v, "hex");
        assert_slice(multiaddr_slice(&m), bytes_slice(want));
        assert_text(bytes_slice(want), vec_str(v, "canonical"));
        free(want.p);
    }
    json_decref(root);
}

/* js takes a name whose bytes are missing; nobody else should. */
static void test_multiaddr_accepts_the_bytes_that_js_accepts(void **state)
{
    json_t *root = vec_load("multiaddr.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "parse_bytes"), i, v)
    {
        struct bytes in = vec_hex(v, "hex");
        bool is_short_name = strcmp(vec_str(v, "hex"), "36ff01") == 0;
        int rc = multiaddr_check(bytes_slice(in));

        assert_int_equal(rc == 0, json_is_true(vec_get(v, "accepted")) && !is_short_name);
        if (rc == 0)
            assert_text(bytes_slice(in), vec_str(v, "text"));
        if (is_short_name)
            assert_int_equal(rc, -MULTIADDR_ETRUNCATED);
        free(in.p);
    }
    json_decref(root);
}

#define ID "12D3KooWQCkBm1BYtkHpocxCwMgR8yjitEeHGx8spzcDLGt2gkBm"

static void test_multiaddr_names_what_is_wrong(void **state)
{
    static const struct {
        const char *in;
        int want;
    } table[] = {
        {"ip4/1.2.3.4", -MULTIADDR_EFORMAT},
        {"/ip4/1.2.3.4/tcp/7070/p2p/", -MULTIADDR_EMISSING},
        {"/ip4/1.2.3.4/tcp/7070/p2p", -MULTIADDR_EMISSING},
        {"/ip4/1.2.3.4/tcp/", -MULTIADDR_EMISSING},
        {"/ip5/1.2.3.4", -MULTIADDR_EPROTOCOL},
        {"/ip4/1.2.3", -MULTIADDR_EVALUE},
        {"/ip4/1.2.3.04", -MULTIADDR_EVALUE},
        {"/ip4/1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18", -MULTIADDR_EVALUE},
        {"/ip6/1.2.3.4", -MULTIADDR_EVALUE},
        {"/ip6/::1::", -MULTIADDR_EVALUE},
        {"/ip4/1.2.3.4/tcp/+1", -MULTIADDR_EVALUE},
        {"/ip4/1.2.3.4/tcp/0x10", -MULTIADDR_EVALUE},
        {"/ip4/1.2.3.4/tcp/000001", -MULTIADDR_EVALUE},
        {"/dns4/a b/tcp/1", -MULTIADDR_EVALUE},
        {"/dns4/a\nb/tcp/1", -MULTIADDR_EVALUE},
        {"/p2p/Qm", -MULTIADDR_EVALUE},
        {"/unix/%zz", -MULTIADDR_EVALUE},
        {"/unix/%4", -MULTIADDR_EVALUE},
        {"/onion/aaaa:80", -MULTIADDR_EVALUE},
        {"/certhash/b", -MULTIADDR_EVALUE},
        {"/ipcidr/256", -MULTIADDR_EVALUE},
        {"/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls/tls", -MULTIADDR_ETOOBIG},
    };
    struct multiaddr m = {.len = 7};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int rc = multiaddr_parse(&m, slice_str(table[i].in));
        if (rc != table[i].want)
            fail_msg("%s: %s", table[i].in, multiaddr_err_name(rc));
    }
    assert_int_equal(m.len, 7);
}

static void test_multiaddr_bounds_its_size(void **state)
{
    char text[1100] = "/dns4/";
    struct multiaddr m;

    memset(text + 6, 'a', 253);
    assert_int_equal(multiaddr_parse(&m, slice_str(text)), 0);
    assert_text(multiaddr_slice(&m), text);
    memset(text + 6, 'a', 254);
    assert_int_equal(multiaddr_parse(&m, slice_str(text)), -MULTIADDR_EVALUE);
    memcpy(text, "/unix/", 6);
    memset(text + 6, 'a', 1000);
    assert_int_equal(multiaddr_parse(&m, slice_str(text)), -MULTIADDR_ETOOBIG);

    uint8_t big[MULTIADDR_MAX + 2];
    for (size_t i = 0; i < sizeof(big); i += 3)
        memcpy(big + i, (uint8_t[]){6, 0, 80}, sizeof(big) - i < 3 ? sizeof(big) - i : 3);
    assert_int_equal(multiaddr_check(slice_of(big, 48)), 0);
    assert_int_equal(multiaddr_check(slice_of(big, 51)), -MULTIADDR_ETOOBIG); /* parts */
    assert_int_equal(multiaddr_check(slice_of(big, sizeof(big))), -MULTIADDR_ETOOBIG);
}

/* The longest text any address has: a path of bytes that all need escaping. */
static void test_multiaddr_text_max_suffices(void **state)
{
    uint8_t bytes[MULTIADDR_MAX];
    struct wr w = wr_of(bytes, sizeof(bytes));
    char text[MULTIADDR_TEXT_MAX];
    struct multiaddr m;

    wr_uvarint(&w, 481);
    wr_uvarint(&w, MULTIADDR_MAX - 4 - 2 * 15);
    while (w.len < MULTIADDR_MAX - 2 * 15)
        wr_u8(&w, 0xff);
    for (unsigned i = 0; i < 15; i++)
        wr_uvarint(&w, 479); /* p2p-websocket-star */
    assert_false(w.bad);
    assert_true(multiaddr_format(slice_of(bytes, w.len), text, sizeof(text)) > 0);
    assert_int_equal(multiaddr_parse(&m, slice_str(text)), 0);
    assert_slice(multiaddr_slice(&m), slice_of(bytes, w.len));
}

static void test_multiaddr_carries_foreign_protocols(void **state)
{
    static const char *const texts[] = {
        "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g",
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
        "/onion/aaimaq4ygg2iegci:80",
        "/ip4/10.0.0.0/ipcidr/8",
        "/dns4/x.example/tcp/443/tls/sni/x.example/http/http-path/a%2Fb",
        ("/ip4/1.2.3.4/udp/9/webrtc-direct/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/p2p/" ID),
    };
    struct multiaddr m;
    struct multiaddr_target t;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(multiaddr_parse(&m, slice_str(texts[i])), 0);
        assert_text(multiaddr_slice(&m), texts[i]);
        assert_int_equal(multiaddr_target(multiaddr_slice(&m), &t), -MULTIADDR_ETARGET);
    }
}

static void test_multiaddr_target_takes_plain_tcp(void **state)
{
    static const struct {
        const char *in;
        int want;
        enum multiaddr_code kind;
        const char *host;
        uint16_t port;
        bool has_peer;
    } table[] = {
        {"/ip4/10.1.2.3/tcp/7070", 0, MULTIADDR_IP4, "", 7070, false},
        {"/ip4/10.1.2.3/tcp/7070/p2p/" ID, 0, MULTIADDR_IP4, "", 7070, true},
        {"/ip6/::1/tcp/1/ipfs/" ID, 0, MULTIADDR_IP6, "", 1, true},
        {"/dns/node-1/tcp/65535", 0, MULTIADDR_DNS, "node-1", 65535, false},
        {"/dns4/a.example/tcp/1/p2p/" ID, 0, MULTIADDR_DNS4, "a.example", 1, true},
        {"/dns6/a.example/tcp/1", 0, MULTIADDR_DNS6, "a.example", 1, false},
        {"/dnsaddr/a.example/p2p/" ID, 0, MULTIADDR_DNSADDR, "a.example", 0, true},
        {"/dnsaddr/a.example", 0, MULTIADDR_DNSADDR, "a.example", 0, false},
        {"", -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/ip4/10.1.2.3", -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/p2p/" ID, -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/ip4/10.1.2.3/udp/7070", -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/ip4/10.1.2.3/tcp/7070/ws", -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/ip4/10.1.2.3/tcp/1/tcp/2", -MULTIADDR_ETARGET, 0, "", 0, false},
        {"/ip4/1.2.3.4/tcp/1/p2p/" ID "/p2p-circuit/p2p/" ID, -MULTIADDR_ETARGET, 0, "", 0, false},
    };
    struct peer_id id;

    assert_int_equal(peer_id_parse(&id, slice_str(ID)), 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct multiaddr m;
        struct multiaddr_target t;
        assert_int_equal(multiaddr_parse(&m, slice_str(table[i].in)), 0);
        if (multiaddr_target(multiaddr_slice(&m), &t) != table[i].want)
            fail_msg("%s", table[i].in);
        if (table[i].want)
            continue;
        assert_int_equal(t.kind, table[i].kind);
        assert_slice(t.host, slice_str(table[i].host));
        assert_int_equal(t.port, table[i].port);
        assert_int_equal(t.peer.len != 0, table[i].has_peer);
        assert_true(!table[i].has_peer || peer_id_is_equal(&t.peer, &id));
        if (t.kind == MULTIADDR_IP4)
            assert_memory_equal(t.ip, "\x0a\x01\x02\x03", 4);
    }
}

static void test_multiaddr_of_tcp_makes_what_parse_makes(void **state)
{
    static const uint8_t v4[] = {10, 0, 0, 1}, v6[16] = {0xfd, [15] = 9};
    struct multiaddr made, want;
    struct peer_id id;

    assert_int_equal(peer_id_parse(&id, slice_str(ID)), 0);
    multiaddr_of_tcp(&made, v4, 4, 7070, NULL);
    assert_int_equal(multiaddr_parse(&want, slice_str("/ip4/10.0.0.1/tcp/7070")), 0);
    assert_slice(multiaddr_slice(&made), multiaddr_slice(&want));
    multiaddr_of_tcp(&made, v6, 16, 1, &id);
    assert_int_equal(multiaddr_parse(&want, slice_str("/ip6/fd00::9/tcp/1/p2p/" ID)), 0);
    assert_slice(multiaddr_slice(&made), multiaddr_slice(&want));
    while (multiaddr_add_peer(&made, &id) == 0)
        ;
    assert_true(made.len <= MULTIADDR_MAX && made.len > MULTIADDR_MAX - 41);
}

/* A cut address is either refused or one that ends at a part's end; every flipped bit is survived, and what is
 * accepted makes text that reads back to the same bytes. */
static void test_multiaddr_survives_truncation_and_flips(void **state)
{
    json_t *root = vec_load("multiaddr.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes b = vec_hex(v, "hex");
        for (size_t k = 0; k < b.len * 9; k++) {
            struct bytes in = vec_copy(slice_of(b.p, k < b.len ? k : b.len));
            char text[MULTIADDR_TEXT_MAX];
            struct multiaddr m;
            if (k >= b.len)
                in.p[(k - b.len) / 8] ^= (uint8_t)(1 << (k % 8));
            ssize_t n = multiaddr_format(bytes_slice(in), text, sizeof(text));
            if (n >= 0) {
                assert_int_equal(multiaddr_parse(&m, slice_of(text, (size_t)n)), 0);
                assert_slice(multiaddr_slice(&m), bytes_slice(in));
            }
            free(in.p);
        }
        free(b.p);
    }
    json_decref(root);
}

static void test_multiaddr_format_respects_capacity(void **state)
{
    static const char text[] = "/ip4/1.2.3.4/tcp/4001/p2p/" ID;
    struct multiaddr m;

    assert_int_equal(multiaddr_parse(&m, slice_str(text)), 0);
    for (size_t cap = 0; cap < sizeof(text); cap++) {
        char *small = malloc(cap + !cap);
        assert_int_equal(multiaddr_format(multiaddr_slice(&m), small, cap), -MULTIADDR_ETOOBIG);
        free(small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiaddr_replays_vectors),
        cmocka_unit_test(test_multiaddr_accepts_the_texts_that_js_accepts),
        cmocka_unit_test(test_multiaddr_accepts_the_bytes_that_js_accepts),
        cmocka_unit_test(test_multiaddr_names_what_is_wrong),
        cmocka_unit_test(test_multiaddr_bounds_its_size),
        cmocka_unit_test(test_multiaddr_text_max_suffices),
        cmocka_unit_test(test_multiaddr_carries_foreign_protocols),
        cmocka_unit_test(test_multiaddr_target_takes_plain_tcp),
        cmocka_unit_test(test_multiaddr_of_tcp_makes_what_parse_makes),
        cmocka_unit_test(test_multiaddr_survives_truncation_and_flips),
        cmocka_unit_test(test_multiaddr_format_respects_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
