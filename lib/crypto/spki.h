/* spki.h: signatures of the keys that come as a SubjectPublicKeyInfo: RSA and ECDSA on P-256; verifying alone
 * Shape:   DER key, message, signature -> yes or no
 * Source:  RFC 5280 4.1, RFC 8017 (RSASSA-PKCS1-v1_5 with SHA-256), FIPS 186-4 (ECDSA with SHA-256); libcrypto
 * Owner:   any thread
 * Memory:  each call has libcrypto allocate a key and a context, and frees them
 * Errors:  0 or -CRYPTO_E…
 * Limits:  RSA: a modulus of SPKI_RSA_BITS_MIN to SPKI_RSA_BITS_MAX bits, as go and rust have it, and an exponent of up to 17 bits
 *          (65537 is what every library makes): the dearest key of a stranger costs about 0.6 ms a signature, seven times an
 *          Ed25519 one, and takes fourteen times its bytes. The DER is read here, strictly: libcrypto's own parser takes far
 *          more kinds of key than there are
 */
#ifndef CRYPTO_SPKI_H
#define CRYPTO_SPKI_H

#include "base/slice.h"
#include "crypto/crypto.h"

#define SPKI_RSA_BITS_MIN 2048
#define SPKI_RSA_BITS_MAX 8192
#define SPKI_P256_BYTES   91

enum spki_type { SPKI_RSA, SPKI_P256 };

/* Form and sizes: 0 or -CRYPTO_EKEY. Whether a point is on its curve only verifying finds out. */
int spki_check(enum spki_type type, struct slice key);
/* -CRYPTO_EKEY: not such a key. -CRYPTO_EAUTH: not its signature of this message. -CRYPTO_ENOMEM. */
int spki_verify(enum spki_type type, struct slice key, struct slice message, struct slice signature);

#endif
