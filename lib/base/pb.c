#include "base/pb.h"

static int get_varint(struct rd *r, uint64_t *v)
{
    int n = uvarint_get_pb(slice_of(r->p, rd_left(r)), v);

    if (n <= 0)
        return -1;
    r->p += n;
    return 0;
}

static int get_fixed(struct rd *r, unsigned n, uint64_t *v)
{
    struct slice s = rd_bytes(r, n);

    if (r->bad)
        return -1;
    *v = 0;
    for (unsigned i = 0; i < n; i++)
        *v |= (uint64_t)s.p[i] << (8 * i);
    return 0;
}

int pb_next(struct rd *r, struct pb_field *f)
{
    uint64_t tag, len;

    if (r->bad)
        return -1;
    if (rd_left(r) == 0)
        return 0;
    *f = (struct pb_field){0};
    if (get_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return -1;
    f->number = (uint32_t)(tag >> 3);
    f->type = (enum pb_type)(tag & 7);
    switch (tag & 7) {
    case PB_VARINT: return get_varint(r, &f->u) ? -1 : 1;
    case PB_FIXED64: return get_fixed(r, 8, &f->u) ? -1 : 1;
    case PB_FIXED32: return get_fixed(r, 4, &f->u) ? -1 : 1;
    case PB_BYTES:
        if (get_varint(r, &len))
            return -1;
        f->bytes = rd_bytes(r, len);
        return r->bad ? -1 : 1;
    default: return -1;
    }
}
