#include "crypto/der.h"

#define LENGTH_BYTES_MAX 2 /* 64 KiB: no key comes near it */

static bool take_length(struct rd *r, size_t *len)
{
    unsigned n = rd_u8(r);

    *len = n;
    if (n < 0x80)
        return true;
    n -= 0x80; /* 0x80 itself, the indefinite form, is no DER */
    if (n == 0 || n > LENGTH_BYTES_MAX)
        return false;
    *len = (size_t)rd_be(r, n);
    return *len >= (n == 1 ? 0x80 : 0x100);
}

bool der_take(struct rd *r, enum der_tag tag, struct slice *content)
{
    size_t len;

    if (rd_u8(r) != tag || !take_length(r, &len))
        return false;
    *content = rd_bytes(r, len);
    return !r->bad;
}

bool der_take_positive(struct rd *r, struct slice *number)
{
    struct slice s;

    if (!der_take(r, DER_INTEGER, &s) || !s.len || s.p[0] & 0x80)
        return false;
    if (s.p[0] == 0) {
        if (s.len < 2 || !(s.p[1] & 0x80)) /* 0 itself, or a zero that the sign does not need */
            return false;
        s = slice_of(s.p + 1, s.len - 1);
    }
    *number = s;
    return true;
}

bool der_take_bits(struct rd *r, struct slice *bytes)
{
    struct slice s;

    if (!der_take(r, DER_BIT_STRING, &s) || !s.len || s.p[0] != 0)
        return false;
    *bytes = slice_of(s.p + 1, s.len - 1);
    return true;
}
