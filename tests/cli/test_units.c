#include "testing.h"

#include "cli/units.h"

static void test_bytes_text_is_short(void **state)
{
    static const struct {
        double in;
        const char *want;
    } t[] = {{0, "0 B"}, {512, "512 B"}, {1023, "1023 B"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {10240, "10 KiB"},
             {12700, "12.4 KiB"}, {1048576, "1 MiB"}, {1048575, "1 MiB"}, {1.5e9, "1.4 GiB"}, {123456789, "118 MiB"}};
    char out[CLI_UNIT_TEXT];

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_string_equal(cli_bytes_text(out, t[i].in), t[i].want);
    assert_string_equal(cli_byte_rate_text(out, 2048), "2 KiB/s");
}

static void test_duration_text_picks_its_unit(void **state)
{
    static const struct {
        uint64_t in;
        const char *want;
    } t[] = {{0, "0 ns"}, {999, "999 ns"}, {1500, "1.5 us"}, {850000, "850 us"}, {999600, "1 ms"}, {1240000, "1.24 ms"},
             {124000000, "124 ms"}, {3100000000, "3.1 s"}, {59990000000, "0 m 59 s"}, {125000000000, "2 m 05 s"},
             {11520000000000, "3 h 12 m"}, {183600000000000, "2 d 03 h"}};
    char out[CLI_UNIT_TEXT];

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        assert_string_equal(cli_duration_text(out, t[i].in), t[i].want);
}

static void test_rates_and_counts(void **state)
{
    char out[CLI_UNIT_TEXT];

    assert_string_equal(cli_rate_text(out, 0), "0/s");
    assert_string_equal(cli_rate_text(out, 0.25), "0.3/s");
    assert_string_equal(cli_rate_text(out, 12.34), "12.3/s");
    assert_string_equal(cli_rate_text(out, 3256), "3256/s");
    assert_string_equal(cli_rate_text(out, 18018), "18 k/s");
    assert_string_equal(cli_count_text(out, 9999), "9999");
    assert_string_equal(cli_count_text(out, 1234567), "1.23 M");
}

static void test_bytes_parse(void **state)
{
    static const struct {
        const char *in;
        bool is;
        uint64_t want;
    } t[] = {{"0", true, 0}, {"64", true, 64}, {"64K", true, 65536}, {"64KiB", true, 65536}, {"1.5m", true, 1572864},
             {"2GB", true, 2147483648}, {"", false, 0}, {"K", false, 0}, {"-1", false, 0}, {"1X", false, 0},
             {"1 K", false, 0}, {"0x10", false, 0}, {"1..5", false, 0}, {"nan", false, 0}, {"99999999999G", false, 0}};
    uint64_t v;

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        v = 0;
        assert_int_equal(cli_bytes_parse(t[i].in, &v), t[i].is);
        assert_int_equal(v, t[i].want);
    }
}

static void test_duration_and_rate_parse(void **state)
{
    uint64_t ns;
    double r;

    assert_true(cli_duration_parse("10", &ns) && ns == 10000000000u);
    assert_true(cli_duration_parse("1.5s", &ns) && ns == 1500000000u);
    assert_true(cli_duration_parse("200ms", &ns) && ns == 200000000u);
    assert_true(cli_duration_parse("2m", &ns) && ns == 120000000000u);
    assert_false(cli_duration_parse("2 weeks", &ns));
    assert_false(cli_duration_parse("s", &ns));
    assert_true(cli_rate_parse("100", &r) && r == 100);
    assert_true(cli_rate_parse("30/m", &r) && r == 0.5);
    assert_true(cli_rate_parse("2k/s", &r) && r == 2000);
    assert_false(cli_rate_parse("0", &r));
    assert_false(cli_rate_parse("-5", &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_text_is_short), cmocka_unit_test(test_duration_text_picks_its_unit),
        cmocka_unit_test(test_rates_and_counts), cmocka_unit_test(test_bytes_parse),
        cmocka_unit_test(test_duration_and_rate_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
