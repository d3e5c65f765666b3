#include "testing.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source.h"

static void write_file(char path[32], const char *text)
{
    int fd;

    strcpy(path, "/tmp/cli-source-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void expect(struct source *s, const char *want)
{
    struct slice p;
    enum source_state st;

    while ((st = source_next(s, &p)) == SOURCE_WAIT)
        source_read(s);
    if (!want) {
        assert_int_equal(st, SOURCE_END);
        return;
    }
    assert_int_equal(st, SOURCE_READY);
    assert_true(slice_is_equal(p, slice_str(want)));
}

static void test_source_gives_lines_without_their_ends(void **state)
{
    struct source s;
    struct cli_fault f;
    char path[32];

    write_file(path, "one\n\ntwo\r\n  three\nlast");
    assert_int_equal(source_init(&s, &(struct source_config){.file = path, .has_lines = true}, &f), 0);
    expect(&s, "one");
    expect(&s, "two");
    expect(&s, "  three");
    expect(&s, "last");
    expect(&s, NULL);
    expect(&s, NULL);
    source_fini(&s);
    assert_int_equal(source_init(&s, &(struct source_config){.file = path, .has_lines = true, .count = 2}, &f), 0);
    expect(&s, "one");
    expect(&s, "two");
    expect(&s, NULL);
    source_fini(&s);
    unlink(path);
}

static void test_source_gives_a_file_whole(void **state)
{
    struct source s;
    struct cli_fault f;
    char path[32];

    write_file(path, "one\ntwo\n");
    assert_int_equal(source_init(&s, &(struct source_config){.file = path}, &f), 0);
    assert_true(source_is_single(&s));
    expect(&s, "one\ntwo\n");
    expect(&s, NULL);
    source_fini(&s);
    unlink(path);
    assert_int_equal(source_init(&s, &(struct source_config){.file = path}, &f), -CLI_EFAILED);
    assert_non_null(strstr(f.what, path));
}

static void test_source_numbers_repeats(void **state)
{
    struct source s;
    struct cli_fault f;

    assert_int_equal(source_init(&s, &(struct source_config){.message = "hi", .count = 12}, &f), 0);
    expect(&s, "hi 1");
    expect(&s, "hi 2");
    for (unsigned i = 3; i < 12; i++) {
        struct slice p;

        assert_int_equal(source_next(&s, &p), SOURCE_READY);
    }
    expect(&s, "hi 12");
    expect(&s, NULL);
    source_fini(&s);
}

static void test_source_random_is_of_its_size_and_never_twice_the_same(void **state)
{
    struct source s;
    struct cli_fault f;
    struct slice a, b;
    uint8_t first[64];

    assert_int_equal(source_init(&s, &(struct source_config){.size = 64, .count = 2}, &f), 0);
    assert_int_equal(source_next(&s, &a), SOURCE_READY);
    assert_int_equal(a.len, 64);
    memcpy(first, a.p, 64);
    assert_int_equal(source_next(&s, &b), SOURCE_READY);
    assert_memory_not_equal(first, b.p, 64);
    expect(&s, NULL);
    source_fini(&s);
}

static void test_source_refuses_two_of_them(void **state)
{
    static const struct source_config bad[] = {{.message = "x", .file = "y"}, {.message = "x", .size = 5}, {.file = "x", .size = 5},
                                               {.message = "x", .has_lines = true}, {.size = 5, .has_lines = true}};
    struct source s;
    struct cli_fault f;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(source_init(&s, &bad[i], &f), -CLI_EUSAGE);
    assert_int_equal(source_init(&s, &(struct source_config){.message = ""}, &f), -CLI_EFAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_gives_lines_without_their_ends), cmocka_unit_test(test_source_gives_a_file_whole),
        cmocka_unit_test(test_source_numbers_repeats),
        cmocka_unit_test(test_source_random_is_of_its_size_and_never_twice_the_same),
        cmocka_unit_test(test_source_refuses_two_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
