#include "vec.h"

#include "crypto/der.h"

static void test_der_positive_is_read_strictly(void **state)
{
    static const struct {
        const char *in;
        int want; /* its bytes; -1: refused */
    } table[] = {
        {"020101", 1},
        {"02020080", 1},
        {"02027fff", 2},
        {"020100", -1},     /* zero */
        {"02020001", -1},   /* a zero too many */
        {"0200", -1},       /* empty */
        {"020180", -1},     /* negative */
        {"030101", -1},     /* another tag */
        {"02810101", -1},   /* a longer length than need be */
        {"0282000101", -1},
        {"028001", -1},     /* indefinite */
        {"0283000001ff", -1}, /* a length of lengths that no key has */
        {"02ff01", -1},
        {"0202", -1},
        {"", -1},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct bytes in = vec_unhex(table[i].in);
        struct rd r = rd_of(bytes_slice(in));
        struct slice n = {NULL, 0};
        bool is_ok = der_take_positive(&r, &n);

        assert_int_equal(is_ok ? (int)n.len : -1, table[i].want);
        free(in.p);
    }
}

static void test_der_long_lengths(void **state)
{
    uint8_t in[3 + 300] = {0x30, 0x82, 300 >> 8, 300 & 255}, at[2 + 1 + 0x80] = {0x30, 0x81, 0x80};
    struct slice content;
    struct rd r = rd_of(slice_of(in, sizeof(in)));

    assert_false(der_take(&r, DER_SEQUENCE, &content)); /* 299 of 300 bytes are there */
    r = rd_of(slice_of(at, sizeof(at)));
    assert_true(der_take(&r, DER_SEQUENCE, &content));
    assert_int_equal(content.len, 0x80);
    assert_int_equal(rd_left(&r), 0);
    for (size_t n = 0; n < sizeof(at); n++) {
        struct bytes cut = vec_copy(slice_of(at, n));
        r = rd_of(bytes_slice(cut));
        assert_false(der_take(&r, DER_SEQUENCE, &content));
        free(cut.p);
    }
}

static void test_der_bits_are_whole_bytes(void **state)
{
    const uint8_t whole[] = {3, 3, 0, 1, 2}, odd[] = {3, 3, 1, 1, 2}, none[] = {3, 0};
    struct slice bytes;
    struct rd r = rd_of(slice_of(whole, sizeof(whole)));

    assert_true(der_take_bits(&r, &bytes));
    assert_int_equal(bytes.len, 2);
    r = rd_of(slice_of(odd, sizeof(odd)));
    assert_false(der_take_bits(&r, &bytes));
    r = rd_of(slice_of(none, sizeof(none)));
    assert_false(der_take_bits(&r, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_der_positive_is_read_strictly),
        cmocka_unit_test(test_der_long_lengths),
        cmocka_unit_test(test_der_bits_are_whole_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
