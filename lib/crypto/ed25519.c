#include "crypto/ed25519.h"

#include <openssl/evp.h>
#include <sodium.h>

/* Of a long message nearly all is SHA-512, which OpenSSL does at 1.5 times libsodium's rate; its curve arithmetic takes twice as long,
 * and the check of the key that libsodium makes by itself comes on top. They meet at some 180 KiB. */
#define LONG_BYTES ((size_t)256 << 10)

void ed25519_key_init(struct ed25519_key *k, const uint8_t seed[ED25519_SEED_BYTES])
{
    uint8_t joined[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(k->public, joined, seed);
    memcpy(k->seed, joined, sizeof(k->seed));
    crypto_wipe(joined, sizeof(joined));
}

static bool sign_long(const struct ed25519_key *k, struct slice message, uint8_t out[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->seed, sizeof(k->seed));
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t len = ED25519_SIGNATURE_BYTES;
    bool is_done = key && c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestSign(c, out, &len, message.p, message.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return is_done;
}

void ed25519_sign(const struct ed25519_key *k, struct slice message, uint8_t out[ED25519_SIGNATURE_BYTES])
{
    uint8_t joined[crypto_sign_SECRETKEYBYTES];

    if (message.len >= LONG_BYTES && sign_long(k, message, out))
        return;
    memcpy(joined, k->seed, sizeof(k->seed));
    memcpy(joined + sizeof(k->seed), k->public, sizeof(k->public));
    crypto_sign_detached(out, NULL, message.p, message.len, joined);
    crypto_wipe(joined, sizeof(joined));
}

/* Low-order keys, for which anyone can make signatures, are refused here as libsodium refuses them when it verifies. */
static int verify_long(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message, struct slice signature)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, ED25519_PUBLIC_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool is_good = key && c && crypto_core_ed25519_is_valid_point(public) == 1 &&
                   EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestVerify(c, signature.p, signature.len, message.p, message.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return is_good ? 0 : -CRYPTO_EAUTH;
}

int ed25519_verify(const uint8_t public[ED25519_PUBLIC_BYTES], struct slice message, struct slice signature)
{
    if (signature.len != ED25519_SIGNATURE_BYTES)
        return -CRYPTO_EAUTH;
    if (message.len >= LONG_BYTES)
        return verify_long(public, message, signature);
    return crypto_sign_verify_detached(signature.p, message.p, message.len, public) ? -CRYPTO_EAUTH : 0;
}
