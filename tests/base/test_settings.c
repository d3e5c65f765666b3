#include "testing.h"

#include "base/settings.h"

#define LONG_20  "xxxxxxxxxxxxxxxxxxxx"
#define LONG_60  LONG_20 LONG_20 LONG_20
#define LONG_180 LONG_60 LONG_60 LONG_60
#define LONG_199 LONG_180 "xxxxxxxxxxxxxxxxxxx"
#define LONG_200 LONG_180 LONG_20
#define LONG_248 LONG_200 LONG_20 LONG_20 "xxxxxxxx"

struct conf {
    const char *name;
    uint32_t count;
    double share;
    uint16_t port;
    struct setting_listen listen;
    int mode;
    bool flag;
};

static const char *const modes[] = {"fast", "slow", NULL};
static const struct setting table[] = {
    {"NAME", SETTING_TEXT, offsetof(struct conf, name), NULL, 0, 0, false, NULL, "must be set", "a name"},
    {"COUNT", SETTING_U32, offsetof(struct conf, count), "4", 1, 255, false, NULL, NULL, "how many"},
    {"SHARE", SETTING_REAL, offsetof(struct conf, share), "0.75", 0, 1, true, NULL, NULL, "a share"},
    {"PORT", SETTING_PORT, offsetof(struct conf, port), "7070", 0, 0, false, NULL, NULL, "a port"},
    {"LISTEN", SETTING_LISTEN, offsetof(struct conf, listen), ":8080", 0, 0, false, NULL, NULL, "where"},
    {"MODE", SETTING_CHOICE, offsetof(struct conf, mode), "fast", 0, 0, false, modes, NULL, "which"},
    {"FLAG", SETTING_BOOL, offsetof(struct conf, flag), "false", 0, 0, false, NULL, NULL, "whether"},
};
#define TABLE table, sizeof(table) / sizeof(table[0])

static const char *lookup(void *ctx, const char *name)
{
    const char *const *kv = ctx;

    for (; *kv; kv += 2)
        if (strcmp(kv[0], name) == 0)
            return kv[1];
    return NULL;
}

static void test_settings_take_defaults_and_values(void **state)
{
    const char *none[] = {"NAME", "n", NULL};
    const char *all[] = {"NAME", "n", "COUNT", "255", "SHARE", "1", "PORT", "65535", "LISTEN", "127.0.0.1:9", "MODE", "slow", "FLAG", "true", NULL};
    struct settings_report rep = {0};
    struct conf c = {0};

    assert_int_equal(settings_load(TABLE, &c, lookup, none, &rep), 0);
    assert_true(c.count == 4 && c.share == 0.75 && c.port == 7070 && c.listen.port == 8080 && c.listen.host[0] == 0);
    assert_int_equal(settings_load(TABLE, &c, lookup, all, &rep), 0);
    assert_true(c.count == 255 && c.share == 1 && c.port == 65535 && c.listen.port == 9 && c.mode == 1 && c.flag);
    assert_string_equal(c.listen.host, "127.0.0.1");
}

static void test_settings_name_variable_value_and_rule(void **state)
{
    static const struct {
        const char *name, *value, *want;
    } bad[] = {
        {"COUNT", "0", "COUNT=0: must be a whole number from 1 to 255"},
        {"COUNT", "256", "COUNT=256: "},
        {"COUNT", "-1", "COUNT=-1: "},
        {"COUNT", "4x", "COUNT=4x: "},
        {"COUNT", " 4", "COUNT= 4: "},
        {"COUNT", "99999999999999999999", "COUNT=99999999999999999999: "},
        {"SHARE", "0", "SHARE=0: must be a number > 0 and <= 1"},
        {"SHARE", "1.01", "SHARE=1.01: "},
        {"SHARE", "nan", "SHARE=nan: "},
        {"SHARE", "0x1", "SHARE=0x1: "},
        {"PORT", "0", "PORT=0: must be a port from 1 to 65535"},
        {"PORT", "65536", "PORT=65536: "},
        {"LISTEN", ":", "LISTEN=:: "},
        {"LISTEN", "host:x", "LISTEN=host:x: "},
        {"MODE", "medium", "MODE=medium: must be one of fast, slow"},
        {"FLAG", "maybe", "FLAG=maybe: must be true or false"},
        {"FLAG", "11", "FLAG=11: "},
        {"FLAG", LONG_248, "FLAG=" LONG_200 ".. (248 bytes in all): must be true or false (or 1, 0, t, f, yes, no, y, n, on, off)"},
        {"FLAG", LONG_199 "\xc3\xa4x", "FLAG=" LONG_199 ".. (202 bytes in all): "}, /* not inside a letter */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *env[] = {"NAME", "n", bad[i].name, bad[i].value, NULL};
        struct settings_report rep = {0};
        struct conf c = {0};
        assert_int_equal(settings_load(TABLE, &c, lookup, env, &rep), 1);
        assert_int_equal(rep.count, 1);
        if (strncmp(rep.lines[0], bad[i].want, strlen(bad[i].want)) != 0)
            fail_msg("got \"%s\", want \"%s...\"", rep.lines[0], bad[i].want);
    }
}

static void test_settings_take_booleans_as_go_does(void **state)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", "yes", "on", "y", "ON"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False", "no", "off", "n", "No"};

    for (size_t i = 0; i < 20; i++) {
        const char *env[] = {"NAME", "n", "FLAG", i < 10 ? yes[i] : no[i - 10], NULL};
        struct settings_report rep = {0};
        struct conf c = {.flag = i >= 10};
        assert_int_equal(settings_load(TABLE, &c, lookup, env, &rep), 0);
        if (c.flag != (i < 10))
            fail_msg("%s", env[3]);
    }
}

static void test_settings_country_is_text_and_two_letters(void **state)
{
    static const struct {
        const char *country, *iso, *want;
    } row[] = {
        {"", "", NULL},
        {"India", "IN", NULL},
        {"C\xc3\xb4te d'Ivoire", "ci", NULL},
        {LONG_60, "", NULL},
        {LONG_60 "x", "", "COUNTRY=" LONG_60 "x: must be text"},
        {"a\nb", "", "COUNTRY="},
        {"\xc3", "", "COUNTRY="},
        {"\xc0\x80", "", "COUNTRY="},
        {"\xed\xa0\x80", "", "COUNTRY="},
        {"\xf4\x90\x80\x80", "", "COUNTRY="},
        {"", "IND", "COUNTRY_ISO=IND: must be two letters"},
        {"", "I", "COUNTRY_ISO=I: "},
        {"", "1N", "COUNTRY_ISO=1N: "},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct settings_report rep = {0};
        settings_check_country(&rep, row[i].country, row[i].iso);
        assert_int_equal(rep.fatal, row[i].want != NULL);
        if (row[i].want && strncmp(rep.lines[0], row[i].want, strlen(row[i].want)) != 0)
            fail_msg("got \"%s\", want \"%s...\"", rep.lines[0], row[i].want);
    }
}

static void test_settings_collect_every_error(void **state)
{
    const char *env[] = {"COUNT", "x", "PORT", "y", NULL};
    struct settings_report rep = {0};
    struct conf c = {0};

    assert_int_equal(settings_load(TABLE, &c, lookup, env, &rep), 3);
    assert_string_equal(rep.lines[0], "NAME is not set: must be set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_take_defaults_and_values),
        cmocka_unit_test(test_settings_name_variable_value_and_rule),
        cmocka_unit_test(test_settings_take_booleans_as_go_does),
        cmocka_unit_test(test_settings_country_is_text_and_two_letters),
        cmocka_unit_test(test_settings_collect_every_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
