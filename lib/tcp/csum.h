/* csum.h: the Internet checksum
 * Shape:   byte runs of any length and alignment, in order -> 16 bits in network order
 * Source:  RFC 1071. Sums are kept in the machine's byte order, which the arithmetic allows, in 64 bits
 */
#ifndef TCP_CSUM_H
#define TCP_CSUM_H

#include <stdbool.h>

#include "base/slice.h"

struct csum {
    uint64_t sum;
    bool is_odd; /* an odd number of bytes so far: the next run sits one byte off */
};

void csum_add(struct csum *c, struct slice s);

/* The folded sum, not inverted, ready to be stored as two bytes in memory order. */
static inline uint16_t csum_fold(const struct csum *c)
{
    uint64_t s = c->sum;

    s = (s & 0xffffffffu) + (s >> 32);
    s = (s & 0xffffffffu) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

/* The checksum of one run; 0 when the run already contains its right checksum. */
uint16_t csum_of(struct slice s);

#endif
