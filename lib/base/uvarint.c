#include "base/uvarint.h"

static int get(struct slice in, uint64_t *v, unsigned max_bytes, bool is_strict)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < max_bytes; i++) {
        if (i >= in.len)
            return 0;
        uint8_t b = in.p[i];
        x |= (uint64_t)(b & 0x7f) << (7 * i);
        if (!(b & 0x80)) {
            if (is_strict && b == 0 && i > 0)
                return UVARINT_BAD;
            *v = x;
            return (int)i + 1;
        }
    }
    return UVARINT_BAD;
}

int uvarint_get(struct slice in, uint64_t *v)
{
    return get(in, v, 9, true);
}

int uvarint_get_pb(struct slice in, uint64_t *v)
{
    return get(in, v, 10, false);
}
