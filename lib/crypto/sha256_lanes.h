/* sha256_lanes.h: several independent inputs hashed side by side by the CPU's own SHA instructions (private to the room)
 * Why ours: libipsec-mb's jobs are as fast on leaves of 16 KiB (1.03 of our rate), slower on short inputs (0.7 at 64 B, 0.85 at 256 B), and
 *          want a manager of 200 KB of each thread that hashes; OpenSSL takes one input at a time (docs/PERFORMANCE.md)
 * Note:    one input leaves the unit idle half of the time, since each step waits for the one before; two inputs in turn fill it
 */
#ifndef CRYPTO_SHA256_LANES_H
#define CRYPTO_SHA256_LANES_H

#include <stdbool.h>

#include "crypto/sha256.h"

#if defined(__x86_64__)
bool sha256_lanes_is_usable(void); /* asks the CPU */
void sha256_lanes(const struct slice *in, size_t count, uint8_t (*out)[SHA256_BYTES]);
#else
static inline bool sha256_lanes_is_usable(void)
{
    return false;
}

static inline void sha256_lanes(const struct slice *in, size_t count, uint8_t (*out)[SHA256_BYTES])
{
    (void)in, (void)count, (void)out;
}
#endif

#endif
