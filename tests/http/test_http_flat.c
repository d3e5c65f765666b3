/* test_http_flat.c: one JSON object's members, read in place; jansson is the judge */
#include "testing.h"

#include <jansson.h>

#include "base/rng.h"
#include "http/http_flat.h"

static const char *const names[] = {"topic", "message", "n", "list"};

static int find(struct slice s, struct flat_value *out)
{
    /* A copy without a byte behind it, so that the sanitizer sees every step too far. */
    uint8_t *copy = malloc(s.len ? s.len : 1);
    int rc;

    memcpy(copy, s.p, s.len);
    rc = http_flat_find(slice_of(copy, s.len), names, 4, out);
    free(copy);
    return rc;
}

static void test_flat_accepts_and_refuses(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } t[] = {{"{}", true},
             {" { } \n", true},
             {"{\"a\":1}", true},
             {"{\"a\":[1,-2.5e+3,0,0.1,true,false,null,\"x\",{\"y\":[]},{}]}", true},
             {"{\"a\":\"\\u00e9\\n\\\"\\\\\\/\\b\\f\\r\\t\"}", true},
             {"{\"\":\"\"}", true},
             {"{\"a\":1,\"a\":2}", true}, /* a name nobody asked for */
             {"", false},
             {"[]", false},
             {"1", false},
             {"{", false},
             {"}", false},
             {"{}}", false},
             {"{} x", false},
             {"{\"a\"}", false},
             {"{\"a\":}", false},
             {"{\"a\":1,}", false},
             {"{,}", false},
             {"{a:1}", false},
             {"{'a':1}", false},
             {"{\"a\":01}", false},
             {"{\"a\":+1}", false},
             {"{\"a\":1.}", false},
             {"{\"a\":.5}", false},
             {"{\"a\":1e}", false},
             {"{\"a\":-}", false},
             {"{\"a\":tru}", false},
             {"{\"a\":True}", false},
             {"{\"a\":[1,]}", false},
             {"{\"a\":[}", false},
             {"{\"a\":{\"b\":1]}", false},
             {"{\"a\":\"\n\"}", false},
             {"{\"a\":\"\\x\"}", false},
             {"{\"a\":\"\\u12g4\"}", false},
             {"{\"a\":\"\\u12\"}", false},
             {"{\"a\":\"\xff\"}", false},
             {"{\"a\":\"\xc3\"}", false},
             {"{\"a\":\"\xed\xa0\x80\"}", false},
             {"{\"topic\":\"a\",\"topic\":\"b\"}", false},
             {"{\"topic\":\"a\",\"t\\u006fpic\":\"b\"}", false},
             {"{\"a\":1 \"b\":2}", false}};
    struct flat_value out[4];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        if ((find(slice_str(t[i].text), out) == 0) != t[i].ok)
            fail_msg("%s", t[i].text);
}

static void test_flat_finds_values(void **state)
{
    static const char text[] =
        "{\"x\":{\"topic\":\"inner\"},\"t\\u006fpic\":\"a\\u00e9\\ud83d\\ude00\\n\\u0000z\",\"n\":-12.5e1,"
        "\"message\":\"plain\",\"list\":[\"a\",\"b\"]}";
    struct flat_value out[4];
    uint8_t buf[128];
    double d;

    assert_int_equal(http_flat_find(SLICE_LIT(text), names, 4, out), 0);
    assert_int_equal(out[0].type, FLAT_STRING);
    assert_true(out[0].is_escaped);
    assert_int_equal(http_flat_text(buf, &out[0]), 10);
    assert_memory_equal(buf, "a\xc3\xa9\xf0\x9f\x98\x80\n\0z", 10);
    assert_false(out[1].is_escaped);
    assert_true(slice_is_equal(out[1].raw, SLICE_LIT("plain")));
    assert_true(http_flat_number(&out[2], &d));
    assert_true(d == -125);
    assert_int_equal(out[3].type, FLAT_ARRAY);
    assert_false(http_flat_number(&out[1], &d));
    assert_int_equal(http_flat_text(buf, &out[2]), -1);
}

static void test_flat_text_refuses_lone_surrogates(void **state)
{
    static const char *const bad[] = {"\\ud800",        "\\udc00",    "\\ud800x",
                                      "\\ud800\\u0041", "\\ud800\\n", "\\udfff\\udfff"};
    uint8_t buf[64];

    for (size_t i = 0; i < 6; i++) {
        struct flat_value v = {FLAT_STRING, slice_str(bad[i]), true};

        assert_int_equal(http_flat_text(buf, &v), -1);
    }
}

static bool count_one(const struct flat_value *v, void *user)
{
    (*(unsigned *)user)++;
    return v->type == FLAT_STRING;
}

