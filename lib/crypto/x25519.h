/* x25519.h: Diffie-Hellman
 * Shape:   32 random bytes -> key pair; secret, their public -> shared secret
 * Source:  RFC 7748
 * Owner:   any thread
 * Errors:  0 or -CRYPTO_EKEY
 */
#ifndef CRYPTO_X25519_H
#define CRYPTO_X25519_H

#include <stdint.h>

#include "crypto/crypto.h"

#define X25519_BYTES 32

struct x25519_key {
    uint8_t secret[X25519_BYTES];
    uint8_t public[X25519_BYTES];
};

/* secret: any 32 bytes from a strong generator (clamped inside). */
void x25519_key_init(struct x25519_key *k, const uint8_t secret[X25519_BYTES]);
/* -CRYPTO_EKEY: the result is all zero (the peer sent a low-order point); out is wiped, end the handshake. */
int x25519_shared(const struct x25519_key *k, const uint8_t their_public[X25519_BYTES],
                  uint8_t out[X25519_BYTES]);

#endif
