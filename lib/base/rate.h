/* rate.h: so many at once, and one more each time
 * Shape:   a moment (0 at first) and now -> may it happen? The moment is when the last one was due, never further back than a burst
 * Source:  the generic cell rate algorithm (ITU-T I.371) with a burst
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool rate_take(uint64_t *at_ns, uint64_t every_ns, unsigned burst, uint64_t now)
{
    uint64_t least = now > burst * every_ns ? now - burst * every_ns : 0;

    if (*at_ns < least)
        *at_ns = least;
    if (*at_ns + every_ns > now)
        return false;
    *at_ns += every_ns;
    return true;
}

#endif
