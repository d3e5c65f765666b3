/* http_flat.c: one JSON object's members, read in place */
#include "http/http_flat.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/http_err.h"
#include "http/http_json.h"

#define ONES  0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

static void skip_space(struct slice *t)
{
    while (t->len && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r')) {
        t->p++;
        t->len--;
    }
}

static bool take(struct slice *t, uint8_t c)
{
    skip_space(t);
    if (!t->len || *t->p != c)
        return false;
    t->p++;
    t->len--;
    return true;
}

/* Non-zero when one of eight bytes is a quote, a backslash, below 0x20 or above 0x7f. False alarms are fine. */
static uint64_t is_special(uint64_t w)
{
    uint64_t quote = w ^ (ONES * '"'), slash = w ^ (ONES * '\\');

    return ((w - ONES * 0x20) | (quote - ONES) | (slash - ONES) | w) & HIGHS;
}

static size_t plain_run(struct slice t)
{
    size_t i = 0;
    uint64_t w;

    for (; i + 8 <= t.len; i += 8) {
        memcpy(&w, t.p + i, 8);
        if (is_special(w))
            break;
    }
    while (i < t.len && t.p[i] >= 0x20 && t.p[i] < 0x80 && t.p[i] != '"' && t.p[i] != '\\')
        i++;
    return i;
}

static bool is_hex4(struct slice t)
{
    if (t.len < 4)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!((t.p[i] >= '0' && t.p[i] <= '9') || ((t.p[i] | 0x20) >= 'a' && (t.p[i] | 0x20) <= 'f')))
            return false;
    return true;
}

/* Length of the escape at the start of t, 0 when it is none. */
static size_t escape_len(struct slice t)
{
    if (t.len < 2)
        return 0;
    if (t.p[1] == 'u')
        return is_hex4(slice_of(t.p + 2, t.len - 2)) ? 6 : 0;
    return t.p[1] && strchr("\"\\/bfnrt", t.p[1]) ? 2 : 0;
}

/* Bytes above 0x7f: where the run of them ends; whether it is UTF-8 the caller asks. */
static size_t high_run(struct slice t)
{
    size_t i = 0;

    while (i < t.len && t.p[i] >= 0x80)
        i++;
    return i;
}

static bool read_string(struct slice *t, struct flat_value *v)
{
    const uint8_t *start;

    if (!take(t, '"'))
        return false;
    *v = (struct flat_value){.type = FLAT_STRING};
    start = t->p;
    for (;;) {
        size_t n = plain_run(*t);

        t->p += n;
        t->len -= n;
        if (!t->len || *t->p < 0x20)
            return false;
        if (*t->p == '"')
            break;
        n = *t->p == '\\' ? escape_len(*t) : high_run(*t);
        if (!n || (*t->p != '\\' && !http_utf8_is_valid(slice_of(t->p, n))))
            return false;
        v->is_escaped |= *t->p == '\\';
        t->p += n;
        t->len -= n;
    }
    v->raw = slice_of(start, (size_t)(t->p - start));
    t->p++;
    t->len--;
    return true;
}

static bool digits(struct slice *t)
{
    size_t n = 0;

    while (n < t->len && t->p[n] >= '0' && t->p[n] <= '9')
        n++;
    t->p += n;
    t->len -= n;
    return n > 0;
}

static bool is_next(const struct slice *t, const char *set)
{
    return t->len && *t->p && strchr(set, *t->p);
}

static void step(struct slice *t)
{
    t->p++;
    t->len--;
}

static bool read_number(struct slice *t, struct flat_value *v)
{
    const uint8_t *start = t->p;

    if (is_next(t, "-"))
        step(t);
    if (is_next(t, "0"))
        step(t);
    else if (!digits(t))
        return false;
    if (is_next(t, ".")) {
        step(t);
        if (!digits(t))
            return false;
    }
    if (is_next(t, "eE")) {
        step(t);
        if (is_next(t, "+-"))
            step(t);
        if (!digits(t))
            return false;
    }
    *v = (struct flat_value){FLAT_NUMBER, slice_of(start, (size_t)(t->p - start)), false};
    return true;
}

static bool read_word(struct slice *t, struct flat_value *v)
{
    static const struct {
        const char *word;
        enum flat_type type;
    } words[] = {{"true", FLAT_TRUE}, {"false", FLAT_FALSE}, {"null", FLAT_NULL}};

    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(words[i].word);

        if (t->len >= n && memcmp(t->p, words[i].word, n) == 0) {
            *v = (struct flat_value){words[i].type, slice_of(t->p, n), false};
            t->p += n;
            t->len -= n;
            return true;
        }
    }
    return false;
}

static bool read_value(struct slice *t, struct flat_value *v, unsigned depth);

