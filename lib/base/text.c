#include "base/text.h"

#include "base/base64.h"

void hex_encode(char *out, struct slice in)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < in.len; i++) {
        *out++ = digit[in.p[i] >> 4];
        *out++ = digit[in.p[i] & 15];
    }
    *out = 0;
}

/* The value and 16, so that 0 is no digit. */
static const uint8_t hex_digit[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
    ['A'] = 26, ['B'] = 27, ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
};

ssize_t hex_decode(uint8_t *out, size_t cap, struct slice in)
{
    if (in.len % 2 || in.len / 2 > cap)
        return -1;
    for (size_t i = 0; i < in.len / 2; i++) {
        uint8_t hi = hex_digit[in.p[2 * i]], lo = hex_digit[in.p[2 * i + 1]];
        if (!hi || !lo)
            return -1;
        out[i] = (uint8_t)(hi << 4 | (lo & 15));
    }
    return (ssize_t)(in.len / 2);
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The group of 1 to 3 bytes at p, as len + 1 characters. Returns the place behind them. */
static char *put_group(char *o, const uint8_t *p, size_t len, const char *alphabet)
{
    uint32_t v = (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0) | (len > 2 ? p[2] : 0);

    for (size_t j = 0; j <= len; j++)
        *o++ = alphabet[v >> (18 - 6 * j) & 63];
    return o;
}

size_t base64_encode(char *out, struct slice in)
{
    size_t i = base64_bulk_encode(out, in);
    char *o = out + i / 3 * 4;

    for (; i + 3 <= in.len; i += 3)
        o = put_group(o, in.p + i, 3, b64);
    if (i < in.len) {
        o = put_group(o, in.p + i, in.len - i, b64);
        *o++ = '=';
        if (in.len - i == 1)
            *o++ = '=';
    }
    *o = 0;
    return (size_t)(o - out);
}

ssize_t base64url_encode(char *out, size_t cap, struct slice in)
{
    char *o = out;

    if (in.len / 3 * 4 + (in.len % 3 ? in.len % 3 + 1 : 0) >= cap)
        return -1;
    for (size_t i = 0; i < in.len; i += 3)
        o = put_group(o, in.p + i, in.len - i < 3 ? in.len - i : 3, b64url);
    *o = 0;
    return o - out;
}

/* The value of a digit; of62 and of63 are those in which the two alphabets differ. */
static int b64_value(uint8_t c, char of62, char of63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == of62 ? 62 : c == of63 ? 63 : -1;
}

/* len digits at q into the upper bits of 24; -1: a wrong one, or bits behind the last whole byte that no encoder leaves set. */
static int32_t take_group(const uint8_t *q, size_t len, char of62, char of63)
{
    int32_t v = 0;

    for (size_t j = 0; j < 4; j++) {
        int d = j < len ? b64_value(q[j], of62, of63) : 0;
        if (d < 0)
            return -1;
        v = v << 6 | d;
    }
    return v & ((1 << (8 * (4 - len))) - 1) ? -1 : v;
}

static void put_bytes(uint8_t *out, int32_t v, size_t len)
{
    for (size_t j = 0; j < len; j++)
        out[j] = (uint8_t)(v >> (16 - 8 * j));
}

ssize_t base64_decode(uint8_t *out, size_t cap, struct slice in)
{
    size_t i = in.len % 4 ? 0 : base64_bulk_decode(out, cap, in), n = i / 4 * 3;

    if (in.len % 4)
        return -1;
    for (; i < in.len; i += 4) {
        const uint8_t *q = in.p + i;
        size_t pad = i + 4 == in.len && q[3] == '=' ? (q[2] == '=' ? 2 : 1) : 0;
        int32_t v = take_group(q, 4 - pad, '+', '/');
        if (v < 0 || n + 3 - pad > cap)
            return -1;
        put_bytes(out + n, v, 3 - pad);
        n += 3 - pad;
    }
    return (ssize_t)n;
}

ssize_t base64url_decode(uint8_t *out, size_t cap, struct slice in)
{
    size_t n = 0;

    if (in.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < in.len; i += 4) {
        size_t len = in.len - i < 4 ? in.len - i : 4;
        int32_t v = take_group(in.p + i, len, '-', '_');
        if (v < 0 || n + len - 1 > cap)
            return -1;
        put_bytes(out + n, v, len - 1);
        n += len - 1;
    }
    return (ssize_t)n;
}

bool base64url_is_valid(struct slice in)
{
    if (in.len % 4 == 1)
        return false;
    for (size_t i = 0; i < in.len; i += 4)
        if (take_group(in.p + i, in.len - i < 4 ? in.len - i : 4, '-', '_') < 0)
            return false;
    return true;
}
