#include "base/log_record.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MARK_LEN 17 /* 0x1f and 16 hex digits */

static char mark[MARK_LEN + 1] = "\x1f" "0123456789abcdef";

void log_record_init(uint64_t secret)
{
    snprintf(mark, sizeof(mark), "\x1f%016llx", (unsigned long long)secret);
}

/* ---- packing ---- */

struct pattern {
    char text[768];
    size_t len;
};

static void add(struct pattern *p, const char *s, size_t len)
{
    if (len >= sizeof(p->text) - p->len)
        return; /* formats are ours: log_record's test has the longest */
    memcpy(p->text + p->len, s, len);
    p->len += len;
    p->text[p->len] = 0;
}

/* A value that is one number: it needs no quotes in JSON. */
static bool is_number(const char *spec, size_t len)
{
    size_t i = 1;

    if (len < 2 || spec[0] != '%' || !strchr("diu", spec[len - 1]))
        return false;
    for (; i < len - 1; i++)
        if (!strchr("hlzjt", spec[i]))
            return false;
    return true;
}

/* The end of a value or message that begins at s: past its closing quote, or at the space after it. */
static const char *end_of(const char *s, const char **text, size_t *len)
{
    const char *end;

    if (*s != '"') {
        *text = s;
        *len = strcspn(s, " ");
        return s + *len;
    }
    end = strchr(s + 1, '"');
    *text = s + 1;
    *len = end ? (size_t)(end - s - 1) : strlen(s + 1);
    return end ? end + 1 : s + 1 + *len;
}

/* message MARK key '=' kind value MARK ... : the same conversions in the same order. */
static void make_pattern(struct pattern *p, const char *fmt)
{
    const char *text;
    size_t len, key;

    p->len = 0;
    p->text[0] = 0;
    if (*fmt != '"') {
        add(p, fmt, strlen(fmt));
        return;
    }
    fmt = end_of(fmt, &text, &len);
    add(p, text, len);
    while (*fmt) {
        fmt += strspn(fmt, " ");
        key = strcspn(fmt, "=");
        if (!fmt[key])
            break;
        add(p, mark, MARK_LEN);
        add(p, fmt, key + 1);
        fmt = end_of(fmt + key + 1, &text, &len);
        add(p, is_number(text, len) ? "n" : "s", 1);
        add(p, text, len);
    }
}

void log_pack(char *out, size_t cap, const char *fmt, va_list ap)
{
    struct pattern p;

    make_pattern(&p, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(out, cap, p.text, ap);
#pragma GCC diagnostic pop
}

/* ---- rendering ---- */

enum kind { TEXT, NUMBER, MESSAGE }; /* a message has its quotes always: people look for it */

struct line {
    char *p;
    size_t len, cap; /* cap leaves room for a last quote and what ends the line */
    enum log_format format;
};

static bool put(struct line *l, const char *s, size_t len)
{
    if (l->len + len > l->cap)
        return false;
    memcpy(l->p + l->len, s, len);
    l->len += len;
    return true;
}

/* Bytes of the UTF-8 character at s, 0 for what is none (RFC 3629). */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* The inside of a quoted value: JSON's escapes, which logfmt's readers know too. */
static void put_escaped(struct line *l, const char *s, size_t len)
{
    char escape[8];

    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        unsigned char c = (unsigned char)s[i];
        n = utf8_len((const unsigned char *)s + i, len - i);
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof(escape), "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof(escape), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (n == 0)
            snprintf(escape, sizeof(escape), "\\ufffd");
        else if (c < 0x20 || c == 0x7f)
            snprintf(escape, sizeof(escape), "\\u%04x", c);
        else
            escape[0] = 0;
        if (escape[0] ? !put(l, escape, strlen(escape)) : !put(l, s + i, n))
            return;
    }
}

static bool is_bare(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)s[i]) || s[i] == '"' || s[i] == '=' || s[i] == '\\')
            return false;
    return len > 0;
}

/* A value may be cut; its key and its quotes are there whole, or none of it is. */
static void put_field(struct line *l, const char *key, size_t key_len, enum kind kind, const char *value, size_t len)
{
    bool is_json = l->format == LOG_JSON, is_quoted = kind == MESSAGE || (is_json ? kind != NUMBER : !is_bare(value, len));
    const char *before = is_json ? l->len > 1 ? ",\"" : "\"" : l->len ? " " : "", *after = is_json ? "\":" : "=";
    size_t start = l->len, room;

    if (!put(l, before, strlen(before)) || !put(l, key, key_len) || !put(l, after, strlen(after)) || (is_quoted && !put(l, "\"", 1))
        || (is_json && kind == NUMBER && l->len + len > l->cap)) {
        l->len = start;
        return;
    }
    room = l->cap - l->len;
    if (!is_quoted) {
        put(l, value, len < room ? len : room);
        return;
    }
    put_escaped(l, value, len);
    l->p[l->len++] = '"'; /* log_render keeps room for this one beyond the cap */
}

static void put_text(struct line *l, const char *key, const char *value)
{
    put_field(l, key, strlen(key), TEXT, value, strlen(value));
}

static void put_time(struct line *l, uint64_t when_ns)
{
    time_t s = (time_t)(when_ns / 1000000000);
    char text[40];
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(when_ns / 1000000 % 1000));
    put_text(l, "ts", text);
}

size_t log_render(char *out, enum log_format format, const struct log_head *head, const char *record)
{
    struct line l = {.p = out, .cap = LOG_LINE_MAX - 3, .format = format};
    const char *next = strstr(record, mark), *key;
    size_t len = next ? (size_t)(next - record) : strlen(record);
    bool is_number;

    if (format == LOG_JSON)
        put(&l, "{", 1);
    put_time(&l, head->when_ns);
    put_text(&l, "level", head->level);
    if (*head->cluster)
        put_text(&l, "cluster", head->cluster);
    put_field(&l, "msg", 3, MESSAGE, record, len);
    while (next) {
        key = next + MARK_LEN;
        next = strstr(key, mark);
        record = strchr(key, '=');
        if (!record || !record[1])
            break; /* cut here, as a number's digits may be followed by a part of a mark */
        len = next ? (size_t)(next - record - 2) : strlen(record + 2);
        is_number = record[1] == 'n' && len > 0 && strspn(record + 2, "-0123456789") >= len;
        put_field(&l, key, (size_t)(record - key), is_number ? NUMBER : TEXT, record + 2, len);
    }
    if (format == LOG_JSON)
        l.p[l.len++] = '}';
    l.p[l.len++] = '\n';
    return l.len;
}
