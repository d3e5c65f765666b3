#include "cli/words.h"

/* The code point at s and its length; 0: no UTF-8. */
static size_t code_point(struct slice s, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s.p[0] < 0x80 ? 1 : s.p[0] >> 5 == 6 ? 2 : s.p[0] >> 4 == 14 ? 3 : s.p[0] >> 3 == 30 ? 4 : 0;

    if (!n || n > s.len)
        return 0;
    *cp = n == 1 ? s.p[0] : s.p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s.p[i] >> 6 != 2)
            return 0;
        *cp = *cp << 6 | (s.p[i] & 0x3f);
    }
    return *cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff) ? 0 : n;
}

static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
           cp == 0x200e || cp == 0x200f || cp == 0x061c || cp == 0x2028 || cp == 0x2029;
}

static bool is_blank(uint32_t cp)
{
    return cp == '\n' || cp == '\t' || cp == '\r';
}

static bool check(struct slice s, bool has_controls)
{
    uint32_t cp;

    while (s.len) {
        size_t n = code_point(s, &cp);

        if (!n || (!has_controls && is_control(cp) && !is_blank(cp)))
            return false;
        s.p += n;
        s.len -= n;
    }
    return true;
}

bool cli_is_utf8(struct slice s)
{
    return check(s, true);
}

bool cli_is_plain(struct slice s)
{
    return check(s, false);
}

char *cli_clean(char *out, size_t cap, struct slice s)
{
    size_t len = 0;
    uint32_t cp = 0;

    while (s.len) {
        size_t n = code_point(s, &cp), used = n ? n : 1;
        bool is_shown = n && !is_control(cp);
        size_t put = is_shown ? n : 1;

        if (len + put >= cap)
            break;
        if (is_shown)
            memcpy(out + len, s.p, n);
        else
            out[len] = n && is_blank(cp) ? ' ' : '?';
        len += put;
        s.p += used;
        s.len -= used;
    }
    out[len] = 0;
    return out;
}

size_t cli_columns(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((uint8_t)*s & 0xc0) != 0x80;
    return n;
}
