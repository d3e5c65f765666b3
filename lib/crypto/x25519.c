#include "crypto/x25519.h"

#include <sodium.h>
#include <string.h>

void x25519_key_init(struct x25519_key *k, const uint8_t secret[X25519_BYTES])
{
    memmove(k->secret, secret, X25519_BYTES);
    crypto_scalarmult_base(k->public, k->secret);
}

int x25519_shared(const struct x25519_key *k, const uint8_t their_public[X25519_BYTES],
                  uint8_t out[X25519_BYTES])
{
    static const uint8_t zero[X25519_BYTES];

    /* The library refuses the low-order points it lists; the comparison is RFC 7748 section 6.1's own check. */
    if (crypto_scalarmult(out, k->secret, their_public) || crypto_is_equal(out, zero, sizeof(zero))) {
        crypto_wipe(out, X25519_BYTES);
        return -CRYPTO_EKEY;
    }
    return 0;
}
