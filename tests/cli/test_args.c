#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "cli/args.h"

struct options {
    bool is_a, is_b;
    const char *file;
    uint64_t count, size, wait_ns;
    double rate, share;
    int choice;
};

static const char *const words[] = {"text", "json", NULL};
static const struct cli_opt opt[] = {
    {"all", 'a', CLI_FLAG, offsetof(struct options, is_a), NULL, "all of it", 0, 0, NULL},
    {"bare", 'b', CLI_FLAG, offsetof(struct options, is_b), NULL, "nothing else", 0, 0, NULL},
    {"file", 'f', CLI_TEXT, offsetof(struct options, file), "FILE", "a file", 0, 0, NULL},
    {"count", 'n', CLI_COUNT, offsetof(struct options, count), "N", "how many", 1, 1000, NULL},
    {"size", 0, CLI_BYTES, offsetof(struct options, size), "SIZE", "how large", 16, 1 << 20, NULL},
    {"wait", 't', CLI_DURATION, offsetof(struct options, wait_ns), "TIME", "how long", 0, 0, NULL},
};
static const struct cli_opt more[] = {
    {"rate", 'r', CLI_RATE, offsetof(struct options, rate), "RATE", "how fast", 0, 0, NULL},
    {"share", 0, CLI_SHARE, offsetof(struct options, share), "SHARE", "of the whole", 0, 0, NULL},
    {"format", 0, CLI_CHOICE, offsetof(struct options, choice), "FORMAT", "its form", 0, 0, words},
};
static const struct cli_opts lists[] = {{opt, 6}, {more, 3}};

static int parse(const char *line, struct options *o, const char **args, unsigned *n, struct cli_fault *f)
{
    static char text[512]; /* the texts that options point at outlive this */
    char *argv[32], *save;
    int argc = 0;

    memset(o, 0, sizeof(*o));
    snprintf(text, sizeof(text), "%s", line);
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return cli_args_parse(lists, 2, argc, argv, o, args, n, f);
}

static void test_args_take_all_forms(void **state)
{
    struct options o;
    const char *args[32];
    struct cli_fault f;
    unsigned n;

    assert_int_equal(parse("-ab one --file=x -n5 two --size 64K -t 2s --rate=30/m --share .5 --format json - -- --bare", &o, args, &n, &f), 0);
    assert_true(o.is_a && o.is_b);
    assert_string_equal(o.file, "x");
    assert_int_equal(o.count, 5);
    assert_int_equal(o.size, 65536);
    assert_int_equal(o.wait_ns, 2000000000);
    assert_true(o.rate == 0.5 && o.share == 0.5 && o.choice == 1);
    assert_int_equal(n, 4);
    assert_string_equal(args[0], "one");
    assert_string_equal(args[1], "two");
    assert_string_equal(args[2], "-");
    assert_string_equal(args[3], "--bare");
    assert_int_equal(parse("-n 1 -abn 7 -ffoo", &o, args, &n, &f), 0);
    assert_int_equal(o.count, 7);
    assert_string_equal(o.file, "foo");
}

static void test_args_say_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *want;
    } t[] = {{"--cuont 1", "did you mean --count?"}, {"--zzzzzz", "there is no option --zzzzzz"}, {"-z", "there is no option -z"},
             {"--count", "--count N"}, {"-n", "--count N"}, {"--all=yes", "takes no value"}, {"--count x", "a whole number"},
             {"--count 0", "from 1 to 1000"}, {"--count=1001", "from 1 to 1000"}, {"--count -1", "a whole number"},
             {"--count 99999999999999999999", "a whole number"}, {"--size 4", "from 16 B to 1 MiB"},
             {"--size big", "64K"}, {"--wait soon", "duration"}, {"--rate 0", "rate"}, {"--share 1.5", "at most 1"},
             {"--share 0", "above 0"}, {"--format xml", "one of text, json"}, {"--form json", "did you mean --format?"}};
    struct options o;
    const char *args[32];
    struct cli_fault f;
    unsigned n;

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(parse(t[i].line, &o, args, &n, &f), -CLI_EUSAGE);
        if (!strstr(f.what, t[i].want))
            fail_msg("%s: '%s' does not say '%s'", t[i].line, f.what, t[i].want);
    }
}

static void test_args_help_stands_in_columns(void **state)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    cli_args_help(f, &lists[0]);
    fclose(f);
    assert_non_null(strstr(text, "  -a, --all        all of it\n"));
    assert_non_null(strstr(text, "  -f, --file FILE  a file\n"));
    assert_non_null(strstr(text, "      --size SIZE  how large\n"));
    free(text);
}

static void test_nearest_wants_likeness(void **state)
{
    static const char *const list[] = {"publish", "subscribe", "peers"};

    assert_string_equal(cli_args_nearest("pubish", list, 3), "publish");
    assert_string_equal(cli_args_nearest("sub", list, 3), "subscribe");
    assert_string_equal(cli_args_nearest("peer", list, 3), "peers");
    assert_null(cli_args_nearest("watch", list, 3));
    assert_null(cli_args_nearest("", list, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args_take_all_forms), cmocka_unit_test(test_args_say_what_is_wrong),
        cmocka_unit_test(test_args_help_stands_in_columns), cmocka_unit_test(test_nearest_wants_likeness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
