/* pb.h: protobuf wire format, read in place and written canonically
 * Shape:   slice -> fields one by one; fields -> bytes
 * Source:  protobuf encoding documentation; wire types 0, 1, 2, 5 (groups are refused)
 * Memory:  field slices point into the input
 * Use:     the hot path and signed messages; client messages use protobuf-c
 * Errors:  pb_next: 1 a field, 0 the clean end, -1 malformed. Unknown fields: the caller simply goes on
 */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/rd.h"
#include "base/wr.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t u;         /* PB_VARINT, PB_FIXED* */
    struct slice bytes; /* PB_BYTES */
};

int pb_next(struct rd *r, struct pb_field *f);

static inline bool pb_is(const struct pb_field *f, uint32_t number, enum pb_type type)
{
    return f->number == number && f->type == type;
}

static inline void pb_put_varint(struct wr *w, uint32_t number, uint64_t v)
{
    wr_uvarint(w, (uint64_t)number << 3 | PB_VARINT);
    wr_uvarint(w, v);
}

/* A float field; v as its bits. */
static inline void pb_put_fixed32(struct wr *w, uint32_t number, uint32_t v)
{
    wr_uvarint(w, (uint64_t)number << 3 | PB_FIXED32);
    for (unsigned i = 0; i < 4; i++)
        wr_u8(w, (uint8_t)(v >> (8 * i)));
}

/* The tag and length of a bytes field whose body the caller writes next. */
static inline void pb_put_head(struct wr *w, uint32_t number, uint64_t len)
{
    wr_uvarint(w, (uint64_t)number << 3 | PB_BYTES);
    wr_uvarint(w, len);
}

static inline void pb_put_bytes(struct wr *w, uint32_t number, struct slice s)
{
    pb_put_head(w, number, s.len);
    wr_slice(w, s);
}

#endif
