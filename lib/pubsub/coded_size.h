/* coded_size.h: how the size of a payload decides the way it goes (docs/PROTOCOL.md 6, "By size")
 * Shape:   small size, size -> plain or coded; how many times over it is pushed; how much use pushing must be
 * Note:    what is not pushed is asked for, which takes a round trip more. For a large payload that is little against the time of its
 *          bytes; for a small one it is all there is. So the smaller, the more is pushed; up to the small size everything is: plain.
 *          From SPAN small sizes on only what nearly everybody lacks is pushed
 */
#ifndef PUBSUB_CODED_SIZE_H
#define PUBSUB_CODED_SIZE_H

#include <stdint.h>

#define CODED_SIZE_SMALL 16384 /* the small size where nothing else is said: docs/RESULTS.md 2 */
#define CODED_SIZE_SPAN  16
#define CODED_SIZE_WORTH 0.75  /* of use: pushing a large payload's shards must be at least that */

/* Shards that a payload is cut into, before generation_header_k: the factor, but none is shorter than half the small size. */
static inline unsigned coded_size_k(uint32_t small, uint32_t size, unsigned factor)
{
    uint64_t most = (2ull * size + small - 1) / small;

    return most < factor ? (unsigned)most : factor;
}

/* How many times SHARD_MULT is pushed: 1 for large payloads, up to SPAN for the smallest that are coded. */
static inline double coded_size_reach(uint32_t small, uint32_t size)
{
    double span = (double)CODED_SIZE_SPAN * small;

    return size >= span ? 1 : size <= small ? CODED_SIZE_SPAN : span / size;
}

/* The share of pushed shards that must be of use for pushing to pay: less for what is smaller, in proportion. */
static inline double coded_size_worth(uint32_t small, uint32_t size)
{
    return CODED_SIZE_WORTH / coded_size_reach(small, size);
}

/* Sizes that are pushed alike learn from each other: up to 2, 4, 8, 16 small sizes, and above. */
enum { CODED_SIZE_CLASSES = 5 };

/* The largest size of the class; the last has none. */
static inline uint32_t coded_size_class_top(uint32_t small, unsigned c)
{
    uint64_t top = (uint64_t)small << (c + 1);

    return c == CODED_SIZE_CLASSES - 1 || top > UINT32_MAX ? UINT32_MAX : (uint32_t)top;
}

static inline unsigned coded_size_class(uint32_t small, uint32_t size)
{
    unsigned c = 0;

    while (size > coded_size_class_top(small, c))
        c++;
    return c;
}

#endif
