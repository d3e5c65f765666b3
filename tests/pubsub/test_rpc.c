/* RPC frames: the recorded ones item by item, each truncation, limits, and what we write read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pubsub/rpc.h"
#include "pubsub/vector.h"

static json_t *vectors;

static int load(void **state)
{
    vectors = vector_load("gossipsub_rpc.json");
    return vectors ? 0 : -1;
}

static int unload(void **state)
{
    json_decref(vectors);
    return 0;
}

struct text {
    char s[2048];
    size_t len;
};

static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    t->len += (size_t)vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
    va_end(ap);
}

/* Ids by length and last byte; enough to tell the recorded ones apart. */
static void add_ids(struct text *t, struct rpc_ids ids)
{
    struct slice id;

    while (rpc_ids_next(&ids, &id))
        add(t, " %zu:%02x", id.len, id.len ? id.p[id.len - 1] : 0);
}

static void add_item(struct text *t, const struct rpc_item *it)
{
    static const char *const names[] = {"sub",   "unsub",     "msg",        "ihave", "iwant", "graft",
                                        "prune", "idontwant", "extensions", "ext"};
    struct rd rd = rd_of(it->body);
    struct rpc_px px;

    add(t, "%s%s", t->len ? "; " : "", names[it->type]);
    if (it->topic.len)
        add(t, " %.*s", (int)it->topic.len, (const char *)it->topic.p);
    if (it->type == RPC_IHAVE || it->type == RPC_IWANT || it->type == RPC_IDONTWANT)
        add_ids(t, it->ids);
    if (it->type == RPC_MESSAGE)
        add(t, " %zu", it->body.len);
    if (it->type == RPC_EXTENSION)
        add(t, " %u/%zu", it->number, it->body.len);
    if (it->type == RPC_PRUNE) {
        add(t, " %llu", (unsigned long long)it->backoff_s);
        while (rpc_px_next(&rd, &px))
            add(t, " px %zu/%zu", px.peer_id.len, px.record.len);
    }
}

static void describe(struct text *t, struct slice frame)
{
    struct rpc_reader r = rpc_reader_of(frame);
    struct rpc_item it;

    *t = (struct text){0};
    while (rpc_next(&r, &it))
        add_item(t, &it);
}

static void test_rpc_reads_recorded_frames(void **state)
{
    static const struct {
        const char *name, *want;
    } tests[] = {
        {"publish-alice", "msg 179"},
        {"publish-bob", "msg 168"},
        {"publish-carol", "msg 2164"},
        {"empty", ""},
        {"subscribe", "sub a; sub topic-b"},
        {"unsubscribe", "unsub a"},
        {"ihave", "ihave test-topic 46:01 46:08"},
        {"iwant", "iwant 46:01 46:08"},
        {"graft", "graft a; graft topic-b"},
        {"prune-v1.0", "prune a 0"},
        {"prune-backoff", "prune a 60"},
        {"prune-px", "prune a 60 px 38/213 px 38/0"},
        {"idontwant", "idontwant 46:01 46:08"},
        {"control-present-but-empty", ""},
        {"everything", "sub a; msg 179; msg 168; ihave a 46:01; iwant 46:08; graft a; prune b 10; idontwant 46:01"},
    };
    const json_t *list = json_object_get(vectors, "rpc");

    assert_int_equal(json_array_size(list), sizeof(tests) / sizeof(tests[0]));
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        const json_t *v = vector_named(list, tests[i].name);
        struct slice frame = vector_hex(v, "hex");
        struct text got;
        assert_int_equal(rpc_check(frame), 0);
        describe(&got, frame);
        assert_string_equal(got.s, tests[i].want);
        free((void *)frame.p);
    }
}

/* A truncation is refused unless the cut falls between two whole fields of the RPC. */
static void test_rpc_refuses_each_truncation(void **state)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(vectors, "rpc"), i, v) {
        struct slice frame = vector_hex(v, "hex");
        struct rd rd = rd_of(frame);
        struct pb_field f;
        size_t whole = 0; /* end of the last whole field before the cut */
        for (size_t cut = 0; cut < frame.len; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1); /* its own block: a read past it is caught */
            struct text t;
            memcpy(copy, frame.p, cut);
            while ((size_t)(rd.p - frame.p) < cut && pb_next(&rd, &f) > 0)
                ;
            if ((size_t)(rd.p - frame.p) == cut)
                whole = cut;
            assert_int_equal(rpc_check(slice_of(copy, cut)), cut == whole ? 0 : -RPC_EFORMAT);
            describe(&t, slice_of(copy, cut)); /* unchecked use is safe too */
            free(copy);
        }
        free((void *)frame.p);
    }
}

static void test_rpc_skips_unknown_fields(void **state)
{
    static const uint8_t frame[] = {
        0x20, 0x05,                                           /* field 4, varint */
        0x0a, 0x09, 0x08, 0x01, 0x12, 0x01, 'a', 0x1a, 0x02, 'x', 'y', /* subscription with a field 3 */
        0x3a, 0x01, 'z',                                      /* field 7, bytes */
        0x10, 0x01,                                           /* field 2, publish, as a varint */
        0x1a, 0x0a, 0x3a, 0x01, 'q',                          /* control: a field 7 */
        0x1a, 0x05, 0x0a, 0x01, 'a', 0x10, 0x07,              /* GRAFT with a field 2 */
        0xa5, 0x06, 1, 2, 3, 4,                               /* field 100, fixed32 */
        0xa2, 0x06, 0x03, 'e', 'x', 't',                      /* field 100, bytes */
        0xca, 0x3e, 0x00,                                     /* field 1001, bytes */
    };
    struct text t;

    assert_int_equal(rpc_check(slice_of(frame, sizeof(frame))), 0);
    describe(&t, slice_of(frame, sizeof(frame)));
    assert_string_equal(t.s, "sub a; graft a; ext 100/3; ext 1001/0");
}

