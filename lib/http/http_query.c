/* http_query.c: query strings and percent-encoding */
#include "http/http_query.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One decoded byte from in at *i, or -1. */
static int next_byte(struct slice in, size_t *i)
{
    uint8_t c = in.p[*i];
    int hi, lo;

    if (c != '%') {
        *i += 1;
        return c == '+' ? ' ' : c ? c : -1;
    }
    if (in.len - *i < 3)
        return -1;
    hi = hex_digit(in.p[*i + 1]);
    lo = hex_digit(in.p[*i + 2]);
    *i += 3;
    return hi < 0 || lo < 0 || (hi | lo) == 0 ? -1 : hi << 4 | lo;
}

ssize_t http_form_decode(char *out, struct slice in)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len;) {
        int b = next_byte(in, &i);

        if (b < 0)
            return -1;
        out[n++] = (char)b;
    }
    out[n] = 0;
    return (ssize_t)n;
}

static bool name_is(struct slice encoded, const char *name)
{
    for (size_t i = 0; i < encoded.len;) {
        int b = next_byte(encoded, &i);

        if (b < 0 || b != (uint8_t)*name++)
            return false;
    }
    return *name == 0;
}

bool http_query_find(struct slice query, const char *name, struct slice *raw)
{
    while (query.len) {
        const uint8_t *amp = memchr(query.p, '&', query.len);
        struct slice pair = {query.p, amp ? (size_t)(amp - query.p) : query.len};
        const uint8_t *eq = pair.len ? memchr(pair.p, '=', pair.len) : NULL;
        struct slice key = {pair.p, eq ? (size_t)(eq - pair.p) : pair.len};

        if (pair.len && name_is(key, name)) {
            *raw = eq ? slice_of(eq + 1, pair.len - key.len - 1) : slice_of(pair.p + pair.len, 0);
            return true;
        }
        query = amp ? slice_of(amp + 1, query.len - pair.len - 1) : (struct slice){0};
    }
    return false;
}
