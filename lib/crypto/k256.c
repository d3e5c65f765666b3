#include "crypto/k256.h"

#include <assert.h>
#include <secp256k1.h>
#include <secp256k1_preallocated.h>
#include <sodium.h>

#include "crypto/sha256.h"

/* Memory for one context, so that nothing is allocated. */
struct context {
    _Alignas(16) uint8_t memory[1024];
    secp256k1_context *made;
};

static struct context shared; /* immutable after k256_init */

/* Blinded by random numbers, so that power and time say less about secrets; results do not depend on them. */
static void context_init(struct context *c)
{
    uint8_t seed[32];
    int is_ok;

    assert(secp256k1_context_preallocated_size(SECP256K1_CONTEXT_NONE) <= sizeof(c->memory));
    c->made = secp256k1_context_preallocated_create(c->memory, SECP256K1_CONTEXT_NONE);
    randombytes_buf(seed, sizeof(seed));
    is_ok = secp256k1_context_randomize(c->made, seed);
    assert(is_ok);
    (void)is_ok;
    crypto_wipe(seed, sizeof(seed));
}

void k256_init(void)
{
    if (!shared.made)
        context_init(&shared);
}

static const secp256k1_context *context_of(struct context *own)
{
    if (shared.made)
        return shared.made;
    context_init(own);
    return own->made;
}

static void context_close(struct context *own)
{
    if (own->made)
        secp256k1_context_preallocated_destroy(own->made);
}

int k256_key_init(struct k256_key *k, const uint8_t secret[K256_SECRET_BYTES])
{
    struct context own = {.made = NULL};
    secp256k1_pubkey point;
    size_t len = K256_PUBLIC_BYTES;
    int is_ok = secp256k1_ec_pubkey_create(context_of(&own), &point, secret);

    context_close(&own);
    if (!is_ok)
        return -CRYPTO_EKEY;
    memcpy(k->secret, secret, K256_SECRET_BYTES);
    secp256k1_ec_pubkey_serialize(secp256k1_context_static, k->public, &len, &point, SECP256K1_EC_COMPRESSED);
    return 0;
}

size_t k256_sign(const struct k256_key *k, struct slice message, uint8_t out[K256_SIGNATURE_MAX])
{
    struct context own = {.made = NULL};
    secp256k1_ecdsa_signature signature;
    uint8_t digest[SHA256_BYTES];
    size_t len = K256_SIGNATURE_MAX;
    int is_ok;

    sha256_of(message, digest);
    is_ok = secp256k1_ecdsa_sign(context_of(&own), &signature, digest, k->secret, NULL, NULL); /* of a good secret it cannot fail */
    context_close(&own);
    is_ok &= secp256k1_ecdsa_signature_serialize_der(secp256k1_context_static, out, &len, &signature);
    assert(is_ok);
    return is_ok ? len : 0;
}

int k256_verify(struct slice public, struct slice message, struct slice signature)
{
    const secp256k1_context *ctx = secp256k1_context_static;
    secp256k1_ecdsa_signature parsed;
    uint8_t digest[SHA256_BYTES];
    secp256k1_pubkey point;

    if (public.len != K256_PUBLIC_BYTES || !secp256k1_ec_pubkey_parse(ctx, &point, public.p, public.len))
        return -CRYPTO_EKEY;
    if (!signature.len || signature.len > K256_SIGNATURE_MAX ||
        !secp256k1_ecdsa_signature_parse_der(ctx, &parsed, signature.p, signature.len))
        return -CRYPTO_EAUTH;
    sha256_of(message, digest);
    return secp256k1_ecdsa_verify(ctx, &parsed, digest, &point) ? 0 : -CRYPTO_EAUTH; /* refuses the higher s */
}
