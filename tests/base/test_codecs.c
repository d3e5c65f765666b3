#include "testing.h"

#include "base/pb.h"
#include "base/text.h"

static void test_text_round_trips(void **state)
{
    static const struct {
        const char *raw, *b64;
    } t[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char out[32], hex[32];
        uint8_t back[32];
        size_t n = strlen(t[i].raw);
        assert_int_equal(base64_encode(out, slice_str(t[i].raw)), strlen(t[i].b64));
        assert_string_equal(out, t[i].b64);
        assert_int_equal(base64_decode(back, n, slice_str(out)), n);
        assert_memory_equal(back, t[i].raw, n);
        if (n)
            assert_int_equal(base64_decode(back, n - 1, slice_str(out)), -1);
        hex_encode(hex, slice_str(t[i].raw));
        assert_int_equal(hex_decode(back, sizeof(back), slice_str(hex)), n);
        assert_memory_equal(back, t[i].raw, n);
    }
}

static void test_text_refuses_what_no_encoder_writes(void **state)
{
    static const char *const bad[] = {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zm9v!Zg=", "=Zg="};
    uint8_t out[16];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(base64_decode(out, sizeof(out), slice_str(bad[i])), -1);
    assert_int_equal(hex_decode(out, sizeof(out), SLICE_LIT("abc")), -1);
    assert_int_equal(hex_decode(out, sizeof(out), SLICE_LIT("zz")), -1);
    assert_int_equal(hex_decode(out, 1, SLICE_LIT("abcd")), -1);
}

static void test_pb_reads_what_it_writes(void **state)
{
    uint8_t mem[128];
    struct wr w = wr_of(mem, sizeof(mem)), count = wr_counter();
    struct pb_field f;

    pb_put_varint(&w, 1, 300);
    pb_put_bytes(&w, 2, SLICE_LIT("hi"));
    pb_put_varint(&w, 536870911, 1);
    wr_bytes(&w, "\x1d\x01\x02\x03\x04", 5); /* field 3, fixed32 */
    assert_false(w.bad);
    pb_put_varint(&count, 1, 300);
    assert_int_equal(count.len, 3);
    struct rd r = rd_of(slice_of(mem, w.len));
    assert_int_equal(pb_next(&r, &f), 1);
    assert_true(pb_is(&f, 1, PB_VARINT) && f.u == 300);
    assert_int_equal(pb_next(&r, &f), 1);
    assert_true(pb_is(&f, 2, PB_BYTES) && slice_is_equal(f.bytes, SLICE_LIT("hi")));
    assert_int_equal(pb_next(&r, &f), 1);
    assert_true(pb_is(&f, 536870911, PB_VARINT));
    assert_int_equal(pb_next(&r, &f), 1);
    assert_true(pb_is(&f, 3, PB_FIXED32) && f.u == 0x04030201);
    assert_int_equal(pb_next(&r, &f), 0);
    for (size_t cut = 0; cut < w.len; cut++) { /* each truncation ends cleanly or is malformed, never runs on */
        int rc;
        r = rd_of(slice_of(mem, cut));
        while ((rc = pb_next(&r, &f)) == 1)
            ;
        assert_true(rc == 0 || rc == -1);
    }
}

static void test_pb_refuses_groups_and_field_zero(void **state)
{
    struct pb_field f;
    struct rd r = rd_of(SLICE_LIT("\x0b"));

    assert_int_equal(pb_next(&r, &f), -1);
    r = rd_of(SLICE_LIT("\x00\x01"));
    assert_int_equal(pb_next(&r, &f), -1);
    r = rd_of(SLICE_LIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_int_equal(pb_next(&r, &f), -1);
}

static void test_wr_stops_at_its_capacity(void **state)
{
    uint8_t mem[3];
    struct wr w = wr_of(mem, sizeof(mem));

    wr_be(&w, 0x0102, 2);
    wr_be(&w, 0x0304, 2);
    assert_true(w.bad);
    assert_int_equal(w.len, 2);
    wr_u8(&w, 9); /* bad sticks */
    assert_int_equal(w.len, 2);
    struct rd r = rd_of(slice_of(mem, 2));
    assert_int_equal(rd_be16(&r), 0x0102);
    assert_int_equal(rd_u8(&r), 0);
    assert_true(r.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_round_trips),        cmocka_unit_test(test_text_refuses_what_no_encoder_writes),
        cmocka_unit_test(test_pb_reads_what_it_writes), cmocka_unit_test(test_pb_refuses_groups_and_field_zero),
        cmocka_unit_test(test_wr_stops_at_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
