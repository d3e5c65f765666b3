#include "testing.h"

#include <stdlib.h>

#include "cli/table.h"

static char *printed(const struct cli_table *t, unsigned indent, unsigned width, unsigned rows, bool bold)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    cli_table_print(f, t, indent, width, rows, bold);
    fclose(f);
    return text;
}

static void fill(struct cli_table *t)
{
    static const char *const head[] = {"<NAME", ">N", "<REST"};

    cli_table_init(t, head, 3);
    cli_table_add(t, "a");
    cli_table_add(t, "%d", 5);
    cli_table_add(t, "x");
    cli_table_add(t, "gr\xc3\xbcn\033");
    cli_table_add(t, "%d", 12345);
    cli_table_add(t, "y");
}

static void test_table_aligns_and_cleans(void **state)
{
    struct cli_table t;
    char *text;

    fill(&t);
    text = printed(&t, 0, 0, 0, false);
    assert_string_equal(text, "NAME       N  REST\na          5  x\ngr\xc3\xbcn?  12345  y\n");
    free(text);
    text = printed(&t, 2, 0, 1, true);
    assert_string_equal(text, "\033[1m  NAME       N  REST\033[0m\n  a          5  x\n");
    free(text);
    cli_table_fini(&t);
}

static void test_table_is_cut_at_any_width(void **state)
{
    struct cli_table t;

    fill(&t);
    for (unsigned width = 1; width < 24; width++) {
        char *text = printed(&t, 1, width, 0, false);
        unsigned column = 0, lines = 0;

        for (const char *p = text; *p; p++) {
            if (*p == '\n') {
                lines++;
                column = 0;
            } else if (((unsigned char)*p & 0xc0) != 0x80) {
                column++;
            }
            assert_true(column <= width);
        }
        assert_int_equal(lines, 3);
        free(text);
    }
    cli_table_fini(&t);
}

static void test_table_grows(void **state)
{
    static const char *const head[] = {"<A", "<B"};
    struct cli_table t;

    cli_table_init(&t, head, 2);
    for (int i = 0; i < 2000; i++)
        cli_table_add(&t, "%d", i);
    assert_int_equal(t.rows, 1000);
    assert_string_equal(t.cells[1998], "1998");
    cli_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_aligns_and_cleans), cmocka_unit_test(test_table_is_cut_at_any_width),
        cmocka_unit_test(test_table_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
