#include "crypto/ed25519.h"

#include <sodium.h>

void ed25519_key_init(struct ed25519_key *k, const uint8_t seed[ED25519_SEED_BYTES])
{
    uint8_t joined[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(k->public, joined, seed);
    memcpy(k->seed, joined, sizeof(k->seed));
    crypto_wipe(joined, sizeof(joined));
}

void ed25519_sign(const struct ed25519_key *k, struct slice message, uint8_t out[ED25519_SIGNATURE_BYTES])
{
    uint8_t joined[crypto_sign_SECRETKEYBYTES];

    memcpy(joined, k->seed, sizeof(k->seed));
    memcpy(joined + sizeof(k->seed), k->public, sizeof(k->public));
    crypto_sign_detached(out, NULL, message.p, message.len, joined);
    crypto_wipe(joined, sizeof(joined));
}

int ed25519_verify(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message, struct slice signature)
{
    if (signature.len != ED25519_SIGNATURE_BYTES)
        return -CRYPTO_EAUTH;
    return crypto_sign_verify_detached(signature.p, message.p, message.len, public) ? -CRYPTO_EAUTH : 0;
}
