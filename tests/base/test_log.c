#include "testing.h"

#include <unistd.h>

#include "base/log.h"

static char text[8192];

/* What write_lines says on stderr. */
static const char *said(void (*write_lines)(void))
{
    int ends[2], old = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    write_lines();
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static unsigned lines_of(const char *s)
{
    unsigned n = 0;

    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static void plain(void)
{
    log_init(LOG_INFO_L, "demo");
    log_info("\"peer up\" peer=%s", "abc");
    log_debug("\"not told\"");
}

static void test_line_has_its_parts_in_order(void **state)
{
    const char *s = said(plain);

    assert_int_equal(strncmp(s, "ts=20", 5), 0);
    assert_non_null(strstr(s, "Z level=info cluster=demo msg=\"peer up\" peer=abc\n"));
    assert_int_equal(lines_of(s), 1);
}

static void forged(void)
{
    log_warn("\"publish failed\" topic=%s", "a\nts=2026 level=error msg=\"forged\"\r\x1b[2J");
}

/* Topics and the like come from strangers: they get no line of their own, and no say over the terminal. */
static void test_control_characters_do_not_get_through(void **state)
{
    const char *s = said(forged);

    assert_int_equal(lines_of(s), 1);
    assert_int_equal(s[strlen(s) - 1], '\n');
    assert_null(strchr(s, '\r'));
    assert_null(strchr(s, '\x1b'));
    assert_non_null(strstr(s, "topic=a?ts=2026"));
}

static void too_long(void)
{
    static char big[4000];

    memset(big, 'x', sizeof(big) - 1);
    log_error("\"big\" value=%s", big);
}

static void test_long_line_is_cut_and_ends(void **state)
{
    const char *s = said(too_long);

    assert_int_equal(lines_of(s), 1);
    assert_true(strlen(s) > 2000 && strlen(s) <= 2048);
    assert_int_equal(s[strlen(s) - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_has_its_parts_in_order),
        cmocka_unit_test(test_control_characters_do_not_get_through),
        cmocka_unit_test(test_long_line_is_cut_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
