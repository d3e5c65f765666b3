#include "testing.h"

#include <string.h>

#include "cli/words.h"

static void test_utf8_is_told_from_bytes(void **state)
{
    static const struct {
        const char *in;
        bool is_utf8, is_plain;
    } t[] = {{"", true, true}, {"hello\n\tyou", true, true}, {"gr\xc3\xbc\xc3\x9f", true, true}, {"\xf0\x9f\x98\x80", true, true},
             {"\xff", false, false}, {"\xc0\x80", false, false}, {"\xed\xa0\x80", false, false}, {"\xf4\x90\x80\x80", false, false},
             {"\xc3", false, false}, {"a\033[2Jb", true, false}, {"\x7f", true, false}, {"\xc2\x9b", true, false},
             {"\xe2\x80\xae", true, false}, {"\xe2\x81\xa6", true, false}};

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(cli_is_utf8(slice_str(t[i].in)), t[i].is_utf8);
        assert_int_equal(cli_is_plain(slice_str(t[i].in)), t[i].is_plain);
    }
}

static void test_clean_leaves_nothing_for_the_terminal_to_obey(void **state)
{
    char out[32];

    assert_string_equal(cli_clean(out, sizeof(out), slice_str("a\033[2Jb\nc\xff\xc3\xbc")), "a?[2Jb c?\xc3\xbc");
    for (unsigned c = 0; c < 256; c++) {
        uint8_t b[2] = {(uint8_t)c, 'x'};

        cli_clean(out, sizeof(out), slice_of(b, 2));
        assert_true((uint8_t)out[0] >= 0x20 && out[0] != 0x7f && cli_is_plain(slice_str(out)));
    }
}

static void test_clean_never_cuts_a_character(void **state)
{
    static const char text[] = "ab\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80";
    char out[16];

    for (size_t cap = 1; cap <= sizeof(text); cap++) {
        cli_clean(out, cap, slice_str(text));
        assert_true(strlen(out) < cap && cli_is_utf8(slice_str(out)));
    }
    assert_int_equal(cli_columns(text), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_told_from_bytes), cmocka_unit_test(test_clean_leaves_nothing_for_the_terminal_to_obey),
        cmocka_unit_test(test_clean_never_cuts_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