/* The inside of [..] or {..} and its end; the opening bracket has been read. */
static bool read_nested(struct slice *t, bool is_object, unsigned depth)
{
    uint8_t end = is_object ? '}' : ']';
    struct flat_value v;

    if (take(t, end))
        return true;
    do {
        if (is_object && !(read_string(t, &v) && take(t, ':')))
            return false;
        if (!read_value(t, &v, depth))
            return false;
    } while (take(t, ','));
    return take(t, end);
}

static bool read_value(struct slice *t, struct flat_value *v, unsigned depth)
{
    const uint8_t *start;
    bool is_object;

    skip_space(t);
    if (!t->len || depth == 0)
        return false;
    if (*t->p == '"')
        return read_string(t, v);
    if (*t->p == '-' || (*t->p >= '0' && *t->p <= '9'))
        return read_number(t, v);
    if (*t->p != '{' && *t->p != '[')
        return read_word(t, v);
    is_object = *t->p == '{';
    start = t->p;
    step(t);
    if (!read_nested(t, is_object, depth - 1))
        return false;
    *v = (struct flat_value){is_object ? FLAT_OBJECT : FLAT_ARRAY, slice_of(start, (size_t)(t->p - start)),
                             false};
    return true;
}

/* An escaped name still is the name it spells. */
static bool name_is(const struct flat_value *key, const char *name)
{
    uint8_t text[128];
    ssize_t n;

    if (!key->is_escaped)
        return slice_is_equal(key->raw, slice_str(name));
    if (key->raw.len > sizeof(text))
        return false;
    n = http_flat_text(text, key);
    return n >= 0 && slice_is_equal(slice_of(text, (size_t)n), slice_str(name));
}

static bool keep(const struct flat_value *key, const struct flat_value *v, const char *const *names,
                 unsigned n, struct flat_value *out)
{
    for (unsigned i = 0; i < n; i++)
        if (name_is(key, names[i])) {
            if (out[i].type != FLAT_ABSENT)
                return false; /* twice: which one a reader means is a guess, and guesses differ */
            out[i] = *v;
        }
    return true;
}

int http_flat_find(struct slice text, const char *const *names, unsigned n, struct flat_value *out)
{
    struct flat_value key, v;

    for (unsigned i = 0; i < n; i++)
        out[i] = (struct flat_value){.type = FLAT_ABSENT};
    if (!take(&text, '{'))
        return -HTTP_E_INPUT;
    if (!take(&text, '}')) {
        do {
            if (!read_string(&text, &key) || !take(&text, ':') || !read_value(&text, &v, FLAT_DEPTH) ||
                !keep(&key, &v, names, n, out))
                return -HTTP_E_INPUT;
        } while (take(&text, ','));
        if (!take(&text, '}'))
            return -HTTP_E_INPUT;
    }
    skip_space(&text);
    return text.len ? -HTTP_E_INPUT : 0;
}

bool http_flat_each(const struct flat_value *array, bool (*each)(const struct flat_value *v, void *user),
                    void *user)
{
    struct slice t = array->raw;
    struct flat_value v;

    if (array->type != FLAT_ARRAY || !take(&t, '['))
        return false;
    if (take(&t, ']'))
        return true;
    do {
        if (!read_value(&t, &v, FLAT_DEPTH) || !each(&v, user))
            return false;
    } while (take(&t, ','));
    return true;
}

static uint32_t hex4(const uint8_t *p)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return v;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* One \uXXXX or a pair of them; bytes read, 0 for a lone surrogate. */
static size_t unescape_unicode(struct slice t, uint8_t *out, size_t *written)
{
    uint32_t c = hex4(t.p + 2), low;

    if (c < 0xd800 || c > 0xdfff) {
        *written = put_utf8(out, c);
        return 6;
    }
    if (c > 0xdbff || t.len < 12 || t.p[6] != '\\' || t.p[7] != 'u')
        return 0;
    low = hex4(t.p + 8);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *written = put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
    return 12;
}

ssize_t http_flat_text(uint8_t *out, const struct flat_value *v)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    struct slice t = v->raw;
    size_t n = 0;

    if (v->type != FLAT_STRING)
        return -1;
    while (t.len) {
        const uint8_t *slash = memchr(t.p, '\\', t.len);
        size_t run = slash ? (size_t)(slash - t.p) : t.len, wrote = 1, used = 2;

        memcpy(out + n, t.p, run);
        n += run;
        t = slice_of(t.p + run, t.len - run);
        if (!t.len)
            break;
        if (t.p[1] == 'u')
            used = unescape_unicode(t, out + n, &wrote);
        else
            out[n] = (uint8_t)to[strchr(from, t.p[1]) - from];
        if (!used)
            return -1;
        n += wrote;
        t = slice_of(t.p + used, t.len - used);
    }
    return (ssize_t)n;
}

bool http_flat_number(const struct flat_value *v, double *out)
{
    char text[64];

    if (v->type != FLAT_NUMBER || v->raw.len >= sizeof(text))
        return false;
    memcpy(text, v->raw.p, v->raw.len);
    text[v->raw.len] = 0;
    *out = strtod(text, NULL);
    return true;
}
