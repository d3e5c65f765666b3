#include "vec.h"

#include "base/pb.h"
#include "libp2p/identify_wire.h"
#include "libp2p/multiaddr.h"

static void assert_field(struct slice got, json_t *fields, const char *name, bool is_hex)
{
    json_t *v = vec_get(fields, name);

    if (json_is_null(v)) {
        assert_null(got.p);
    } else if (is_hex) {
        struct bytes want = vec_hex(fields, name);
        assert_slice(got, bytes_slice(want));
        free(want.p);
    } else {
        assert_slice(got, slice_str(json_string_value(v)));
    }
}

static void assert_addr(struct slice got, const char *want)
{
    char text[MULTIADDR_TEXT_MAX];

    assert_true(multiaddr_format(got, text, sizeof(text)) > 0);
    assert_string_equal(text, want);
}

static void assert_fields(const struct identify *m, json_t *f)
{
    json_t *t;
    size_t i;

    assert_field(m->protocol_version, f, "protocolVersion", false);
    assert_field(m->agent, f, "agentVersion", false);
    assert_field(m->public_key, f, "publicKey", true);
    assert_field(m->record, f, "signedPeerRecord", true);
    assert_int_equal(m->naddrs, json_array_size(vec_get(f, "listenAddrs")));
    json_array_foreach(vec_get(f, "listenAddrs"), i, t) assert_addr(m->addrs[i], json_string_value(t));
    if (json_is_null(vec_get(f, "observedAddr")))
        assert_null(m->observed.p);
    else
        assert_addr(m->observed, vec_str(f, "observedAddr"));
    assert_int_equal(m->nprotocols, json_array_size(vec_get(f, "protocols")));
    json_array_foreach(vec_get(f, "protocols"), i, t)
        assert_slice(m->protocols[i], slice_str(json_string_value(t)));
}

static void test_identify_replays_vectors(void **state)
{
    json_t *root = vec_load("identify.json"), *v;
    size_t i;

    json_array_foreach(vec_get(root, "vectors"), i, v)
    {
        struct bytes b = vec_hex(v, "hex");
        uint8_t out[IDENTIFY_WRITE_MAX];
        struct identify m;

        assert_int_equal(identify_decode(bytes_slice(b), &m), 0);
        assert_fields(&m, vec_get(v, "fields"));
        assert_int_equal(m.dropped, 0);
        assert_slice(slice_of(out, (size_t)identify_encode(&m, out, sizeof(out))), bytes_slice(b));
        free(b.p);
    }
    json_decref(root);
}

/* A message in two parts, one behind the other, is the whole. */
static void test_identify_merges_parts(void **state)
{
    json_t *root = vec_load("identify.json");
    json_t *v = json_array_get(vec_get(root, "vectors"), 0);
    struct bytes b = vec_hex(v, "hex");
    struct rd r = rd_of(bytes_slice(b));
    struct pb_field f;

    while (pb_next(&r, &f) > 0) {
        size_t cut = (size_t)(r.p - b.p);
        struct bytes turned = {malloc(b.len), b.len};
        struct identify m;
        memcpy(turned.p, b.p + cut, b.len - cut);
        memcpy(turned.p + b.len - cut, b.p, cut);
        assert_int_equal(identify_decode(bytes_slice(turned), &m), 0);
        assert_field(m.agent, vec_get(v, "fields"), "agentVersion", false);
        assert_int_equal(m.naddrs, 2);
        assert_int_equal(m.nprotocols, 5);
        free(turned.p);
    }
    free(b.p);
    json_decref(root);
}

