/* k256.h: ECDSA on secp256k1
 * Shape:   32-byte secret -> key pair; key, message -> DER signature; public key, message, signature -> yes or no
 * Source:  SEC 1 and 2; RFC 6979 nonces; BIP 62: strict DER and the lower of the two s (rust and js refuse the higher, go and
 *          libsecp256k1 never make it); the message is hashed with SHA-256. libsecp256k1
 * Owner:   any thread; k256_init before threads
 * Errors:  0 or -CRYPTO_E…
 */
#ifndef CRYPTO_K256_H
#define CRYPTO_K256_H

#include "base/slice.h"
#include "crypto/crypto.h"

#define K256_SECRET_BYTES  32
#define K256_PUBLIC_BYTES  33 /* compressed */
#define K256_SIGNATURE_MAX 72

struct k256_key {
    uint8_t secret[K256_SECRET_BYTES];
    uint8_t public[K256_PUBLIC_BYTES];
};

/* -CRYPTO_EKEY: secret is 0 or not below the group's order (one in 2^127 of random ones). */
int k256_key_init(struct k256_key *k, const uint8_t secret[K256_SECRET_BYTES]);
/* Returns the signature's length. */
size_t k256_sign(const struct k256_key *k, struct slice message, uint8_t out[K256_SIGNATURE_MAX]);
/* -CRYPTO_EKEY: not a point in compressed form. -CRYPTO_EAUTH: not its signature of this message. */
int k256_verify(struct slice public, struct slice message, struct slice signature);

/* crypto_init calls it: a signing context for the whole program. Without it each signature makes its own. */
void k256_init(void);

#endif
