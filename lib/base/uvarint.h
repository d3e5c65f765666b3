/* uvarint.h: unsigned LEB128 as multiformats and protobuf write it
 * Source:  multiformats unsigned-varint spec (minimal, at most 9 bytes, < 2^63); protobuf's own may take 10 bytes
 *          and need not be minimal, hence the two decoders
 * Errors:  get returns bytes used, 0 when the input ends too early ("more"), UVARINT_BAD when no further byte can help
 */
#ifndef BASE_UVARINT_H
#define BASE_UVARINT_H

#include "base/slice.h"

#define UVARINT_MAX 10 /* bytes that put may write */
#define UVARINT_BAD (-1)

static inline unsigned uvarint_size(uint64_t v)
{
    unsigned n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static inline unsigned uvarint_put(uint8_t *out, uint64_t v)
{
    unsigned n = 0;

    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

/* Strict: minimal, < 2^63. */
int uvarint_get(struct slice in, uint64_t *v);

/* Lenient, as protobuf parsers read: up to 10 bytes, non-minimal allowed, bits past 64 dropped. */
int uvarint_get_pb(struct slice in, uint64_t *v);

#endif
