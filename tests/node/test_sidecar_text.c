#include "testing.h"

#include "base/pb.h"
#include "node/sidecar_text.h"

static struct slice data_of(struct rpc_msg *m, uint64_t *type)
{
    struct rd r = rd_of(rpc_msg_slice(m));
    struct slice data = {NULL, 0};
    struct pb_field f;

    *type = 0;
    while (pb_next(&r, &f) == 1) {
        if (pb_is(&f, 1, PB_VARINT))
            *type = f.u;
        else
            data = f.bytes;
    }
    assert_false(r.bad);
    return data;
}

static void assert_response(struct rpc_msg *m, uint64_t want_type, const char *want)
{
    uint64_t type;
    struct slice data = data_of(m, &type);

    assert_int_equal(type, want_type);
    assert_int_equal(data.len, strlen(want));
    assert_memory_equal(data.p, want, data.len);
    rpc_msg_unref(m);
}

static void test_command_reads_all_fields_in_any_order(void **state)
{
    static const uint8_t a[] = {0x08, 1, 0x12, 2, 'h', 'i', 0x1a, 1, 't', 0x22, 1, 'j'};
    static const uint8_t b[] = {0x22, 1, 'j', 0x1a, 1, 't', 0x12, 2, 'h', 'i', 0x08, 1, 0x28, 7};
    static const struct slice forms[] = {{a, sizeof(a)}, {b, sizeof(b)}};
    static const uint8_t negative[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct sidecar_command c;

    for (size_t i = 0; i < 2; i++) {
        assert_true(sidecar_command_read(&c, forms[i]));
        assert_int_equal(c.verb, 1);
        assert_true(slice_is_equal(c.data, SLICE_LIT("hi")));
        assert_true(slice_is_equal(c.topic, SLICE_LIT("t")));
    }
    assert_true(sidecar_command_read(&c, slice_of(negative, sizeof(negative))));
    assert_int_equal(c.verb, -1);
    assert_true(sidecar_command_read(&c, slice_of(NULL, 0)));
    assert_int_equal(c.verb, 0);
}

static void test_command_truncated_anywhere(void **state)
{
    static const uint8_t whole[] = {0x08, 1, 0x12, 2, 'h', 'i', 0x1a, 1, 't'};
    static const size_t ends[] = {0, 2, 6, 9}; /* between fields it is a message too */
    struct sidecar_command c;

    for (size_t n = 0; n <= sizeof(whole); n++) {
        bool is_end = false;
        for (size_t i = 0; i < 4; i++)
            is_end |= ends[i] == n;
        assert_int_equal(sidecar_command_read(&c, slice_of(whole, n)), is_end);
    }
}

/* JSON without the payload, and the payload. */
static void check_raw(const struct hub_message *m)
{
    struct rpc_msg *r = sidecar_message_raw(m);
    struct rd rd = rd_of(rpc_msg_slice(r));
    struct slice data = {0}, payload = {0};
    uint64_t command = 0;
    struct pb_field f;

    while (pb_next(&rd, &f) > 0) {
        if (f.number == 1)
            command = f.u;
        else if (f.number == 2)
            data = f.bytes;
        else if (f.number == 4)
            payload = f.bytes;
    }
    assert_int_equal(rd_left(&rd), 0);
    assert_int_equal(command, 1);
    assert_true(slice_is_equal(payload, m->payload));
    assert_int_equal(data.p[0], '{');
    assert_int_equal(data.p[data.len - 1], '}');
    assert_null(memmem(data.p, data.len, "\"message\"", 9));
    assert_non_null(memmem(data.p, data.len, m->message_id, strlen(m->message_id)));
    rpc_msg_unref(r);
}

static void test_message_is_compact_json(void **state)
{
    struct hub_message m = {.topic = "t\"\n", .payload = SLICE_LIT("hi"), .message_id = "ab", .source_node_id = "me",
                            .upstream_peer_id = ""};

    assert_response(sidecar_message(&m), 1,
                    "{\"source_node_id\":\"me\",\"topic\":\"t\\\"\\n\",\"message_id\":\"ab\",\"message\":\"aGk=\"}");
    m.upstream_peer_id = "up";
    m.payload = SLICE_LIT("");
    assert_response(sidecar_message(&m), 1,
                    "{\"source_node_id\":\"me\",\"upstream_peer_id\":\"up\",\"topic\":\"t\\\"\\n\",\"message_id\":\"ab\","
                    "\"message\":\"\"}");
    check_raw(&m);
}

static void test_answers(void **state)
{
    struct sidecar_answer a = {.topic = SLICE_LIT("t"), .message_id = "ab", .status = "published"};

    assert_response(sidecar_answer(&a), 0, "{\"status\":\"published\",\"topic\":\"t\",\"message_id\":\"ab\"}");
    a.status = "error";
    a.error = "too large";
    a.code = 413;
    assert_response(sidecar_answer(&a), 0,
                    "{\"status\":\"error\",\"topic\":\"t\",\"message_id\":\"ab\",\"error\":\"too large\",\"code\":413}");
    assert_response(sidecar_lost(7), 0, "{\"status\":\"dropped\",\"messages\":7}");
}

static void test_answer_to_an_endless_topic_is_bounded(void **state)
{
    char topic[5000] = {0};
    struct sidecar_answer a = {.topic = slice_of(topic, sizeof(topic)), .message_id = "", .status = "error", .error = "no",
                               .code = 400};
    struct rpc_msg *m;

    memset(topic, 1, sizeof(topic)); /* each becomes six characters */
    m = sidecar_answer(&a);
    assert_true(rpc_msg_len(m) < 4000);
    rpc_msg_unref(m);
}

static void test_trace_keeps_its_kind(void **state)
{
    struct hub_trace t = {.kind = 3, .bytes = SLICE_LIT("bytes")};

    assert_response(sidecar_trace(&t), 3, "bytes");
}

static bool gather(void *user, struct slice topic)
{
    char *text = user;

    snprintf(text + strlen(text), 64, "<%.*s>", (int)topic.len, (const char *)topic.p);
    return true;
}

static void test_lists_of_topics(void **state)
{
    static const struct {
        const char *data, *topic, *want; /* want NULL: malformed */
    } cases[] = {
        {"[\"a\",\"b c\"]", "", "<a><b c>"}, {"{\"topics\":[\"a\"]}", "", "<a>"}, {"a,b", "", "<a><b>"},
        {" a\n\tb, ", "", "<a><b>"},         {"", "p,q", "<p><q>"},             {"", "[\"x\"]", "<x>"},
        {"", "", NULL},                      {",, ", "", NULL},                 {"[]", "", NULL},
        {"[1]", "", NULL},                   {"[\"a\",1]", "", NULL},           {"{}", "", NULL},
        {"[\"a\"", "", NULL},                {"[\"a\"]x", "", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sidecar_command c = {.verb = 4, .data = slice_str(cases[i].data), .topic = slice_str(cases[i].topic)};
        char got[256] = "";

        assert_int_equal(sidecar_each_topic(&c, gather, got), cases[i].want != NULL);
        assert_string_equal(got, cases[i].want ? cases[i].want : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_reads_all_fields_in_any_order),
        cmocka_unit_test(test_command_truncated_anywhere),
        cmocka_unit_test(test_message_is_compact_json),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_to_an_endless_topic_is_bounded),
        cmocka_unit_test(test_trace_keeps_its_kind),
        cmocka_unit_test(test_lists_of_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
