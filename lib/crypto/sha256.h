/* sha256.h: SHA-256, HMAC and the HKDF that Noise uses
 * Shape:   bytes -> 32 bytes, whole or by pieces, one or several at a time
 * Source:  FIPS 180-4, RFC 2104, RFC 5869, Noise specification section 4.3
 * Owner:   any thread; each state one at a time
 * Memory:  caller places the state; nothing allocates
 * Errors:  none
 */
#ifndef CRYPTO_SHA256_H
#define CRYPTO_SHA256_H

#include "base/slice.h"

#define SHA256_BYTES       32
#define SHA256_BLOCK_BYTES 64

/* Holds libcrypto's state; zeroed memory is not a valid state, init first. May be copied to fork a hash. */
struct sha256 {
    uint64_t opaque[14];
};

void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, struct slice in);
void sha256_final(struct sha256 *s, uint8_t out[SHA256_BYTES]); /* s is wiped */
void sha256_of(struct slice in, uint8_t out[SHA256_BYTES]);
/* Hashes count independent inputs: the call to use for shard leaves. Two at a time where the CPU has SHA instructions (about twice as
 * fast from the second input on). */
void sha256_many(const struct slice *in, size_t count, uint8_t (*out)[SHA256_BYTES]);

struct hmac_sha256 {
    struct sha256 inner, outer;
};

void hmac_sha256_init(struct hmac_sha256 *h, struct slice key);
void hmac_sha256_update(struct hmac_sha256 *h, struct slice in);
void hmac_sha256_final(struct hmac_sha256 *h, uint8_t out[SHA256_BYTES]);
void hmac_sha256_of(struct slice key, struct slice in, uint8_t out[SHA256_BYTES]);

/* Noise HKDF: chaining key and input key material -> count (1 to 3) outputs of 32 bytes.
 * out may be ck itself; outputs are contiguous. */
void hkdf_sha256(const uint8_t ck[SHA256_BYTES], struct slice ikm, unsigned count,
                 uint8_t (*out)[SHA256_BYTES]);

#endif
