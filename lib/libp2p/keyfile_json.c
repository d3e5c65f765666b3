#include "libp2p/keyfile_json.h"

#include "base/rd.h"

static void skip_space(struct rd *r)
{
    while (rd_left(r) && memchr(" \t\r\n", r->p[0], 4))
        r->p++;
}

/* Takes c if it comes next, spaces before it allowed. */
static bool take(struct rd *r, char c)
{
    skip_space(r);
    if (!rd_left(r) || r->p[0] != (uint8_t)c)
        return false;
    r->p++;
    return true;
}

/* \u00XX, all that a base64 or base58 text can be escaped to. */
static int unescape_hex(struct rd *r)
{
    unsigned v = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t c = rd_u8(r), low = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (unsigned)(c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (unsigned)(low - 'a' + 10);
        else
            return -1;
    }
    return v > 0 && v < 0x80 ? (int)v : -1;
}

static int unescape(struct rd *r)
{
    switch (rd_u8(r)) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return '/';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': return unescape_hex(r);
    default: return -1;
    }
}

/* A string, its opening quote included. out NULL: only walked over (then any UTF-8 will do). */
static int parse_string(struct rd *r, struct keyfile_text *out)
{
    int n = 0;

    if (!take(r, '"'))
        return -1;
    while (rd_left(r)) {
        int c = rd_u8(r);
        if (c == '"') {
            if (out)
                out->len = n;
            return 0;
        }
        if (c < 0x20)
            return -1;
        if (c == '\\')
            c = unescape(r);
        if (c < 0 || (out && (c >= 0x80 || n == KEYFILE_TEXT_MAX)))
            return -1;
        if (out)
            out->p[n++] = (char)c;
    }
    return -1;
}

/* A number, true, false or null; its spelling is not judged. */
static int skip_word(struct rd *r)
{
    const uint8_t *begin;

    skip_space(r);
    begin = r->p;
    while (rd_left(r) && !memchr(",}]{[\":\0 \t\r\n", r->p[0], 12))
        r->p++;
    return r->p > begin ? 0 : -1;
}

static int parse_value(struct rd *r, struct keyfile_text *out)
{
    skip_space(r);
    if (out || (rd_left(r) && r->p[0] == '"'))
        return parse_string(r, out);
    return skip_word(r);
}

static int parse_member(struct rd *r, struct keyfile_json *j)
{
    struct keyfile_text name, *to = NULL;

    name.len = -1;
    if (parse_string(r, &name) || !take(r, ':'))
        return -1;
    if (slice_is_equal(slice_of(name.p, (size_t)name.len), SLICE_LIT("Key")))
        to = &j->key;
    else if (slice_is_equal(slice_of(name.p, (size_t)name.len), SLICE_LIT("ID")))
        to = &j->id;
    return parse_value(r, to);
}

int keyfile_json_parse(struct keyfile_json *j, struct slice text)
{
    struct rd r = rd_of(text);

    j->key.len = j->id.len = -1;
    if (!take(&r, '{'))
        return -1;
    if (!take(&r, '}')) {
        do {
            if (parse_member(&r, j))
                return -1;
        } while (take(&r, ','));
        if (!take(&r, '}'))
            return -1;
    }
    skip_space(&r);
    return rd_left(&r) || j->key.len < 0 || j->id.len < 0 ? -1 : 0;
}
