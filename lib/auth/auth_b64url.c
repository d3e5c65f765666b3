/* auth_b64url.c: base64url without padding */
#include "auth/auth_b64url.h"

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool auth_b64url_is_valid(struct slice s)
{
    if (s.len == 0 || s.len % 4 == 1)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (value_of(s.p[i]) < 0)
            return false;
    return true;
}

ssize_t auth_b64url_decode(uint8_t *out, size_t cap, struct slice s)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    if (!auth_b64url_is_valid(s) || s.len / 4 * 3 + s.len % 4 * 3 / 4 > cap)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        bits = (bits << 6 | (uint32_t)value_of(s.p[i])) & 0xffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    return (ssize_t)n;
}