static void test_identify_bounds_what_it_keeps(void **state)
{
    uint8_t body[16384], name[IDENTIFY_NAME_MAX + 1];
    struct wr w = wr_of(body, sizeof(body));
    static uint8_t huge[IDENTIFY_READ_MAX + 1];
    struct identify m;

    memset(name, 'n', sizeof(name));
    for (unsigned i = 0; i < 100; i++) {
        pb_put_bytes(&w, 2, SLICE_LIT("\x04\x0a\x00\x00\x01\x06\x00\x01"));
        pb_put_bytes(&w, 3, SLICE_LIT("/p/1"));
    }
    pb_put_bytes(&w, 2, SLICE_LIT("\x04\x0a"));             /* cut */
    pb_put_bytes(&w, 2, SLICE_LIT(""));                     /* empty */
    pb_put_bytes(&w, 4, SLICE_LIT("\x7f"));                 /* unknown */
    pb_put_bytes(&w, 6, slice_of(name, sizeof(name)));      /* too long */
    pb_put_bytes(&w, 5, slice_of(name, IDENTIFY_NAME_MAX)); /* just not */
    pb_put_varint(&w, 1, 5);                                /* of another wire type */
    pb_put_bytes(&w, 77, SLICE_LIT("?"));
    assert_int_equal(identify_decode(slice_of(body, w.len), &m), 0);
    assert_int_equal(m.naddrs, IDENTIFY_ADDRS_MAX);
    assert_int_equal(m.nprotocols, IDENTIFY_PROTOCOLS_MAX);
    assert_int_equal(m.dropped, 100 - IDENTIFY_ADDRS_MAX + 100 - IDENTIFY_PROTOCOLS_MAX + 4);
    assert_null(m.agent.p);
    assert_null(m.observed.p);
    assert_null(m.public_key.p);
    assert_int_equal(m.protocol_version.len, IDENTIFY_NAME_MAX);
    assert_int_equal(identify_decode(slice_of(huge, sizeof(huge)), &m), -1);
}

/* rust reads 4096 bytes: what is more is left out, addresses before protocols. */
static void test_identify_encodes_below_the_limit(void **state)
{
    static uint8_t addr[MULTIADDR_MAX], record[3000], out[8192];
    struct identify m = {.agent = SLICE_LIT("agent"), .record = {record, 100}}, back;
    ssize_t n;

    memset(addr, 'a', sizeof(addr));
    memcpy(addr, "\x90\x03\xbb\x02", 4); /* unix, 315 bytes */
    assert_int_equal(multiaddr_check(slice_of(addr, 319)), 0);
    m.nprotocols = 3;
    for (unsigned i = 0; i < 3; i++)
        m.protocols[i] = SLICE_LIT("/p/1");
    for (m.naddrs = 0; m.naddrs < IDENTIFY_ADDRS_MAX; m.naddrs++) {
        m.addrs[m.naddrs] = slice_of(addr, 319);
        n = identify_encode(&m, out, sizeof(out));
        assert_true(n > 0 && n <= IDENTIFY_WRITE_MAX);
        assert_int_equal(identify_decode(slice_of(out, (size_t)n), &back), 0);
        assert_int_equal(back.nprotocols, 3);
        assert_int_equal(back.naddrs, m.naddrs < 12 ? m.naddrs : 12);
        assert_int_equal(back.record.p != NULL, m.naddrs <= 12);
    }
    m.naddrs = 0;
    m.record.len = sizeof(record);
    assert_true(identify_encode(&m, out, sizeof(out)) > 3000);
    assert_true(identify_encode(&m, out, 1000) < 100); /* without the record */
    assert_int_equal(identify_encode(&m, out, 10), -1);
}

static void test_identify_survives_truncations_and_flips(void **state)
{
    json_t *root = vec_load("identify.json");
    struct bytes b = vec_hex(json_array_get(vec_get(root, "vectors"), 0), "hex");
    uint8_t out[IDENTIFY_WRITE_MAX];
    struct identify m;

    for (size_t n = 0; n < b.len; n++) {
        struct bytes cut = vec_copy(slice_of(b.p, n));
        if (identify_decode(bytes_slice(cut), &m) == 0) /* cut between two fields */
            assert_true(identify_encode(&m, out, sizeof(out)) <= (ssize_t)n);
        free(cut.p);
    }
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (identify_decode(bytes_slice(b), &m) == 0)
            assert_true(identify_encode(&m, out, sizeof(out)) <= (ssize_t)b.len);
        b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(b.p);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_replays_vectors),
        cmocka_unit_test(test_identify_merges_parts),
        cmocka_unit_test(test_identify_bounds_what_it_keeps),
        cmocka_unit_test(test_identify_encodes_below_the_limit),
        cmocka_unit_test(test_identify_survives_truncations_and_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
