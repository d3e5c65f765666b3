/* ed25519.h: signatures
 * Shape:   32-byte seed -> key pair; key, message -> 64-byte signature; public key, message, signature -> yes or no
 * Source:  RFC 8032; libsodium, which verifies 2.1 times as fast as libcrypto, and refuses low-order keys and malleable signatures;
 *          libcrypto for messages of 256 KiB and more, of which it hashes 1.5 times as many. Neither checks several at once
 * Owner:   any thread
 * Errors:  0 or -CRYPTO_E…
 */
#ifndef CRYPTO_ED25519_H
#define CRYPTO_ED25519_H

#include "base/slice.h"
#include "crypto/crypto.h"

#define ED25519_SEED_BYTES      32
#define ED25519_PUBLIC_BYTES    32
#define ED25519_SIGNATURE_BYTES 64

struct ed25519_key {
    uint8_t seed[ED25519_SEED_BYTES]; /* secret */
    uint8_t public[ED25519_PUBLIC_BYTES];
};

void ed25519_key_init(struct ed25519_key *k, const uint8_t seed[ED25519_SEED_BYTES]);
void ed25519_sign(const struct ed25519_key *k, struct slice message, uint8_t out[ED25519_SIGNATURE_BYTES]);
/* -CRYPTO_EAUTH: not this key's signature of this message. A signature of any other length is refused too. */
int ed25519_verify(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message, struct slice signature);

#endif
