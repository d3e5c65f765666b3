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

size_t base64_encode(char *out, struct slice in)
{
    size_t i = base64_bulk_encode(out, in);
    char *o = out + i / 3 * 4;

    for (; i + 3 <= in.len; i += 3) {
        uint32_t v = (uint32_t)in.p[i] << 16 | (uint32_t)in.p[i + 1] << 8 | in.p[i + 2];
        *o++ = b64[v >> 18];
        *o++ = b64[v >> 12 & 63];
        *o++ = b64[v >> 6 & 63];
        *o++ = b64[v & 63];
    }
    if (i < in.len) {
        uint32_t v = (uint32_t)in.p[i] << 16 | (i + 1 < in.len ? (uint32_t)in.p[i + 1] << 8 : 0);
        *o++ = b64[v >> 18];
        *o++ = b64[v >> 12 & 63];
        *o++ = i + 1 < in.len ? b64[v >> 6 & 63] : '=';
        *o++ = '=';
    }
    *o = 0;
    return (size_t)(o - out);
}

static int b64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(uint8_t *out, size_t cap, struct slice in)
{
    size_t i = in.len % 4 ? 0 : base64_bulk_decode(out, cap, in), n = i / 4 * 3;

    if (in.len % 4)
        return -1;
    for (; i < in.len; i += 4) {
        const uint8_t *q = in.p + i;
        bool is_last = i + 4 == in.len;
        unsigned pad = is_last && q[3] == '=' ? (q[2] == '=' ? 2 : 1) : 0;
        uint32_t v = 0;
        for (unsigned j = 0; j < 4; j++) {
            int d = j < 4 - pad ? b64_value(q[j]) : 0;
            if (d < 0)
                return -1;
            v = v << 6 | (uint32_t)d;
        }
        if (v & ((1u << (8 * pad)) - 1)) /* bits that no encoder leaves set */
            return -1;
        if (n + 3 - pad > cap)
            return -1;
        for (unsigned j = 0; j < 3 - pad; j++)
            out[n++] = (uint8_t)(v >> (16 - 8 * j));
    }
    return (ssize_t)n;
}
