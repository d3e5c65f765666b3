#include "testing.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/pb.h"
#include "base/rng.h"
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

/* The last `len` bytes before a page that may not be touched. */
static uint8_t *at_guard(uint8_t *end, size_t len)
{
    return end - len;
}

static uint8_t *guarded_page(void)
{
    long page = sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(mprotect(p + page, (size_t)page, PROT_NONE), 0);
    return p + page;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The textbook, one bit string at a time. */
static size_t slow_encode(char *out, const uint8_t *in, size_t len)
{
    size_t n = 0;

    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned v = 0;
        for (size_t b = bit; b < bit + 6; b++)
            v = v << 1 | (b < len * 8 ? in[b / 8] >> (7 - b % 8) & 1u : 0);
        out[n++] = alphabet[v];
    }
    while (n % 4)
        out[n++] = '=';
    out[n] = 0;
    return n;
}

static void test_base64_at_every_length_before_a_guard_page(void **state)
{
    uint8_t *in_end = guarded_page(), *text_end = guarded_page(), *out_end = guarded_page();
    char want[600];
    struct rng r;

    rng_init_seeded(&r, 7);
    for (size_t len = 0; len < 300; len++) {
        uint8_t *in = at_guard(in_end, len), *back = at_guard(out_end, len);
        size_t text_len = BASE64_SIZE(len) - 1;
        char *text = (char *)at_guard(text_end, text_len + 1);

        rng_fill(&r, in, len);
        assert_int_equal(base64_encode(text, slice_of(in, len)), text_len);
        assert_int_equal(slow_encode(want, in, len), text_len);
        assert_string_equal(text, want);
        text = memmove(text + 1, text, text_len); /* its end at the guard, without the NUL */
        assert_int_equal(base64_decode(back, len, slice_of(text, text_len)), len);
        assert_memory_equal(back, in, len);
        if (len)
            assert_int_equal(base64_decode(back + 1, len - 1, slice_of(text, text_len)), -1);
    }
}

static void test_base64_finds_each_wrong_character_anywhere(void **state)
{
    char text[129];
    uint8_t out[96];

    for (int c = 0; c < 256; c++) {
        bool is_right = c && strchr(alphabet, c);
        for (size_t at = 0; at < 128; at++) {
            memset(text, 'A', 128);
            text[at] = (char)c;
            /* a final '=' is padding after zero bits: right, too */
            assert_int_equal(base64_decode(out, sizeof(out), slice_of(text, 128)),
                             is_right ? 96 : c == '=' && at == 127 ? 95 : -1);
        }
    }
}

static void test_base64url_is_read_and_checked_alike(void **state)
{
    static const struct {
        const char *text;
        int len; /* -1: no encoder writes it */
    } t[] = {{"", 0},    {"Zg", 1},   {"Zm8", 2},  {"Zm9v", 3},  {"Zm9vYg", 4}, {"_-8", 2},    {"Z", -1},      {"Zm9vY", -1},
             {"Zh", -1}, {"Zm9", -1}, {"Zg==", -1}, {"Zg=", -1}, {"+/8", -1},   {"Zm9v.", -1}, {"Zm\xc3v", -1}, {"Zm 9", -1}};
    char text[64];
    uint8_t out[64];

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(base64url_decode(out, sizeof(out), slice_str(t[i].text)), t[i].len);
        assert_int_equal(base64url_is_valid(slice_str(t[i].text)), t[i].len >= 0);
        if (t[i].len < 0)
            continue;
        assert_int_equal(base64url_encode(text, sizeof(text), slice_of(out, (size_t)t[i].len)), strlen(t[i].text));
        assert_string_equal(text, t[i].text);
        assert_int_equal(base64url_encode(text, strlen(t[i].text), slice_of(out, (size_t)t[i].len)), -1);
        if (t[i].len)
            assert_int_equal(base64url_decode(out, (size_t)t[i].len - 1, slice_str(t[i].text)), -1);
    }
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
        cmocka_unit_test(test_base64_at_every_length_before_a_guard_page),
        cmocka_unit_test(test_base64_finds_each_wrong_character_anywhere),
        cmocka_unit_test(test_base64url_is_read_and_checked_alike),
        cmocka_unit_test(test_pb_reads_what_it_writes), cmocka_unit_test(test_pb_refuses_groups_and_field_zero),
        cmocka_unit_test(test_wr_stops_at_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
