/* kad_key.h: the DHT's key space: SHA-256 of an id or key, distance by XOR
 * Source:  libp2p specs kad-dht, "Distance"
 * Owner:   values
 */
#ifndef LIBP2P_KAD_KEY_H
#define LIBP2P_KAD_KEY_H

#include "crypto/sha256.h"

#define KAD_KEY_BITS 256

struct kad_key {
    uint8_t b[SHA256_BYTES];
};

static inline struct kad_key kad_key_of(struct slice s)
{
    struct kad_key k;

    sha256_of(s, k.b);
    return k;
}

/* Leading bits that two keys share; KAD_KEY_BITS: they are equal. */
static inline unsigned kad_key_common_bits(const struct kad_key *a, const struct kad_key *b)
{
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        if (a->b[i] != b->b[i])
            return i * 8 + (unsigned)__builtin_clz((unsigned)(a->b[i] ^ b->b[i])) - 24;
    return KAD_KEY_BITS;
}

/* < 0: a is nearer to target than b; 0: they are the same key. */
static inline int kad_key_compare(const struct kad_key *target, const struct kad_key *a, const struct kad_key *b)
{
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        if (a->b[i] != b->b[i])
            return (a->b[i] ^ target->b[i]) < (b->b[i] ^ target->b[i]) ? -1 : 1;
    return 0;
}

#endif