static void test_flat_each(void **state)
{
    struct flat_value out[4];
    unsigned n = 0;

    http_flat_find(SLICE_LIT("{\"list\":[ \"a\" , \"b\",\"c\"],\"n\":[],\"message\":[\"a\",1,\"b\"]}"), names,
                   4, out);
    assert_true(http_flat_each(&out[3], count_one, &n));
    assert_int_equal(n, 3);
    assert_true(http_flat_each(&out[2], count_one, &n));
    assert_int_equal(n, 3);
    assert_false(http_flat_each(&out[1], count_one, &n));
    assert_int_equal(n, 5);
    assert_false(http_flat_each(&out[0], count_one, &n));
}

static void test_flat_refuses_deep_nesting(void **state)
{
    struct flat_value out[4];
    char text[2000] = "{\"a\":";

    for (unsigned depth = 1; depth < 900; depth++) {
        memset(text + 5, '[', depth);
        memset(text + 5 + depth, ']', depth);
        strcpy(text + 5 + 2 * depth, "}");
        assert_int_equal(find(slice_str(text), out) == 0, depth <= FLAT_DEPTH);
    }
}

static void test_flat_refuses_every_truncation(void **state)
{
    static const char whole[] =
        "{\"topic\":\"t\\u00e9\xe2\x9c\x93\",\"n\":[1,2.5e3,true,null,{\"k\":\"v\"}],\"message\":\"\"}";
    struct flat_value out[4];

    assert_int_equal(find(SLICE_LIT(whole), out), 0);
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        assert_true(find(slice_of(whole, n), out) < 0);
}

/* A special byte at every place of a word, and none. */
static void test_flat_string_scan_at_every_offset(void **state)
{
    struct flat_value out[4];

    for (unsigned len = 0; len < 40; len++)
        for (unsigned at = 0; at <= len; at++) {
            static const uint8_t bad[] = {0x00, 0x1f, 0x80, 0xff};
            uint8_t text[80] = "{\"message\":\"";
            size_t n = 12;

            memset(text + n, 'a', len);
            memcpy(text + n + len, "\"}", 2);
            assert_int_equal(find(slice_of(text, n + len + 2), out), 0);
            assert_int_equal(out[1].raw.len, len);
            for (unsigned b = 0; b < 4 && at < len; b++) {
                text[n + at] = bad[b];
                assert_true(find(slice_of(text, n + len + 2), out) < 0);
            }
        }
}

/* Random edits of a good text: what jansson reads we read, and the same. */
static void test_flat_agrees_with_jansson(void **state)
{
    static const char base[] =
        "{\"topic\":\"a\\u00e9b\",\"message\":\"x\\ny\",\"n\":12,\"o\":{\"p\":[1,\"q\"]},\"list\":[]}";
    struct flat_value out[4];
    unsigned both = 0;
    struct rng r;

    rng_init_seeded(&r, 42);
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t text[sizeof(base)], buf[sizeof(base)];
        json_t *v, *m;

        memcpy(text, base, sizeof(base));
        for (uint64_t k = rng_below(&r, 3); k-- > 0;)
            text[rng_below(&r, sizeof(base) - 1)] = rng_below(&r, 2)
                                                        ? (uint8_t)base[rng_below(&r, sizeof(base) - 1)]
                                                        : (uint8_t)rng_below(&r, 256);
        v = json_loadb((char *)text, sizeof(base) - 1, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(v) ||
            memchr(text, 0, sizeof(base) - 1)) { /* jansson lets a NUL byte end a number */
            json_decref(v);
            continue;
        }
        both++;
        if (http_flat_find(slice_of(text, sizeof(base) - 1), names, 4, out) < 0)
            fail_msg("%.*s", (int)sizeof(base), text);
        m = json_object_get(v, "topic");
        assert_int_equal(out[0].type == FLAT_STRING, json_is_string(m));
        if (json_is_string(m)) {
            assert_int_equal(http_flat_text(buf, &out[0]), json_string_length(m));
            assert_memory_equal(buf, json_string_value(m), json_string_length(m));
        }
        json_decref(v);
    }
    assert_true(both > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flat_accepts_and_refuses),
                                       cmocka_unit_test(test_flat_finds_values),
                                       cmocka_unit_test(test_flat_text_refuses_lone_surrogates),
                                       cmocka_unit_test(test_flat_each),
                                       cmocka_unit_test(test_flat_refuses_deep_nesting),
                                       cmocka_unit_test(test_flat_refuses_every_truncation),
                                       cmocka_unit_test(test_flat_string_scan_at_every_offset),
                                       cmocka_unit_test(test_flat_agrees_with_jansson)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
