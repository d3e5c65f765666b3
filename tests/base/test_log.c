#include "testing.h"

#include <jansson.h>
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
    log_init(LOG_INFO_L, LOG_LOGFMT, "demo");
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
    assert_non_null(strstr(s, "topic=\"a\\nts=2026 level=error msg=\\\"forged\\\"\\r\\u001b[2J\"\n"));
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
    assert_true(strlen(s) > 1400 && strlen(s) <= LOG_LINE_MAX);
    assert_int_equal(s[strlen(s) - 1], '\n');
}

/* One record as a line, at a fixed moment. */
static const char *rendered(enum log_format format, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *rendered(enum log_format format, const char *fmt, ...)
{
    struct log_head head = {.when_ns = 1795386789161000000ull, .level = "info", .cluster = "demo"};
    char record[LOG_RECORD_MAX];
    va_list ap;

    va_start(ap, fmt);
    log_pack(record, sizeof(record), fmt, ap);
    va_end(ap);
    text[log_render(text, format, &head, record)] = 0;
    return text;
}

static void test_record_reads_the_same_in_both_formats(void **state)
{
#define EVENT "\"%s published\" topic=%.*s bytes=%zu share=%.1f at=%s:%u why=\"%s\" seq=%llu", "message", 5, "demo topics", (size_t)10, 0.5, "host", \
              80u, "it is so", 7ull
    assert_string_equal(rendered(LOG_LOGFMT, EVENT), "ts=2026-11-22T22:33:09.161Z level=info cluster=demo msg=\"message published\" topic=\"demo \" "
                        "bytes=10 share=0.5 at=host:80 why=\"it is so\" seq=7\n");
    assert_string_equal(rendered(LOG_JSON, EVENT), "{\"ts\":\"2026-11-22T22:33:09.161Z\",\"level\":\"info\",\"cluster\":\"demo\",\"msg\":\"message published\","
                        "\"topic\":\"demo \",\"bytes\":10,\"share\":\"0.5\",\"at\":\"host:80\",\"why\":\"it is so\",\"seq\":7}\n");
    assert_string_equal(rendered(LOG_JSON, "\"alone\""), "{\"ts\":\"2026-11-22T22:33:09.161Z\",\"level\":\"info\",\"cluster\":\"demo\",\"msg\":\"alone\"}\n");
    assert_string_equal(rendered(LOG_LOGFMT, "no quotes %d", 3), "ts=2026-11-22T22:33:09.161Z level=info cluster=demo msg=\"no quotes 3\"\n");
}

/* Every byte, and sequences that are no UTF-8, in a stranger's value: one line, valid JSON, and the next field is where it was. */
static void test_any_bytes_stay_inside_their_value(void **state)
{
    static const char *const bad[] = {"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\xf0\x9f", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"};
    char value[80];
    json_t *j;

    for (unsigned i = 1; i < 256 + 8; i++) {
        if (i < 256)
            snprintf(value, sizeof(value), "%c\" next=1 \x1f%c\\", (int)i, (int)i);
        else
            snprintf(value, sizeof(value), "%s", bad[i - 256]);
        j = json_loads(rendered(LOG_JSON, "\"event\" topic=%s after=%u", value, i), 0, NULL);
        assert_non_null(j);
        assert_int_equal(json_object_size(j), 6);
        assert_int_equal(json_integer_value(json_object_get(j, "after")), i);
        json_decref(j);
        rendered(LOG_LOGFMT, "\"event\" topic=\"%s\" after=%u", value, i);
        assert_int_equal(lines_of(text), 1);
        snprintf(value, sizeof(value), " after=%u\n", i);
        assert_string_equal(text + strlen(text) - strlen(value), value);
    }
    j = json_loads(rendered(LOG_JSON, "\"event\" topic=%s", bad[7]), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "topic")), bad[7]);
    json_decref(j);
}

/* However long the values, and wherever the cut falls: valid JSON in at most LOG_LINE_MAX bytes. */
static void test_cut_lines_stay_whole(void **state)
{
    static char a[LOG_LINE_MAX], b[LOG_LINE_MAX];
    json_t *j;

    for (unsigned n = 0; n < sizeof(a) - 1; n += n < 700 || n > 1500 ? 61 : 1) {
        memset(a, n % 3 ? 'a' : '\n', n);
        a[n] = 0;
        memset(b, '"', 400);
        b[400] = 0;
        rendered(LOG_JSON, "\"event\" first=%s number=%u second=\"%s\" last=%s", a, n, b, "x");
        assert_true(strlen(text) <= LOG_LINE_MAX);
        j = json_loads(text, 0, NULL);
        assert_non_null(j);
        json_decref(j);
        rendered(LOG_LOGFMT, "\"event\" first=%s number=%u second=\"%s\" last=%s", a, n, b, "x");
        assert_true(strlen(text) <= LOG_LINE_MAX);
        assert_int_equal(lines_of(text), 1);
        assert_int_equal(text[strlen(text) - 1], '\n');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_has_its_parts_in_order),
        cmocka_unit_test(test_control_characters_do_not_get_through),
        cmocka_unit_test(test_long_line_is_cut_and_ends),
        cmocka_unit_test(test_record_reads_the_same_in_both_formats),
        cmocka_unit_test(test_any_bytes_stay_inside_their_value),
        cmocka_unit_test(test_cut_lines_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
