/* http_json.c: compact JSON, in and out */
#include "http/http_json.h"

#include <stdio.h>

json_t *http_json_parse(struct slice text, char *err, size_t err_cap)
{
    json_error_t e;
    json_t *v = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);

    if (v && !json_is_object(v)) {
        json_decref(v);
        v = NULL;
        snprintf(err, err_cap, "not an object");
    } else if (!v) {
        snprintf(err, err_cap, "%s at byte %d", e.text, e.position);
    }
    return v;
}

bool http_json_str(const json_t *v, const char *key, struct slice *out, bool *wrong_type)
{
    const json_t *m = json_object_get(v, key);

    if (wrong_type)
        *wrong_type = m && !json_is_string(m) && !json_is_null(m);
    if (!json_is_string(m))
        return false;
    *out = slice_of(json_string_value(m), json_string_length(m));
    return true;
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: no overlongs, no surrogates), 0 when there is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    size_t n = c < 0x80                 ? 1
               : c >= 0xc2 && c <= 0xdf ? 2
               : (c & 0xf0) == 0xe0     ? 3
               : c >= 0xf0 && c <= 0xf4 ? 4
                                        : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* Bytes below 0x80 from p on, in steps of eight and then one by one. */
static size_t ascii_run(const uint8_t *p, size_t left)
{
    size_t i = 0;
    uint64_t w;

    for (; i + 8 <= left; i += 8) {
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080ull)
            break;
    }
    while (i < left && p[i] < 0x80)
        i++;
    return i;
}

bool http_utf8_is_valid(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = ascii_run(s.p + i, s.len - i);

        if (n) {
            i += n;
            continue;
        }
        n = utf8_len(s.p + i, s.len - i);
        if (!n)
            return false;
        i += n;
    }
    return true;
}

static size_t quote_byte(char *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char *const names = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (const char *p = names; *p; p += 2)
        if ((uint8_t)p[0] == c) {
            out[0] = '\\';
            out[1] = p[1];
            return 2;
        }
    if (c >= 0x20) {
        out[0] = (char)c;
        return 1;
    }
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

/* Bytes from p on that stand for themselves. */
static size_t plain_run(const uint8_t *p, size_t left)
{
    size_t i = 0;

    while (i < left && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

size_t http_json_quote(char *out, struct slice s)
{
    size_t n = 0;

    out[n++] = '"';
    for (size_t i = 0; i < s.len;) {
        size_t u = plain_run(s.p + i, s.len - i);

        if (u) {
            memcpy(out + n, s.p + i, u);
            n += u;
            i += u;
            continue;
        }
        u = utf8_len(s.p + i, s.len - i);
        if (u == 1) {
            n += quote_byte(out + n, s.p[i]);
        } else if (u) {
            memcpy(out + n, s.p + i, u);
            n += u;
        } else {
            memcpy(out + n, "\xef\xbf\xbd", 3);
            n += 3;
            u = 1;
        }
        i += u;
    }
    out[n++] = '"';
    return n;
}
