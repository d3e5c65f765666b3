/* test_gw_delivery.c: a node's JSON in, WebSocket and gRPC forms out */
#include "testing.h"

#include <jansson.h>

#include "base/pb.h"
#include "base/text.h"
#include "gateway/gw_delivery.h"

#define ID "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

static int parse(struct gw_delivery *d, const char *text)
{
    return gw_delivery_parse(d, slice_str(text));
}

static void check_forms(struct gw_delivery *d, const char *topic, struct slice payload)
{
    struct slice ws = ws_msg_wire(gw_delivery_ws(d)), grpc = rpc_msg_slice(gw_delivery_grpc(d));
    char b64[64];
    struct slice got[6] = {0};
    struct rd r = rd_of(grpc);
    struct pb_field f;
    json_t *j;

    base64_encode(b64, payload);
    j = json_loadb((const char *)ws.p + (ws.p[1] == 126 ? 4 : 2), ws.len - (ws.p[1] == 126 ? 4 : 2), 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "topic")), topic);
    assert_string_equal(json_string_value(json_object_get(j, "message_id")), ID);
    assert_string_equal(json_string_value(json_object_get(j, "message")), b64);
    assert_string_equal(json_string_value(json_object_get(j, "source_node_id")), d->source);
    json_decref(j);
    while (pb_next(&r, &f) > 0)
        got[f.number] = f.bytes;
    assert_int_equal(rd_left(&r), 0);
    assert_true(slice_is_equal(got[2], payload));
    assert_true(slice_is_equal(got[3], slice_str(topic)));
    assert_true(slice_is_equal(got[4], SLICE_LIT(ID)));
}

/* The payload beside the JSON; a large one is shared with the message it came in. */
static void test_delivery_takes_raw_payloads(void **state)
{
    const struct slice json = SLICE_LIT("{\"source_node_id\":\"12D3\",\"topic\":\"t\",\"message_id\":\"" ID "\"}");
    static const size_t sizes[] = {0, 3, 4096, 65535, 65536, 100000};
    struct gw_delivery d;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct rpc_msg *whole = rpc_msg_new(sizes[i] + 7), *m;
        struct slice raw = slice_of(rpc_msg_bytes(whole) + 7, sizes[i]);
        uint8_t *out;

        for (size_t k = 0; k < sizes[i] + 7; k++)
            rpc_msg_bytes(whole)[k] = (uint8_t)(k * 31);
        assert_int_equal(gw_delivery_parse_raw(&d, json, raw, whole), 0);
        assert_int_equal(d.payload_len, sizes[i]);
        m = rpc_msg_ref(gw_delivery_grpc(&d));
        assert_non_null(gw_delivery_ws(&d));
        assert_in_range(d.ws->cap, d.ws->len, d.ws->len + 1); /* queues hold what they are charged for */
        gw_delivery_fini(&d);
        rpc_msg_unref(whole); /* what the clients' queues hold stays */
        out = malloc(rpc_msg_len(m));
        rpc_msg_read(m, out);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(out[rpc_msg_len(m) - sizes[i] + k], (uint8_t)((k + 7) * 31));
        free(out);
        rpc_msg_unref(m);
    }
    assert_int_equal(gw_delivery_parse_raw(&d, SLICE_LIT("{\"topic\":\"t\"}"), json, NULL), -GW_E_JSON);
}

static void test_delivery_takes_both_spellings(void **state)
{
    static const char *const texts[] = {
        "{\"source_node_id\":\"12D3\",\"upstream_peer_id\":\"up\",\"topic\":\"t\\u00e9\\\"\",\"message_id\":"
        "\"" ID "\",\"message\":\"Zm9v\"}",
        "{\"SourceNodeID\":\"12D3\",\"UpstreamPeerID\":\"up\",\"Topic\":\"t\\u00e9\\\"\",\"MessageID\":\"" ID
        "\",\"Message\":\"Zm9v\",\"x\":[1]}"};
    struct gw_delivery d;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(parse(&d, texts[i]), 0);
        assert_int_equal(d.payload_len, 3);
        assert_string_equal(d.source, "12D3");
        assert_string_equal(d.upstream, "up");
        check_forms(&d, "t\xc3\xa9\"", SLICE_LIT("foo"));
        gw_delivery_fini(&d);
    }
}

static void test_delivery_payload_lengths(void **state)
{
    uint8_t payload[5] = {0, 1, 0xff, '"', '\\'};
    char b64[16], text[300];
    struct gw_delivery d;

    for (size_t n = 0; n <= 5; n++) {
        base64_encode(b64, slice_of(payload, n));
        snprintf(text, sizeof(text), "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":\"%s\"}", b64);
        assert_int_equal(parse(&d, text), 0);
        assert_int_equal(d.payload_len, n);
        check_forms(&d, "t", slice_of(payload, n));
        gw_delivery_fini(&d);
    }
}

/* Names that need every byte of room that they may. */
static void test_delivery_of_longest_names(void **state)
{
    uint8_t id[GW_ID_BYTES], topic[GW_NAME_MAX];
    char label[128];
    struct gw_delivery d;

    memset(topic, 1, sizeof(topic));
    memset(label, 2, 127);
    label[127] = 0;
    hex_decode(id, sizeof(id), SLICE_LIT(ID));
    gw_delivery_init(&d, slice_of(topic, sizeof(topic)), id, label, label, SLICE_LIT("foo"));
    assert_in_range(gw_delivery_ws(&d)->len, 6 * (2 * 127 + GW_NAME_MAX), 6 * (2 * 127 + GW_NAME_MAX) + 256);
    gw_delivery_fini(&d);
}

static void test_delivery_from_bytes(void **state)
{
    uint8_t id[GW_ID_BYTES];
    struct gw_delivery d;

    hex_decode(id, sizeof(id), SLICE_LIT(ID));
    gw_delivery_init(&d, SLICE_LIT("t"), id, "me", "", SLICE_LIT("foo"));
    check_forms(&d, "t", SLICE_LIT("foo"));
    gw_delivery_fini(&d);
}

static void test_delivery_refuses(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"topic\":\"t\",\"message\":\"Zm9v\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"" ID "\"}",
                                      "{\"message_id\":\"" ID "\",\"message\":\"Zm9v\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"00\",\"message\":\"Zm9v\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"x" ID "\",\"message\":\"Zm9v\"}",
                                      "{\"topic\":5,\"message_id\":\"" ID "\",\"message\":\"Zm9v\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":\"Zm9\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":\"Zm\\n9v\"}",
                                      "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":5}"};
    struct gw_delivery d;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(&d, bad[i]), -GW_E_JSON);
}

/* Text that is as long as base64 but is none: no form for gRPC, and no crash. */
static void test_delivery_bad_base64(void **state)
{
    struct gw_delivery d;

    assert_int_equal(parse(&d, "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":\"%%%%\"}"), 0);
    assert_null(gw_delivery_grpc(&d));
    gw_delivery_fini(&d);
    assert_int_equal(parse(&d, "{\"topic\":\"t\",\"message_id\":\"" ID "\",\"message\":\"====\"}"), 0);
    assert_null(gw_delivery_grpc(&d));
    gw_delivery_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_delivery_takes_both_spellings),
        cmocka_unit_test(test_delivery_takes_raw_payloads),
                                       cmocka_unit_test(test_delivery_payload_lengths),
                                       cmocka_unit_test(test_delivery_from_bytes),
                                       cmocka_unit_test(test_delivery_of_longest_names),
                                       cmocka_unit_test(test_delivery_refuses),
                                       cmocka_unit_test(test_delivery_bad_base64)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