static void test_rpc_refuses_malformed_insides(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[16];
        size_t len;
    } tests[] = {
        {"subscription", {0x0a, 0x02, 0x12, 0x05}, 4},
        {"control", {0x1a, 0x02, 0x1a, 0x05}, 4},
        {"graft", {0x1a, 0x04, 0x1a, 0x02, 0x0a, 0x09}, 6},
        {"ids", {0x1a, 0x04, 0x12, 0x02, 0x0a, 0x7f}, 6},
        {"px", {0x1a, 0x06, 0x22, 0x04, 0x12, 0x02, 0x0a, 0x05}, 8},
        {"group", {0x0b}, 1},
        {"field zero", {0x02, 0x00}, 2},
        {"length of 2^63", {0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11},
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        assert_int_equal(rpc_check(slice_of(tests[i].bytes, tests[i].len)), -RPC_EFORMAT);
}

static void test_rpc_limits_items_and_ids(void **state)
{
    size_t cap = RPC_IDS_MAX * 4 + 64;
    uint8_t *p = malloc(cap);
    struct wr w = wr_of(p, cap);

    for (unsigned i = 0; i < RPC_ITEMS_MAX; i++)
        pb_put_bytes(&w, RPC_F_PUBLISH, SLICE_LIT(""));
    assert_int_equal(rpc_check(slice_of(p, w.len)), 0);
    pb_put_bytes(&w, RPC_F_PUBLISH, SLICE_LIT(""));
    assert_int_equal(rpc_check(slice_of(p, w.len)), -RPC_ELIMIT);

    for (unsigned n = RPC_IDS_MAX; n <= RPC_IDS_MAX + 1; n++) {
        size_t ids = n * 3, iwant = 1 + uvarint_size(ids) + ids;
        w = wr_of(p, cap);
        pb_put_head(&w, RPC_F_CONTROL, iwant);
        pb_put_head(&w, CONTROL_F_IWANT, ids);
        for (unsigned i = 0; i < n; i++)
            pb_put_bytes(&w, IDS_F_IDS, SLICE_LIT("i"));
        assert_false(w.bad);
        assert_int_equal(rpc_check(slice_of(p, w.len)), n > RPC_IDS_MAX ? -RPC_ELIMIT : 0);
    }
    free(p);
}

/* Our own writing equals js-libp2p's, byte for byte. */
static void test_rpc_writes_as_recorded(void **state)
{
    const json_t *list = json_object_get(vectors, "rpc");
    uint8_t out[256], control[256];
    struct wr w, c;
    struct slice want;

    w = wr_of(out, sizeof(out));
    rpc_put_subscription(&w, SLICE_LIT("a"), true);
    rpc_put_subscription(&w, SLICE_LIT("topic-b"), true);
    want = vector_hex(vector_named(list, "subscribe"), "hex");
    assert_true(slice_is_equal(slice_of(out, w.len), want));
    free((void *)want.p);

    w = wr_of(out, sizeof(out));
    rpc_put_subscription(&w, SLICE_LIT("a"), false);
    want = vector_hex(vector_named(list, "unsubscribe"), "hex");
    assert_true(slice_is_equal(slice_of(out, w.len), want));
    free((void *)want.p);

    static const struct {
        const char *name;
        uint64_t backoff;
    } prunes[] = {{"prune-v1.0", 0}, {"prune-backoff", 60}};
    for (int i = 0; i < 2; i++) {
        c = wr_of(control, sizeof(control));
        rpc_put_prune(&c, SLICE_LIT("a"), prunes[i].backoff);
        w = wr_of(out, sizeof(out));
        pb_put_bytes(&w, RPC_F_CONTROL, slice_of(control, c.len));
        want = vector_hex(vector_named(list, prunes[i].name), "hex");
        assert_true(slice_is_equal(slice_of(out, w.len), want));
        free((void *)want.p);
    }

    c = wr_of(control, sizeof(control));
    rpc_put_graft(&c, SLICE_LIT("a"));
    rpc_put_graft(&c, SLICE_LIT("topic-b"));
    w = wr_of(out, sizeof(out));
    pb_put_bytes(&w, RPC_F_CONTROL, slice_of(control, c.len));
    want = vector_hex(vector_named(list, "graft"), "hex");
    assert_true(slice_is_equal(slice_of(out, w.len), want));
    free((void *)want.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rpc_reads_recorded_frames),
        cmocka_unit_test(test_rpc_refuses_each_truncation),
        cmocka_unit_test(test_rpc_skips_unknown_fields),
        cmocka_unit_test(test_rpc_refuses_malformed_insides),
        cmocka_unit_test(test_rpc_limits_items_and_ids),
        cmocka_unit_test(test_rpc_writes_as_recorded),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
